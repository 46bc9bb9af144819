import re
import shutil
from pathlib import Path

import pytest

from layers.catalog import Catalog, Layer, load_catalog
from layers.errors import BadConfiguration, NotFound

CONFIG = Path(__file__).resolve().parents[2] / "config"

# The names other programs rely on, and the attributes the demo province is made with.
LAYERS = {
    "overall-plan": {
        "permanent_basic_farmland": "farmland_id name landuse_code quality_grade declared_area_m2",
        "ecological_redline": "redline_id name redline_type",
        "urban_development_boundary": "boundary_id name boundary_type",
        "planned_landuse": "parcel_id landuse_code code_scheme name declared_area_m2",
    },
    "detailed-plan": {
        "detailed_plan_parcel": "parcel_id landuse_code code_scheme far_max density_max "
        "height_max green_min name declared_area_m2",
    },
    "forest-plan": {"forest_land": "forest_id protection_grade forest_type name"},
    "marine-plan": {
        "sea_use_zone": "zone_id sea_use_code name",
        "coastline": "coastline_id coastline_type name",
    },
    "water-protection-plan": {
        "drinking_water_protection_zone": "zone_id zone_grade source_name",
    },
    "heritage-plan": {
        "heritage_protection_scope": "heritage_id name level",
        "heritage_construction_control_zone": "heritage_id name level",
    },
    "nature-reserve-plan": {"nature_reserve": "reserve_id name zone level"},
    "transport-plan": {"highway": "road_id name road_class width_m"},
    "airport-plan": {
        "obstacle_limitation_surface": "surface_id surface_type elevation_m slope inner_edge name",
    },
    "river-plan": {"river_management_range": "range_id name"},
    "power-grid-plan": {"power_line_corridor": "line_id voltage name"},
    "geohazard-plan": {"geohazard_prone_area": "area_id susceptibility name"},
    "current-landuse-survey": {
        "current_landuse": "parcel_id landuse_code code_scheme name declared_area_m2",
    },
    "administrative-divisions": {
        "county": "admin_code name name_en",
        "town_place": "place_id name name_en kind",
    },
}
PERSONAL_FIELDS = {"CFZR", "ZMC", "ZZRR", "ZRRZJHM", "ZRRMC", "LXDH", "JZDZ"}


@pytest.fixture(scope="module")
def shipped() -> Catalog:
    return load_catalog(CONFIG)


@pytest.fixture
def own_config(tmp_path: Path) -> Path:
    shutil.copytree(CONFIG / "layers", tmp_path / "layers")
    shutil.copytree(CONFIG / "codes", tmp_path / "codes")
    return tmp_path


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), "utf-8")


def test_plans_layers_and_attributes_have_the_agreed_names(shipped: Catalog) -> None:
    found = {
        plan.id: {layer.id: {a.name for a in layer.kept_attributes} for layer in plan.layers}
        for plan in shipped.plans
    }
    assert found == {
        plan: {layer: set(names.split()) for layer, names in layers.items()}
        for plan, layers in LAYERS.items()
    }


def test_a_declared_area_is_a_number_in_a_known_unit(own_config: Path) -> None:
    path = own_config / "layers" / "current-landuse-survey.yml"
    change(path, "type: number, unit: m2, declared_area: m2", "type: string, declared_area: m2")
    with pytest.raises(BadConfiguration, match="declared_area_m2 is a declared area"):
        load_catalog(own_config)
    change(path, "type: string, declared_area: m2", "type: number, declared_area: acre")
    with pytest.raises(BadConfiguration, match="declared_area"):
        load_catalog(own_config)


def test_overall_plan_prevails_over_detailed_over_special_over_survey(shipped: Catalog) -> None:
    rank = {plan.id: plan.rank for plan in shipped.plans}
    special = {plan.rank for plan in shipped.plans if plan.kind == "special"}
    assert rank["overall-plan"] < rank["detailed-plan"] < min(special)
    assert max(special) < rank["current-landuse-survey"]


def test_every_text_is_there_in_chinese_and_in_english(shipped: Catalog) -> None:
    texts = [text for plan in shipped.plans for text in (plan.title, plan.authority)]
    for _, layer in shipped.layers():
        texts += [layer.title, *(attribute.title for attribute in layer.attributes)]
        texts += [layer.description] if layer.description else []
    texts += [code_list.title for code_list in shipped.code_lists]
    texts += [code.title for code_list in shipped.code_lists for code in code_list.codes]
    for text in texts:
        assert re.search(r"[\u4e00-\u9fff]|^[ⅠⅡⅢⅣ]", text.zh), text
        assert text.en.strip(), text
        assert not re.search(r"[\u4e00-\u9fff]", text.en), text


def test_landuse_2023_has_the_published_totals(shipped: Catalog) -> None:
    codes = shipped.code_list("landuse-2023").codes
    by_level = [sum(len(code.code) == length for code in codes) for length in (2, 4, 6)]
    assert by_level == [24, 111, 40]
    split = {code.parent for code in codes}
    leaves = [code for code in codes if code.code not in split]
    # 111 of the second level less 13 that are split, 16 and 24 without children, 40 below.
    assert len(leaves) == 140


@pytest.mark.parametrize(
    ("list_id", "total", "first_level"),
    [("landuse-2020", 169, 24), ("gbt21010-2017", 85, 12), ("sandiao", 81, 13), ("sea-use", 29, 6)],
)
def test_other_classifications_are_complete(
    shipped: Catalog, list_id: str, total: int, first_level: int
) -> None:
    codes = shipped.code_list(list_id).codes
    assert len(codes) == total
    assert sum(code.parent is None for code in codes) == first_level


def test_code_lists_are_consistent(shipped: Catalog) -> None:
    schemes = [code_list.scheme for code_list in shipped.code_lists]
    assert len(schemes) == len(set(schemes)), "the scheme of a feature must name one list"
    for code_list in shipped.code_lists:
        known = [code.code for code in code_list.codes]
        assert len(known) == len(set(known)), code_list.id
        assert code_list.source, code_list.id
        for code in code_list.codes:
            assert code.parent is None or code.parent in known, (code_list.id, code.code)
            assert code.colour is None or re.fullmatch(r"#[0-9A-F]{6}", code.colour)


def test_every_classification_a_feature_may_name_is_here(shipped: Catalog) -> None:
    schemes = {code_list.scheme for code_list in shipped.code_lists}
    assert {code.code for code in shipped.code_list("classification-schemes").codes} <= schemes


# Values of the guide's colour table (RGB as published there).
@pytest.mark.parametrize(
    ("code", "rgb"),
    [
        ("0101", (245, 248, 220)),  # of 01
        ("070101", (255, 255, 45)),  # of 07, two levels up
        ("070301", (255, 211, 128)),  # of 0703, not of 07
        ("0801", (255, 0, 255)),
        ("1003", (0, 0, 255)),
        ("1403", (172, 255, 207)),
        ("2206", (131, 188, 214)),
    ],
)
def test_colour_comes_from_the_nearest_ancestor(
    shipped: Catalog, code: str, rgb: tuple[int, int, int]
) -> None:
    assert shipped.code_list("landuse-2023").colour(code) == "#{:02X}{:02X}{:02X}".format(*rgb)


def test_lineage_never_leaves_its_scheme(shipped: Catalog) -> None:
    plan = shipped.code_list("landuse-2023")
    survey = shipped.code_list("sandiao")
    assert [code.title.zh for code in plan.lineage("0601")] == ["农村道路", "农业设施建设用地"]
    assert [code.title.zh for code in survey.lineage("0601")] == ["工业用地", "工矿用地"]
    assert plan.find("05H1") is None
    assert list(plan.lineage("0108")) == []


def test_personal_fields_of_departments_are_known_and_dropped(shipped: Catalog) -> None:
    layer = shipped.layer("permanent_basic_farmland")
    personal = {alias for a in layer.attributes if a.personal for alias in a.aliases}
    assert personal == PERSONAL_FIELDS
    kept = {
        alias for _, one in shipped.layers() for a in one.kept_attributes for alias in a.aliases
    }
    assert not kept & PERSONAL_FIELDS
    assert not {a.name for a in layer.attributes if a.personal} & set(layer.tile_attributes)


def test_a_department_field_means_one_attribute_of_a_layer(shipped: Catalog) -> None:
    for _, layer in shipped.layers():
        names = [a.name.upper() for a in layer.attributes]
        names += [alias.upper() for a in layer.attributes for alias in a.aliases]
        assert len(names) == len(set(names)), layer.id


@pytest.mark.parametrize(
    ("layer", "field", "attribute"),
    [
        ("planned_landuse", "YDYHFLDM", "landuse_code"),
        ("current_landuse", "DLBM", "landuse_code"),
        ("permanent_basic_farmland", "YJJBNTTBBH", "farmland_id"),
        ("ecological_redline", "HXMC", "name"),
        ("county", "XZQDM", "admin_code"),
        ("nature_reserve", "ZRBHDFQ", "zone"),
    ],
)
def test_field_names_of_departments_find_their_attribute(
    shipped: Catalog, layer: str, field: str, attribute: str
) -> None:
    found = [a.name for a in shipped.layer(layer).attributes if field in a.aliases]
    assert found == [attribute]


def test_codes_of_whole_numbers_are_whole_numbers(shipped: Catalog) -> None:
    for _, layer in shipped.layers():
        for attribute in layer.attributes:
            if attribute.codes and attribute.type == "integer":
                codes = shipped.code_list(attribute.codes).codes
                assert all(code.code.isdigit() for code in codes), attribute.name


def test_control_lines_speak_for_the_region_and_land_use_for_its_parcels(shipped: Catalog) -> None:
    coverage = {layer.id: layer.coverage for _, layer in shipped.layers()}
    for layer_id in ("planned_landuse", "current_landuse", "detailed_plan_parcel", "county"):
        assert coverage.pop(layer_id) == "features"
    assert set(coverage.values()) == {"region"}
    tessellations = {layer.id for _, layer in shipped.layers() if layer.tessellation}
    assert tessellations == {"planned_landuse", "current_landuse"}


@pytest.mark.parametrize(
    ("file", "old", "new", "words"),
    [
        ("layers/forest-plan.yml", "accuracy_m: 5", "acuracy_m: 5", ("forest-plan.yml", "acuracy")),
        ("layers/forest-plan.yml", "accuracy_m: 5", "accuracy_m: 0", ("forest-plan.yml", "accura")),
        ("layers/forest-plan.yml", "label: name", "label: nam", ("forest_land", "nam")),
        ("layers/forest-plan.yml", "id: forest_land", "id: highway", ("highway", "transport-plan")),
        ("layers/forest-plan.yml", "codes: forest-types", "codes: woods", ("forest_land", "woods")),
        (
            "layers/overall-plan.yml",
            "type: string, personal: true",
            "type: string, in_tiles: true, personal: true",
            ("overall-plan.yml", "personal"),
        ),
        ("codes/forest-types.csv", "# zh: 林地类型\n", "", ("forest-types.csv", "title.zh")),
    ],
)
def test_a_wrong_file_is_an_error_with_its_place(
    own_config: Path, file: str, old: str, new: str, words: tuple[str, ...]
) -> None:
    change(own_config / file, old, new)
    with pytest.raises(BadConfiguration) as caught:
        load_catalog(own_config)
    for word in words:
        assert word in caught.value.text.en


def test_an_attribute_that_stands_twice_is_refused(own_config: Path) -> None:
    path = own_config / "layers/forest-plan.yml"
    change(path, "{name: forest_type,", "{name: name,")
    with pytest.raises(BadConfiguration, match="stands twice"):
        load_catalog(own_config)


def test_a_new_layer_needs_data_only(own_config: Path) -> None:
    (own_config / "codes/trail-kinds.csv").write_text(
        "# zh: 步道类型\n# en: Kinds of trail\n# source: made by this test\n"
        "code,parent,name_zh,name_en,colour\nhill,,登山步道,Hill trail,#AA3300\n",
        "utf-8",
    )
    (own_config / "layers/trail-plan.yml").write_text(
        "id: trail-plan\nkind: special\ntitle: {zh: 步道规划, en: Trails}\n"
        "authority: {zh: 体育局, en: Sports}\nlayers:\n"
        "  - id: trail\n    title: {zh: 步道, en: Trails}\n    geometry: line\n"
        "    accuracy_m: 3\n    attributes:\n"
        "      - {name: kind, type: string, codes: trail-kinds, title: {zh: 类型, en: Kind}}\n",
        "utf-8",
    )
    plan, layer = load_catalog(own_config).layer_with_plan("trail")
    assert (plan.id, layer.geometry, layer.coverage) == ("trail-plan", "line", "region")


def test_unknown_names_say_what_there_is(shipped: Catalog) -> None:
    with pytest.raises(NotFound, match="overall-plan"):
        shipped.plan("master-plan")
    with pytest.raises(NotFound):
        shipped.layer("planned-landuse")
    layer: Layer = shipped.layer("planned_landuse")
    assert layer.attribute("landuse") is None
