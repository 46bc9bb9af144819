"""Spikes, slivers, repeats, invalid shapes: constructed figures on both sides of each threshold."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import shapely

from layers.area import area_m2
from layers.quality.findings import CheckedLayer, Finding
from layers.quality.levels import Levels
from layers.quality.shape_check import check_shapes
from layers.text import Text

MakeBox = Callable[[float, float, float, float], shapely.Polygon]
Place = Callable[[shapely.Geometry], shapely.Geometry]


def check(
    levels: Levels, *shapes: shapely.Geometry, region: shapely.Polygon | None = None
) -> list[Finding]:
    layer = CheckedLayer(
        "planned_landuse", Text(zh="规划", en="plan"), 1, "polygon", 2.5, True,
        levels.of_layer("planned_landuse"),
    )  # fmt: skip
    ids = [f"p{number}" for number in range(len(shapes))]
    bounds = None if region is None else region.bounds
    return check_shapes(layer, ids, np.array(shapes, dtype=object), bounds)


def spike(angle_deg: float, length_m: float) -> shapely.Polygon:
    """A square of 100 m with a spike on its upper side."""
    half = length_m * math.tan(math.radians(angle_deg / 2))
    return shapely.Polygon(
        [(0, 0), (100, 0), (100, 100), (50 + half, 100), (50, 100 + length_m), (50 - half, 100),
         (0, 100)]
    )  # fmt: skip


@pytest.mark.parametrize(
    ("angle_deg", "length_m", "expected"),
    [(2.5, 40, 1), (3.5, 40, 0), (2.5, 2.5, 1), (2.5, 1.5, 0)],
)
def test_spikes_by_angle_and_length(
    levels: Levels, place: Place, angle_deg: float, length_m: float, expected: int
) -> None:
    found = check(levels, place(spike(angle_deg, length_m)))
    assert [one.code for one in found] == ["spike"] * expected
    for one in found:
        assert one.measured == pytest.approx(angle_deg, abs=0.05)
        tip = shapely.get_coordinates(place(shapely.Point(50, 100 + length_m)))[0]
        assert one.place == pytest.approx(tuple(tip), abs=1e-8)


def test_a_corner_at_the_start_of_the_ring_is_a_corner(levels: Levels, place: Place) -> None:
    whole = shapely.get_coordinates(spike(2.0, 40))[:-1]
    for turn in range(len(whole)):
        turned = shapely.Polygon(np.roll(whole, turn, axis=0))
        assert [one.code for one in check(levels, place(turned))] == ["spike"]


def test_a_sliver_is_narrow_and_thin(levels: Levels, box: MakeBox) -> None:
    (found,) = check(levels, box(0, 0, 200, 0.5))
    assert (found.code, found.severity) == ("sliver-polygon", "advisory")
    assert found.measured == pytest.approx(2 * 100 / 401, rel=0.01)
    road, tiny = box(0, 0, 5000, 10), box(0, 0, 0.5, 0.5)
    assert check(levels, road) == []
    assert check(levels, tiny) == []


def test_the_same_geometry_twice_whatever_it_begins_with(levels: Levels, box: MakeBox) -> None:
    one, other = box(0, 0, 100, 100), box(0, 0, 100, 101)
    turned = shapely.Polygon(np.roll(shapely.get_coordinates(one)[:-1], 2, axis=0)[::-1])
    (found,) = check(levels, one, other, turned)
    assert (found.code, found.feature_ids) == ("duplicate-geometry", ("p0", "p2"))


def test_an_invalid_shape_has_its_place(levels: Levels, place: Place) -> None:
    bow_tie = place(shapely.Polygon([(0, 0), (100, 100), (100, 0), (0, 100)]))
    found = [one for one in check(levels, bow_tie) if one.code == "invalid-geometry"]
    middle = shapely.get_coordinates(place(shapely.Point(50, 50)))[0]
    assert found[0].place == pytest.approx(tuple(middle), abs=2e-8)
    assert "自相交" in found[0].reason.zh


def test_outside_the_region_hit_miss_touch(levels: Levels, box: MakeBox) -> None:
    region = box(0, 0, 1000, 1000)
    inside, touching = box(100, 100, 200, 200), box(900, 0, 1000, 100)
    assert check(levels, inside, touching, region=region) == []
    (found,) = check(levels, box(950, 100, 1050, 200), region=region)
    assert found.code == "outside-region"
    assert found.measured == pytest.approx(area_m2(box(1000, 100, 1050, 200)), rel=1e-3)
