"""The attributes that a rule set asks of a submission, for a form or a check list."""

from collections.abc import Iterator
from typing import Any, Final

from layers.text import Text
from planning_rules.condition import parse_condition
from planning_rules.finding import text_json
from planning_rules.rule import Rule
from planning_rules.rule_set import AttributeField, RuleSet

_ALWAYS: Final = ("name", "declared_area_m2", "accuracy_m", "line_width_m", "documents")


def attributes_of(rule: Rule) -> Iterator[str]:
    """Names of the attributes of the submission that the rule reads; none between plans."""
    if rule.subject.kind == "plan":
        return
    if rule.subject.when:
        yield from parse_condition(rule.subject.when).names
    for exemption in rule.exemptions:
        yield from parse_condition(exemption.when).names
    yield from _asked_by_the_test(rule)


def _asked_by_the_test(rule: Rule) -> Iterator[str]:
    for limit in rule.test.limits or ():
        yield limit.attribute
    if rule.test.decision_table is not None:
        for name in rule.test.decision_table.inputs:
            if name.startswith("subject."):
                yield name.removeprefix("subject.")
    if rule.test.compatibility is not None:
        yield rule.subject.property or "proposed_use"
    if rule.test.surface is not None:
        yield rule.subject.property or "top_elevation_m"
        if rule.subject.vertical_datum is not None:
            yield "vertical_datum"


def attribute_fields(rule_set: RuleSet) -> tuple[AttributeField, ...]:
    """Every attribute that a rule reads or that is always asked, with its type."""
    described = {field.name: field for field in rule_set.attributes}
    names = {*_ALWAYS, *(name for rule in rule_set.rules for name in attributes_of(rule))}
    return tuple(
        described.get(name)
        or AttributeField(name=name, type="string", title=Text(zh=name, en=name))
        for name in sorted(names)
    )


def submission_form(rule_set: RuleSet) -> list[dict[str, Any]]:
    """One entry for each attribute: name, type, titles, options, and the rules that read it.

    In the order of ``attributes.yml``; an attribute that is not described there still appears.
    """
    readers: dict[str, set[str]] = {name: set() for name in _ALWAYS}
    for rule in rule_set.rules:
        for name in attributes_of(rule):
            readers.setdefault(name, set()).add(rule.id)
    described = {field.name: field for field in rule_set.attributes}
    names = [name for name in described if name in readers]
    names += sorted(name for name in readers if name not in described)
    return [_entry(name, described.get(name), readers[name]) for name in names]


def _entry(name: str, described: AttributeField | None, rules: set[str]) -> dict[str, Any]:
    field = described or AttributeField(name=name, type="string", title=Text(zh=name, en=name))
    return {
        "name": name,
        "type": field.type,
        "title": text_json(field.title),
        "help": text_json(field.help) if field.help else None,
        "unit": field.unit,
        "options": [{"value": o.value, "title": text_json(o.title)} for o in field.options],
        "rules": sorted(rules),
    }
