"""Stated transformations and obfuscations against published figures and PROJ's own operations."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pyproj
import pytest
import shapely
import yaml
from pydantic import ValidationError

from layers import obfuscation
from layers.catalog import load_catalog
from layers.crs import from_storage, parse_crs, to_storage
from layers.datum import (
    Ellipsoid,
    Helmert7,
    Plane4,
    Transformation,
    geocentric_shift,
    plane_shift,
)
from layers.errors import BadConfiguration, CrsRefused
from layers.text import Text

PROJECT = Path(__file__).resolve().parents[2]
WGS72 = Ellipsoid(6378135.0, 298.26)
ZERO = {"dx_m": 0.0, "dy_m": 0.0, "dz_m": 0.0, "rx_arcsec": 0.0, "ry_arcsec": 0.0,
        "rz_arcsec": 0.0, "scale_ppm": 0.0}  # fmt: skip


def helmert(convention: str = "position_vector", **values: float) -> Helmert7:
    return Helmert7.model_validate({"kind": "helmert7", "convention": convention, **ZERO, **values})


def stated(method: Helmert7 | Plane4, source: str = "xian80", **changes: Any) -> Transformation:
    values = {
        "id": "one", "title": Text(zh="一", en="one"), "source": source, "method": method,
        "accuracy_m": 1.5, "provenance": Text(zh="测试", en="test"),
        "area_of_use": (108.0, 17.0, 112.0, 21.0), **changes,
    }  # fmt: skip
    return Transformation.model_validate(values)


@pytest.mark.parametrize(
    ("convention", "sense"), [("position_vector", 1), ("coordinate_frame", -1)]
)
def test_the_published_example_of_both_conventions(convention: str, sense: int) -> None:
    # IOGP Guidance Note 7-2: WGS 72 55 N 4 E to WGS 84 55 00 00.090 N 4 00 00.554 E,
    # dZ 4.5 m, rz 0.554", 0.219 ppm in the position vector convention.
    method = helmert(convention, dz_m=4.5, rz_arcsec=sense * 0.554, scale_ppm=0.219)
    ((lon, lat),) = geocentric_shift(np.array([[4.0, 55.0]]), method, WGS72)
    assert (lon * 3600 - 4 * 3600, lat * 3600 - 55 * 3600) == pytest.approx(
        (0.554, 0.090), abs=6e-4
    )


@pytest.mark.parametrize("convention", ["position_vector", "coordinate_frame"])
def test_proj_gives_the_same_for_seven_parameters(convention: str) -> None:
    rng = np.random.default_rng(11)
    points = np.column_stack((rng.uniform(108, 112, 50), rng.uniform(3, 21, 50)))
    method = helmert(
        convention, dx_m=-12.3, dy_m=-113.9, dz_m=-41.2, rx_arcsec=1.7, ry_arcsec=-2.4,
        rz_arcsec=3.1, scale_ppm=-4.2,
    )  # fmt: skip
    pipeline = pyproj.Transformer.from_pipeline(
        "+proj=pipeline +step +proj=unitconvert +xy_in=deg +xy_out=rad"
        " +step +proj=cart +a=6378245 +rf=298.3"
        " +step +proj=helmert +x=-12.3 +y=-113.9 +z=-41.2 +rx=1.7 +ry=-2.4 +rz=3.1 +s=-4.2"
        f" +convention={convention}"
        " +step +inv +proj=cart +a=6378137 +rf=298.257222101"
        " +step +proj=unitconvert +xy_in=rad +xy_out=deg"
    )
    lon, lat, _ = pipeline.transform(points[:, 0], points[:, 1], np.zeros(50))
    found = geocentric_shift(points, method, Ellipsoid(6378245.0, 298.3))
    assert np.abs(found - np.column_stack((lon, lat))).max() < 1e-11


_EPSG_NAMES = {
    "X-axis translation": "dx_m", "Y-axis translation": "dy_m", "Z-axis translation": "dz_m",
    "X-axis rotation": "rx_arcsec", "Y-axis rotation": "ry_arcsec", "Z-axis rotation": "rz_arcsec",
    "Scale difference": "scale_ppm",
}  # fmt: skip


def test_the_operations_of_the_register_come_out_the_same() -> None:
    # Six published operations from Beijing 1954 to WGS 84 (translations, position vectors): PROJ
    # reads them from the register, ours gets their numbers. WGS 84 and CGCS2000 differ by 0.1 mm.
    group = pyproj.transformer.TransformerGroup(
        "EPSG:4214", "EPSG:4326", always_xy=True, allow_ballpark=False
    )
    assert len(group.transformers) >= 2
    for transformer in group.transformers:
        (own,) = (one for one in transformer.operations or () if one.params)
        method = helmert(**{_EPSG_NAMES[one.name]: one.value for one in own.params})
        wanted = transformer.transform(110.0, 19.5)
        (found,) = geocentric_shift(np.array([[110.0, 19.5]]), method, Ellipsoid(6378245.0, 298.3))
        assert found == pytest.approx(wanted, abs=2e-9), own.name
        # Some 50 m: not left unchanged, as PROJ leaves 4214 to 4490.
        assert math.hypot(found[0] - 110.0, found[1] - 19.5) > 2e-4


@pytest.mark.parametrize(
    ("sense", "wanted"), [("counterclockwise", (-100.0, 1000.0)), ("clockwise", (100.0, 1000.0))]
)
def test_the_sense_of_a_rotation_on_a_map(sense: str, wanted: tuple[float, float]) -> None:
    # A point north of the origin moves west when the map turns counterclockwise.
    method = Plane4.model_validate(
        {"kind": "plane4", "target_plane": "EPSG:4546", "east_m": 0.0, "north_m": 0.0,
         "rotation_arcsec": math.degrees(math.atan2(100, 1000)) * 3600, "rotation_sense": sense,
         "scale_ppm": 0.0}
    )  # fmt: skip
    ((east, north),) = plane_shift(np.array([[0.0, math.hypot(100, 1000)]]), method)
    assert (east, north) == pytest.approx(wanted, abs=1e-9)


def test_four_parameters_by_their_textbook_formula() -> None:
    # Chinese textbooks: X' = dX + k(X cos a - Y sin a), Y' = dY + k(X sin a + Y cos a), X north.
    north, east, angle, scale = 2_214_000.0, 432_000.0, math.radians(2.5 / 3600), 1 + 3e-6
    wanted_north = -5.0 + scale * (north * math.cos(angle) - east * math.sin(angle))
    wanted_east = 110.0 + scale * (north * math.sin(angle) + east * math.cos(angle))
    method = Plane4(
        kind="plane4", target_plane="EPSG:4546", east_m=110.0, north_m=-5.0, rotation_arcsec=2.5,
        rotation_sense="clockwise", scale_ppm=3.0,
    )  # fmt: skip
    assert plane_shift(np.array([[east, north]]), method)[0] == pytest.approx(
        (wanted_east, wanted_north), abs=1e-8
    )


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"rx_arcsec": 61.0}, "arc-seconds"),  # radians or milliarcseconds by mistake
        ({"dx_m": 2500.0}, "metres"),
        ({"scale_ppm": 1e6}, "parts per million"),
        ({"dx_m": math.nan}, "finite"),
    ],
)
def test_units_that_cannot_be_are_refused(changes: dict[str, float], word: str) -> None:
    with pytest.raises(ValidationError, match=word):
        helmert(**changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"area_of_use": (20.0, 108.0, 21.0, 112.0)},  # latitude first
        {"area_of_use": (112.0, 17.0, 108.0, 21.0)},
        {"example": True},  # an example that is switched on
        {"source": "local"},  # no name
        {"accuracy_m": 0.0},
    ],
)
def test_a_transformation_hangs_together(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        stated(helmert(), **changes)


def test_the_shipped_examples_are_off_and_cannot_be_used() -> None:
    catalog = load_catalog(PROJECT / "config")
    assert {one.id for one in catalog.transformations} >= {
        "example-xian80-helmert7", "example-beijing54-plane4",
    }  # fmt: skip
    for one in catalog.transformations:
        assert one.example
        assert not one.enabled
        with pytest.raises(CrsRefused) as refused:
            parse_crs("EPSG:4610" if one.source == "xian80" else "EPSG:4214", one)
        assert refused.value.code == "transformation-disabled"


def test_a_plane_of_the_wrong_datum_stops_the_start(tmp_path: Path) -> None:
    source = PROJECT / "config"
    for name in ("layers", "codes"):
        (tmp_path / name).symlink_to(source / name)
    (tmp_path / "transformations").mkdir()
    body = yaml.safe_load(
        (source / "transformations" / "example-beijing54-plane4.yml").read_text("utf-8")
    )
    body["method"]["source_plane"] = "EPSG:4546"  # CGCS2000, not Beijing 1954
    (tmp_path / "transformations" / "a.yml").write_text(yaml.safe_dump(body, allow_unicode=True))
    with pytest.raises(BadConfiguration, match="source_plane"):
        load_catalog(tmp_path)


@pytest.mark.parametrize(
    ("text", "source", "code"),
    [
        ("EPSG:4214", "xian80", "transformation-mismatch"),
        ("EPSG:27700", "xian80", "transformation-mismatch"),
        ("EPSG:4490", "xian80", "transformation-not-applicable"),
        ("EPSG:4326", "xian80", "transformation-not-applicable"),
        ("CRS84", "xian80", "transformation-not-applicable"),
        ("gcj02", "xian80", "obfuscated-crs"),
        ("local", "xian80", "transformation-mismatch"),
    ],
)
def test_a_transformation_serves_its_own_source_only(text: str, source: str, code: str) -> None:
    with pytest.raises(CrsRefused) as refused:
        parse_crs(text, stated(helmert(), source))
    assert refused.value.code == code


# eviltransform (tests of its authors; their axis is 108 m shorter, so 1e-6 degrees) and
# coordtransform (its README).
GCJ = [
    ((121.5272106, 31.1774276), (121.531541859215, 31.17530398364597), 1e-6),
    ((113.912316, 22.543847), (113.9171764808363, 22.540796131694766), 1e-6),
    ((116.377817, 39.911954), (116.38404722455657, 39.91334545536069), 1e-6),
    ((116.404, 39.915), (116.41024449916938, 39.91640428150164), 1e-10),
]


@pytest.mark.parametrize(("plain", "moved", "within"), GCJ)
def test_gcj02_as_published_and_back(
    plain: tuple[float, float], moved: tuple[float, float], within: float
) -> None:
    found = obfuscation.gcj02_of_wgs84(np.array([plain]))
    assert found[0] == pytest.approx(moved, abs=within)
    assert obfuscation.undo(np.array([moved]), "gcj02")[0] == pytest.approx(plain, abs=2 * within)


def test_bd09_as_published_and_back() -> None:
    found = obfuscation.bd09_of_gcj02(np.array([[116.404, 39.915]]))
    assert found[0] == pytest.approx((116.41036949371029, 39.92133699351021), abs=1e-12)
    both = np.array([[116.41662724378733, 39.922699552216216]])  # README: BD-09 of 116.404 39.915
    assert obfuscation.undo(both, "bd09")[0] == pytest.approx((116.404, 39.915), abs=1e-9)


def test_in_hainan_the_offsets_are_the_published_ones_and_are_undone() -> None:
    # crs-and-formats 3.1: 432-510 m and 1153-1230 m in Hainan.
    rng = np.random.default_rng(5)
    plain = np.column_stack((rng.uniform(108.7, 110.9, 300), rng.uniform(18.3, 20.1, 300)))
    geod = pyproj.Geod(ellps="GRS80")
    moved = obfuscation.gcj02_of_wgs84(plain)
    twice = obfuscation.bd09_of_gcj02(moved)
    for points, low, high in ((moved, 400, 540), (twice, 1100, 1280)):
        length = geod.inv(*plain.T, *points.T)[2]
        assert low < length.min()
        assert length.max() < high
    assert geod.inv(*plain.T, *obfuscation.undo(moved, "gcj02").T)[2].max() < 1e-4
    assert geod.inv(*plain.T, *obfuscation.undo(twice, "bd09").T)[2].max() < 1e-4


@pytest.mark.parametrize("name", ["gcj02", "GCJ-02", "bd09", "BD-09"])
def test_obfuscations_need_the_flag_and_the_flag_needs_them(name: str) -> None:
    with pytest.raises(CrsRefused) as refused:
        parse_crs(name)
    assert refused.value.code == "obfuscated-crs"
    crs = parse_crs(name, convert_obfuscated=True)
    assert crs.statement()["use"] == "not for statutory use"
    assert crs.added_accuracy_m == 5.0
    assert not crs.is_storage
    with pytest.raises(CrsRefused) as refused:
        parse_crs("EPSG:4490", convert_obfuscated=True)
    assert refused.value.code == "not-obfuscated"


def test_nothing_is_given_out_on_another_datum() -> None:
    crs = parse_crs("EPSG:4610", stated(helmert(dx_m=100.0)))
    here = np.array([shapely.Point(110, 19)])
    with pytest.raises(CrsRefused):
        from_storage(here, crs)
    assert to_storage(here, crs)[0].distance(here[0]) > 5e-4
