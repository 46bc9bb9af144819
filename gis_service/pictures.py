"""What maps show: today's editions, those of another day (``as_of``), or one edition (``edition``).

A picture is at most a second old. Tiles are kept by content number, not by day: two days on which
one content holds share their tiles, and a correction of a past day changes the number.
"""

import datetime
import threading
import time
from collections import OrderedDict
from typing import Final
from urllib.parse import urlencode

from starlette.requests import Request

from gis_service.library import InForce, Library, layer_in_force
from gis_service.routes.requests import calendar_day, integer
from layers.database import rows, statements
from layers.errors import BadParameter, NotFound
from layers.features import library_version

TIME_PARAMETERS: Final = ("as_of", "edition")

_SQL: Final = statements("layers", "editions.sql")
_FRESH_S: Final = 1.0
_KEPT: Final = 256
_LARGEST_EDITION: Final = 2**31 - 1

Key = datetime.date | int
"""A day, or the number of an edition."""


class Pictures:
    """Pictures of other days and of editions, the last asked for in memory."""

    def __init__(self, library: Library) -> None:
        """Hold none yet."""
        self._library = library
        self._held: OrderedDict[Key, tuple[float, InForce]] = OrderedDict()
        self._lock = threading.Lock()

    def asked(self, request: Request) -> InForce:
        """The picture that ``as_of`` or ``edition`` asks for; today's without them."""
        key = time_asked(request)
        return self._library.in_force() if key is None else self.get(key)

    def held(self, request: Request) -> InForce | None:
        """The picture asked for if it is fresh: asks the database nothing, so it never waits."""
        key = time_asked(request)
        if key is None:
            return self._library.held_picture()
        with self._lock:
            held = self._held.get(key)
        is_fresh = held is not None and time.monotonic() - held[0] < _FRESH_S
        return held[1] if held is not None and is_fresh else None

    def get(self, key: Key) -> InForce:
        """What is in force on a day, or what an edition holds; ``NotFound`` for none."""
        with self._lock:
            held = self._held.get(key)
        if held is not None and time.monotonic() - held[0] < _FRESH_S:
            return held[1]
        picture = self._edition(key) if isinstance(key, int) else self._library.in_force_on(key)
        with self._lock:
            self._held[key] = (time.monotonic(), picture)
            self._held.move_to_end(key)
            while len(self._held) > _KEPT:
                self._held.popitem(last=False)
        return picture

    def _edition(self, edition_id: int) -> InForce:
        with self._library.pool.connection() as connection:
            version = library_version(connection)
            found = rows(
                connection,
                _SQL["summary_of_edition"],
                edition_id=edition_id,
                with_drafts=shows_drafts(self._library),
            )
        if not found:
            raise no_edition(edition_id)
        layers = {row["layer_id"]: layer_in_force(row) for row in found}
        return InForce(version, found[0]["valid_from"], layers)


def time_asked(request: Request) -> Key | None:
    """The day or the edition that a request names; both at once contradict each other."""
    query = request.query_params
    if "as_of" in query and "edition" in query:
        raise BadParameter(
            "Give as_of or edition, not both.", "as_of 与 edition 只能给出其一。",
            code="two-times",
        )  # fmt: skip
    if "as_of" in query:
        return calendar_day(query["as_of"], "as_of")
    if "edition" in query:
        number = integer(request, "edition", 0, 1)
        if number > _LARGEST_EDITION:
            raise no_edition(number)
        return number
    return None


def time_query(request: Request) -> str:
    """What links and tile addresses carry on: ``as_of=…``, ``edition=…`` or nothing."""
    chosen = {name: request.query_params[name] for name in TIME_PARAMETERS
              if name in request.query_params}  # fmt: skip
    return urlencode(chosen)


def no_edition(edition_id: int) -> NotFound:
    """The answer for an edition that is not there for this caller."""
    return NotFound(
        f"There is no edition {edition_id}.", f"没有版本 {edition_id}。", code="no-edition"
    )


def shows_drafts(library: Library) -> bool:
    """Whether this process may show editions that nobody has published.

    Only one that reads every class may; the public one never.
    """
    return library.settings.access == "restricted"
