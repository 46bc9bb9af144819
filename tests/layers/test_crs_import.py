"""The datum policy end to end: what a file on another datum leaves, or why it is refused."""

import datetime
import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio.raw
import pytest
import shapely

from layers import editions
from layers.catalog import Catalog
from layers.crs import from_storage, parse_crs
from layers.database import Connection
from layers.datum import Transformation
from layers.errors import Conflict, CrsRefused, NotFound
from layers.obfuscation import gcj02_of_wgs84
from layers.plan_import import ImportReport, import_file
from layers.sandbox import Sandbox

REGION = (107.9, 17.6, 111.9, 20.7)
DAY = datetime.date(2026, 1, 1)
SQUARE = shapely.box(110.0, 19.0, 110.01, 19.01)
WEST = shapely.box(108.75, 19.1, 108.76, 19.11)
Run = Callable[..., ImportReport]

SHIFT = Transformation.model_validate(
    {
        "id": "test-xian80", "title": {"zh": "测试参数", "en": "test parameters"},
        "source": "xian80", "accuracy_m": 12.0,
        "method": {
            "kind": "plane4", "source_plane": "EPSG:2382", "target_plane": "EPSG:4546",
            "east_m": 100.0, "north_m": -50.0, "rotation_arcsec": 0.0,
            "rotation_sense": "clockwise", "scale_ppm": 0.0,
        },
        "provenance": {"zh": "测试", "en": "test"}, "area_of_use": (109.5, 18.0, 110.5, 20.3),
    }
)  # fmt: skip
LOCAL = Transformation.model_validate(
    {
        **SHIFT.model_dump(), "id": "test-local", "source": "local",
        "source_name": "海口城市坐标系", "accuracy_m": 0.05,
        "method": {**SHIFT.method.model_dump(), "source_plane": None,
                   "east_m": 400_000.0, "north_m": 2_000_000.0},
    }
)  # fmt: skip


def write(path: Path, shapes: Sequence[shapely.Geometry], crs: str) -> Path:
    ids = np.array([str(n) for n in range(1, len(shapes) + 1)], dtype=object)
    pyogrio.raw.write(
        path, np.array([s.wkb for s in shapes], dtype=object), [ids], ["HXBM"],
        geometry_type="Unknown", crs=crs, driver="GPKG",
    )  # fmt: skip
    return path


def in_crs(shapes: Sequence[shapely.Geometry], code: str) -> list[shapely.Geometry]:
    return list(from_storage(np.array(shapes, dtype=object), parse_crs(code)))


def moved(shapes: Sequence[shapely.Geometry], east: float, north: float) -> list[shapely.Geometry]:
    return list(shapely.transform(np.array(shapes), lambda xy: xy + np.array([east, north])))


@pytest.fixture
def run(connection: Connection, sandbox: Sandbox, catalog: Catalog) -> Run:
    registered = catalog.model_copy(update={"transformations": (SHIFT, LOCAL)})

    def call(path: Path, **options: Any) -> ImportReport:
        chosen = {
            "plan_id": "overall-plan", "layer_id": "ecological_redline", "valid_from": DAY,
            "region_bbox": REGION, **options,
        }  # fmt: skip
        return import_file(connection, sandbox, registered, path, **chosen)

    return call


def stored(connection: Connection, report: ImportReport) -> list[shapely.Geometry]:
    found = connection.execute(
        "SELECT ST_AsBinary(geom) FROM library.feature WHERE content_id = %s ORDER BY fid",
        (report.content,),
    ).fetchall()
    return [shapely.from_wkb(wkb) for (wkb,) in found]


def codes(report: ImportReport, severity: str) -> set[str]:
    return {issue.code for issue in report.issues if issue.severity == severity}


def test_a_stated_transformation_moves_and_is_recorded(
    run: Run, connection: Connection, catalog: Catalog, tmp_path: Path
) -> None:
    # The numbers of the plane EPSG:4546, moved back by what the transformation adds.
    plane = moved(in_crs([SQUARE], "EPSG:4546"), -100, 50)

    report = run(write(tmp_path / "a.gpkg", plane, "EPSG:2382"), transformation="test-xian80")

    assert shapely.hausdorff_distance(stored(connection, report)[0], SQUARE) < 2e-7
    assert codes(report, "advisory") >= {"datum-transformed"}
    assert codes(report, "blocking") == set()
    row = connection.execute(
        "SELECT accuracy_m, source, import_report FROM library.layer_content WHERE id = %s",
        (report.content,),
    ).fetchone()
    assert row is not None
    accuracy_m, source, kept = row
    assert accuracy_m == pytest.approx(
        math.hypot(catalog.layer("ecological_redline").accuracy_m, 12.0)
    )
    said = source["transformation"]
    assert (said["id"], said["east_m"], said["accuracy_m"]) == ("test-xian80", 100.0, 12.0)
    assert said["provenance"]["en"] == "test"
    assert kept["source"]["conversion"] == "stated-transformation"
    assert json.loads(json.dumps(report.to_json()))["source"]["datum"] == "xian80"


def test_a_check_judges_with_the_combined_accuracy(
    run: Run, connection: Connection, tmp_path: Path
) -> None:
    from layers.editions import contents_in_force, publish

    plane = moved(in_crs([SQUARE], "EPSG:4546"), -100, 50)
    run(write(tmp_path / "a.gpkg", plane, "EPSG:2382"), transformation="test-xian80")
    publish(connection, "overall-plan")

    content = contents_in_force(connection, ["ecological_redline"], DAY)["ecological_redline"]

    assert content.accuracy_m == pytest.approx(13.0)  # 5 m of the layer and 12 m


def test_without_one_it_is_refused_and_with_a_wrong_name_too(run: Run, tmp_path: Path) -> None:
    path = write(tmp_path / "a.gpkg", in_crs([SQUARE], "EPSG:4546"), "EPSG:2382")
    with pytest.raises(CrsRefused) as refused:
        run(path)
    assert refused.value.code == "datum-transform-required"
    with pytest.raises(NotFound, match="test-xian80"):
        run(path, transformation="test-xian")
    with pytest.raises(CrsRefused) as refused:
        run(path, transformation="test-xian80", source_crs="EPSG:2433")
    assert refused.value.code == "transformation-mismatch"


def test_outside_its_area_of_use_a_row_is_refused(
    run: Run, connection: Connection, tmp_path: Path
) -> None:
    both = moved(in_crs([SQUARE, shapely.box(110.6, 19, 110.61, 19.01)], "EPSG:4546"), -100, 50)

    report = run(write(tmp_path / "a.gpkg", both, "EPSG:2382"), transformation="test-xian80")

    assert (report.accepted, report.refused) == (1, 1)
    assert codes(report, "blocking") == {"outside-conversion-area"}
    covered = connection.execute(
        "SELECT ST_Covers(coverage, ST_SetSRID(ST_MakePoint(110.605, 19.005), 4490))"
        " FROM library.layer_content WHERE id = %s",
        (report.content,),
    ).fetchone()
    assert covered == (False,)  # its place is no data, not "no conflict"


def test_wgs84_is_a_stated_identity(run: Run, connection: Connection, tmp_path: Path) -> None:
    report = run(write(tmp_path / "a.gpkg", [SQUARE], "EPSG:4326"))
    assert codes(report, "advisory") == {"wgs84-taken-as-cgcs2000"}
    assert stored(connection, report)[0].equals_exact(SQUARE, 0)
    assert report.to_json()["source"]["conversion"] == "stated-identity"
    plain = run(write(tmp_path / "b.gpkg", [SQUARE], "EPSG:4490"))
    assert "wgs84-taken-as-cgcs2000" not in plain.issue_counts
    assert plain.to_json()["source"]["conversion"] == "none"


def test_gcj02_is_converted_on_the_flag_only_and_blocks_the_publish(
    run: Run, connection: Connection, tmp_path: Path
) -> None:
    false = shapely.transform(SQUARE, gcj02_of_wgs84)
    path = write(tmp_path / "a.gpkg", [false], "EPSG:4326")
    with pytest.raises(CrsRefused) as refused:
        run(path, source_crs="gcj02")
    assert refused.value.code == "obfuscated-crs"

    report = run(path, source_crs="gcj02", convert_obfuscated=True)

    assert shapely.hausdorff_distance(stored(connection, report)[0], SQUARE) < 1e-6
    assert codes(report, "blocking") == {"converted-from-obfuscated"}
    source = report.to_json()["source"]
    assert (source["derived_from"], source["use"]) == ("gcj02", "not for statutory use")
    accuracy = connection.execute(
        "SELECT accuracy_m FROM library.layer_content WHERE id = %s", (report.content,)
    ).fetchone()
    assert accuracy == (pytest.approx(math.hypot(5.0, 5.0)),)
    with pytest.raises(Conflict):
        editions.publish(connection, "overall-plan")
    assert editions.publish(connection, "overall-plan", accept_blocking="sketch for a talk")


CUSTOM = (
    'PROJCRS["Haikou plane",BASEGEOGCRS["CGCS2000",DATUM["China 2000",'
    'ELLIPSOID["CGCS2000",6378137,298.257222101]]],CONVERSION["own",METHOD["Transverse Mercator"],'
    'PARAMETER["Latitude of natural origin",0],PARAMETER["Longitude of natural origin",109.75],'
    'PARAMETER["Scale factor at natural origin",1],PARAMETER["False easting",200000],'
    'PARAMETER["False northing",-2000000]],CS[Cartesian,2],AXIS["x",north],AXIS["y",east],'
    'LENGTHUNIT["metre",1]]'
)


def test_a_projection_of_ones_own_is_exact(
    run: Run, connection: Connection, tmp_path: Path
) -> None:
    report = run(
        write(tmp_path / "a.gpkg", in_crs([SQUARE], CUSTOM), "EPSG:4490"), source_crs=CUSTOM
    )
    assert shapely.hausdorff_distance(stored(connection, report)[0], SQUARE) < 2e-7
    source = report.to_json()["source"]
    assert source["crs"] == "custom:Haikou plane"
    assert "109.75" in source["wkt"]  # the name says nothing, so the definition is kept
    assert codes(report, "blocking") == set()


ENGINEERING = (
    'ENGCRS["海口城市坐标系",EDATUM["Haikou"],CS[Cartesian,2],AXIS["x",east],AXIS["y",north],'
    'LENGTHUNIT["metre",1]]'
)


@pytest.mark.parametrize("text", ["local", ENGINEERING])
def test_a_local_plane_needs_its_own_parameters(
    run: Run, connection: Connection, tmp_path: Path, text: str
) -> None:
    plane = moved(in_crs([SQUARE], "EPSG:4546"), -400_000, -2_000_000)
    path = write(tmp_path / "a.gpkg", plane, "EPSG:4490")
    for stated in (None, "test-xian80"):
        with pytest.raises(CrsRefused):
            run(path, source_crs=text, transformation=stated)

    report = run(path, source_crs=text, transformation="test-local")

    assert shapely.hausdorff_distance(stored(connection, report)[0], SQUARE) < 2e-7
    assert report.to_json()["source"]["transformation"]["source"] == "海口城市坐标系"


def test_parameters_of_one_city_do_not_serve_another(run: Run, tmp_path: Path) -> None:
    path = write(tmp_path / "a.gpkg", in_crs([SQUARE], "EPSG:4546"), "EPSG:4490")
    with pytest.raises(CrsRefused) as refused:
        run(path, source_crs=ENGINEERING.replace("海口", "三亚"), transformation="test-local")
    assert refused.value.code == "transformation-mismatch"


# --- definitions that are not what they say ------------------------------------------------------

GEOGCS = (
    'GEOGCS["x",DATUM["{datum}",SPHEROID["s",{ellipsoid}]{bound}],PRIMEM["p",{meridian}],'
    'UNIT["u",{unit}]]'
)
GOOD = {
    "datum": "China_2000", "ellipsoid": "6378137,298.257222101", "bound": "", "meridian": "0",
    "unit": "0.0174532925199433",
}  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"ellipsoid": "6378245,298.3"}, "crs-contradiction"),  # Krassowsky under China 2000
        ({"datum": "D_Xian_1980"}, "crs-contradiction"),  # Xi'an on another's ellipsoid
        ({"meridian": "2.5"}, "crs-contradiction"),
        ({"unit": "0.01570796326794897"}, "crs-contradiction"),  # gon
        ({"bound": ",TOWGS84[15,-154,-82,0,0,0,0]"}, "datum-transform-required"),
    ],
)
def test_a_definition_that_contradicts_itself(changes: dict[str, str], code: str) -> None:
    with pytest.raises(CrsRefused) as refused:
        parse_crs(GEOGCS.format(**{**GOOD, **changes}))
    assert refused.value.code == code


def test_zeros_towards_wgs84_are_no_statement() -> None:
    text = GEOGCS.format(**{**GOOD, "bound": ",TOWGS84[0,0,0,0,0,0,0]"})
    assert parse_crs(text).is_storage


def test_a_rotated_pole_is_no_longitude_and_latitude() -> None:
    with pytest.raises(CrsRefused):
        parse_crs("+proj=ob_tran +o_proj=longlat +o_lat_p=40 +lon_0=10 +datum=WGS84 +type=crs")


def test_a_definition_opens_no_file() -> None:
    with pytest.raises(CrsRefused):
        parse_crs("+init=/etc/passwd:root")


# --- diagnosis -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "stated", "named"),
    [
        ("EPSG:4525", "EPSG:4526", ("EPSG:4525", "zone 37")),  # wrong zone
        ("EPSG:4546", "EPSG:4525", ("EPSG:4546", "no zone prefix")),  # prefix missing
        ("EPSG:4525", "EPSG:4546", ("EPSG:4525", "zone prefix in the easting")),  # extra prefix
        ("EPSG:4497", "EPSG:4546", ("EPSG:4497", "6-degree zone 19")),
        ("EPSG:4490", "EPSG:4546", ("EPSG:4490", "longitude and latitude")),  # degrees as metres
        ("EPSG:4546", "EPSG:4490", ("EPSG:4546", "central meridian 111E")),  # metres as degrees
    ],
)
def test_the_likely_system_is_named(
    run: Run, tmp_path: Path, written: str, stated: str, named: tuple[str, str]
) -> None:
    path = write(tmp_path / "a.gpkg", in_crs([SQUARE], written), stated)
    with pytest.raises(CrsRefused) as refused:
        run(path)
    assert refused.value.code == "crs-mismatch"
    for word in named:
        assert word in str(refused.value)
    assert named[0] in refused.value.text.zh


def test_swapped_axes_under_a_wrong_zone(run: Run, tmp_path: Path) -> None:
    turned = shapely.transform(in_crs([SQUARE], "EPSG:4525"), lambda xy: xy[:, ::-1])
    with pytest.raises(CrsRefused, match="axes swapped and read as EPSG:4525"):
        run(write(tmp_path / "a.gpkg", list(turned), "EPSG:4546"))


def test_on_an_older_datum_the_zones_of_that_datum_are_named(run: Run, tmp_path: Path) -> None:
    path = write(tmp_path / "a.gpkg", in_crs([SQUARE], "EPSG:4525"), "EPSG:2362")
    with pytest.raises(CrsRefused, match="EPSG:2361"):
        run(path, transformation="test-xian80")


def test_a_part_in_another_zone_is_a_blocking_issue_that_names_it(run: Run, tmp_path: Path) -> None:
    own = in_crs([SQUARE, shapely.box(110.2, 19, 110.21, 19.01)], "EPSG:4525")
    other = in_crs([WEST], "EPSG:4524")

    report = run(write(tmp_path / "a.gpkg", [*own, *other], "EPSG:4525"))

    assert (report.accepted, report.refused) == (2, 1)
    (issue,) = (one for one in report.issues if one.code == "crs-mismatch-in-part")
    assert issue.severity == "blocking"
    assert "EPSG:4524" in issue.reason.en


def test_a_wrong_zone_inside_the_region_lies_on_the_sea(
    run: Run, publish_layer: Any, tmp_path: Path
) -> None:
    # CM 108 read as CM 111: 3 degrees further east, still in the box, nobody's land.
    land = shapely.box(108.7, 18.3, 110.9, 20.0)
    publish_layer("county", [land], {"admin_code": ["460000"], "name": ["岛"]}, coverage=land)
    shapes = [shapely.affinity.translate(WEST, 0, n / 50) for n in range(5)]
    plane = in_crs(shapes, "EPSG:4545")

    report = run(write(tmp_path / "a.gpkg", plane, "EPSG:4546"))

    (issue,) = (one for one in report.issues if one.code == "zone-suspected")
    assert issue.severity == "blocking"
    assert "EPSG:4545" in issue.reason.en
    assert "EPSG:4545" in issue.reason.zh
    again = run(tmp_path / "a.gpkg")  # no row differs, and the suspicion stays
    assert (again.content, again.blocking) == (report.content, report.blocking)
    assert dict(again.issue_counts) == dict(report.issue_counts)
    right = run(write(tmp_path / "b.gpkg", plane, "EPSG:4545"))
    assert "zone-suspected" not in right.issue_counts
    # At sea and rightly so: no zone would bring it onto land.
    sea = in_crs([shapely.box(111.4, 18.0, 111.41, 18.01)], "EPSG:4546")
    assert "zone-suspected" not in run(write(tmp_path / "c.gpkg", sea, "EPSG:4546")).issue_counts


@pytest.mark.parametrize(
    ("count", "far_m", "found"), [(3, 470, True), (2, 470, False), (3, 30, False)]
)
def test_a_few_features_that_all_moved_alike(
    run: Run, publish_layer: Any, tmp_path: Path, count: int, far_m: float, found: bool
) -> None:
    shapes = [shapely.affinity.translate(SQUARE, n / 50, 0) for n in range(count)]
    publish_layer("ecological_redline", shapes, valid_from=DAY)
    away = [shapely.affinity.translate(s, far_m / 105_000, 0) for s in shapes]

    report = run(write(tmp_path / "a.gpkg", away, "EPSG:4490"))

    names = {issue.code for issue in report.issues if issue.severity == "blocking"}
    assert ("datum-shift-suspected" in names) is found


def test_features_moved_in_many_directions_are_corrections(
    run: Run, publish_layer: Any, tmp_path: Path
) -> None:
    shapes = [shapely.affinity.translate(SQUARE, n / 50, 0) for n in range(4)]
    publish_layer("ecological_redline", shapes, valid_from=DAY)
    away = [
        shapely.affinity.translate(s, 0.004 * math.cos(n), 0.004 * math.sin(n))
        for n, s in enumerate(shapes)
    ]
    report = run(write(tmp_path / "a.gpkg", away, "EPSG:4490"))
    assert "datum-shift-suspected" not in report.issue_counts


def test_islands_south_of_the_area_of_use_are_warned_about_only(
    run: Run, connection: Connection, tmp_path: Path
) -> None:
    island = shapely.box(112.32, 9.54, 112.33, 9.55)  # 南沙, by CM 111; registered from 18.11 N on
    report = run(
        write(tmp_path / "a.gpkg", in_crs([island], "EPSG:4546"), "EPSG:4546"),
        region_bbox=(107.0, 3.0, 119.0, 21.0),
    )
    assert (report.accepted, report.blocking) == (1, 0)
    assert codes(report, "advisory") >= {"outside-area-of-use"}
    assert shapely.hausdorff_distance(stored(connection, report)[0], island) < 2e-7
    inside = run(write(tmp_path / "b.gpkg", in_crs([SQUARE], "EPSG:4546"), "EPSG:4546"))
    assert "outside-area-of-use" not in inside.issue_counts
