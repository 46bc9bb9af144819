"""What the engine says about one rule."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final, Literal

from layers.text import Text
from planning_rules.patch import Patch
from planning_rules.rule import Consent, LegalBasis, Outcome, Rule

FindingOutcome = Literal[
    "pass", "warning", "conditional", "undetermined", "violation", "not-applicable"
]
Verdict = Literal["holds", "fails", "unknown"]

_RANK: Final[Mapping[str, int]] = {
    "not-applicable": -1, "pass": 0, "warning": 1, "conditional": 2,
    "undetermined": 3, "violation": 4,
}  # fmt: skip


def worst(*outcomes: FindingOutcome) -> FindingOutcome:
    """violation > undetermined > conditional > warning > pass > not-applicable."""
    return max(outcomes, key=_RANK.__getitem__)


@dataclass(frozen=True, slots=True)
class Figure:
    """A measured value with its unit; None where there is no value to give."""

    quantity: str
    value: float | None
    unit: str
    beyond_m: float | None = None

    def as_json(self) -> dict[str, Any]:
        """The form of reports."""
        value = None if self.value is None else round(self.value, 2)
        result: dict[str, Any] = {"quantity": self.quantity, "value": value, "unit": self.unit}
        if self.beyond_m is not None:
            result["beyond"] = round(self.beyond_m, 2)
        return result


@dataclass(frozen=True, slots=True)
class TestResult:
    """What a test measured. ``unknown`` and every doubt keep a rule from passing.

    ``outcome`` is set by tests that name it themselves (decision tables).
    """

    __test__ = False  # not a test class for pytest

    verdict: Verdict
    message: Text
    measured: Figure | None = None
    limit: Mapping[str, Any] | None = None
    patches: tuple[Patch, ...] = ()
    doubts: tuple[Text, ...] = ()
    details: tuple[Mapping[str, Any], ...] = ()
    outcome: Outcome | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """The entry of one rule in the report."""

    rule: Rule
    outcome: FindingOutcome
    message: Text
    result: TestResult | None = None
    exemption: str | None = None
    exemption_basis: tuple[LegalBasis, ...] = ()
    requires: tuple[Consent, ...] = ()
    consent: tuple[Mapping[str, Any], ...] = ()
    reasons: tuple[Text, ...] = ()
    tolerance: Mapping[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """The form of reports."""
        rule, result = self.rule, self.result
        value: dict[str, Any] = {
            "rule_id": rule.id,
            "rule_version": rule.version,
            "title": text_json(rule.title),
            "outcome": self.outcome,
            "qualification": rule.qualification,
            "severity": rule.severity,
            "rigidity": rule.rigidity,
            "status": rule.status,
            "layer": rule.target.layer,
            "test": rule.test.kind,
            "legal_basis": [basis_json(basis) for basis in rule.legal_basis],
            "measured": result.measured.as_json() if result and result.measured else None,
            "limit": dict(result.limit) if result and result.limit else None,
            "tolerance": dict(self.tolerance),
            "exemption": None,
            "requires": [consent_json(consent) for consent in self.requires],
            "consent": [dict(document) for document in self.consent],
            "patches": [patch.as_json() for patch in result.patches] if result else [],
            "details": [dict(detail) for detail in result.details] if result else [],
            "reasons": [text_json(reason) for reason in self.reasons],
            "message": text_json(self.message),
        }
        if self.exemption is not None:
            basis = [basis_json(one) for one in self.exemption_basis]
            value["exemption"] = {"id": self.exemption, "legal_basis": basis}
        if rule.on_violation.remedy is not None:
            value["remedy"] = text_json(rule.on_violation.remedy)
        value["patches"].sort(key=lambda p: (p["layer"], p["feature_id"] or "", p["kind"], p["id"]))
        return value


def text_json(text: Text) -> dict[str, str]:
    """Both languages."""
    return {"zh": text.zh, "en": text.en}


def basis_json(basis: LegalBasis) -> dict[str, Any]:
    """A citation without its empty fields."""
    return dict(_stated(basis))


@lru_cache(maxsize=1024)
def _stated(basis: LegalBasis) -> dict[str, Any]:
    """The same, written once: every report names the citations of all rules."""
    return basis.model_dump(mode="json", exclude_none=True)


def consent_json(consent: Consent) -> dict[str, str | None]:
    """A document that is asked for."""
    return {"authority": consent.authority, "document": consent.document}
