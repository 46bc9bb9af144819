"""``import``, ``publish`` and ``withdraw``."""

from pathlib import Path
from typing import Annotated, Any, Literal

import shapely
import typer
from shapely.geometry.base import BaseGeometry

from gis_service import start
from gis_service.commands.terminal import language, progress_bar, say, show, show_json
from gis_service.library import today
from gis_service.routes.requests import day
from gis_service.settings import Settings
from layers import editions
from layers.catalog import load_catalog
from layers.database import connect
from layers.errors import BadParameter, UnreadableFile
from layers.plan_import import ImportReport, import_file
from layers.sandbox import Sandbox

_SHOWN_ISSUES = 20


def import_plan(
    file: Annotated[Path, typer.Argument(help="GeoPackage, GeoJSON, shapefile, FlatGeobuf.")],
    plan: Annotated[str, typer.Option(help="Plan id, see: plans list")],
    layer: Annotated[str | None, typer.Option(help="Layer id, if the plan has several.")] = None,
    map: Annotated[str | None, typer.Option(help="Field map: a file or a name.")] = None,
    source_crs: Annotated[str | None, typer.Option(help="CRS if the file states none.")] = None,
    source_layer: Annotated[str | None, typer.Option(help="Layer inside the file.")] = None,
    valid_from: Annotated[str | None, typer.Option(help="First day in force; today.")] = None,
    coverage: Annotated[str | None, typer.Option(help="region, features or a file.")] = None,
    repair: Annotated[bool, typer.Option(help="Mend invalid geometry and say so.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Read a file into a draft edition; exit code 1 when rows were refused.

    Example: gis-service import redline.gpkg --plan overall-plan --layer ecological_redline
    """
    settings = Settings()
    config = start.service_config(settings)
    catalog = load_catalog(settings.config_dir)
    first_day = day(valid_from, "--valid-from") if valid_from else today()
    with (
        start.database(settings, say) as dsn,
        connect(dsn) as connection,
        Sandbox(memory_bytes=config.limits.reader_memory_bytes, max_tasks=8) as sandbox,
        progress_bar() as report,
    ):
        result = import_file(
            connection,
            sandbox,
            catalog,
            file,
            plan_id=plan,
            layer_id=layer,
            field_map=map,
            field_maps_dir=settings.config_dir / "field_maps",
            source_crs=source_crs,
            source_layer=source_layer,
            valid_from=first_day,
            coverage=_coverage(sandbox, coverage),
            repair=repair,
            region_bbox=config.region.bbox,
            progress=report,
        )
    if json:
        show_json(result.to_json())
    else:
        _show(result)
    raise typer.Exit(1 if result.refused else 0)


def _coverage(
    sandbox: Sandbox, choice: str | None
) -> Literal["region", "features"] | BaseGeometry | None:
    """What ``--coverage`` says; a GeoJSON file is read in the child."""
    if choice is None or choice == "region" or choice == "features":
        return choice  # type: ignore[return-value]
    file = Path(choice)
    if not file.is_file():
        raise BadParameter(
            f"--coverage: region, features or a GeoJSON file, not '{choice}'.",
            f"--coverage：region、features 或 GeoJSON 文件，而不是“{choice}”。",
        )
    return sandbox.run(read_coverage, file.read_text("utf-8"), deadline_s=60)


def read_coverage(text: str) -> BaseGeometry:
    """The union of the polygons of a GeoJSON text (longitude, latitude)."""
    try:
        parts = shapely.get_parts(shapely.get_parts(shapely.from_geojson(text)))
    except shapely.GEOSException as error:
        raise UnreadableFile(
            "The coverage file is no valid GeoJSON.", "覆盖范围文件不是合法的 GeoJSON。"
        ) from error
    area = shapely.union_all(parts[shapely.get_dimensions(parts) == 2])
    if area.is_empty:
        raise UnreadableFile(
            "The coverage file holds no polygon.", "覆盖范围文件中没有面要素。", code="no-polygon"
        )
    return area


def _show(result: ImportReport) -> None:
    body: dict[str, Any] = result.to_json()
    show(
        f"edition {body['edition']} (draft)  {body['layer']}: read {body['read']:,}, accepted "
        f"{body['accepted']:,}, repaired {body['repaired']:,}, refused {body['refused']:,}"
    )
    for issue in body["issues"][:_SHOWN_ISSUES]:
        place = f"row {issue['row']}" + (f" {issue['field']}" if issue["field"] else "")
        show(f"  {issue['severity']:<9} {place}: {issue['reason'][language()]}")
    rest = len(body["issues"]) - _SHOWN_ISSUES
    if rest > 0:
        show(f"  ... {rest} more, see --json")


def publish(
    plan: Annotated[str, typer.Argument(help="Plan id.")],
    edition: Annotated[int | None, typer.Argument(help="Edition; the plan's draft.")] = None,
    accept_blocking: Annotated[
        str | None, typer.Option(help="Publish in spite of refused rows; the reason is kept.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """Put a draft edition in force. Example: gis-service publish overall-plan"""
    settings = Settings()
    load_catalog(settings.config_dir).plan(plan)
    with start.database(settings, say) as dsn, connect(dsn) as connection:
        number = editions.publish(
            connection, plan, edition, accept_blocking=accept_blocking, progress=say
        )
    if json:
        show_json({"plan": plan, "edition": number, "state": "published"})
    else:
        show(f"{plan}: edition {number} published")


def withdraw(
    plan: Annotated[str, typer.Argument(help="Plan id.")],
    edition: Annotated[int, typer.Argument(help="Edition number.")],
    json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """Take an edition out of force; the one before it comes back. Example: gis-service withdraw overall-plan 7"""  # noqa: E501
    settings = Settings()
    load_catalog(settings.config_dir).plan(plan)
    with start.database(settings, say) as dsn, connect(dsn) as connection:
        restored = editions.withdraw(connection, plan, edition)
    if json:
        show_json({"plan": plan, "edition": edition, "state": "withdrawn", "in_force": restored})
    elif restored is None:
        show(f"{plan}: edition {edition} withdrawn; no edition is in force now (no data)")
    else:
        show(f"{plan}: edition {edition} withdrawn; edition {restored} is in force again")
