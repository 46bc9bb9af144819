import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from layers.catalog import Catalog, Layer, load_catalog
from layers.errors import BadConfiguration, NotFound
from tiles.map_style import map_style, style_digest
from tiles.sprite import Hatch, sprite

CONFIG = Path(__file__).resolve().parents[2] / "config"
BASE = "https://plans.example"


@pytest.fixture(scope="module")
def shipped() -> Catalog:
    return load_catalog(CONFIG)


@pytest.fixture(scope="module")
def style(shipped: Catalog) -> dict[str, Any]:
    return map_style(shipped, BASE)


def drawn(style: dict[str, Any], layer_id: str, kind: str) -> dict[str, Any]:
    return next(
        part for part in style["layers"] if part.get("source") == layer_id and part["type"] == kind
    )


def chosen(match: list[Any], properties: dict[str, Any]) -> Any:
    """What a MapLibre ``match`` gives for a feature; written from its specification."""
    word, (get, name), *rest = match
    assert (word, get) == ("match", "get")
    *branches, fallback = rest
    for labels, result in zip(branches[::2], branches[1::2], strict=True):
        if properties.get(name) in (labels if isinstance(labels, list) else [labels]):
            return chosen(result, properties) if isinstance(result, list) else result
    return chosen(fallback, properties) if isinstance(fallback, list) else fallback


def with_style(catalog: Catalog, layer_id: str, *fragments: dict[str, Any]) -> Catalog:
    """The catalogue with another look of one layer."""

    def changed(layer: Layer) -> Layer:
        return layer.model_copy(update={"style": fragments}) if layer.id == layer_id else layer

    plans = tuple(
        plan.model_copy(update={"layers": tuple(changed(layer) for layer in plan.layers)})
        for plan in catalog.plans
    )
    return catalog.model_copy(update={"plans": plans})


def test_each_layer_is_a_source_of_its_own(shipped: Catalog, style: dict[str, Any]) -> None:
    assert style["version"] == 8
    assert set(style["sources"]) == {layer.id for _, layer in shipped.layers()}
    source = style["sources"]["ecological_redline"]
    assert source["url"] == f"{BASE}/tiles/ecological_redline.json"
    assert source["maxzoom"] == 15
    # An address of tiles here would win over the one with the edition in the TileJSON.
    assert "tiles" not in source
    names = [part["id"] for part in style["layers"]]
    assert len(names) == len(set(names))
    for part in style["layers"][1:]:
        assert part["source-layer"] == part["source"] == part["metadata"]["gis:layer"]
        assert shipped.layer_with_plan(part["source"])[0].id == part["metadata"]["gis:plan"]


def test_every_layer_can_be_seen(shipped: Catalog, style: dict[str, Any]) -> None:
    assert {part["source"] for part in style["layers"][1:]} == set(style["sources"])


def test_areas_lie_under_lines_of_control_under_labels(style: dict[str, Any]) -> None:
    order = [part["id"] for part in style["layers"]]
    expected = [
        "background", "county-fill", "planned_landuse-fill", "detailed_plan_parcel-fill",
        "permanent_basic_farmland-fill-2", "ecological_redline-line",
        "urban_development_boundary-line-2", "county-line", "ecological_redline-symbol",
        "town_place-symbol-2",
    ]  # fmt: skip
    assert [name for name in order if name in expected] == expected
    kinds = [part["type"] == "symbol" for part in style["layers"]]
    assert kinds == sorted(kinds)


# The guide's published RGB values, and digits that mean another class in the survey's scheme.
@pytest.mark.parametrize(
    ("scheme", "code", "colour"),
    [
        ("landuse-2023", "0101", "#F5F8DC"),
        ("landuse-2023", "100103", "#BB9674"),
        ("landuse-2023", "070302", "#FFD380"),
        ("landuse-2023", "0601", "#D8D79F"),
        ("sandiao", "0601", "#C59A8C"),
        ("sandiao", "0101", "#F8D072"),
        ("landuse-2020", "1403", "#ACFFCF"),
        (None, "0601", "#D8D79F"),
        ("GB50137-2011", "0601", "#D8D79F"),
        ("landuse-2023", "05H1", "#CFCFCF"),
        ("landuse-2023", None, "#CFCFCF"),
    ],
)
@pytest.mark.parametrize("layer_id", ["planned_landuse", "current_landuse", "detailed_plan_parcel"])
def test_land_use_has_the_colour_of_its_class_in_its_scheme(
    style: dict[str, Any], layer_id: str, scheme: str | None, code: str | None, colour: str
) -> None:
    match = drawn(style, layer_id, "fill")["paint"]["fill-color"]
    assert chosen(match, {"landuse_code": code, "code_scheme": scheme}) == colour


def test_whole_number_codes_are_compared_as_numbers(style: dict[str, Any]) -> None:
    match = drawn(style, "drinking_water_protection_zone", "line")["paint"]["line-color"]
    assert chosen(match, {"zone_grade": 1}) == "#08519C"
    assert chosen(match, {"zone_grade": "1"}) == "#CFCFCF"


def test_thin_outlines_of_land_use_begin_at_zoom_12(style: dict[str, Any]) -> None:
    for layer_id in ("planned_landuse", "current_landuse", "detailed_plan_parcel"):
        assert drawn(style, layer_id, "line")["minzoom"] >= 12


def test_labels_speak_the_readers_language(shipped: Catalog) -> None:
    def label(language: str, layer_id: str) -> Any:
        style = map_style(shipped, BASE, language=language)
        return drawn(style, layer_id, "symbol")["layout"]["text-field"]

    assert label("zh", "town_place") == ["get", "name"]
    assert label("zh-CN", "town_place") == ["get", "name"]
    assert label("en", "town_place") == ["coalesce", ["get", "name_en"], ["get", "name"]]
    assert label("en", "nature_reserve") == ["get", "name"]


def test_layers_that_are_off_at_first_are_there_but_hidden(
    shipped: Catalog, style: dict[str, Any]
) -> None:
    hidden = {
        part["source"]
        for part in style["layers"][1:]
        if part.get("layout", {}).get("visibility") == "none"
    }
    assert hidden == {layer.id for _, layer in shipped.layers() if not layer.visible}
    assert {"forest_land", "current_landuse"} <= hidden
    open_style = map_style(shipped, BASE, ["forest_land"], all_visible=True)
    assert "visibility" not in json.dumps(open_style)


def test_a_layer_that_was_not_asked_for_leaves_no_trace(shipped: Catalog) -> None:
    wanted = [layer.id for _, layer in shipped.layers() if layer.id != "heritage_protection_scope"]
    text = json.dumps(map_style(shipped, BASE, wanted), ensure_ascii=False)
    assert "heritage_protection_scope" not in text
    assert "heritage_construction_control_zone" in text
    with pytest.raises(NotFound):
        map_style(shipped, BASE, ["planned_landuse", "secret_layer"])


def test_the_digest_follows_the_look_and_not_the_host(shipped: Catalog) -> None:
    redder = with_style(
        shipped, "ecological_redline", {"type": "line", "paint": {"line-color": "#FF0000"}}
    )
    digests = {
        style_digest(shipped), style_digest(redder), style_digest(shipped, language="en"),
        style_digest(shipped, ["county"]),
    }  # fmt: skip
    assert len(digests) == 4
    assert style_digest(load_catalog(CONFIG)) == style_digest(shipped)


@pytest.mark.parametrize(
    ("fragment", "word"),
    [
        ({"type": "raster"}, "raster"),
        ({"type": "fill", "paint": {"fill-extrusion-height": 3}}, "fill-extrusion-height"),
        ({"type": "fill", "paint": {"line-color": "#000000"}}, "line-color"),
        ({"type": "fill", "visible": True}, "visible"),
        ({"type": "line", "paint": {"line-width": ["sqrt", 4]}}, "sqrt"),
        ({"type": "line", "paint": {"line-color": ["get", "forest_id"]}}, "forest_id"),
        ({"type": "line", "filter": ["==", ["get", "owner"], "x"]}, "owner"),
        ({"type": "symbol", "layout": {"text-field": {"label": "owner"}}}, "owner"),
        ({"type": "fill", "paint": {"fill-color": {"by_code": "name"}}}, "name"),
        ({"type": "fill", "paint": {"fill-color": {"by_codes": "name"}}}, "by_codes"),
        ({"type": "fill", "paint": {"fill-color": {"by_code": "forest_type"}}}, "forest-types"),
        ({"type": "fill", "paint": {"fill-pattern": {"hatch": {"colour": "#0B5D2E"}}}}, "hatch"),
        ({"type": "fill", "paint": {"fill-color": "green"}}, "green"),
        ({"type": "fill", "paint": {"fill-color": "#00FF00", "fill-opacity": 1.5}}, "1.5"),
        ({"type": "line", "paint": {"line-cap": "round"}}, "line-cap"),
        ({"type": "line", "layout": {"line-cap": "flat"}}, "flat"),
        ({"type": "line", "paint": {"line-dasharray": [0, 0]}}, "dashes"),
        (
            {
                "type": "line",
                "paint": {
                    "line-color": ["step", ["zoom"], "#000000"],
                    "line-width": ["step", ["zoom"], 1, 9, "wide"],
                },
            },
            "line-width",
        ),
        (
            {
                "type": "symbol",
                "layout": {
                    "text-field": {"label": "forest_type"},
                    "text-size": ["match", ["get", "forest_type"], "x", 9, 10],
                },
            },
            "text-size",
        ),
    ],
)
def test_a_look_outside_the_subset_is_refused_with_its_place(
    shipped: Catalog, fragment: dict[str, Any], word: str
) -> None:
    with pytest.raises(BadConfiguration) as caught:
        map_style(with_style(shipped, "forest_land", fragment), BASE)
    assert word in caught.value.text.en


def test_every_expression_operator_of_the_shipped_look_is_admitted(tmp_path: Path) -> None:
    """The check is no formality: without `interpolate` the shipped catalogue would fail."""
    shutil.copytree(CONFIG / "codes", tmp_path / "codes")
    shutil.copytree(CONFIG / "layers", tmp_path / "layers")
    path = tmp_path / "layers/transport-plan.yml"
    path.write_text(path.read_text("utf-8").replace("[interpolate,", "[interpolate-hcl,"), "utf-8")
    with pytest.raises(BadConfiguration, match="interpolate-hcl"):
        map_style(load_catalog(tmp_path), BASE)


@pytest.mark.parametrize(
    ("angle", "step"), [(0, (0, 1)), (90, (1, 0)), (45, (1, -1)), (135, (1, 1))]
)
@pytest.mark.parametrize("ratio", [1, 2])
def test_a_hatch_meets_itself_at_every_edge(angle: Any, step: tuple[int, int], ratio: int) -> None:
    hatch = Hatch(colour="#C98A00", spacing_px=7, angle=angle, width_px=1.2)
    image = hatch.pixels(ratio)
    # Moving along the lines, around the edge of the image, changes nothing.
    assert np.array_equal(image, np.roll(image, step, axis=(0, 1)))
    assert not np.array_equal(image, np.roll(image, (step[1], -step[0] or 1), axis=(0, 1)))
    inked = image[..., 3].mean() / 255
    assert inked == pytest.approx(1.2 / 7, rel=0.12)
    assert {tuple(pixel) for pixel in image[..., :3].reshape(-1, 3).tolist()} == {(201, 138, 0)}


def test_only_angles_without_seams_are_admitted(shipped: Catalog) -> None:
    look = {"hatch": {"colour": "#000000", "spacing_px": 6, "angle": 30, "width_px": 1}}
    wrong = with_style(shipped, "forest_land", {"type": "fill", "paint": {"fill-pattern": look}})
    for use in (lambda: map_style(wrong, BASE), lambda: sprite(wrong)):
        call: Callable[[], Any] = use
        with pytest.raises(BadConfiguration, match="forest_land"):
            call()


@pytest.mark.parametrize("ratio", [1, 2])
def test_the_sprite_holds_every_pattern_of_the_style(
    shipped: Catalog, style: dict[str, Any], ratio: int
) -> None:
    index, sheet = sprite(shipped, ratio)
    patterns = {part["paint"].get("fill-pattern") for part in style["layers"]} - {None}
    assert style["sprite"] == f"{BASE}/sprites/map"
    assert patterns == set(index)
    pixels = np.asarray(Image.open(io.BytesIO(sheet)).convert("RGBA"))
    taken = np.zeros(pixels.shape[:2], bool)
    for place in index.values():
        assert place["pixelRatio"] == ratio
        box = np.s_[
            place["y"] : place["y"] + place["height"], place["x"] : place["x"] + place["width"]
        ]
        assert pixels[box].shape == (place["height"], place["width"], 4)
        assert not taken[box].any(), "images overlap"
        assert 0 < (pixels[box][..., 3] > 128).mean() < 0.6
        taken[box] = True
    assert sprite(shipped, ratio) == (index, sheet), "the same look gives the same bytes"


def test_a_style_without_hatches_asks_for_no_sprite(shipped: Catalog) -> None:
    assert "sprite" not in map_style(shipped, BASE, ["county", "coastline"])
