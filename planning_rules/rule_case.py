"""Rule cases: small worked examples that a planner can write, and that every rule must pass.

A case draws a site and plan features in metres east and north of an origin, names the attributes
of the submission and says what the rule must find::

    rule: HN-PBF-001
    cases:
    - name: the site lies half on farmland
      kind: hit                                    # hit, miss, touch, exemption or other
      site: {rectangle: [0, 0, 100, 100]}          # west, south, east, north
      attributes: {land_take: true}
      layers:
        permanent_basic_farmland:
          features: [{rectangle: [50, 0, 200, 100]}]
      expect: {outcome: violation, value: 5000, patches: {conflict: 1}}

A rule between plans has no site: its case draws the rule's layer and one of the other plan, and
``value`` is the area of all conflicts.

A balance also needs ``quotas: [{ledger: ..., admin_code: ..., granted_m2: 5000}]``.

Shapes: ``rectangle``, ``polygon``, ``line`` (lists of [x, y]) and ``point``. A layer that is not
named is in force without features; ``coverage: none`` takes it out of force.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import shapely
import yaml
from pydantic import Field, ValidationError
from shapely.geometry.base import BaseGeometry

from layers.crs import LocalPlane, snap
from layers.errors import BadConfiguration
from planning_rules.canonical_json import geometry_json, json_value
from planning_rules.engine import Bench, judge
from planning_rules.finding import Finding, FindingOutcome
from planning_rules.overlay import TargetFeature, TargetLayer
from planning_rules.patch import PatchKind
from planning_rules.plan_case import compare_case
from planning_rules.plan_patches import PlanPatchKind
from planning_rules.quota import ANY_CLASS, Quota
from planning_rules.rule import Model, Words
from planning_rules.rule_set import RuleSet
from planning_rules.submission import read_submission

ORIGIN: Final = LocalPlane.at(109.8, 19.2)
_WORLD: Final = (109.0, 18.5, 110.6, 19.9)
_DEFAULT_DAY: Final = date(2026, 5, 1)


class Shape(Model):
    """Exactly one drawing, in metres east and north of the origin."""

    rectangle: tuple[float, float, float, float] | None = None
    polygon: tuple[tuple[float, float], ...] | None = None
    line: tuple[tuple[float, float], ...] | None = None
    point: tuple[float, float] | None = None
    attributes: dict[str, Any] = Field(default_factory=dict)

    def geometry(self) -> BaseGeometry:
        """The drawing as stored: lon/lat on the grid."""
        if self.rectangle is not None:
            drawn: BaseGeometry = shapely.box(*self.rectangle)
        elif self.polygon is not None:
            drawn = shapely.Polygon(self.polygon)
        elif self.line is not None:
            drawn = shapely.LineString(self.line)
        elif self.point is not None:
            drawn = shapely.Point(self.point)
        else:
            raise BadConfiguration(
                "A shape needs rectangle, polygon, line or point.",
                "图形须给出 rectangle、polygon、line 或 point。",
            )
        stored: BaseGeometry = snap(np.array([ORIGIN.to_degrees(drawn)], dtype=object))[0]
        return stored


class CaseLayer(Model):
    """One layer of a case; accuracy 0 unless the case is about accuracy."""

    features: tuple[Shape, ...] = ()
    accuracy_m: float = 0.0
    coverage: Literal["everywhere", "none"] | tuple[float, float, float, float] = "everywhere"

    def target(self, name: str) -> TargetLayer:
        """The layer as the engine takes it."""
        coverage: BaseGeometry | None = None
        if self.coverage == "everywhere":
            coverage = shapely.box(*_WORLD)
        if not isinstance(self.coverage, str):
            coverage = Shape(rectangle=self.coverage).geometry()
        features = tuple(
            TargetFeature(i, f"F{i}", dict(shape.attributes), (shapely.to_wkb(shape.geometry()),))
            for i, shape in enumerate(self.features, start=1)
        )
        blob = None if coverage is None else shapely.to_wkb(coverage)
        edition = None if coverage is None else 1
        return TargetLayer(name, edition, None, self.accuracy_m, blob, features, synthetic=True)


class CaseQuota(Model):
    """One row of a ledger; areas in m2."""

    ledger: Words
    admin_code: Words
    period: Words = "2021-2035"
    first: date = Field(default=date(2021, 1, 1), alias="from")
    last: date = Field(default=date(2035, 12, 31), alias="to")
    land_class: Words = ANY_CLASS
    granted_m2: float
    reserved_m2: float = 0.0
    booked_m2: float = 0.0

    def quota(self) -> Quota:
        """The row as the engine takes it."""
        return Quota(**self.model_dump(), last_entry=1)


class Expectation(Model):
    """What the finding must say; an open field is not checked. ``value`` to 0.1 %."""

    outcome: FindingOutcome
    value: float | None = None
    exemption: Words | None = None
    patches: dict[PatchKind | PlanPatchKind, int] | None = None


class RuleCase(Model):
    """One worked example."""

    name: Words
    kind: Literal["hit", "miss", "touch", "exemption", "other"]
    as_of: date = _DEFAULT_DAY
    site: Shape | None = None
    attributes: dict[str, Any] = Field(default_factory=dict)
    layers: dict[str, CaseLayer] = Field(default_factory=dict)
    quotas: tuple[CaseQuota, ...] = ()
    expect: Expectation


class CaseFile(Model):
    """All cases of one rule."""

    rule: Words
    cases: tuple[RuleCase, ...]


@dataclass(frozen=True, slots=True)
class CaseResult:
    """A case with the finding and everything in which it differs from what was expected."""

    rule_id: str
    case: RuleCase
    finding: Finding | None
    differences: tuple[str, ...]


def load_cases(folder: Path) -> list[CaseFile]:
    """All case files of a folder, by name; ``BadConfiguration`` names file and key."""
    files = []
    for path in sorted(folder.glob("*.yml")):
        try:
            files.append(CaseFile.model_validate(yaml.safe_load(path.read_text("utf-8"))))
        except (ValidationError, yaml.YAMLError) as error:
            raise BadConfiguration(
                f"{path.name}: {str(error)[:400]}", f"规则用例 {path.name} 有误：{str(error)[:400]}"
            ) from error
    return files


def run_cases(files: list[CaseFile], rule_set: RuleSet) -> Iterator[CaseResult]:
    """Judge every case and compare."""
    for file in files:
        for case in file.cases:
            yield run_case(file.rule, case, rule_set)


def run_case(rule_id: str, case: RuleCase, rule_set: RuleSet) -> CaseResult:
    """Judge one case through the same doors as a submission of an applicant."""
    drawn = {name: layer.target(name) for name, layer in case.layers.items()}
    rule = rule_set.rule(rule_id)
    if rule is not None and rule.subject.kind == "plan":
        compared = compare_case(rule, drawn, rule_set, _WORLD)
        said = _Said(compared.outcome, "", None, compared.conflict_m2, compared.kinds)
        return CaseResult(rule_id, case, None, tuple(_differences(case.expect, said)))
    if case.site is None:
        return CaseResult(rule_id, case, None, ("a case of a rule for projects needs a site",))
    feature = {
        "type": "Feature",
        "properties": json_value(case.attributes),
        "geometry": geometry_json(case.site.geometry()),
    }
    submission = read_submission(feature, region_bbox=_WORLD)
    targets = {name: drawn.get(name) or CaseLayer().target(name) for name in rule_set.layers}
    bench = Bench(submission, targets, [row.quota() for row in case.quotas])
    findings = judge(submission, targets, rule_set, case.as_of, bench)
    finding = next((f for f in findings if f.rule.id == rule_id), None)
    if finding is None:
        return CaseResult(rule_id, case, None, (f"there is no rule {rule_id}",))
    return CaseResult(rule_id, case, finding, tuple(_differences(case.expect, _said(finding))))


@dataclass(frozen=True, slots=True)
class _Said:
    """What a judgement or a comparison says, as far as cases can ask."""

    outcome: FindingOutcome
    message: str
    exemption: str | None
    value: float | None
    patches: Mapping[str, int]


def _said(finding: Finding) -> _Said:
    result = finding.result
    measured = result.measured.value if result and result.measured else None
    counted: Counter[str] = Counter(p.kind for p in (result.patches if result else ()))
    return _Said(finding.outcome, finding.message.en, finding.exemption, measured, counted)


def _differences(expect: Expectation, said: _Said) -> Iterator[str]:
    if said.outcome != expect.outcome:
        yield f"outcome {said.outcome}, expected {expect.outcome}: {said.message}"
    if expect.exemption is not None and said.exemption != expect.exemption:
        yield f"exemption {said.exemption}, expected {expect.exemption}"
    if expect.value is not None and not _close(said.value, expect.value):
        yield f"value {said.value}, expected {expect.value}"
    if expect.patches is not None:
        wanted = {kind: count for kind, count in expect.patches.items() if count}
        if dict(said.patches) != wanted:
            yield f"patches {dict(said.patches)}, expected {expect.patches}"


def _close(measured: float | None, expected: float) -> bool:
    return measured is not None and abs(measured - expected) <= max(0.02, abs(expected) / 1000)
