"""The rule set in use, and how an edited one takes its place in a running service.

Every process looks at the folder when it needs rules, at most every two seconds. A changed folder
is read once it and its files have rested for a second, and again if it changed meanwhile: nobody
judges by half of what an editor writes, or without a file that is away for a moment. A set with a
fault is refused whole: the one in use goes on, the fault stands in the log and at ``/rules`` until
the folder is right again.
"""

import datetime
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from prometheus_client import Gauge

from layers.catalog import Catalog
from layers.errors import BadConfiguration, GisError
from layers.text import Text
from planning_rules.rule_lint import lint
from planning_rules.rule_set import RuleSet, load_rule_set

_log = logging.getLogger(__name__)
_REFUSED: Final = Gauge("gis_rule_set_refused", "1 while an edited rule set is refused")
_LOOK_EVERY_S: Final = 2.0
_REST_S: Final = 1.0
_NOT_OF_TODAY: Final = frozenset({"expired-basis"})
"""Faults that come with time alone; they keep no other change out."""

Print = tuple[tuple[str, int, int], ...]
"""Names, sizes and times of change (ns) of a folder (size 0) and of its files."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why an edited rule set is not in use, and since when."""

    since: datetime.datetime
    reason: Text


class RuleShelf:
    """Hands out the rule set in use; safe to call from many threads."""

    def __init__(
        self,
        folder: Path,
        catalog: Catalog,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        """Read the folder now; ``BadConfiguration`` where there is nothing to go on with.

        ``catalog`` is the whole one: rules may name layers that this process does not show.
        """
        self._folder, self._catalog = folder, catalog
        self._clock, self._wall_clock = clock, wall_clock
        self._seen = _print_of(folder)
        self._current = load_rule_set(folder)
        self._looked = clock()
        self._lock = threading.Lock()
        self.refusal: Refusal | None = None

    def current(self) -> RuleSet:
        """The rule set in use; an edited one from the moment on at which it is found good."""
        if self._clock() - self._looked >= _LOOK_EVERY_S and self._lock.acquire(blocking=False):
            try:
                self._look()
            finally:
                self._lock.release()
        return self._current

    def _look(self) -> None:
        self._looked = self._clock()
        found = _print_of(self._folder)
        if found == self._seen or self._is_fresh(found):
            return
        try:
            loaded = load_rule_set(self._folder)
            if _print_of(self._folder) != found:
                return  # read while somebody was writing: the next look tells
            self._seen = found
            edited = self._good(loaded)
        except GisError as error:
            self._seen = found
            self.refusal = Refusal(datetime.datetime.now(datetime.UTC), error.text)
            _REFUSED.set(1)
            _log.error(
                "the edited rule set is refused, %s (sha256 %s) stays in use: %s",
                self._current.version, self._current.sha256[:12], error.text.en,
            )  # fmt: skip
            return
        self.refusal = None
        _REFUSED.set(0)
        if edited.sha256 != self._current.sha256:
            _log.warning("rule set %s (sha256 %s) is in use", edited.version, edited.sha256[:12])
        self._current = edited

    def _is_fresh(self, found: Print) -> bool:
        """Whether somebody may still be writing."""
        newest = max((changed for _, _, changed in found), default=0)
        return self._wall_clock() - newest / 1e9 < _REST_S

    def _good(self, edited: RuleSet) -> RuleSet:
        """The set, unless ``rules lint`` would find an error in it."""
        today = datetime.datetime.now(datetime.UTC).date()
        faults = [
            fault
            for fault in lint(edited, self._catalog, None, today)
            if fault.weight == "error" and fault.code not in _NOT_OF_TODAY
        ]
        if faults:
            zh = "；".join(f"{fault.rule_id}：{fault.text.zh}" for fault in faults[:5])
            en = "; ".join(f"{fault.rule_id}: {fault.text.en}" for fault in faults[:5])
            raise BadConfiguration(en, zh, code="rules-with-errors")
        return edited


def _print_of(folder: Path) -> Print:
    """A look at the folder; a file that goes meanwhile is seen at the next one."""
    found = []
    for path in (folder, *sorted(folder.glob("*.yml"))):
        try:
            state = path.stat()
        except OSError:
            continue
        size = 0 if path == folder else state.st_size
        found.append((path.name, size, state.st_mtime_ns))
    return tuple(found)
