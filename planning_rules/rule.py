"""Rules as data: the schema of ``config/rules`` and its loader.

A rule has exactly one kind of test and no code. Unknown keys are refused, so that a misspelt
word is an error with its place. The digest of a rule set is taken over its canonical content
(RFC 8785) with rules in the order of their ids: comments, layout and the split into files do not
change it; every value that can change a verdict does.
"""

from collections.abc import Iterator
from datetime import date
from typing import Annotated, Any, Final, Literal, Self, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    WithJsonSchema,
    model_validator,
)

from layers.errors import BadConfiguration
from layers.text import Text
from planning_rules.area_expression import AreaExpression, parse_area
from planning_rules.condition import parse_condition
from planning_rules.land_take import COUNTY
from planning_rules.quantity import Quantity

Qualification = Literal[
    "prohibition", "obligation", "permit-required", "consent-required",
    "notification-required", "permission",
]  # fmt: skip
Outcome = Literal["pass", "warning", "conditional", "undetermined", "violation"]
TestKind = Literal[
    "overlap", "within", "distance", "limits", "decision_table", "compatibility", "surface",
    "balance",
]  # fmt: skip
TEST_KINDS: Final[tuple[TestKind, ...]] = get_args(TestKind)
QuotaKey = Literal["county_code", "planning_period", "year", "land_class"]
Dimension = Literal["area", "line", "point"]
UseVerdict = Literal["permitted", "conditional", "forbidden"]
PlanLevel = Literal["overall", "special", "detailed"]


def _as_text(value: object) -> object:
    """YAML reads ``number: 2016`` as an integer and a bare date as a date; both mean text."""
    if isinstance(value, int | float | date) and not isinstance(value, bool):
        return str(value)
    return value


Words = Annotated[str, BeforeValidator(_as_text), WithJsonSchema({"type": ["string", "number"]})]
ConditionText = Annotated[str, BeforeValidator(_as_text), Field(min_length=1)]


def _at_least_0(unit: str, example: str) -> AfterValidator:
    """A check of unit and sign: a width in hectares would make a whole site a sliver."""

    def check(given: Quantity) -> Quantity:
        if given.unit != unit or given.value < 0 or (unit == "%" and given.value > 100):
            raise ValueError(f"a quantity like '{example}' is expected, not below 0")
        return given

    return AfterValidator(check)


Width = Annotated[Quantity, _at_least_0("m", "0.02 m")]
Area = Annotated[Quantity, _at_least_0("m2", "0 m2")]
Share = Annotated[Quantity, _at_least_0("%", "15 %")]


class Model(BaseModel):
    """Frozen, and without room for unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class LegalBasis(Model):
    """A citation; ``verified`` says how far it was checked (see the head of the rule file)."""

    title: Words
    number: Words | None = None
    article: Words | None = None
    url: Words | None = None
    valid_from: date | None = None
    valid_to: date | None = None
    verified: bool | str


class Consent(Model):
    """A document that is needed, and the authority that gives it (may be open)."""

    authority: Words | None = None
    document: Words


class Validity(Model):
    """The days on which a rule applies, both ends included."""

    first: date = Field(alias="from")
    last: date | None = Field(default=None, alias="to")

    def contains(self, day: date) -> bool:
        """Whether the rule applies on that day."""
        return self.first <= day and (self.last is None or day <= self.last)


class Subject(Model):
    """What is checked, and when the rule applies to it."""

    kind: Literal["project", "plan"] = "project"
    dimensions: tuple[Dimension, ...] = ("area", "line", "point")
    when: ConditionText | None = None
    property: Words | None = None
    line_width: Quantity | None = None
    plan_level: PlanLevel | None = None
    vertical_datum: Words | None = None

    @model_validator(mode="after")
    def _only_what_is_applied(self) -> Self:
        if self.line_width is not None:
            raise ValueError("line_width is not applied by this engine and must not be given")
        return self


def _layer_or_ledger(schema: dict[str, Any]) -> None:
    schema["required"] = []
    schema["anyOf"] = [{"required": ["layer"]}, {"required": ["ledger", "key"]}]


class Target(Model):
    """The layer that the subject is held against; ``filter`` selects its features.

    A balance names a ``ledger`` and the ``key`` of its quotas instead; its layer is the one that
    its quantity is measured on.
    """

    model_config = ConfigDict(json_schema_extra=_layer_or_ledger)

    layer: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    filter: ConditionText | None = None
    property: Words | None = None
    plan_level: PlanLevel | None = None
    status: Literal["in-force"] | None = None
    ledger: str | None = Field(default=None, pattern=r"^[a-z][a-z0-9_]*$")
    key: tuple[QuotaKey, ...] = ()

    @model_validator(mode="after")
    def _a_whole_key(self) -> Self:
        if self.ledger is None and self.key:
            raise ValueError("key belongs to a ledger")
        if self.ledger is None:
            return self
        if "county_code" not in self.key or len({"planning_period", "year"} & set(self.key)) != 1:
            raise ValueError("the key of a ledger needs county_code and planning_period or year")
        if len(set(self.key)) != len(self.key):
            raise ValueError("a part of the key stands twice")
        return self


class OverlapTest(Model):
    """Holds when the shared area (length, count) is at most ``max_area``."""

    max_area: Area


class WithinTest(Model):
    """Holds when the area outside all targets together is at most ``max_outside_area``."""

    max_outside_area: Area


class MinimumByClass(Model):
    """A minimum distance for each class of the target; an unlisted class is undetermined."""

    property: Words
    map: dict[Words, Quantity] = Field(min_length=1)


class DistanceTest(Model):
    """Holds when the distance is at least the minimum; equality passes."""

    min: Quantity | None = None
    min_by: MinimumByClass | None = None
    measure: Literal["geodesic", "planar"] = "geodesic"
    origin: Literal["coastline", "boundary"] = Field(default="boundary", alias="from")

    @model_validator(mode="after")
    def _one_minimum(self) -> Self:
        if (self.min is None) == (self.min_by is None):
            raise ValueError("distance needs either min or min_by")
        if any(q.unit != "m" or q.value <= 0 for q in self.minima()):
            raise ValueError("a minimum distance is a positive length, for example '200 m'")
        return self

    def minima(self) -> Iterator[Quantity]:
        """All minimum distances named."""
        if self.min is not None:
            yield self.min
        if self.min_by is not None:
            yield from self.min_by.map.values()


class Limit(Model):
    """One figure of the project against one figure of the plan parcel."""

    attribute: Words
    op: Literal["<=", ">="]
    bound: str = Field(pattern=r"^target\.[a-z][a-z0-9_]*$")
    unit: Annotated[
        Literal["1", "%", "m"],
        BeforeValidator(_as_text),
        WithJsonSchema({"enum": ["1", 1, "%", "m"]}),
    ]


class DecisionRow(Model):
    """``in``: one entry an input (a value, a list of values, ``any`` or ``other``)."""

    entries: tuple[Any, ...] = Field(alias="in")
    out: Outcome


class DecisionTable(Model):
    """A DMN decision table over attributes of the subject and of the target."""

    hit_policy: Literal["UNIQUE", "PRIORITY"]
    inputs: tuple[Annotated[str, Field(pattern=r"^(subject|target)\.\w+$")], ...]
    rows: tuple[DecisionRow, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _rows_fit(self) -> Self:
        if any(len(row.entries) != len(self.inputs) for row in self.rows):
            raise ValueError("every row needs one entry for each input")
        return self


class MaxShare(Model):
    """Largest shares (percent of the subject) by matrix value."""

    forbidden: Share
    conditional: Share
    of: Literal["subject"] = "subject"


class CompatibilityTest(Model):
    """Shares of the site by the matrix value of (plan code, project code).

    For a plan as subject: the relation of the classes of two plans, by a matrix of
    ``plan_matrices``; ``crosswalk`` names the schemes that are walked across to its scheme.
    """

    matrix: Words
    default: UseVerdict | Literal["undetermined"] = "forbidden"
    max_share: MaxShare | None = None
    crosswalk: tuple[Words, ...] = ()

    def misfit(self, subject_kind: str) -> str | None:
        """What does not belong to this kind of subject, or is missing for it."""
        if subject_kind == "plan":
            return None if self.max_share is None else "max_share belongs to projects"
        if self.crosswalk:
            return "crosswalk is applied between plans only and must not be given"
        if self.default == "undetermined":
            return "a default for projects is permitted, conditional or forbidden"
        return "max_share is needed for projects" if self.max_share is None else None


class SurfaceTest(Model):
    """Holds when the top is at most the lowest surface over the site minus ``clearance``.

    ``elevation``, ``slope`` and ``inner_edge`` name the attributes of the target (metres, ratio,
    WKT in lon/lat); ``sample`` is accepted as planners write it: the lowest point is found exactly.
    """

    op: Literal["<="] = "<="
    combine: Literal["min"] = "min"
    sample: Literal["exact", "vertices+triangulation"] = "exact"
    clearance: Width = Quantity(value=0.0, unit="m")
    elevation: Words = "target.elevation_m"
    slope: Words = "target.slope"
    inner_edge: Words = "target.inner_edge"


class BalanceTest(Model):
    """Holds when ``quantity`` is at most what the ledger has left; equality passes.

    ``scheme`` is the classification that the codes of the quantity belong to.
    """

    quantity: Words
    op: Literal["<="] = "<="
    reserve: Literal["on-approval"] | None = None
    scheme: Words = "landuse-2023"

    @model_validator(mode="after")
    def _quantity_parses(self) -> Self:
        parse_area(self.quantity)
        return self

    @property
    def expression(self) -> AreaExpression:
        """The quantity as parsed."""
        return parse_area(self.quantity)


class Test(Model):
    """Exactly one kind; ``aggregate`` and ``missing_bound`` are options of ``limits``."""

    __test__ = False  # not a test class for pytest

    model_config = ConfigDict(
        json_schema_extra={"oneOf": [{"required": [kind]} for kind in TEST_KINDS]}
    )

    overlap: OverlapTest | None = None
    within: WithinTest | None = None
    distance: DistanceTest | None = None
    limits: tuple[Limit, ...] | None = Field(default=None, min_length=1)
    decision_table: DecisionTable | None = None
    compatibility: CompatibilityTest | None = None
    surface: SurfaceTest | None = None
    balance: BalanceTest | None = None
    aggregate: Literal["per-plan-parcel"] | None = None
    missing_bound: Literal["undetermined"] | None = None

    @model_validator(mode="after")
    def _exactly_one_kind(self) -> Self:
        kinds = [name for name in TEST_KINDS if getattr(self, name) is not None]
        if len(kinds) != 1:
            raise ValueError(f"a test has exactly one kind, this one has {kinds or 'none'}")
        if self.limits is None and (self.aggregate or self.missing_bound):
            raise ValueError("aggregate and missing_bound belong to limits")
        return self

    @property
    def kind(self) -> TestKind:
        """The kind that is set."""
        return next(k for k in TEST_KINDS if getattr(self, k) is not None)


class Tolerance(Model):
    """What is too narrow to count; an open field takes the default of the rule set."""

    grid_size: Width | None = None
    min_width: Width | None = None
    min_area: Area | None = None
    on_below: Literal["record", "classify-as-accuracy-difference"] | None = None


class Exemption(Model):
    """A case in which a failed test has another outcome and needs documents."""

    id: Words
    when: ConditionText
    outcome: Outcome
    requires: tuple[Consent, ...] = ()
    legal_basis: tuple[LegalBasis, ...] = ()


class OnViolation(Model):
    """What a failed test means instead of the plain severity, and what can be done."""

    outcome: Outcome | None = None
    message: Text | None = None
    requires: tuple[Consent, ...] = ()
    remedy: Text | None = None


class Rule(Model):
    """One rule; ``id`` and ``version`` together name it in every finding."""

    id: str = Field(pattern=r"^[A-Z][A-Z0-9]*(-[A-Z0-9]+)+$")
    version: Words
    title: Text
    qualification: Qualification
    rigidity: Literal["rigid", "elastic"]
    severity: Literal["violation", "warning", "info"]
    status: Words = "draft"
    valid: Validity
    supersedes: Words | None = None
    superseded_by: Words | None = None
    jurisdiction: tuple[Words, ...] = ()
    legal_basis: tuple[LegalBasis, ...] = Field(min_length=1)
    subject: Subject
    target: Target
    test: Test
    tolerance: Tolerance = Tolerance()
    missing_data: Literal["undetermined", "violation"] | None = None
    exemptions: tuple[Exemption, ...] = ()
    on_violation: OnViolation = OnViolation()
    requires: tuple[Consent, ...] = ()
    evidence: tuple[Words, ...] = ()
    remarks: Text | None = None

    @model_validator(mode="before")
    @classmethod
    def _layer_of_the_quantity(cls, given: Any) -> Any:
        """A target of a ledger alone takes the layer that the quantity names."""
        try:
            target, quantity = given["target"], given["test"]["balance"]["quantity"]
            if "ledger" not in target or "layer" in target:
                return given
            layer = parse_area(quantity).layer or COUNTY
        except (KeyError, TypeError, ValueError):
            return given  # said by the fields themselves
        return {**given, "target": {**target, "layer": layer}}

    @model_validator(mode="after")
    def _only_what_is_applied(self) -> Self:
        if self.subject.vertical_datum is not None and self.test.surface is None:
            raise ValueError("vertical_datum belongs to a surface test")
        if (self.test.balance is None) != (self.target.ledger is None):
            raise ValueError("a balance needs a ledger in its target, and no other test has one")
        if self.test.balance is not None:
            self._check_balance(self.test.balance)
        return self

    def _check_balance(self, balance: BalanceTest) -> None:
        layer = balance.expression.layer
        if self.target.layer != (layer or COUNTY):
            raise ValueError("the target's layer is not the one of the quantity")
        if self.target.filter is not None:
            raise ValueError("a balance selects by the codes of its quantity, not by a filter")
        if self.subject.dimensions != ("area",):
            raise ValueError("a balance measures areas: dimensions must be [area]")
        if "land_class" in self.target.key and layer is None:
            raise ValueError("land_class in the key needs the codes of a quantity")

    @model_validator(mode="after")
    def _fits_its_subject(self) -> Self:
        asked, kind = self.test.compatibility, self.subject.kind
        if kind == "plan" and (asked is None or self.subject.when or self.target.filter):
            raise ValueError(
                "plans are compared by compatibility alone, without 'when' and 'filter'"
            )
        if asked is not None and (misfit := asked.misfit(kind)) is not None:
            raise ValueError(misfit)
        return self

    @model_validator(mode="after")
    def _conditions_parse(self) -> Self:
        try:
            for text in self.conditions():
                parse_condition(text)
        except BadConfiguration as error:
            raise ValueError(error.text.en) from error
        return self

    def conditions(self) -> Iterator[str]:
        """All condition texts of the rule."""
        if self.subject.when:
            yield self.subject.when
        if self.target.filter:
            yield self.target.filter
        for exemption in self.exemptions:
            yield exemption.when

    def search_margin_m(self) -> float:
        """How far from the site this rule looks; a little more than its largest minimum."""
        if self.test.distance is None:
            return 0.0
        return max(q.value for q in self.test.distance.minima()) * 1.02 + 1.0
