"""Submissions: read strictly, normalised once, refused with the place of the fault."""

import contextlib
import math
import pickle
from typing import Any

import numpy as np
import pyproj
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from layers.errors import BadInput, CrsRefused, GisError, InvalidGeometry, LimitExceeded
from planning_rules.submission import read_submission

REGION = (108.3, 18.0, 111.3, 20.3)
RING = [[110.0, 19.0], [110.01, 19.0], [110.01, 19.01], [110.0, 19.01], [110.0, 19.0]]
SECOND = [[110.02, 19.0], [110.03, 19.0], [110.03, 19.01], [110.02, 19.01], [110.02, 19.0]]


def polygon(*rings: Any) -> dict[str, Any]:
    return {"type": "Polygon", "coordinates": list(rings)}


def feature(geometry: Any, **properties: Any) -> dict[str, Any]:
    return {"type": "Feature", "properties": properties, "geometry": geometry}


def read(value: Any, **options: Any) -> Any:
    return read_submission(value, region_bbox=REGION, **options)


def test_area_is_the_geodesic_one() -> None:
    dense = shapely.segmentize(shapely.Polygon(RING), 0.0001)
    geod = pyproj.Geod(a=6378137.0, rf=298.257222101)
    expected = abs(geod.geometry_area_perimeter(dense)[0])
    submission = read(feature(polygon(RING), name="甲", declared_area_m2=1e6))
    assert submission.area_m2 == pytest.approx(expected, abs=0.05)
    assert (submission.name, submission.declared_area_m2) == ("甲", 1e6)
    assert submission.dimension == 2
    assert submission.id.startswith("S-")


def test_the_same_site_drawn_otherwise_is_the_same_submission() -> None:
    plain = read(feature(polygon(RING), a=1, b=2))
    turned = RING[2:4] + RING[:3]
    assert read(feature(polygon(turned), b=2, a=1)).sha256 == plain.sha256
    assert read(feature(polygon(RING[::-1]), a=1, b=2)).sha256 == plain.sha256
    multi = {"type": "MultiPolygon", "coordinates": [[RING]]}
    assert read(feature(multi, a=1, b=2)).sha256 == plain.sha256
    assert read(feature(polygon(RING), a=1, b=3)).sha256 != plain.sha256
    nudged = [[x + 2e-8, y] for x, y in RING]
    assert read(feature(polygon(nudged), a=1, b=2)).sha256 != plain.sha256


def test_projected_coordinates_are_brought_to_lon_lat() -> None:
    transformer = pyproj.Transformer.from_crs("EPSG:4490", "EPSG:4525", always_xy=True)
    projected = [list(transformer.transform(x, y)) for x, y in RING]
    submission = read(feature(polygon(projected)), source_crs="EPSG:4525")
    direct = read(feature(polygon(RING)))
    assert submission.source_crs == "EPSG:4525"
    # An edge straight in the zone is not straight in degrees: 1 km edges differ by some m2.
    assert submission.area_m2 == pytest.approx(direct.area_m2, rel=1e-5)
    named = {**feature(polygon(projected)), "crs": {"type": "name", "properties": {
        "name": "urn:ogc:def:crs:EPSG::4525"}}}  # fmt: skip
    assert read(named).sha256 == submission.sha256


def test_several_parcels_are_one_site() -> None:
    collection = {
        "type": "FeatureCollection",
        "features": [
            feature(polygon(RING), name="甲", land_take=True, phase=1, declared_area_m2=10.0),
            feature(polygon(SECOND), name="乙", land_take=True, phase=2, declared_area_m2=5.5),
        ],
    }
    submission = read(collection)
    parts = [read(feature(polygon(r))).area_m2 for r in (RING, SECOND)]
    assert submission.area_m2 == pytest.approx(sum(parts), abs=1e-6)
    assert submission.attributes == {
        "name": "甲、乙", "land_take": True, "phase": None, "declared_area_m2": 15.5,
    }  # fmt: skip
    assert [r.code for r in submission.repairs] == ["parcels-joined"]
    assert submission.notes[0].code == "parcels-differ"


def test_overlapping_parcels_count_once() -> None:
    double = {"type": "FeatureCollection", "features": [feature(polygon(RING))] * 2}
    assert read(double).area_m2 == pytest.approx(read(polygon(RING)).area_m2, abs=1e-6)


def test_heights_are_dropped_and_said() -> None:
    submission = read(polygon([[*p, 12.5] for p in RING]))
    assert not submission.geometry.has_z
    assert [r.code for r in submission.repairs] == ["z-dropped"]


def test_survives_a_process_boundary() -> None:
    submission = read(feature(polygon(RING), name="x"))
    assert pickle.loads(pickle.dumps(submission)) == submission


def ring_with(index: int, position: Any) -> list[Any]:
    return [position if i == index else p for i, p in enumerate(RING)]


@pytest.mark.parametrize(
    ("geometry", "pointer"),
    [
        (polygon(ring_with(3, [110.0, math.nan])), "/geometry/coordinates/0/3"),
        (polygon(ring_with(2, [math.inf, 19.0])), "/geometry/coordinates/0/2"),
        (polygon(ring_with(1, ["110", 19.0])), "/geometry/coordinates/0/1"),
        (polygon(ring_with(1, [True, 19.0])), "/geometry/coordinates/0/1"),
        (polygon(ring_with(1, [110.0])), "/geometry/coordinates/0/1"),
        (polygon(ring_with(1, [1e300, 19.0])), "/geometry/coordinates/0/1"),
        (polygon(RING[:-1]), "/geometry/coordinates/0/3"),
        (polygon(RING[:2] + RING[:1]), "/geometry/coordinates/0/2"),
        (polygon(), "/geometry/coordinates"),
        (polygon([]), "/geometry/coordinates/0"),
        ({"type": "Circle", "coordinates": []}, "/geometry/type"),
        ({"type": "Polygon"}, "/geometry/coordinates"),
        ({"type": "MultiPolygon", "coordinates": [[RING], [RING[:-1]]]},
         "/geometry/coordinates/1/0/3"),
        ({"type": "Point", "coordinates": [110.0, math.nan]}, "/geometry/coordinates"),
        ({"type": "LineString", "coordinates": [[110, 19], [110, 19]]}, "/geometry/coordinates"),
        ({"type": "GeometryCollection", "geometries": [
            {"type": "Point", "coordinates": [110, 19]}, polygon(RING)]}, "/geometry"),
        ({"type": "GeometryCollection", "geometries": []}, "/geometry/geometries"),
    ],
)  # fmt: skip
def test_faults_name_their_place(geometry: Any, pointer: str) -> None:
    with pytest.raises(InvalidGeometry) as caught:
        read(feature(geometry))
    assert [place.at for place in caught.value.places] == [pointer]
    assert caught.value.places[0].reason.zh


@pytest.mark.parametrize(
    ("rings", "zh", "position"),
    [
        ([[RING[0], RING[2], RING[1], RING[3], RING[0]]], "自相交", "[110.005, 19.005]"),
        ([RING, [[111, 20], [111.001, 20], [111, 20.001], [111, 20]]], "位于外环之外", "[111"),
        ([RING, RING], "自相交", "["),
        ([[*RING[:3], [110.01, 19.02], RING[2], *RING[3:]]], "自", "[110.01"),
    ],
    ids=["bow-tie", "hole outside", "hole fills the shell", "spike"],
)
def test_invalid_is_refused_with_reason_and_position(rings: Any, zh: str, position: str) -> None:
    with pytest.raises(InvalidGeometry) as caught:
        read(feature(polygon(*rings)))
    (place,) = caught.value.places
    assert zh in place.reason.zh
    assert position in place.reason.en


def test_a_killer_star_is_refused_at_once() -> None:
    n = 1401
    angles = 2 * math.pi * np.arange(n) * (n // 2) / n
    star = np.column_stack((110 + 0.01 * np.cos(angles), 19 + 0.01 * np.sin(angles))).tolist()
    with pytest.raises(InvalidGeometry, match="Self-intersection"):
        read(feature(polygon([*star, star[0]])))


@pytest.mark.parametrize(
    ("ring", "options", "code"),
    [
        ([[y, x] for x, y in RING], {}, "swapped-axes"),
        ([[x - 10, y] for x, y in RING], {}, "outside-region"),
        ([[x, y + 80] for x, y in RING], {}, "outside-crs"),
        ([[500_000 + i, 2_100_000 + j] for i, j in ((0, 0), (9, 0), (9, 9), (0, 0))], {},
         "outside-crs"),
        (RING, {"source_crs": "EPSG:2437"}, "datum-transform-required"),
        (RING, {"source_crs": "GCJ-02"}, "obfuscated-crs"),
        (RING, {"source_crs": "EPSG:4525"}, "outside-crs"),
    ],
)  # fmt: skip
def test_coordinates_that_do_not_fit(ring: Any, options: Any, code: str) -> None:
    with pytest.raises(CrsRefused) as caught:
        read(feature(polygon(ring)), **options)
    assert caught.value.code == code


def test_swapped_northing_and_easting() -> None:
    transformer = pyproj.Transformer.from_crs("EPSG:4490", "EPSG:4525", always_xy=True)
    swapped = [list(transformer.transform(x, y))[::-1] for x, y in RING]
    with pytest.raises(CrsRefused) as caught:
        read(feature(polygon(swapped)), source_crs="EPSG:4525")
    assert caught.value.code == "swapped-axes"


def test_the_message_outside_the_region_names_the_bounds() -> None:
    with pytest.raises(CrsRefused) as caught:
        read(polygon([[x - 10, y] for x, y in RING]))
    assert "108.3" in caught.value.text.en
    assert "111.3" in caught.value.text.zh


def test_a_crs_link_is_never_followed() -> None:
    linked = {**polygon(RING), "crs": {"type": "link", "properties": {"href": "http://x/"}}}
    with pytest.raises(CrsRefused) as caught:
        read(linked)
    assert caught.value.code == "crs-member"


def test_limits_on_vertices_and_parts() -> None:
    line = [[109.0 + i * 1e-6, 19.0 + (i % 2) * 1e-6] for i in range(100_001)]
    with pytest.raises(LimitExceeded, match="100,000"):
        read({"type": "LineString", "coordinates": line})
    assert read({"type": "LineString", "coordinates": line[:100_000]}).dimension == 1
    points = [[109.0 + i * 1e-4, 19.0] for i in range(1_001)]
    with pytest.raises(LimitExceeded, match="1,000"):
        read({"type": "MultiPoint", "coordinates": points})


@pytest.mark.parametrize(
    "properties",
    [{"x": 2**53}, {"x": math.nan}, {"x": "\ud800"}, {"x": {"y": [math.inf]}}, {"x": {1, 2}}],
)
def test_attributes_that_canonical_json_cannot_hold(properties: Any) -> None:
    with pytest.raises(BadInput) as caught:
        read(feature(polygon(RING), **properties))
    assert caught.value.places[0].at.startswith("/properties/x")


def test_deeply_nested_attributes_are_refused() -> None:
    value: Any = 1
    for _ in range(200):
        value = [value]
    with pytest.raises(BadInput, match="deep"):
        read(feature(polygon(RING), x=value))


@pytest.mark.parametrize(
    "value",
    [None, [], "x", {}, {"type": "FeatureCollection", "features": []},
     {"type": "Feature", "geometry": None}, {"type": "FeatureCollection", "features": [1]},
     {"type": "Feature", "geometry": polygon(RING), "properties": [1]},
     {"type": "FeatureCollection", "features": [feature(polygon(RING)), feature(
         {"type": "Point", "coordinates": [110, 19]})]}],
)  # fmt: skip
def test_things_that_are_no_submission(value: Any) -> None:
    with pytest.raises(BadInput):
        read(value)


def test_thinner_than_the_grid() -> None:
    thin = [[110, 19], [110.01, 19], [110.01, 19 + 1e-10], [110, 19]]
    with pytest.raises(GisError):
        read(polygon(thin))


@settings(max_examples=200, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-200, 200) | st.floats() | st.text(max_size=3),
        lambda inner: (
            st.lists(inner, max_size=5)
            | st.dictionaries(
                st.sampled_from(["type", "coordinates", "geometry"]), inner, max_size=3
            )
        ),
        max_leaves=20,
    ),
    st.sampled_from(["Polygon", "MultiPolygon", "LineString", "Point", "GeometryCollection"]),
)
def test_nothing_but_our_errors_for_rubbish(coordinates: Any, kind: str) -> None:
    for value in (coordinates, {"type": kind, "coordinates": coordinates}):
        with contextlib.suppress(GisError):
            assert read(value).area_m2 >= 0


def test_search_boxes_follow_a_corridor() -> None:
    plain = read(polygon(RING)).search_boxes(200)
    assert len(plain) == 1
    west, south, east, north = plain[0]
    geod = pyproj.Geod(a=6378137.0, rf=298.257222101)
    for line in (((110.0, 19.005), (west, 19.005)), ((110.005, 19.01), (110.005, north))):
        assert 200 <= geod.inv(*line[0], *line[1])[2] < 201
    assert south < 19 < east
    line = [[108.7 + i * 0.02, 18.4 + 0.3 * math.sin(i / 9) + i * 0.01] for i in range(100)]
    corridor = read({"type": "LineString", "coordinates": line})
    boxes = corridor.search_boxes(30)
    whole = shapely.box(*corridor.geometry.bounds).area
    assert 10 < len(boxes) <= 64
    assert sum(shapely.box(*box).area for box in boxes) < whole / 10
    assert shapely.union_all([shapely.box(*box) for box in boxes]).covers(corridor.geometry)
