"""Balances: keys, periods, classes, and what never counts as enough left."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from pydantic import ValidationError

from layers.catalog import Catalog
from planning_rules.area_expression import parse_area
from planning_rules.engine import Bench, judge
from planning_rules.finding import Finding
from planning_rules.quota import Quota, quota_of
from planning_rules.report import build_report
from planning_rules.rule_case import CaseLayer
from planning_rules.rule_lint import lint
from planning_rules.rule_set import RuleSet, rule_set_of
from tests.planning_rules.conftest import DAY, Submit

SITE = {"rectangle": (0, 0, 100, 100)}
TARGET = {"ledger": "land", "key": ["county_code", "planning_period"]}
QUANTITY = "area(subject INTERSECTION current_landuse IN ('01', '03'))"
Make = Callable[..., RuleSet]


def quota(granted: float, **changes: Any) -> Quota:
    row = Quota("land", "460107", "2021-2035", date(2021, 1, 1), date(2035, 12, 31), "*",
                granted, 0.0, 0.0, 1)  # fmt: skip
    return replace(row, **changes)


def use(rectangle: Any, code: Any = "0103", scheme: str = "landuse-2023") -> dict[str, Any]:
    return {"rectangle": rectangle, "attributes": {"landuse_code": code, "code_scheme": scheme}}


def unit(rectangle: Any, code: Any = "460107") -> dict[str, Any]:
    return {"rectangle": rectangle, "attributes": {"admin_code": code}}


EVERYWHERE = (-500, -500, 500, 500)
FIELDS = (use(EVERYWHERE),)
COUNTY = (unit(EVERYWHERE),)


@pytest.fixture
def balance(rule_set: Make, submit: Submit) -> Callable[..., Finding]:
    def run(
        *quotas: Quota,
        uses: Any = FIELDS,
        units: Any = COUNTY,
        site: Any = SITE,
        key: tuple[str, ...] = ("county_code", "planning_period"),
        quantity: str = QUANTITY,
        as_of: date = DAY,
        **changes: Any,
    ) -> Finding:
        rules = rule_set(
            {"balance": {"quantity": quantity, "reserve": "on-approval"}},
            subject={"dimensions": ["area"]}, target={"ledger": "land", "key": key}, **changes,
        )  # fmt: skip
        targets = {
            "current_landuse": CaseLayer(features=uses).target("current_landuse"),
            "county": CaseLayer(features=units).target("county"),
        }
        submission = submit(site)
        (finding,) = judge(submission, targets, rules, as_of, Bench(submission, targets, quotas))
        return finding

    return run


def test_equality_to_the_cent(balance: Callable[..., Finding]) -> None:
    needed = balance(quota(1e6)).result.measured.value  # type: ignore[union-attr]
    assert needed is not None
    assert balance(quota(needed)).outcome == "pass"
    assert balance(quota(round(needed - 0.01, 2))).outcome == "violation"
    reserved = quota(1e6, reserved_m2=5e5, booked_m2=round(5e5 - needed, 2))
    assert reserved.remaining_m2 == needed
    assert balance(reserved).outcome == "pass"
    assert balance(replace(reserved, booked_m2=round(5e5 - needed + 0.01, 2))).outcome == (
        "violation"
    )


def test_the_whole_site_where_the_rule_says_so(balance: Callable[..., Finding]) -> None:
    """Layer or not: a site on built-up land alone draws on this quota, too."""
    finding = balance(quota(9_000), quantity="area(subject)", uses=())
    assert finding.outcome == "violation"
    assert finding.rule.target.layer == "county"
    assert balance(quota(11_000), quantity="area(subject)", uses=()).outcome == "pass"


@pytest.mark.parametrize(
    ("code", "outcome"),
    [
        ("01", "violation"), ("0103", "violation"), ("010301", "violation"), ("03", "violation"),
        ("0701", "pass"), ("10", "pass"), ("1001", "pass"), ("0", "pass"),
        ("", "undetermined"), (None, "undetermined"), (103, "undetermined"),
    ],
)  # fmt: skip
def test_codes_inherit_by_whole_levels(
    balance: Callable[..., Finding], code: Any, outcome: str
) -> None:
    """'1001' holds '01' as a substring and is a road; a number is no code."""
    assert balance(quota(1), uses=(use(EVERYWHERE, code),)).outcome == outcome


def test_overlapping_parcels_count_once(balance: Callable[..., Finding]) -> None:
    doubled = balance(quota(10_500), uses=(use(EVERYWHERE), use(EVERYWHERE, "0301")))
    assert doubled.outcome == "pass"


def test_units_that_overlap_count_once(balance: Callable[..., Finding]) -> None:
    finding = balance(
        quota(10_500), quota(0, admin_code="460108"),
        units=(unit(EVERYWHERE), unit((50, -500, 500, 500), "460108")),
    )  # fmt: skip
    assert finding.outcome == "pass"
    assert [d["admin_code"] for d in finding.result.details] == ["460107"]  # type: ignore[union-attr]


def test_a_unit_of_several_parts_is_one(balance: Callable[..., Finding]) -> None:
    halves = (unit((-500, -500, 50, 500)), unit((50, -500, 500, 500)))
    assert balance(quota(9_000), units=halves).outcome == "violation"
    assert balance(quota(11_000), units=halves).outcome == "pass"


@pytest.mark.parametrize("code", [None, "", 460107])
def test_a_unit_without_a_code_is_none(balance: Callable[..., Finding], code: Any) -> None:
    assert balance(quota(1e6), units=(unit(EVERYWHERE, code),)).outcome == "undetermined"


def test_a_slit_between_units_is_no_doubt(balance: Callable[..., Finding]) -> None:
    """10 mm between two counties, as digitising leaves them; 1 m is somebody's land."""
    for gap, outcome in ((0.01, "pass"), (1.0, "undetermined")):
        units = (unit((-500, -500, 50, 500)), unit((50 + gap, -500, 500, 500)))
        assert balance(quota(1e6), units=units).outcome == outcome


def test_strips_within_the_accuracy_are_taken(
    balance: Callable[..., Finding], rule_set: Make, submit: Submit
) -> None:
    """A strip of 2 m of farmland is farmland for the ledger, however coarse the survey."""
    rules = rule_set(
        {"balance": {"quantity": QUANTITY}}, subject={"dimensions": ["area"]}, target=TARGET
    )
    uses = (use((-500, -500, 2, 500)), use((2, -500, 500, 500), "0701"))
    targets = {
        "current_landuse": CaseLayer(features=uses, accuracy_m=5).target("current_landuse"),
        "county": CaseLayer(features=(unit(EVERYWHERE),)).target("county"),
    }
    submission = submit(SITE)
    for granted, outcome in ((199, "violation"), (201, "pass")):
        bench = Bench(submission, targets, [quota(granted)])
        (finding,) = judge(submission, targets, rules, DAY, bench)
        assert finding.outcome == outcome


def test_by_land_class(balance: Callable[..., Finding]) -> None:
    key = ("county_code", "planning_period", "land_class")
    uses = (use((-500, -500, 30, 500)), use((30, -500, 500, 500), "0301"))
    enough = (quota(3_100, land_class="01"), quota(7_100, land_class="03"))
    finding = balance(*enough, uses=uses, key=key)
    assert finding.outcome == "pass"
    assert [(d["land_class"], round(d["quantity_m2"], -1)) for d in finding.result.details] == [  # type: ignore[union-attr]
        ("01", 3000), ("03", 7000),
    ]  # fmt: skip
    assert balance(enough[0], replace(enough[1], granted_m2=6_900), uses=uses, key=key).outcome == (
        "violation"
    )
    assert balance(enough[0], uses=uses, key=key).outcome == "undetermined"
    assert balance(quota(1e6), uses=uses, key=key).outcome == "undetermined", "of all together"
    assert balance(*enough, uses=uses).outcome == "undetermined", "classes are not all together"


def test_by_year(balance: Callable[..., Finding]) -> None:
    key = ("county_code", "year")
    year = quota(1e6, period="2026", first=date(2026, 1, 1), last=date(2026, 12, 31))
    assert balance(year, key=key).outcome == "pass"
    assert balance(quota(1e6), key=key).outcome == "undetermined", "15 years are no year"
    before = replace(year, period="2025", first=date(2025, 1, 1), last=date(2025, 12, 31))
    assert balance(before, key=key).outcome == "undetermined"
    for day, outcome in (
        (date(2026, 1, 1), "pass"), (date(2026, 12, 31), "pass"),
        (date(2025, 12, 31), "undetermined"), (date(2027, 1, 1), "undetermined"),
    ):  # fmt: skip
        assert balance(year, key=key, as_of=day).outcome == outcome


def test_a_violation_stays_one_beside_a_doubt(balance: Callable[..., Finding]) -> None:
    units = (unit((-500, -500, 50, 500)), unit((50, -500, 500, 500), "460108"))
    finding = balance(quota(10), units=units)
    assert finding.outcome == "violation"
    assert len(finding.reasons) == 1


def test_a_report_pins_what_it_read(rule_set: Make, submit: Submit) -> None:
    """The quotas of the site's units, in one order; others change no digest."""
    rules = rule_set(
        {"balance": {"quantity": QUANTITY}}, subject={"dimensions": ["area"]}, target=TARGET
    )
    submission = submit(SITE)
    targets = {
        "current_landuse": CaseLayer(features=(use(EVERYWHERE),)).target("current_landuse"),
        "county": CaseLayer(features=(unit(EVERYWHERE),)).target("county"),
    }

    def report(*quotas: Quota, of: RuleSet = rules) -> dict[str, Any]:
        return build_report(submission, targets, of, DAY, quotas, report_id="r", created="c")

    mine, other = quota(1e6), quota(5, admin_code="460108")
    first = report(mine, quota(7, land_class="01"), other)
    assert first["provenance"]["quotas"][0] == mine.as_json()
    assert quota_of(mine.as_json()) == mine
    assert [q["land_class"] for q in first["provenance"]["quotas"]] == ["*", "01"]
    again = report(replace(other, granted_m2=6), quota(7, land_class="01"), mine)
    assert again["digest"] == first["digest"]
    assert report(replace(mine, booked_m2=1.0))["digest"] != first["digest"]
    plain = rule_set({"overlap": {"max_area": "0 m2"}}, target={"layer": "county"})
    assert "quotas" not in report(mine, of=plain)["provenance"], "older reports replay as they were"


@pytest.mark.parametrize(
    ("test", "changes", "said"),
    [
        ({"quantity": "area(site)"}, {}, "quantity is"),
        ({"quantity": "area(subject INTERSECTION current_landuse IN ('01','01'))"}, {}, "twice"),
        ({"quantity": "area(subject INTERSECTION current_landuse IN ())"}, {}, "quantity is"),
        ({"quantity": "area(subject); drop"}, {}, "quantity is"),
        ({"quantity": "area(subject" + " " * 600 + ")"}, {}, "quantity is"),
        ({"quantity": QUANTITY, "op": ">="}, {}, "<="),
        ({"quantity": QUANTITY, "reserve": "never"}, {}, "on-approval"),
        ({}, {"subject": {"dimensions": ["area", "line"]}}, "dimensions must be"),
        ({}, {"subject": {}}, "dimensions must be"),
        ({}, {"target": {"layer": "current_landuse"}}, "needs a ledger"),
        ({}, {"target": {**TARGET, "layer": "forest_land"}}, "not the one of the quantity"),
        ({}, {"target": {**TARGET, "filter": "a = 1"}}, "not by a filter"),
        ({}, {"target": {"ledger": "land", "key": ["county_code"]}}, "planning_period or year"),
        ({}, {"target": {"ledger": "land", "key": ["year", "planning_period", "county_code"]}},
         "planning_period or year"),
        ({}, {"target": {"ledger": "land", "key": ["county_code", "year", "year"]}}, "twice"),
        ({}, {"target": {"ledger": "land", "key": ["county_code", "year", "owner"]}}, "land_class"),
        ({}, {"target": {"ledger": "Not this", "key": TARGET["key"]}}, "pattern"),
        ({}, {"target": {"layer": "county", "key": ["year"]}}, "belongs to a ledger"),
        ({"quantity": "area(subject)"},
         {"target": {"ledger": "land", "key": ["county_code", "year", "land_class"]}},
         "needs the codes"),
    ],
)  # fmt: skip
def test_balances_that_are_refused(
    rule_set: Make, test: dict[str, Any], changes: dict[str, Any], said: str
) -> None:
    parts: dict[str, Any] = {"subject": {"dimensions": ["area"]}, "target": TARGET, **changes}
    with pytest.raises(ValidationError, match=said):
        rule_set({"balance": {"quantity": QUANTITY, **test}}, **parts)


def test_another_test_has_no_ledger(rule_set: Make) -> None:
    with pytest.raises(ValidationError, match="no other test has one"):
        rule_set({"overlap": {"max_area": "0 m2"}}, target={**TARGET, "layer": "zone"})


def test_area_expressions() -> None:
    assert parse_area(" area( subject ) ").layer is None
    found = parse_area("area(subject INTERSECTION current_landuse IN ( '01' ,'06' ))")
    assert (found.layer, found.codes) == ("current_landuse", ("01", "06"))


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("current_landuse IN", "no_such_layer IN", "unknown-layer"),
        ("'01','02'", "'01','9999'", "unknown-code"),
        ("current_landuse IN", "forest_land IN", "unknown-layer-attribute"),
    ],
)
def test_lint_reads_the_quantity(
    shipped: RuleSet, catalog: Catalog, old: str, new: str, code: str
) -> None:
    assert old in shipped.canonical_text
    edited = rule_set_of(shipped.canonical_text.replace(old, new))
    faults = lint(replace_attributes(edited, shipped), catalog, None, DAY)
    assert code in {f.code for f in faults if f.rule_id == "HN-QUOTA-001" and f.weight == "error"}


def replace_attributes(rule_set: RuleSet, like: RuleSet) -> RuleSet:
    return rule_set.model_copy(update={"attributes": like.attributes})
