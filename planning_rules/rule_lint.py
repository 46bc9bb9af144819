"""What is wrong with a rule set although it loads: names, conditions, succession, cases.

An *error* changes or hides a verdict; a *warning* should be looked at; a *note* is a citation
that nobody has checked.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import combinations
from typing import Any, Final, Literal

from layers.catalog import Catalog
from layers.errors import NotFound
from layers.text import Text
from planning_rules.condition import Condition, parse_condition
from planning_rules.condition_space import truths
from planning_rules.plan_names import misnamed_classes, not_applied
from planning_rules.rule import LegalBasis, Rule
from planning_rules.rule_case import CaseFile
from planning_rules.rule_names import Misnamed, misnamed_attributes, misnamed_targets
from planning_rules.rule_set import RuleSet

Weight = Literal["error", "warning", "note"]
_ALWAYS: Final = parse_condition("TRUE")
_KINDS: Final = ("hit", "miss", "touch")


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong, with the rule it is about."""

    weight: Weight
    code: str
    rule_id: str
    text: Text

    def as_json(self) -> dict[str, Any]:
        """The form of answers."""
        return {
            "weight": self.weight, "code": self.code, "rule": self.rule_id,
            "message": {"zh": self.text.zh, "en": self.text.en},
        }  # fmt: skip


def lint(
    rule_set: RuleSet,
    catalog: Catalog | None,
    cases: Sequence[CaseFile] | None,
    as_of: date,
) -> list[Fault]:
    """All faults, in the order of rules; without catalogue or cases, those are not looked at."""
    faults: list[Fault] = []
    for rule in rule_set.rules:
        faults += _names(rule, rule_set, catalog)
        faults += _conditions(rule)
        faults += _succession(rule, rule_set)
        faults += _basis(rule, as_of)
        if cases is not None:
            faults += _cases(rule, cases)
    for one, other in combinations(rule_set.rules, 2):
        faults += _contradiction(one, other)
    for file in cases or ():
        if rule_set.rule(file.rule) is None:
            text = Text(zh="有用例而无此规则。", en="There are cases but no such rule.")
            faults.append(Fault("error", "case-of-unknown-rule", file.rule, text))
    return sorted(faults, key=lambda fault: (fault.rule_id, fault.code, fault.text.en))


def _names(rule: Rule, rule_set: RuleSet, catalog: Catalog | None) -> Iterator[Fault]:
    if catalog is not None:
        try:
            layer = catalog.layer(rule.target.layer)
        except NotFound as error:
            yield Fault("error", "unknown-layer", rule.id, error.text)
        else:
            yield from _faults(rule, misnamed_targets(rule, layer, catalog))
        yield from _faults(rule, not_applied(rule, rule_set, catalog))
        if rule.subject.kind == "plan":
            yield from _faults(rule, misnamed_classes(rule, rule_set, catalog))
    yield from _faults(rule, misnamed_attributes(rule, rule_set))


def _faults(rule: Rule, named: Iterable[Misnamed]) -> Iterator[Fault]:
    for code, text in named:
        yield Fault("error", code, rule.id, text)


def _conditions(rule: Rule) -> Iterator[Fault]:
    """Conditions that never hold, and exemptions that nobody reaches or everybody does."""
    when = _condition(rule.subject.when)
    alone = truths(when)
    if alone is not None and (True,) not in alone:
        text = Text(zh=f"适用条件（{when.text}）永不成立。", en=f"'{when.text}' can never hold.")
        yield Fault("error", "never-applies", rule.id, text)
        return
    filtered = _condition(rule.target.filter)
    found = truths(filtered)
    if found is not None and (True,) not in found:
        text = Text(
            zh=f"筛选（{filtered.text}）永不成立。", en=f"'{filtered.text}' selects nothing."
        )
        yield Fault("error", "filter-selects-nothing", rule.id, text)
    earlier: list[Condition] = []
    for exemption in rule.exemptions:
        own = parse_condition(exemption.when)
        answers = truths(when, own, *earlier)
        applies = [a for a in answers or () if a[0] is True]
        if answers is not None and not any(a[1] is True for a in applies):
            yield _unreachable(
                rule, exemption.id, "与适用条件矛盾", "contradicts the rule's 'when'"
            )
        elif answers is not None and not any(a[1] is True and True not in a[2:] for a in applies):
            yield _unreachable(
                rule, exemption.id, "已被前面的例外包含", "is covered by those before"
            )
        elif answers is not None and all(a[1] is True for a in applies):
            text = Text(
                zh=f"例外“{exemption.id}”在规则适用时总成立，规则因此失去作用。",
                en=f"The exemption '{exemption.id}' holds whenever the rule applies, so the rule "
                "is never enforced.",
            )
            yield Fault("error", "exemption-swallows-rule", rule.id, text)
        earlier.append(own)


def _condition(text: str | None) -> Condition:
    return _ALWAYS if text is None else parse_condition(text)


def _unreachable(rule: Rule, exemption: str, zh: str, en: str) -> Fault:
    text = Text(zh=f"例外“{exemption}”不可能生效：{zh}。", en=f"The exemption '{exemption}' {en}.")
    return Fault("error", "unreachable-exemption", rule.id, text)


def _succession(rule: Rule, rule_set: RuleSet) -> Iterator[Fault]:
    """A successor that is missing, that overlaps, or that leaves days without a rule."""
    if rule.superseded_by is None:
        return
    name = rule.superseded_by.partition("@")[0].strip()
    successors = [r for r in rule_set.rules if r.id == name and r is not rule]
    if not successors:
        text = Text(
            zh=f"规则集中没有后续规则 {name}。", en=f"The successor {name} is not in the set."
        )
        yield Fault("warning", "missing-successor", rule.id, text)
        return
    first = min(successor.valid.first for successor in successors)
    last = rule.valid.last
    if last is None or first <= last:
        text = Text(
            zh=f"与后续规则 {name}（自 {first} 起）的有效期重叠。",
            en=f"It is still valid when its successor {name} begins ({first}).",
        )
        yield Fault("error", "overlapping-versions", rule.id, text)
    elif first > last + timedelta(days=1):
        text = Text(
            zh=f"{last} 失效后至 {first} 之间没有规则。",
            en=f"Between its end ({last}) and its successor ({first}) no rule applies.",
        )
        yield Fault("warning", "gap-in-succession", rule.id, text)


def _basis(rule: Rule, as_of: date) -> Iterator[Fault]:
    if not rule.valid.contains(as_of):
        return
    for basis in (*rule.legal_basis, *(b for e in rule.exemptions for b in e.legal_basis)):
        if basis.valid_to is not None and basis.valid_to < as_of:
            text = Text(
                zh=f"依据“{basis.title}”已于 {basis.valid_to} 失效。",
                en=f"The legal basis '{basis.title}' expired on {basis.valid_to}.",
            )
            yield Fault("error", "expired-basis", rule.id, text)
        if not basis.verified:
            yield Fault("note", "unverified-basis", rule.id, _unverified(basis))


def _unverified(basis: LegalBasis) -> Text:
    name = f"{basis.title} {basis.article or ''}".strip()
    return Text(zh=f"未核实引文：{name}", en=f"The text was not seen: {name}")


def _cases(rule: Rule, files: Sequence[CaseFile]) -> Iterator[Fault]:
    mine = [case for file in files if file.rule == rule.id for case in file.cases]
    kinds = {case.kind for case in mine}
    missing = [kind for kind in _KINDS if kind not in kinds]
    if missing:
        names = ", ".join(missing)
        text = Text(zh=f"缺少用例：{names}。", en=f"There is no case of the kind {names}.")
        yield Fault("error", "without-cases", rule.id, text)
    expected = {case.expect.exemption for case in mine}
    for exemption in rule.exemptions:
        if exemption.id not in expected:
            text = Text(
                zh=f"没有用例检验例外“{exemption.id}”。",
                en=f"No case expects the exemption '{exemption.id}'.",
            )
            yield Fault("warning", "exemption-without-case", rule.id, text)


def _contradiction(one: Rule, other: Rule) -> Iterator[Fault]:
    """Two rules in force together, on the same features and projects, that exclude each other."""
    if one.target.layer != other.target.layer or not _meet(one, other):
        return
    sides = {one.qualification, other.qualification}
    kinds = {one.test.kind, other.test.kind}
    forbidden = {"prohibition", "permission"} <= sides
    exclusive = kinds == {"overlap", "within"} and "permission" not in sides
    if not (forbidden or exclusive):
        return
    if _alike(one.subject.when, other.subject.when) and _alike(
        one.target.filter, other.target.filter
    ):
        text = Text(
            zh=f"与规则 {other.id} 针对同一图层和同一条件，结论相反。",
            en=f"{other.id} says the opposite of the same layer under the same condition.",
        )
        yield Fault("error", "contradicting-rules", one.id, text)


def _meet(one: Rule, other: Rule) -> bool:
    last_one, last_other = one.valid.last or date.max, other.valid.last or date.max
    days = one.valid.first <= last_other and other.valid.first <= last_one
    return days and bool(set(one.subject.dimensions) & set(other.subject.dimensions))


def _alike(one: str | None, other: str | None) -> bool:
    """Whether two conditions hold in the same cases, however they are written."""
    answers = truths(_condition(one), _condition(other))
    if answers is None:
        return one == other
    return all((a is True) == (b is True) for a, b in answers)
