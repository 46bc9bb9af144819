"""``export``: a layer as a file."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gis_service.commands.terminal import language, say, show, show_json
from gis_service.settings import Settings, load_service_config
from layers.errors import BadParameter

if TYPE_CHECKING:
    from layers.crs import Box


def export_layer(
    layer: Annotated[str, typer.Argument(help="Layer id, see: plans list")],
    out: Annotated[Path, typer.Option("-o", "--out", help="The file to write.")],
    edition: Annotated[int | None, typer.Option(help="Edition number, a draft too.")] = None,
    as_of: Annotated[str | None, typer.Option(help="In force on that day; today.")] = None,
    bbox: Annotated[str | None, typer.Option(help="west,south,east,north in degrees.")] = None,
    crs: Annotated[str, typer.Option(help="Coordinate system of the file.")] = "EPSG:4490",
    format: Annotated[
        str | None, typer.Option(help="gpkg, geojson, shp, dxf or txt; by the file's suffix.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """Write a layer to a file, whatever its access class: this is the operator's door.

    Example: gis-service export ecological_redline --crs EPSG:4525 -o redline.gpkg
    """
    from gis_service import start
    from gis_service.library import today
    from gis_service.routes.requests import calendar_day
    from layers.catalog import load_catalog
    from layers.crs import parse_crs
    from layers.database import connect
    from layers.exports import content_to_export, export_content
    from layers.sandbox import Sandbox
    from layers.writers import format_named

    if edition is not None and as_of is not None:
        raise BadParameter(
            "Give either --edition or --as-of.", "--edition 与 --as-of 只能给出一个。"
        )
    settings = Settings()
    config = load_service_config(settings.config_dir)
    wanted = load_catalog(settings.config_dir).layer(layer)
    file_format = format_named(format or out.suffix or "?")
    if not out.resolve().parent.is_dir():
        raise BadParameter(f"There is no folder {out.parent}.", f"没有文件夹 {out.parent}。")
    with (
        start.database(settings, say) as dsn,
        connect(dsn) as connection,
        Sandbox(memory_bytes=config.limits.reader_memory_bytes, max_tasks=1) as sandbox,
    ):
        content_id = content_to_export(
            connection,
            wanted,
            edition_id=edition,
            as_of=calendar_day(as_of, "--as-of") if as_of else today(),
        )
        written = export_content(
            connection, sandbox, wanted, content_id, out,
            file_format=file_format, crs=parse_crs(crs), box=_box(bbox),
            deadline_s=config.limits.reader_deadline_s,
        )  # fmt: skip
    notes = [note.in_language(language()) for note in written.notes]
    if json:
        show_json(
            {
                "layer": layer,
                "content": content_id,
                "features": written.features,
                "format": file_format,
                "file": str(out),
                "notes": [note.model_dump() for note in written.notes],
            }
        )
    else:
        show(f"{layer}: {written.features:,} features written to {out}")
        for note in notes:
            say(f"  {note}")


def _box(text: str | None) -> "Box | None":
    from gis_service.routes.requests import finite

    if text is None:
        return None
    numbers = [finite(part, "--bbox") for part in text.split(",")]
    if len(numbers) != 4 or numbers[0] >= numbers[2] or numbers[1] >= numbers[3]:
        raise BadParameter(
            "--bbox is west,south,east,north in degrees.", "--bbox 应为 西,南,东,北（度）。"
        )
    west, south, east, north = numbers
    return west, south, east, north
