"""Names and values in rules against the catalogue and the described attributes."""

from collections.abc import Iterator
from typing import Any, Final

from layers.catalog import Attribute, Catalog, Layer
from layers.text import Text
from planning_rules.condition import parse_condition
from planning_rules.condition_space import literals
from planning_rules.rule import Rule
from planning_rules.rule_set import AttributeField, RuleSet
from planning_rules.submission_form import attributes_of

_TEXTS: Final = ("string", "date")
_NUMBERS: Final = ("number", "integer")

Misnamed = tuple[str, Text]
"""Code of the fault and its text."""


def target_names(rule: Rule) -> set[str]:
    """The attributes of the target's features that the rule reads."""
    test, target = rule.test, rule.target
    names = set(parse_condition(target.filter).names) if target.filter else set()
    names |= {limit.bound.removeprefix("target.") for limit in test.limits or ()}
    if test.decision_table is not None:
        inputs = test.decision_table.inputs
        names |= {n.removeprefix("target.") for n in inputs if n.startswith("target.")}
    if test.distance is not None and test.distance.min_by is not None:
        names.add(test.distance.min_by.property.removeprefix("target."))
    if test.compatibility is not None and rule.subject.kind == "project":
        names |= {target.property or "landuse_code", "code_scheme"}
    if test.balance is not None and test.balance.expression.layer is not None:
        names |= {target.property or "landuse_code", "code_scheme"}
    if test.surface is not None:
        surface = test.surface
        read = (surface.elevation, surface.slope, surface.inner_edge)
        names |= {name.removeprefix("target.") for name in read}
    return names


def misnamed_targets(rule: Rule, layer: Layer, catalog: Catalog) -> Iterator[Misnamed]:
    """Attributes that the layer does not keep, and values that they cannot have."""
    kept = {attribute.name: attribute for attribute in layer.kept_attributes}
    for name in sorted(target_names(rule) - set(kept)):
        yield (
            "unknown-layer-attribute",
            Text(
                zh=f"图层 {layer.id} 没有属性 {name}。",
                en=f"The layer {layer.id} has no attribute '{name}'.",
            ),
        )
    for name, value in sorted(set(_target_values(rule)), key=str):
        if name in kept:
            yield from _wrong_target_value(kept[name], value, catalog)


def _target_values(rule: Rule) -> Iterator[tuple[str, Any]]:
    if rule.target.filter:
        yield from literals(parse_condition(rule.target.filter))
    if rule.test.distance is not None and rule.test.distance.min_by is not None:
        by = rule.test.distance.min_by
        yield from ((by.property.removeprefix("target."), value) for value in by.map)
    if rule.test.balance is not None:
        property_name = rule.target.property or "landuse_code"
        yield from ((property_name, code) for code in rule.test.balance.expression.codes)
    yield from _table_values(rule, "target.")


def _table_values(rule: Rule, side: str) -> Iterator[tuple[str, Any]]:
    table = rule.test.decision_table
    if table is None:
        return
    for row in table.rows:
        for name, entry in zip(table.inputs, row.entries, strict=True):
            for value in entry if isinstance(entry, list | tuple) else [entry]:
                if name.startswith(side) and value not in ("any", "other"):
                    yield name.removeprefix(side), value


def _wrong_target_value(attribute: Attribute, value: Any, catalog: Catalog) -> Iterator[Misnamed]:
    if not _fits(attribute.type, value):
        yield _wrong_type(attribute.name, attribute.type, value)
    elif attribute.codes and catalog.code_list(attribute.codes).find(str(value)) is None:
        yield (
            "unknown-code",
            Text(
                zh=f"{attribute.name}：代码表 {attribute.codes} 中没有 {value}。",
                en=f"{attribute.name}: the code list {attribute.codes} has no '{value}'.",
            ),
        )


def misnamed_attributes(rule: Rule, rule_set: RuleSet) -> Iterator[Misnamed]:
    """Attributes of the submission that are not described, and values that the form lacks."""
    described = {field.name: field for field in rule_set.attributes}
    for name in sorted(set(attributes_of(rule)) - set(described)):
        yield (
            "unknown-attribute",
            Text(
                zh=f"attributes.yml 中没有属性 {name}。",
                en=f"attributes.yml does not describe '{name}'.",
            ),
        )
    for name, value in sorted(set(_subject_values(rule)), key=str):
        if name in described:
            yield from _wrong_value(described[name], value)


def _subject_values(rule: Rule) -> Iterator[tuple[str, Any]]:
    for text in (rule.subject.when, *(e.when for e in rule.exemptions)):
        if text:
            yield from literals(parse_condition(text))
    yield from _table_values(rule, "subject.")


def _wrong_value(field: AttributeField, value: Any) -> Iterator[Misnamed]:
    if not _fits(field.type, value):
        yield _wrong_type(field.name, field.type, value)
    elif field.options and value not in [option.value for option in field.options]:
        yield (
            "unknown-value",
            Text(
                zh=f"{field.name}：表单中没有取值 {value}。",
                en=f"{field.name}: the form offers no '{value}'.",
            ),
        )


def _fits(kind: str, value: Any) -> bool:
    """Whether a literal can equal a value of that type; others are never true for the engine."""
    if isinstance(value, bool):
        return kind == "boolean"
    return kind in (_TEXTS if isinstance(value, str) else _NUMBERS)


def _wrong_type(name: str, kind: str, value: Any) -> Misnamed:
    return (
        "wrong-type",
        Text(
            zh=f"{name} 的类型为 {kind}，与 {value!r} 比较永不成立。",
            en=f"{name} is of the type {kind}; a comparison with {value!r} is never true.",
        ),
    )
