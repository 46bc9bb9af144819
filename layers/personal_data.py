"""Numbers of persons in values: identity numbers and mobile numbers, however they are written.

Fields of persons are dropped by their names (``layers.field_map``); this finds what stands in
other fields. Telephones with an area code and the old identity numbers of 15 digits are not
looked for: they have no check digit, and codes of parcels look the same.
"""

import datetime
import re
import unicodedata
from typing import Any, Final

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]

MASK: Final = "***"

_DAY: Final = r"(?:19[0-9]{2}|20[0-9]{2}|2100)(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])"
_CANDIDATE: Final = (
    rf"[1-9][0-9]{{5}}[ -]?{_DAY}[ -]?[0-9]{{3}}[0-9Xx]"
    r"|1[3-9][0-9][ -]?[0-9]{4}[ -]?[0-9]{4}"
    r"|[０-９]{4}"
)
"""What may hold a personal number at all: half of all object codes have 18 digits, few a date."""
_IDENTITY: Final = re.compile(
    r"(?<![0-9])([1-9][0-9]{5})[ -]?([0-9]{8})[ -]?([0-9]{3}[0-9Xx])(?![0-9])"
)
_MOBILE: Final = re.compile(
    # Not file numbers such as 150-2021-0001: their middle is a year.
    r"(?<![0-9A-Za-z])(?:\+?86[ -]?)?1[3-9][0-9](?!-(?:19|20)[0-9]{2}-)"
    r"[ -]?[0-9]{4}[ -]?[0-9]{4}(?![0-9A-Za-z])"
)
_MOBILE_NUMBERS: Final = (13_000_000_000, 20_000_000_000)
_WITH_COUNTRY: Final = (8_613_000_000_000, 8_620_000_000_000)
_IDENTITY_NUMBERS: Final = (100_000_000_000_000_000, 1_000_000_000_000_000_000)
_CHECK_WEIGHTS: Final = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_CHECK_DIGITS: Final = "10X98765432"


def is_personal(text: str) -> bool:
    """Whether a text holds an identity number (with right date and check digit) or a mobile one.

    Object codes (BSM) have 18 digits too; a date and the check digit of GB 11643 tell them apart.
    """
    plain = text if text.isascii() else unicodedata.normalize("NFKC", text)
    if _MOBILE.search(plain):
        return True
    return any(_is_identity("".join(found.groups())) for found in _IDENTITY.finditer(plain))


def _is_identity(number: str) -> bool:
    total = sum(int(d) * w for d, w in zip(number[:17], _CHECK_WEIGHTS, strict=True))
    return _has_birthday(number) and _CHECK_DIGITS[total % 11] == number[17].upper()


def _has_birthday(number: str) -> bool:
    try:
        born = datetime.date(int(number[6:10]), int(number[10:12]), int(number[12:14]))
    except ValueError:
        return False
    return 1900 <= born.year <= 2100


def is_personal_value(value: Any) -> bool:
    """The same of a value as a file holds it.

    A float has lost the last digits of an identity number: there the birthday alone decides.
    """
    if isinstance(value, bool) or value is None:
        return False
    if isinstance(value, float):
        if not value.is_integer():
            return False
        low, high = _IDENTITY_NUMBERS
        text = str(int(value))
        return (low <= value < high and _has_birthday(text)) or is_personal(text)
    return is_personal(str(value))


def suspects(column: pa.Array) -> pa.Array | None:
    """Which values may be personal numbers at all; a coarse test over the whole column.

    None = none of them, by their type.
    """
    kind = column.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return pc.match_substring_regex(column, _CANDIDATE)
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        ranges = (_MOBILE_NUMBERS, _WITH_COUNTRY, _IDENTITY_NUMBERS)
        if pa.types.is_integer(kind) and kind.bit_width < 64:
            return None
        low, *others = (_between(column, *limits) for limits in ranges)
        for other in others:
            low = pc.or_(low, other)
        return low
    if pa.types.is_boolean(kind) or pa.types.is_temporal(kind) or pa.types.is_null(kind):
        return None
    return pc.is_valid(column)  # lists, structures, decimals: rare, looked at one by one


def _between(column: pa.Array, low: int, high: int) -> pa.Array:
    if pa.types.is_floating(column.type):
        return pc.and_(pc.greater_equal(column, float(low)), pc.less(column, float(high)))
    return pc.and_(pc.greater_equal(column, low), pc.less(column, high))


def without_personal(text: str) -> str:
    """The text, or a mask where it holds such a number: for what is reported of values."""
    return MASK if is_personal(text) else text
