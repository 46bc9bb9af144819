"""A rule set as loaded: rules, defaults, matrices, the form of attributes, and its digest."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Literal, Self

import yaml
from pydantic import Field, ValidationError, model_validator

from layers.errors import BadConfiguration, BadParameter
from layers.text import Text
from planning_rules.canonical_json import canonical, json_value
from planning_rules.land_take import COUNTY
from planning_rules.plan_matrix import PlanMatrix
from planning_rules.quantity import Quantity
from planning_rules.rule import Model, Rule, Tolerance, UseVerdict, Words

ATTRIBUTES_FILE: Final = "attributes.yml"
_LISTS: Final = ("rules", "matrices", "plan_matrices", "profiles")
_SECTIONS: Final = frozenset({"ruleset", "defaults", "remarks", *_LISTS})


class AttributeOption(Model):
    """One admitted value of an attribute of a submission."""

    value: str | int
    title: Text


class AttributeField(Model):
    """An attribute that a submission can carry, for the form; it changes no verdict."""

    name: Words
    type: Literal["string", "number", "integer", "boolean", "date", "documents"]
    title: Text
    help: Text | None = None
    unit: Words | None = None
    options: tuple[AttributeOption, ...] = ()


class CompatibilityMatrix(Model):
    """Verdicts on (plan code, project code) inside one scheme, inherited by code prefix."""

    id: Words
    scheme: Words
    rows: dict[Words, dict[Words, UseVerdict]]

    def verdict(self, plan_code: str, project_code: str) -> UseVerdict | None:
        """The most exact entry: the plan code's own ancestors first, then the project's."""
        for plan in lineage(plan_code):
            row = self.rows.get(plan, {})
            for project in lineage(project_code):
                if project in row:
                    return row[project]
        return None


def lineage(code: str) -> Iterable[str]:
    """``070102`` -> 070102, 0701, 07, *: levels of two digits; never a substring."""
    yield from (code[:length] for length in range(len(code), 0, -2) if length % 2 == 0)
    yield "*"


class CheckProfile(Model):
    """A choice of rules that an authority asks about; ``HN-DP-*`` stands for all that begin so."""

    id: str = Field(pattern=r"^[a-z][a-z0-9-]*$")
    title: Text
    description: Text | None = None
    rules: tuple[Words, ...] = Field(min_length=1)

    def asks(self, rule_id: str) -> bool:
        """Whether the profile holds the rule."""
        return any(
            rule_id == one or (one.endswith("-*") and rule_id.startswith(one[:-1]))
            for one in self.rules
        )


class Defaults(Model):
    """What holds where a rule says nothing."""

    tolerance: Tolerance = Tolerance()
    missing_data: Literal["undetermined", "violation"] = "undetermined"


class ResolvedTolerance(Model):
    """The tolerance of one rule with every field filled; lengths in metres, areas in m2."""

    min_width_m: float
    min_area_m2: float
    classify_as_accuracy_difference: bool


_BUILT_IN: Final = {
    "min_width": Quantity(value=0.02, unit="m"),
    "min_area": Quantity(value=0.0, unit="m2"),
    "on_below": "record",
}


class RuleSet(Model):
    """All rules of one version; ``sha256`` identifies the content."""

    id: Words
    version: Words
    jurisdiction: tuple[Words, ...]
    status: Words
    crs: Literal["EPSG:4490"]
    area_method: Literal["cgcs2000-ellipsoidal"]
    title: Text | None = None
    notice: Text | None = None
    defaults: Defaults = Defaults()
    rules: tuple[Rule, ...] = Field(min_length=1)
    matrices: tuple[CompatibilityMatrix, ...] = ()
    plan_matrices: tuple[PlanMatrix, ...] = ()
    profiles: tuple[CheckProfile, ...] = ()
    attributes: tuple[AttributeField, ...] = ()
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    canonical_text: str = Field(default="", repr=False)
    """The content in RFC 8785 form: what ``sha256`` is taken over and ``rule_set_of`` reads."""

    @model_validator(mode="after")
    def _rules_are_unique_and_known(self) -> Self:
        for place, rule in enumerate(self.rules):
            for other in self.rules[:place]:
                if rule.id == other.id and _meet(rule, other):
                    raise ValueError(f"{rule.id}: two rules of this id apply on the same day")
            if rule.jurisdiction and set(rule.jurisdiction) != set(self.jurisdiction):
                raise ValueError(
                    f"{rule.id}: a jurisdiction other than the one of the set is not applied by "
                    "this engine and must not be given"
                )
            wanted = rule.test.compatibility
            if wanted is None:
                continue
            if rule.subject.kind == "plan":
                _check_plan_rule(rule, self.plan_matrix(wanted.matrix))
            elif self.matrix(wanted.matrix) is None:
                raise ValueError(f"{rule.id}: there is no matrix {wanted.matrix}")
        return self

    def rule(self, rule_id: str) -> Rule | None:
        """The rule of that id; of several versions the last one."""
        found = [rule for rule in self.rules if rule.id == rule_id]
        return max(found, key=lambda rule: rule.valid.first) if found else None

    def matrix(self, matrix_id: str) -> CompatibilityMatrix | None:
        """The compatibility matrix of that id."""
        return next((matrix for matrix in self.matrices if matrix.id == matrix_id), None)

    @model_validator(mode="after")
    def _profiles_name_rules(self) -> Self:
        ids = {rule.id for rule in self.rules}
        for profile in self.profiles:
            for name in profile.rules:
                alone = CheckProfile(id="x", title=profile.title, rules=(name,))
                if not any(alone.asks(rule_id) for rule_id in ids):
                    raise ValueError(f"profile {profile.id}: there is no rule {name}")
        if len({profile.id for profile in self.profiles}) != len(self.profiles):
            raise ValueError("two profiles have one id")
        return self

    def profile(self, profile_id: str) -> CheckProfile:
        """The profile of that id; ``BadParameter`` names those there are."""
        for profile in self.profiles:
            if profile.id == profile_id:
                return profile
        names = ", ".join(profile.id for profile in self.profiles) or "-"
        raise BadParameter(
            f"There is no profile '{profile_id[:60]}'. Profiles: {names}.",
            f"没有核查方案“{profile_id[:60]}”。可用：{names}。",
            code="no-such-profile",
        )

    def plan_matrix(self, matrix_id: str) -> PlanMatrix | None:
        """The matrix between plans of that id."""
        return next((matrix for matrix in self.plan_matrices if matrix.id == matrix_id), None)

    @cached_property
    def layers(self) -> tuple[str, ...]:
        """The layers that the rules for projects read, sorted."""
        read = {rule.target.layer for rule in self.rules if rule.subject.kind == "project"}
        return tuple(sorted(read | ({COUNTY} if self.ledgers else set())))

    @cached_property
    def ledgers(self) -> tuple[str, ...]:
        """The quota ledgers that the rules read, sorted."""
        return tuple(sorted({r.target.ledger for r in self.rules if r.target.ledger is not None}))

    @cached_property
    def described(self) -> Mapping[str, AttributeField]:
        """The attributes that ``attributes.yml`` describes, by name."""
        return {field.name: field for field in self.attributes}

    def margin_m(self, layer: str) -> float:
        """How far around the site features of the layer are needed, in metres."""
        margins = (r.search_margin_m() for r in self.rules if r.target.layer == layer)
        return max(margins, default=0.0)

    def tolerance_of(self, rule: Rule) -> ResolvedTolerance:
        """The rule's tolerance over the set's defaults over the built-in ones."""

        def choose(name: str) -> Any:
            own = getattr(rule.tolerance, name)
            default = getattr(self.defaults.tolerance, name)
            return own if own is not None else default if default is not None else _BUILT_IN[name]

        return ResolvedTolerance(
            min_width_m=choose("min_width").value,
            min_area_m2=choose("min_area").value,
            classify_as_accuracy_difference=choose("on_below") != "record",
        )


def _check_plan_rule(rule: Rule, matrix: PlanMatrix | None) -> None:
    wanted = rule.test.compatibility
    if wanted is None or matrix is None:
        raise ValueError(f"{rule.id}: there is no matrix between plans {wanted and wanted.matrix}")
    if rule.target.layer not in matrix.layers:
        raise ValueError(f"{rule.id}: {matrix.id} does not say the classes of {rule.target.layer}")
    known = {matrix.scheme, *(walk.scheme for walk in matrix.crosswalks)}
    if missing := sorted(set(wanted.crosswalk) - known):
        raise ValueError(f"{rule.id}: {matrix.id} has no crosswalk from {', '.join(missing)}")


def _meet(one: Rule, other: Rule) -> bool:
    last_one, last_other = one.valid.last or date.max, other.valid.last or date.max
    return one.valid.first <= last_other and other.valid.first <= last_one


def load_rule_set(path: Path | str) -> RuleSet:
    """Read a rule file, or all ``*.yml`` of a folder as one set.

    ``attributes.yml`` beside the rules describes the attributes for the form and is no part of
    the digest. Raises ``BadConfiguration`` with file and key on any fault: a set is used whole
    or not at all.
    """
    path = Path(path)
    folder = path if path.is_dir() else path.parent
    files = sorted(path.glob("*.yml")) if path.is_dir() else [path]
    merged: dict[str, Any] = {}
    for file in files:
        if file.name != ATTRIBUTES_FILE:
            _merge(merged, _read_yaml(file), file)
    if "ruleset" not in merged:
        raise BadConfiguration(
            f"{path.name}: no 'ruleset' with id and version.",
            f"{path.name}：缺少含 id 与 version 的 ruleset。",
        )
    described = folder / ATTRIBUTES_FILE
    attributes = _read_yaml(described).get("attributes", []) if described.exists() else []
    return _build(merged, attributes, path)


def rule_set_of(canonical_text: str) -> RuleSet:
    """A rule set from the canonical text that was stored when it was used; same ``sha256``."""
    return _build(json.loads(canonical_text), [], Path("stored-rules"))


def _read_yaml(file: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(file.read_text("utf-8"))
    except (yaml.YAMLError, OSError, UnicodeDecodeError) as error:
        reason = str(error).splitlines()[0]
        raise BadConfiguration(
            f"{file.name} cannot be read: {str(error)[:300]}",
            f"配置文件 {file.name} 无法读取：{reason}",
        ) from error
    if not isinstance(content, dict):
        raise BadConfiguration(
            f"{file.name} holds no mapping.", f"配置文件 {file.name} 的顶层不是映射。"
        )
    return content


def _merge(merged: dict[str, Any], content: dict[str, Any], file: Path) -> None:
    for key, value in content.items():
        if key not in _SECTIONS:
            raise BadConfiguration(
                f"{file.name}: unknown key '{key}'.", f"{file.name}：未知的键“{key}”。"
            )
        if key in _LISTS and isinstance(value, list):
            merged.setdefault(key, []).extend(value)
        elif key in merged:
            raise BadConfiguration(
                f"{file.name}: '{key}' stands in two files.",
                f"{file.name}：“{key}”在多个文件中重复。",
            )
        elif key != "remarks":
            merged[key] = value


def _build(merged: dict[str, Any], attributes: list[Any], path: Path) -> RuleSet:
    try:
        rules = sorted(merged.get("rules", []), key=lambda r: (str(r["id"]), str(r["version"])))
        text = canonical(json_value({**merged, "rules": rules}))
        head = merged["ruleset"]
        return RuleSet.model_validate(
            {
                **head,
                "defaults": merged.get("defaults", {}),
                "rules": rules,
                "matrices": merged.get("matrices", []),
                "plan_matrices": merged.get("plan_matrices", []),
                "profiles": merged.get("profiles", []),
                "attributes": attributes,
                "sha256": hashlib.sha256(text).hexdigest(),
                "canonical_text": text.decode(),
            }
        )
    except ValidationError as error:
        faults = "; ".join(_fault(fault, merged) for fault in error.errors()[:5])
        raise BadConfiguration(
            f"{path.name}: {faults}", f"规则文件 {path.name} 有误：{faults}"
        ) from error
    except (KeyError, TypeError, ValueError) as error:
        raise BadConfiguration(
            f"{path.name}: a rule without id or version, or of a wrong form ({error}).",
            f"规则文件 {path.name} 有误：规则缺少 id 或 version，或形式不对（{error}）。",
        ) from error


def _fault(fault: Any, merged: dict[str, Any]) -> str:
    """``HN-PBF-001.test: ...`` instead of the number of the rule in the file."""
    steps = list(fault["loc"])
    if len(steps) > 1 and steps[0] == "rules" and isinstance(steps[1], int):
        rules = sorted(merged["rules"], key=lambda r: (str(r["id"]), str(r["version"])))
        steps[:2] = [rules[steps[1]]["id"]]
    return f"{'.'.join(str(step) for step in steps) or 'file'}: {fault['msg']}"
