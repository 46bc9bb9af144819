"""One OGC process as a value: its description and the function behind it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from gis_service.library import Library

Mode = Literal["sync-execute", "async-execute", "dismiss"]


def nothing(*_: object) -> None:
    """What a sync run does with its progress: it has nobody to tell."""


@dataclass(frozen=True, slots=True)
class Run:
    """What a process works with.

    ``check`` raises when the run shall stop (dismissed, the worker goes down); long work calls it
    often. ``progress`` takes a share from 0 to 1. ``workers`` bounds child processes.
    """

    library: Library
    check: Callable[[], None] = nothing
    progress: Callable[[float], None] = nothing
    workers: int = 1


@dataclass(frozen=True, slots=True)
class Process:
    """A process; ``run`` gives its outputs by name, as values of JSON.

    ``pause_s`` says how long a run waits before it works: a sync run then holds no thread.
    ``shared``: jobs of callers without a key may be listed for everybody, because they hold
    nothing of a submission.
    """

    description: Mapping[str, Any]
    run: Callable[[Run, Mapping[str, Any]], Mapping[str, Any]]
    pause_s: Callable[[Mapping[str, Any]], float] = lambda _inputs: 0.0
    shared: bool = False

    @property
    def id(self) -> str:
        """Its name in addresses."""
        return str(self.description["id"])

    @property
    def modes(self) -> tuple[Mode, ...]:
        """What it declares of itself."""
        return tuple(self.description["jobControlOptions"])
