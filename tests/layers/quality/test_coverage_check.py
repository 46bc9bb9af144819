"""Gaps and overlaps of constructed coverages: hit, miss and touch, in one cell and in many."""

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
import pytest
import shapely

from layers.area import area_m2
from layers.crs import LocalPlane, snap
from layers.quality.coverage_check import CellCoverage, Gap, cell_coverage, gaps_of
from layers.quality.overlaps import Overlap, join_pairs

MakeBox = Callable[[float, float, float, float], shapely.Polygon]
Place = Callable[[shapely.Geometry], shapely.Geometry]
ROUNDING_M = 0.002


def check(
    shapes: Sequence[shapely.Geometry], cuts: Sequence[float] = ()
) -> tuple[list[Overlap], list[Gap]]:
    """The whole walk, with the plane cut into cells at longitudes."""
    array = np.array(shapes, dtype=object)
    west, south, east, north = shapely.total_bounds(array).tolist()
    centres = (shapely.bounds(array)[:, 0] + shapely.bounds(array)[:, 2]) / 2
    answers: list[CellCoverage] = []
    edges = [west, *cuts, east]
    for low, high in pairwise(edges):
        meets = shapely.intersects(array, shapely.box(low, south, high, north))
        home = (centres >= low) & ((centres < high) | (high == east))
        ids = [str(i) for i in np.flatnonzero(meets)]
        answers.append(
            cell_coverage(
                ids, array[meets], home[meets], (low, south, high, north),
                open_gap_width_m=2.0, rounding_m=ROUNDING_M,
            )
        )  # fmt: skip
    overlaps = join_pairs([p for a in answers for p in a.overlaps], ROUNDING_M)
    unions = [a.union for a in answers if a.union]
    return overlaps, gaps_of(unions, [c for a in answers for c in a.cracks], [], ROUNDING_M)


def test_neighbours_that_share_an_edge_are_clean(box: MakeBox) -> None:
    assert check([box(0, 0, 100, 100), box(100, 0, 200, 100)]) == ([], [])


def test_a_shared_corner_is_clean(box: MakeBox) -> None:
    assert check([box(0, 0, 100, 100), box(100, 100, 200, 200)]) == ([], [])


def test_a_t_junction_without_a_vertex_is_clean(box: MakeBox) -> None:
    assert check([box(0, 0, 100, 100), box(100, 0, 200, 37), box(100, 37, 200, 100)]) == ([], [])


def test_a_slanted_t_junction_is_rounding(place: Place) -> None:
    """The vertex cannot lie on the grid and on the neighbour's edge: some nanodegrees are off."""
    whole = place(shapely.Polygon([(0, 0), (70, 0), (103.3, 171.7), (0, 171.7)]))
    middle = (70 + 33.3 / 3, 171.7 / 3)
    low = place(shapely.Polygon([(70, 0), (300, 0), (300, 60), middle]))
    high = place(shapely.Polygon([middle, (300, 60), (300, 171.7), (103.3, 171.7)]))
    junction = shapely.Point(shapely.get_coordinates(low)[-2])
    off_m = float(shapely.distance(junction, shapely.boundary(whole))) * 111_000
    assert 0 < off_m < ROUNDING_M
    assert check([whole, low, high]) == ([], [])


def test_islands_are_no_gaps(box: MakeBox) -> None:
    assert check([box(0, 0, 100, 100), box(500, 0, 600, 100)]) == ([], [])


@pytest.mark.parametrize("width_m", [0.01, 0.1, 1.0, 1.9])
def test_a_crack_that_leads_out_is_found_up_to_the_width(box: MakeBox, width_m: float) -> None:
    overlaps, gaps = check([box(0, 0, 100, 100), box(100 + width_m, 0, 200, 100)])
    assert overlaps == []
    (gap,) = gaps
    assert not gap.closed
    assert gap.width_m == pytest.approx(width_m, abs=0.0015 + 0.02 * width_m)
    assert area_m2(gap.polygon) == pytest.approx(100 * width_m, rel=0.05, abs=0.15)


def test_a_wider_opening_is_the_outline(box: MakeBox) -> None:
    assert check([box(0, 0, 100, 100), box(103, 0, 200, 100)]) == ([], [])


def ring_of_four(box: MakeBox) -> list[shapely.Polygon]:
    """A frame around an empty square of 60 m by 40 m."""
    return [
        box(0, 0, 100, 20), box(0, 60, 100, 100), box(0, 20, 20, 60), box(80, 20, 100, 60),
    ]  # fmt: skip


def test_a_hole_in_the_middle_is_a_gap(box: MakeBox) -> None:
    overlaps, gaps = check(ring_of_four(box))
    assert overlaps == []
    (gap,) = gaps
    assert gap.closed
    assert area_m2(gap.polygon) == pytest.approx(60 * 40, rel=1e-4)
    assert gap.width_m == pytest.approx(40, rel=0.02)


def test_an_island_in_the_hole_is_taken_out_of_it(box: MakeBox) -> None:
    _, (gap,) = check([*ring_of_four(box), box(40, 30, 50, 40)])
    assert area_m2(gap.polygon) == pytest.approx(60 * 40 - 100, rel=1e-4)
    assert check([*ring_of_four(box), box(20, 20, 80, 60)]) == ([], [])


def test_an_overlap_is_measured(box: MakeBox) -> None:
    (overlap,), gaps = check([box(0, 0, 100, 100), box(97, 0, 200, 100)])
    assert gaps == []
    assert (overlap.first, overlap.second) == ("0", "1")
    assert overlap.area_m2 == pytest.approx(300, rel=1e-3)
    assert overlap.width_m == pytest.approx(3, rel=0.02)


def test_one_inside_another_and_twice_the_same_overlap(box: MakeBox) -> None:
    (inside,), _ = check([box(0, 0, 100, 100), box(10, 10, 30, 30)])
    assert inside.area_m2 == pytest.approx(400, rel=1e-3)
    (same,), _ = check([box(0, 0, 100, 100), box(0, 0, 100, 100)])
    assert same.area_m2 == pytest.approx(10_000, rel=1e-3)


def test_cells_change_nothing(box: MakeBox, place: Place) -> None:
    """A gap, a crack and an overlap that lie across the border of two cells come once, whole."""
    shapes = [
        *ring_of_four(box), box(0, 100, 100, 200), box(0, 201, 100, 300), box(0, 299, 100, 400),
    ]  # fmt: skip
    border = shapely.get_coordinates(place(shapely.Point(47, 0)))[0, 0]
    whole, cut = check(shapes), check(shapes, [border])
    for overlaps, gaps in (whole, cut):
        (overlap,) = overlaps
        assert overlap.area_m2 == pytest.approx(100, rel=0.01)
        figures = sorted(area_m2(gap.polygon) for gap in gaps)
        assert figures == pytest.approx([100, 2400], rel=0.01)


def test_random_coverage_against_the_areas(place: Place) -> None:
    """Voronoi cells fill their box: what is taken out or grown shows to the square metre."""
    random = np.random.default_rng(7)
    points = shapely.multipoints(random.uniform(0, 1000, (300, 2)))
    window = shapely.box(0, 0, 1000, 1000)
    pieces = shapely.get_parts(shapely.voronoi_polygons(points, extend_to=window))
    pieces = shapely.intersection(pieces, window)
    plane = LocalPlane.at(110.0, 19.5)
    cells = snap(plane.to_degrees(pieces))
    border = float(np.median(shapely.get_coordinates(cells)[:, 0]))
    assert check(list(cells), [border]) == ([], [])
    inner = int(np.argmin(shapely.distance(pieces, shapely.Point(500, 500))))
    _, (gap,) = check([*cells[:inner], *cells[inner + 1 :]], [border])
    assert area_m2(gap.polygon) == pytest.approx(area_m2(cells[inner]), abs=1e-3)
    grown = place(shapely.buffer(pieces[inner], 3))
    rest = shapely.union_all(np.delete(cells, inner))
    overlaps, gaps = check([*cells[:inner], grown, *cells[inner + 1 :]], [border])
    assert gaps == []
    total = sum(one.area_m2 for one in overlaps)
    assert total == pytest.approx(area_m2(shapely.intersection(grown, rest)), abs=0.05)
