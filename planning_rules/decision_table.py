"""Decision tables (DMN): rows of conditions over attributes of the subject and of the target."""

from collections.abc import Mapping
from typing import Any

from layers.text import Text
from planning_rules.finding import Figure, TestResult
from planning_rules.kinds import Case
from planning_rules.overlay import TargetFeature
from planning_rules.patch import without_conflicts
from planning_rules.rule import DecisionTable, Outcome

_RANK = ("pass", "warning", "conditional", "undetermined", "violation")


def check_decision_table(case: Case) -> TestResult:
    """The worst outcome over all features that share a conflict-size part with the site."""
    table = case.rule.test.decision_table
    if table is None:
        raise TypeError("no decision table")
    measured = case.measure()
    concerned = measured.features_with("conflict")
    details = []
    outcomes: list[Outcome] = []
    for feature in case.overlay.features:
        if feature.feature_id in concerned:
            outcome = decide(table, case.attributes, feature)
            outcomes.append(outcome)
            inputs = {name: _shown(_input(name, case.attributes, feature)) for name in table.inputs}
            details.append({"feature_id": feature.feature_id, "inputs": inputs, "out": outcome})
    worst: Outcome = max(outcomes, key=_RANK.index, default="undetermined" if concerned else "pass")
    doubts = list(case.doubts(measured))
    if worst == "undetermined":
        doubts.append(_UNDECIDED)
    return TestResult(
        verdict="holds" if worst == "pass" else "unknown" if worst == "undetermined" else "fails",
        message=_message(round(measured.amount, 2), len(details)),
        measured=Figure("overlap_area", measured.amount, "m2")
        if case.site.dimension == 2
        else None,
        patches=without_conflicts(
            measured.patches, [str(d["feature_id"]) for d in details if d["out"] != "pass"]
        ),
        doubts=tuple(doubts),
        details=tuple(details),
        outcome=worst,
    )


def _shown(value: Any) -> Any:
    """The value as a report can hold it: numbers that JSON cannot hold appear as text."""
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, int | float) and abs(value) < 2**53:
        return value
    return str(value)[:80]


_UNDECIDED = Text(
    zh="判定表缺少输入值，或没有（或不止一行）适用的行。",
    en="The decision table lacks an input, or no row (or more than one) applies.",
)


def _message(amount: float, count: int) -> Text:
    if count == 0:
        return Text(zh="项目不涉及该类图斑。", en="The site meets no such area.")
    return Text(
        zh=f"项目涉及 {count} 个图斑，重叠 {amount:,.2f} 平方米，按分级判定表判定。",
        en=f"The site meets {count} area(s), {amount:,.2f} m² in all, judged by their grade.",
    )


def decide(table: DecisionTable, subject: Mapping[str, Any], feature: TargetFeature) -> Outcome:
    """The outcome for one feature; unknown inputs decide nothing that depends on them."""
    values = [_input(name, subject, feature) for name in table.inputs]
    matches = [(row.out, _row_matches(table, row.entries, values)) for row in table.rows]
    if table.hit_policy == "PRIORITY":
        for out, match in matches:
            if match is not False:
                return "undetermined" if match is None else out
        return "undetermined"
    possible = [(out, match) for out, match in matches if match is not False]
    if len(possible) == 1 and possible[0][1] is True:
        return possible[0][0]
    return "undetermined"


def _input(name: str, subject: Mapping[str, Any], feature: TargetFeature) -> Any:
    side, _, attribute = name.partition(".")
    return (subject if side == "subject" else feature.attributes).get(attribute)


def _row_matches(table: DecisionTable, entries: tuple[Any, ...], values: list[Any]) -> bool | None:
    found = [_entry_matches(table, i, entry, values[i]) for i, entry in enumerate(entries)]
    if False in found:
        return False
    return None if None in found else True


def _entry_matches(table: DecisionTable, column: int, entry: Any, value: Any) -> bool | None:
    if entry == "any":
        return True
    if value is None:
        return None
    if entry == "other":
        named = [option for row in table.rows for option in _options(row.entries[column])]
        known = any(_same(value, option) for option in named if option not in ("any", "other"))
        return not known
    return any(_same(value, option) for option in _options(entry))


def _options(entry: Any) -> list[Any]:
    return list(entry) if isinstance(entry, list | tuple) else [entry]


def _same(value: Any, option: Any) -> bool:
    """Equal, and of the same type: TRUE is not 1, and the text '1' is not the grade 1."""
    return isinstance(value, bool) == isinstance(option, bool) and bool(value == option)
