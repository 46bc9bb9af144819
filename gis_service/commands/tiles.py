"""``tiles``: the archives of tiles that a service hands out without asking the database."""

import re
from pathlib import Path
from typing import Annotated

import typer

from gis_service.commands.terminal import language, progress_bar, say, show, show_json
from gis_service.settings import Settings, load_service_config
from layers.errors import BadParameter

app = typer.Typer(help="Tiles that are made ahead.", no_args_is_help=True)


@app.command()
def seed(
    layers: Annotated[
        list[str] | None, typer.Argument(help="Layer ids, see: plans list; all of them.")
    ] = None,
    zooms: Annotated[str, typer.Option(help="First and last zoom, from 5 to 14.")] = "5-14",
    json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """Write the tiles of what is in force now; a stopped run is gone on with. The service's worker
    does the same in the background within a minute after a publish.

    Example: gis-service tiles seed planned_landuse --zooms 5-12
    """
    from gis_service import start, tile_archives
    from gis_service.library import today
    from layers.catalog import load_catalog
    from layers.database import connect

    settings = Settings()
    catalog = load_catalog(settings.config_dir)
    wanted = _zooms(zooms)
    with start.database(settings, say) as dsn, connect(dsn) as connection:
        contents = tile_archives.contents_of(connection, catalog, layers or (), today())
        with progress_bar() as report:
            paths = tile_archives.write(
                connection, settings.tiles_dir, contents, zooms=wanted, told=report
            )
    files = [{"file": str(path), "bytes": path.stat().st_size} for path in paths]
    if json:
        show_json({"files": files})
        return
    for file in files:
        show(f"{file['bytes']:>12,}  {file['file']}")


@app.command()
def export(
    layer: Annotated[str, typer.Argument(help="Layer id, see: plans list")],
    out: Annotated[Path, typer.Option("-o", "--out", help="The file to write, X.pmtiles.")],
    json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """Write the tiles of a layer, zoom 5 to 14, as one PMTiles file for maps without this service.

    Example: gis-service tiles export planned_landuse -o landuse.pmtiles
    """
    from gis_service import start, tile_archives
    from gis_service.library import today
    from layers.catalog import load_catalog
    from layers.database import connect

    settings = Settings()
    config = load_service_config(settings.config_dir)
    catalog = load_catalog(settings.config_dir)
    wanted = catalog.layer(layer)
    if not out.resolve().parent.is_dir():
        raise BadParameter(f"There is no folder {out.parent}.", f"没有文件夹 {out.parent}。")
    with start.database(settings, say) as dsn, connect(dsn) as connection:
        contents = tile_archives.contents_of(connection, catalog, [layer], today())
        with progress_bar() as report:
            tile_archives.write(connection, settings.tiles_dir, contents, told=report)
        content_id, archive = tile_archives.export(
            connection, settings.tiles_dir, wanted, out, today=today(),
            attribution=config.notice.in_language(language()), language=language(),
        )  # fmt: skip
    if json:
        show_json(
            {"layer": layer, "content": content_id, "tiles": archive.tile_count, "out": str(out)}
        )
        return
    show(f"{out}: {archive.tile_count:,} tiles, {out.stat().st_size:,} bytes")


def _zooms(text: str) -> tuple[int, int]:
    from tiles.tile_archive import FIRST_ZOOM, LAST_ZOOM

    found = re.fullmatch(r"(\d{1,2})-(\d{1,2})", text)
    first, last = (int(found[1]), int(found[2])) if found else (0, 0)
    if not FIRST_ZOOM <= first <= last <= LAST_ZOOM:
        raise BadParameter(
            f"--zooms wants two numbers from {FIRST_ZOOM} to {LAST_ZOOM}, like 5-12.",
            f"--zooms 应为 {FIRST_ZOOM} 至 {LAST_ZOOM} 的两个数，如 5-12。",
        )
    return first, last
