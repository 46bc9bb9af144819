"""``verify``: whether a report is genuine, and whether its replay gives the same bytes."""

from pathlib import Path
from typing import Annotated

import typer

from gis_service.commands.terminal import language, say, show, show_json
from gis_service.settings import Settings
from layers.errors import UnreadableFile

_MARKS = {True: "✓", False: "✗", None: "?"}


def verify_report(
    file: Annotated[Path, typer.Argument(help="The JSON of the report.")],
    replay: Annotated[bool, typer.Option("--replay", help="Judge it again and compare.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """Digest and signature of a report; exit code 1 when it is not genuine.

    Example: gis-service verify report.json --replay
    """
    from gis_service import start
    from gis_service.routes.requests import parse_json
    from gis_service.verification import verify

    if not file.is_file():
        raise UnreadableFile(f"There is no file {file}.", f"没有文件 {file}。", code="no-file")
    report = parse_json(file.read_bytes())
    settings = Settings().model_copy(update={"check_processes": 1, "pool_size": 1})
    with (
        start.database(settings, say) as dsn,
        start.library(settings, dsn, access="restricted") as library,
    ):
        verified = verify(library, report, replay_too=replay)
    if json:
        show_json(verified.as_json())
    else:
        for check in verified.checks:
            show(f"{_MARKS[check.good]} {check.name:<10} {check.message.in_language(language())}")
    good = verified.valid and (not replay or verified.checks[-1].good is True)
    raise typer.Exit(0 if good else 1)
