"""The boundary TXT writer: against numbers written by hand, and back through the reader."""

import datetime
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyproj
import pytest
import shapely

from layers.area import areas_m2
from layers.catalog import Catalog
from layers.crs import parse_crs, snap, to_storage
from layers.errors import BadParameter, CrsRefused, InvalidGeometry
from layers.readers import open_source, stream
from layers.writers.boundary_txt import write_boundary_txt, zone_of
from layers.writers.table import FeatureBatch, FeatureTable, TableHead, Written

ZONE_37 = parse_crs("EPSG:4525")

# The parcels of the format reference in zone 37: x = easting, y = northing.
SQUARE = shapely.box(37432000, 2214000, 37432020, 2214010)
HOLED = shapely.Polygon(
    shapely.box(37432100, 2214000, 37432130, 2214040).exterior,
    [shapely.box(37432110, 2214010, 37432115, 2214014).exterior],
)
ISLAND = shapely.MultiPolygon(
    [
        shapely.Polygon(
            shapely.box(37432400, 2214000, 37432430, 2214030).exterior,
            [shapely.box(37432405, 2214005, 37432425, 2214025).exterior],
        ),
        shapely.box(37432410, 2214010, 37432420, 2214020),
    ]
)
PARCELS = np.array([SQUARE, HOLED, ISLAND], dtype=object)


def stored(plane: Sequence[Any], code: str = "EPSG:4525") -> Any:
    return to_storage(np.array(plane, dtype=object), parse_crs(code))


@pytest.fixture
def head(catalog: Catalog) -> TableHead:
    return TableHead.of_layer(catalog.layer("detailed_plan_parcel"))


def write(
    head: TableHead, geometries: Any, path: Path, crs: Any = ZONE_37,
    attributes: list[dict[str, Any]] | None = None, **options: Any,
) -> Written:  # fmt: skip
    rows = attributes or [
        {"parcel_id": f"DK{n}", "name": f"地块{n}", "landuse_code": "070102", "far_max": 2.5}
        for n in range(1, len(geometries) + 1)
    ]
    batch = FeatureBatch([f"F{n}" for n in range(1, len(rows) + 1)], rows, geometries)
    return write_boundary_txt(FeatureTable(head, [batch]), path, crs, **options)


def test_a_parcel_with_a_hole_as_it_is_written_by_hand(head: TableHead, tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    geometries = stored([HOLED])

    written = write(
        head, geometries, path, authority="某市自然资源和规划局", produced=datetime.date(2026, 1, 5)
    )

    text = path.read_bytes().decode("gb18030")
    assert text.endswith("\r\n")
    lines = text.split("\r\n")
    assert lines[:13] == [
        "[属性描述]", "格式版本号=1.0", "数据产生单位=某市自然资源和规划局",
        "数据产生日期=2026-01-05", "坐标系=2000国家大地坐标系", "几度分带=3", "投影类型=高斯克吕格",
        "计量单位=米", "带号=37", "精度=0.001", "转换参数=0,0,0,0,0,0,0", "[地块坐标]",
        # 1180 m2 in the plane; on the ellipsoid 0.1 per mille less, 0.1180 ha all the same.
        "10,0.1180,DK1,地块1,面,,,070102,@",
    ]  # fmt: skip
    ring, hole = lines[13:18], lines[18:23]
    corners = {"2214000.000,37432100.000", "2214000.000,37432130.000", "2214040.000,37432130.000",
               "2214040.000,37432100.000"}  # fmt: skip
    assert {line.split(",", 2)[2] for line in ring} == corners
    assert [line.split(",")[:2] for line in ring] == [
        ["J1", "1"], ["J2", "1"], ["J3", "1"], ["J4", "1"], ["J1", "1"],
    ]  # fmt: skip
    assert [line.split(",")[:2] for line in hole] == [
        ["J5", "2"], ["J6", "2"], ["J7", "2"], ["J8", "2"], ["J5", "2"],
    ]  # fmt: skip
    assert ring[0].split(",", 2)[2] == ring[-1].split(",", 2)[2]
    assert signed_area(ring) == -1200.0  # clockwise on the map: east is x, north is y
    assert signed_area(hole) == 20.0
    assert written.features == 1
    assert "far_max" in written.notes[0].zh


def signed_area(lines: list[str]) -> float:
    points = [(float(e), float(n)) for _, _, n, e in (line.split(",") for line in lines)]
    return sum(x1 * y2 - x2 * y1 for (x1, y1), (x2, y2) in pairwise(points)) / 2


@pytest.mark.parametrize("encoding", ["gb18030", "utf-8"])
@pytest.mark.parametrize("code", ["EPSG:4525", "EPSG:4546", "EPSG:4497", "EPSG:4508"])
def test_what_the_reader_reads_back_is_the_same(
    head: TableHead, tmp_path: Path, encoding: Any, code: str
) -> None:
    path = tmp_path / "a.txt"
    before = snap(stored(PARCELS))

    write(head, before, path, parse_crs(code), encoding=encoding)
    source = open_source(path, tmp_path)
    (batch,) = stream(source)

    assert source.crs_text == code
    assert source.notes == ()
    assert batch.columns["DKBH"].to_pylist() == ["DK1", "DK2", "DK3"]
    assert batch.columns["DKMC"].to_pylist() == ["地块1", "地块2", "地块3"]
    after = to_storage(batch.geometries, parse_crs(code))
    assert (shapely.get_num_geometries(after) == shapely.get_num_geometries(before)).all()
    geod = pyproj.Geod(a=6378137.0, rf=298.257222101)
    for old, new in zip(before, after, strict=True):
        there = shapely.get_coordinates(new)
        for lon, lat in shapely.get_coordinates(old):
            assert min(geod.inv(lon, lat, x, y)[2] for x, y in there) < 0.001
    assert areas_m2(after) == pytest.approx(areas_m2(before), abs=0.1)
    declared = [area.in_m2("ha") for area in batch.declared_areas.values()]
    assert declared == pytest.approx(areas_m2(before), abs=0.5)


def test_lines_and_points_come_back(head: TableHead, tmp_path: Path) -> None:
    line = shapely.MultiLineString(
        [[(37432000, 2214000), (37432010, 2214000)], [(37432000, 2214100), (37432007, 2214100)]]
    )
    shapes = [line, shapely.Point(37432000, 2214000),
              shapely.MultiPoint([(37432000, 2214000), (37432009, 2214000)])]  # fmt: skip

    write(head, stored(shapes), tmp_path / "a.txt")
    (batch,) = stream(open_source(tmp_path / "a.txt", tmp_path))

    assert [g.geom_type for g in batch.geometries] == ["MultiLineString", "Point", "MultiPoint"]
    assert batch.geometries[0].length == pytest.approx(17.0, abs=0.002)
    assert batch.columns["DKMJ"].to_pylist() == [None] * 3


def test_values_cannot_break_the_format(head: TableHead, tmp_path: Path) -> None:
    evil = {"parcel_id": "A,B", "name": "一\r\nJ9,1,0,0\n@", "landuse_code": "07\x0001"}

    write(head, stored([SQUARE]), tmp_path / "a.txt", attributes=[evil])
    (batch,) = stream(open_source(tmp_path / "a.txt", tmp_path))

    assert len(batch) == 1
    assert batch.columns["DKBH"].to_pylist() == ["A，B"]
    assert batch.columns["DKMC"].to_pylist() == ["一 J9，1，0，0 ＠"]
    assert batch.columns["DLBM"].to_pylist() == ["0701"]


def test_without_a_number_the_feature_id_is_it(head: TableHead, tmp_path: Path) -> None:
    write(head, stored([SQUARE]), tmp_path / "a.txt", attributes=[{}])
    (batch,) = stream(open_source(tmp_path / "a.txt", tmp_path))
    assert batch.columns["DKBH"].to_pylist() == ["F1"]


@pytest.mark.parametrize("code", ["EPSG:4490", "EPSG:3857", "EPSG:4326"])
def test_another_crs_than_a_zone_is_refused(head: TableHead, tmp_path: Path, code: str) -> None:
    with pytest.raises(CrsRefused) as caught:
        write(head, stored([SQUARE]), tmp_path / "a.txt", parse_crs(code))
    assert "EPSG:4525" in caught.value.text.zh


def test_every_zone_is_the_one_that_pyproj_knows() -> None:
    for code in [*range(4491, 4555)]:
        crs = pyproj.CRS.from_epsg(code)
        values = {p.name: p.value for p in crs.coordinate_operation.params}  # type: ignore[union-attr]
        zone = zone_of(parse_crs(f"EPSG:{code}"))
        assert zone.meridian_deg == values["Longitude of natural origin"]
        assert zone.prefixed == (values["False easting"] > 1_000_000)


def test_a_zone_far_away_is_refused(head: TableHead, tmp_path: Path) -> None:
    with pytest.raises(BadParameter) as caught:
        write(head, stored([SQUARE]), tmp_path / "a.txt", parse_crs("EPSG:4528"))
    assert "F1" in caught.value.text.zh
    write(head, stored([SQUARE]), tmp_path / "b.txt", parse_crs("EPSG:4524"))


def test_what_millimetres_spoil_is_refused(head: TableHead, tmp_path: Path) -> None:
    needle = shapely.Polygon(
        [(37432000, 2214000), (37432010, 2214000.0002), (37432020, 2214000),
         (37432010, 2214010), (37432010, 2214000.0004)]
    )  # fmt: skip
    with pytest.raises(InvalidGeometry) as caught:
        write(head, stored([needle]), tmp_path / "a.txt")
    assert "F1" in caught.value.text.zh
