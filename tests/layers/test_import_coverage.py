"""Coverage: the place of a refused row is never left in it, whatever its shape."""

import numpy as np
import pytest
import shapely
from shapely.geometry.base import BaseGeometry

from layers import import_coverage
from layers.crs import Box, distance_m, snap
from layers.import_coverage import coverage_of

REGION: Box = (107.9, 17.6, 111.9, 20.7)
WHOLE = shapely.box(*REGION)

DEGENERATE: dict[str, Box] = {
    "point": (110, 19, 110, 19),
    "line along a parallel": (110, 19, 110.1, 19),
    "line along a meridian": (110, 19, 110, 19.1),
}


@pytest.mark.parametrize("name", DEGENERATE)
@pytest.mark.parametrize(("accuracy_m", "margin_m"), [(0.05, 1.0), (30.0, 30.0)])
def test_a_box_without_area_is_taken_out_with_a_margin(
    name: str, accuracy_m: float, margin_m: float
) -> None:
    box = DEGENERATE[name]
    area = coverage_of("region", None, REGION, None, [box], accuracy_m=accuracy_m, unplaced=0)

    assert isinstance(area, BaseGeometry)
    west, south, east, north = box
    for corner in (shapely.Point(west, south), shapely.Point(east, north)):
        assert margin_m * 0.99 < distance_m(corner, area) < margin_m * 1.02


@pytest.mark.parametrize("latitude", [-90.0, 90.0])
def test_boxes_at_the_poles_stay_finite(latitude: float) -> None:
    world: Box = (-180, -90, 180, 90)
    refused: Box = (10, latitude, 10, latitude)

    area = coverage_of("region", None, world, None, [refused], accuracy_m=1.0, unplaced=0)

    assert isinstance(area, BaseGeometry)
    assert area.is_valid
    assert not area.intersects(shapely.Point(10, latitude))


def test_rows_without_place_leave_nothing_unless_the_caller_stated_it() -> None:
    assert coverage_of("region", None, REGION, None, [], accuracy_m=1.0, unplaced=1) is None
    stated = coverage_of("region", "region", REGION, None, [], accuracy_m=1.0, unplaced=1)
    assert shapely.equals(stated, WHOLE)


def lattice(side: int) -> list[shapely.Geometry]:
    return [shapely.box(109 + i / 100, 19 + j / 100, 109.01 + i / 100, 19.01 + j / 100)
            for i in range(side) for j in range(side)]  # fmt: skip


@pytest.mark.parametrize("overlapping", [False, True])
@pytest.mark.parametrize("vertices", [1, 400, 10**9])
def test_a_union_that_grows_is_the_union_of_all(
    monkeypatch: pytest.MonkeyPatch, overlapping: bool, vertices: int
) -> None:
    """Joined many at a time, by halves where polygons overlap; the oracle is the plain overlay."""
    shapes = snap(np.array(lattice(20), dtype=object))
    if overlapping:
        shapes = np.append(shapes, [shapely.box(109.105, 19.003, 109.222, 19.5)])
    monkeypatch.setattr(import_coverage, "_JOINED_VERTICES", vertices)
    monkeypatch.setattr(import_coverage, "_OVERLAID_AT_ONCE", 30)

    covered = import_coverage.GrowingUnion()
    for start in range(0, len(shapes), 37):
        covered.add(shapes[start : start + 37])

    found = shapely.from_wkb(covered.wkb())
    whole = shapely.union_all(shapes)
    assert found.is_valid
    assert shapely.symmetric_difference(found, whole).area == pytest.approx(0, abs=1e-12)
    assert found.area == pytest.approx(whole.area, rel=1e-12)


def test_nothing_covers_nothing() -> None:
    assert import_coverage.GrowingUnion().wkb() is None
