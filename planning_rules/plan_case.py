"""Worked examples of rules between plans: two drawn layers, compared in one cell."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from layers.area import total_m2
from layers.crs import Box
from layers.errors import BadConfiguration
from planning_rules.finding import FindingOutcome
from planning_rules.overlay import TargetLayer
from planning_rules.plan_comparison import PairRules, PlanCell, PlanSide, compare_cell
from planning_rules.plan_matrix import PlanClass, PlanMatrix
from planning_rules.plan_patches import WidthRules, clusters, join_open_clusters
from planning_rules.plan_report import PairReport
from planning_rules.plan_totals import PairNames, PairTotals
from planning_rules.rule import Rule
from planning_rules.rule_set import RuleSet


@dataclass(frozen=True, slots=True)
class PlanCase:
    """What comes of an example: outcome, area of all conflicts (m2), patches by kind."""

    outcome: FindingOutcome
    conflict_m2: float
    kinds: Mapping[str, int]


def compare_case(
    rule: Rule, layers: Mapping[str, TargetLayer], rule_set: RuleSet, box: Box
) -> PlanCase:
    """Compare the rule's target with the one other layer of the example, inside a box."""
    matrix = rule_set.plan_matrix(rule.test.compatibility.matrix if rule.test.compatibility else "")
    others = sorted(name for name in layers if name != rule.target.layer)
    if matrix is None or len(others) != 1 or others[0] not in matrix.layers:
        raise BadConfiguration(
            f"{rule.id}: a case draws {rule.target.layer} and one other layer of the matrix.",
            f"{rule.id}：用例须绘制 {rule.target.layer} 和矩阵中的另一个图层。",
        )
    subject, target = layers[others[0]], layers.get(rule.target.layer)
    if target is None:
        target = TargetLayer(rule.target.layer, None, None, 0.0, None)
    totals, names = _compared(rule, matrix, subject, target, rule_set, box)
    report = PairReport(
        rule=rule,
        names=names,
        totals=totals,
        plans=("a", "b"),
        contents=tuple(
            None if layer.coverage is None else {"edition": layer.edition}
            for layer in (subject, target)
        ),
        prevails="b",
        synthetic=True,
    )
    kinds: Counter[str] = Counter(patch.kind for patch in totals.patches)
    touches = {"touch": len(totals.touches)} if totals.touches else {}
    conflict = total_m2(patch.area_m2 for patch in totals.patches if patch.kind == "conflict")
    return PlanCase(report.outcome(), conflict, {**kinds, **touches})


def _compared(
    rule: Rule, matrix: PlanMatrix, subject: TargetLayer, target: TargetLayer, rule_set: RuleSet,
    box: Box,
) -> tuple[PairTotals, PairNames]:  # fmt: skip
    classes, others = _classes(matrix, subject), _classes(matrix, target)
    default = rule.test.compatibility.default if rule.test.compatibility else "undetermined"
    relations = tuple(
        tuple(matrix.relation(there, here, default) for there in others) for here in classes
    )
    accuracy_m = math.hypot(subject.accuracy_m, target.accuracy_m)
    rules = PairRules(relations, WidthRules(rule_set.tolerance_of(rule), accuracy_m))
    totals = PairTotals(relations)
    cell = PlanCell(box, None, _side(subject), _side(target), ())
    totals.add(compare_cell(cell, rules))
    for relation in sorted(totals.open):
        totals.add_patches(join_open_clusters(clusters(totals.open[relation]), rules.widths))
    return totals, PairNames(rule.id, subject.layer, target.layer, classes, others)


def _classes(matrix: PlanMatrix, layer: TargetLayer) -> tuple[PlanClass, ...]:
    """The class of every feature; one feature, one class."""
    says = matrix.layers[layer.layer]
    return tuple(
        matrix.class_of(
            layer.layer,
            feature.attributes.get(says.property or ""),
            feature.attributes.get(says.scheme_property or ""),
        )
        for feature in layer.features
    )


def _side(layer: TargetLayer) -> PlanSide:
    pieces: Sequence[tuple[int, bytes]] = [
        (index, blob) for index, feature in enumerate(layer.features) for blob in feature.pieces
    ]
    numbers = np.array([index for index, _ in pieces], dtype=np.int64)
    return PlanSide(numbers, numbers, tuple(blob for _, blob in pieces), layer.coverage)
