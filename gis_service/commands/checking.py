"""``check``: the conflict report of a project submission."""

import datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import orjson
import typer

from gis_service.commands.terminal import language, say, show, show_json
from gis_service.commands.verdict import verdict_lines
from gis_service.settings import Settings, load_service_config
from layers.errors import BadInput, LimitExceeded, UnreadableFile

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gis_service.checking import SubmissionFile
    from gis_service.library import Library

_PROBLEMS: Final = frozenset({"violation", "undetermined"})


class ReportFormat(StrEnum):
    """Forms of a report; JSON is the master."""

    json = "json"
    html = "html"
    pdf = "pdf"
    xlsx = "xlsx"
    geojson = "geojson"
    gpkg = "gpkg"


def check(
    file: Annotated[Path, typer.Argument(help="Site: GeoJSON or any format that import reads.")],
    attributes: Annotated[Path | None, typer.Option(help="JSON with more attributes.")] = None,
    as_of: Annotated[str | None, typer.Option(help="Day to check for, 2026-01-31.")] = None,
    known_at: Annotated[
        str | None,
        typer.Option(help="By what was known at a moment: 2026-01-31T08:00:00+08:00; now."),
    ] = None,
    source_crs: Annotated[str | None, typer.Option(help="CRS of the coordinates.")] = None,
    source_layer: Annotated[str | None, typer.Option(help="Layer inside the file.")] = None,
    profile: Annotated[
        str | None, typer.Option(help="Choice of rules, see: rules profiles; all of them.")
    ] = None,
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
    from gis_service.routes.requests import calendar_day, past_moment

    submission = _request(file, attributes, source_layer)
    day_asked: datetime.date | None = calendar_day(as_of, "--as-of") if as_of else None
    moment = past_moment(known_at, "--known-at") if known_at else None
    settings = Settings().model_copy(update={"check_processes": 1, "pool_size": 1})
    with (
        start.database(settings, say) as dsn,
        start.library(settings, dsn, access="restricted") as library,
    ):
        request = CheckRequest(submission, source_crs, day_asked, moment, profile)
        report = run_check(library, request)
        _give(library, report, ReportFormat.json if json else format or _named(output), output)
    raise typer.Exit(1 if report["outcome"] in _PROBLEMS else 0)


def _request(
    file: Path, attributes: Path | None, layer: str | None
) -> "Mapping[str, Any] | SubmissionFile":
    """GeoJSON as an object, so that faults are named by their place; other formats as a file."""
    from gis_service.checking import SubmissionFile
    from gis_service.submissions.delivery import with_attributes

    extra = _read_json(attributes) if attributes is not None else {}
    if not isinstance(extra, dict):
        raise BadInput(f"{attributes} is no JSON object.", f"{attributes} 不是 JSON 对象。")
    if not file.exists():
        raise UnreadableFile(f"There is no file {file}.", f"没有文件 {file}。", code="no-file")
    if file.suffix.lower() not in (".json", ".geojson"):
        return SubmissionFile(file, extra, layer)
    value = _read_json(file)
    if not isinstance(value, dict):
        raise BadInput(f"{file.name} is no GeoJSON object.", f"{file.name} 不是 GeoJSON 对象。")
    return dict(with_attributes(value, extra))


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


def _give(
    library: "Library", report: dict[str, Any], form: ReportFormat | None, output: Path | None
) -> None:
    if form not in (None, ReportFormat.json):
        _write(_rendered(library, report, form.value), form, output)
        return
    if output is not None:
        output.write_bytes(orjson.dumps(report, option=orjson.OPT_INDENT_2))
    if form is ReportFormat.json and output is None:
        show_json(report)
    elif form is None:
        for line in verdict_lines(report, language()):
            show(line)


def _named(output: Path | None) -> ReportFormat | None:
    """The form that the suffix of the file asks for."""
    suffix = output.suffix.removeprefix(".").lower() if output is not None else ""
    return ReportFormat(suffix) if suffix in set(ReportFormat) else None


def _rendered(library: "Library", report: dict[str, Any], suffix: str) -> bytes:
    from gis_service.report_forms import form_of, render
    from gis_service.report_forms.grounds import draw_grounds

    settings = library.settings
    address = settings.public_url or f"http://localhost:{settings.port}"
    verify_url = f"{address.rstrip('/')}/reports/{report['report_id']}/verify"
    form = form_of(suffix)
    grounds = draw_grounds(library, report, language()) if form.has_maps else None
    return render(library.sandbox, report, form, language(), verify_url, grounds)


def _write(body: bytes, form: ReportFormat, output: Path | None) -> None:
    if output is not None:
        output.write_bytes(body)
    elif form in (ReportFormat.html, ReportFormat.geojson):
        show(body.decode())
    else:
        raise BadInput(
            f"A report as {form.value} needs a file to write: -o report.{form.value}.",
            f"{form.value} 形式的报告须指定输出文件：-o report.{form.value}。",
            code="output-needed",
        )
