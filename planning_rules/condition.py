"""Conditions of rules: a small allow-list of CQL2 text with three-valued logic.

``land_take = TRUE``, ``zone IN ('core', 'general')``, ``a >= 3 AND NOT (b IS NULL)``. Admitted:
comparison, BETWEEN, IN, IS NULL, AND, OR, NOT, parentheses. No functions, no arithmetic, no
LIKE (a code is equal or it is not; substring tests on codes are a known source of wrong verdicts).

The parser is our own because the one of pygeofilter 0.4 gives AND and OR the same rank, so that
``a OR b AND c`` silently reads as ``(a OR b) AND c``; CQL2 (OGC 21-065r2) binds AND tighter.

A missing attribute, NULL, and a comparison of different types are *unknown* (None): never an
error and never a pass. IS NULL and IS NOT NULL are always known.
"""

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from layers.errors import BadConfiguration

LONGEST_TEXT: Final = 2000
DEEPEST_NESTING: Final = 20

Scalar = str | float | int | bool

_TOKEN: Final = re.compile(
    r"""\s*(?:
        (?P<number>-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?(?![\w.]))
      | (?P<text>'(?:[^']|'')*')
      | (?P<quoted>"[^"]+")
      | (?P<name>[^\W\d][\w.]*)
      | (?P<sign><=|>=|<>|=|<|>|\(|\)|,)
    )""",
    re.VERBOSE,
)
_KEYWORDS: Final = frozenset(
    {"AND", "OR", "NOT", "IN", "IS", "NULL", "BETWEEN", "TRUE", "FALSE", "LIKE"}
)
_ORDER: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "=": operator.eq, "<>": operator.ne, "<": operator.lt,
    "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Name:
    """An attribute."""

    name: str


@dataclass(frozen=True, slots=True)
class Value:
    """A literal."""

    value: Scalar


Operand = Name | Value


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two operands and one of ``= <> < <= > >=``."""

    sign: str
    left: Operand
    right: Operand


@dataclass(frozen=True, slots=True)
class Membership:
    """``x IN (...)``."""

    operand: Operand
    options: tuple[Operand, ...]


@dataclass(frozen=True, slots=True)
class IsNull:
    """``x IS NULL``."""

    operand: Operand


@dataclass(frozen=True, slots=True)
class Negation:
    """``NOT x``."""

    part: "Node"


@dataclass(frozen=True, slots=True)
class Junction:
    """``x AND y AND ...`` or ``x OR y OR ...``."""

    every: bool
    parts: tuple["Node", ...]


Node = Comparison | Membership | IsNull | Negation | Junction | Value


@dataclass(frozen=True, slots=True)
class Condition:
    """A parsed condition with the names it reads."""

    text: str
    tree: Node
    names: frozenset[str]


@lru_cache(maxsize=1024)
def parse_condition(text: str) -> Condition:
    """Parse one condition; ``BadConfiguration`` says where it goes wrong."""
    if len(text) > LONGEST_TEXT:
        raise BadConfiguration(
            f"A condition has more than {LONGEST_TEXT} characters.",
            f"条件表达式超过 {LONGEST_TEXT} 个字符。",
        )
    parser = _Parser(text)
    tree = parser.disjunction(0)
    parser.expect_end()
    return Condition(text, tree, frozenset(parser.names))


class _Parser:
    """Recursive descent with a depth limit; one token of look-ahead."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.names: set[str] = set()
        self._tokens = self._split()
        self._next = 0

    def _split(self) -> list[tuple[str, str, int]]:
        tokens, at, end = [], 0, len(self.text.rstrip())
        while at < end:
            match = _TOKEN.match(self.text, at)
            if match is None:
                raise self._fault(at)
            kind = str(match.lastgroup)
            word, start = match.group(kind), match.start(kind)
            if kind == "name" and word.upper() in _KEYWORDS:
                kind, word = "keyword", word.upper()
            tokens.append((kind, word, start))
            at = match.end()
        return tokens

    def _fault(self, at: int) -> BadConfiguration:
        rest = self.text[at : at + 20]
        return BadConfiguration(
            f"Condition '{self.text}': not understood at character {at + 1}: '{rest}'.",
            f"条件“{self.text}”在第 {at + 1} 个字符处无法识别：“{rest}”。",
        )

    def _peek(self) -> tuple[str, str, int]:
        if self._next < len(self._tokens):
            return self._tokens[self._next]
        return ("end", "", len(self.text))

    def _take(self, *words: str) -> bool:
        kind, word, _ = self._peek()
        if kind in ("keyword", "sign") and word in words:
            self._next += 1
            return True
        return False

    def _need(self, word: str) -> None:
        if not self._take(word):
            raise self._fault(self._peek()[2])

    def expect_end(self) -> None:
        """Refuse what stands behind a complete condition."""
        if self._peek()[0] != "end":
            raise self._fault(self._peek()[2])

    def disjunction(self, depth: int) -> Node:
        """``conjunction (OR conjunction)*``."""
        parts = [self._conjunction(depth)]
        while self._take("OR"):
            parts.append(self._conjunction(depth))
        return parts[0] if len(parts) == 1 else Junction(False, tuple(parts))

    def _conjunction(self, depth: int) -> Node:
        parts = [self._negation(depth)]
        while self._take("AND"):
            parts.append(self._negation(depth))
        return parts[0] if len(parts) == 1 else Junction(True, tuple(parts))

    def _negation(self, depth: int) -> Node:
        if depth > DEEPEST_NESTING:
            raise BadConfiguration(
                f"A condition is nested more than {DEEPEST_NESTING} deep.",
                f"条件表达式嵌套超过 {DEEPEST_NESTING} 层。",
            )
        if self._take("NOT"):
            return Negation(self._negation(depth + 1))
        if self._take("("):
            inner = self.disjunction(depth + 1)
            self._need(")")
            return inner
        return self._predicate()

    def _predicate(self) -> Node:
        left = self._operand()
        if self._take("IS"):
            negated = self._take("NOT")
            self._need("NULL")
            return Negation(IsNull(left)) if negated else IsNull(left)
        negated = self._take("NOT")
        if self._take("IN"):
            node: Node = Membership(left, self._list())
        elif self._take("BETWEEN"):
            low = self._operand()
            self._need("AND")
            bounds = (Comparison(">=", left, low), Comparison("<=", left, self._operand()))
            node = Junction(True, bounds)
        elif negated:
            raise self._fault(self._peek()[2])
        elif isinstance(left, Value) and isinstance(left.value, bool) and not self._at_sign():
            node = left
        else:
            node = self._comparison(left)
        return Negation(node) if negated else node

    def _at_sign(self) -> bool:
        kind, word, _ = self._peek()
        return kind == "sign" and word in _ORDER

    def _comparison(self, left: Operand) -> Comparison:
        _, sign, at = self._peek()
        if not self._at_sign():
            raise self._fault(at)
        self._next += 1
        return Comparison(sign, left, self._operand())

    def _list(self) -> tuple[Operand, ...]:
        self._need("(")
        options = [self._operand()]
        while self._take(","):
            options.append(self._operand())
        self._need(")")
        return tuple(options)

    def _operand(self) -> Operand:
        kind, word, at = self._peek()
        self._next += 1
        if kind == "number":
            return Value(float(word) if re.search(r"[.eE]", word) else int(word))
        if kind == "text":
            return Value(word[1:-1].replace("''", "'"))
        if kind == "keyword" and word in ("TRUE", "FALSE"):
            return Value(word == "TRUE")
        if kind in ("name", "quoted"):
            name = word.strip('"').removeprefix("subject.").removeprefix("target.")
            self.names.add(name)
            return Name(name)
        raise self._fault(at)


def holds(condition: Condition, attributes: Mapping[str, Any]) -> bool | None:
    """True, False, or None where the attributes do not say (three-valued logic)."""
    return _truth(condition.tree, attributes)


def _truth(node: Node, attributes: Mapping[str, Any]) -> bool | None:
    match node:
        case Value(value):
            return value if isinstance(value, bool) else None
        case Comparison(sign, left, right):
            return _compare(sign, _value(left, attributes), _value(right, attributes))
        case Membership(operand, options):
            value = _value(operand, attributes)
            return _any([_compare("=", value, _value(option, attributes)) for option in options])
        case IsNull(operand):
            return _value(operand, attributes) is None
        case Negation(part):
            return _negate(_truth(part, attributes))
        case Junction(every, parts):
            truths = [_truth(part, attributes) for part in parts]
            return _every(truths) if every else _any(truths)


def _value(operand: Operand, attributes: Mapping[str, Any]) -> Any:
    return operand.value if isinstance(operand, Value) else attributes.get(operand.name)


def _compare(sign: str, left: Any, right: Any) -> bool | None:
    kind = _kind(left)
    if kind is None or kind != _kind(right):
        return None
    if kind == "boolean" and sign not in ("=", "<>"):
        return None
    return _ORDER[sign](left, right)


def _kind(value: Any) -> str | None:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number" if value == value else None
    return "text" if isinstance(value, str) else None


def _negate(truth: bool | None) -> bool | None:
    return None if truth is None else not truth


def _any(truths: list[bool | None]) -> bool | None:
    if True in truths:
        return True
    return None if None in truths else False


def _every(truths: list[bool | None]) -> bool | None:
    if False in truths:
        return False
    return None if None in truths else True
