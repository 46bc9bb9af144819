"""Survey boundary TXT (勘测定界界址点坐标交换格式) in a Gauss-Krueger zone of CGCS2000.

Northing first, millimetres, every ring closed with its first label and under a ring number of its
own, outer rings clockwise and holes counter-clockwise as survey programs write them; areas on the
ellipsoid in hectares with four decimals. Vertices are converted, edges are not cut: a straight
edge of 1 km lies up to 8 mm off the one in longitude and latitude.
"""

import datetime
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final, Literal

import numpy as np
import numpy.typing as npt
import shapely

from layers.area import HECTARE_M2, areas_m2
from layers.catalog import Attribute
from layers.crs import Crs, GeometryArray, from_storage, zone_code
from layers.errors import BadParameter, CrsRefused, InvalidGeometry
from layers.text import Text
from layers.writers.table import FeatureBatch, FeatureTable, Written

Encoding = Literal["gb18030", "utf-8"]

_DECIMALS: Final = 3
_KINDS: Final = {0: "点", 1: "线", 2: "面"}
_FARTHEST_DEG: Final = 4.5
"""From the central meridian: a zone and a half; beyond that it is another zone's parcel."""
_EOL: Final = "\r\n"

_ROLES: Final[tuple[frozenset[str], ...]] = (
    frozenset({"dkbh", "parcel_id"}),
    frozenset({"dkmc", "name", "mc"}),
    frozenset({"tfh"}),
    frozenset({"dkyt", "ghyt"}),
    frozenset({"dlbm", "landuse_code", "ydyhfldm"}),
)
"""Attributes, by name or alias, that fill number, name, map sheet, use and code of a parcel."""


@dataclass(frozen=True, slots=True)
class Zone:
    """A Gauss-Krueger zone; ``prefixed``: its number stands in the eastings."""

    width_deg: Literal[3, 6]
    number: int
    prefixed: bool

    @property
    def meridian_deg(self) -> int:
        """Longitude of its central meridian."""
        return 3 * self.number if self.width_deg == 3 else 6 * self.number - 3


def zone_of(crs: Crs) -> Zone:
    """The zone that a CRS is; ``CrsRefused`` where the format has no words for it."""
    widths: tuple[Literal[3, 6], ...] = (3, 6)
    for width in widths:
        for number in range(13, 46):
            for prefixed in (True, False):
                if zone_code("cgcs2000", width, number, prefixed=prefixed) == crs.code:
                    return Zone(width, number, prefixed)
    raise CrsRefused(
        f"A boundary TXT holds CGCS2000 Gauss-Krueger coordinates, which {crs.code} is not; "
        "choose a zone such as EPSG:4525 (3-degree zone 37).",
        f"界址点 TXT 只能为 CGCS2000 高斯-克吕格坐标，{crs.code} 不是；"
        "请选择分带，例如 EPSG:4525（3 度带第 37 带）。",
        code="projected-crs-needed",
    )


def write_boundary_txt(
    table: FeatureTable,
    path: Path,
    crs: Crs,
    *,
    encoding: Encoding = "gb18030",
    authority: str = "",
    produced: datetime.date | None = None,
) -> Written:
    """Write features, longitude and latitude on EPSG:4490, as parcels in the zone ``crs``.

    ``InvalidGeometry`` names a feature that millimetres would spoil, ``BadParameter`` one that
    lies more than 4.5 degrees from the zone's meridian.
    """
    zone = zone_of(crs)
    fields = _fields(table.head.attributes)
    count = 0
    with path.open("wb") as out:
        _put(out, encoding, _header(zone, authority, produced))
        for batch in table.batches:
            plane = _in_zone(batch, crs, zone)
            areas = areas_m2(batch.geometries)
            for index, geometry in enumerate(plane):
                values = _values(batch.feature_ids[index], batch.attributes[index], fields)
                lines = _parcel(geometry, float(areas[index]), values)
                _put(out, encoding, lines)
                count += 1
    return Written(path, count, tuple(_notes(table.head.attributes, fields)))


def _put(out: BinaryIO, encoding: Encoding, lines: Iterator[str]) -> None:
    # A lone surrogate is no character of any encoding.
    out.write("".join(line + _EOL for line in lines).encode(encoding, "replace"))


def _header(zone: Zone, authority: str, produced: datetime.date | None) -> Iterator[str]:
    yield "[属性描述]"
    yield "格式版本号=1.0"
    yield f"数据产生单位={_clean(authority)}"
    yield f"数据产生日期={produced.isoformat() if produced else ''}"
    yield "坐标系=2000国家大地坐标系"
    yield f"几度分带={zone.width_deg}"
    yield "投影类型=高斯克吕格"
    yield "计量单位=米"
    yield f"带号={zone.number}"
    yield f"精度={10.0**-_DECIMALS:.{_DECIMALS}f}"
    yield "转换参数=0,0,0,0,0,0,0"
    yield "[地块坐标]"


def _in_zone(batch: FeatureBatch, crs: Crs, zone: Zone) -> GeometryArray:
    """Coordinates of the zone in millimetres, rings in the direction of survey programs."""
    bounds = shapely.bounds(batch.geometries)
    far = np.abs(bounds[:, [0, 2]] - zone.meridian_deg).max(axis=1)
    for index in np.flatnonzero(~(far <= _FARTHEST_DEG))[:1]:
        raise BadParameter(
            f"Feature {batch.feature_ids[index]} lies {far[index]:.1f} degrees from the central "
            f"meridian of zone {zone.number} ({zone.meridian_deg} E); choose another zone.",
            f"要素 {batch.feature_ids[index]} 距第 {zone.number} 带中央子午线"
            f"（{zone.meridian_deg}°）{far[index]:.1f}°；请选择其他分带。",
            code="zone-too-far",
        )
    plane = from_storage(batch.geometries, crs)
    rounded: GeometryArray = shapely.transform(plane, lambda xy: np.round(xy, _DECIMALS))
    spoilt = ~shapely.is_valid(rounded)
    for index in np.flatnonzero(spoilt)[:1]:
        raise InvalidGeometry(
            f"Feature {batch.feature_ids[index]} is thinner than a millimetre somewhere, or "
            "invalid; in the boundary TXT it would cross itself.",
            f"要素 {batch.feature_ids[index]} 局部窄于 1 毫米或图形无效，写入 TXT 后会自相交。",
        )
    oriented: GeometryArray = shapely.orient_polygons(rounded, exterior_cw=True)
    return oriented


Fields = tuple[str | None, ...]


def _fields(attributes: tuple[Attribute, ...]) -> Fields:
    """Which attribute fills each of number, name, sheet, use, code."""
    return tuple(
        next(
            (
                attribute.name
                for attribute in attributes
                if role & {name.lower() for name in (attribute.name, *attribute.aliases)}
            ),
            None,
        )
        for role in _ROLES
    )


def _values(feature_id: str, attributes: Mapping[str, Any], fields: Fields) -> list[str]:
    found = [_clean(attributes.get(name)) if name else "" for name in fields]
    return [found[0] or _clean(feature_id), *found[1:]]


def _clean(value: Any) -> str:
    """A value that cannot end its field, its line or the parcel line."""
    text = "" if value is None else str(value)
    text = " ".join(text.replace(",", "，").replace("@", "＠").split())
    return "".join(letter for letter in text if letter.isprintable())


def _parcel(geometry: shapely.Geometry, area_m2: float, values: list[str]) -> Iterator[str]:
    dimension = int(shapely.get_dimensions(geometry))
    rings = list(_rings(geometry, dimension))
    area = f"{area_m2 / HECTARE_M2:.4f}" if dimension == 2 else ""
    number, name, sheet, use, code = values
    count = sum(len(ring) for ring in rings)
    yield f"{count},{area},{number},{name},{_KINDS[dimension]},{sheet},{use},{code},@"
    label = 1
    for ring_number, ring in enumerate(rings, 1):
        first, last = label, len(ring) - 1
        for position, (x, y) in enumerate(ring.tolist()):
            closing = dimension == 2 and position == last
            yield f"J{first if closing else label},{ring_number},{y:.3f},{x:.3f}"
            label += not closing


def _rings(geometry: shapely.Geometry, dimension: int) -> Iterator[npt.NDArray[np.float64]]:
    """Each outer ring with its holes behind it; parts of lines; single points."""
    for part in shapely.get_parts(geometry):
        if dimension == 2:
            for ring in shapely.get_rings(part):
                yield shapely.get_coordinates(ring)
        else:
            yield shapely.get_coordinates(part)


def _notes(attributes: tuple[Attribute, ...], fields: Fields) -> Iterator[Text]:
    left = [attribute.name for attribute in attributes if attribute.name not in fields]
    if left:
        names = ", ".join(left)
        yield Text(
            zh="界址点 TXT 只含地块编号、名称、图幅号、用途和地类编码，"
            f"以下属性不在其中：{names}。",
            en="A boundary TXT holds number, name, sheet, use and code of a parcel; these "
            f"attributes are not in it: {names}.",
        )
