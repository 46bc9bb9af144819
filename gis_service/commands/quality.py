"""``quality``: the quality report of an edition."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from gis_service.commands.terminal import language, progress_bar, say, show, show_json
from gis_service.settings import Settings, load_service_config
from layers.errors import BadParameter

if TYPE_CHECKING:
    from layers.database import Connection

_SUFFIXES: Final = (".html", ".xlsx", ".gpkg", ".json")
_SHOWN: Final = 20


def quality(
    plan: Annotated[str, typer.Argument(help="Plan id, see: plans list")],
    edition: Annotated[
        int | None, typer.Argument(help="Edition; the draft, else the one in force.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", help="File to write: .html, .xlsx, .gpkg or .json.")
    ] = None,
    stored: Annotated[
        bool, typer.Option("--stored", help="Give the newest report, check nothing.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Check the data of an edition and store what was found; exit code 1 with blocking findings
    or where something could not be checked.

    Example: gis-service quality overall-plan -o quality.html
    """
    from gis_service import start
    from gis_service.quality_report.document import quality_document
    from layers.catalog import load_catalog
    from layers.database import connect
    from layers.quality.run import edition_to_check

    if output is not None and output.suffix.lower() not in _SUFFIXES:
        raise BadParameter(
            f"-o: a file name that ends in {', '.join(_SUFFIXES)}.",
            f"-o：文件名应以 {'、'.join(_SUFFIXES)} 结尾。",
        )
    settings = Settings()
    catalog = load_catalog(settings.config_dir)
    catalog.plan(plan)
    with start.database(settings, say) as dsn, connect(dsn) as connection:
        number = edition_to_check(connection, plan, edition)
        if not stored:
            check_edition(connection, settings, number)
        document = quality_document(connection, catalog, number)
        if output is not None:
            _write(connection, settings, document, output)
    if json:
        show_json(document)
    else:
        _show(document)
    raise typer.Exit(1 if document["outcome"] in ("blocked", "incomplete") else 0)


def check_edition(connection: "Connection", settings: Settings, edition_id: int) -> None:
    """Make a quality run of an edition, with a progress bar."""
    from layers.catalog import load_catalog
    from layers.quality.levels import load_levels
    from layers.quality.run import run_quality
    from layers.sandbox import Sandbox

    config = load_service_config(settings.config_dir)
    catalog = load_catalog(settings.config_dir)
    levels = load_levels(settings.config_dir, catalog)
    workers = settings.check_processes
    with (
        Sandbox(workers=workers, memory_bytes=config.limits.reader_memory_bytes) as sandbox,
        progress_bar() as report,
    ):
        run_quality(
            connection, sandbox, catalog, levels, edition_id,
            region=config.region.bbox, workers=workers, progress=report,
        )  # fmt: skip


def _write(
    connection: "Connection", settings: Settings, document: dict[str, Any], output: Path
) -> None:
    from gis_service.quality_report.document import drawings
    from gis_service.quality_report.forms import render

    config = load_service_config(settings.config_dir)
    shapes = drawings(connection, document["run"])
    form = output.suffix.lower().lstrip(".")
    body = render(document, shapes, form, language(), notice=config.notice)
    output.write_bytes(body)


def _show(document: dict[str, Any]) -> None:
    show(
        f"{document['plan']}  edition {document['edition']} ({document['state']})  "
        f"{document['outcome']}: {document['blocking']:,} blocking, "
        f"{document['advisory']:,} advisory"
    )
    for one in document["counts"]:
        show(f"  {one['severity']:<9} {one['count']:>8,}  {one['layer']:<28} "
             f"{one['title'][language()]}")  # fmt: skip
    for one in document["findings"][:_SHOWN]:
        place = "{:.6f} {:.6f}".format(*one["place"]) if one["place"] else "-"
        show(f"  {one['severity']:<9} {one['layer']} {place}: {one['reason'][language()]}")
    rest = len(document["findings"]) - _SHOWN
    if rest > 0:
        show(f"  ... {rest} more, see --json or -o")
