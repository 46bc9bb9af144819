"""Which datum a coordinate reference system stands on, and the numbers of the zones.

Part of ``layers.crs``, the only user: names of datums as EPSG, ESRI and departments write them,
their ellipsoids, and the EPSG codes of the Gauss-Krueger zones of the three Chinese datums.
"""

from typing import Final, Literal

import pyproj

from layers.datum import CGCS2000_ELLIPSOID, Ellipsoid
from layers.errors import CrsRefused

DatumFamily = Literal["cgcs2000", "wgs84", "xian80", "beijing54"]
ZoneWidth = Literal[3, 6]

FAMILY_NAMES: Final[dict[DatumFamily, str]] = {
    "cgcs2000": "CGCS2000 (2000国家大地坐标系)",
    "wgs84": "WGS 84",
    "xian80": "Xi'an 1980 (1980西安坐标系)",
    "beijing54": "Beijing 1954 (1954北京坐标系)",
}
_DATUM_NAMES: Final[dict[str, DatumFamily]] = {
    "china 2000": "cgcs2000", "china_2000": "cgcs2000", "cgcs2000": "cgcs2000",
    "cgcs_2000": "cgcs2000", "china geodetic coordinate system 2000": "cgcs2000",
    "china_geodetic_coordinate_system_2000": "cgcs2000",
    "2000国家大地坐标系": "cgcs2000", "国家2000大地坐标系": "cgcs2000",
    "world geodetic system 1984": "wgs84", "wgs_1984": "wgs84", "wgs 1984": "wgs84",
    "wgs84": "wgs84",
    "xian 1980": "xian80", "xian_1980": "xian80", "xi'an 1980": "xian80", "xian80": "xian80",
    "1980西安坐标系": "xian80", "西安80坐标系": "xian80",
    "beijing 1954": "beijing54", "beijing_1954": "beijing54", "beijing54": "beijing54",
    "1954北京坐标系": "beijing54", "北京54坐标系": "beijing54",
}  # fmt: skip
_ELLIPSOIDS: Final[dict[DatumFamily, Ellipsoid]] = {
    "cgcs2000": CGCS2000_ELLIPSOID,
    "wgs84": Ellipsoid(6378137.0, 298.257223563),
    "xian80": Ellipsoid(6378140.0, 298.257),
    "beijing54": Ellipsoid(6378245.0, 298.3),
}
_DEGREE: Final = 0.017453292519943295
_AXIS_OFF_M: Final = 0.01
_FLATTENING_OFF: Final = 1e-3
"""Rounded figures in files differ by less; GRS 80 and WGS 84 in place of CGCS2000 by 2e-6."""

_ZONE_CODES: Final[dict[DatumFamily, dict[tuple[ZoneWidth, bool], int]]] = {
    "cgcs2000": {(3, True): 4488, (3, False): 4509, (6, True): 4478, (6, False): 4489},
    "xian80": {(3, True): 2324, (3, False): 2345, (6, True): 2314, (6, False): 2325},
    "beijing54": {(3, True): 2376, (3, False): 2397, (6, True): 21400, (6, False): 21440},
}
"""EPSG code minus zone number, by (zone width in degrees, zone number stands in the easting)."""
_ZONES: Final[dict[ZoneWidth, range]] = {3: range(25, 46), 6: range(13, 24)}


def zone_code(family: DatumFamily, width: ZoneWidth, zone: int, *, prefixed: bool) -> str | None:
    """``EPSG:n`` of a Gauss-Krueger zone on a datum; None where the register has none.

    >>> zone_code("cgcs2000", 3, 37, prefixed=True)
    'EPSG:4525'
    """
    if zone not in _ZONES[width]:
        return None
    codes = _ZONE_CODES["cgcs2000" if family == "wgs84" else family]
    return f"EPSG:{codes[width, prefixed] + zone}"


def neighbour_zone(code: str, steps: int) -> str | None:
    """The 3-degree zone some steps further east, in the same form; None if ``code`` is no such.

    >>> neighbour_zone("EPSG:4546", -1)
    'EPSG:4545'
    """
    if not code.startswith("EPSG:") or not code[5:].isdigit():
        return None
    number = int(code[5:])
    for family, forms in _ZONE_CODES.items():
        for (width, prefixed), offset in forms.items():
            if width == 3 and number - offset in _ZONES[3]:
                return zone_code(family, 3, number - offset + steps, prefixed=prefixed)
    return None


def family_of(crs: pyproj.CRS, text: str) -> DatumFamily | None:
    """The datum's family, None = none of ours; ``CrsRefused`` where the definition contradicts.

    The name decides, and the ellipsoid, the prime meridian and the unit of angles must agree:
    a WKT that says China 2000 on another ellipsoid would otherwise pass as exact.
    """
    base = crs.geodetic_crs
    if base is None or base.datum is None:
        return None
    name = base.datum.name.strip().lower().removeprefix("d_").removesuffix(" ensemble")
    family = _DATUM_NAMES.get(name)
    if family is None:
        return None
    wanted, found = _ELLIPSOIDS[family], ellipsoid_of(crs)
    if found is None or (
        abs(found.semi_major_m - wanted.semi_major_m) > _AXIS_OFF_M
        or abs(found.inverse_flattening - wanted.inverse_flattening) > _FLATTENING_OFF
    ):
        raise _contradiction(text, base.datum.name, "ellipsoid", "椭球")
    meridian = base.prime_meridian
    if meridian is not None and meridian.longitude != 0.0:
        raise _contradiction(text, base.datum.name, "prime meridian", "本初子午线")
    angles = [axis for axis in base.axis_info if axis.direction in ("north", "east")]
    if any(abs(axis.unit_conversion_factor / _DEGREE - 1.0) > 1e-9 for axis in angles):
        raise _contradiction(text, base.datum.name, "unit of angles", "角度单位")
    return family


def ellipsoid_of(crs: pyproj.CRS) -> Ellipsoid | None:
    """The ellipsoid of a CRS; None for a sphere or where there is none."""
    found = crs.ellipsoid
    if found is None or not found.inverse_flattening:
        return None
    return Ellipsoid(found.semi_major_metre, found.inverse_flattening)


def _contradiction(text: str, datum: str, what_en: str, what_zh: str) -> CrsRefused:
    return CrsRefused(
        f"'{text[:80]}' names the datum {datum}, but its {what_en} is not that datum's; "
        "mend the definition.",
        f"“{text[:80]}”声明的基准为 {datum}，但其{what_zh}与该基准不符；请更正定义。",
        code="crs-contradiction",
    )


def without_bound_parameters(crs: pyproj.CRS, text: str) -> pyproj.CRS:
    """A CRS without parameters towards WGS 84 in its definition (TOWGS84, +towgs84).

    Zeros are no statement and are dropped. Others would be a datum change that nobody answers
    for: refused, and the message says where to register them.
    """
    if not crs.is_bound or crs.source_crs is None:
        return crs
    operation = crs.coordinate_operation
    values: list[object] = (
        [one.value for one in operation.params] if operation is not None else [None]
    )
    if any(not isinstance(value, float) or value != 0.0 for value in values):
        numbers = ", ".join(str(value) for value in values)[:120]
        raise CrsRefused(
            f"The definition carries transformation parameters ({numbers}); they are never applied "
            "unseen. Register them with accuracy and provenance under config/transformations and "
            "name that with --transformation.",
            f"坐标系定义中带有转换参数（{numbers}），系统不会自行套用；请在 "
            "config/transformations 中登记其精度与来源，并以 --transformation 指定。",
            code="datum-transform-required",
        )
    return crs.source_crs
