"""The [地块坐标] section of a survey boundary TXT: parcel lines and point lines.

::

    parcel = count, area, id, name, kind (面 | 线 | 点), map sheet, use, code {, extra}, @
    point  = label, ring number, northing, easting

A million points are read in some seconds: a plain point line takes the short way, everything else
(parcel lines, full-width punctuation, blanks, faults) the long one.
"""

import math
from array import array
from typing import Final

from layers.readers.boundary_header import section_name
from layers.readers.survey_rings import Parcel, SurveyKind
from layers.readers.survey_text import LineFaults, half_width

FIELDS: Final = ("JZDS", "DKMJ", "DKBH", "DKMC", "JHLX", "TFH", "DKYT", "DLBM")
"""Names that values of the parcel line usually have in DBF files."""
LAND_FIELDS: Final = ("TBLX", "DL", "DBQ", "DBH", "BZ")
"""The longer parcel line: 图斑类型, 地类, 等别前, 等别后, 备注."""

KINDS: Final[dict[str, SurveyKind]] = {
    "面": "polygon", "面状": "polygon", "多边形": "polygon", "线": "line", "线状": "line",
    "点": "point", "点状": "point",
}  # fmt: skip
_KIND_AT: Final = 4
_LEAST_FIELDS: Final = 8
_MOST_FIELDS: Final = 60
_LONGEST_RING: Final = 9


class ParcelReader:
    """Collects parcels and points; malformed lines go into ``faults``."""

    def __init__(self, faults: LineFaults) -> None:
        """Start without any."""
        self.faults = faults
        self.parcels: list[Parcel] = []
        self.north, self.east = array("d"), array("d")
        self.lines = array("q")
        self.full_width_line = 0
        self._parcel: Parcel | None = None
        self._ring_text: str | None = None
        self._ring = -1
        self._used: set[int] = set()

    def read(self, lines: list[str], start: int) -> int:
        """Read from a line index on; gives the index of the next section line, or of the end."""
        for index in range(start, len(lines)):
            line = lines[index]
            fields = line.split(",")
            if len(fields) == 4 and self._take_point(fields, index + 1):
                continue
            if section_name(line) is not None:
                self.end()
                return index
            self._take_other(line, index + 1)
        self.end()
        return len(lines)

    def end(self) -> None:
        """Close the parcel that is open."""
        if self._parcel is not None:
            self._parcel.stop = len(self.north)
        self._parcel = None

    def _take_point(self, fields: list[str], line: int) -> bool:
        """Whether these four fields are a point of the open parcel; then it is kept."""
        if self._parcel is None:
            return False
        try:
            north, east = float(fields[2]), float(fields[3])
        except ValueError:
            return False
        # float() takes more than numbers of a file: nan, inf, 1_000.
        if not math.isfinite(north + east) or "_" in fields[2] or "_" in fields[3]:
            return False
        if fields[1] != self._ring_text and not self._take_ring(fields[1], line):
            return False
        self.north.append(north)
        self.east.append(east)
        self.lines.append(line)
        return True

    def _take_ring(self, text: str, line: int) -> bool:
        number = half_width(text).strip()
        if not (number.isascii() and number.isdigit() and len(number) <= _LONGEST_RING):
            return False
        self._ring_text = text
        if int(number) == self._ring:
            return True
        self._ring = int(number)
        if self._parcel is not None:
            if self._ring in self._used:
                self._parcel.fault = self._parcel.fault or ("ring-number-repeated", line)
            self._parcel.starts.append(len(self.north))
        self._used.add(self._ring)
        return True

    def _take_other(self, line: str, number: int) -> None:
        text = half_width(line).strip()
        if not text:
            return
        as_written = _parcel_values(line.strip().strip("\u3000\ufeff"))
        values = as_written or _parcel_values(text)
        if values is not None:
            if as_written is None:
                self._note_full_width(number)
            self._begin_parcel(values, number)
            return
        fields = [field.strip() for field in text.split(",")]
        while len(fields) > 4 and not fields[-1]:
            fields.pop()
        if len(fields) == 4 and self._take_point(fields, number):
            if text != line.strip() and len(line.split(",")) < 4:
                self._note_full_width(number)
            return
        self.faults.add(number, *self._why(text, fields))

    def _note_full_width(self, number: int) -> None:
        self.full_width_line = self.full_width_line or number

    def _begin_parcel(self, values: list[str], number: int) -> None:
        self.end()
        kind = KINDS.get(half_width(values[_KIND_AT]).strip())
        count = half_width(values[0]).strip()
        if kind is None:
            self.faults.add(
                number,
                f"记录图形属性（第 5 项）应为面、线或点，实际为“{values[_KIND_AT][:10]}”"
                "（名称中含逗号会使字段错位）",
                f"the fifth value has to be 面, 线 or 点, it is '{values[_KIND_AT][:10]}' (a comma "
                "in the name shifts the values)",
            )
        elif count and not (count.isascii() and count.isdigit() and len(count) <= 9):
            self.faults.add(
                number,
                f"界址点数（第 1 项）不是整数：“{count[:20]}”",
                f"the number of points (first value) is no whole number: '{count[:20]}'",
            )
        self._parcel = Parcel(number, kind or "polygon", tuple(values))
        self._ring_text, self._ring, self._used = None, -1, set()
        self.parcels.append(self._parcel)

    def _why(self, text: str, fields: list[str]) -> tuple[str, str]:
        """What is wrong with a line, in Chinese and English."""
        if text.endswith("@"):
            return (
                f"地块行应有 9 项以上（以 @ 结尾），实际 {len(fields)} 项",
                f"a parcel line has 9 values or more (@ is the last), here are {len(fields)}",
            )
        if self._parcel is None:
            return "界址点前没有地块行", "there is no parcel line before this line"
        if len(fields) != 4:
            return (
                f"界址点行应有 4 项（点号,圈号,X坐标,Y坐标），实际 {len(fields)} 项",
                f"a point line has 4 values (label, ring, X, Y), here are {len(fields)}",
            )
        return (
            "圈号或坐标不是数字",
            "the ring number or a coordinate is no number",
        )


def _parcel_values(text: str) -> list[str] | None:
    """The values of a parcel line without its @; None for another line."""
    marked = text.endswith(("@", "＠"))
    fields = text.rstrip("@＠").split(",")
    if not marked and (len(fields) <= _KIND_AT or fields[_KIND_AT].strip() not in KINDS):
        return None
    if marked and fields and not fields[-1].strip():
        fields.pop()
    if not _LEAST_FIELDS <= len(fields) <= _MOST_FIELDS:
        return None
    return [field.strip() for field in fields]
