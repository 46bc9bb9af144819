"""Validity at a glance: it says what GEOS says, about any polygon."""

import numpy as np
import shapely
from hypothesis import given
from hypothesis import strategies as st

from layers import validity
from layers.validity import are_valid

CORNERS = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=3, max_size=9)
SHELL = [(0, 0), (4, 0), (4, 4), (0, 4)]


def array(*shapes: object) -> np.ndarray:
    found = np.empty(len(shapes), dtype=object)
    found[:] = shapes
    return found


@given(st.lists(CORNERS, min_size=1, max_size=20), st.sampled_from([1.0, 1e-7, 0.1]))
def test_it_says_what_geos_says(rings: list[list[tuple[int, int]]], scale: float) -> None:
    points = [np.array(ring, dtype=float) * scale + (109.5, 19.2) for ring in rings]
    shapes = array(*(shapely.Polygon(ring) for ring in points))
    assert are_valid(shapes).tolist() == shapely.is_valid(shapes).tolist()


@given(CORNERS, CORNERS)
def test_holes_and_parts_are_not_overlooked(
    first: list[tuple[int, int]], second: list[tuple[int, int]]
) -> None:
    shapes = array(
        shapely.Polygon(first, [second]),
        shapely.Polygon(SHELL, [first]),
        shapely.MultiPolygon([shapely.Polygon(first), shapely.Polygon(second)]),
        shapely.MultiPolygon([shapely.Polygon(first)]),
        shapely.LineString([*first, first[0]]),
        shapely.MultiPoint(first),
    )
    assert are_valid(shapes).tolist() == shapely.is_valid(shapes).tolist()


def test_what_is_no_polygon_is_asked_of_geos() -> None:
    shapes = array(None, shapely.Polygon(), shapely.Point(1, 1), shapely.GeometryCollection())
    assert are_valid(shapes).tolist() == [False, True, True, True]
    assert are_valid(array()).tolist() == []


def test_a_ring_that_winds_twice_is_not_valid() -> None:
    angles = np.linspace(0, 4 * np.pi, 11)
    twice = shapely.Polygon(np.column_stack((np.cos(angles), np.sin(angles))) * 0.01 + (109, 19))
    assert are_valid(array(twice)).tolist() == [False]


def test_parcels_do_not_go_to_geos() -> None:
    """Else the test costs time instead of sparing it."""
    angles = np.linspace(0, 2 * np.pi, 40)
    parcel = shapely.Polygon(np.column_stack((np.cos(angles), np.sin(angles))) * 1e-3 + (109, 19))
    shapes = array(
        parcel, parcel.reverse(), shapely.MultiPolygon([parcel]), shapely.box(1, 1, 2, 2)
    )
    assert validity._plain_rings(shapes).tolist() == [True] * 4
