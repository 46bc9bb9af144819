"""The command line ``gis-service``: one file a group of commands under ``commands/``.

Commands import what they work with when they run, so that ``--help`` and the start of a service
do not wait for libraries of others.

Exit codes: 0 done; 1 finished and found problems (a violated rule, refused rows); 2 could not
run. Errors are one line that says what to do; a stack trace never reaches a user.
"""

import logging
import os
import sys
from collections.abc import Iterator
from typing import Final

import typer
from pydantic import ValidationError

from gis_service.commands import (
    checking,
    comparing,
    drafts,
    exporting,
    importing,
    keys,
    plans,
    quality,
    quotas,
    rules,
    serving,
    sources,
    submissions,
    tiles,
    verifying,
    working,
)
from gis_service.commands.terminal import complain, language
from layers.errors import GisError, disk_full, is_disk_full

_EXIT_CANNOT_RUN: Final = 2
_EXIT_INTERRUPTED: Final = 130

app = typer.Typer(
    name="gis-service",
    help="Multi-plan integration (多规合一): one spatial library, one map, one conflict check.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(serving.serve)
app.command(name="demo")(serving.build_demo)
app.add_typer(plans.app, name="plans")
app.add_typer(drafts.app, name="drafts")
app.command(name="import")(importing.import_plan)
app.command(name="export")(exporting.export_layer)
app.command()(importing.publish)
app.command()(importing.withdraw)
app.command()(checking.check)
app.command()(comparing.compare)
app.command()(quality.quality)
app.add_typer(submissions.app, name="submissions")
app.add_typer(quotas.app, name="quotas")
app.command(name="verify")(verifying.verify_report)
app.add_typer(rules.app, name="rules")
app.command()(working.worker)
app.add_typer(working.app, name="jobs")
app.add_typer(sources.app, name="sources")
app.add_typer(keys.app, name="keys")
app.add_typer(tiles.app, name="tiles")


def main() -> None:
    """Run a command and turn every failure into one line and an exit code."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    try:
        code = app(standalone_mode=False)
    except KeyboardInterrupt:
        code = _EXIT_INTERRUPTED
    except Exception as error:
        if type(error).__name__ == "Abort":  # typer's form of Ctrl-C at a prompt
            sys.exit(_EXIT_INTERRUPTED)
        if os.environ.get("GIS_DEBUG"):
            raise
        for line in _lines(error):
            complain(line)
        code = _EXIT_CANNOT_RUN
    sys.exit(code if isinstance(code, int) else 0)


def _lines(error: Exception) -> Iterator[str]:
    """What went wrong, for people: one line, and one for each place of a fault."""
    if is_disk_full(error):
        error = disk_full()
    usage = getattr(error, "format_message", None)  # typer's errors of usage
    if isinstance(error, GisError):
        yield error.text.in_language(language())
        for place in error.places[:10]:
            yield f"  {place.at}: {place.reason.in_language(language())}"
    elif isinstance(error, ValidationError):  # of the settings; others are caught where they arise
        for fault in error.errors():
            name = "_".join(str(step) for step in fault["loc"]).upper()
            yield f"{name}={fault['input']}: {fault['msg']}"
    elif usage is not None:
        yield f"{usage()}  (--help)"
    elif isinstance(error, OSError):
        yield f"{error.filename or ''}: {error.strerror or error}".lstrip(": ")
    else:
        first = (str(error).splitlines() or [""])[0]
        yield f"Unexpected {type(error).__name__}: {first} (set GIS_DEBUG=1 for the trace)"
