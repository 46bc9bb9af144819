"""Attributes of a wrong type, unit or form: said to the sender, unknown to every rule."""

from typing import Any

import pytest

from planning_rules.attribute_remarks import attribute_remarks
from planning_rules.consent import supplied_consents
from planning_rules.rule import Consent
from planning_rules.rule_set import RuleSet
from tests.planning_rules.conftest import DAY

HEIGHT = "building_height_m"


def said(shipped: RuleSet, **attributes: Any) -> list[str]:
    return [one.code for one in attribute_remarks(attributes, shipped.described)]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (HEIGHT, 24), (HEIGHT, 24.5), (HEIGHT, "24"), (HEIGHT, "24 m"), (HEIGHT, "24米"),
        ("building_density", "35 %"), ("building_density", 0.35), ("floor_area_ratio", "1.5"),
        ("declared_area_m2", 10), ("land_take", True), ("land_take", None), ("name", "厂房"),
        ("limited_activity_code", 6), ("project_level", "ordinary"), ("not_described", object()),
        ("documents", []),
    ],
)  # fmt: skip
def test_what_a_rule_can_use_needs_no_word(shipped: RuleSet, name: str, value: Any) -> None:
    assert said(shipped, **{name: value}) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (HEIGHT, "12 ft"), (HEIGHT, "１２"), (HEIGHT, "12 cm"), (HEIGHT, "12,5"), (HEIGHT, "1_2"),
        (HEIGHT, "1e2"), (HEIGHT, "-3"), (HEIGHT, "about 12"), (HEIGHT, True), (HEIGHT, [12]),
        (HEIGHT, {"value": 12}), (HEIGHT, ""), (HEIGHT, float("nan")), (HEIGHT, float("inf")),
        ("building_density", "35 m"), ("building_density", "140 %"), ("floor_area_ratio", "1.5 %"),
        ("declared_area_m2", "100 m2"), ("declared_area_m2", "100"), ("declared_area_m2", False),
        ("land_take", "true"), ("land_take", 1), ("land_take", "是"), ("proposed_use", 701),
        ("limited_activity_code", 6.5), ("limited_activity_code", "6"), ("name", {"zh": "厂房"}),
        ("documents", "预审意见"), ("documents", {"document": "x"}),
    ],
)  # fmt: skip
def test_what_no_rule_can_use_is_said(shipped: RuleSet, name: str, value: Any) -> None:
    (remark,) = attribute_remarks({name: value}, shipped.described)
    assert remark.code == "attribute-unusable"
    assert f"'{name}'" in remark.text.en
    assert f"“{name}”" in remark.text.zh
    assert len(remark.text.en) < 300


@pytest.mark.parametrize(("name", "value"), [("project_level", "National-Major"),
                                             ("limited_activity_code", 11)])  # fmt: skip
def test_a_value_that_the_form_does_not_offer(shipped: RuleSet, name: str, value: Any) -> None:
    assert said(shipped, **{name: value}) == ["attribute-unknown-value"]


DOCUMENT = {"authority": "国务院", "document": "批准文件", "number": "国函〔2026〕1号"}


@pytest.mark.parametrize(
    ("document", "counts"),
    [
        (DOCUMENT, True),
        ({**DOCUMENT, "number": 7}, True),
        ({**DOCUMENT, "number": None, "date": "2026-01-31"}, True),
        ({**DOCUMENT, "number": None}, False),
        ({**DOCUMENT, "number": True}, False),
        ({**DOCUMENT, "date": "2026-02-30"}, False),
        ({**DOCUMENT, "date": "0000-00-00"}, False),
        ({**DOCUMENT, "date": "31.01.2026"}, False),
        ({**DOCUMENT, "date": "99999-01-01"}, False),
        ({**DOCUMENT, "date": 20260131}, True),
        ({**DOCUMENT, "date": True}, False),
        ({**DOCUMENT, "document": " "}, False),
        ({**DOCUMENT, "document": ["批准文件"]}, False),
        ({**DOCUMENT, "authority": 5}, False),
        ("批准文件", False),
        (None, False),
        ([DOCUMENT], False),
    ],
)
def test_documents_that_count_and_those_that_do_not(
    shipped: RuleSet, document: Any, counts: bool
) -> None:
    """The word to the sender and the rule's own reading agree."""
    remarks = said(shipped, documents=[document])
    assert remarks == ([] if counts else ["document-unusable"])
    wanted = (Consent(authority="国务院", document="批准文件"),)
    used, missing = supplied_consents({"documents": [document]}, wanted, DAY)
    assert bool(used) is counts
    assert bool(missing) is not counts
