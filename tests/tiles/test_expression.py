"""Expressions against MapLibre's own evaluator, and the database against both."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from psycopg import sql

from layers.catalog import load_catalog
from layers.database import Connection
from layers.errors import BadConfiguration
from tiles.expression import evaluate, folded, reads_feature, rgba
from tiles.expression_sql import sql_condition, sql_of
from tiles.map_style import map_style

PROJECT = Path(__file__).resolve().parents[2]
WEB = PROJECT / "gis_service" / "web"
NODE = PROJECT / ".tools" / "bin" / "node"
SPEC = WEB / "node_modules" / "@maplibre" / "maplibre-gl-style-spec"

FEATURES: list[dict[str, Any]] = [
    {}, {"zone": "core"}, {"zone": "general", "grade": 1}, {"zone": "core", "grade": 2},
    {"grade": 3, "name": "海口", "name_en": "Haikou"}, {"name": "三亚"}, {"grade": "1"},
    {"zone": "O'Hara \"x\"", "flag": True},
]  # fmt: skip
EXPRESSIONS: list[Any] = [
    ["get", "zone"],
    ["match", ["get", "zone"], "core", 0.3, ["general", "edge"], 0.2, 0.1],
    ["match", ["get", "grade"], 1, "one", [2, 3], "more", "none"],
    ["match", ["get", "zone"], "core", ["match", ["get", "grade"], 2, "a", "b"], "c"],
    ["match", ["get", "zone"], 'O\'Hara "x"', "quoted", "plain"],
    ["case", ["==", ["get", "zone"], "core"], "c", ["has", "name"], "n", "o"],
    ["coalesce", ["get", "name_en"], ["get", "name"], ["literal", "-"]],
    ["concat", ["get", "name"], "/", ["to-string", ["get", "grade"]]],
    ["!", ["match", ["get", "zone"], ["core", "edge"], True, False]],
    ["all", ["has", "zone"], ["!=", ["get", "zone"], "core"]],
    ["any", ["==", ["get", "zone"], "general"], ["has", "name"]],
    ["step", ["zoom"], "far", 10, "near"],
    ["interpolate", ["linear"], ["zoom"], 8, 1, 12, 3],
    ["match", ["get", "zone"], "core", ["step", ["zoom"], 1, 9, 2], 3],
]
ZOOMS = (5, 9.5, 13)
IN_SQL = [one for one in EXPRESSIONS if one[0] != "concat"]


def by_maplibre(expressions: list[Any]) -> list[list[list[Any]]]:
    """What MapLibre's evaluator gives: expression by feature by zoom."""
    if not (SPEC.is_dir() and NODE.exists()):
        pytest.skip("the web client's packages are not installed")
    program = """
        import {createExpression, latest} from '@maplibre/maplibre-gl-style-spec';
        import {readFileSync} from 'fs';
        const {expressions, features, zooms} = JSON.parse(readFileSync(0, 'utf8'));
        console.log(JSON.stringify(expressions.map(one => {
            const made = createExpression(one, 'test');
            if (made.result !== 'success') throw new Error(JSON.stringify([one, made.value]));
            return features.map(properties => zooms.map(zoom => {
                const value = made.value.evaluateWithoutErrorHandling(
                    {zoom}, {type: 1, properties});
                return value === undefined ? null : value;
            }));
        })));
    """
    work = {"expressions": expressions, "features": FEATURES, "zooms": ZOOMS}
    done = subprocess.run(
        [str(NODE), "--input-type=module", "-e", program], cwd=WEB, input=json.dumps(work),
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    answer: list[list[list[Any]]] = json.loads(done.stdout)
    return answer


def test_values_are_those_of_maplibre() -> None:
    expected = by_maplibre(EXPRESSIONS)
    for expression, by_feature in zip(EXPRESSIONS, expected, strict=True):
        for properties, by_zoom in zip(FEATURES, by_feature, strict=True):
            for zoom, value in zip(ZOOMS, by_zoom, strict=True):
                where = f"{expression} {properties} {zoom}"
                assert evaluate(expression, properties, zoom) == value, where
                assert evaluate(folded(expression, zoom), properties, zoom) == value, where


@pytest.mark.parametrize("expression", IN_SQL)
def test_the_database_gives_the_same(connection: Connection, expression: Any) -> None:
    for zoom in ZOOMS:
        statement = sql.SQL("SELECT {} FROM (SELECT %s::jsonb AS p) AS q").format(
            sql_of(folded(expression, zoom), sql.SQL("q.p"))
        )
        for properties in FEATURES:
            found = connection.execute(statement, (json.dumps(properties),)).fetchone()
            assert found is not None
            assert found[0] == evaluate(expression, properties, zoom), (properties, zoom)


@pytest.mark.parametrize(
    "condition",
    [
        ["==", ["get", "zone"], "core"],
        ["!=", ["get", "zone"], "core"],
        ["!", ["has", "zone"]],
        ["all", ["has", "zone"], ["!=", ["get", "zone"], "core"]],
        ["any", ["==", ["get", "grade"], 2], ["has", "name"]],
        [">=", ["get", "grade"], 2],
        ["!", ["<", ["get", "grade"], 2]],
        ["match", ["get", "zone"], ["core", "edge"], True, False],
    ],
)
def test_a_condition_in_the_database_is_never_unknown(
    connection: Connection, condition: Any
) -> None:
    statement = sql.SQL("SELECT {} FROM (SELECT %s::jsonb AS p) AS q").format(
        sql_condition(condition, sql.SQL("q.p"))
    )
    for properties in FEATURES:
        found = connection.execute(statement, (json.dumps(properties),)).fetchone()
        assert found == (evaluate(condition, properties, 10) is True,), properties


def test_the_shipped_style_passes_maplibres_validator() -> None:
    if not (SPEC.is_dir() and NODE.exists()):
        pytest.skip("the web client's packages are not installed")
    style = map_style(load_catalog(PROJECT / "config"), "http://localhost:8000")
    style["glyphs"] = "http://localhost:8000/fonts/{fontstack}/{range}.pbf"
    program = """
        import {validateStyleMin} from '@maplibre/maplibre-gl-style-spec';
        import {readFileSync} from 'fs';
        const style = JSON.parse(readFileSync(0, 'utf8'));
        console.log(JSON.stringify(validateStyleMin(style).map(error => error.message)));
    """
    done = subprocess.run(
        [str(NODE), "--input-type=module", "-e", program], cwd=WEB, input=json.dumps(style),
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == []


def test_colours_are_read_and_others_refused() -> None:
    assert rgba("#D7191C") == (215, 25, 28, 1.0)
    assert rgba("rgba(255, 255, 255, 0.92)") == (255, 255, 255, 0.92)
    for wrong in ("red", "#FFF", "rgb(1,2,3)", ""):
        with pytest.raises(BadConfiguration, match="colour"):
            rgba(wrong)


def test_what_hangs_on_the_feature_is_known() -> None:
    assert reads_feature(["match", ["get", "zone"], "core", 1, 2])
    assert not reads_feature(["interpolate", ["linear"], ["zoom"], 1, 2, 3, 4])
    assert not reads_feature(["literal", ["get", "zone"]])
