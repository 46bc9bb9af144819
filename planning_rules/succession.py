"""Rules that have ended and whose named successor is not in the rule set.

Nobody knows what the successor asks for, only that there is one: a site that meets the layer is
undetermined, never "not applicable". A site that shares nothing with the layer is not concerned.
"""

from datetime import date
from typing import Final

import shapely

from layers.text import Text
from planning_rules.finding import Finding
from planning_rules.kinds import Case
from planning_rules.patch import measure_shared
from planning_rules.rule import Rule, TestKind
from planning_rules.rule_set import RuleSet

_LAYER_FORBIDS: Final[frozenset[TestKind]] = frozenset({"overlap", "decision_table", "distance"})
"""Tests that hold where nothing of the layer is near; the others ask for something to be there."""


def lacks_successor(rule: Rule, rule_set: RuleSet, as_of: date) -> bool:
    """Whether the rule has ended by that day and names a successor that the set does not hold."""
    if rule.superseded_by is None or rule.valid.last is None or as_of <= rule.valid.last:
        return False
    successor = rule.superseded_by.partition("@")[0].strip()
    return all(other.id != successor for other in rule_set.rules if other is not rule)


def ended_finding(case: Case) -> Finding:
    """Undetermined where the layer concerns the site or has no data, else not-applicable."""
    rule = case.rule
    ended = Text(
        zh=f"规则已于 {rule.valid.last} 失效，规则集中没有其后续规则 {rule.superseded_by}",
        en=f"The rule ended on {rule.valid.last} and its successor {rule.superseded_by} is not in "
        "the rule set",
    )
    if not _concerned(case):
        text = Text(
            zh=f"{ended.zh}；项目不涉及该图层，不受影响。",
            en=f"{ended.en}; the site shares nothing with the layer and is not concerned.",
        )
        return Finding(rule, "not-applicable", text)
    text = Text(
        zh=f"{ended.zh}；项目涉及该图层或该处无数据，须人工核查。",
        en=f"{ended.en}; the site meets the layer or there is no data, so manual review is needed.",
    )
    return Finding(rule, "undetermined", text, reasons=(text,))


def _concerned(case: Case) -> bool:
    """Any feature counts: the filter and the condition of the old rule may not be the new ones."""
    overlay = case.overlay
    if not overlay.has_data or overlay.uncovered is not None:
        return True
    if case.rule.test.kind not in _LAYER_FORBIDS:
        return True
    if case.rule.test.distance is not None and len(overlay.pieces):
        plane = case.site.plane
        site = plane.to_metres(case.site.geometry)
        near = shapely.distance(site, plane.to_metres(overlay.pieces)) <= case.margin_m
        if bool(near.any()):
            return True
    measured = measure_shared(case.site, overlay, case.tolerance)
    return bool(measured.features_with("conflict", "accuracy-difference"))
