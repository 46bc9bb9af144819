"""Import end to end: a file, a child process, a real database."""

import datetime
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio.raw
import pytest
import shapely
import shapely.affinity

from layers import contents, editions, plan_import
from layers.catalog import Catalog
from layers.crs import from_storage, parse_crs
from layers.database import Connection, connect
from layers.errors import BadInput, Conflict, CrsRefused, GaveUp, UnreadableFile
from layers.plan_import import ImportReport, import_file
from layers.sandbox import Sandbox
from layers.source_rows import source_row

REGION = (107.9, 17.6, 111.9, 20.7)
DAY = datetime.date(2026, 1, 1)
SQUARE = shapely.box(110.0, 19.0, 110.01, 19.01)
BOW_TIE = shapely.Polygon([(110, 19), (110.01, 19.01), (110.01, 19), (110, 19.01), (110, 19)])


def write(
    path: Path,
    geometries: Sequence[shapely.Geometry | None],
    columns: Mapping[str, Sequence[Any]] | None = None,
    *,
    crs: str | None = "EPSG:4490",
    driver: str = "GPKG",
    geometry_type: str = "Unknown",
) -> Path:
    fields = columns if columns is not None else {"HXBM": [f"R{n}" for n in range(len(geometries))]}
    encoded = np.array([None if g is None else g.wkb for g in geometries], dtype=object)
    pyogrio.raw.write(
        path, encoded, [_typed(values) for values in fields.values()], list(fields),
        geometry_type=geometry_type, crs=crs, driver=driver,
    )  # fmt: skip
    return path


def _typed(values: Sequence[Any]) -> np.ndarray[Any, Any]:
    if all(isinstance(value, str) or value is None for value in values):
        return np.array(values, dtype=object)
    return np.array(values)


@pytest.fixture
def own(database: str) -> Iterator[Connection]:
    with connect(database) as opened:
        yield opened


@pytest.fixture
def run(connection: Connection, sandbox: Sandbox, catalog: Catalog):  # type: ignore[no-untyped-def]
    def call(path: Path, **options: Any) -> ImportReport:
        chosen = {
            "plan_id": "overall-plan",
            "layer_id": "ecological_redline",
            "valid_from": DAY,
            "region_bbox": REGION,
            **options,
        }
        return import_file(connection, sandbox, catalog, path, **chosen)

    return call


def stored(connection: Connection, report: ImportReport) -> list[tuple[str, dict[str, Any], Any]]:
    found = connection.execute(
        "SELECT feature_id, attributes, ST_AsBinary(geom) FROM library.feature"
        " WHERE content_id = %s ORDER BY fid",
        (report.content,),
    ).fetchall()
    return [(name, attributes, shapely.from_wkb(wkb)) for name, attributes, wkb in found]


def coverage(connection: Connection, report: ImportReport) -> shapely.Geometry:
    found = connection.execute(
        "SELECT ST_AsBinary(coverage) FROM library.layer_content WHERE id = %s", (report.content,)
    ).fetchone()
    assert found is not None
    return shapely.from_wkb(found[0])


def blocking(report: ImportReport) -> list[tuple[int | None, str]]:
    return [(issue.row, issue.code) for issue in report.issues if issue.severity == "blocking"]


def test_a_good_file_becomes_the_draft(run, connection: Connection, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    path = write(
        tmp_path / "a.gpkg", [SQUARE], {"hxbm": ["R1"], "HXMC": ["五指山"], "HXLX": ["水源涵养"]}
    )

    report = run(path)

    assert (report.read, report.accepted, report.repaired, report.refused) == (1, 1, 0, 0)
    assert stored(connection, report) == [
        ("R1", {"redline_id": "R1", "name": "五指山", "redline_type": "水源涵养"}, SQUARE)
    ]
    draft = editions.list_editions(connection, "overall-plan")[0]
    assert (draft["id"], draft["state"], draft["valid_from"]) == (report.edition, "draft", DAY)
    body = json.loads(json.dumps(report.to_json()))
    assert body["issues"] == []
    assert body["content_sha256"] == report.content_sha256
    assert contents.stored_fingerprint(connection, report.content).hexdigest() == (
        report.content_sha256
    )


@pytest.mark.parametrize("driver", ["GPKG", "GeoJSON", "ESRI Shapefile", "FlatGeobuf"])
def test_every_format_gives_the_same_content(run, tmp_path: Path, driver: str) -> None:  # type: ignore[no-untyped-def]
    suffix = {"GPKG": "gpkg", "GeoJSON": "geojson", "ESRI Shapefile": "shp", "FlatGeobuf": "fgb"}
    shapes = [SQUARE, shapely.box(110.1, 19, 110.2, 19.1)]
    columns = {"HXBM": ["R1", "R2"], "HXMC": ["一", "二"]}
    crs = "EPSG:4326" if driver == "GeoJSON" else "EPSG:4490"
    path = write(
        tmp_path / f"a.{suffix[driver]}", shapely.normalize(shapes), columns, crs=crs,
        driver=driver, geometry_type="Polygon",
    )  # fmt: skip

    report = run(path)

    assert report.accepted == 2
    reference = run(write(tmp_path / "b.gpkg", shapely.normalize(shapes), columns))
    if driver != "FlatGeobuf":  # its index orders rows along a curve
        assert report.content_sha256 == reference.content_sha256


def test_the_same_file_twice_gives_the_same_content(run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    path = write(tmp_path / "a.gpkg", [SQUARE])

    first, second = run(path), run(path)

    assert first.content_sha256 == second.content_sha256
    assert first.edition == second.edition


@pytest.mark.parametrize("code", ["EPSG:4525", "EPSG:4546", "EPSG:4508", "EPSG:3857"])
def test_projected_files_come_out_in_place(  # type: ignore[no-untyped-def]
    run, connection: Connection, tmp_path: Path, code: str
) -> None:
    moved = from_storage(np.array([SQUARE], dtype=object), parse_crs(code))

    report = run(write(tmp_path / "a.gpkg", list(moved), crs=code))

    (_, _, geometry) = stored(connection, report)[0]
    assert shapely.hausdorff_distance(geometry, SQUARE) < 2e-7
    source = source_row(connection, report.content, 1)
    assert source is not None
    assert source.source_crs == code
    assert shapely.from_wkb(source.geom_wkb).equals_exact(moved[0], 0)


def test_a_row_that_is_stored_as_it_came_is_not_kept_twice(  # type: ignore[no-untyped-def]
    run, connection: Connection, tmp_path: Path
) -> None:
    fine = shapely.box(110.000000001, 19, 110.01, 19.01)

    report = run(write(tmp_path / "a.gpkg", [SQUARE, fine]))

    assert source_row(connection, report.content, 1) is None
    kept = source_row(connection, report.content, 2)
    assert kept is not None
    assert shapely.from_wkb(kept.geom_wkb).equals_exact(fine, 0)
    assert source_row(connection, report.content, 3) is None


REFUSED: dict[str, tuple[shapely.Geometry | None, str]] = {
    "bow-tie": (BOW_TIE, "geometry-invalid"),
    "nothing": (None, "geometry-missing"),
    "empty": (shapely.Polygon(), "geometry-empty"),
    "a line": (shapely.LineString([(110, 19), (110.1, 19)]), "geometry-kind"),
    "a collection": (
        shapely.GeometryCollection([SQUARE, shapely.Point(110, 19)]), "geometry-kind"
    ),
    "outside": (shapely.box(112.5, 19, 112.6, 19.1), "outside-region"),
    "half outside": (shapely.box(111.8, 19, 112.0, 19.1), "outside-region"),
    "thinner than the grid": (
        shapely.box(110, 19, 110.000000001, 19.000000001), "thinner-than-grid"
    ),
    "hole outside": (
        shapely.Polygon(SQUARE.exterior, [[(111, 19), (111.1, 19), (111.1, 19.1), (111, 19)]]),
        "geometry-invalid",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_stored_is_refused_with_row_and_reason(  # type: ignore[no-untyped-def]
    run, connection: Connection, tmp_path: Path, name: str
) -> None:
    shape, code = REFUSED[name]

    report = run(write(tmp_path / "a.gpkg", [SQUARE, shape]))

    assert (report.accepted, report.refused) == (1, 1)
    unplaced = [(None, "refused-without-place")] if name in ("nothing", "empty") else []
    assert blocking(report) == [*unplaced, (2, code)]
    issue = next(issue for issue in report.issues if issue.code == code)
    assert issue.reason.zh.endswith("该行被拒绝。")
    kept = connection.execute(
        "SELECT source_row, code, severity FROM library.import_issue WHERE content_id = %s",
        (report.content,),
    ).fetchall()
    assert (2, code, "blocking") in kept


def test_a_file_of_mixed_kinds_says_what_to_do(run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    """Once for the file, whatever number of rows; and only where it helps."""
    line = shapely.LineString([(110, 19), (110.1, 19)])
    mixed = run(write(tmp_path / "a.gpkg", [SQUARE, line, line]))
    (advice,) = [one for one in mixed.issues if one.code == "geometry-kinds-mixed"]
    assert (advice.severity, advice.row) == ("advisory", None)
    assert "--source-layer" in advice.reason.en
    assert "--source-layer" in advice.reason.zh
    assert "geometry-kinds-mixed" not in run(write(tmp_path / "b.gpkg", [SQUARE])).issue_counts


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e308])
def test_numbers_that_are_none_are_refused(run, tmp_path: Path, bad: float) -> None:  # type: ignore[no-untyped-def]
    with np.errstate(invalid="ignore"):
        shape = shapely.Polygon([(110, 19), (110.01, 19), (110.01, bad), (110, 19)])

    report = run(write(tmp_path / "a.gpkg", [SQUARE, shape]))

    assert report.accepted == 1
    unplaced, (row, code) = blocking(report)
    assert unplaced == (None, "refused-without-place")
    assert row == 2
    assert code in ("coordinates-not-finite", "outside-crs-bounds")


def test_an_invalid_geometry_names_its_place(run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    report = run(write(tmp_path / "a.gpkg", [SQUARE, BOW_TIE]))

    issue = next(issue for issue in report.issues if issue.code == "geometry-invalid")
    assert issue.value == "110.00500000 19.00500000"
    assert "自相交" in issue.reason.zh


def test_repair_mends_and_says_so(run, connection: Connection, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    report = run(write(tmp_path / "a.gpkg", [BOW_TIE]), repair=True)

    assert (report.accepted, report.repaired, report.refused) == (1, 1, 0)
    assert [issue.code for issue in report.issues] == ["geometry-repaired"]
    assert "m2 after" in report.issues[0].reason.en
    (_, _, geometry) = stored(connection, report)[0]
    assert geometry.is_valid
    assert geometry.area == pytest.approx(0.01 * 0.01 / 2)


def _overlapping(side: float, overlap: float) -> shapely.MultiPolygon:
    """Two squares (degrees) as parts of one feature, which must not share a strip but do."""
    second = shapely.box(110 + side - overlap, 19, 110 + 2 * side - overlap, 19 + side)
    return shapely.MultiPolygon([shapely.box(110, 19, 110 + side, 19 + side), second])


@pytest.mark.parametrize(
    ("broken", "severity"),
    [
        # 1 m2 of 2.3 km2: a rounding.
        (_overlapping(0.01, 0.00000001), "advisory"),
        # 1,200 m2 of 233 km2: far from 1 percent, but a building's worth.
        (_overlapping(0.1, 0.000001), "blocking"),
        # 6 m2 of 233 m2: 2.5 percent.
        (_overlapping(0.0001, 0.000005), "blocking"),
        # Both halves of a bow-tie: its signed area was none.
        (BOW_TIE, "blocking"),
    ],
)
def test_a_repair_that_changes_the_area_blocks(  # type: ignore[no-untyped-def]
    run, tmp_path: Path, broken: shapely.Polygon, severity: str
) -> None:
    assert not broken.is_valid

    report = run(write(tmp_path / "a.gpkg", [broken]), repair=True)

    assert [(i.code, i.severity) for i in report.issues] == [("geometry-repaired", severity)]
    assert report.blocking == (severity == "blocking")
    assert report.accepted == 1


def test_the_place_of_a_refused_row_is_no_data(  # type: ignore[no-untyped-def]
    run, connection: Connection, tmp_path: Path
) -> None:
    """A redline that was refused must never read as "no conflict" there."""
    far = shapely.box(110.5, 19.5, 110.6, 19.6)
    report = run(write(tmp_path / "a.gpkg", [SQUARE, BOW_TIE, far, far], {"HXBM": list("abcc")}))

    area = coverage(connection, report)

    assert report.refused == 2
    assert not area.intersects(BOW_TIE.centroid)
    assert not area.intersects(far.centroid)
    assert area.intersects(shapely.Point(109, 18.5))
    # Each box with a margin of the layer's accuracy, here given as bounds in degrees.
    taken = shapely.box(*REGION).area - area.area
    assert 0.01**2 + 0.1**2 < taken < 0.0104**2 + 0.1004**2


def test_coverage_of_features_is_their_union(  # type: ignore[no-untyped-def]
    run, connection: Connection, tmp_path: Path
) -> None:
    shapes = [SQUARE, shapely.box(110.01, 19, 110.02, 19.01), shapely.box(110.5, 19, 110.6, 19.1)]
    report = run(write(tmp_path / "a.gpkg", shapes), coverage="features")

    assert coverage(connection, report).symmetric_difference(shapely.union_all(shapes)).area < 1e-12


def test_coverage_may_be_given(run, connection: Connection, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    given = shapely.box(109.5, 18.5, 110.5, 19.5)
    report = run(write(tmp_path / "a.gpkg", [SQUARE, BOW_TIE]), coverage=given)

    area = coverage(connection, report)
    hole = given.difference(area)
    assert hole.contains(shapely.box(*BOW_TIE.bounds))
    assert shapely.box(109.9998, 18.9998, 110.0102, 19.0102).contains(hole)


def test_the_place_of_a_refused_line_along_an_axis_is_no_data(  # type: ignore[no-untyped-def]
    run, connection: Connection, tmp_path: Path
) -> None:
    good = shapely.LineString([(108.5, 19), (108.6, 19.1)])
    refused = shapely.LineString([(110.0, 19.004), (110.02, 19.004)])
    path = write(tmp_path / "a.gpkg", [good, refused], {"BSM": ["a", "a"]})

    area = coverage(connection, run(path, plan_id="marine-plan", layer_id="coastline"))

    assert not area.intersects(refused)
    assert area.intersects(shapely.Point(110.01, 19.1))


@pytest.mark.parametrize("lost", [None, shapely.Polygon()])
def test_a_refused_row_without_place_leaves_no_coverage(  # type: ignore[no-untyped-def]
    run, connection: Connection, tmp_path: Path, lost: shapely.Geometry | None
) -> None:
    """It may lie anywhere, so nowhere may a check say "no conflict"."""
    path = write(tmp_path / "a.gpkg", [SQUARE, lost])

    report = run(path)

    kept = connection.execute(
        "SELECT c.coverage IS NULL, c.blocking_issues, count(p.piece) FROM library.layer_content c"
        " LEFT JOIN library.coverage_piece p ON p.content_id = c.id WHERE c.id = %s GROUP BY c.id",
        (report.content,),
    ).fetchone()
    assert kept == (True, 2, 0)
    issue = next(i for i in report.issues if i.code == "refused-without-place")
    assert issue.severity == "blocking"
    assert "no data anywhere" in issue.reason.en
    assert "无数据" in issue.reason.zh


@pytest.mark.parametrize("stated", ["region", shapely.box(*REGION)])
def test_a_stated_coverage_stands_with_rows_without_place(  # type: ignore[no-untyped-def]
    run, connection: Connection, tmp_path: Path, stated: Any
) -> None:
    report = run(write(tmp_path / "a.gpkg", [SQUARE, None]), coverage=stated)

    assert coverage(connection, report).equals(shapely.box(*REGION))
    issue = next(i for i in report.issues if i.code == "refused-without-place")
    assert (issue.severity, "as the caller stated" in issue.reason.en) == ("blocking", True)


def test_ids_that_stand_twice_are_refused(run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    report = run(write(tmp_path / "a.gpkg", [SQUARE] * 3, {"HXBM": ["a", "b", "a"]}))

    assert blocking(report) == [(3, "duplicate-id")]


def test_values_are_read_by_the_type_of_their_attribute(  # type: ignore[no-untyped-def]
    run, connection: Connection, tmp_path: Path
) -> None:
    columns = {
        "DKBH": ["a", "b", "c"], "YDYHFLDM": ["070102", "999999", "0701"],
        "RJL": ["2.5", "n/a", ""], "JZMD": ["35", "40", "x"],
    }  # fmt: skip
    path = write(tmp_path / "a.gpkg", [SQUARE] * 3, columns)

    field_map = {"DKBH": "parcel_id", "YDYHFLDM": "landuse_code", "RJL": "far_max"}
    report = run(
        path, plan_id="detailed-plan", layer_id="detailed_plan_parcel",
        field_map=plan_import.FieldMap(fields=field_map),
    )  # fmt: skip

    rows = [attributes for _, attributes, _ in stored(connection, report)]
    assert rows[0]["far_max"] == 2.5
    assert "far_max" not in rows[1]
    found = {(i.row, i.field, i.value, i.code) for i in report.issues if i.row}
    assert (2, "RJL", "n/a", "bad-value") in found
    assert (2, "YDYHFLDM", "999999", "unknown-code") in found
    assert report.refused == 0
    # Nothing is judged by a floor area ratio, much by a land use code.
    severities = {i.code: i.severity for i in report.issues}
    assert (severities["bad-value"], severities["unknown-code"]) == ("advisory", "blocking")


def test_an_unknown_code_blocks_and_keeps_the_row(  # type: ignore[no-untyped-def]
    run, connection: Connection, tmp_path: Path
) -> None:
    """A core zone written as 核心区 is selected by no rule: published unseen it would pass."""
    path = write(tmp_path / "a.gpkg", [SQUARE], {"BSM": ["a"], "FQ": ["核心区"]})

    report = run(path, plan_id="nature-reserve-plan", layer_id=None)

    assert blocking(report) == [(1, "unknown-code")]
    assert (report.accepted, report.blocking) == (1, 1)
    assert stored(connection, report)[0][1]["zone"] == "核心区"
    with pytest.raises(Conflict) as caught:
        editions.publish(connection, "nature-reserve-plan")
    assert caught.value.code == "blocking-issues"


def test_a_coded_value_that_cannot_be_read_blocks(run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    path = write(tmp_path / "a.gpkg", [SQUARE] * 2, {"BSM": ["a", "b"], "GDDB": ["5", "五等"]})

    report = run(path, layer_id="permanent_basic_farmland")

    assert (report.accepted, blocking(report)) == (2, [(2, "bad-value")])


def test_of_unknown_codes_the_first_hundred_of_a_field_are_shown(run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    count = 150
    columns = {"HXBM": [f"R{n}" for n in range(count)], "HXLX": ["?"] * count}

    report = run(write(tmp_path / "a.gpkg", [SQUARE] * count, columns))

    assert (report.issue_counts["unknown-code"], report.blocking) == (count, count)
    assert [row for row, code in blocking(report) if code == "unknown-code"] == list(range(1, 101))


def test_a_missing_required_value_refuses_the_row(run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    report = run(write(tmp_path / "a.gpkg", [SQUARE] * 2, {"HXBM": ["a", None]}))

    assert blocking(report) == [(2, "required-value-missing")]
    assert next(i for i in report.issues if i.severity == "blocking").field == "HXBM"


def test_a_missing_required_field_refuses_the_file(run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    path = write(tmp_path / "a.gpkg", [SQUARE], {"parcel_id": ["a"]})

    with pytest.raises(BadInput, match="landuse_code") as caught:
        run(path, layer_id="planned_landuse")

    assert caught.value.code == "required-field-missing"


PERSONAL = ("张三", "460100199001011237", "13812345678", "海口市某路 1 号")


def test_personal_data_never_reaches_the_library(  # type: ignore[no-untyped-def]
    run, connection: Connection, tmp_path: Path
) -> None:
    name, identity, mobile, address = PERSONAL
    columns = {
        "BSM": ["460105000000000001", "460105000000000002"],
        "CFZR": [name] * 2, "ZRRZJHM": [identity] * 2, "lxdh": [mobile] * 2, "JZDZ": [address] * 2,
        "MC": [f"责任人 {_identity()}", f"电话{mobile}"],
        "DLBM": [0.0, 13912345678.0],
    }  # fmt: skip
    path = write(tmp_path / "a.gpkg", [shapely.box(110.0000000001, 19, 110.1, 19.1),
                                        shapely.box(111.0000000001, 19, 111.1, 19.1)],
                 columns)  # fmt: skip

    report = run(path, layer_id="permanent_basic_farmland")

    assert report.accepted == 2
    assert [row[0] for row in stored(connection, report)] == columns["BSM"]
    dropped = {i.field for i in report.issues if i.code == "personal-field-dropped"}
    assert dropped == {"CFZR", "ZRRZJHM", "lxdh", "JZDZ"}
    noted = [(i.row, i.field, i.value) for i in report.issues if i.code == "personal-value-dropped"]
    assert noted == [(1, "MC", None), (2, "DLBM", None), (2, "MC", None)]
    everything = json.dumps(report.to_json(), ensure_ascii=False)
    for fid in (1, 2):
        source = source_row(connection, report.content, fid)
        assert source is not None
        assert source.attributes["BSM"] == columns["BSM"][fid - 1]
        everything += str(source)
    for table in ("feature", "source_feature", "source_chunk", "import_issue", "layer_content"):
        everything += str(connection.execute(f"SELECT t::text FROM library.{table} t").fetchall())  # noqa: S608
    for secret in (*PERSONAL, _identity(), "13912345678"):
        assert secret not in everything


def _identity() -> str:
    """A made-up identity number with a right check digit."""
    body = "46010019900101123"
    weights = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
    return body + "10X98765432"[sum(int(d) * w for d, w in zip(body, weights, strict=True)) % 11]


def test_heights_are_dropped_with_one_note(run, connection: Connection, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    high = shapely.force_3d(SQUARE, 12.0)
    report = run(write(tmp_path / "a.gpkg", [high, high]))

    assert report.issue_counts == {"z-or-m-dropped": 1}
    assert not stored(connection, report)[0][2].has_z


MISPLACED = {
    "swapped axes": (shapely.box(19.0, 110.0, 19.01, 110.01), "EPSG:4490", "axes swapped"),
    "degrees said to be metres": (SQUARE, "EPSG:4546", "EPSG:4490"),
    "another continent": (shapely.box(-75, 40, -74, 41), "EPSG:4490", "Check the CRS"),
}


@pytest.mark.parametrize("name", MISPLACED)
def test_a_file_outside_the_region_is_refused_with_a_guess(  # type: ignore[no-untyped-def]
    run, own: Connection, tmp_path: Path, name: str
) -> None:
    shape, crs, hint = MISPLACED[name]

    with pytest.raises(CrsRefused, match=hint) as caught:
        run(write(tmp_path / "a.gpkg", [shape], crs=crs))

    assert caught.value.code == "crs-mismatch"


@pytest.mark.parametrize(
    ("written", "stated", "hint"),
    [
        ("EPSG:4525", "EPSG:4526", "zone 37"),  # the neighbouring zone's prefix is in the numbers
        ("EPSG:4525", "EPSG:4546", "zone 37"),  # prefix in the numbers, none in the CRS
        ("EPSG:4546", "EPSG:4525", "zone 37"),  # and the reverse
        ("EPSG:4546", "EPSG:4548", "zone 3"),
    ],
)
def test_a_wrong_zone_is_named(run, tmp_path: Path, written: str, stated: str, hint: str) -> None:  # type: ignore[no-untyped-def]
    moved = from_storage(np.array([SQUARE], dtype=object), parse_crs(written))

    with pytest.raises(CrsRefused, match=hint):
        run(write(tmp_path / "a.gpkg", list(moved), crs=stated))


def test_northing_before_easting_is_named(run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    moved = from_storage(np.array([SQUARE], dtype=object), parse_crs("EPSG:4525"))
    turned = shapely.transform(moved, lambda xy: xy[:, ::-1])

    with pytest.raises(CrsRefused, match="axes swapped"):
        run(write(tmp_path / "a.gpkg", list(turned), crs="EPSG:4525"))


@pytest.mark.parametrize("code", ["EPSG:4610", "EPSG:4214", "EPSG:2381", "gcj02"])
def test_other_datums_are_refused(run, tmp_path: Path, code: str) -> None:  # type: ignore[no-untyped-def]
    path = write(tmp_path / "a.gpkg", [SQUARE])

    with pytest.raises(CrsRefused):
        run(path, source_crs=code)


def test_no_crs_is_refused_until_it_is_stated(run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    path = write(tmp_path / "a.shp", [SQUARE], driver="ESRI Shapefile", geometry_type="Polygon")
    path.with_suffix(".prj").unlink()

    with pytest.raises(CrsRefused) as caught:
        run(path)

    assert caught.value.code == "no-crs"
    assert run(path, source_crs="EPSG:4490").accepted == 1


@pytest.mark.parametrize(
    ("east_m", "north_m", "severity", "word"),
    [(430.0, -150.0, "blocking", "GCJ-02"), (86.0, -64.0, "blocking", "datum error"),
     (25.0, 10.0, "advisory", "datum error"), (5.0, 5.0, None, "")],
)  # fmt: skip
def test_a_shift_against_the_edition_in_force_is_noticed(  # type: ignore[no-untyped-def]
    run, connection: Connection, publish_layer, tmp_path: Path, east_m: float, north_m: float,
    severity: str | None, word: str,
) -> None:  # fmt: skip
    rng = np.random.default_rng(3)
    west, south = rng.uniform(109, 110, 40), rng.uniform(18.5, 19.5, 40)
    before = shapely.box(west, south, west + 0.01, south + 0.01)
    names = [f"R{n}" for n in range(40)]
    content_id = contents.create_content(connection, "ecological_redline")
    contents.load_arrays(connection, content_id, before, {}, 1, feature_ids=names)
    contents.finish_content(connection, content_id, coverage=shapely.box(*REGION))
    edition = editions.open_draft(connection, "overall-plan", valid_from=datetime.date(2025, 1, 1))
    editions.put_layer(connection, edition, "ecological_redline", content_id)
    editions.publish(connection, "overall-plan", edition)

    degrees = np.array([east_m / 105_000, north_m / 110_700])
    noise = rng.normal(0, 0.08, (40, 2)) * degrees
    after = [
        shapely.transform(shape, lambda xy, move=degrees + noise[n]: xy + move)
        for n, shape in enumerate(before)
    ]
    report = run(write(tmp_path / "a.gpkg", after, {"HXBM": names}))

    found = [i for i in report.issues if i.code == "datum-shift-suspected"]
    if severity is None:
        assert found == []
        return
    assert found[0].severity == severity
    assert word in found[0].reason.en
    open_issues = connection.execute(
        "SELECT blocking_issues FROM library.layer_content WHERE id = %s", (report.content,)
    ).fetchone()
    assert open_issues == (1 if severity == "blocking" else 0,)


ROW = [shapely.box(109 + n * 0.02, 19, 109.01 + n * 0.02, 19.01) for n in range(50)]
HALVES = [shapely.box(b.bounds[0], 19, b.bounds[0] + 0.005, 19.01) for b in ROW]
NAMES = [f"f{n}" for n in range(50)]
OTHERS = [f"g{n}" for n in range(50)]

SHRUNK: dict[str, tuple[list[shapely.Polygon], list[str], str | None]] = {
    "the same": (ROW, NAMES, None),
    "more": ([*ROW, shapely.box(110.5, 19, 110.6, 19.1)], [*NAMES, "x"], None),
    "a tenth less": (ROW[:45], NAMES[:45], None),
    "a tenth": (ROW[:5], NAMES[:5], "features 90.0%"),
    "half the area": (HALVES, NAMES, "area 50.0%"),
    "other names": (ROW, OTHERS, "feature ids 100.0%"),
    "a third of other names": (ROW, [*NAMES[:33], *OTHERS[33:]], "feature ids 34.0%"),
    "elsewhere": ([shapely.affinity.translate(b, 0, 0.5) for b in ROW], NAMES, "extent 100.0%"),
}


@pytest.mark.parametrize("name", SHRUNK)
@pytest.mark.parametrize("valid_from", [DAY, datetime.date(2024, 1, 1)])
def test_a_part_of_the_content_in_force_is_not_taken_for_the_whole(  # type: ignore[no-untyped-def]
    run, own: Connection, connection: Connection, tmp_path: Path, name: str,
    valid_from: datetime.date,
) -> None:  # fmt: skip
    """Also where the edition is back-dated before the one that it is compared with."""
    shapes, names, words = SHRUNK[name]
    run(write(tmp_path / "a.gpkg", ROW, {"HXBM": NAMES}), valid_from=datetime.date(2025, 1, 1))
    editions.publish(connection, "overall-plan")

    report = run(write(tmp_path / "b.gpkg", shapes, {"HXBM": names}), valid_from=valid_from)

    found = [i for i in report.issues if i.code == "content-shrunk"]
    assert len(found) == (words is not None)
    if words is None:
        return
    assert found[0].severity == "blocking"
    assert words in found[0].reason.en
    assert f"{len(ROW)} → {len(shapes)}" in found[0].reason.zh
    with pytest.raises(Conflict) as caught:
        editions.publish(connection, "overall-plan")
    assert caught.value.code == "blocking-issues"
    assert editions.publish(connection, "overall-plan", accept_blocking="known") == report.edition


def test_a_line_cut_short_is_noticed_by_its_length(  # type: ignore[no-untyped-def]
    run, connection: Connection, tmp_path: Path
) -> None:
    options = {"plan_id": "marine-plan", "layer_id": "coastline"}
    for end, blocked in ((110.0, 0), (109.4, 1)):
        line = shapely.LineString([(109.0, 19.0), (end, 19.0)])
        report = run(write(tmp_path / "a.gpkg", [line], {"BSM": ["a"]}), **options)
        assert report.issue_counts.get("content-shrunk", 0) == blocked
        editions.publish(connection, "marine-plan", accept_blocking="known")


def test_row_numbers_are_not_compared(run, connection: Connection, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    path = write(tmp_path / "a.gpkg", ROW, {"HXMC": NAMES})
    run(path)
    editions.publish(connection, "overall-plan")

    report = run(write(tmp_path / "b.gpkg", ROW, {"HXBM": NAMES}))

    assert "content-shrunk" not in report.issue_counts


def test_a_file_of_which_nothing_is_accepted_stores_nothing(  # type: ignore[no-untyped-def]
    run, connection: Connection, tmp_path: Path
) -> None:
    before = connection.execute("SELECT count(*) FROM library.layer_content").fetchone()

    report = run(write(tmp_path / "a.gpkg", [BOW_TIE]))

    assert (report.edition, report.content, report.refused) == (None, None, 1)
    assert connection.execute("SELECT count(*) FROM library.layer_content").fetchone() == before


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut", b"SQLite format 3\x00 cut"])
def test_a_bad_file_leaves_nothing_behind(  # type: ignore[no-untyped-def]
    run, connection: Connection, tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(content)
    before = connection.execute("SELECT count(*) FROM library.layer_content").fetchone()

    with pytest.raises(UnreadableFile):
        run(path)

    assert connection.execute("SELECT count(*) FROM library.layer_content").fetchone() == before
    assert editions.list_editions(connection, "overall-plan") == []


def test_a_plan_of_several_layers_asks_which_one(run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(BadInput, match="planned_landuse") as caught:
        run(write(tmp_path / "a.gpkg", [SQUARE]), layer_id=None)

    assert caught.value.code == "which-layer"


def test_without_proof_of_isolation_files_are_not_read(  # type: ignore[no-untyped-def]
    run, tmp_path: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "a.gpkg", [SQUARE])
    monkeypatch.setattr(sandbox, "_network_isolated", False)

    with pytest.raises(BadInput) as caught:
        run(path)

    assert caught.value.code == "sandbox-unproven"
    assert run(path, allow_network=True).accepted == 1


def test_a_child_that_takes_too_long_stores_nothing(  # type: ignore[no-untyped-def]
    run, connection: Connection, tmp_path: Path
) -> None:
    turn = 2 * np.pi * np.arange(1401) * 700 / 1401
    star = shapely.Polygon(np.column_stack((110 + 0.1 * np.cos(turn), 19 + 0.1 * np.sin(turn))))
    path = write(tmp_path / "a.gpkg", [star] * 50)

    with pytest.raises(GaveUp) as caught:
        run(path, repair=True, deadline_s=1.0)

    assert caught.value.code == "deadline-exceeded"
    assert editions.list_editions(connection, "overall-plan") == []


def test_progress_is_reported(run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    seen: list[tuple[str, float]] = []
    run(
        write(tmp_path / "a.gpkg", [SQUARE]),
        progress=lambda what, share: seen.append((what, share)),
    )

    assert seen[-1] == ("stored", 1.0)
    assert all(0 <= share <= 1 for _, share in seen)


_KILLED = """
import datetime, sys
from pathlib import Path
from layers.catalog import load_catalog
from layers.database import connect
from layers.plan_import import import_file
from layers.sandbox import Sandbox

if __name__ == "__main__":
    dsn, path, config = sys.argv[1:]
    with connect(dsn) as connection, Sandbox() as sandbox:
        print("go", flush=True)
        report = import_file(
            connection, sandbox, load_catalog(Path(config)), Path(path), plan_id="overall-plan",
            layer_id="ecological_redline", valid_from=datetime.date(2026, 1, 1),
            region_bbox=(107.9, 17.6, 111.9, 20.7),
        )
        print(report.content_sha256, flush=True)
"""


def test_kill_9_at_any_moment_leaves_all_or_nothing(database: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    west, south = rng.uniform(109, 110, 20_000), rng.uniform(18.5, 19.5, 20_000)
    path = write(tmp_path / "a.gpkg", list(shapely.box(west, south, west + 0.001, south + 0.001)))
    script = tmp_path / "killed.py"
    script.write_text(_KILLED)
    project = Path(__file__).resolve().parents[2]
    call = [sys.executable, str(script), database, str(path), str(project / "config")]
    environment = {**os.environ, "PYTHONPATH": str(project), "TMPDIR": str(tmp_path)}

    begin = time.monotonic()
    whole = subprocess.run(call, env=environment, check=True, capture_output=True, text=True)
    lasted = time.monotonic() - begin
    digest = whole.stdout.split()[-1]

    chance = random.Random(11)
    for _ in range(6):
        victim = subprocess.Popen(call, env=environment, stdout=subprocess.PIPE, text=True)
        assert victim.stdout is not None
        victim.stdout.readline()
        time.sleep(chance.uniform(0.0, lasted))
        victim.send_signal(signal.SIGKILL)
        victim.communicate()
        with connect(database) as reader:
            _assert_whole(reader, digest)

    again = subprocess.run(call, env=environment, check=True, capture_output=True, text=True)
    assert again.stdout.split()[-1] == digest
    with connect(database) as reader:
        _assert_whole(reader, digest)
        contents.sweep_dead_contents(reader)
        left = reader.execute("SELECT count(*) FROM library.layer_content").fetchone()
        assert left == (1,)
        tables = reader.execute(
            "SELECT count(*) FROM pg_class WHERE relkind = 'r' AND relname LIKE 'feature_c%'"
        ).fetchone()
        assert tables == (1,)
    assert not list(tmp_path.glob("gis-import-*"))


def _assert_whole(reader: Connection, digest: str) -> None:
    (draft,) = editions.list_editions(reader, "overall-plan")
    (layer,) = draft["layers"]
    assert (layer["state"], layer["features"]) == ("loaded", 20_000)
    assert contents.stored_fingerprint(reader, layer["content"]).hexdigest() == digest
