"""The quantity of a balance: an area of the site, as rules write it.

``area(subject)`` is the whole site, ``area(subject INTERSECTION current_landuse IN ('01', '02'))``
its part on features of a layer with these codes or codes below them.
"""

import re
from dataclasses import dataclass
from typing import Final

LONGEST_TEXT: Final = 500
_FORM: Final = re.compile(
    r"^\s*area\s*\(\s*subject\s*"
    r"(?:INTERSECTION\s+(?P<layer>[a-z][a-z0-9_]*)\s+IN\s*"
    r"\((?P<codes>\s*'[0-9A-Za-z]+'(?:\s*,\s*'[0-9A-Za-z]+')*\s*)\)\s*)?\)\s*$"
)
_CODE: Final = re.compile(r"'([0-9A-Za-z]+)'")


@dataclass(frozen=True, slots=True)
class AreaExpression:
    """A layer and the codes whose ground counts; both empty for the whole site."""

    layer: str | None
    codes: tuple[str, ...]


def parse_area(text: str) -> AreaExpression:
    """Parse one; ``ValueError`` says what is admitted.

    >>> parse_area("area(subject INTERSECTION current_landuse IN ('01','0601'))").codes
    ('01', '0601')
    """
    match = _FORM.match(text) if len(text) <= LONGEST_TEXT else None
    if match is None:
        raise ValueError(
            'a quantity is "area(subject)" or "area(subject INTERSECTION layer IN (\'01\', '
            "'02'))\""
        )
    codes = tuple(_CODE.findall(match["codes"] or ""))
    if len(set(codes)) != len(codes):
        raise ValueError("a code stands twice in the quantity")
    return AreaExpression(match["layer"], codes)
