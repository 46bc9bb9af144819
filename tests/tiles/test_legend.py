import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageFont

from layers.catalog import Catalog, load_catalog
from layers.errors import BadConfiguration
from tiles.expression import evaluate
from tiles.fonts import font
from tiles.legend import LEGEND_ZOOM, LegendEntry, legend, legend_png, over

CONFIG = Path(__file__).resolve().parents[2] / "config"


@pytest.fixture(scope="module")
def shipped() -> Catalog:
    return load_catalog(CONFIG)


def entries(catalog: Catalog, layer_id: str, codes: list[str] | None = None) -> list[LegendEntry]:
    return legend(catalog, catalog.layer(layer_id), codes)


def picture(data: bytes) -> Any:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def test_land_use_shows_the_first_level_of_the_guide(shipped: Catalog) -> None:
    found = entries(shipped, "planned_landuse")
    assert [entry["code"] for entry in found] == [f"{number:02d}" for number in range(1, 25)]
    assert found[0]["label"] == {"zh": "耕地", "en": "Cultivated land"}
    assert {entry["symbol"] for entry in found} == {"fill"}


def test_a_legend_can_be_held_to_the_codes_in_sight(shipped: Catalog) -> None:
    found = entries(shipped, "planned_landuse", ["1003", "070301", "no-such-code"])
    assert [entry["code"] for entry in found] == ["070301", "1003"]
    assert [entry["label"]["zh"] for entry in found] == ["一类农村宅基地", "盐田"]
    assert entries(shipped, "planned_landuse", []) == []


def test_an_older_survey_has_the_legend_of_its_own_scheme(shipped: Catalog) -> None:
    layer = shipped.layer("current_landuse")
    (old,) = legend(shipped, layer, ["05"], scheme="GB/T21010-2017")
    (new,) = legend(shipped, layer, ["05"])
    assert (old["label"]["zh"], new["label"]["zh"]) == ("商服用地", "湿地")
    assert old["colour"] != new["colour"]
    assert legend(shipped, layer, ["05"], scheme="no-such-scheme") == [new]


def test_colours_are_those_of_the_map_on_white_paper(shipped: Catalog) -> None:
    # 0701 is 255,255,45 in the guide, drawn at 0.55 at zoom 13: 45 * 0.55 + 255 * 0.45 = 139.5.
    residential = entries(shipped, "planned_landuse", ["0701"])[0]
    assert residential["colour"] in ("#FFFF8B", "#FFFF8C")
    # The redline is a red line with a tint of 7 percent: 255 - (255 - 25) * 0.07 = 238.9.
    redline = entries(shipped, "ecological_redline")[0]
    assert redline["outline"] == "#D7191C"
    assert redline["colour"][3:5] == "EF"


def test_farmland_is_a_hatch_and_the_boundary_a_dashed_line(shipped: Catalog) -> None:
    (farmland,) = entries(shipped, "permanent_basic_farmland")
    assert farmland["symbol"] == "hatch"
    assert farmland["hatch"] is not None
    assert farmland["hatch"]["angle"] == 45
    boundary = entries(shipped, "urban_development_boundary")
    assert [entry["symbol"] for entry in boundary] == ["line"] * 3
    # The line on top counts, not its white casing.
    assert boundary[0]["colour"] == "#1A1A1A"
    assert boundary[0]["dash"] == [4, 2]


def test_a_filter_of_the_style_holds_in_the_legend(shipped: Catalog) -> None:
    core, general = entries(shipped, "nature_reserve")
    assert (core["code"], general["code"]) == ("core", "general")
    assert core["hatch"] is not None
    assert general["hatch"] is None


def test_whole_number_codes_find_their_colour(shipped: Catalog) -> None:
    outlines = [entry["outline"] for entry in entries(shipped, "drinking_water_protection_zone")]
    assert outlines == ["#08519C", "#3182BD", "#6BAED6"]


def test_points_are_circles_and_every_layer_has_a_legend(shipped: Catalog) -> None:
    assert entries(shipped, "town_place")[0]["symbol"] == "circle"
    for _, layer in shipped.layers():
        found = legend(shipped, layer)
        assert found, layer.id
        for entry in found:
            assert len(entry["colour"]) == 7, (layer.id, entry)
            assert entry["label"]["zh"], layer.id
            assert entry["label"]["en"], layer.id


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        (0.4, 0.4),
        (["interpolate", ["linear"], ["zoom"], 12, 0, 16, 4], 1.0),
        (["interpolate", ["linear"], ["zoom"], 5, 0.2, 9, 0.6], 0.6),
        (["interpolate", ["linear"], ["zoom"], 14, 0.2, 16, 0.6], 0.2),
        (["match", ["get", "zone"], "core", 0.3, 0.1], 0.3),
        (["match", ["get", "zone"], ["a", "b"], 0.3, 0.1], 0.1),
        (["!", ["==", ["get", "zone"], "core"]], False),
        (["!=", ["get", "zone"], "general"], True),
        (["literal", [1, 2]], [1, 2]),
    ],
)
def test_expressions_are_evaluated_as_the_map_does(expression: Any, value: Any) -> None:
    assert evaluate(expression, {"zone": "core"}, LEGEND_ZOOM) == value


def test_what_a_legend_cannot_evaluate_is_refused_and_not_guessed() -> None:
    with pytest.raises(BadConfiguration, match="sqrt"):
        evaluate(["sqrt", 4], {}, LEGEND_ZOOM)


def test_one_colour_over_another() -> None:
    assert over("#000000", 0.5, "#FFFFFF") == "#808080"
    assert over("#336699", 1, "#FFFFFF") == "#336699"
    assert over("#336699", 0, "#123456") == "#123456"


def test_the_picture_shows_the_colours_of_the_entries(shipped: Catalog) -> None:
    layer = shipped.layer("planned_landuse")
    shot = picture(legend_png(shipped, layer, "zh"))
    seen = {tuple(pixel) for pixel in shot.reshape(-1, 3).tolist()}
    for entry in legend(shipped, layer):
        colour = entry["colour"]
        assert tuple(int(colour[place : place + 2], 16) for place in (1, 3, 5)) in seen
    assert picture(legend_png(shipped, layer, "zh", ["01"])).shape[0] < shot.shape[0] / 8


def test_chinese_labels_are_characters_and_not_boxes(shipped: Catalog) -> None:
    try:
        ImageFont.truetype("NotoSansCJK-Regular.ttc")
    except OSError:
        pytest.skip("no font with Chinese characters (fonts-noto-cjk) on this machine")
    # Characters have other forms in Japan: the face of the collection matters.
    face = font(26)
    assert isinstance(face, ImageFont.FreeTypeFont)
    assert face.getname()[0] == "Noto Sans CJK SC"
    layer = shipped.layer("planned_landuse")
    rows = [picture(legend_png(shipped, layer, "zh", [code])) for code in ("01", "02", "04")]
    # Two characters each, the second one the same: boxes would make the words equal.
    words = [row[2 * 30 :, 2 * 46 : 2 * 46 + 52].sum(axis=2) < 300 for row in rows]
    assert all(word.any() for word in words)
    assert not np.array_equal(words[0], words[1])
    assert not np.array_equal(words[1], words[2])


def test_the_picture_follows_language_and_density(shipped: Catalog) -> None:
    layer = shipped.layer("ecological_redline")
    chinese, english = (legend_png(shipped, layer, language) for language in ("zh", "en"))
    assert chinese != english
    assert legend_png(shipped, layer, "zh") == chinese
    height, width, _ = picture(chinese).shape
    small = picture(legend_png(shipped, layer, "zh", ratio=1)).shape
    assert (height, width / 2) == (small[0] * 2, pytest.approx(small[1], abs=2))
