"""Counties and towns of the demo province.

Names and codes of the counties are the real ones of Hainan's main island, each marked as a
demonstration; their outlines are schematic, drawn from a few points by hand, and no authority's.
Towns below the county seat are invented.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from gis_service.demo_province.drawing_plane import to_plane
from gis_service.demo_province.noise import generator
from gis_service.demo_province.terrain import Terrain
from layers.text import Text

MARK_ZH: Final = "（演示）"
MARK_EN: Final = " (demo)"


@dataclass(frozen=True, slots=True)
class County:
    """A county-level unit: its code, its seat, and points that lie in it (lon, lat)."""

    code: str
    name: Text
    seat: tuple[float, float]
    radius_m: float
    """Of its town."""
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Town:
    """A town with its middle in metres of the drawing plane."""

    name: Text
    kind: str
    """city, county_seat or township."""
    x: float
    y: float
    radius_m: float
    county: int
    """Index in ``COUNTIES``."""


def _county(
    code: str,
    zh: str,
    en: str,
    seat: tuple[float, float],
    radius_m: float,
    *points: tuple[float, float],
) -> County:
    return County(code, Text(zh=zh + MARK_ZH, en=en + MARK_EN), seat, radius_m, (seat, *points))


COUNTIES: Final = (
    _county(
        "460100",
        "海口市",
        "Haikou",
        (110.33, 19.99),
        7_200,
        (110.48, 19.95),
        (110.55, 19.88),
        (110.40, 19.85),
        (110.47, 19.75),
        (110.25, 19.90),
    ),
    _county(
        "460200",
        "三亚市",
        "Sanya",
        (109.50, 18.28),
        5_200,
        (109.30, 18.35),
        (109.66, 18.28),
        (109.14, 18.40),
        (109.45, 18.42),
        (109.74, 18.36),
    ),
    _county(
        "460400",
        "儋州市",
        "Danzhou",
        (109.57, 19.52),
        3_600,
        (109.30, 19.62),
        (109.35, 19.80),
        (109.22, 19.50),
        (109.48, 19.72),
        (109.66, 19.40),
        (109.18, 19.75),
    ),
    _county(
        "469001",
        "五指山市",
        "Wuzhishan",
        (109.52, 18.78),
        1_700,
        (109.62, 18.86),
        (109.42, 18.88),
        (109.66, 18.79),
    ),
    _county(
        "469002",
        "琼海市",
        "Qionghai",
        (110.47, 19.25),
        3_400,
        (110.36, 19.14),
        (110.58, 19.20),
        (110.26, 19.26),
        (110.54, 19.36),
    ),
    _county(
        "469005",
        "文昌市",
        "Wenchang",
        (110.78, 19.58),
        3_000,
        (110.95, 19.65),
        (110.66, 19.74),
        (110.85, 19.95),
        (110.70, 20.02),
        (110.95, 19.85),
        (110.72, 19.46),
    ),
    _county(
        "469006",
        "万宁市",
        "Wanning",
        (110.38, 18.82),
        3_000,
        (110.26, 18.92),
        (110.45, 18.96),
        (110.16, 18.73),
        (110.12, 18.96),
    ),
    _county(
        "469007",
        "东方市",
        "Dongfang",
        (108.70, 19.09),
        3_000,
        (108.80, 18.92),
        (108.72, 18.80),
        (108.86, 19.10),
        (108.96, 18.96),
    ),
    _county(
        "469021",
        "定安县",
        "Ding'an",
        (110.34, 19.66),
        2_300,
        (110.36, 19.58),
        (110.40, 19.47),
        (110.26, 19.54),
    ),
    _county(
        "469022",
        "屯昌县",
        "Tunchang",
        (110.10, 19.37),
        2_100,
        (110.06, 19.46),
        (110.16, 19.29),
        (109.97, 19.40),
    ),
    _county(
        "469023",
        "澄迈县",
        "Chengmai",
        (110.00, 19.74),
        2_600,
        (109.92, 19.90),
        (109.94, 19.60),
        (110.10, 19.82),
        (110.02, 19.94),
    ),
    _county(
        "469024",
        "临高县",
        "Lingao",
        (109.69, 19.91),
        2_100,
        (109.60, 19.85),
        (109.76, 19.80),
        (109.58, 19.96),
    ),
    _county(
        "469025",
        "白沙黎族自治县",
        "Baisha",
        (109.45, 19.22),
        1_600,
        (109.36, 19.10),
        (109.30, 19.26),
        (109.56, 19.26),
        (109.50, 19.06),
    ),
    _county(
        "469026",
        "昌江黎族自治县",
        "Changjiang",
        (109.05, 19.28),
        2_200,
        (108.90, 19.34),
        (109.10, 19.14),
        (109.14, 19.32),
    ),
    _county(
        "469027",
        "乐东黎族自治县",
        "Ledong",
        (109.17, 18.75),
        2_000,
        (109.04, 18.56),
        (108.86, 18.60),
        (109.20, 18.58),
        (108.96, 18.75),
        (109.30, 18.70),
    ),
    _county(
        "469028",
        "陵水黎族自治县",
        "Lingshui",
        (110.02, 18.52),
        2_400,
        (109.93, 18.60),
        (110.05, 18.66),
        (109.90, 18.46),
    ),
    _county(
        "469029",
        "保亭黎族苗族自治县",
        "Baoting",
        (109.70, 18.64),
        1_500,
        (109.60, 18.63),
        (109.76, 18.54),
        (109.80, 18.73),
    ),
    _county(
        "469030",
        "琼中黎族苗族自治县",
        "Qiongzhong",
        (109.84, 19.04),
        1_700,
        (109.74, 19.16),
        (109.96, 19.10),
        (109.85, 18.92),
        (110.00, 19.20),
        (109.66, 19.06),
    ),
)

NO_HERITAGE_SURVEY: Final = "469022"
"""The county that the heritage plan does not cover (Tunchang)."""

_SYLLABLES: Final = (
    ("东", "Dong"),
    ("南", "Nan"),
    ("龙", "Long"),
    ("石", "Shi"),
    ("新", "Xin"),
    ("大", "Da"),
    ("长", "Chang"),
    ("和", "He"),
    ("福", "Fu"),
    ("金", "Jin"),
    ("黄", "Huang"),
    ("青", "Qing"),
    ("文", "Wen"),
    ("云", "Yun"),
    ("红", "Hong"),
    ("冲", "Chong"),
    ("加", "Jia"),
    ("博", "Bo"),
)
_ENDINGS: Final = (
    ("岭", "ling"),
    ("坡", "po"),
    ("湾", "wan"),
    ("田", "tian"),
    ("桥", "qiao"),
    ("林", "lin"),
    ("塘", "tang"),
    ("山", "shan"),
    ("泉", "quan"),
    ("港", "gang"),
    ("园", "yuan"),
    ("安", "an"),
)


def invented_name(number: int, zh_kind: str = "", en_kind: str = "") -> Text:
    """A made-up place name, marked as a demonstration; the same number gives the same name."""
    first = _SYLLABLES[number % len(_SYLLABLES)]
    rest = number // len(_SYLLABLES)
    last = _ENDINGS[(rest + number) % len(_ENDINGS)]
    turn = rest // len(_ENDINGS)
    suffix = str(turn + 1) if turn else ""
    return Text(
        zh=f"{first[0]}{last[0]}{suffix}{zh_kind}{MARK_ZH}",
        en=f"{first[1]}{last[1]}{suffix}{en_kind}{MARK_EN}",
    )


def towns(terrain: Terrain, seed: int) -> tuple[Town, ...]:
    """County seats first, in the order of ``COUNTIES``, then townships on low ground."""
    found: list[Town] = []
    for index, county in enumerate(COUNTIES):
        x, y = _ashore(terrain, county.seat, county.radius_m * 0.55)
        kind = "city" if county.code < "469" else "county_seat"
        found.append(Town(county.name, kind, x, y, county.radius_m, index))
    chance = generator(seed, 21)
    tries = np.stack(
        [chance.uniform(-140_000, 150_000, 2_600), chance.uniform(-120_000, 110_000, 2_600)], axis=1
    )
    inland = terrain.inland_m(tries[:, 0], tries[:, 1])
    height = terrain.height_m(tries[:, 0], tries[:, 1])
    seats = [to_plane(np.array(county.points)) for county in COUNTIES]
    for place in np.flatnonzero((inland > 900) & (height < 330)):
        if len(found) >= 120:
            break
        x, y = tries[place]
        room = min(float(np.hypot(t.x - x, t.y - y)) - t.radius_m for t in found)
        if room < 8_000 + height[place] * 12:
            continue
        nearest = int(np.argmin([np.hypot(*(points - (x, y)).T).min() for points in seats]))
        radius_m = float(chance.uniform(480, 950))
        name = invented_name(len(found) * 7 + 3, "镇", " Town")
        found.append(Town(name, "township", float(x), float(y), radius_m, nearest))
    return tuple(found)


def _ashore(terrain: Terrain, lonlat: tuple[float, float], room_m: float) -> tuple[float, float]:
    """Move a place inland until it has room; with the real coast few places move."""
    place = to_plane(np.array([lonlat]))
    for _ in range(60):
        if terrain.inland_m(place[:, 0], place[:, 1])[0] >= room_m:
            break
        step = terrain.inland_direction(place[:, 0], place[:, 1])
        if not np.hypot(*step[0]) > 0.5:
            step = -place / np.hypot(*place[0])
        place = place + step * 500.0
    return float(place[0, 0]), float(place[0, 1])
