"""Which CRS survey coordinates are in: datum words, zone numbers, easting prefixes, units.

Survey files name no code. They name a datum (坐标系), a zone width (几度分带) and a zone (带号),
and their eastings may carry the zone as a prefix (37 432 000: zone 37). All of these have to agree;
two that contradict each other are refused with both values. The codes of Xian 1980 and Beijing 1954
are named as they are: whether those are admitted is decided in ``layers.crs``.
"""

import math
import re
from dataclasses import dataclass
from typing import Final

from layers.crs import zone_code
from layers.crs_families import DatumFamily, ZoneWidth
from layers.errors import CrsRefused

ZONES: Final[dict[ZoneWidth, range]] = {3: range(25, 46), 6: range(13, 24)}
"""Zone numbers of China by zone width in degrees; they do not overlap."""

_GEOGRAPHIC: Final[dict[DatumFamily, int]] = {
    "cgcs2000": 4490, "xian80": 4610, "beijing54": 4214, "wgs84": 4326,
}  # fmt: skip

_DATUM_WORDS: Final[tuple[tuple[re.Pattern[str], DatumFamily], ...]] = (
    (re.compile(r"cgcs\s*2000|2000\s*国家|国家\s*2000|2000\s*坐标|大地\s*2000", re.I), "cgcs2000"),
    (re.compile(r"(19)?80\s*(国家|西安)|西安\s*(19)?80|xi'?an\s*(19)?80", re.I), "xian80"),
    (re.compile(r"(19)?54\s*北京|北京\s*(19)?54|beijing\s*(19)?54", re.I), "beijing54"),
    (re.compile(r"wgs[\s_-]*(19)?84", re.I), "wgs84"),
)
_ZONE: Final = re.compile(r"(?:第\s*)?(\d{1,3})(?:\.0+)?\s*(?:带|号|号带)?")
_WIDTH: Final = re.compile(
    r"([36])(?:\.0+)?\s*(?:度|°)?\s*(?:分带|带)?|(三|六)\s*度\s*(?:分带|带)?"
)


@dataclass(frozen=True, slots=True)
class ZoneStatement:
    """What a header says; None where it says nothing."""

    datum: DatumFamily | None
    zone_width: int | None = None
    zone: int | None = None


def datums_of(text: str) -> set[DatumFamily]:
    """The datums that a text names (a template left unfilled names several)."""
    return {datum for pattern, datum in _DATUM_WORDS if pattern.search(text)}


def zone_number(text: str) -> int | None:
    """The zone in ``37``, ``37带``, ``第37带``; None for nothing."""
    if not text:
        return None
    found = _ZONE.fullmatch(text)
    if found is None:
        raise _refused(
            f"The zone number '{text[:40]}' is no number; write it as 带号=37.",
            f"带号“{text[:40]}”不是数字；请写作“带号=37”。",
        )
    return int(found.group(1))


def zone_width_of(text: str) -> int | None:
    """3 or 6 in ``3``, ``3度带``, ``三度带``; None for nothing."""
    if not text:
        return None
    found = _WIDTH.fullmatch(text)
    if found is None:
        raise _refused(
            f"The zone width '{text[:40]}' is neither 3 nor 6 degrees; write 几度分带=3.",
            f"分带“{text[:40]}”既不是 3 度也不是 6 度；请写作“几度分带=3”。",
        )
    return int(found.group(1)) if found.group(1) else {"三": 3, "六": 6}[found.group(2)]


def projected_code(stated: ZoneStatement, prefix: int | None, line: int) -> str | None:
    """The code of projected coordinates, or None where datum or zone are nowhere said.

    ``prefix`` is the zone in the eastings, seen first in ``line``.
    """
    if prefix is not None and stated.zone is not None and prefix != stated.zone:
        raise _refused(
            f"The header says zone {stated.zone} (带号), the eastings carry zone {prefix} (line "
            f"{line}); one of them is wrong. Correct the file.",
            f"文件头带号为 {stated.zone}，而坐标中的带号为 {prefix}（第{line}行），"
            "两者矛盾；请更正文件。",
        )
    zone = prefix if prefix is not None else stated.zone
    if zone is None:
        return None
    width = _width_of_zone(zone)
    if stated.zone_width is not None and stated.zone_width != width:
        raise _refused(
            f"The header says {stated.zone_width}-degree zones (几度分带), but zone {zone} is one "
            f"of the {width}-degree zones; one of them is wrong. Correct the file.",
            f"文件头为 {stated.zone_width} 度分带，而带号 {zone} 属于 {width} 度带，两者矛盾；"
            "请更正文件。",
        )
    if stated.datum is None:
        return None
    return zone_code(stated.datum, width, zone, prefixed=prefix is not None)


def geographic_code(datum: DatumFamily | None) -> str | None:
    """The code of longitudes and latitudes on a datum."""
    return None if datum is None else f"EPSG:{_GEOGRAPHIC[datum]}"


def zone_of_longitude(lon: float) -> int:
    """The 3-degree zone that a longitude in degrees lies in."""
    return math.floor((lon + 1.5) / 3)


def _width_of_zone(zone: int) -> ZoneWidth:
    for width, zones in ZONES.items():
        if zone in zones:
            return width
    hint = zone_of_longitude(zone) if 73 <= zone <= 136 else None
    hint_en = f" {zone} looks like a central meridian: that is zone {hint}." if hint else ""
    hint_zh = f"{zone} 像是中央子午线经度，对应 3 度带第 {hint} 带。" if hint else ""
    raise _refused(
        f"There is no zone {zone} in China (3-degree zones are 25-45, 6-degree zones 13-23)."
        f"{hint_en} Correct the file.",
        f"带号 {zone} 无效（3 度带为 25–45，6 度带为 13–23）。{hint_zh}请更正文件。",
    )


def _refused(en: str, zh: str) -> CrsRefused:
    return CrsRefused(en, zh, code="zone-contradiction")
