"""The measuring kernel against formulas and another author's answers."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from layers.area import area_m2
from layers.crs import snap
from planning_rules.overlay import Site, TargetFeature, TargetLayer, overlay_layer
from planning_rules.patch import Measured, measure_shared
from planning_rules.rule_case import ORIGIN, CaseLayer, Shape
from planning_rules.rule_set import ResolvedTolerance
from planning_rules.width import narrower_than, width_m

TOLERANCE = ResolvedTolerance(
    min_width_m=0.02, min_area_m2=0.0, classify_as_accuracy_difference=False
)
SITE = {"rectangle": (0, 0, 100, 100)}


def measure(
    site: Any, *features: Any, tolerance: ResolvedTolerance = TOLERANCE, **options: Any
) -> Measured:
    geometry = site if isinstance(site, shapely.Geometry) else Shape(**site).geometry()
    layer = CaseLayer(features=features, **options).target("zone")
    prepared = Site.of(geometry)
    return measure_shared(prepared, overlay_layer(prepared, layer), tolerance)


def kinds(measured: Measured) -> list[str]:
    return sorted(patch.kind for patch in measured.patches)


CIRCLE = [
    (50 + 30 * math.cos(2 * math.pi * k / 400), 50 + 30 * math.sin(2 * math.pi * k / 400))
    for k in range(400)
]


@pytest.mark.parametrize(
    ("features", "expected_m2"),
    [
        ([{"rectangle": (50, 50, 200, 200)}], 2500),
        ([{"rectangle": (-10, -10, 110, 110)}], 10_000),
        ([{"rectangle": (20, 20, 30, 40)}], 200),
        ([{"rectangle": (20, 20, 30, 40)}, {"rectangle": (25, 20, 35, 40)}], 300),
        ([{"polygon": [(0, 0), (100, 0), (0, 100)]}], 5000),
        ([{"polygon": [(100, 50), (150, 0), (150, 100)]}], 0),
        ([{"polygon": CIRCLE}], 200 * 30**2 * math.sin(2 * math.pi / 400)),
        ([{"rectangle": (i * 10, 0, i * 10 + 5, 100)} for i in range(10)], 5000),
        ([], 0),
    ],
    ids=["corner", "inside", "hole", "two overlapping", "half", "tip", "circle", "stripes", "none"],
)
def test_areas_by_formula(features: list[Any], expected_m2: float) -> None:
    # The plane of the drawing is true to some parts in 1e5 over 100 m; the grid is 1 mm.
    assert measure(SITE, *features).amount == pytest.approx(expected_m2, rel=2e-4, abs=0.3)


def test_overlapping_features_count_once_and_each_has_its_patch() -> None:
    measured = measure(SITE, {"rectangle": (0, 0, 60, 100)}, {"rectangle": (40, 0, 100, 100)})
    areas = sorted(patch.area_m2 for patch in measured.patches)
    assert areas == pytest.approx([6000, 6000], rel=1e-4)
    assert measured.amount == pytest.approx(10_000, rel=1e-4)


@pytest.mark.parametrize(
    ("feature", "accuracy_m", "expected"),
    [
        ({"rectangle": (100, 0, 200, 100)}, 1.0, ["touch"]),
        ({"rectangle": (100, 100, 200, 200)}, 1.0, ["touch"]),
        ({"rectangle": (99.99, 0, 200, 100)}, 1.0, ["sliver"]),
        ({"rectangle": (99.5, 0, 200, 100)}, 1.0, ["accuracy-difference"]),
        ({"rectangle": (99.5, 0, 200, 100)}, 0.0, ["conflict"]),
        ({"rectangle": (98.9, 0, 200, 100)}, 1.0, ["conflict"]),
        ({"polygon": [(100, 50), (99.5, 0), (200, 0), (200, 100), (99.5, 100)]}, 1.0,
         ["accuracy-difference"]),
        ({"rectangle": (50, 50, 50.3, 50.3)}, 0.0, ["conflict"]),
    ],
)  # fmt: skip
def test_kind_by_width(feature: Any, accuracy_m: float, expected: list[str]) -> None:
    measured = measure(SITE, feature, accuracy_m=accuracy_m)
    assert kinds(measured) == expected
    assert (measured.amount > 0) == (expected == ["conflict"])


def test_a_strip_of_exactly_the_accuracy_is_a_difference() -> None:
    geometry = Shape(rectangle=(0, 0, 100, 100)).geometry()
    plane = Site.of(geometry).plane
    strip = shapely.box(-50, -50, -49, 50)
    assert narrower_than([strip], 1.0).tolist() == [True]
    assert narrower_than([strip], 0.99).tolist() == [False]
    assert width_m(plane.to_metres(geometry)) == pytest.approx(100, rel=0.02)


def test_a_long_sliver_of_large_area_is_still_a_sliver() -> None:
    measured = measure({"rectangle": (0, 0, 4000, 10)}, {"rectangle": (0, 9.985, 4000, 50)})
    assert kinds(measured) == ["sliver"]
    assert measured.patches[0].area_m2 > 50
    assert measured.patches[0].reason is not None
    assert measured.patches[0].reason.code == "below_min_width"


def test_narrow_strips_side_by_side_are_one_conflict() -> None:
    strips = [{"rectangle": (50 + i * 0.5, 0, 50.5 + i * 0.5, 100)} for i in range(20)]
    measured = measure(SITE, *strips, accuracy_m=1.0)
    assert set(kinds(measured)) == {"conflict"}
    assert measured.amount == pytest.approx(1000, rel=1e-3)


def test_strips_parted_by_a_hair_of_the_cutting_are_one() -> None:
    site = Site.of(Shape(**SITE).geometry())
    hair_deg = 2e-10
    west, south, _, north = site.geometry.bounds
    half = 0.6 / site.plane.metres_per_deg_x
    left = shapely.box(west + 20 * half, south, west + 21 * half, north)
    right = shapely.box(west + 21 * half + hair_deg, south, west + 22 * half, north)
    features = tuple(
        TargetFeature(i, f"F{i}", {}, (shapely.to_wkb(g),)) for i, g in enumerate((left, right))
    )
    world = shapely.to_wkb(shapely.box(109, 18, 111, 20))
    found = overlay_layer(site, TargetLayer("zone", 1, None, 1.0, world, features))
    assert kinds(measure_shared(site, found, TOLERANCE)) == ["conflict", "conflict"]
    alone = overlay_layer(site, TargetLayer("zone", 1, None, 1.0, world, features[:1]))
    assert kinds(measure_shared(site, alone, TOLERANCE)) == ["accuracy-difference"]


def test_strips_apart_stay_differences() -> None:
    strips = [{"rectangle": (10 + i * 5, 0, 10.5 + i * 5, 100)} for i in range(10)]
    measured = measure(SITE, *strips, accuracy_m=1.0)
    assert kinds(measured) == ["accuracy-difference"] * 10
    assert measured.amount == 0


def test_a_conflict_and_a_sliver_of_one_feature_are_told_apart() -> None:
    ring = [(60, -10), (110, -10), (110, 110), (99.99, 110), (99.99, 40), (60, 40)]
    measured = measure(SITE, {"polygon": [*ring]}, {"rectangle": (-50, 0, 0.01, 100)})
    assert kinds(measured) == ["conflict", "sliver"]
    apart = measure(
        {"polygon": [(0, 0), (100, 0), (100, 40), (20, 40), (20, 60), (100, 60), (100, 100),
                     (0, 100)]},
        {"polygon": [(60, -10), (110, -10), (110, 110), (99.99, 110), (99.99, 50), (60, 50)]},
    )  # fmt: skip
    assert kinds(apart) == ["conflict", "sliver"]


def test_the_policy_area_waives_the_total_never_the_pieces() -> None:
    policy = TOLERANCE.model_copy(update={"min_area_m2": 1.0})
    crumbs = [{"rectangle": (i * 2, 50, i * 2 + 0.9, 50.9)} for i in range(1, 40)]
    assert measure(SITE, *crumbs, tolerance=policy).amount == pytest.approx(39 * 0.81, rel=1e-2)
    alone = measure(SITE, crumbs[0], tolerance=policy)
    assert alone.amount == 0
    assert [(p.kind, p.reason and p.reason.code) for p in alone.patches] == [
        ("sliver", "below_min_area")
    ]


def cut_into_pieces(geometry: shapely.Geometry, cells: int) -> tuple[bytes, ...]:
    """Pieces of a regular grid, as the library's subdivided table holds them."""
    west, south, east, north = geometry.bounds
    dx, dy = (east - west) / cells, (north - south) / cells
    boxes = [
        shapely.box(west + i * dx, south + j * dy, west + (i + 1) * dx, south + (j + 1) * dy)
        for i in range(cells)
        for j in range(cells)
    ]
    parts = shapely.get_parts(shapely.intersection(geometry, np.array(boxes)))
    return tuple(shapely.to_wkb(p) for p in parts if p.geom_type == "Polygon")


def star(seed: int, points: int, x: float, y: float, radius: float) -> shapely.Geometry:
    rng = np.random.default_rng(seed)
    angles = np.linspace(0, 2 * math.pi, points, endpoint=False)
    radii = radius * rng.uniform(0.4, 1.0, points)
    ring = np.column_stack((x + radii * np.cos(angles), y + radii * np.sin(angles)))
    return snap(np.array([ORIGIN.to_degrees(shapely.Polygon(ring))], dtype=object))[0]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(4, 40), st.integers(2, 6))
def test_pieces_measure_like_the_whole(seed: int, points: int, cells: int) -> None:
    site = Site.of(star(seed, points, 0, 0, 100))
    whole = star(seed + 1, 60, 40, 20, 150)

    def measured(pieces: tuple[bytes, ...]) -> Measured:
        feature = TargetFeature(1, "F", {}, pieces)
        world = shapely.to_wkb(shapely.box(109, 18, 111, 20))
        layer = TargetLayer("zone", 1, None, 1.0, world, (feature,))
        return measure_shared(site, overlay_layer(site, layer), TOLERANCE)

    one, many = measured((shapely.to_wkb(whole),)), measured(cut_into_pieces(whole, cells))
    assert many.amount == pytest.approx(one.amount, abs=0.01)
    assert set(kinds(many)) == set(kinds(one))
    expected = area_m2(shapely.intersection(site.geometry, whole))
    assert sum(one.amounts.values()) == pytest.approx(expected, abs=0.01)


def _expected(case: Path) -> Any:
    name = "intersection.geojson" if (case / "intersection.geojson").exists() else "all.geojson"
    path = case / name
    return json.loads(path.read_text()) if path.exists() else None


def test_another_authors_overlays(shared_data: Path) -> None:
    """polygon-clipping's answers, moved into the province: every valid pair must agree."""
    compared = 0
    for case in sorted((shared_data / "polygon-clipping" / "cases").iterdir()):
        answer = _expected(case)
        if answer is None:
            continue
        arguments = json.loads((case / "args.geojson").read_text())["features"]
        shapes = [shapely.geometry.shape(f["geometry"]) for f in arguments]
        wanted = shapely.geometry.shape(answer["geometry"])
        if len(shapes) != 2 or not all(s.is_valid and s.area > 0 for s in shapes):
            continue
        bounds = shapely.total_bounds(shapes)
        scale = 0.01 / max(bounds[2] - bounds[0], bounds[3] - bounds[1])

        def move(
            shape: shapely.Geometry, scale: float = scale, bounds: Any = bounds
        ) -> shapely.Geometry:
            return shapely.transform(shape, lambda c: (c - bounds[:2]) * scale + (110.0, 19.0))

        site = Site.of(move(shapes[0]))
        world = shapely.to_wkb(shapely.box(109, 18, 111, 20))
        feature = TargetFeature(1, "F", {}, (shapely.to_wkb(move(shapes[1])),))
        found = overlay_layer(site, TargetLayer("zone", 1, None, 1.0, world, (feature,)))
        bodies = [part.body for part in found.shared if part.body is not None]
        measured_m2 = sum(area_m2(body) for body in bodies)
        assert measured_m2 == pytest.approx(area_m2(move(wanted)), rel=1e-6, abs=1e-3), case.name
        compared += 1
    assert compared >= 14
