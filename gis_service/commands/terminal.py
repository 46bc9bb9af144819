"""What commands print: results to stdout, progress and hints to stderr, in the user's language."""

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, Protocol

import orjson
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from layers.text import Text

_STDERR: Final = Console(stderr=True, highlight=False, soft_wrap=True)
_STDOUT: Final = Console(highlight=False, soft_wrap=True)

VERDICT_WORDS: Final[Mapping[str, tuple[str, Text]]] = {
    "violation": ("✕", Text(zh="违反", en="violation")),
    "undetermined": ("?", Text(zh="无法判定", en="undetermined")),
    "conditional": ("!", Text(zh="有条件", en="conditional")),
    "warning": ("▲", Text(zh="提示", en="warning")),
    "pass": ("✓", Text(zh="通过", en="pass")),
    "not-applicable": ("–", Text(zh="不适用", en="not applicable")),
}


def language() -> str:
    """``zh`` when the terminal's locale is Chinese, else ``en``."""
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        if value := os.environ.get(name):
            return "zh" if value.lower().startswith("zh") else "en"
    return "en"


def say(text: str) -> None:
    """A hint or a step of progress, to stderr."""
    _STDERR.print(text, markup=False)


def complain(text: str) -> None:
    """An error, to stderr."""
    _STDERR.print(text, style="bold red" if _STDERR.is_terminal else None, markup=False)


def show(text: str) -> None:
    """A result, to stdout."""
    _STDOUT.print(text, markup=False)


def show_json(value: Any) -> None:
    """One JSON object to stdout and nothing else."""
    sys.stdout.buffer.write(orjson.dumps(value, option=orjson.OPT_INDENT_2, default=str) + b"\n")


class Report(Protocol):
    """Tells what is being done and which share (0..1) of the whole is done."""

    def __call__(self, what: str, share: float) -> None:
        """Report one step."""


@contextmanager
def progress_bar() -> Iterator[Report]:
    """A bar when a person watches; a line at each new step otherwise."""
    if not _STDERR.is_terminal:
        last = ""

        def line(what: str, share: float) -> None:
            nonlocal last
            step = what.partition(":")[0] if what.startswith("read:") else what
            if step != last:
                last = step
                say(f"[{share:4.0%}] {what}")

        yield line
        return
    share = TextColumn("{task.percentage:>3.0f}%")
    columns = (TextColumn("{task.description}"), BarColumn(), share, TimeElapsedColumn())
    with Progress(*columns, console=_STDERR, transient=True) as bar:
        task = bar.add_task("", total=1.0)

        def move(what: str, share: float) -> None:
            bar.update(task, description=what, completed=share)

        yield move
