"""The archives that the library should have, for the job that writes them and for the operator."""

import datetime
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

from layers.catalog import Catalog, Layer
from layers.database import Connection
from layers.errors import Conflict, NotFound, UnreadableFile
from tiles.archive_file import copy_tiles, held_tiles
from tiles.pmtiles import About, Archive
from tiles.tile_archive import (
    EMPTY_TILE,
    FIRST_ZOOM,
    LAST_ZOOM,
    ArchivedContent,
    Sweep,
    is_written,
    wanted_contents,
    write_archive,
    zooms_of,
)

Told = Callable[[str, float], None]
"""Gets the layer and the share (0..1) of its archive that is written."""


def contents_of(
    connection: Connection, catalog: Catalog, layer_ids: Iterable[str], today: datetime.date
) -> list[tuple[ArchivedContent, Layer]]:
    """What should have an archive, bases first; of some layers only, or of all without any."""
    chosen = {catalog.layer(layer_id).id for layer_id in layer_ids}
    known = {layer.id: layer for _, layer in catalog.layers()}
    return [
        (content, known[content.layer_id])
        for content in wanted_contents(connection, today)
        if content.layer_id in known and (not chosen or content.layer_id in chosen)
    ]


def missing(
    folder: Path, contents: Iterable[tuple[ArchivedContent, Layer]]
) -> Iterator[tuple[ArchivedContent, Layer]]:
    """Those of which tiles of zoom 5 to 14 are not written."""
    for content, layer in contents:
        zooms = zooms_of(layer)
        if zooms and not _there(folder, content, zooms):
            yield content, layer


def _there(folder: Path, content: ArchivedContent, zooms: range) -> bool:
    try:
        return is_written(folder, content, zooms)
    except UnreadableFile:
        (folder / content.file_name).unlink(missing_ok=True)
        return False


def write(
    connection: Connection,
    folder: Path,
    contents: Iterable[tuple[ArchivedContent, Layer]],
    *,
    zooms: tuple[int, int] = (FIRST_ZOOM, LAST_ZOOM),
    told: Told = lambda _layer, _share: None,
) -> list[Path]:
    """Write those that are missing, one after the other; give the files of all.

    One that another process is writing is left to it.
    """
    paths = []
    for content, layer in contents:
        wanted = zooms_of(layer, *zooms)
        base = content.base_name
        if not wanted or (base is not None and not (folder / base).is_file()):
            continue
        if not _there(folder, content, wanted):
            sweep = Sweep(content, layer, wanted, partial(told, layer.id))
            try:
                write_archive(connection, folder, sweep)
            except Conflict as error:
                if error.code != "archive-busy":
                    raise
                continue
        paths.append(folder / content.file_name)
    return paths


def export(
    connection: Connection, folder: Path, layer: Layer, out: Path, *, today: datetime.date,
    attribution: str, language: str = "zh",
) -> tuple[int, Archive]:  # fmt: skip
    """Write the archive of a layer's content in force as one PMTiles file that says what it is.

    Its archive must be there (``write``). A delta's comes whole. Gives the content's number and the
    file.
    """
    held = [
        content for content in wanted_contents(connection, today) if content.layer_id == layer.id
    ]
    content = next((one for one in reversed(held) if _holds(connection, one, today)), None)
    if content is None:
        raise NotFound(
            f"Layer {layer.id} has no edition in force that can be drawn.",
            f"图层 {layer.id} 没有可绘制的生效版本。",
            code="no-edition",
        )
    own = Archive(folder / content.file_name)
    archives = (own,) if content.base_name is None else (Archive(folder / content.base_name), own)
    tiles = {n: body for n, body in held_tiles(archives).items() if body != EMPTY_TILE}
    about = own.about
    zooms = {"minzoom": about.min_zoom, "maxzoom": about.max_zoom}
    metadata = {
        "name": layer.title.in_language(language),
        "description": f"{layer.id}, content {content.content_id}",
        "attribution": attribution,
        "type": "overlay",
        "version": str(content.content_id),
        "style": f"{layer.id}",
        "vector_layers": [
            {
                "id": layer.id,
                "description": layer.title.in_language(language),
                **zooms,
                "fields": {
                    attribute.name: attribute.title.in_language(language)
                    for attribute in layer.kept_attributes
                    if attribute.in_tiles
                },
            }
        ],
    }
    copy_tiles(out, tiles, About(about.min_zoom, about.max_zoom, about.bounds, metadata))
    return content.content_id, Archive(out)


def _holds(connection: Connection, content: ArchivedContent, today: datetime.date) -> bool:
    from layers.editions import contents_in_force

    held = contents_in_force(connection, [content.layer_id], today).get(content.layer_id)
    return held is not None and held.content_id == content.content_id
