"""Files written for others are read back by GDAL, SQLite and by eye of the standard."""

import datetime
import json
import sqlite3
import struct
import subprocess
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio
import pyproj
import pytest
import shapely

from layers.catalog import Attribute, Catalog
from layers.crs import parse_crs
from layers.errors import BadParameter, CrsRefused, LimitExceeded
from layers.readers import open_source, stream
from layers.text import Text
from layers.writers import (
    FeatureBatch,
    FeatureTable,
    FileFormat,
    TableHead,
    format_named,
    save_batches,
    write_file,
    write_saved,
)
from layers.writers.gdal_files import short_names

HOLED = shapely.box(110.0, 19.0, 110.01, 19.01) - shapely.box(110.002, 19.002, 110.004, 19.004)
PARTS = shapely.MultiPolygon([shapely.box(110.1, 19.0, 110.11, 19.01),
                              shapely.box(110.2, 19.0, 110.21, 19.01)])  # fmt: skip
TITLE = Text(zh="生态保护红线", en="Ecological redline")
HEAD = TableHead(
    "redline", TITLE, "polygon",
    tuple(
        Attribute(name=name, type=kind, title=TITLE)
        for name, kind in (
            ("name", "string"), ("landuse_code", "string"), ("landuse_code_2020", "string"),
            ("floors", "integer"), ("height_m", "number"), ("rigid", "boolean"),
            ("approved", "date"),
        )
    ),
    label="name",
)  # fmt: skip
FULL: dict[str, Any] = {
    "name": "=cmd()|农田䶮", "landuse_code": "0101", "landuse_code_2020": "01", "floors": 2**40,
    "height_m": 12.5, "rigid": True, "approved": "2021-07-02",
}  # fmt: skip


def table(
    shapes: Sequence[Any] = (HOLED, PARTS), rows: Sequence[Mapping[str, Any]] = (FULL, {})
) -> FeatureTable:
    def batches() -> Iterator[FeatureBatch]:
        for number, (shape, row) in enumerate(zip(shapes, rows, strict=True)):
            yield FeatureBatch([f"F{number}"], [row], np.array([shape], dtype=object))

    return FeatureTable(HEAD, batches())


def write(tmp_path: Path, kind: FileFormat, crs: str, name: str, **given: Any) -> Path:
    return write_file(table(**given), kind, tmp_path / name, parse_crs(crs)).path


def in_zone(shape: Any, code: str) -> Any:
    """The oracle: pyproj on its own."""
    move = pyproj.Transformer.from_crs("EPSG:4490", code, always_xy=True)
    return shapely.transform(shape, lambda p: np.column_stack(move.transform(p[:, 0], p[:, 1])))


def rings(shape: Any) -> int:
    return len(shapely.get_rings(shapely.get_parts(shape)))


@pytest.mark.parametrize(("kind", "name"), [("geopackage", "a.gpkg"), ("shapefile", "a.zip")])
@pytest.mark.parametrize("crs", ["EPSG:4490", "EPSG:4525", "EPSG:4547"])
def test_places_and_systems_come_back_from_gdal(
    tmp_path: Path, kind: FileFormat, name: str, crs: str
) -> None:
    path = write(tmp_path, kind, crs, name)

    source = f"/vsizip/{path}" if kind == "shapefile" else path
    meta, _, encoded, _ = pyogrio.raw.read(source, columns=[])

    assert parse_crs(meta["crs"]).code == crs
    expected = (HOLED, PARTS) if crs == "EPSG:4490" else [in_zone(s, crs) for s in (HOLED, PARTS)]
    for found, shape in zip(shapely.from_wkb(encoded), expected, strict=True):
        tolerance = 1e-9 if crs == "EPSG:4490" else 1e-4
        assert shapely.hausdorff_distance(found, shape) < tolerance
        assert rings(found) == rings(shape)
    assert pyogrio.read_info(source)["features"] == 2


def test_a_geopackage_holds_what_the_standard_demands(tmp_path: Path) -> None:
    path = write(tmp_path, "geopackage", "EPSG:4490", "a.gpkg")

    with sqlite3.connect(path) as database:
        ((srs, organization, code, definition),) = database.execute(
            "SELECT srs_id, organization, organization_coordsys_id, definition "
            "FROM gpkg_spatial_ref_sys WHERE srs_id = 4490"
        ).fetchall()
        title = database.execute("SELECT table_name, identifier FROM gpkg_contents").fetchall()
        row = database.execute(
            "SELECT feature_id, name, landuse_code, floors, height_m, rigid, approved, geom "
            "FROM redline ORDER BY fid"
        ).fetchall()
        kind = database.execute("SELECT geometry_type_name FROM gpkg_geometry_columns").fetchall()
    database.close()

    assert (srs, organization, code) == (4490, "EPSG", 4490)
    assert 'AXIS["Latitude",NORTH]' in definition  # as the authority has it
    assert title == [("redline", TITLE.zh)]
    assert kind == [("MULTIPOLYGON",)]
    assert row[0][:7] == ("F0", "=cmd()|农田䶮", "0101", 2**40, 12.5, 1, "2021-07-02")
    assert row[1][:7] == ("F1", None, None, None, None, None, None)
    blob = row[0][7]
    assert struct.unpack("<4d", blob[8:40]) == (110.0, 110.01, 19.0, 19.01)  # x = longitude


def test_a_shapefile_is_utf_8_with_names_that_stay_apart(tmp_path: Path) -> None:
    path = write(tmp_path, "shapefile", "EPSG:4525", "a.zip")

    with zipfile.ZipFile(path) as archive:
        assert {name.rsplit(".")[-1] for name in archive.namelist()} == {
            "shp", "shx", "dbf", "prj", "cpg",
        }  # fmt: skip
        assert archive.read("redline.cpg") == b"UTF-8"
        assert b"CGCS2000_3_Degree_GK_Zone_37" in archive.read("redline.prj")
    job = tmp_path / "job"
    job.mkdir()
    source = open_source(path, job)
    (batch,) = stream(source)

    assert source.fields == (
        "feature_id", "name", "landuse_co", "landuse__1", "floors", "height_m", "rigid", "approved",
    )  # fmt: skip
    assert batch.columns["name"].to_pylist() == ["=cmd()|农田䶮", None]
    assert batch.columns["floors"].to_pylist() == [2**40, None]
    assert batch.columns["approved"].to_pylist()[0] == datetime.date(2021, 7, 2)
    written = write_file(table(), "shapefile", tmp_path / "b.zip", parse_crs("EPSG:4490"))
    assert "landuse_code_2020 -> landuse__1" in written.notes[0].en


def test_text_that_a_shapefile_would_cut_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LimitExceeded) as caught:
        write(tmp_path, "shapefile", "EPSG:4490", "a.zip", rows=({"name": "农" * 85}, {}))

    assert caught.value.code == "value-too-long"
    assert list(tmp_path.iterdir()) == []  # nothing half-written is left


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["Area", "area"], ["Area", "area_1"]),
        (["标识码编号", "标识码编码"], ["标识码", "标识码_1"[:0] or "标识_1"]),
        ([f"abcdefghij{n}" for n in range(12)],
         ["abcdefghij", *(f"abcdefgh_{n}" for n in range(1, 10)), "abcdefg_10", "abcdefg_11"]),
    ],
)  # fmt: skip
def test_short_names(names: list[str], expected: list[str]) -> None:
    found = list(short_names(names).values())

    assert found == expected
    assert all(len(name.encode()) <= 10 for name in found)
    assert len({name.lower() for name in found}) == len(found)


def test_geojson_is_as_rfc_7946_has_it(tmp_path: Path) -> None:
    clockwise = shapely.orient_polygons(HOLED, exterior_cw=True)
    path = write(tmp_path, "geojson", "EPSG:4490", "a.geojson", shapes=(clockwise, PARTS))

    body = json.loads(path.read_bytes())

    assert set(body) == {"type", "name", "features"}  # no crs member
    first = body["features"][0]
    outer, inner = first["geometry"]["coordinates"]
    assert shapely.LinearRing(outer).is_ccw
    assert not shapely.LinearRing(inner).is_ccw
    assert min(outer) == [110.0, 19.0]
    assert first["id"] == "F0"
    assert first["properties"] == FULL
    assert body["features"][1]["properties"] == dict.fromkeys(FULL)
    assert shapely.from_geojson(json.dumps(first["geometry"])).equals(HOLED)


def test_geojson_of_a_zone_and_drawings_in_degrees_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CrsRefused) as geojson:
        write(tmp_path, "geojson", "EPSG:4525", "a.geojson")
    with pytest.raises(CrsRefused) as drawing:
        write(tmp_path, "dxf", "EPSG:4490", "a.dxf")

    assert geojson.value.code == "format-without-crs"
    assert drawing.value.code == "projected-crs-needed"
    assert list(tmp_path.iterdir()) == []


def test_a_drawing_has_outlines_holes_and_labels(tmp_path: Path) -> None:
    written = write_file(table(), "dxf", tmp_path / "a.dxf", parse_crs("EPSG:4546"))

    out = subprocess.run(
        ["ogrinfo", "-q", "-al", written.path],
        check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    job = tmp_path / "job"
    job.mkdir()
    (batch,) = stream(open_source(written.path, job))
    layers = batch.columns["Layer"].to_pylist()
    texts = batch.columns["Text"].to_pylist()

    assert layers == ["REDLINE", "REDLINE_HOLE", "REDLINE_LABEL",
                      "REDLINE", "REDLINE", "REDLINE_LABEL"]  # fmt: skip
    assert texts[2] == "=cmd()|农田䶮"  # the last character is not in GBK
    assert texts[5] == "F1"
    assert out.count("LINESTRING Z") == 4
    assert out.count("POINT Z") == 2
    shell, hole = batch.geometries[:2]
    assert shapely.hausdorff_distance(shell - hole, in_zone(HOLED, "EPSG:4546")) < 1e-3
    assert "EPSG:4546" in written.notes[0].en


def test_the_way_through_a_child_loses_nothing(tmp_path: Path) -> None:
    saved = tmp_path / "saved.arrow"

    assert save_batches(table().batches, saved) == 2
    write_saved(saved, HEAD, "geojson", tmp_path / "a.geojson", parse_crs("EPSG:4490"))
    write(tmp_path, "geojson", "EPSG:4490", "b.geojson")

    assert (tmp_path / "a.geojson").read_bytes() == (tmp_path / "b.geojson").read_bytes()


def test_no_features_are_a_file_without_features(tmp_path: Path) -> None:
    for kind, name in (("geopackage", "a.gpkg"), ("shapefile", "a.zip"), ("geojson", "a.geojson")):
        path = write(tmp_path, kind, "EPSG:4490", name, shapes=(), rows=())  # type: ignore[arg-type]
        source = f"/vsizip/{path}" if kind == "shapefile" else path
        assert pyogrio.read_info(source, force_feature_count=True)["features"] == 0


def test_formats_by_name() -> None:
    assert [format_named(n) for n in ("gpkg", ".GPKG", "shp", "zip")] == [
        "geopackage", "geopackage", "shapefile", "shapefile",
    ]  # fmt: skip
    with pytest.raises(BadParameter) as caught:
        format_named("vrt")
    assert caught.value.code == "format-not-offered"


def test_personal_attributes_are_not_in_the_head(catalog: Catalog) -> None:
    for _, layer in catalog.layers():
        assert not any(a.personal for a in TableHead.of_layer(layer).attributes)
