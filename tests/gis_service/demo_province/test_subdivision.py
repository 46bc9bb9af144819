"""Cutting a ring leaves pieces that fill it exactly, however crooked it is."""

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from gis_service.demo_province import subdivision
from gis_service.demo_province.curves import blob
from gis_service.demo_province.drawing_plane import geometry_to_lonlat, geometry_to_plane
from gis_service.demo_province.rings import Rings, Vertices, from_polygons, ranges
from gis_service.demo_province.subdivision import Manner, measure, subdivide


def _crooked(seed: int, unevenness: float = 0.9):
    """A strongly indented outline whose vertices lie on the storage grid."""
    outline = blob(2_000.0, -3_000.0, 1_500.0, seed, 1, unevenness=unevenness, points=160)
    return geometry_to_plane(geometry_to_lonlat(outline))


def _cut(shape, target_m2: float, roughness: float, seed: int = 5):
    vertices = Vertices(np.zeros((0, 2)))
    rings = from_polygons(np.array([shape], dtype=object), vertices)

    def manner(x, y):
        full = np.full_like(x, 1.0)
        return Manner(full * target_m2, full * 60.0, full * roughness)

    pieces, origin = subdivide(rings, vertices, manner, np.random.default_rng(seed))
    return pieces, origin, vertices


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.0, 0.2))
def test_pieces_fill_the_ring_without_gaps_or_overlaps(seed, roughness):
    shape = _crooked(seed)
    pieces, origin, vertices = _cut(shape, 60_000.0, roughness, seed)
    polygons = pieces.polygons(vertices.lonlat)
    whole = geometry_to_lonlat(shape)
    assert shapely.is_valid(polygons).all()
    assert shapely.coverage_is_valid(polygons)
    assert shapely.area(polygons).sum() == pytest.approx(whole.area, rel=1e-12)
    assert shapely.coverage_union_all(polygons).symmetric_difference(whole).area < 1e-15
    assert (origin == 0).all()


def test_pieces_are_as_small_as_asked():
    shape = _crooked(3, unevenness=0.2)
    pieces, _, vertices = _cut(shape, 60_000.0, 0.02)
    areas = measure(pieces, vertices.xy).area_m2
    assert len(areas) > shape.area / 60_000 / 2
    assert np.median(areas) < 60_000 * 1.6


def test_without_the_proof_a_cut_leaves_the_ring(monkeypatch):
    """The check of both sides is what keeps cuts inside: without it crooked rings come apart."""
    monkeypatch.setattr(subdivision, "_sound", lambda rings, vertices: np.ones(len(rings), bool))
    broken = 0
    for seed in range(12):
        pieces, _, vertices = _cut(_crooked(seed), 15_000.0, 0.3, seed)
        broken += not shapely.is_valid(pieces.polygons(vertices.lonlat)).all()
    assert broken


def test_measures_agree_with_the_geometry_library():
    shapes = np.array([_crooked(seed) for seed in range(6)], dtype=object)
    vertices = Vertices(np.zeros((0, 2)))
    shape = measure(from_polygons(shapes, vertices), vertices.xy)
    centres = shapely.centroid(shapes)
    assert shape.area_m2 == pytest.approx(shapely.area(shapes), rel=1e-9)
    assert shape.x == pytest.approx(shapely.get_x(centres), abs=1e-6)
    assert shape.y == pytest.approx(shapely.get_y(centres), abs=1e-6)


def test_ranges_and_rings_by_hand():
    assert ranges(np.array([7, 0, 3]), np.array([2, 0, 3])).tolist() == [7, 8, 3, 4, 5]
    rings = Rings.of_runs(np.array([0, 1, 2, 2, 1, 3, 4]), np.array([3, 4]))
    assert rings.following.tolist() == [1, 2, 0, 4, 5, 6, 3]
    assert rings.owner.tolist() == [0, 0, 0, 1, 1, 1, 1]
    assert rings.take(np.array([1])).vertex.tolist() == [2, 1, 3, 4]
