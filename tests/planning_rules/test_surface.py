"""Height surfaces against an oracle that samples: a dense grid of geodesic distances by pyproj."""

import numpy as np
import pyproj
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from planning_rules.rule_case import ORIGIN
from planning_rules.surface import _edge, _lower_than, _rise_m, _Surface

GEOD = pyproj.Geod(a=6378137, rf=298.257222101)


def lonlat(geometry: shapely.Geometry) -> shapely.Geometry:
    moved: shapely.Geometry = ORIGIN.to_degrees(geometry)
    return moved


def edge(*points: tuple[float, float]) -> shapely.Geometry:
    found = _edge(shapely.to_wkt(lonlat(shapely.LineString(points)), rounding_precision=9))
    assert found is not None
    return found


def grid(site: shapely.Geometry, steps: int = 40) -> np.ndarray:
    west, south, east, north = site.bounds
    xs, ys = np.meshgrid(np.linspace(west, east, steps), np.linspace(south, north, steps))
    return np.column_stack([xs.ravel(), ys.ravel()])


def test_a_plane_rises_with_the_distance_to_the_endless_edge() -> None:
    """Beside the ends of the edge too; the foot of the perpendicular is found by sampling."""
    approach = _Surface(10.0, 0.02, edge((0, -150), (0, 150)))
    site = lonlat(shapely.box(6000, 900, 6400, 1100))
    meridian = shapely.get_coordinates(lonlat(shapely.LineString([(0, -3000), (0, 3000)])))
    lats = np.linspace(meridian[0][1], meridian[1][1], 4001)
    nearest = min(
        GEOD.inv(np.full(len(lats), lon), np.full(len(lats), lat), np.full(len(lats), 109.8), lats)[
            2
        ].min()
        for lon, lat in grid(site, 9)
    )
    assert _rise_m(site, approach) == pytest.approx(nearest * 0.02, abs=0.01)


def test_a_cone_rises_from_the_rim_of_the_level_surface() -> None:
    rim = [(4000 * np.cos(a), 4000 * np.sin(a)) for a in np.linspace(0, 2 * np.pi, 181)]
    cone = _Surface(55.0, 0.05, edge(*rim))
    site = lonlat(shapely.box(4500, 1000, 4700, 1300))
    corner = float(np.hypot(4500, 1000))
    # The rim is a polygon of 180 sides: up to 0.6 m inside the circle.
    assert _rise_m(site, cone) == pytest.approx((corner - 4000) * 0.05, abs=0.05)


@settings(max_examples=40, deadline=None)
@given(
    st.floats(500, 14_000), st.floats(-1500, 1500), st.floats(20, 3000), st.floats(20, 800),
)  # fmt: skip
def test_no_sample_lies_lower(x: float, y: float, width: float, height: float) -> None:
    approach = _Surface(0.0, 0.02, edge((0, -150), (0, 150)))
    site = lonlat(shapely.box(x, y, x + width, y + height))
    low = _rise_m(site, approach)
    points = grid(site, 12)
    # The edge is the meridian 109.8 here: the sampled rise is the way along the parallel.
    flat = np.full(len(points), 109.8)
    sampled = GEOD.inv(points[:, 0], points[:, 1], flat, points[:, 1])[2] * 0.02
    assert low <= sampled.min() + 0.01


def test_the_pierced_part_ends_where_the_surface_is_as_high_as_the_top() -> None:
    approach = _Surface(10.0, 0.02, edge((0, -150), (0, 150)))
    site = lonlat(shapely.box(1000, -50, 3000, 50))
    pierced = ORIGIN.to_metres(_lower_than(site, approach, 40.0))
    assert pierced.bounds == pytest.approx((1000, -50, 1500, 50), abs=1.0)


@pytest.mark.parametrize(
    "text", [None, 3, "", "LINESTRING (", "POINT (1 2)", "LINESTRING EMPTY", "POLYGON EMPTY"]
)
def test_an_edge_that_is_none(text: object) -> None:
    assert _edge(text) is None
