"""``sources``: what is registered, and harvesting by hand."""

import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gis_service.commands.terminal import language, say, show, show_json
from gis_service.settings import Settings

if TYPE_CHECKING:
    from gis_service.harvesting.sources import RegisteredSource

app = typer.Typer(
    help="Registered sources of other departments (config/sources.yml).", no_args_is_help=True
)

_GOOD = frozenset({"unchanged", "draft", "published"})


@app.command(name="list")
def list_sources(
    json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """All sources with their last harvest. Example: gis-service sources list"""
    from gis_service import start
    from gis_service.harvesting.status import source_statuses
    from layers.database import connect

    settings = Settings()
    sources = _sources(settings)
    with start.database(settings, say) as dsn, connect(dsn) as connection:
        statuses = source_statuses(connection, sources)
    if json:
        show_json(statuses)
        return
    for status in statuses:
        last = status["last"]
        what = f"{last['outcome']} {last['started']:%Y-%m-%d %H:%M}" if last else "-"
        mark = "" if status["enabled"] else "  (off)"
        title = status["title"][language()]
        show(f"{status['id']:<28} {status['kind']:<13} {what:<28} {title}{mark}")


@app.command(name="show")
def show_source(
    source: Annotated[str, typer.Argument(help="Source id, see: sources list")],
    json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """One source, when it is next due, and its last report. Example: gis-service sources show x"""
    from gis_service import start
    from gis_service.harvesting.sources import source_named
    from gis_service.harvesting.status import source_statuses
    from layers.database import connect

    settings = Settings()
    found = source_named(_sources(settings), source)
    with start.database(settings, say) as dsn, connect(dsn) as connection:
        (status,) = source_statuses(connection, (found,))
    if json:
        show_json(status)
        return
    show(f"{status['id']}  {status['title'][language()]}")
    show(f"  {status['kind']}  {status['location']}  -> {status['plan']} / {status['layer']}")
    show(f"  {status['schedule']} (Asia/Shanghai)  next {status['next'] or '-'}")
    if status["last"]:
        _show_report(status["last"]["report"])


@app.command(name="harvest")
def harvest_source(
    source: Annotated[str, typer.Argument(help="Source id, see: sources list")],
    queue: Annotated[bool, typer.Option("--queue", help="Leave it to a worker.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Harvest a source now; exit code 1 when it failed or something stops its publishing.

    Example: gis-service sources harvest forestry-folder
    """
    from gis_service import start
    from gis_service.harvesting.sources import source_named
    from gis_service.jobs.harvesting import harvest_job, manual_occasion

    settings = Settings()
    found = source_named(_sources(settings), source)
    occasion = manual_occasion(datetime.datetime.now(datetime.UTC))
    with start.database(settings, say) as dsn:
        if queue:
            from gis_service.jobs.queue import defer
            from layers.database import connect

            with connect(dsn) as connection:
                number = defer(dsn, connection, harvest_job(found.id, occasion))
            show_json({"job": number}) if json else show(f"job {number}")
            return
        report = _harvest_here(settings, dsn, found, occasion)
    show_json(report) if json else _show_report(report)
    blocking = report.get("import", {}).get("blocking_issues", 0)
    raise typer.Exit(0 if report["outcome"] in _GOOD and not blocking else 1)


def _harvest_here(
    settings: Settings, dsn: str, source: "RegisteredSource", occasion: str
) -> dict[str, Any]:
    from gis_service.harvesting.harvest import harvest
    from gis_service.jobs.workshop import open_workshop

    with open_workshop(settings, dsn) as workshop:
        return harvest(workshop.harvest_house(), source, occasion).report


@app.command(name="history")
def show_history(
    source: Annotated[str, typer.Argument(help="Source id, see: sources list")],
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many.")] = 20,
    json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """The harvests of a source, newest first. Example: gis-service sources history x"""
    from gis_service import start
    from gis_service.harvesting import runs
    from layers.database import connect

    with start.database(Settings(), say) as dsn, connect(dsn) as connection:
        entries = runs.history(connection, source, limit)
    if json:
        show_json(entries)
        return
    for entry in entries:
        show(f"{entry['started']:%Y-%m-%d %H:%M:%S}  {entry['outcome']:<10} {_line(entry)}")


def _line(entry: dict[str, Any]) -> str:
    report = entry["report"]
    if "error" in report:
        return str(report["error"]["reason"][language()])
    changes = report.get("changes")
    return _changes_line(changes) if changes else ""


def _changes_line(changes: dict[str, Any]) -> str:
    return f"+{changes['added']} -{changes['removed']} ~{changes['changed']}"


def _show_report(report: dict[str, Any]) -> None:
    edition = f"  edition {report['edition']}" if report.get("edition") else ""
    show(f"{report.get('source', '')}: {report['outcome']}{edition}")
    if "error" in report:
        show(f"  {report['error']['reason'][language()]}")
    fetched, brought = report.get("fetched"), report.get("import")
    if fetched:
        rows = "" if fetched["rows"] is None else f"{fetched['rows']:,} rows, "
        show(f"  fetched {rows}{fetched['bytes']:,} bytes")
    if brought:
        show(
            f"  read {brought['read']:,}, accepted {brought['accepted']:,}, refused "
            f"{brought['refused']:,}, blocking issues {brought['blocking_issues']:,}"
        )
    if report.get("changes"):
        show(f"  {_changes_line(report['changes'])}")


def _sources(settings: Settings) -> "tuple[RegisteredSource, ...]":
    from gis_service.harvesting.sources import load_sources
    from layers.catalog import load_catalog

    return load_sources(settings.config_dir, load_catalog(settings.config_dir))
