"""The parts the drawing is made of: coast, noise, borders, superblocks, rivers."""

import json

import numpy as np
import pytest
import shapely

from gis_service.demo_province import coast
from gis_service.demo_province.borders import county_borders
from gis_service.demo_province.coast import roughen
from gis_service.demo_province.drawing_plane import geometry_to_lonlat, to_lonlat, to_plane
from gis_service.demo_province.noise import fractal_noise, lattice, value_noise
from gis_service.demo_province.places import COUNTIES
from gis_service.demo_province.superblocks import COUNTRY, TOWN, Figure, superblocks

SEED = 20_260_101


def _topology():
    """Two islands in quantised, delta-coded arcs; the second uses its arc backwards."""
    scale, west, south = 0.001, 108.0, 17.0

    def arc(points):
        steps = np.diff(np.array([[0, 0], *points]), axis=0)
        return steps.tolist()

    island = arc([(700, 1_500), (2_700, 1_500), (2_700, 2_900), (700, 2_900), (700, 1_500)])
    half = arc([(2_800, 2_800), (2_800, 2_900), (2_900, 2_900)])
    rest = arc([(2_800, 2_800), (2_900, 2_800), (2_900, 2_900)])
    abroad = arc([(9_000, 100), (9_500, 100), (9_500, 600), (9_000, 100)])
    polygons = [[[0]], [[2, ~1]], [[3]]]
    land = {"type": "GeometryCollection", "geometries": [{"type": "MultiPolygon"}]}
    land["geometries"][0]["arcs"] = polygons
    return {
        "type": "Topology",
        "transform": {"scale": [scale, scale], "translate": [west, south]},
        "arcs": [island, half, rest, abroad],
        "objects": {"land": land},
    }


def test_coast_is_read_from_topojson_with_reversed_arcs(tmp_path):
    file = tmp_path / "land-10m.json"
    file.write_text(json.dumps(_topology()))
    land = geometry_to_lonlat(coast.land(SEED, file))
    parts = shapely.get_parts(land)
    assert len(parts) == 2
    assert shapely.is_valid(parts).all()
    west, south, east, north = parts[0].bounds
    assert np.allclose((west, south, east, north), (108.7, 18.5, 110.7, 19.9), atol=0.35)
    islet = shapely.convex_hull(parts[1])
    assert islet.intersects(shapely.box(110.8, 19.8, 110.9, 19.9))


def test_without_a_file_the_island_is_invented(tmp_path):
    for missing in (None, tmp_path / "no-such-file.json"):
        land = coast.land(SEED, missing)
        assert land.is_valid
        assert 2e10 < land.area < 5e10


def test_roughening_keeps_the_given_points_and_bounds_the_segments():
    points = np.array([[0.0, 0.0], [9_000.0, 0.0], [9_000.0, 7_000.0]])
    line = roughen(points, SEED, 1, longest_m=150.0, amplitude=0.15)
    assert np.hypot(*np.diff(line, axis=0).T).max() <= 150.0
    for point in points:
        assert (line == point).all(axis=1).any()
    assert np.array_equal(line, roughen(points, SEED, 1, longest_m=150.0, amplitude=0.15))
    other = roughen(points, SEED + 1, 1, longest_m=150.0, amplitude=0.15)
    assert line.tolist() != other.tolist()


def test_noise_is_smooth_bounded_and_of_the_place_alone():
    x = np.linspace(-5_000, 5_000, 2_001)
    y = np.full_like(x, 321.0)
    noise = value_noise(x, y, 1_000.0, SEED)
    assert 0 <= noise.min() < 0.35
    assert 0.65 < noise.max() < 1
    assert np.abs(np.diff(noise)).max() < 0.02
    some = np.array([3, 1_999, 0])
    assert np.array_equal(value_noise(x[some], y[some], 1_000.0, SEED), noise[some])
    assert abs(fractal_noise(x, y, 300.0, SEED).mean()) < 0.2


def test_lattice_is_even_and_depends_on_the_seed():
    column, row = (a.ravel() for a in np.meshgrid(np.arange(-300, 300), np.arange(-300, 300)))
    numbers = lattice(column, row, SEED)
    counts, _ = np.histogram(numbers, bins=20, range=(0, 1))
    assert counts.min() > 0.94 * counts.mean()
    assert counts.max() < 1.06 * counts.mean()
    assert not np.array_equal(numbers, lattice(column, row, SEED + 1))
    # Neighbours know nothing of each other.
    grid = numbers.reshape(600, 600)
    assert abs(np.corrcoef(grid[:, 1:].ravel(), grid[:, :-1].ravel())[0, 1]) < 0.01


def test_grid_points_come_back_from_the_plane():
    chance = np.random.default_rng(1)
    lonlat = np.round(chance.uniform((108.3, 17.9), (111.5, 20.3), (20_000, 2)), 8)
    assert np.array_equal(to_lonlat(to_plane(lonlat)), lonlat)


def test_borders_part_every_county_from_the_others():
    frame = shapely.box(-300_000, -300_000, 300_000, 300_000)
    lines = [shapely.linestrings(line) for line in county_borders(SEED)]
    areas = shapely.get_parts(
        shapely.polygonize(shapely.get_parts(shapely.union_all([frame.boundary, *lines])))
    )
    seats = shapely.points(to_plane(np.array([county.seat for county in COUNTIES])))
    home = [int(np.flatnonzero(shapely.contains(areas, seat))[0]) for seat in seats]
    assert len(set(home)) == len(COUNTIES)


def test_superblocks_close_and_have_no_holes_to_divide_around():
    land = shapely.box(-9_000, -9_000, 9_000, 9_000)
    figures = [
        Figure(shapely.Point(-3_000, 500).buffer(900), TOWN, 0),
        Figure(shapely.Point(3_000, 800).buffer(700), TOWN, 1),
        Figure(shapely.Point(3_000, 800).buffer(200), COUNTRY, 2),
    ]
    points = np.array([shapely.Point(0, -5_000)], dtype=object)
    blocks = superblocks(land, [], (points, np.array([0])), figures, 250.0)
    faces = geometry_to_lonlat(blocks.faces)
    assert shapely.coverage_is_valid(faces)
    assert shapely.area(blocks.faces).sum() == pytest.approx(land.area, rel=1e-6)
    assert not shapely.get_num_interior_rings(blocks.faces).any()
    towns = shapely.area(blocks.faces[blocks.kind == TOWN]).sum()
    assert abs(towns / (np.pi * (900**2 + 700**2 - 200**2)) - 1) < 0.02
