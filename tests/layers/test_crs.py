"""CRS policy, axis order and snapping, against published codes and coordinates."""

import numpy as np
import pytest
import shapely
from pyproj import CRS, Geod

from layers.crs import (
    LocalPlane,
    distance_m,
    from_storage,
    gauss_kruger_code,
    parse_crs,
    snap,
    swap_axes,
    to_storage,
    transform_box,
)
from layers.errors import CrsRefused


@pytest.mark.parametrize("zone", range(25, 46))
def test_three_degree_zones_have_their_codes(zone: int) -> None:
    # crs-and-formats 1.1: with prefix 4488 + zone, without 4509 + zone; northing first.
    for code, false_easting in ((4488 + zone, zone * 1_000_000 + 500_000), (4509 + zone, 500_000)):
        crs = parse_crs(f"EPSG:{code}")
        assert crs.swapped
        place = np.array([shapely.Point(zone * 3, 20.0)])
        (on_meridian,) = from_storage(place, crs)
        assert on_meridian.x == pytest.approx(false_easting, abs=1e-6)


def test_published_coordinate() -> None:
    # pygeoapi-and-ogc 4: 120.001 E 30.000 N = E 500096.486, N 3320113.398 in EPSG:4549
    (point,) = from_storage(np.array([shapely.Point(120.001, 30.0)]), parse_crs("EPSG:4549"))
    assert (point.x, point.y) == pytest.approx((500096.486, 3320113.398), abs=5e-4)
    (back,) = to_storage(np.array([point]), parse_crs("EPSG:4549"))
    assert (back.x, back.y) == pytest.approx((120.001, 30.0), abs=1e-11)


@pytest.mark.parametrize(
    ("text", "code", "swapped"),
    [
        ("EPSG:4490", "EPSG:4490", True),
        ("4490", "EPSG:4490", True),
        ("cgcs2000", "EPSG:4490", True),
        ("http://www.opengis.net/def/crs/EPSG/0/4525", "EPSG:4525", True),
        ("urn:ogc:def:crs:EPSG::4525", "EPSG:4525", True),
        ("http://www.opengis.net/def/crs/OGC/1.3/CRS84", "OGC:CRS84", False),
        ("EPSG:3857", "EPSG:3857", False),
        (CRS.from_epsg(4525).to_wkt("WKT1_ESRI"), "EPSG:4525", True),
        (CRS.from_epsg(4490).to_wkt("WKT1_ESRI"), "EPSG:4490", True),
    ],
)
def test_names_that_are_read(text: str, code: str, swapped: bool) -> None:
    crs = parse_crs(text)
    assert (crs.code, crs.swapped) == (code, swapped)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("EPSG:4610", "datum-transform-required"),  # Xian 1980
        ("EPSG:2381", "datum-transform-required"),
        ("EPSG:4214", "datum-transform-required"),  # Beijing 1954
        ("EPSG:27700", "datum-transform-required"),
        ("GCJ-02", "obfuscated-crs"),
        ("bd09", "obfuscated-crs"),
        ("EPSG:999999", "unknown-crs"),
        ("nonsense", "unknown-crs"),
        ("EPSG:5703", "unknown-crs"),  # heights only
    ],
)
def test_names_that_are_refused(text: str, code: str) -> None:
    with pytest.raises(CrsRefused) as refused:
        parse_crs(text)
    assert refused.value.code == code


def test_long_edges_stay_straight_within_a_millimetre() -> None:
    # crs-and-formats 4.3: a straight edge of 5 km stored in 4546 lies 0.203 m off the same edge
    # in 4490. Cutting it first keeps every point of the edge where it was.
    zone = parse_crs("EPSG:4546")
    edge = shapely.LineString([(420_000, 2_200_000), (425_000, 2_200_000)])
    (stored,) = to_storage(np.array([edge]), zone)
    (middle_in_zone,) = to_storage(np.array([edge.interpolate(0.5, normalized=True)]), zone)
    assert distance_m(middle_in_zone, stored) < 0.001


def test_wgs84_is_declared_equal_and_never_left_to_proj() -> None:
    place = np.array([shapely.Point(110.0, 19.5)])
    for name in ("CRS84", "EPSG:4326", "EPSG:4490"):
        assert to_storage(place, parse_crs(name))[0].equals(place[0])
    (mercator,) = from_storage(place, parse_crs("EPSG:3857"))
    assert mercator.x == pytest.approx(110.0 / 180 * 20037508.342789244, abs=1e-6)


def test_snapping_keeps_shared_edges_and_validity() -> None:
    left = shapely.Polygon([(110, 19), (110.1234567891, 19.0000000049), (110.05, 19.1)])
    right = shapely.Polygon([(110.1234567891, 19.0000000049), (110.2, 19.1), (110.05, 19.1)])
    snapped = snap(np.array([left, right]))
    assert shapely.is_valid(snapped).all()
    shared = snapped[0].intersection(snapped[1])
    assert shared.length == pytest.approx(left.intersection(right).length, rel=1e-7)
    assert snapped[0].intersection(snapped[1]).area == 0
    points = shapely.get_coordinates(snapped)
    assert np.abs(points * 1e8 - np.round(points * 1e8)).max() < 1e-4
    # Snapping a second time moves nothing.
    assert shapely.equals_exact(snap(snapped), snapped, 0).all()


def test_snapping_mends_what_rounding_breaks() -> None:
    spike = shapely.Polygon(
        [(110, 19), (110.01, 19), (110.01, 19.01), (110.005, 19.000000004), (110, 19.01)]
    )
    assert spike.is_valid
    rounded = shapely.transform(spike, lambda points: np.round(points, 8))
    assert not rounded.is_valid  # the spike falls onto the edge: the case is a real one
    (snapped,) = snap(np.array([spike]))
    assert snapped.is_valid
    assert snapped.area == pytest.approx(spike.area, rel=1e-5)


def test_boxes_follow_their_edges() -> None:
    zone = parse_crs("EPSG:4546")
    west, south, east, north = transform_box((400_000, 2_000_000, 600_000, 2_200_000), zone)
    corners = to_storage(
        np.array([shapely.Point(400_000, 2_000_000), shapely.Point(600_000, 2_200_000)]), zone
    )
    assert west <= corners[0].x
    assert south <= corners[0].y
    # The southern edge bulges: its middle lies south of both corners.
    assert north >= corners[1].y
    assert east >= corners[1].x


def test_local_plane_and_distance_against_geod() -> None:
    here, there = shapely.Point(110.0, 19.5), shapely.Point(110.003, 19.502)
    expected = Geod(a=6378137.0, rf=298.257222101).inv(110.0, 19.5, 110.003, 19.502)[2]
    assert distance_m(here, there) == pytest.approx(expected, abs=1e-6)
    plane = LocalPlane.around(here)
    assert plane.to_metres(there).distance(plane.to_metres(here)) == pytest.approx(
        expected, rel=1e-4
    )
    assert plane.to_degrees(plane.to_metres(there)).equals_exact(there, 1e-12)
    assert distance_m(shapely.box(110, 19, 111, 20), here) == 0


def test_swap_and_zone() -> None:
    (swapped,) = swap_axes(np.array([shapely.Point(110, 19)]))
    assert (swapped.x, swapped.y) == (19, 110)
    assert gauss_kruger_code(109.49) == "EPSG:4524"
    assert gauss_kruger_code(109.51) == "EPSG:4525"
