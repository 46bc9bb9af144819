"""The low zooms of the demo as another library decodes them: light, and neighbours meet.

A tile has 4096 units a side. What is compared is cut to the places in question and then worn off by
half a unit on each side: what is left is wider than one unit.
"""

import datetime
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import mapbox_vector_tile
import numpy as np
import pytest
import shapely
from shapely.geometry import shape

from layers.catalog import Catalog
from layers.database import Connection, connect
from tiles.matrix_set import Tile, load_matrix_sets, tile_of
from tiles.pmtiles import Archive, tile_of_id
from tiles.tile_archive import Sweep, wanted_contents, write_archive, zooms_of
from tiles.vector_tile import layer_tile

QUAD = load_matrix_sets(Path(__file__).resolve().parents[2] / "config")["WebMercatorQuad"]
TODAY = datetime.date(2026, 6, 1)
EXTENT, BUFFER, WORLD_M = 4096, 64, 2 * 20037508.342789244
MOST_BYTES = 250_000
COVERAGES = ("planned_landuse", "current_landuse")
POLYGONS = (*COVERAGES, "forest_land", "ecological_redline", "sea_use_zone", "county")
PLACE = (109.75, 19.1)
"""Inland: counties meet here."""


@pytest.fixture(scope="module")
def demo(demo_dsn: str) -> Iterator[Connection]:
    with connect(demo_dsn) as connection:
        yield connection


def content_of(demo: Connection, layer_id: str) -> int:
    found = [one for one in wanted_contents(demo, TODAY) if one.layer_id == layer_id]
    return found[-1].content_id


def decoded(demo: Connection, layer_id: str, tile: Tile) -> dict[str, list[shapely.Geometry]]:
    """Polygons in tile units, y down from the north, by their attributes."""
    raw = layer_tile(demo, layer_id, content_of(demo, layer_id), QUAD, tile)
    layers = mapbox_vector_tile.decode(raw, default_options={"y_coord_down": True}) if raw else {}
    found = defaultdict(list)
    for feature in layers.get(layer_id, {"features": []})["features"]:
        found[str(sorted(feature["properties"].items()))].append(
            shapely.make_valid(shape(feature["geometry"]))
        )
    return found


def worn(geometry: shapely.Geometry, units: int = 1) -> shapely.Geometry:
    """What is wider than so many units."""
    return shapely.buffer(geometry, -0.501 * units, join_style="mitre")


def seam_units(zoom: int) -> int:
    """How wide a seam may be: at the low zooms large polygons, drawn one by one, meet a mosaic.

    Its cells are a pixel of zoom 9 or 6 (8 units there); where features are drawn as they are, one.
    """
    return 1 if zoom >= 10 else 8 >> ((9 if zoom >= 7 else 6) - zoom)


def test_every_tile_of_the_demo_is_light(
    demo: Connection, catalog: Catalog, tmp_path: Path
) -> None:
    heaviest: dict[str, tuple[int, Tile]] = {}
    for content in wanted_contents(demo, TODAY):
        layer = catalog.layer(content.layer_id)
        zooms = zooms_of(layer, 5, 11)
        if zooms:
            archive = Archive(write_archive(demo, tmp_path, Sweep(content, layer, zooms)))
            heaviest[layer.id] = max((len(body), tile_of_id(n)) for n, body in archive.tiles())
    assert len(heaviest) > 10
    assert {name: found for name, found in heaviest.items() if found[0] > MOST_BYTES} == {}


@pytest.mark.parametrize("zoom", range(5, 12))
@pytest.mark.parametrize("layer_id", POLYGONS)
def test_neighbours_show_the_same_along_their_edge(
    demo: Connection, layer_id: str, zoom: int
) -> None:
    tile = tile_of(QUAD, *PLACE, zoom)
    here = decoded(demo, layer_id, tile)
    for east, south in ((1, 0), (0, 1)):
        beside = Tile(zoom, tile.x + east, tile.y + south)
        there = decoded(demo, layer_id, beside)
        # Both tiles draw this strip: 64 units on each side of the edge.
        strip = shapely.box(
            (EXTENT - BUFFER) * east, (EXTENT - BUFFER) * south,
            EXTENT + BUFFER * east, EXTENT + BUFFER * south,
        )  # fmt: skip
        for look in here.keys() | there.keys():
            one = in_strip(here.get(look, []), strip, (0, 0))
            other = in_strip(there.get(look, []), strip, (EXTENT * east, EXTENT * south))
            different = worn(shapely.symmetric_difference(one, other))
            assert different.is_empty, (look, beside, different.wkt[:200])


def in_strip(
    drawn: list[shapely.Geometry], strip: shapely.Geometry, moved_by: tuple[int, int]
) -> shapely.Geometry:
    moved = shapely.transform(np.array(drawn, dtype=object), lambda points: points + moved_by)
    return shapely.union_all(shapely.intersection(moved, strip))


@pytest.mark.parametrize("zoom", range(5, 12))
@pytest.mark.parametrize("layer_id", COVERAGES)
def test_polygons_meet_without_a_wider_seam(demo: Connection, layer_id: str, zoom: int) -> None:
    tile = tile_of(QUAD, *PLACE, zoom)
    found = decoded(demo, layer_id, tile)
    drawn = np.array([shape for shapes in found.values() for shape in shapes])
    first, second = shapely.STRtree(drawn).query(drawn, predicate="intersects")
    pairs = first < second
    seam = seam_units(zoom)
    shared = worn(shapely.intersection(drawn[first[pairs]], drawn[second[pairs]]), seam)
    assert shapely.is_empty(shared).all()
    inner = shapely.box(0, 0, EXTENT, EXTENT)
    missing = shapely.difference(truth(demo, layer_id, tile), shapely.union_all(drawn))
    assert worn(shapely.intersection(missing, inner), seam).is_empty


def truth(demo: Connection, layer_id: str, tile: Tile) -> shapely.Geometry:
    """What the features cover, in tile units, without 16 units along its own outline.

    There the mosaic has cells of 8 units that are in or out.
    """
    side = WORLD_M / 2**tile.z
    west, north = tile.x * side - WORLD_M / 2, WORLD_M / 2 - tile.y * side
    found = demo.execute(
        "SELECT ST_AsBinary(ST_Union(ST_Transform(f.geom, 3857))) FROM feature AS f"
        " WHERE f.content_id = %s"
        " AND f.geom && ST_Transform(ST_TileEnvelope(%s, %s, %s, margin => 0.02), 4490)",
        (content_of(demo, layer_id), *tile),
    ).fetchone()
    assert found is not None
    covered = shapely.transform(
        shapely.from_wkb(found[0]),
        lambda p: (p - [west, north]) * [EXTENT / side, -EXTENT / side],
    )
    return shapely.buffer(covered, -16)
