"""The verdict: every rule, always run, in a fixed order of evaluation.

1. Applicable? Ended without the successor it names: undetermined where the layer concerns the
   site. Out of validity, of another dimension or kind, or ``when`` false: not-applicable.
   A NULL in ``when`` is undetermined (what was measured is still shown).
2. Coverage: where the layer has no data, ``missing_data`` decides; never a pass.
3. Measure on the union of the targets; 4. tolerance: patches kept or recorded.
5. The first exemption that matches changes the outcome and adds documents; documents that came
   with the submission turn ``conditional`` into a pass with consent.
6. violation > undetermined > conditional > warning > pass. A conflict that was measured stays one
   even where other parts of the site have no data.

Any error while measuring is an undetermined finding with its reason: nothing fails open.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import date
from typing import Any, Final

from layers.errors import GisError
from layers.text import Text
from planning_rules.balance import Ledger, check_balance
from planning_rules.compatibility import check_compatibility
from planning_rules.condition import holds, parse_condition
from planning_rules.consent import supplied_consents
from planning_rules.decision_table import check_decision_table
from planning_rules.distance import check_distance
from planning_rules.finding import Finding, FindingOutcome, TestResult, worst
from planning_rules.kinds import Case, check_overlap, check_within
from planning_rules.land_take import COUNTY
from planning_rules.limits import check_limits
from planning_rules.overlay import LayerOverlay, Site, TargetLayer, overlay_layer
from planning_rules.quota import Quota, in_order
from planning_rules.rule import Consent, Exemption, Rule, TestKind
from planning_rules.rule_set import CheckProfile, CompatibilityMatrix, RuleSet
from planning_rules.submission import DIMENSION_NAMES, Submission
from planning_rules.succession import ended_finding, lacks_successor
from planning_rules.surface import check_surface

_CHECKS: Final[Mapping[TestKind, Callable[[Case], TestResult]]] = {
    "overlap": check_overlap,
    "within": check_within,
    "distance": check_distance,
    "limits": check_limits,
    "decision_table": check_decision_table,
    "compatibility": check_compatibility,
    "surface": check_surface,
    "balance": check_balance,
}


class Bench:
    """One submission on the table: each layer is cut with the site once, for all rules.

    An error while cutting a layer is kept and given to every rule that reads the layer.
    """

    def __init__(
        self,
        submission: Submission,
        targets: Mapping[str, TargetLayer],
        quotas: Sequence[Quota] = (),
    ) -> None:
        """Prepare the site; layers are cut when they are first asked for."""
        self.quotas = in_order(quotas)
        self.site = Site.of(submission.geometry, submission.accuracy_m)
        self.targets = targets
        self._overlays: dict[str, LayerOverlay | Exception] = {}

    def overlay(self, layer: str) -> LayerOverlay:
        """The overlay with a layer; raises what went wrong, each time it is asked for."""
        if layer not in self._overlays:
            target = self.targets.get(layer) or TargetLayer(layer, None, None, 0.0, None)
            try:
                self._overlays[layer] = overlay_layer(self.site, target)
            except Exception as error:
                self._overlays[layer] = error
        found = self._overlays[layer]
        if isinstance(found, Exception):
            raise found
        return found


def judge(
    submission: Submission,
    targets: Mapping[str, TargetLayer],
    rule_set: RuleSet,
    as_of: date,
    bench: Bench | None = None,
    profile: CheckProfile | None = None,
) -> list[Finding]:
    """One finding for every rule, in the order of rule ids.

    A rule that a ``profile`` does not ask about is not applicable, and its finding says so.
    """
    bench = bench or Bench(submission, targets)
    rules = sorted(rule_set.rules, key=lambda rule: (rule.id, rule.version))
    return [
        _judge_rule(submission, bench, rule, rule_set, as_of)
        if profile is None or profile.asks(rule.id)
        else Finding(rule, "not-applicable", _not_asked(profile))
        for rule in rules
    ]


def _not_asked(profile: CheckProfile) -> Text:
    return Text(
        zh=f"核查方案“{profile.title.zh}”不含本规则，未作核查。",
        en=f"The profile '{profile.title.en}' does not ask about this rule; nothing was checked.",
    )


def _judge_rule(
    submission: Submission, bench: Bench, rule: Rule, rule_set: RuleSet, as_of: date
) -> Finding:
    if lacks_successor(rule, rule_set, as_of):
        try:
            return ended_finding(_case(submission, bench, rule, rule_set, as_of))
        except Exception as error:  # as below
            return _failed(rule, error)
    if (reason := _why_not_applicable(submission, rule, as_of)) is not None:
        return Finding(rule, "not-applicable", reason)
    applies = True if rule.subject.when is None else _holds(rule.subject.when, submission)
    if applies is False:
        return Finding(rule, "not-applicable", _when_false(rule.subject.when or ""))
    try:
        case = _case(submission, bench, rule, rule_set, as_of)
        finding = _measured_finding(submission, case, rule_set, as_of)
    except Exception as error:  # a judgement never fails open, whatever went wrong
        return _failed(rule, error)
    return finding if applies else _unknown_when(finding, submission)


def _case(submission: Submission, bench: Bench, rule: Rule, rule_set: RuleSet, as_of: date) -> Case:
    return Case(
        site=bench.site,
        attributes=submission.attributes,
        area_m2=submission.area_m2,
        overlay=bench.overlay(rule.target.layer),
        rule=rule,
        tolerance=rule_set.tolerance_of(rule),
        margin_m=rule.search_margin_m(),
        matrix=_matrix(rule_set, rule),
        ledger=_ledger(bench, rule, as_of),
    )


def _matrix(rule_set: RuleSet, rule: Rule) -> CompatibilityMatrix | None:
    asked = rule.test.compatibility
    return None if asked is None else rule_set.matrix(asked.matrix)


def _ledger(bench: Bench, rule: Rule, as_of: date) -> Ledger | None:
    if rule.test.balance is None:
        return None
    return Ledger(bench.overlay(COUNTY), bench.quotas, as_of)


def _why_not_applicable(submission: Submission, rule: Rule, as_of: date) -> Text | None:
    if not rule.valid.contains(as_of):
        first, last = rule.valid.first.isoformat(), rule.valid.last
        return Text(
            zh=f"核查日期 {as_of.isoformat()} 不在规则有效期内（{first} 至 {last or '今'}）。",
            en=f"The rule does not apply on {as_of.isoformat()} (valid {first} to "
            f"{last or 'further notice'}).",
        )
    if rule.subject.kind != "project":
        return Text(zh="本规则用于规划之间的比对。", en="This rule compares plan with plan.")
    dimension = DIMENSION_NAMES[submission.dimension]
    if dimension not in rule.subject.dimensions:
        zh = {"area": "面状", "line": "线状", "point": "点状"}[dimension]
        return Text(
            zh=f"本规则不适用于{zh}项目。", en=f"The rule is not made for {dimension} projects."
        )
    return None


def _holds(text: str, submission: Submission) -> bool | None:
    return holds(parse_condition(text), submission.attributes)


def _when_false(condition: str) -> Text:
    return Text(
        zh=f"不满足适用条件（{condition}）。",
        en=f"The condition of the rule does not hold ({condition}).",
    )


def _unknown_when(finding: Finding, submission: Submission) -> Finding:
    condition = parse_condition(finding.rule.subject.when or "")
    missing = ", ".join(
        sorted(name for name in condition.names if submission.attributes.get(name) is None)
    )
    names = missing or ", ".join(sorted(condition.names))
    reason = Text(
        zh=f"无法判断规则是否适用：属性 {names} 缺失或类型不符（{condition.text}）。",
        en=f"It is not known whether the rule applies: {names} is missing or of a wrong type "
        f"({condition.text}).",
    )
    return replace(
        finding, outcome="undetermined", reasons=(reason, *finding.reasons),
        message=_joined(reason, finding.message),
    )  # fmt: skip


def _failed(rule: Rule, error: Exception) -> Finding:
    """The finding of a rule that could not be measured; no memory addresses, no paths."""
    en = error.text.en if isinstance(error, GisError) else type(error).__name__
    zh = error.text.zh if isinstance(error, GisError) else type(error).__name__
    reason = Text(
        zh=f"量算未能完成（{zh}），须人工核查。",
        en=f"Measuring failed ({en}); manual review is needed.",
    )
    return Finding(rule, "undetermined", reason, reasons=(reason,))


def _measured_finding(
    submission: Submission, case: Case, rule_set: RuleSet, as_of: date
) -> Finding:
    rule, overlay = case.rule, case.overlay
    tolerance = {
        "min_width_m": case.tolerance.min_width_m,
        "min_area_m2": case.tolerance.min_area_m2,
        "accuracy_m": [case.site.accuracy_m, overlay.target.accuracy_m],
    }
    no_data = _no_data(overlay, rule, rule_set)
    if not overlay.has_data:
        outcome, reason = no_data or ("undetermined", _NOTHING_IN_FORCE)
        if overlay.target.kept_by is not None:
            outcome, reason = "undetermined", _not_read_here(overlay.target.kept_by)
        return Finding(rule, outcome, reason, reasons=(reason,), tolerance=tolerance)
    result = _CHECKS[rule.test.kind](case)
    finding = _decide(submission, rule, result, as_of)
    outcomes: list[FindingOutcome] = [finding.outcome]
    reasons = list(finding.reasons)
    if result.verdict == "unknown" or result.doubts:
        outcomes.append("undetermined")
        reasons.extend(result.doubts)
    if no_data is not None:
        outcomes.append(no_data[0])
        reasons.append(no_data[1])
    return replace(
        finding,
        outcome=worst(*outcomes),
        reasons=tuple(reasons),
        message=_joined(finding.message, *reasons),
        tolerance=tolerance,
    )


_NOTHING_IN_FORCE: Final = Text(
    zh="该图层在核查日期没有生效数据，不能视为无冲突。",
    en="The layer has no data in force on that day; that is not the same as no conflict.",
)


def _not_read_here(authority: Text) -> Text:
    """Of a layer that is not open: whoever may not read it must not call that no conflict."""
    return Text(
        zh=f"此处没有可读取的该图层数据，不能视为无冲突；须由{authority.zh}的服务核查。",
        en="No data of this layer can be read here; that is not the same as no conflict. It must "
        f"be checked by the service of {authority.en}.",
    )


def _no_data(
    overlay: LayerOverlay, rule: Rule, rule_set: RuleSet
) -> tuple[FindingOutcome, Text] | None:
    if overlay.uncovered is None:
        return None
    outcome = rule.missing_data or rule_set.defaults.missing_data
    if not overlay.has_data:
        return outcome, _NOTHING_IN_FORCE
    reason = Text(
        zh="项目范围部分或全部没有该图层数据，不能视为无冲突。",
        en="The layer has no data for the site or a part of it; that is not the same as no "
        "conflict.",
    )
    return outcome, reason


def _decide(submission: Submission, rule: Rule, result: TestResult, as_of: date) -> Finding:
    """The outcome of the test itself, with exemption and documents."""
    if result.verdict != "fails" and result.outcome in (None, "pass"):
        passed: FindingOutcome = "undetermined" if result.verdict == "unknown" else "pass"
        return Finding(rule, passed, result.message, result)
    outcome: FindingOutcome = result.outcome or _failed_outcome(rule)
    requires: tuple[Consent, ...] = (*rule.requires, *rule.on_violation.requires)
    exemption = _first_exemption(submission, rule)
    if exemption is not None:
        outcome = exemption.outcome
        requires = (*requires, *exemption.requires)
    if outcome in ("violation", "undetermined", "pass"):
        requires = ()
    message = _joined(result.message, *_explained(rule, exemption))
    consent: tuple[Mapping[str, Any], ...] = ()
    reasons: tuple[Text, ...] = ()
    if outcome == "conditional" and requires:
        consent, missing = supplied_consents(submission.attributes, requires, as_of)
        if not missing:
            outcome = "pass"
            message = _joined(message, _CONSENTED)
        else:
            reasons = (_still_needed(missing),)
    return Finding(
        rule=rule,
        outcome=outcome,
        message=message,
        result=result,
        exemption=exemption.id if exemption else None,
        exemption_basis=exemption.legal_basis if exemption else (),
        requires=requires,
        consent=consent,
        reasons=reasons,
    )


def _failed_outcome(rule: Rule) -> FindingOutcome:
    if rule.on_violation.outcome is not None:
        return rule.on_violation.outcome
    return "pass" if rule.severity == "info" else rule.severity


def _first_exemption(submission: Submission, rule: Rule) -> Exemption | None:
    """The first whose condition is true; an unknown condition exempts nobody."""
    return next((e for e in rule.exemptions if _holds(e.when, submission) is True), None)


def _explained(rule: Rule, exemption: Exemption | None) -> list[Text]:
    texts = [] if rule.on_violation.message is None else [rule.on_violation.message]
    if exemption is not None:
        text = Text(
            zh=f"适用例外情形“{exemption.id}”。", en=f"The exemption '{exemption.id}' applies."
        )
        texts.append(text)
    return texts


_CONSENTED: Final = Text(
    zh="所需文件均已随项目提交。", en="All documents that are needed came with the submission."
)


def _still_needed(missing: tuple[Consent, ...]) -> Text:
    zh = "；".join(f"{c.authority or ''}《{c.document}》" for c in missing)
    en = "; ".join(f"{c.document} ({c.authority})" if c.authority else c.document for c in missing)
    return Text(zh=f"尚需：{zh}。", en=f"Still needed: {en}.")


def _joined(*texts: Text) -> Text:
    return Text(zh="".join(t.zh for t in texts), en=" ".join(t.en for t in texts))
