"""Header of a survey boundary TXT (勘测定界界址点坐标交换格式): sections, keys, what they mean.

::

    file    = [BOM], { ext-section }, attr-section, { ext-section }, parcel-section
    section = ("[" | "【" | "［"), name, ("]" | "】" | "］")
    attr    = "[属性描述]", { key, "=", [ value ] }      (a value may hold further "=")

All sections are kept: their values become fields of every parcel, named ``section.key``.
"""

import re
from dataclasses import dataclass, field
from typing import Final

from layers.errors import CrsRefused
from layers.readers.survey_axes import Unit
from layers.readers.survey_crs import ZoneStatement, datums_of, zone_number, zone_width_of
from layers.readers.survey_text import LineFaults, half_width

ATTRIBUTES: Final = "属性描述"
PARCELS: Final = "地块坐标"

_SECTION: Final = re.compile(r"\[\s*([^\[\]]{1,60}?)\s*\]")
_NUMBER: Final = re.compile(r"\d+(?:\.\d*)?|\.\d+")
_METRES: Final = frozenset({"米", "m", "metre", "meter", "公尺"})
_DEGREES: Final = frozenset({"度", "十进制度", "degree", "degrees", "°"})
_GAUSS: Final = re.compile(r"高斯|gauss", re.IGNORECASE)


@dataclass(slots=True)
class BoundaryHeader:
    """Keys of all sections as written, by ``section.key``, and the line of each."""

    values: dict[str, str] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)
    sections: list[str] = field(default_factory=list)
    full_width_line: int = 0
    """The first line with full-width brackets or equals sign; 0 = none."""

    def attribute(self, *names: str) -> str:
        """The value of the first key of [属性描述] that is there, in ASCII punctuation."""
        for name in names:
            value = half_width(self.values.get(f"{ATTRIBUTES}.{name}", "")).strip()
            if value:
                return value
        return ""


def section_name(line: str) -> str | None:
    """The name in a section line, whatever its brackets."""
    if not line.lstrip("\ufeff \t\u3000").startswith(("[", "【", "［")):
        return None
    found = _SECTION.fullmatch(half_width(line).strip())
    return found.group(1) if found else None


def read_header(lines: list[str], start: int, header: BoundaryHeader, faults: LineFaults) -> int:
    """Read sections from ``start``; gives the index after the [地块坐标] line, or of the end."""
    section = ""
    for index in range(start, len(lines)):
        line = lines[index]
        name = section_name(line)
        if name is not None:
            _begin(name, line, index + 1, header, faults)
            section = name
            if name == PARCELS:
                return index + 1
        elif half_width(line).strip():
            _take(section, line, index + 1, header, faults)
    return len(lines)


def _begin(name: str, line: str, number: int, header: BoundaryHeader, faults: LineFaults) -> None:
    if not line.strip("\ufeff \t").startswith("["):
        header.full_width_line = header.full_width_line or number
    if name == ATTRIBUTES and name in header.sections:
        faults.add(
            number,
            "文件中出现第二个[属性描述]，疑为多个文件拼接，请拆分",
            "a second [属性描述] begins: several files in one; split it",
        )
    header.sections.append(name)


def _take(section: str, line: str, number: int, header: BoundaryHeader, faults: LineFaults) -> None:
    if "=" not in line and "＝" in line:
        line = line.replace("＝", "=", 1)
        header.full_width_line = header.full_width_line or number
    name, equals, value = line.partition("=")
    name, value = half_width(name).strip(), value.strip().strip("\u3000")
    if section == "" or (section == ATTRIBUTES and not (equals and name)):
        faults.add(
            number,
            "此处应为“[属性描述]”或“键=值”",
            "a section such as [属性描述] or a line key=value is expected",
        )
        return
    if not equals:
        name, value = "", line.strip()
    key = f"{section}.{name}" if name else section
    if section == ATTRIBUTES and header.values.get(key, value) != value:
        faults.add(
            number,
            f"“{name[:20]}”出现两次且值不同",
            f"'{name[:20]}' stands twice with different values",
        )
    before = f"{header.values[key]}\n" if key == section and key in header.values else ""
    header.values[key] = before + value
    header.lines[key] = number


def stated_zone(header: BoundaryHeader) -> ZoneStatement:
    """Datum, zone width and zone of the header; None each where it is silent."""
    name = header.attribute("坐标系", "坐标系统", "坐标系名称")
    datums = datums_of(name)
    if len(datums) > 1:
        raise CrsRefused(
            f"The header names several datums (坐标系={name[:60]}); leave the right one.",
            f"文件头“坐标系={name[:60]}”列出了多个坐标系；请只保留实际采用的一个。",
            code="unknown-crs",
        )
    _refuse_other_projection(header)
    _refuse_conversion(header)
    return ZoneStatement(
        datum=next(iter(datums), None),
        zone_width=zone_width_of(header.attribute("几度分带", "分带")),
        zone=zone_number(header.attribute("带号")),
    )


def stated_unit(header: BoundaryHeader) -> Unit | None:
    """Metres or degrees; None where the header is silent."""
    text = header.attribute("计量单位", "单位").lower()
    if not text:
        return None
    if text in _METRES:
        return "metre"
    if text in _DEGREES:
        return "degree"
    raise CrsRefused(
        f"The unit of the coordinates is '{text[:20]}' (计量单位); only metres (米) and decimal "
        "degrees (度) are read.",
        f"计量单位“{text[:20]}”不支持；坐标须以米或十进制度为单位。",
        code="unit-unknown",
    )


def _refuse_other_projection(header: BoundaryHeader) -> None:
    text = header.attribute("投影类型", "投影")
    if text and not _GAUSS.search(text):
        raise CrsRefused(
            f"The header says another projection than Gauss-Krueger (投影类型={text[:40]}); "
            "deliver Gauss-Krueger coordinates.",
            f"投影类型为“{text[:40]}”，不是高斯-克吕格；请提供高斯-克吕格坐标。",
            code="projection-unknown",
        )


def _refuse_conversion(header: BoundaryHeader) -> None:
    """The format does not say the units of these seven numbers: they are never applied."""
    text = header.attribute("转换参数")
    if any(float(number) for number in _NUMBER.findall(text)):
        line = header.lines.get(f"{ATTRIBUTES}.转换参数", 0)
        raise CrsRefused(
            f"The header states conversion parameters (转换参数, line {line}). The format does not "
            "fix their units, so they are not applied. Deliver converted coordinates with the "
            "parameters left empty, or state the transformation apart from the file.",
            f"文件头第{line}行给出了转换参数。格式未规定其单位，系统不会自行套用；"
            "请提供转换后的坐标并将转换参数置空，或另行说明坐标转换方法。",
            code="datum-transform-required",
        )
