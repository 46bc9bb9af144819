"""The province is of use only if its plans disagree: each kind of disagreement is there."""

import numpy as np
import shapely
from pyproj import Geod

from gis_service.demo_province.places import NO_HERITAGE_SURVEY

GEOD = Geod(ellps="GRS80")
CONSTRUCTION = ("07", "08", "09", "10", "11", "12", "13", "16")


def _starting(content, prefixes):
    codes = content.attributes["landuse_code"]
    return content.geometries[[code.startswith(prefixes) for code in codes]]


def _overlaps_m2(first, second):
    """Areas of all overlaps of two layers, pair by pair."""
    left, right = shapely.STRtree(second).query(first, predicate="intersects")
    common = shapely.intersection(first[left], second[right])
    common = common[shapely.area(common) > 0]
    return np.array([abs(GEOD.geometry_area_perimeter(g)[0]) for g in common])


def test_construction_is_planned_on_protected_farmland(small):
    fields = small.layer("permanent_basic_farmland").geometries
    planned = _starting(small.layer("planned_landuse"), ("07", "09", "10", "11"))
    overlaps = _overlaps_m2(planned, fields)
    assert (overlaps > 10_000).sum() > 20


def test_towns_are_to_grow_over_protected_farmland(small):
    fields = small.layer("permanent_basic_farmland").geometries
    towns = small.layer("urban_development_boundary").geometries
    assert (_overlaps_m2(towns, fields) > 10_000).any()


def test_forest_and_farmland_overlap_in_slivers_and_in_whole_fields(small):
    fields = small.layer("permanent_basic_farmland").geometries
    forest = small.layer("forest_land").geometries
    left, right = shapely.STRtree(fields).query(forest, predicate="intersects")
    common = shapely.intersection(forest[left], fields[right])
    share = shapely.area(common) / shapely.area(fields[right])
    width_deg = 2 * shapely.area(common) / np.maximum(shapely.length(common), 1e-12)
    slivers = (shapely.area(common) > 0) & (width_deg * 110_000 < 30) & (share < 0.1)
    assert slivers.sum() > 20
    assert (share > 0.9).sum() > 5


def test_redline_crosses_what_it_should_not(small):
    redline = small.layer("ecological_redline").geometries
    fields = small.layer("permanent_basic_farmland").geometries
    roads = small.layer("highway").geometries
    assert (_overlaps_m2(redline, fields) > 1_000).any()
    assert len(_overlaps_m2(redline, roads)) > 0


def test_the_forest_draft_lies_off_by_one_datum_shift(small):
    right = small.layer("forest_land")
    wrong = small.layer("forest_land", publish=False)
    ids = dict(zip(wrong.attributes["forest_id"], range(len(wrong.geometries)), strict=True))
    pairs = [
        (right.geometries[place].centroid, wrong.geometries[ids[key]].centroid)
        for place, key in enumerate(right.attributes["forest_id"])
        if key in ids
    ]
    shifts = np.array([GEOD.inv(a.x, a.y, b.x, b.y)[2] for a, b in pairs])
    assert len(shifts) > 100
    # 86 m east and 64 m south: 107 m for every compartment, near enough.
    assert 100 < np.median(shifts) < 115
    assert np.percentile(shifts, 95) - np.percentile(shifts, 5) < 5


def test_development_boundary_and_planned_towns_differ_by_metres(small):
    """The same town edge, digitised twice: many narrow strips, no agreement to the millimetre."""
    boundary = small.layer("urban_development_boundary")
    kinds = boundary.attributes["boundary_type"]
    towns = boundary.geometries[[kind == "concentrated" for kind in kinds]]
    streets = _starting(small.layer("planned_landuse"), ("1207",))
    crossing = shapely.STRtree(streets).query(towns, predicate="overlaps")
    assert crossing.shape[1] > 50


def test_older_survey_speaks_another_code_scheme_and_for_one_part_only(small):
    surveys = [c for c in small.contents if c.layer_id == "current_landuse"]
    schemes = [set(c.attributes["code_scheme"]) for c in surveys]
    assert schemes == [{"GB/T21010-2017"}, {"landuse-2023"}]
    old, new = surveys
    land = shapely.union_all(small.layer("county").geometries)
    assert shapely.symmetric_difference(new.coverage, land).area == 0
    assert 0.1 < old.coverage.area / land.area < 0.7


def test_planned_and_present_use_differ_where_towns_grow(small):
    now = shapely.area(_starting(small.layer("current_landuse"), CONSTRUCTION)).sum()
    planned = shapely.area(_starting(small.layer("planned_landuse"), CONSTRUCTION)).sum()
    assert planned > 1.15 * now


def test_heritage_knows_nothing_of_one_county(small):
    counties = small.layer("county")
    missing = counties.attributes["admin_code"].index(NO_HERITAGE_SURVEY)
    for layer_id in ("heritage_protection_scope", "heritage_construction_control_zone"):
        content = small.layer(layer_id)
        assert shapely.intersection(content.coverage, counties.geometries[missing]).area < 1e-9
        assert not shapely.intersects(content.geometries, counties.geometries[missing]).any()


def test_detailed_plans_cover_towns_only(small):
    content = small.layer("detailed_plan_parcel")
    land = shapely.union_all(small.layer("county").geometries)
    assert content.coverage.area < 0.05 * land.area
    plots = shapely.point_on_surface(content.geometries)
    shapely.prepare(content.coverage)
    assert shapely.contains(content.coverage, plots).mean() > 0.99
