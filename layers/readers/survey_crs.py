"""Which CRS survey coordinates are in: datum words, zone numbers, easting prefixes, units.

Survey files name no code. They name a datum (坐标系), a zone width (几度分带) and a zone (带号),
and their eastings may carry the zone as a prefix (37 432 000: zone 37). All of these have to agree;
two that contradict each other are refused with both values. The codes of Xian 1980 and Beijing 1954
are named as they are: whether those are admitted is decided in ``layers.crs``.

Code families (EPSG; tests hold central meridian, false easting and datum of each against pyproj):
with prefix and, after it, without prefix, for 3-degree and for 6-degree zones.
"""

import math
import re
from dataclasses import dataclass
from typing import Final, Literal

from layers.errors import CrsRefused

Datum = Literal["cgcs2000", "xian1980", "beijing1954", "wgs84"]

ZONES: Final = {3: range(25, 46), 6: range(13, 24)}
"""Zone numbers of China by zone width in degrees; they do not overlap."""

_OFFSETS: Final[dict[Datum, dict[tuple[int, bool], int]]] = {
    "cgcs2000": {(3, True): 4488, (3, False): 4509, (6, True): 4478, (6, False): 4489},
    "xian1980": {(3, True): 2324, (3, False): 2345, (6, True): 2314, (6, False): 2325},
    "beijing1954": {(3, True): 2376, (3, False): 2397, (6, True): 21400, (6, False): 21440},
}
"""EPSG code minus zone number, by (zone width, the easting carries the zone)."""

_GEOGRAPHIC: Final[dict[Datum, int]] = {
    "cgcs2000": 4490, "xian1980": 4610, "beijing1954": 4214, "wgs84": 4326,
}  # fmt: skip

_DATUM_WORDS: Final[tuple[tuple[re.Pattern[str], Datum], ...]] = (
    (re.compile(r"cgcs\s*2000|2000\s*国家|国家\s*2000|2000\s*坐标|大地\s*2000", re.I), "cgcs2000"),
    (re.compile(r"(19)?80\s*(国家|西安)|西安\s*(19)?80|xi'?an\s*(19)?80", re.I), "xian1980"),
    (re.compile(r"(19)?54\s*北京|北京\s*(19)?54|beijing\s*(19)?54", re.I), "beijing1954"),
    (re.compile(r"wgs[\s_-]*(19)?84", re.I), "wgs84"),
)
_ZONE: Final = re.compile(r"(?:第\s*)?(\d{1,3})(?:\.0+)?\s*(?:带|号|号带)?")
_WIDTH: Final = re.compile(
    r"([36])(?:\.0+)?\s*(?:度|°)?\s*(?:分带|带)?|(三|六)\s*度\s*(?:分带|带)?"
)


@dataclass(frozen=True, slots=True)
class ZoneStatement:
    """What a header says; None where it says nothing."""

    datum: Datum | None
    zone_width: int | None = None
    zone: int | None = None


def datums_of(text: str) -> set[Datum]:
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
    # WGS 84 has no Gauss-Krueger codes; the datum policy holds it for equal to CGCS2000.
    datum: Datum = "cgcs2000" if stated.datum == "wgs84" else stated.datum
    return f"EPSG:{_OFFSETS[datum][width, prefix is not None] + zone}"


def geographic_code(datum: Datum | None) -> str | None:
    """The code of longitudes and latitudes on a datum."""
    return None if datum is None else f"EPSG:{_GEOGRAPHIC[datum]}"


def zone_of_longitude(lon: float) -> int:
    """The 3-degree zone that a longitude in degrees lies in."""
    return math.floor((lon + 1.5) / 3)


def _width_of_zone(zone: int) -> int:
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
