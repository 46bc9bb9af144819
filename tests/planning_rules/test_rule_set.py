"""The rule schema refuses what it does not know; the digest follows the content."""

import copy
import hashlib
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from layers.catalog import load_catalog
from layers.errors import BadConfiguration
from planning_rules.condition import Comparison, Junction, Membership, Name, Value, parse_condition
from planning_rules.quantity import Quantity
from planning_rules.rule_set import RuleSet, load_rule_set, rule_set_of
from planning_rules.submission_form import attributes_of, submission_form

CONFIG = Path(__file__).resolve().parents[2] / "config"
RULE: dict[str, Any] = {
    "id": "T-ONE-1", "version": "1.0.0", "title": {"zh": "一", "en": "One"},
    "qualification": "prohibition", "rigidity": "rigid", "severity": "violation",
    "valid": {"from": "2020-01-01"}, "legal_basis": [{"title": "法", "verified": False}],
    "subject": {"kind": "project"}, "target": {"layer": "zone"},
    "test": {"overlap": {"max_area": "0 m2"}},
}  # fmt: skip
HEAD = {
    "id": "t", "version": "1", "jurisdiction": ["460000"], "status": "draft", "crs": "EPSG:4490",
    "area_method": "cgcs2000-ellipsoidal",
}  # fmt: skip


def load(tmp_path: Path, *rules: dict[str, Any], **sections: Any) -> RuleSet:
    path = tmp_path / "rules.yml"
    content = {"ruleset": HEAD, "rules": list(rules), **sections}
    path.write_text(yaml.safe_dump(content, allow_unicode=True))
    return load_rule_set(path)


def changed(**changes: Any) -> dict[str, Any]:
    return {**copy.deepcopy(RULE), **changes}


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        (changed(colour="red"), "T-ONE-1.colour"),
        (changed(test={}), "exactly one kind"),
        (changed(test={**RULE["test"], "within": {"max_outside_area": "0 m2"}}), "exactly one"),
        (changed(test={"skyline": {}}), "T-ONE-1.test"),
        (changed(test={**RULE["test"], "aggregate": "per-plan-parcel"}), "belong to limits"),
        (changed(test={"overlap": {"max_area": "a lot"}}), "no quantity"),
        (changed(test={"overlap": {"max_area": "3 furlongs"}}), "no quantity"),
        (changed(test={"distance": {}}), "either min or min_by"),
        (changed(test={"distance": {"min": "0 m"}}), "positive length"),
        (changed(test={"distance": {"min": "3 m2"}}), "positive length"),
        (changed(test={"overlap": {"max_area": "1 km"}}), "'0 m2' is expected"),
        (changed(test={"overlap": {"max_area": "-1 m2"}}), "not below 0"),
        (changed(test={"within": {"max_outside_area": "5"}}), "'0 m2' is expected"),
        (changed(tolerance={"min_width": "20"}), "'0.02 m' is expected"),
        (changed(tolerance={"min_width": "1 ha"}), "'0.02 m' is expected"),
        (changed(tolerance={"min_width": "-1 m"}), "not below 0"),
        (changed(tolerance={"min_area": "500 m"}), "'0 m2' is expected"),
        (changed(test={"compatibility": {"matrix": "m", "max_share": {
            "forbidden": "0 m2", "conditional": "0 %"}}}), "'15 %' is expected"),
        (changed(test={"compatibility": {"matrix": "m", "crosswalk": ["x"], "max_share": {
            "forbidden": "0 %", "conditional": "0 %"}}}), "crosswalk is applied between plans"),
        (changed(subject={"line_width": "30 m"}), "line_width is not applied"),
        (changed(jurisdiction=["460100"]), "a jurisdiction other"),
        (changed(target={"layer": "zone", "status": "draft"}), "T-ONE-1.target.status"),
        (changed(test={"limits": []}), "T-ONE-1.test.limits"),
        (changed(test={"limits": [
            {"attribute": "a", "op": "<", "bound": "target.b", "unit": "m"}]}), "op"),
        (changed(test={"limits": [
            {"attribute": "a", "op": "<=", "bound": "b", "unit": "m"}]}), "bound"),
        (changed(test={"compatibility": {"matrix": "none", "max_share": {
            "forbidden": "0 %", "conditional": "0 %"}}}), "no matrix none"),
        (changed(test={"decision_table": {"hit_policy": "UNIQUE", "inputs": ["target.a"],
                                          "rows": [{"in": [1, 2], "out": "pass"}]}}), "one entry"),
        (changed(subject={"when": "a ="}), "not understood"),
        (changed(target={"layer": "zone", "filter": "f(x) = 1"}), "not understood"),
        (changed(exemptions=[{"id": "e", "when": "a LIKE 'x'", "outcome": "pass"}]), "understood"),
        (changed(severity="fatal"), "severity"),
        (changed(valid={"from": "soon"}), "valid"),
        (changed(legal_basis=[]), "legal_basis"),
        (changed(title={"zh": "一"}), "title.en"),
        ({k: v for k, v in RULE.items() if k != "id"}, "without id"),
    ],
)  # fmt: skip
def test_faults_name_rule_and_key(tmp_path: Path, rule: dict[str, Any], said: str) -> None:
    with pytest.raises(BadConfiguration) as caught:
        load(tmp_path, rule)
    assert said in caught.value.text.en
    assert "rules.yml" in caught.value.text.zh


def test_two_rules_of_one_id_must_not_meet(tmp_path: Path) -> None:
    first = changed(valid={"from": "2020-01-01", "to": "2020-12-31"})
    load(tmp_path, first, changed(version="2.0.0", valid={"from": "2021-01-01"}))
    with pytest.raises(BadConfiguration, match="same day"):
        load(tmp_path, first, changed(version="2.0.0", valid={"from": "2020-12-31"}))


@pytest.mark.parametrize(
    "text",
    ["rules: [", "- 1", "ruleset: {id: x}\nrules: []", "rules: []", "ruleset: 3\nrules: [1]",
     "colour: red", "ruleset: {id: x}\nrules: 3"],
)  # fmt: skip
def test_broken_files(tmp_path: Path, text: str) -> None:
    path = tmp_path / "broken.yml"
    path.write_text(text)
    with pytest.raises(BadConfiguration) as caught:
        load_rule_set(path)
    assert "broken.yml" in caught.value.text.zh


def test_yaml_dates_and_bare_numbers_are_text(tmp_path: Path) -> None:
    path = tmp_path / "rules.yml"
    text = yaml.safe_dump({"ruleset": HEAD, "rules": [RULE]}, allow_unicode=True)
    text = text.replace("- title: 法", "- title: 法\n    number: 2016\n    valid_from: 2025-10-01")
    path.write_text(text.replace("from: '2020-01-01'", "from: 2020-01-01"))
    (basis,) = load_rule_set(path).rules[0].legal_basis
    assert basis.number == "2016"
    assert basis.valid_from is not None


@pytest.mark.parametrize(
    ("text", "value", "unit"),
    [("200 m", 200, "m"), ("0 m2", 0, "m2"), ("1.5 ha", 15_000, "m2"), ("20 mm", 0.02, "m"),
     ("15 %", 15, "%"), (1, 1, "1"), ("2km", 2000, "m"), ("-3 m", -3, "m")],
)  # fmt: skip
def test_quantities(text: Any, value: float, unit: str) -> None:
    quantity = Quantity.model_validate(text)
    assert (quantity.value, quantity.unit) == (pytest.approx(value), unit)


@pytest.mark.parametrize("text", [True, None, "m", "1e3 m", "1 000 m", "NaN m", [1], "٣ m"])
def test_no_quantities(text: Any) -> None:
    with pytest.raises(ValueError, match="quantity"):
        Quantity.model_validate(text)


def test_digest_follows_content_not_layout(tmp_path: Path) -> None:
    plain = load(tmp_path, changed(), changed(id="T-TWO-2"))
    assert load(tmp_path, changed(id="T-TWO-2"), changed()).sha256 == plain.sha256
    other = changed(test={"overlap": {"max_area": "1 m2"}})
    assert load(tmp_path, other, changed(id="T-TWO-2")).sha256 != plain.sha256
    tolerant = {"defaults": {"tolerance": {"min_width": "0.03 m"}}}
    assert load(tmp_path, changed(), changed(id="T-TWO-2"), **tolerant).sha256 != plain.sha256


def test_split_into_files_changes_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "split"
    folder.mkdir()
    (folder / "a.yml").write_text(yaml.safe_dump({"ruleset": HEAD, "rules": [RULE]}))
    (folder / "b.yml").write_text(yaml.safe_dump({"rules": [changed(id="T-TWO-2")]}))
    (folder / "attributes.yml").write_text("attributes: []")
    assert load_rule_set(folder).sha256 == load(tmp_path, changed(), changed(id="T-TWO-2")).sha256
    (folder / "c.yml").write_text(yaml.safe_dump({"ruleset": HEAD}))
    with pytest.raises(BadConfiguration, match="two files"):
        load_rule_set(folder)


def test_tolerance_own_over_default_over_built_in(tmp_path: Path) -> None:
    own = changed(tolerance={"min_width": "50 mm", "on_below": "classify-as-accuracy-difference"})
    loaded = load(
        tmp_path, own, changed(id="T-TWO-2"), defaults={"tolerance": {"min_area": "2 m2"}}
    )
    first, second = (loaded.tolerance_of(rule) for rule in loaded.rules)
    assert (first.min_width_m, first.min_area_m2) == (0.05, 2)
    assert first.classify_as_accuracy_difference
    assert (second.min_width_m, second.classify_as_accuracy_difference) == (0.02, False)


def test_margin_is_more_than_the_largest_minimum(shipped: RuleSet) -> None:
    assert 200 < shipped.margin_m("coastline") < 210
    assert 30 < shipped.margin_m("highway") < 35
    assert shipped.margin_m("ecological_redline") == 0
    assert shipped.margin_m("no-such-layer") == 0


def test_shipped_rules_read_layers_and_attributes_that_exist(shipped: RuleSet) -> None:
    catalog = load_catalog(CONFIG)
    for rule in shipped.rules:
        layer = catalog.layer(rule.target.layer)
        names = set(parse_condition(rule.target.filter).names) if rule.target.filter else set()
        names |= {limit.bound.removeprefix("target.") for limit in rule.test.limits or ()}
        if rule.test.decision_table:
            inputs = rule.test.decision_table.inputs
            names |= {n.removeprefix("target.") for n in inputs if n.startswith("target.")}
        if rule.test.distance and rule.test.distance.min_by:
            names.add(rule.test.distance.min_by.property.removeprefix("target."))
        if rule.test.compatibility and rule.subject.kind == "project":
            names |= {rule.target.property or "landuse_code", "code_scheme"}
        assert not {name for name in names if layer.attribute(name) is None}, rule.id


def _literals(node: Any) -> list[tuple[str, Any]]:
    if isinstance(node, Junction):
        return [pair for part in node.parts for pair in _literals(part)]
    pairs = []
    if isinstance(node, Comparison) and isinstance(node.left, Name):
        pairs = [(node.left.name, node.right)]
    if isinstance(node, Membership) and isinstance(node.operand, Name):
        pairs = [(node.operand.name, option) for option in node.options]
    return [(name, value.value) for name, value in pairs if isinstance(value, Value)]


def test_the_form_offers_every_value_that_a_rule_asks_for(shipped: RuleSet) -> None:
    form = {entry["name"]: entry for entry in submission_form(shipped)}
    landuse = load_catalog(CONFIG).code_list("landuse-2023")
    for rule in shipped.rules:
        texts = [e.when for e in rule.exemptions] + [rule.subject.when or ""]
        for name, value in (p for t in texts if t for p in _literals(parse_condition(t).tree)):
            if isinstance(value, bool):
                assert form[name]["type"] == "boolean"
            elif name == "proposed_use":  # no options: the form offers the classification
                assert landuse.find(value)
            else:
                assert value in [option["value"] for option in form[name]["options"]], name
        for name in attributes_of(rule):
            assert rule.id in form[name]["rules"]
            assert form[name]["title"]["zh"] != name
    assert list(form)[:2] == ["name", "proposed_use"]


def test_every_threshold_is_said_to_be_a_demo_value(shipped: RuleSet) -> None:
    assert shipped.notice is not None
    assert "演示" in shipped.notice.zh
    assert shipped.status == "draft"


def test_an_attribute_that_is_not_described_still_appears(tmp_path: Path) -> None:
    folder = tmp_path / "bare"
    shutil.copytree(CONFIG / "rules", folder)
    (folder / "attributes.yml").unlink()
    loaded = load_rule_set(folder)
    assert {entry["name"] for entry in submission_form(loaded)} >= {"land_take", "documents"}


def test_a_stored_rule_set_is_the_same_rule_set() -> None:
    """From its canonical text alone: the same digest, the same rules, matrices and defaults."""
    loaded = load_rule_set(CONFIG / "rules")
    again = rule_set_of(loaded.canonical_text)
    assert hashlib.sha256(loaded.canonical_text.encode()).hexdigest() == loaded.sha256
    assert again.model_dump(exclude={"attributes"}) == loaded.model_dump(exclude={"attributes"})
