"""Three-valued logic, precedence, limits of the condition language."""

import itertools
from typing import Any

import pygeofilter.ast as cql
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pygeofilter.parsers.cql2_text import parse as reference_parse

from layers.errors import BadConfiguration
from planning_rules.condition import holds, parse_condition

ATTRIBUTES = {
    "land_take": True, "kind": "tunnel", "grade": 2, "height": 12.5, "empty": None,
    "tags": ["a"], "用途": "住宅", "text_number": "3",
}  # fmt: skip


def truth(text: str) -> bool | None:
    return holds(parse_condition(text), ATTRIBUTES)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("land_take = TRUE", True),
        ("land_take = false", False),
        ("kind IN ('tunnel','span')", True),
        ("kind NOT IN ('tunnel')", False),
        ("kind = 'Tunnel'", False),
        ("grade = 2", True),
        ("grade <> 2", False),
        ("grade BETWEEN 1 AND 2", True),
        ("grade NOT BETWEEN 1 AND 2", False),
        ("height >= 12.5", True),
        ("height > 12.5", False),
        ("height < -1", False),
        ("用途 = '住宅'", True),
        ("subject.grade = 2 AND target.kind = 'tunnel'", True),
        ("kind = 'it''s'", False),
        # Unknown: missing, NULL, other types. Never true, and NOT keeps it unknown.
        ("missing = 1", None),
        ("NOT missing = 1", None),
        ("empty = 'x'", None),
        ("grade = 'two'", None),
        ("text_number = 3", None),
        ("text_number IN (1, 2, 3)", None),
        ("land_take = 1", None),
        ("land_take > FALSE", None),
        ("tags = 'a'", None),
        ("missing IN (1, 2)", None),
        ("grade IN (5, 'two')", None),
        # Known in spite of an unknown part.
        ("missing = 1 OR grade = 2", True),
        ("missing = 1 AND grade = 3", False),
        ("missing = 1 AND grade = 2", None),
        ("missing = 1 OR grade = 3", None),
        # IS NULL is always known.
        ("missing IS NULL", True),
        ("empty IS NOT NULL", False),
        ("kind IS NOT NULL AND NOT (kind IS NULL)", True),
        # AND binds tighter than OR: TRUE OR (FALSE AND FALSE).
        ("grade = 2 OR grade = 3 AND kind = 'span'", True),
        ("(grade = 2 OR grade = 3) AND kind = 'span'", False),
        ("NOT grade = 3 AND kind = 'span'", False),
    ],
)
def test_truth(text: str, expected: bool | None) -> None:
    assert truth(text) is expected


@pytest.mark.parametrize(
    "text",
    [
        "", "grade", "grade =", "= 2", "grade = 2 AND", "(grade = 2", "grade = 2)", "grade == 2",
        "kind LIKE 't%'", "lower(kind) = 'x'", "grade + 1 = 3", "grade = 2; DROP", "kind = 'open",
        "grade IN ()", "S_INTERSECTS(a, b)", "grade NOT 2", "grade = 2 kind = 'x'", "a = 1e",
    ],
)  # fmt: skip
def test_refused_with_its_place(text: str) -> None:
    with pytest.raises(BadConfiguration) as caught:
        parse_condition(text)
    assert caught.value.text.zh


def test_length_and_depth_are_limited() -> None:
    parse_condition("(" * 20 + "grade = 2" + ")" * 20)
    for deep in ("(" * 21 + "grade = 2" + ")" * 21, "NOT " * 21 + "grade = 2"):
        with pytest.raises(BadConfiguration, match="deep"):
            parse_condition(deep)
    with pytest.raises(BadConfiguration, match="2000"):
        parse_condition(" OR ".join(["grade = 2"] * 200))
    assert holds(parse_condition(" OR ".join(["grade = 2"] * 150)), ATTRIBUTES) is True


def _reference(node: Any) -> bool:
    """Evaluate the tree of pygeofilter on two-valued data; no AND beside OR."""
    if isinstance(node, cql.And | cql.Or):
        both = (_reference(node.lhs), _reference(node.rhs))
        return all(both) if isinstance(node, cql.And) else any(both)
    if isinstance(node, cql.Not):
        return not _reference(node.sub_node)
    if isinstance(node, cql.In):
        return (ATTRIBUTES[node.lhs.name] in node.sub_nodes) != node.not_
    if isinstance(node, cql.Between):
        return (node.low <= ATTRIBUTES[node.lhs.name] <= node.high) != node.not_
    signs = {cql.Equal: "==", cql.NotEqual: "!=", cql.LessThan: "<", cql.GreaterThan: ">"}
    left, right = ATTRIBUTES[node.lhs.name], node.rhs
    return {"==": left == right, "!=": left != right, "<": left < right, ">": left > right}[
        signs[type(node)]
    ]


_ATOMS = (
    "grade = 2", "grade <> 3", "height < 13", "height > 13", "kind IN ('span','tunnel')",
    "grade NOT IN (2,4)", "grade BETWEEN 1 AND 3", "kind = 'span'",
)  # fmt: skip


@given(
    st.recursive(
        st.sampled_from(_ATOMS),
        lambda inner: st.builds(
            lambda word, a, b: f"({a}) {word} ({b})", st.sampled_from(("AND", "OR")), inner, inner
        ),
        max_leaves=6,
    )
)
def test_agrees_with_another_parser_where_it_is_right(text: str) -> None:
    assert holds(parse_condition(text), ATTRIBUTES) is _reference(reference_parse(text))


def test_kleene_tables() -> None:
    word = {True: "grade = 2", False: "grade = 3", None: "missing = 1"}
    for a, b in itertools.product(word, repeat=2):
        both, either = truth(f"{word[a]} AND {word[b]}"), truth(f"{word[a]} OR {word[b]}")
        assert both is (False if False in (a, b) else None if None in (a, b) else True)
        assert either is (True if True in (a, b) else None if None in (a, b) else False)
