"""Which classes of two plans contradict each other: a matrix in one scheme, and the ways into it.

A layer says its classes in its own words (a land-use code of some scheme, a protection grade, or
nothing but "this is forest land"). Each is walked across to the scheme of the matrix first; what
has no way there is *unknown*, which is never agreement.
"""

from typing import Any, Final, Literal, NamedTuple, Self, get_args

from pydantic import Field, model_validator

from planning_rules.rule import Model, Words

PlanRelation = Literal["same", "compatible", "conditional", "conflict", "unknown"]
"""How two classes of two plans stand to each other; ``same`` follows from equal classes."""

RELATIONS: Final[tuple[PlanRelation, ...]] = get_args(PlanRelation)
_DEFAULTS: Final[dict[str, PlanRelation]] = {
    "permitted": "compatible", "conditional": "conditional", "forbidden": "conflict",
    "undetermined": "unknown",
}  # fmt: skip


class PlanClass(NamedTuple):
    """A class in a scheme; ``known`` where the matrix can speak of it."""

    scheme: str | None
    code: str | None
    known: bool


class LayerClasses(Model):
    """How the features of a layer say their class.

    Either one class for the whole layer, or an attribute: its codes are of the scheme that
    ``scheme_property`` names, or are translated one by one by ``map``.
    """

    whole: Words | None = Field(default=None, alias="class")
    property: Words | None = None
    scheme_property: Words | None = None
    map: dict[Words, Words] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.whole is None) == (self.property is None):
            raise ValueError("a layer has either one class, or a property that says it")
        if self.property is not None and bool(self.map) == (self.scheme_property is not None):
            raise ValueError("a property needs either a map or a scheme_property")
        return self


class Crosswalk(Model):
    """Codes of one scheme as codes of the matrix's; an unlisted code takes its ancestor's.

    With ``same_codes`` an unlisted code is the same in both schemes.
    """

    scheme: Words
    codes: dict[Words, Words] = Field(default_factory=dict)
    same_codes: bool = False

    def walk(self, code: str) -> str | None:
        """The code in the scheme of the matrix, or None."""
        found = next((self.codes[c] for c in class_lineage(code) if c in self.codes), None)
        return code if found is None and self.same_codes else found


class PlanMatrix(Model):
    """Relations of (class of the target plan, class of the other plan), inherited by prefix."""

    id: Words
    scheme: Words
    layers: dict[Words, LayerClasses] = Field(min_length=1)
    crosswalks: tuple[Crosswalk, ...] = ()
    rows: dict[Words, dict[Words, PlanRelation]]

    def class_of(self, layer: str, value: Any, scheme: Any) -> PlanClass:
        """The class that a feature of the layer has, by the values of its attributes."""
        says = self.layers[layer]
        if says.whole is not None:
            return PlanClass(self.scheme, says.whole, True)
        if value is None or value == "":
            return PlanClass(None, None, False)
        code = str(value)
        if says.map:
            mapped = says.map.get(code)
            return PlanClass(self.scheme, mapped, True) if mapped else PlanClass(None, code, False)
        if scheme == self.scheme:
            return PlanClass(self.scheme, code, True)
        walk = next((one for one in self.crosswalks if one.scheme == scheme), None)
        walked = None if walk is None else walk.walk(code)
        if walked is None:
            return PlanClass(None if scheme is None else str(scheme), code, False)
        return PlanClass(self.scheme, walked, True)

    def relation(self, target: PlanClass, subject: PlanClass, default: str) -> PlanRelation:
        """The most exact entry; else the same, a refinement of the same, or the rule's default."""
        if not (target.known and subject.known and target.code and subject.code):
            return "unknown"
        if target.code == subject.code:
            return "same"
        for plan in (*class_lineage(target.code), "*"):
            row = self.rows.get(plan, {})
            for other in (*class_lineage(subject.code), "*"):
                if other in row:
                    return row[other]
        if target.code in class_lineage(subject.code) or subject.code in class_lineage(target.code):
            return "compatible"
        return _DEFAULTS[default]


def class_lineage(code: str) -> list[str]:
    """``070102`` -> 070102, 0701, 07 (never a substring); a class in words is its own family."""
    if code[:2].isdigit():
        return [code, *(code[:n] for n in range(len(code) - 1, 0, -1) if n % 2 == 0)]
    return [code]
