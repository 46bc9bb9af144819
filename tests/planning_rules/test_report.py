"""The report: its form, its closing figures, and the same bytes wherever it is made."""

import copy
import pickle
import random
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import rfc8785
import shapely
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from planning_rules.overlay import TargetFeature, TargetLayer
from planning_rules.report import build_report, canonical_bytes, digest, digest_is_right
from planning_rules.report_html import render_html
from planning_rules.rule_case import CaseLayer
from planning_rules.rule_set import RuleSet
from planning_rules.submission import Submission, read_submission

DAY = date(2026, 5, 1)
REGION = (108.3, 18.0, 111.3, 20.3)
SITE = {"polygon": [(0, 0), (310, 20), (330, 300), (160, 340), (-20, 280)]}
ATTRIBUTES = {
    "name": "演示项目 <script>alert(1)</script>", "land_take": True, "is_new_building": True,
    "proposed_use": "0701", "floor_area_ratio": 2, "building_density": 0.3,
    "building_height_m": 24, "green_ratio": 30, "construction_type": "new-town",
    "declared_area_m2": 100_000,
}  # fmt: skip


def rectangles(count: int, **attributes: Any) -> list[dict[str, Any]]:
    draw = random.Random(count)
    made = []
    for i in range(count):
        x, y = draw.uniform(-100, 300), draw.uniform(-100, 300)
        box = (x, y, x + draw.uniform(5, 150), y + draw.uniform(5, 150))
        numbered = {k: v[i % len(v)] if isinstance(v, list) else v for k, v in attributes.items()}
        made.append({"rectangle": box, "attributes": numbered})
    return made


def targets_of(rule_set: RuleSet) -> dict[str, TargetLayer]:
    scheme = {"code_scheme": "landuse-2023"}
    stripes = [
        {"rectangle": (-50 + i * 60, -50, 10 + i * 60, 400),
         "attributes": {**scheme, "landuse_code": f"0{i % 3 + 1}01"}}
        for i in range(6)
    ]  # fmt: skip
    features: dict[str, Any] = {
        "permanent_basic_farmland": [*rectangles(5), {"rectangle": (-400, 0, 0.005, 10)}],
        "forest_land": rectangles(4, protection_grade=["II", "III"]),
        "nature_reserve": rectangles(3, zone=["core", "general"]),
        "detailed_plan_parcel": rectangles(
            4, **scheme, landuse_code="0701", far_max=[2, 1], density_max=35, height_max=24,
            green_min=30),
        "coastline": [{"line": [(400, -500), (420, 600)]}],
        "highway": [{"rectangle": (340, -500, 360, 600), "attributes": {"road_class": "county"}}],
        "current_landuse": stripes,
        "county": [
            {"rectangle": (-900, -900, 100, 900), "attributes": {"admin_code": "460105"}},
            {"rectangle": (100, -900, 900, 900), "attributes": {"admin_code": "460106"}},
        ],
    }  # fmt: skip
    names = (*rule_set.layers, "current_landuse", "county")
    layers = {
        n: CaseLayer(features=features.get(n, ()), accuracy_m=1.0).target(n)
        for n in names
        if n != "heritage_construction_control_zone"
    }
    return {name: in_pieces(replace(layer, synthetic=False)) for name, layer in layers.items()}


def in_pieces(layer: TargetLayer) -> TargetLayer:
    """The layer with every polygon cut in four, as the library hands features over."""
    features = []
    for feature in layer.features:
        shape = shapely.from_wkb(feature.pieces[0])
        if shape.geom_type == "Polygon":
            west, south, east, north = shape.bounds
            x, y = west + (east - west) / 3, south + (north - south) / 3
            boxes = [(west, south, x, y), (x, south, east, y), (west, y, x, north),
                     (x, y, east, north)]  # fmt: skip
            parts = [shapely.to_wkb(shapely.intersection(shape, shapely.box(*b))) for b in boxes]
            feature = replace(feature, pieces=tuple(parts))
        features.append(feature)
    return replace(layer, features=tuple(features))


@pytest.fixture(scope="module")
def submission(submit: Callable[..., Submission]) -> Submission:
    return submit(SITE, **ATTRIBUTES)


@pytest.fixture(scope="module")
def targets(shipped: RuleSet) -> dict[str, TargetLayer]:
    return targets_of(shipped)


def make(submission: Submission, targets: Any, rule_set: RuleSet, **options: Any) -> dict[str, Any]:
    identity = {"report_id": "R-1", "created": "2026-05-01T08:00:00Z", **options}
    return build_report(submission, targets, rule_set, DAY, **identity)


@pytest.fixture(scope="module")
def report(submission: Submission, targets: Any, shipped: RuleSet) -> dict[str, Any]:
    return make(submission, targets, shipped)


def test_the_form_is_the_published_one(report: dict[str, Any], shipped: RuleSet) -> None:
    assert {
        "report_id", "created", "as_of", "outcome", "submission", "findings", "layers", "land_take",
        "provenance", "digest", "signature",
    } <= set(report)  # fmt: skip
    assert {
        "id", "name", "sha256", "source_crs", "area_m2", "area_mu", "declared_area_m2", "repairs",
    } <= set(report["submission"])  # fmt: skip
    for finding in report["findings"]:
        assert {
            "rule_id", "rule_version", "title", "outcome", "qualification", "severity", "rigidity",
            "legal_basis", "measured", "limit", "exemption", "requires", "patches", "message",
        } <= set(finding)  # fmt: skip
        assert finding["message"]["zh"]
        assert finding["message"]["en"]
        for patch in finding["patches"]:
            assert {
                "id", "kind", "layer", "edition", "feature_id", "code", "area_m2", "width_m",
                "geometry",
            } <= set(patch)  # fmt: skip
            assert patch["kind"] == "conflict" or patch["reason"]["zh"]
    assert [f["rule_id"] for f in report["findings"]] == sorted(r.id for r in shipped.rules)
    assert report["outcome"] == "violation"
    assert report["provenance"]["rule_set"]["sha256"] == shipped.sha256
    assert {"shapely", "geos", "pyproj", "proj", "package"} <= set(report["provenance"]["engine"])
    assert report["signature"] is None
    assert "synthetic" not in report


def test_layers_have_three_states(report: dict[str, Any]) -> None:
    states = {layer["layer"]: layer["state"] for layer in report["layers"]}
    assert states["permanent_basic_farmland"] == "concerned"
    assert states["coastline"] == "concerned"
    assert states["ecological_redline"] == "not-concerned"
    assert states["heritage_construction_control_zone"] == "no-data"
    finding = next(f for f in report["findings"] if f["rule_id"] == "HN-HERITAGE-002")
    assert finding["outcome"] == "undetermined"


def test_land_take_closes(report: dict[str, Any]) -> None:
    rows = report["land_take"]
    cents = sum(round(row["area_m2"] * 100) for row in rows)
    assert cents == round(report["submission"]["area_m2"] * 100)
    assert sum(round(row["share"] * 10_000) for row in rows) == 10_000
    assert {row["admin_code"] for row in rows} == {"460105", "460106"}
    codes = [(row["admin_code"], row["code"]) for row in rows]
    assert len(codes) == len(set(codes))
    assert None in {code for _, code in codes}  # beyond the last stripe


def test_the_digest_covers_the_content_and_nothing_else(
    submission: Submission, targets: Any, shipped: RuleSet, report: dict[str, Any]
) -> None:
    again = make(submission, targets, shipped, report_id="R-2", created="2027-01-01T00:00:00Z")
    assert again["digest"] == report["digest"]
    assert digest_is_right(report)
    assert digest_is_right({**report, "signature": "x", "report_id": "y"})
    changed = copy.deepcopy(report)
    changed["findings"][0]["message"]["en"] += " "
    assert not digest_is_right(changed)
    other_day = build_report(
        submission, targets, shipped, date(2026, 5, 2), report_id="", created=""
    )
    assert other_day["digest"] != report["digest"]


def test_canonical_bytes_are_rfc_8785(report: dict[str, Any]) -> None:
    hashed = {
        k: v for k, v in report.items() if k not in ("report_id", "created", "digest", "signature")
    }
    assert canonical_bytes(report) == rfc8785.dumps(hashed)
    assert digest(report) == report["digest"]


def shuffled(targets: dict[str, TargetLayer], draw: random.Random) -> dict[str, TargetLayer]:
    """The same layers, features and pieces in another order, with other internal numbers."""
    names = list(targets)
    draw.shuffle(names)
    result = {}
    for name in names:
        features = list(targets[name].features)
        draw.shuffle(features)
        renumbered = tuple(
            TargetFeature(draw.randrange(10**6) * 100 + i, f.feature_id, f.attributes,
                          tuple(draw.sample(f.pieces, len(f.pieces))))
            for i, f in enumerate(features)
        )  # fmt: skip
        result[name] = replace(targets[name], features=renumbered)
    return result


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.integers(0, 10_000), st.integers(0, 4), st.booleans())
def test_the_same_case_in_another_order_has_the_same_digest(
    submission: Submission, targets: Any, shipped: RuleSet, report: dict[str, Any],
    seed: int, start: int, backwards: bool,
) -> None:  # fmt: skip
    ring = report["submission"]["geometry"]["coordinates"][0][:-1]
    ring = ring[start:] + ring[:start]
    ring = ring[::-1] if backwards else ring
    geometry = {"type": "Polygon", "coordinates": [[*ring, ring[0]]]}
    properties = dict(sorted(ATTRIBUTES.items(), key=lambda item: hash((seed, item[0]))))
    feature = {"type": "Feature", "properties": properties, "geometry": geometry}
    turned = read_submission(feature, region_bbox=REGION)
    other = make(turned, shuffled(targets, random.Random(seed)), shipped)
    assert other["digest"] == report["digest"]


def test_the_same_digest_in_another_process(
    tmp_path: Path, submission: Submission, targets: Any, shipped: RuleSet, report: dict[str, Any]
) -> None:
    parcel = tmp_path / "case.pickle"
    parcel.write_bytes(pickle.dumps((submission, targets, shipped, DAY)))
    code = (
        "import pickle, sys; from planning_rules.report import build_report; "
        "values = pickle.loads(open(sys.argv[1], 'rb').read()); "
        "print(build_report(*values, report_id='x', created='y')['digest'])"
    )
    for seed in ("0", "1"):
        done = subprocess.run(
            [sys.executable, "-c", code, str(parcel)],
            capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": seed},
        )  # fmt: skip
        assert done.stdout.strip() == report["digest"]


def test_synthetic_data_says_so(submission: Submission, targets: Any, shipped: RuleSet) -> None:
    by_argument = make(submission, targets, shipped, synthetic=True)
    name, layer = next(iter(targets.items()))
    by_target = make(submission, {**targets, name: replace(layer, synthetic=True)}, shipped)
    for made in (by_argument, by_target):
        assert made["synthetic"] is True
        assert "合成" in made["notice"]["zh"]
        assert "演示数据 · synthetic data" in render_html(made, "en")


def test_a_line_and_a_point_get_a_report(
    submit: Callable[..., Submission], targets: Any, shipped: RuleSet
) -> None:
    for shape in ({"line": [(-100, 50), (400, 60)]}, {"point": (120, 120)}):
        made = make(submit(shape, land_take=True), targets, shipped)
        assert made["land_take"] == []
        assert made["submission"]["area_m2"] == 0
        assert digest_is_right(made)
        assert "<svg" in render_html(made, "zh")


def test_an_unreadable_layer_is_no_data_and_no_crash(
    submission: Submission, targets: Any, shipped: RuleSet
) -> None:
    broken = {
        name: replace(layer, features=(TargetFeature(1, "F1", {}, (b"\x00",)),))
        for name, layer in targets.items()
    }
    made = make(submission, broken, shipped)
    assert {layer["state"] for layer in made["layers"]} == {"no-data"}
    assert made["outcome"] == "undetermined"
    assert "pass" not in {f["outcome"] for f in made["findings"]}
    assert made["land_take"][0]["code"] is None
    assert made["land_take"][0]["area_m2"] == made["submission"]["area_m2"]


@pytest.mark.parametrize("language", ["zh", "zh-CN", "en"])
def test_the_page_stands_alone(report: dict[str, Any], language: str) -> None:
    page = render_html(report, language)
    for outside in ("http://", "https://", "src=", "@import", "<script"):
        assert outside not in page
    assert "&lt;script&gt;" in page
    assert report["digest"] in page
    first = page.index('class="verdict violation"')
    assert first < page.index('class="finding"')
    for finding in report["findings"]:
        assert finding["rule_id"] in page
        assert finding["title"]["zh" if language.startswith("zh") else "en"] in page
    shown = [f for f in report["findings"] if f["outcome"] not in ("pass", "not-applicable")]
    for patch in (p for f in shown for p in f["patches"]):
        assert f"{patch['area_m2']:,.2f}" in page
    assert page.count("<svg") >= 3


def test_patch_coordinates_have_nine_decimals(report: dict[str, Any]) -> None:
    shapes = [
        shapely.geometry.shape(patch["geometry"])
        for finding in report["findings"]
        for patch in finding["patches"]
    ]
    coordinates = shapely.get_coordinates(shapes)
    assert len(coordinates) > 50
    assert (coordinates == coordinates.round(9)).all()
