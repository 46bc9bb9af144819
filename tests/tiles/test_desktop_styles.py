"""SLD and QML as QGIS reads them: the same classes and colours as the map."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from layers.catalog import Catalog, load_catalog
from tiles.expression import evaluate, rgba
from tiles.map_style import map_style
from tiles.qml import condition_text, expression_text, qml
from tiles.sld import sld
from tiles.style_classes import AT_ZOOM, classed_layers

CONFIG = Path(__file__).resolve().parents[2] / "config"
QGIS_PYTHON = Path("/usr/bin/python3")
GEOMETRY = {"polygon": "Polygon", "line": "LineString", "point": "Point"}
CASES: list[tuple[str, list[dict[str, Any]]]] = [
    ("planned_landuse", [
        {"landuse_code": "0101", "code_scheme": "landuse-2023"},
        {"landuse_code": "0601", "code_scheme": "landuse-2023"},
        {"landuse_code": "0601", "code_scheme": "sandiao"},
        {"landuse_code": "1403", "code_scheme": "landuse-2020"},
        {"landuse_code": "070302", "code_scheme": None},
        {"landuse_code": "05H1", "code_scheme": "landuse-2023"},
        {"landuse_code": None, "code_scheme": None},
    ]),
    ("permanent_basic_farmland", [{"name": "x"}]),
    ("ecological_redline", [{"name": "x"}]),
    ("urban_development_boundary", [{"boundary_type": code} for code in ("CZ", "01", None)]),
    ("drinking_water_protection_zone", [{"zone_grade": grade} for grade in (1, 2, None)]),
    ("nature_reserve", [{"zone": "core"}, {"zone": "general"}, {"zone": None}]),
    ("highway", [{"road_class": "national"}, {"road_class": "?"}]),
    ("sea_use_zone", [{"sea_use_code": "18"}, {"sea_use_code": "2102"}]),
    ("coastline", [{"coastline_type": "natural"}]),
    ("town_place", [{"kind": "city", "name": "海口", "name_en": "Haikou"}]),
]  # fmt: skip


@pytest.fixture(scope="module")
def shipped() -> Catalog:
    return load_catalog(CONFIG)


@pytest.fixture(scope="module")
def qgis() -> Path:
    asked = subprocess.run(
        [QGIS_PYTHON, "-c", "import qgis.core"], capture_output=True, check=False
    )
    if asked.returncode:
        reason = "no QGIS (python3-qgis) on this machine"
        if os.environ.get("GIS_REQUIRE_SHARED") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    return QGIS_PYTHON


def in_qgis(
    qgis: Path, path: Path, geometry: str, features: list[dict[str, Any]]
) -> dict[str, Any]:
    fields = sorted({
        f"{name}:{'integer' if isinstance(value, int) else 'string'}"
        for one in features for name, value in one.items() if value is not None
    })  # fmt: skip
    program = Path(__file__).with_name("qgis_classes.py")
    done = subprocess.run(
        [qgis, program, path, geometry, ",".join(fields)],
        input=json.dumps(features), capture_output=True, text=True, check=False, timeout=120,
        env={**os.environ, "PYTHONPATH": "", "LC_ALL": "C.UTF-8"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def fills_of_the_map(catalog: Catalog, layer_id: str, feature: dict[str, Any]) -> list[list[int]]:
    """The colours of the map's style for a feature, in the order of drawing; hatches by theirs."""
    found = []
    for part in map_style(catalog, "", [layer_id], all_visible=True)["layers"][1:]:
        if part["type"] == "symbol":
            continue
        # Desktop styles are made for one zoom, or for the nearest at which a style layer shows.
        zoom = max(AT_ZOOM, part.get("minzoom", 0))
        zoom = min(zoom, part.get("maxzoom", 99) - 0.01)
        if "filter" in part and evaluate(part["filter"], feature, zoom) is not True:
            continue
        paint = {key: evaluate(value, feature, zoom) for key, value in part["paint"].items()}
        kind = part["type"]
        opacity = paint.get(f"{kind}-opacity", 1)
        if "fill-pattern" in paint:
            colour = "#" + paint["fill-pattern"].split("-")[1]
        else:
            colour = paint[f"{kind}-color"]
        red, green, blue, own = rgba(colour)
        found.append([round(red), round(green), round(blue), round(own * opacity * 255)])
    return found


@pytest.mark.parametrize("form", ["qml", "sld"])
@pytest.mark.parametrize(("layer_id", "features"), CASES)
def test_qgis_sees_the_classes_and_colours_of_the_map(
    shipped: Catalog, qgis: Path, tmp_path: Path, form: str, layer_id: str,
    features: list[dict[str, Any]],
) -> None:  # fmt: skip
    layer = shipped.layer(layer_id)
    path = tmp_path / f"{layer_id}.{form}"
    path.write_bytes({"qml": qml, "sld": sld}[form](shipped, layer))
    read = in_qgis(qgis, path, GEOMETRY[layer.geometry], features)
    assert read["renderer"] == "QgsRuleBasedRenderer"
    for feature, rules in zip(features, read["features"], strict=True):
        expected = fills_of_the_map(shipped, layer_id, feature)
        seen = [rule["colour"] for rule in rules]
        assert len(seen) == len(expected), (feature, rules)
        for one, other in zip(seen, expected, strict=True):
            assert max(abs(a - b) for a, b in zip(one, other, strict=True)) <= 1, (feature, rules)
    if any(part.kind == "symbol" for part in classed_layers(shipped, layer)):
        assert read["labels"] == "QgsRuleBasedLabeling"


@pytest.mark.parametrize("form", ["qml", "sld"])
@pytest.mark.parametrize(
    ("layer_id", "angle"),
    [("permanent_basic_farmland", 45), ("nature_reserve", 135), ("heritage_protection_scope", 90)],
)
def test_hatches_run_as_on_the_map(
    shipped: Catalog, qgis: Path, tmp_path: Path, form: str, layer_id: str, angle: int
) -> None:
    path = tmp_path / f"{layer_id}.{form}"
    path.write_bytes({"qml": qml, "sld": sld}[form](shipped, shipped.layer(layer_id)))
    (rules,) = in_qgis(qgis, path, "Polygon", [{"zone": "core"}])["features"]
    angles = [rule["angle"] for rule in rules if rule["kind"] == "QgsLinePatternFillSymbolLayer"]
    assert angles == [angle]


def test_classes_are_named_as_in_their_lists(shipped: Catalog, qgis: Path, tmp_path: Path) -> None:
    path = tmp_path / "landuse.qml"
    path.write_bytes(qml(shipped, shipped.layer("planned_landuse"), "en"))
    features = [{"landuse_code": "0101", "code_scheme": "landuse-2023"},
                {"landuse_code": "zz", "code_scheme": "landuse-2023"}]  # fmt: skip
    read = in_qgis(qgis, path, "Polygon", features)
    assert read["features"][0][0]["label"] == "0101 Paddy field"
    assert read["features"][1][0]["label"] == "Other"


def test_no_feature_is_of_two_classes(shipped: Catalog) -> None:
    for _, layer in shipped.layers():
        for part in classed_layers(shipped, layer):
            for case in (case for name, case in CASES if name == layer.id):
                for feature in case:
                    held = [
                        one for one in part.classes
                        if all(evaluate(c, feature, AT_ZOOM) is True for c in one.conditions)
                    ]  # fmt: skip
                    assert len(held) <= 1, (layer.id, feature, held)


def test_every_layer_has_both_forms_and_they_do_not_change(shipped: Catalog) -> None:
    for _, layer in shipped.layers():
        for write in (sld, qml):
            assert write(shipped, layer) == write(shipped, layer)


def test_texts_in_qgis_expressions_are_quoted() -> None:
    assert expression_text("O'Hara") == "'O''Hara'"
    assert condition_text(["==", ["get", "zone"], "a'b"]) == "(\"zone\" IS 'a''b')"
