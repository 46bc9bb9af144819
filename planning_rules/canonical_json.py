"""Canonical JSON (RFC 8785), so that equal content has equal bytes and one digest.

The package ``rfc8785`` is the reference and is used wherever the two could differ; it is pure
Python and takes half of the time of a report. orjson writes the same bytes for everything but whole
floats (``2.0``), floats that need an exponent, integers beyond 2^53 and keys outside the basic
plane. Whole floats are turned into integers first; the others go to the package.
"""

import hashlib
import math
from datetime import date
from typing import Any, Final

import orjson
import rfc8785
import shapely
from shapely.geometry.base import BaseGeometry

_LARGEST: Final = 2**53 - 1
_SMALLEST: Final = 1e-4
"""Smaller ones are left to the package: they may need an exponent."""


class _NeedsReference(Exception):
    """A value on which orjson and RFC 8785 may differ."""


def canonical(value: Any) -> bytes:
    """The RFC 8785 form; ``ValueError`` for what JSON cannot hold (NaN, lone surrogates)."""
    try:
        return orjson.dumps(_prepared(value), option=orjson.OPT_SORT_KEYS)
    except (_NeedsReference, TypeError):
        return rfc8785.dumps(value)


def json_value(value: Any) -> Any:
    """Tuples as lists, dates as ISO text, keys as text: what JSON would hold."""
    if isinstance(value, dict):
        return {str(key): json_value(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [json_value(inner) for inner in value]
    return value.isoformat() if isinstance(value, date) else value


def geometry_json(geometry: BaseGeometry) -> dict[str, Any]:
    """The geometry as a GeoJSON object of plain lists (x = longitude, y = latitude)."""
    value: dict[str, Any] = orjson.loads(shapely.to_geojson(geometry))
    return value


def sha256_of(value: Any) -> str:
    """Hex SHA-256 of the canonical form."""
    return hashlib.sha256(canonical(value)).hexdigest()


def _prepared(value: Any) -> Any:
    kind = type(value)
    if kind is float:
        return _number(value)
    if kind is list or kind is tuple:
        # Positions are most of a report: two floats, and no call for each list around them.
        return [_number(n) if type(n) is float else _prepared(n) for n in value]
    if kind is dict:
        names = "".join(value)  # TypeError for a key that is no text
        if not names.isascii() and max(names) > "\uffff":
            raise _NeedsReference
        return {key: _prepared(inner) for key, inner in value.items()}
    if kind is str or kind is bool or value is None:
        return value
    if kind is int and abs(value) <= _LARGEST:
        return value
    raise _NeedsReference


def _number(value: float) -> float | int:
    if value.is_integer() and abs(value) <= _LARGEST:
        return int(value)
    if math.isfinite(value) and _SMALLEST <= abs(value) <= _LARGEST:
        return value
    raise _NeedsReference
