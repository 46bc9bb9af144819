"""Areas that a file declares, held against those measured on the ellipsoid.

The survey boundary format says hectares; real files also hold square metres and mu, and seldom say
which. The unit is the one in which most parcels of the file fit; it is recorded. What then differs
from the measured area is an issue of its row: a declared area is the only witness inside a file
that a ring is missing or that the zone is wrong.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from layers.area import HECTARE_M2, MU_M2, FloatArray
from layers.import_issues import Issue, Severity
from layers.text import Text

Rows = npt.NDArray[np.int64]
AreaUnit = Literal["ha", "m2", "mu"]

UNIT_M2: Final[dict[AreaUnit, float]] = {"ha": HECTARE_M2, "m2": 1.0, "mu": MU_M2}
UNIT_NAMES: Final[dict[AreaUnit, Text]] = {
    "ha": Text(zh="公顷", en="hectares"),
    "m2": Text(zh="平方米", en="square metres"),
    "mu": Text(zh="亩", en="mu"),
}
_WORDS: Final[dict[str, AreaUnit]] = {
    "公顷": "ha", "hm2": "ha", "hm²": "ha", "ha": "ha", "平方米": "m2", "平米": "m2", "m2": "m2",
    "m²": "m2", "㎡": "m2", "亩": "mu", "市亩": "mu",
}  # fmt: skip
_DECLARED: Final = re.compile(r"(\d{1,15}(?:\.(\d{0,12}))?)\s*(\D\S{0,3})?")

TOLERANCE_SHARE: Final = 0.01
TOLERANCE_M2: Final = 0.5
"""A plane area differs from the ellipsoid's by up to 0.25 % in Hainan (neighbouring zone)."""
_ROUNDING_SHARE: Final = 0.05
BLOCKING_SHARE: Final = 0.05
"""From here on the two numbers do not speak of the same piece of land."""


@dataclass(frozen=True, slots=True)
class DeclaredArea:
    """A declared area as written: number, decimals, the unit if a word says it, its field."""

    value: float
    decimals: int
    unit: AreaUnit | None
    field: str

    def in_m2(self, unit: AreaUnit) -> float:
        """Its size if it is in that unit (a word of its own goes first)."""
        return self.value * UNIT_M2[self.unit or unit]

    def fits(self, unit: AreaUnit, measured_m2: float) -> bool:
        """Within 1 %, 0.5 m2, or what the declared number was rounded to (at most 5 %)."""
        rounded = 0.5 * 10.0**-self.decimals * UNIT_M2[self.unit or unit]
        allowed = max(
            TOLERANCE_SHARE * measured_m2,
            TOLERANCE_M2,
            min(rounded, _ROUNDING_SHARE * measured_m2),
        )
        return abs(self.in_m2(unit) - measured_m2) <= allowed * (1 + 1e-9)


def read_declared(text: str, field: str) -> DeclaredArea | None:
    """``0.7655``, ``7655.12``, ``0.7655公顷``; None for what is no positive area."""
    found = _DECLARED.fullmatch(text.strip())
    if found is None:
        return None
    number, decimals, word = found.groups()
    unit = _WORDS.get(word.strip().lower()) if word else None
    value = float(number)
    if value <= 0 or (word and unit is None):
        return None
    return DeclaredArea(value, len(decimals or ""), unit, field)


class DeclaredAreas:
    """Collects the declared and measured areas of a file, row by row."""

    def __init__(self) -> None:
        """Start without any."""
        self._found: list[tuple[int, DeclaredArea, float]] = []

    def add(
        self, rows: Rows, declared: Mapping[int, DeclaredArea], measured_m2: FloatArray
    ) -> None:
        """Take a batch, ``rows`` its numbers; without a measured area (refused) one is left out."""
        self._found.extend(
            (int(rows[index]), area, float(measured_m2[index]))
            for index, area in declared.items()
            if measured_m2[index] > 0
        )

    def issues(self) -> list[Issue]:
        """Which unit fits, and every row that does not."""
        if not self._found:
            return []
        unit, fitting = self._unit()
        return [
            self._unit_issue(unit, fitting),
            *(
                _differing(row, area, measured, unit)
                for row, area, measured in self._found
                if not area.fits(unit, measured)
            ),
        ]

    def _unit(self) -> tuple[AreaUnit, int]:
        """The unit in which most rows fit; where none fits, the standard's hectares."""
        counts = {
            unit: sum(area.fits(unit, measured) for _, area, measured in self._found)
            for unit in UNIT_M2
        }
        best = max(counts, key=lambda unit: counts[unit])
        return best, counts[best]

    def _unit_issue(self, unit: AreaUnit, fitting: int) -> Issue:
        total, name = len(self._found), UNIT_NAMES[unit]
        return Issue(
            "declared-area-unit",
            "advisory",
            Text(
                zh=f"{total} 个申报面积中有 {fitting} 个以{name.zh}计与计算面积相符。",
                en=f"Of {total} declared areas {fitting} agree with the measured ones when read "
                f"as {name.en}.",
            ),
            field=self._found[0][1].field,
            value=unit,
        )


def _differing(row: int, area: DeclaredArea, measured_m2: float, unit: AreaUnit) -> Issue:
    unit = area.unit or unit
    name, declared_m2 = UNIT_NAMES[unit], area.in_m2(unit)
    off_m2 = declared_m2 - measured_m2
    share = off_m2 / measured_m2
    severity: Severity = "blocking" if abs(share) > BLOCKING_SHARE else "advisory"
    other = next((u for u in UNIT_M2 if area.unit is None and area.fits(u, measured_m2)), None)
    hint_zh = f"以{UNIT_NAMES[other].zh}计则相符，单位与其他地块不一致。" if other else ""
    hint_en = f" As {UNIT_NAMES[other].en} it agrees: its unit is another one." if other else ""
    written = f"{area.value:.{area.decimals}f}"
    return Issue(
        "declared-area-differs",
        "advisory" if other else severity,
        Text(
            zh=f"申报面积 {written} {name.zh}（{declared_m2:.2f} 平方米）与计算面积 "
            f"{measured_m2:.2f} 平方米相差 {off_m2:+.2f} 平方米（{share:+.2%}）。{hint_zh}",
            en=f"The declared area of {written} {name.en} ({declared_m2:.2f} m2) differs from the "
            f"measured {measured_m2:.2f} m2 by {off_m2:+.2f} m2 ({share:+.2%}).{hint_en}",
        ),
        row=row,
        field=area.field,
        value=written,
    )
