"""Sample sites lie where their descriptions say, on any coast."""

import numpy as np
import pytest
import shapely
from shapely.geometry import shape

from gis_service.demo_province import sample_sites

SITES = {site.id: site for site in sample_sites()}


def _place(site_id):
    return shape(SITES[site_id].feature["geometry"])


def _covered(small, layer_id, site_id):
    """Share of the site under a layer."""
    site = _place(site_id)
    layer = small.layer(layer_id).geometries
    near = layer[shapely.intersects(layer, site)]
    return shapely.intersection(shapely.union_all(near), site).area / site.area


def _plot(small, site_id):
    """Attributes of the one plan parcel that holds the site."""
    content = small.layer("detailed_plan_parcel")
    found = np.flatnonzero(shapely.covers(content.geometries, _place(site_id)))
    assert len(found) == 1
    return {name: column[found[0]] for name, column in content.attributes.items()}


@pytest.mark.parametrize("site_id", SITES)
def test_a_site_is_a_geojson_feature_of_its_own_kind(site_id):
    site = SITES[site_id]
    assert site.feature["type"] == "Feature"
    assert _place(site_id).is_valid
    assert "演示" in site.title.zh
    assert "demo" in site.title.en
    assert "演示" in site.feature["properties"]["name"]


def test_the_factory_stands_on_protected_fields_outside_the_boundary(small):
    assert _covered(small, "permanent_basic_farmland", "farmland-conflict") == pytest.approx(1)
    assert _covered(small, "urban_development_boundary", "farmland-conflict") == 0


@pytest.mark.parametrize("site_id", ["clean-site", "heritage-consent", "no-data", "too-dense"])
def test_sites_in_town_touch_nothing_forbidden(small, site_id):
    for layer_id in (
        "permanent_basic_farmland",
        "ecological_redline",
        "forest_land",
        "nature_reserve",
        "drinking_water_protection_zone",
        "heritage_protection_scope",
        "highway",
        "obstacle_limitation_surface",
        "river_management_range",
        "power_line_corridor",
        "geohazard_prone_area",
    ):
        assert _covered(small, layer_id, site_id) == 0, layer_id
    assert _covered(small, "urban_development_boundary", site_id) == pytest.approx(1)
    site = _place(site_id)
    roads, coast = (small.layer(name).geometries for name in ("highway", "coastline"))
    assert shapely.distance(roads, site).min() * 100_000 > 60
    assert shapely.distance(coast, site).min() * 100_000 > 500


@pytest.mark.parametrize("site_id", ["clean-site", "heritage-consent", "no-data"])
def test_sites_in_town_keep_to_their_plan_parcel(small, site_id):
    plot = _plot(small, site_id)
    asked = SITES[site_id].feature["properties"]
    assert plot["landuse_code"] == asked["proposed_use"]
    assert asked["floor_area_ratio"] <= plot["far_max"]
    assert asked["building_density"] <= plot["density_max"]
    assert asked["building_height_m"] <= plot["height_max"]
    assert asked["green_ratio"] >= plot["green_min"]


def test_the_dense_factory_breaks_the_limits_of_its_plot(small):
    plot = _plot(small, "too-dense")
    asked = SITES["too-dense"].feature["properties"]
    assert asked["floor_area_ratio"] > plot["far_max"]
    assert asked["building_height_m"] > plot["height_max"]


def test_only_the_shops_lie_in_a_heritage_control_zone(small):
    layer = "heritage_construction_control_zone"
    assert _covered(small, layer, "heritage-consent") > 0.2
    assert _covered(small, layer, "clean-site") == 0


def test_heritage_has_no_data_for_the_housing_only(small):
    coverage = small.layer("heritage_construction_control_zone").coverage
    assert not coverage.intersects(_place("no-data"))
    for site_id in ("farmland-conflict", "clean-site", "heritage-consent"):
        assert coverage.covers(_place(site_id))
