"""The command line ``gis-service``: one file a group of commands under ``commands/``.

Commands import what they work with when they run, so that ``--help`` and the start of a service
do not wait for libraries of others.

Exit codes: 0 done; 1 finished and found problems (a violated rule, refused rows); 2 could not
run. Errors are one line that says what to do; a stack trace never reaches a user.
"""

import logging
import os
import sys
from typing import Final

import click
import typer

from gis_service.commands import checking, importing, plans, rules, serving
from gis_service.commands.terminal import complain, language
from layers.errors import GisError

_EXIT_CANNOT_RUN: Final = 2

app = typer.Typer(
    name="gis-service",
    help="Multi-plan integration (多规合一): one spatial library, one map, one conflict check.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(serving.serve)
app.command()(serving.demo)
app.add_typer(plans.app, name="plans")
app.command(name="import")(importing.import_plan)
app.command()(importing.publish)
app.command()(importing.withdraw)
app.command()(checking.check)
app.add_typer(rules.app, name="rules")


def main() -> None:
    """Run a command and turn every failure into one line and an exit code."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    try:
        code = app(standalone_mode=False)
    except GisError as error:
        complain(error.text.in_language(language()))
        for place in error.places[:10]:
            complain(f"  {place.at}: {place.reason.in_language(language())}")
        code = _EXIT_CANNOT_RUN
    except click.exceptions.Abort:
        code = 130
    except click.ClickException as error:
        error.show(sys.stderr)
        code = _EXIT_CANNOT_RUN
    except KeyboardInterrupt:
        code = 130
    except OSError as error:
        complain(f"{error.filename or ''}: {error.strerror or error}".lstrip(": "))
        code = _EXIT_CANNOT_RUN
    except Exception as error:  # the last wall: what is not foreseen still is one line
        if os.environ.get("GIS_DEBUG"):
            raise
        complain(
            f"Unexpected {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
            " (set GIS_DEBUG=1 for the trace)"
        )
        code = _EXIT_CANNOT_RUN
    sys.exit(code if isinstance(code, int) else 0)
