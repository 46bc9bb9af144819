"""What a fetch works with and what it gives, whatever the kind of source."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from layers.errors import BadInput, LimitExceeded, Unavailable

Validator = dict[str, str]
"""``url`` with ``etag`` or ``last_modified``: by these a source says that a page is unchanged."""


def _nothing() -> None:
    """Nobody asks to stop."""


@dataclass(frozen=True, slots=True)
class FetchRoom:
    """The room of one fetch: its own folder, bounds, secrets, and a way to be stopped.

    ``check`` is called often and raises when the work is to stop. ``secret`` gives the value of an
    environment variable. ``validators`` are those of the content that is held already; empty =
    fetch anew. ``now`` is in seconds since 1970.
    """

    folder: Path
    largest_bytes: int
    secret: Callable[[str], str]
    check: Callable[[], None] = _nothing
    validators: tuple[Validator, ...] = ()
    sleep: Callable[[float], None] = time.sleep
    now: Callable[[], float] = time.time


@dataclass(frozen=True, slots=True)
class Fetched:
    """A local file (or the folder of a shapefile) that holds what the source had.

    ``sha256`` is of the content, in the order in which it came. ``complete`` is True where the
    source said how many features there are and that many came, None where it does not say.
    """

    path: Path
    sha256: str
    byte_count: int
    rows: int | None = None
    crs: str | None = None
    pages: int | None = None
    complete: bool | None = None
    validators: tuple[Validator, ...] = ()


class Unchanged(Exception):
    """The source itself says that nothing has changed since the last fetch."""


_DEADLINE_CODE: Final = "fetch-deadline"


def deadline_check(room: FetchRoom, deadline_s: float) -> Callable[[], None]:
    """A check that also ends a fetch which takes longer than it may."""
    until = time.monotonic() + deadline_s

    def check() -> None:
        room.check()
        if time.monotonic() > until:
            raise Unavailable(
                f"The source took longer than {deadline_s:g} s; nothing was changed.",
                f"获取数据超过 {deadline_s:g} 秒，未作任何更改。",
                code=_DEADLINE_CODE,
            )

    return check


def refuse_larger(byte_count: int, largest: int) -> None:
    """``LimitExceeded`` once more has come than is allowed."""
    if byte_count > largest:
        raise LimitExceeded(
            f"The source holds more than {largest:,} bytes; nothing was changed.",
            f"数据源超过 {largest:,} 字节，未作任何更改。",
            code="source-too-large",
        )


def incomplete(got: int, stated: int) -> BadInput:
    """The error for a source that gave another number of features than it stated."""
    return BadInput(
        f"The source states {stated:,} features and gave {got:,}; nothing was changed.",
        f"数据源声明有 {stated:,} 个要素，实际提供 {got:,} 个，未作任何更改。",
        code="incomplete",
    )
