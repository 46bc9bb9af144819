"""``check``: the conflict report of a project submission."""

import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final

import orjson
import typer

from gis_service.commands.terminal import language, say, show, show_json
from gis_service.commands.verdict import verdict_lines
from gis_service.settings import Settings, load_service_config
from layers.errors import BadInput, LimitExceeded, UnreadableFile

_PROBLEMS: Final = frozenset({"violation", "undetermined"})


class ReportFormat(StrEnum):
    """Forms of a report; JSON is the master."""

    json = "json"
    html = "html"


def check(
    file: Annotated[Path, typer.Argument(help="GeoJSON of the site.")],
    attributes: Annotated[Path | None, typer.Option(help="JSON with more attributes.")] = None,
    as_of: Annotated[str | None, typer.Option(help="Day to check for, 2026-01-31.")] = None,
    source_crs: Annotated[str, typer.Option(help="CRS of the coordinates.")] = "CRS84",
    format: Annotated[ReportFormat | None, typer.Option(help="Form of the report.")] = None,
    output: Annotated[Path | None, typer.Option("-o", help="File to write.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Check a site against the plans in force; exit code 1 when a rule is violated or undetermined.

    Example: gis-service check site.geojson --json
    """
    from gis_service import start
    from gis_service.checking import CheckRequest
    from gis_service.checking import check as run_check
    from gis_service.routes.requests import calendar_day

    submission = _read(file, attributes)
    day_asked: datetime.date | None = calendar_day(as_of, "--as-of") if as_of else None
    settings = Settings().model_copy(update={"check_processes": 1, "pool_size": 1})
    with start.database(settings, say) as dsn, start.library(settings, dsn) as library:
        report = run_check(library, CheckRequest(submission, source_crs, day_asked))
    _give(report, ReportFormat.json if json else format, output)
    raise typer.Exit(1 if report["outcome"] in _PROBLEMS else 0)


def _read(file: Path, attributes: Path | None) -> dict[str, Any]:
    value = _read_json(file)
    if not isinstance(value, dict):
        raise BadInput(f"{file.name} is no GeoJSON object.", f"{file.name} 不是 GeoJSON 对象。")
    if attributes is not None:
        extra = _read_json(attributes)
        if not isinstance(extra, dict):
            raise BadInput(
                f"{attributes.name} is no JSON object.", f"{attributes.name} 不是 JSON 对象。"
            )
        if value.get("type") not in ("Feature", "FeatureCollection"):
            value = {"type": "Feature", "geometry": value, "properties": {}}
        value = {**value, "properties": {**(value.get("properties") or {}), **extra}}
    return value


def _read_json(file: Path) -> Any:
    from gis_service.routes.requests import parse_json

    largest = load_service_config(Settings().config_dir).limits.submission_bytes
    if not file.is_file():
        raise UnreadableFile(f"There is no file {file}.", f"没有文件 {file}。", code="no-file")
    if file.stat().st_size > largest:
        raise LimitExceeded(
            f"{file.name} is larger than {largest:,} bytes.", f"{file.name} 超过 {largest:,} 字节。"
        )
    return parse_json(file.read_bytes())


def _give(report: dict[str, Any], form: ReportFormat | None, output: Path | None) -> None:
    if form is ReportFormat.html:
        from planning_rules.report_html import render_html

        text = render_html(report, language())
        if output is None:
            show(text)
        else:
            output.write_text(text, "utf-8")
        return
    if output is not None:
        output.write_bytes(orjson.dumps(report, option=orjson.OPT_INDENT_2))
    if form is ReportFormat.json and output is None:
        show_json(report)
    elif form is None:
        for line in verdict_lines(report, language()):
            show(line)
