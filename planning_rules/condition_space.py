"""What several conditions can say together, found by trying every case that they tell apart.

A condition compares attributes with literals, so only a few values of each attribute matter: the
literals, their neighbours, something else, and nothing (NULL). Values that answer every comparison
alike are one case. The cases of all attributes together are tried with the engine's own logic, so
"can never hold" means never for the engine, not for a second reading of the text.
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any, Final

from planning_rules.condition import (
    Comparison,
    Condition,
    IsNull,
    Junction,
    Membership,
    Name,
    Negation,
    Node,
    Operand,
    Value,
    holds,
)

MOST_CASES: Final = 50_000
_OTHER: Final = "\uffff"
"""A text that no rule names."""


def truths(*conditions: Condition) -> list[tuple[bool | None, ...]] | None:
    """Every combination of answers that the conditions can give; None if there are too many cases.

    One tuple for each distinct combination, in the order of the conditions given.
    """
    nodes = [node for condition in conditions for node in _atoms(condition.tree)]
    names = sorted({name for condition in conditions for name in condition.names})
    choices = [_choices(name, nodes) for name in names]
    if math.prod(len(choice) for choice in choices) > MOST_CASES:
        return None
    found: dict[tuple[bool | None, ...], None] = {}
    for values in itertools.product(*choices):
        attributes = dict(zip(names, values, strict=True))
        found[tuple(holds(condition, attributes) for condition in conditions)] = None
    return list(found)


def literals(condition: Condition) -> Iterator[tuple[str, Any]]:
    """(attribute, literal) for every literal that an attribute is compared with."""
    for node in _atoms(condition.tree):
        operands = _operands(node)
        for name in (one.name for one in operands if isinstance(one, Name)):
            yield from ((name, one.value) for one in operands if isinstance(one, Value))


def _atoms(node: Node) -> Iterator[Node]:
    match node:
        case Negation(part):
            yield from _atoms(part)
        case Junction(_, parts):
            for part in parts:
                yield from _atoms(part)
        case _:
            yield node


def _operands(node: Node) -> tuple[Operand, ...]:
    match node:
        case Comparison(_, left, right):
            return (left, right)
        case Membership(operand, options):
            return (operand, *options)
        case IsNull(operand):
            return (operand,)
        case _:
            return ()


def _choices(name: str, nodes: Sequence[Node]) -> list[Any]:
    """Values of one attribute that the conditions tell apart."""
    mine = [node for node in nodes if Name(name) in _operands(node)]
    shared = any(isinstance(o, Name) and o.name != name for n in mine for o in _operands(n))
    # Compared with another attribute, the values of both sides matter.
    values = _values(nodes if shared else mine)
    if shared:
        return values
    distinct: dict[tuple[bool | None, ...], Any] = {}
    for value in values:
        answers = tuple(
            holds(Condition("", node, frozenset((name,))), {name: value}) for node in mine
        )
        distinct.setdefault(answers, value)
    return list(distinct.values())


def _values(nodes: Sequence[Node]) -> list[Any]:
    given = [one.value for node in nodes for one in _operands(node) if isinstance(one, Value)]
    numbers = sorted({v for v in given if isinstance(v, int | float) and not isinstance(v, bool)})
    texts = sorted({v for v in given if isinstance(v, str)})
    values: list[Any] = [None, *texts, *numbers]
    if any(isinstance(v, bool) for v in given):
        values += [True, False]
    if numbers:
        values += [numbers[0] - 1, numbers[-1] + 1]
        values += [(low + high) / 2 for low, high in itertools.pairwise(numbers)]
    # After each text and before all: between two texts lies the first with a hair more.
    values += ["", _OTHER, *(text + "\u0001" for text in texts)]
    return values
