"""Which layers of the asked plans are compared, by which rule; and which are not, and why."""

import datetime
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from layers.catalog import Catalog, Layer, Plan
from layers.errors import BadInput, BadParameter
from layers.text import Text
from planning_rules.plan_matrix import PlanMatrix
from planning_rules.rule import Rule
from planning_rules.rule_set import RuleSet


@dataclass(frozen=True, slots=True)
class LayerPair:
    """Two layers of two plans and the rule that says how their classes stand to each other."""

    rule: Rule
    matrix: PlanMatrix
    subject_plan: Plan
    subject: Layer
    target_plan: Plan
    target: Layer

    @property
    def prevailing(self) -> Plan:
        """The plan of the higher rank: what the other one has to follow."""
        return min((self.target_plan, self.subject_plan), key=lambda plan: plan.rank)


@dataclass(frozen=True, slots=True)
class NotCompared:
    """A layer that no pair holds, with the reason; ``hidden`` where its data may not be read."""

    layer: str
    reason: Text
    plan: str | None = None
    hidden: bool = False


def asked_plans(catalog: Catalog, names: Sequence[str]) -> list[Plan]:
    """At least two different plans."""
    if len(set(names)) < 2 or len(set(names)) != len(names):
        raise BadParameter(
            "Name two plans or more, each once; see: plans list",
            "请给出两个或以上不同的规划，见：plans list",
        )
    return [catalog.plan(name) for name in names]


def layer_pairs(
    catalog: Catalog,
    rule_set: RuleSet,
    keepers: Mapping[str, Text],
    plans: Sequence[Plan],
    as_of: datetime.date,
) -> tuple[list[LayerPair], list[NotCompared]]:
    """All pairs that a rule in force compares, and the layers without one."""
    rules = [r for r in rule_set.rules if r.subject.kind == "plan" and r.valid.contains(as_of)]
    pairs: list[LayerPair] = []
    hidden: list[NotCompared] = []
    for rule in sorted(rules, key=lambda rule: (rule.id, rule.version)):
        matrix = _matrix(rule_set, rule)
        target = next((p for p in plans if rule.target.layer in _areas(p)), None)
        if target is not None:
            pairs += _with_target(rule, matrix, target, plans)
        elif rule.target.layer in keepers and not _visible(catalog, rule.target.layer):
            hidden.append(_kept(rule.target.layer, keepers[rule.target.layer]))
    left = [*hidden, *_left_over(plans, pairs, rule_set)]
    if not pairs and not hidden:
        raise BadInput(
            "No rule in force on that day compares these plans; see: rules show HN-PLAN-001",
            "当日没有规则比对这些规划；见：rules show HN-PLAN-001",
            code="no-rule-between",
        )
    return pairs, left


def _with_target(
    rule: Rule, matrix: PlanMatrix, target: Plan, plans: Sequence[Plan]
) -> Iterator[LayerPair]:
    layer = _areas(target)[rule.target.layer]
    for plan in plans:
        if plan is target or plan.kind != (rule.subject.plan_level or plan.kind):
            continue
        for name, subject in sorted(_areas(plan).items()):
            if name in matrix.layers:
                yield LayerPair(rule, matrix, plan, subject, target, layer)


def _areas(plan: Plan) -> dict[str, Layer]:
    return {layer.id: layer for layer in plan.layers if layer.geometry == "polygon"}


def _visible(catalog: Catalog, layer_id: str) -> bool:
    return any(layer.id == layer_id for _, layer in catalog.layers())


def _kept(layer_id: str, authority: Text) -> NotCompared:
    reason = Text(
        zh=f"此处没有可读取的该图层数据；须由{authority.zh}的服务比对。",
        en="No data of this layer can be read here; it must be compared by the service of "
        f"{authority.en}.",
    )
    return NotCompared(layer_id, reason, hidden=True)


def _matrix(rule_set: RuleSet, rule: Rule) -> PlanMatrix:
    asked = rule.test.compatibility
    matrix = None if asked is None else rule_set.plan_matrix(asked.matrix)
    if matrix is None:
        raise TypeError(f"{rule.id}: no matrix between plans")  # the loader refuses such a set
    return matrix


def _left_over(
    plans: Sequence[Plan], pairs: Sequence[LayerPair], rule_set: RuleSet
) -> Iterator[NotCompared]:
    used = {layer.id for pair in pairs for layer in (pair.subject, pair.target)}
    classed = {name for matrix in rule_set.plan_matrices for name in matrix.layers}
    for plan in plans:
        for layer in plan.layers:
            if layer.id in used:
                continue
            if layer.geometry != "polygon":
                reason = Text(zh="不是面状图层。", en="It holds no areas.")
            elif layer.id not in classed:
                reason = Text(
                    zh="规则集没有说明该图层的用途类别。",
                    en="The rule set does not say the classes of this layer.",
                )
            else:
                reason = Text(
                    zh="没有规则将其与所列其他规划比对。",
                    en="No rule compares it with another of these plans.",
                )
            yield NotCompared(layer.id, reason, plan.id)
