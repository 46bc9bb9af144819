"""Search boxes never miss a place near the site, and are found at once."""

import math
import time

import numpy as np
import pyproj
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from planning_rules.search_boxes import _small_boxes, boxes_around

GEOD = pyproj.Geod(a=6378137.0, rf=298.257222101)


def comb(teeth: int, *, upright: bool = True) -> shapely.Geometry:
    """A polygon of 4 vertices a tooth, mostly empty, 0.5 degrees wide and high."""
    step = 0.5 / teeth
    xs = 109.5 + step * np.arange(teeth)
    tooth = np.stack(
        [
            np.column_stack([xs, np.full(teeth, 19.0)]),
            np.column_stack([xs, np.full(teeth, 19.5)]),
            np.column_stack([xs + step * 0.2, np.full(teeth, 19.5)]),
            np.column_stack([xs + step * 0.2, np.full(teeth, 19.0)]),
        ],
        axis=1,
    )
    ring = np.vstack([tooth.reshape(-1, 2), [[xs[-1] + step * 0.2, 18.999], [109.5, 18.999]]])
    return shapely.Polygon(ring if upright else ring[:, ::-1] + np.array([90.5, -90.5]))


@pytest.mark.parametrize("upright", [True, False])
def test_a_comb_of_100_000_vertices_takes_no_time(upright: bool) -> None:
    shape = comb(25_000, upright=upright)
    best = math.inf
    for _ in range(3):
        _small_boxes.cache_clear()
        start = time.process_time()
        boxes = boxes_around(shape, 200)
        best = min(best, time.process_time() - start)
    assert len(boxes) <= 64
    assert best < 0.25  # 50 ms when idle; minutes with overlays


def wild(seed: int, kind: str) -> shapely.Geometry:
    rng = np.random.default_rng(seed)
    walk = np.cumsum(rng.normal(0, 0.02, (30, 2)), axis=0) + np.array([109.8, 19.2])
    line = shapely.LineString(walk)
    if kind == "line":
        return line
    if kind == "points":
        return shapely.MultiPoint(walk)
    if kind == "corridor":
        return line.buffer(0.0003)
    angles = np.linspace(0, 2 * math.pi, 40, endpoint=False)
    radii = 0.3 * rng.uniform(0.05, 1.0, 40)
    star = np.column_stack([109.8 + radii * np.cos(angles), 19.2 + radii * np.sin(angles)])
    return shapely.Polygon(star).difference(shapely.Point(109.8, 19.2).buffer(0.01))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(["line", "points", "corridor", "star"]))
def test_nothing_within_the_margin_is_missed(seed: int, kind: str) -> None:
    shape = wild(seed, kind)
    boxes = np.array(boxes_around(shape, 205))
    assert len(boxes) <= 64
    cover = shapely.union_all(shapely.box(*boxes.T))
    assert cover.covers(shape)
    assert shapely.union_all(shapely.box(*np.array(boxes_around(shape, 0)).T)).covers(shape)
    places = shapely.get_coordinates(shapely.segmentize(shape, 0.005))
    for azimuth in range(0, 360, 45):
        count = len(places)
        x, y, _ = GEOD.fwd(
            places[:, 0], places[:, 1], np.full(count, azimuth), np.full(count, 200.0)
        )
        assert bool(shapely.covers(cover, shapely.points(x, y)).all())


def test_a_large_yard_inside_a_thin_ring_is_left_out_and_a_solid_inside_is_kept() -> None:
    disc = shapely.Point(109.8, 19.2).buffer(0.1)
    ring = disc.difference(shapely.Point(109.8, 19.2).buffer(0.098))
    covered = shapely.union_all([shapely.box(*box) for box in boxes_around(ring, 10)])
    assert not covered.covers(shapely.Point(109.8, 19.2))
    spiky = shapely.union_all([disc, shapely.box(109.0, 19.2, 110.6, 19.2001)])
    covered = shapely.union_all([shapely.box(*box) for box in boxes_around(spiky, 10)])
    assert covered.covers(disc)
