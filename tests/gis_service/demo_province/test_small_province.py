"""The small province as a whole: sound, closed, in the catalogue's words, in time."""

import re

import numpy as np
import pytest
import shapely
from pyproj import Geod

from layers.catalog import Catalog

LANDUSE = ("planned_landuse", "current_landuse")


def test_every_geometry_is_valid_and_lies_on_the_storage_grid(small):
    for content in small.contents:
        assert shapely.is_valid(content.geometries).all(), content.layer_id
        assert not shapely.is_empty(content.geometries).any(), content.layer_id
        points = shapely.get_coordinates(content.geometries)
        assert np.array_equal(points, np.round(points, 8)), content.layer_id


def test_geometries_are_single_parts_of_the_kind_the_catalogue_says(small, catalog: Catalog):
    kinds = {"polygon": {3, 6}, "line": {1}, "point": {0}}
    for content in small.contents:
        layer = catalog.layer(content.layer_id)
        assert set(shapely.get_type_id(content.geometries)) <= kinds[layer.geometry]


@pytest.mark.parametrize("layer_id", LANDUSE)
def test_land_use_fills_the_land_without_gaps_or_overlaps(small, layer_id):
    parcels = small.layer(layer_id).geometries
    counties = small.layer("county").geometries
    # coverage_is_valid: no interiors meet and shared edges have the same vertices on both sides.
    assert shapely.coverage_is_valid(parcels)
    land = shapely.coverage_union_all(counties)
    together = shapely.coverage_union_all(parcels)
    assert shapely.area(parcels).sum() == pytest.approx(land.area, rel=1e-9)
    assert together.symmetric_difference(land).area < 1e-9 * land.area


def test_sea_zones_close_and_end_at_the_coast(small):
    zones = small.layer("sea_use_zone")
    land = shapely.coverage_union_all(small.layer("county").geometries)
    assert shapely.coverage_is_valid(zones.geometries)
    sea = shapely.coverage_union_all(zones.geometries)
    # Where a zone's edge meets the coast the new corner lies on the grid, up to 1 mm off the line.
    assert shapely.intersection(sea, land).area < 1e-8
    assert shapely.symmetric_difference(sea, zones.coverage).area < 1e-8
    shore = shapely.boundary(land)
    assert shapely.intersection(shore, shapely.buffer(sea, 1e-7)).length > 0.999 * shore.length


def test_the_island_has_the_size_of_hainan(small):
    geod = Geod(ellps="GRS80")
    area_m2 = sum(abs(geod.geometry_area_perimeter(g)[0]) for g in small.layer("county").geometries)
    assert 25e9 < area_m2 < 45e9


def test_attributes_are_those_of_the_catalogue(small, catalog: Catalog):
    for content in small.contents:
        layer = catalog.layer(content.layer_id)
        # The demo declares no areas: what it would declare is what is measured.
        allowed = {a.name for a in layer.attributes if not a.personal and a.declared_area is None}
        assert set(content.attributes) == allowed, content.layer_id


def test_codes_stand_in_the_code_lists(small, catalog: Catalog):
    for content in small.contents:
        for attribute in catalog.layer(content.layer_id).attributes:
            if attribute.codes is None or attribute.personal:
                continue
            list_id = attribute.codes
            if content.attributes.get("code_scheme", [""])[0] == "GB/T21010-2017":
                list_id = "gbt21010-2017" if attribute.name == "landuse_code" else list_id
            codes = catalog.code_list(list_id)
            used = {str(value) for value in content.attributes[attribute.name]}
            assert {code for code in used if codes.find(code) is None} == set(), (
                content.layer_id,
                attribute.name,
            )


def test_identifiers_are_unique_in_their_layer(small, catalog: Catalog):
    for content in small.contents:
        name = catalog.layer(content.layer_id).id_attribute
        values = content.attributes[name]
        assert len(values) == len(set(values)), content.layer_id


def test_every_name_says_that_it_is_synthetic(small):
    for content in small.contents:
        for column in ("name", "source_name", "name_en"):
            mark = "(demo)" if column == "name_en" else "演示"
            names = content.attributes.get(column, [])
            assert all(mark in name for name in names), (content.layer_id, column)


def test_all_plans_of_the_contract_are_there(small):
    assert {content.plan_id for content in small.contents} == {
        "administrative-divisions",
        "overall-plan",
        "detailed-plan",
        "forest-plan",
        "marine-plan",
        "water-protection-plan",
        "heritage-plan",
        "nature-reserve-plan",
        "transport-plan",
        "airport-plan",
        "river-plan",
        "power-grid-plan",
        "geohazard-plan",
        "current-landuse-survey",
    }


def test_it_is_about_twenty_thousand_polygons_and_quick(small):
    count = sum(len(content.geometries) for content in small.contents)
    assert 15_000 < count < 30_000
    # Processor time: the machine may be busy with something else.
    assert small.cpu_seconds < 25


def test_progress_runs_from_nothing_to_all(small):
    shares = [share for _, share in small.steps]
    assert shares[0] == 0.0
    assert shares[-1] == 1.0
    assert shares == sorted(shares)


def test_holes_run_against_their_shells(small):
    parcels = small.layer("planned_landuse").geometries
    holed = parcels[shapely.get_num_interior_rings(parcels) == 1]
    streets = holed[[len(re.findall(r"\(", g.wkt)) == 3 for g in holed]]
    assert len(streets)
    for street in streets[:200]:
        assert shapely.is_ccw(street.exterior) != shapely.is_ccw(street.interiors[0])
