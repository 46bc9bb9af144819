"""What a reader sees of a delta is what he sees of the full import of the same file."""

import datetime
import json
from pathlib import Path
from typing import Any

import mapbox_vector_tile
import numpy as np
import pyogrio.raw
import pytest
import shapely

from layers.catalog import Catalog
from layers.contents import build_pieces
from layers.crs import parse_crs
from layers.database import Connection, connect
from layers.edition_diff import comparables, compare, edition_version
from layers.editions import publish
from layers.feature_pages import PageQuery, page
from layers.features import at_place, candidates, coverage_near, covered_at
from layers.plan_import import import_file
from layers.quality.levels import load_levels
from layers.quality.record import findings_of
from layers.quality.run import run_quality
from layers.sandbox import Sandbox
from tiles.matrix_set import load_matrix_sets, tile_of
from tiles.vector_tile import layer_tile

CONFIG = Path(__file__).resolve().parents[2] / "config"
QUAD = load_matrix_sets(CONFIG)["WebMercatorQuad"]
PLAN, LAYER = "overall-plan", "planned_landuse"
REGION = (107.9, 17.6, 111.9, 20.7)
COUNT = 36
BOXES = [(110.0, 19.0, 110.05, 19.05), (110.01, 19.01, 110.011, 19.011), (109.0, 18.0, 109.1, 18.1)]
HISTORIES = [
    [("shrink", 3)],
    [("code", 4), ("delete", 8)],
    [("add", 2), ("shrink", 14), ("code", 14), ("delete", 35), ("add", 3)],
]


def place(number: int, share: float = 1.0) -> shapely.Polygon:
    west, south = 110 + number % 6 * 0.004, 19 + number // 6 * 0.004
    return shapely.box(west, south, west + 0.004 * share, south + 0.004)


def after(edits: list[tuple[str, int]]) -> dict[str, tuple[str, shapely.Polygon]]:
    rows = {f"P{n}": ("0101", place(n)) for n in range(COUNT)}
    for kind, n in edits:
        name = f"P{n}"
        if kind == "delete":
            rows.pop(name, None)
        elif kind == "add":
            rows[f"N{n}"] = ("0201", place(COUNT + n % 6, 0.7))
        elif name in rows:
            code, shape = rows[name]
            rows[name] = ("0301", shape) if kind == "code" else (code, place(n, 0.6))
    return rows


def write(path: Path, rows: dict[str, tuple[str, shapely.Polygon]]) -> Path:
    path.unlink(missing_ok=True)
    columns = [list(rows), [code for code, _ in rows.values()]]
    pyogrio.raw.write(
        path, shapely.to_wkb(np.array([shape for _, shape in rows.values()])),
        [np.array(one, dtype=object) for one in columns], ["parcel_id", "landuse_code"],
        geometry_type="Polygon", crs="EPSG:4490", driver="GPKG",
    )  # fmt: skip
    return path


def normal(wkb: bytes) -> str:
    return str(shapely.to_wkt(shapely.normalize(shapely.from_wkb(wkb)), rounding_precision=9))


def reading(
    connection: Connection,
    sandbox: Sandbox,
    catalog: Catalog,
    base: int,
    edition: int,
    content: int,
) -> dict[str, Any]:
    """All that readers get of a content; by ids, since row numbers are each content's own."""
    build_pieces(connection, content)
    names = dict(
        connection.execute(
            "SELECT fid, feature_id FROM reading.feature WHERE content_id = %s", (content,)
        ).fetchall()
    )
    query = PageQuery(limit=1000, crs=parse_crs("CRS84"))
    items = page(connection, catalog.layer(LAYER), content, len(names), query)
    tiles = {}
    for zoom in (10, 12, 13, 15):
        tile = tile_of(QUAD, 110.006, 19.006, zoom)
        drawn = mapbox_vector_tile.decode(layer_tile(connection, LAYER, content, QUAD, tile))
        tiles[zoom] = sorted(
            (names[one["id"]], json.dumps(one["properties"], sort_keys=True),
             shapely.normalize(shapely.geometry.shape(one["geometry"])).wkt)
            for one in drawn[LAYER]["features"]
        )  # fmt: skip
    places = [(110.002, 19.002), (110.013, 19.013), (110.002, 19.026), (109.0, 18.0)]
    found = candidates(connection, {content: BOXES})[content]
    levels = load_levels(CONFIG, catalog)
    quality = run_quality(connection, sandbox, catalog, levels, edition, region=REGION)
    sides = edition_version(connection, base), edition_version(connection, edition)
    (pair,) = comparables(connection, catalog, *sides, [catalog.layer(LAYER)])
    changes = compare(connection, pair)
    return {
        "items": sorted(
            json.dumps(one, sort_keys=True) for one in json.loads(b"[" + items.features_json + b"]")
        ),
        "matched": items.matched,
        "tiles": tiles,
        "identify": [
            sorted(one["feature_id"] for one in at_place(connection, [content], *at, 0.0001))
            for at in places
        ],
        "covered": [bool(covered_at(connection, [content], *at)) for at in places],
        "candidates": sorted(
            (one.feature_id, json.dumps(one.attributes), sorted(map(normal, one.pieces)))
            for one in found
        ),
        "coverage": shapely.from_wkb(coverage_near(connection, {content: BOXES})[content]),
        "quality": (
            quality.outcome,
            sorted(
                (one["code"], one["severity"], sorted(one["feature_ids"]), str(one["measured"]))
                for one in findings_of(connection, quality.run)
            ),
        ),
        "diff": sorted((one.name, one.kind, str(one.what)) for one in changes.listed),
    }  # fmt: skip


@pytest.fixture
def opened(database: str) -> Any:
    with connect(database) as connection:
        yield connection


@pytest.mark.parametrize("edits", HISTORIES)
def test_a_delta_reads_like_the_full_import(
    opened: Connection, sandbox: Sandbox, catalog: Catalog, tmp_path: Path,
    edits: list[tuple[str, int]],
) -> None:  # fmt: skip
    def load(name: str, edited: list[tuple[str, int]], *, full: bool) -> Any:
        return import_file(
            opened, sandbox, catalog, write(tmp_path / name, after(edited)), plan_id=PLAN,
            layer_id=LAYER, valid_from=datetime.date(2026, 1, 1), region_bbox=REGION, full=full,
        )  # fmt: skip

    load("a.gpkg", [], full=True)
    base = publish(opened, PLAN, accept_blocking="a test", accept_basis="a test")
    quick = load("b.gpkg", edits, full=False)
    assert quick.changes is not None
    delta = reading(opened, sandbox, catalog, base, quick.edition, quick.content)
    whole = load("b.gpkg", edits, full=True)
    assert whole.changes is None
    expected = reading(opened, sandbox, catalog, base, whole.edition, whole.content)
    assert delta.pop("coverage").symmetric_difference(expected.pop("coverage")).area < 1e-12
    assert delta == expected
