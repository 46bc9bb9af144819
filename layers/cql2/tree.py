"""What a filter is made of; both forms of CQL2 are read into these values."""

import datetime
from dataclasses import dataclass
from typing import Final

import shapely

from layers.errors import BadParameter

LONGEST_TEXT: Final = 100_000
DEEPEST: Final = 24
MOST_TERMS: Final = 1_000
MOST_VERTICES: Final = 2_000
"""Of all shapes of a filter together: GEOS cannot be stopped inside the database, and a predicate
of this size on a stored feature takes some tens of milliseconds."""


@dataclass(frozen=True, slots=True)
class Property:
    """A queryable, by its name."""

    name: str


@dataclass(frozen=True, slots=True)
class Literal:
    """A text, number or truth value."""

    value: str | int | float | bool


@dataclass(frozen=True, slots=True)
class Instant:
    """A day, or a moment in UTC."""

    value: datetime.date | datetime.datetime


@dataclass(frozen=True, slots=True)
class Interval:
    """From one instant to another; None is an open end."""

    start: "Instant | Property | None"
    end: "Instant | Property | None"


@dataclass(frozen=True, slots=True)
class Shape:
    """A geometry, its coordinates in the filter's CRS and in that authority's axis order."""

    geometry: shapely.Geometry


@dataclass(frozen=True, slots=True)
class BoxLiteral:
    """Four or six numbers as in ``bbox``, in the filter's CRS."""

    numbers: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Operation:
    """An operator or function with its arguments; the name is lower case as in CQL2 JSON."""

    name: str
    arguments: tuple["Expression", ...]


Expression = Property | Literal | Instant | Interval | Shape | BoxLiteral | Operation

COMPARISONS: Final = frozenset({"=", "<>", "<", ">", "<=", ">="})
ARITHMETIC: Final = frozenset({"+", "-", "*", "/", "^", "%", "div"})
SPATIAL: Final = frozenset(
    [
        "s_intersects",
        "s_equals",
        "s_disjoint",
        "s_touches",
        "s_within",
        "s_overlaps",
        "s_crosses",
        "s_contains",
    ]
)
TEMPORAL: Final = frozenset(
    [
        "t_after",
        "t_before",
        "t_contains",
        "t_disjoint",
        "t_during",
        "t_equals",
        "t_finishedby",
        "t_finishes",
        "t_intersects",
        "t_meets",
        "t_metby",
        "t_overlappedby",
        "t_overlaps",
        "t_startedby",
        "t_starts",
    ]
)
TEXT_FUNCTIONS: Final = frozenset({"casei"})


def fault(en: str, zh: str, *, code: str = "bad-filter") -> BadParameter:
    """The error for a filter that is not understood or not admitted."""
    return BadParameter(f"filter: {en}", f"filter：{zh}", code=code)


class Budget:
    """Counts what a filter holds, while it is read; refuses what is over the limits."""

    def __init__(self) -> None:
        """Nothing is read yet."""
        self._terms = 0
        self._vertices = 0

    def term(self, depth: int) -> None:
        """One more operator, literal or name, that deep in the filter."""
        if depth > DEEPEST:
            raise fault(
                f"nested deeper than {DEEPEST} levels.", f"嵌套超过 {DEEPEST} 层。",
                code="filter-too-deep",
            )  # fmt: skip
        self._terms += 1
        if self._terms > MOST_TERMS:
            raise fault(
                f"more than {MOST_TERMS:,} terms.", f"超过 {MOST_TERMS:,} 项。",
                code="filter-too-long",
            )  # fmt: skip

    def vertices(self, count: int) -> None:
        """So many more vertices, counted before they are read."""
        self._vertices += count
        if self._vertices > MOST_VERTICES:
            raise fault(
                f"its geometries have more than {MOST_VERTICES:,} vertices; simplify them.",
                f"几何图形的顶点超过 {MOST_VERTICES:,} 个；请先简化。",
                code="filter-too-many-vertices",
            )  # fmt: skip


def check_length(text: str) -> None:
    """Refuse a filter that is longer than any sensible one, before it is looked at."""
    if "\0" in text:
        raise fault("a NUL character is not admitted.", "不允许空字符。")
    if len(text) > LONGEST_TEXT:
        raise fault(
            f"longer than {LONGEST_TEXT:,} characters.", f"超过 {LONGEST_TEXT:,} 个字符。",
            code="filter-too-long",
        )  # fmt: skip


def check_depth(tree: Expression) -> Expression:
    """Refuse a tree that a recursive walk should not be sent into (a long chain of sums)."""
    waiting = [(tree, 1)]
    while waiting:
        node, depth = waiting.pop()
        if depth > 2 * DEEPEST:
            raise fault(
                f"nested deeper than {DEEPEST} levels.", f"嵌套超过 {DEEPEST} 层。",
                code="filter-too-deep",
            )  # fmt: skip
        if isinstance(node, Operation):
            waiting += [(one, depth + 1) for one in node.arguments]
    return tree
