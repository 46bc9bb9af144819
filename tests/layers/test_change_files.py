"""Files of differences, read back by other programs (GDAL) and by the json module."""

import datetime
import itertools
import json
from collections.abc import Callable
from pathlib import Path

import pyogrio
import pytest
import shapely

from layers.catalog import Catalog
from layers.change_files import geojson, write_geopackage
from layers.contents import create_content, finish_content, load_arrays
from layers.database import Connection
from layers.edition_diff import comparables, edition_version
from layers.editions import open_draft, publish, put_layer
from layers.errors import GaveUp
from layers.sandbox import Sandbox

LAYER = "planned_landuse"


def box(column: int, side: float = 0.01) -> shapely.Geometry:
    return shapely.box(110 + column / 50, 19, 110 + column / 50 + side, 19.01)


@pytest.fixture
def publish_named(connection: Connection) -> Callable[[str, list], int]:
    """Publishes rows (feature id, geometry, attributes) as an edition, a day after the last."""
    days = itertools.count(1)

    def make(layer: str, features: list) -> int:
        content = create_content(connection, layer)
        names = sorted({name for _, _, attributes in features for name in attributes})
        load_arrays(
            connection,
            content,
            [geometry for _, geometry, _ in features],
            {name: [f[2].get(name) for f in features] for name in names},
            1,
            feature_ids=[name for name, _, _ in features],
        )
        finish_content(connection, content, coverage=shapely.box(109, 18, 111, 20))
        day = datetime.date(2025, 1, next(days))
        edition = open_draft(connection, "overall-plan", valid_from=day)
        put_layer(connection, edition, layer, content)
        return publish(connection, "overall-plan", edition)

    return make


@pytest.fixture
def pairs(connection: Connection, catalog: Catalog, publish_named) -> list:
    before = publish_named(
        LAYER,
        [("b", box(1), {"landuse_code": "01", "name": "旧"}), ("c", box(2), {}), ("e", box(4), {})],
    )
    after = publish_named(
        LAYER,
        [("b", box(1), {"landuse_code": "07", "name": "旧"}), ("c", box(2, 0.02), {}),
         ("f", box(5), {"name": 'quote " and \\'})],
    )  # fmt: skip
    layers = [catalog.layer(LAYER)]
    sides = edition_version(connection, before), edition_version(connection, after)
    return [(p, layers[0]) for p in comparables(connection, catalog, *sides, layers)]


def test_geojson_has_one_row_a_version(
    connection: Connection, sandbox: Sandbox, pairs: list
) -> None:
    document = json.loads(b"".join(geojson(connection, sandbox, pairs)))
    rows = [
        (p["feature_id"], p["change"], p["version"], p["what"])
        for p in (feature["properties"] for feature in document["features"])
    ]
    assert rows == [
        ("b", "changed", "before", "attributes"),
        ("b", "changed", "after", "attributes"),
        ("c", "changed", "before", "geometry"),
        ("c", "changed", "after", "geometry"),
        ("e", "removed", "before", None),
        ("f", "added", "after", None),
    ]
    codes = [f["properties"]["landuse_code"] for f in document["features"][:2]]
    assert codes == ["01", "07"]
    assert document["features"][0]["properties"]["changed_attributes"] == "landuse_code"
    grown = document["features"][3]
    assert shapely.geometry.shape(grown["geometry"]).equals(box(2, 0.02))
    properties = grown["properties"]
    assert properties["symmetric_difference_m2"] == pytest.approx(
        properties["area_m2_after"] - properties["area_m2_before"], abs=0.02
    )
    assert document["features"][5]["properties"]["name"] == 'quote " and \\'


def test_geopackage_is_read_by_gdal(
    connection: Connection, sandbox: Sandbox, pairs: list, tmp_path: Path
) -> None:
    path = tmp_path / "diff.gpkg"
    assert write_geopackage(connection, sandbox, pairs, path) == 6
    info = pyogrio.read_info(path, layer=LAYER)
    assert info["crs"] == "EPSG:4490"
    assert info["features"] == 6
    meta, _, geometries, data = pyogrio.raw.read(path, layer=LAYER)
    columns = dict(zip(meta["fields"], data, strict=True))
    assert list(columns["feature_id"]) == ["b", "b", "c", "c", "e", "f"]
    assert list(columns["version"]) == ["before", "after", "before", "after", "before", "after"]
    assert columns["name"][0] == "旧"
    assert columns["what"][5] is None
    assert shapely.from_wkb(geometries[3]).equals(box(2, 0.02))
    assert [p.name for p in tmp_path.iterdir()] == ["diff.gpkg"]


def test_a_geopackage_of_no_change_is_a_file_without_rows(
    connection: Connection, sandbox: Sandbox, pairs: list, tmp_path: Path
) -> None:
    (pair, layer) = pairs[0]
    same = type(pair)(pair.layer_id, pair.after, pair.after, "feature_id", ())
    path = tmp_path / "diff.gpkg"
    assert write_geopackage(connection, sandbox, [(same, layer)], path) == 0
    assert pyogrio.read_info(path)["features"] == 0


def test_a_killed_child_leaves_no_half_file(
    connection: Connection,
    sandbox: Sandbox,
    pairs: list,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import layers.change_files as files

    calls = []

    def fail(*_: object) -> list:
        calls.append(1)
        raise GaveUp("stopped", "停止")

    monkeypatch.setattr(files, "measure", fail)
    with pytest.raises(GaveUp):
        write_geopackage(connection, sandbox, pairs, tmp_path / "diff.gpkg")
    assert calls
    assert list(tmp_path.iterdir()) == []
