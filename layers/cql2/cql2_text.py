"""CQL2 text, by a precedence-climbing parser of our own.

pygeofilter 0.4 gives AND and OR the same rank (``a OR b AND c`` becomes ``(a OR b) AND c``); here
the ranks are those of the standard: OR, AND, NOT, comparison, sum, product, power.
"""

import re
from typing import Any, Final

from layers.cql2 import values
from layers.cql2.tree import (
    COMPARISONS,
    SPATIAL,
    TEMPORAL,
    TEXT_FUNCTIONS,
    Budget,
    Expression,
    Instant,
    Literal,
    Operation,
    Property,
    check_depth,
    check_length,
    fault,
)
from layers.errors import BadParameter

_TOKEN: Final = re.compile(
    r"""\s*(?:
        (?P<number>[0-9]+(?:\.[0-9]*)?(?:[eE][+-]?[0-9]+)?|\.[0-9]+(?:[eE][+-]?[0-9]+)?)
      | (?P<text>'(?:[^']|'')*')
      | (?P<quoted>"(?:[^"]|"")+")
      | (?P<name>[^\W\d][\w.:]*)
      | (?P<sign><=|>=|<>|[=<>()+\-*/^%,])
    )""",
    re.VERBOSE,
)
_KEYWORDS: Final = frozenset(
    ["AND", "OR", "NOT", "LIKE", "BETWEEN", "IN", "IS", "NULL", "TRUE", "FALSE", "DIV"]
)
_WKT_TYPE: Final = re.compile(rf"\s*(?:{'|'.join(values.GEOMETRY_TYPES)})\s*(?:Z\s*)?\(", re.I)
_RANKS: Final = {
    "or": 1, "and": 2, **dict.fromkeys(COMPARISONS, 4), "+": 5, "-": 5, "*": 6, "/": 6, "%": 6,
    "div": 6, "^": 7,
}  # fmt: skip
_NOT: Final = 3
_COMPARED: Final = 4
Token = tuple[str, str, int]


def parse_text_filter(text: str) -> Expression:
    """The tree of a filter; ``BadParameter`` says where it is not understood."""
    check_length(text)
    parser = _Parser(text)
    tree = parser.expression(0, 0)
    parser.expect_end()
    return check_depth(tree)


class _Parser:
    """Reads one token at a time, so a long filter costs no more than its beginning is good for."""

    def __init__(self, text: str) -> None:
        self._text, self._at, self._budget = text, 0, Budget()
        self._token = self._read()

    def _read(self) -> Token:
        match = _TOKEN.match(self._text, self._at)
        if match is None:
            if self._text[self._at :].strip():
                raise self._fault(self._at)
            return ("end", "", len(self._text))
        kind = str(match.lastgroup)
        word, start = match.group(kind), match.start(kind)
        self._at = match.end()
        if kind == "name" and word.upper() in _KEYWORDS:
            kind, word = "keyword", word.lower()
        return (kind, word, start)

    def _fault(self, at: int) -> BadParameter:
        rest = self._text[at : at + 20].strip() or "…"
        return fault(
            f"not understood at character {at + 1}: '{rest}'.",
            f"第 {at + 1} 个字符处无法识别：“{rest}”。",
        )

    def _next(self) -> Token:
        token, self._token = self._token, self._read()
        return token

    def _take(self, *words: str) -> bool:
        if self._token[0] in ("keyword", "sign") and self._token[1] in words:
            self._next()
            return True
        return False

    def _need(self, word: str) -> None:
        if not self._take(word):
            raise self._fault(self._token[2])

    def expect_end(self) -> None:
        """Refuse what stands behind a complete filter."""
        if self._token[0] != "end":
            raise self._fault(self._token[2])

    def expression(self, rank: int, depth: int) -> Expression:
        """An expression whose operators bind tighter than ``rank``."""
        left = self._prefix(depth)
        while True:
            kind, word, _ = self._token
            own = _RANKS.get(word, 0) if kind in ("keyword", "sign") else 0
            if own > rank:
                self._next()
                left = self._joined(word, left, own, depth)
            elif rank < _COMPARED and self._at_predicate():
                left = self._predicate(left, depth)
            else:
                return left

    def _joined(self, word: str, left: Expression, rank: int, depth: int) -> Expression:
        # Power binds to the right. A comparison holds no other one: a < b < c is no CQL2.
        right = self.expression(rank - 1 if word == "^" else rank, depth + 1)
        self._budget.term(depth)
        if word in COMPARISONS and isinstance(left, Operation) and left.name in COMPARISONS:
            raise self._fault(self._token[2])
        if word in ("and", "or") and isinstance(left, Operation) and left.name == word:
            # Flat: a hundred terms side by side are not a hundred levels.
            return Operation(word, (*left.arguments, right))
        return Operation(word, (left, right))

    def _at_predicate(self) -> bool:
        kind, word, _ = self._token
        return kind == "keyword" and word in ("is", "not", "like", "between", "in")

    def _predicate(self, left: Expression, depth: int) -> Expression:
        if self._take("is"):
            negated = self._take("not")
            self._need("null")
            node: Expression = Operation("isnull", (left,))
        else:
            negated = self._take("not")
            node = self._worded(left, depth)
        self._budget.term(depth)
        return Operation("not", (node,)) if negated else node

    def _worded(self, left: Expression, depth: int) -> Expression:
        if self._take("like"):
            return Operation("like", (left, self.expression(_COMPARED, depth + 1)))
        if self._take("between"):
            low = self.expression(_COMPARED, depth + 1)
            self._need("and")
            return Operation("between", (left, low, self.expression(_COMPARED, depth + 1)))
        self._need("in")
        return Operation("in", (left, *self._list(depth + 1)))

    def _list(self, depth: int) -> list[Expression]:
        self._need("(")
        found = [self.expression(0, depth)]
        while self._take(","):
            found.append(self.expression(0, depth))
        self._need(")")
        return found

    def _prefix(self, depth: int) -> Expression:
        self._budget.term(depth)
        kind, word, at = self._token
        if kind == "name" and _WKT_TYPE.match(self._text, at):
            return self._wkt(at)
        self._next()
        match kind:
            case "number":
                return Literal(float(word) if re.search(r"[.eE]", word) else int(word))
            case "text":
                return Literal(word[1:-1].replace("''", "'"))
            case "quoted":
                return Property(word[1:-1].replace('""', '"'))
            case "name":
                return self._named(word, at, depth)
            case "keyword" | "sign":
                return self._marked(word, at, depth)
        raise self._fault(at)

    def _marked(self, word: str, at: int, depth: int) -> Expression:
        match word:
            case "true" | "false":
                return Literal(word == "true")
            case "not":
                return Operation("not", (self.expression(_NOT, depth + 1),))
            case "(":
                inner = self.expression(0, depth + 1)
                self._need(")")
                return inner
            case "-" | "+":
                operand = self.expression(_RANKS["*"], depth + 1)
                return operand if word == "+" else _negative(operand)
        raise self._fault(at)

    def _named(self, word: str, at: int, depth: int) -> Expression:
        if not (self._token[0] == "sign" and self._token[1] == "("):
            return Property(word)
        name = word.lower()
        if name in ("date", "timestamp", "interval", "bbox"):
            return self._constant(name, at, self._list(depth + 1))
        if name not in SPATIAL | TEMPORAL | TEXT_FUNCTIONS:
            raise unknown_function(word)
        return Operation(name, tuple(self._list(depth + 1)))

    def _constant(self, name: str, at: int, given: list[Expression]) -> Expression:
        plain: list[Any] = [one.value if isinstance(one, Literal) else one for one in given]
        if name == "bbox" and all(isinstance(one, int | float) for one in plain):
            return values.box(plain, self._budget)
        if name in ("date", "timestamp") and len(plain) == 1:
            return values.day(plain[0]) if name == "date" else values.moment(plain[0])
        if name == "interval" and len(plain) == 2:
            ends = [one.value.isoformat() if isinstance(one, Instant) else one for one in plain]
            return values.interval(*ends)
        raise self._fault(at)

    def _wkt(self, start: int) -> Expression:
        """The text up to the bracket that closes the geometry's first one."""
        depth, end = 0, start
        for match in re.finditer(r"[()]", self._text[start:]):
            depth += 1 if match[0] == "(" else -1
            if depth == 0:
                end = start + match.end()
                break
        if depth or end == start:
            raise self._fault(start)
        shape = values.geometry_of_wkt(self._text[start:end], self._budget)
        self._at = end
        self._token = self._read()
        return shape


def unknown_function(name: str) -> BadParameter:
    """The error for a function that is not on the list, with those that are."""
    known = ", ".join(sorted(SPATIAL | TEMPORAL | TEXT_FUNCTIONS))
    return fault(
        f"there is no function '{name[:40]}'. Known: {known}.",
        f"没有函数“{name[:40]}”。可用：{known}。",
        code="filter-unknown-function",
    )


def _negative(operand: Expression) -> Expression:
    if isinstance(operand, Literal) and isinstance(operand.value, int | float):
        return Literal(-operand.value)
    return Operation("-", (Literal(0), operand))
