"""The header of a coordinate table: which column holds what, by the words people write.

X is northing and Y is easting, as in surveying (纵坐标 X 北, 横坐标 Y 东); the order of the columns
says nothing, and what the numbers say against it is found by ``survey_axes``.
"""

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, Final, Literal

from layers.declared_area import AreaUnit
from layers.errors import Place, UnreadableFile
from layers.readers.survey_text import half_width, line_place
from layers.text import Text

Role = Literal[
    "label", "north", "east", "lat", "lon", "ring", "parcel", "name", "kind", "area"
]  # fmt: skip

SEPARATORS: Final = (",", "\t", ";", "，", "|")
_HEADER_ROWS: Final = 30
_LONGEST_WORD: Final = 24
_LONGEST_LINE: Final = 20_000

_UNIT: Final = re.compile(r"[(\[/](单位[::]?)?(m|米|°|度|度分秒|十进制度|dms|deg)[)\]]?$")
_PATTERNS: Final[tuple[tuple[re.Pattern[str], Role], ...]] = (
    (re.compile(r"(东经|(大地)?经度).{0,6}|lon(g|gitude)?|lng|[el]\(?经度\)?"), "lon"),
    (re.compile(r"(北纬|(大地)?纬度).{0,6}|lat(itude)?|[nb]\(?纬度\)?"), "lat"),
    (re.compile(r"northing|north|n"), "north"),
    (re.compile(r"easting|east|e"), "east"),
    (re.compile(r"(地块)?(圈号|环号|圈)"), "ring"),
    (re.compile(r"(地块|宗地|图斑)(编号|号|代码)|dkbh"), "parcel"),
    (re.compile(r"(地块|宗地)(名称|名)|dkmc"), "name"),
    (re.compile(r"(记录)?图形(类型|属性)"), "kind"),
    (re.compile(r"(地块|宗地|图斑|申报)?面积(\(?(公顷|hm2|ha|平方米|m2|m²|㎡|亩)\)?)?"), "area"),
    (re.compile(r"(界址|拐|顶)?点(编)?号|序号|顺序号|点名|界址点|桩号|no\.?"), "label"),
)
_PLANE: Final = re.compile(r"(?:[xy纵横东北向轴值]|坐标|座标)+")
_PAIRS: Final[tuple[tuple[Role, Role], ...]] = (("north", "east"), ("lat", "lon"))
_AREA_UNITS: Final[tuple[tuple[str, AreaUnit], ...]] = (
    ("公顷", "ha"), ("hm2", "ha"), ("ha", "ha"), ("平方米", "m2"), ("m2", "m2"), ("m²", "m2"),
    ("㎡", "m2"), ("亩", "mu"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class TableHeader:
    """``columns`` are indices by role, ``others`` the remaining columns by name; ``row`` is the
    index of the header's row, ``above`` the text of the rows before it.
    """

    row: int
    columns: dict[Role, int]
    others: dict[int, str]
    above: str
    area_unit: AreaUnit | None

    @property
    def geographic(self) -> bool:
        """Longitude and latitude in place of easting and northing."""
        return "north" not in self.columns


def find_header(rows: Iterable[Sequence[Any]], what: str) -> TableHeader | None:
    """The first row that names both coordinates; None if no row of the first thirty does."""
    above: list[str] = []
    before: list[str] = []
    for index, row in enumerate(rows):
        if index >= _HEADER_ROWS:
            return None
        words = ["" if cell is None else str(cell).strip() for cell in row]
        roles = [role_of(word) for word in words]
        if any(set(pair) <= set(roles) for pair in _PAIRS):
            # In a header of two rows 点号 stands over an empty cell, 坐标 over X and Y.
            words = [word or over for word, over in zip_longest(words, before, fillvalue="")]
            return _header(index, words, " ".join(filter(None, above)), what)
        above.extend(words)
        before = words
    return None


def role_of(word: str) -> Role | None:
    """What a header word stands for."""
    text = re.sub(r"\s+", "", half_width(word)).lower()
    if not text or len(text) > _LONGEST_WORD:
        return None
    text = _UNIT.sub("", text)
    found = next((role for pattern, role in _PATTERNS if text and pattern.fullmatch(text)), None)
    return found or _plane_role(re.sub(r"[()\[\]/:_-]", "", text))


def _plane_role(text: str) -> Role | None:
    """X坐标(纵/北), 横坐标Y: the Chinese word goes before the letter; None if they differ."""
    if not _PLANE.fullmatch(text):
        return None
    letters = set(text)
    for north, east in (("纵北", "横东"), ("x", "y")):
        is_north, is_east = letters & set(north), letters & set(east)
        if is_north or is_east:
            return None if is_north and is_east else "north" if is_north else "east"
    return None


def _header(index: int, words: list[str], above: str, what: str) -> TableHeader:
    columns: dict[Role, int] = {}
    others: dict[int, str] = {}
    for column, word in enumerate(words):
        role = role_of(word)
        if role is not None and role not in columns:
            columns[role] = column
        elif role is not None and any(role in pair for pair in _PAIRS):
            raise _refused_twice(index + 1, word, what)
        elif word and word not in others.values():
            others[column] = word
    if all(set(pair) <= set(columns) for pair in _PAIRS):
        # Both kinds of coordinates: the plane ones are the surveyed ones, the others their copy.
        del columns["lat"], columns["lon"]
    area = half_width(words[columns["area"]]).lower() if "area" in columns else ""
    unit = next((unit for word, unit in _AREA_UNITS if word in area), None)
    return TableHeader(index, columns, others, above, unit)


def _refused_twice(row: int, word: str, what: str) -> UnreadableFile:
    place: Place = line_place(
        row,
        Text(zh=f"“{word[:20]}”有两列", en=f"there are two columns for '{word[:20]}'"),
    )
    return UnreadableFile(
        f"Line {row} of the {what}: {place.reason.en}; put all points one below the other.",
        f"{what} {place.reason.zh}；请将全部界址点排成一列后提交。",
        code="columns-repeated",
        places=(place,),
    )


def split_rows(lines: Iterable[str], separator: str) -> Iterator[list[str]]:
    """The rows of a text table; quoted cells may hold separators and line ends."""
    return csv.reader((line + "\n" for line in lines), delimiter=separator)


def separator_of(lines: Sequence[str], what: str) -> str | None:
    """The separator with which the first lines hold a header; None if it is no such table."""
    head = [line[:_LONGEST_LINE] for line in lines[:_HEADER_ROWS]]
    for separator in SEPARATORS:
        try:
            if find_header(split_rows(head, separator), what) is not None:
                return separator
        except csv.Error:
            continue
    return None
