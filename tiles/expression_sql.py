"""Expressions of map styles computed by the database, with the result of ``tiles.expression``.

Values are folded to a zoom first; properties are a jsonb of the feature.
"""

import json
from collections.abc import Callable, Sequence
from typing import Any, Final

from psycopg import sql

from tiles.expression import COMPARISONS, is_expression, refused


def sql_of(value: Any, properties: sql.Composable) -> sql.Composable:
    """A folded value as an SQL expression of type jsonb over a feature's properties (jsonb)."""
    if not is_expression(value):
        return sql.SQL("{}::jsonb").format(sql.Literal(json.dumps(value, ensure_ascii=False)))
    operator, *parts = value
    form = _IN_SQL.get(operator)
    if form is None:
        raise refused(f"operator {operator} cannot be computed by the database")
    return form(parts, properties)


def sql_condition(value: Any, properties: sql.Composable) -> sql.Composable:
    """A folded condition as an SQL boolean that is never NULL."""
    operator, *parts = value if is_expression(value) else ("literal", value)
    if operator in ("all", "any"):
        word = " AND " if operator == "all" else " OR "
        inner = sql.SQL(word).join(sql_condition(part, properties) for part in parts)
        return sql.SQL("({})").format(inner)
    if operator == "!":
        return sql.SQL("(NOT {})").format(sql_condition(parts[0], properties))
    if operator in ("==", "!="):
        word = "IS NOT DISTINCT FROM" if operator == "==" else "IS DISTINCT FROM"
        return sql.SQL("(nullif({}, 'null'::jsonb) {} nullif({}, 'null'::jsonb))").format(
            sql_of(parts[0], properties), sql.SQL(word), sql_of(parts[1], properties)
        )
    if operator in COMPARISONS:
        one, other = (sql_of(part, properties) for part in parts)
        return sql.SQL(
            "(jsonb_typeof({0}) IS NOT DISTINCT FROM jsonb_typeof({1})"
            " AND coalesce({0} {2} {1}, false))"
        ).format(one, other, sql.SQL(operator))
    return sql.SQL("({} IS NOT DISTINCT FROM 'true'::jsonb)").format(sql_of(value, properties))


def _sql_get(parts: Sequence[Any], properties: sql.Composable) -> sql.Composable:
    return sql.SQL("({} -> {})").format(properties, sql.Literal(parts[0]))


def _sql_match(parts: Sequence[Any], properties: sql.Composable) -> sql.Composable:
    """A look-up in one jsonb object where all results are constants: 200 codes cost what one does.

    Keys are texts with a mark of their type, so that 1 and "1" stay two labels.
    """
    subject = sql_of(parts[0], properties)
    fallback = sql_of(parts[-1], properties)
    table: dict[str, Any] = {}
    branches: list[sql.Composable] = []
    for labels, result in zip(parts[1:-1:2], parts[2:-1:2], strict=True):
        keys = [json.dumps(one, ensure_ascii=False)
                for one in (labels if isinstance(labels, list) else [labels])]  # fmt: skip
        if is_expression(result):
            then = sql_of(result, properties)
            branches += [sql.SQL("WHEN {} THEN {}").format(sql.Literal(key), then) for key in keys]
        else:
            for key in keys:
                table.setdefault(key, result)
    otherwise = fallback
    if table:
        otherwise = sql.SQL("coalesce({}::jsonb -> ({})::text, {})").format(
            sql.Literal(json.dumps(table, ensure_ascii=False)), subject, fallback
        )
    if not branches:
        return otherwise
    # The subject is taken out of the properties once, not once a branch.
    return sql.SQL("(CASE ({})::text {} ELSE {} END)").format(
        subject, sql.SQL(" ").join(branches), otherwise
    )


def _sql_case(parts: Sequence[Any], properties: sql.Composable) -> sql.Composable:
    branches = [
        sql.SQL("WHEN {} THEN {}").format(
            sql_condition(condition, properties), sql_of(result, properties)
        )
        for condition, result in zip(parts[:-1:2], parts[1:-1:2], strict=True)
    ]
    return sql.SQL("(CASE {} ELSE {} END)").format(
        sql.SQL(" ").join(branches), sql_of(parts[-1], properties)
    )


def _sql_step(parts: Sequence[Any], properties: sql.Composable) -> sql.Composable:
    at = sql_of(parts[0], properties)
    chosen = sql_of(parts[1], properties)
    branches = [
        sql.SQL("WHEN jsonb_typeof({0}) = 'number' AND {0} >= {1} THEN {2}").format(
            at, sql_of(start, properties), sql_of(result, properties)
        )
        for start, result in reversed(list(zip(parts[2::2], parts[3::2], strict=True)))
    ]
    return sql.SQL("(CASE {} ELSE {} END)").format(sql.SQL(" ").join(branches), chosen)


def _sql_boolean(operator: str) -> Callable[..., sql.Composable]:
    return lambda parts, properties: sql.SQL("to_jsonb({})").format(
        sql_condition([operator, *parts], properties)
    )


_IN_SQL: Final[dict[str, Callable[..., sql.Composable]]] = {
    "get": _sql_get,
    "match": _sql_match,
    "case": _sql_case,
    "step": _sql_step,
    "literal": lambda parts, _: sql.SQL("{}::jsonb").format(sql.Literal(json.dumps(parts[0]))),
    "has": lambda parts, properties: sql.SQL("to_jsonb(({} ->> {}) IS NOT NULL)").format(
        properties, sql.Literal(parts[0])
    ),
    "coalesce": lambda parts, properties: sql.SQL("coalesce({})").format(
        sql.SQL(", ").join(
            sql.SQL("nullif({}, 'null'::jsonb)").format(sql_of(part, properties)) for part in parts
        )
    ),
    **{
        operator: _sql_boolean(operator)
        for operator in ("all", "any", "!", "==", "!=", *COMPARISONS)
    },
}
