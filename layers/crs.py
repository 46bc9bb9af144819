"""The only place that knows CRS numbers, axis order and datum policy.

Inside the project every geometry is EPSG:4490 (CGCS2000) with x = longitude and y = latitude in
degrees; projected coordinates are x = easting, y = northing. The authority's order (latitude
first for EPSG:4490, northing first for the Gauss-Krueger codes) exists at the edge only:
``Crs.swapped`` says so and ``swap_axes`` does it.

Datum policy:

1. CGCS2000 and WGS 84 are declared equivalent (identity; they agree within some centimetres to
   decimetres). PROJ knows the pair only as a "ballpark" null shift, so it is not left to PROJ.
2. A projection inside one datum is exact and admitted.
3. Every other datum (Xian 1980, Beijing 1954, ...) needs a stated transformation: PROJ would
   return such coordinates unchanged and silently. They are refused.
4. GCJ-02 and BD-09 are obfuscations without a CRS code, 430-1,230 m off in Hainan: refused.
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, Literal, Self

import numpy as np
import numpy.typing as npt
import pyproj
import shapely
from pyproj.exceptions import CRSError
from shapely.geometry.base import BaseGeometry

from layers.area import INVERSE_FLATTENING, SEMI_MAJOR_M
from layers.errors import CrsRefused

GeometryArray = npt.NDArray[np.object_]
Box = tuple[float, float, float, float]
"""min x, min y, max x, max y."""

STORAGE_SRID: Final = 4490
WEB_MERCATOR_SRID: Final = 3857
GRID_DEG: Final = 1e-8
"""The snapping grid: 1.1 mm of latitude. Everything that is stored lies on it."""

_CRS84_URI: Final = "http://www.opengis.net/def/crs/OGC/1.3/CRS84"
_EPSG_URI: Final = "http://www.opengis.net/def/crs/EPSG/0/"
_EQUIVALENT_DATUMS: Final = (
    "china 2000", "china_2000", "china geodetic coordinate system 2000", "cgcs2000", "cgcs_2000",
    "world geodetic system 1984", "wgs_1984", "wgs 1984", "wgs84",
)  # fmt: skip
_REFUSED_OBFUSCATIONS: Final = ("gcj02", "gcj-02", "bd09", "bd-09")
_ALIASES: Final = {
    "crs84": _CRS84_URI,
    "ogc:crs84": _CRS84_URI,
    "urn:ogc:def:crs:ogc:1.3:crs84": _CRS84_URI,
    "urn:ogc:def:crs:ogc::crs84": _CRS84_URI,
    "cgcs2000": "EPSG:4490",
    "wgs84": "EPSG:4326",
}
_LONGEST_EDGE_M: Final = 300.0
"""Edges are cut to this before a projection is undone: a straight edge of 1 km in a 3-degree
zone lies 8 mm off the same edge in longitude/latitude (measured), and the error grows with the
square of the length; 300 m keeps it under 1 mm, below the snapping grid."""


@dataclass(frozen=True, slots=True)
class Crs:
    """A coordinate reference system that the policy admits.

    ``swapped``: the authority's first axis is latitude or northing, so coordinates have to be
    swapped where they enter or leave by that authority's definition.
    """

    code: str
    uri: str
    srid: int | None
    title: str
    kind: Literal["geographic", "projected"]
    datum: Literal["cgcs2000", "wgs84"]
    swapped: bool
    wkt: str


@lru_cache(maxsize=256)
def parse_crs(text: str) -> Crs:
    """Read a CRS as people and files write it; ``CrsRefused`` where the policy says no.

    Accepts ``EPSG:4525``, ``4525``, OGC URIs and URNs, ``CRS84``, ``CGCS2000`` and WKT
    (also ESRI's names). The order of axes in WKT is ignored: files hold east, north.
    """
    name = text.strip()
    if name.lower() in _REFUSED_OBFUSCATIONS:
        raise CrsRefused(
            f"{name} is an obfuscated coordinate system (up to 1.2 km off) and not admitted; "
            "ask the sender for CGCS2000 coordinates.",
            f"{name} 为加偏坐标系（偏移可达 1.2 公里），不予接收；请提供 CGCS2000 坐标。",
            code="obfuscated-crs",
        )
    name = _ALIASES.get(name.lower(), name)
    if name == _CRS84_URI:
        return Crs(
            "OGC:CRS84", _CRS84_URI, None, "WGS 84 (longitude, latitude)", "geographic", "wgs84",
            False, pyproj.CRS.from_user_input("OGC:CRS84").to_wkt(),
        )  # fmt: skip
    if name.startswith(_EPSG_URI):
        name = "EPSG:" + name.removeprefix(_EPSG_URI)
    try:
        crs = pyproj.CRS.from_user_input(int(name) if name.isdigit() else name)
    except (CRSError, ValueError) as error:
        raise CrsRefused(
            f"Unknown coordinate reference system '{text[:80]}'; give a code such as EPSG:4490.",
            f"无法识别的坐标系“{text[:80]}”；请给出代码，例如 EPSG:4490。",
            code="unknown-crs",
        ) from error
    return _admitted(crs, text)


def _admitted(crs: pyproj.CRS, text: str) -> Crs:
    if crs.is_compound:
        crs = crs.sub_crs_list[0]
    if not (crs.is_geographic or crs.is_projected) or crs.geodetic_crs is None:
        raise CrsRefused(
            f"'{text[:80]}' is neither geographic nor projected; give a code such as EPSG:4490.",
            f"“{text[:80]}”既非地理坐标系也非投影坐标系；请给出代码，例如 EPSG:4490。",
            code="unknown-crs",
        )
    datum = _datum_family(crs)
    if datum is None:
        raise CrsRefused(
            f"'{crs.name}' stands on another datum than CGCS2000; a stated transformation with "
            "its accuracy is required (PROJ would leave the coordinates unchanged).",
            f"“{crs.name}”的基准不是 CGCS2000；须提供带精度说明的坐标转换参数"
            "（否则坐标会原样不变地被误用）。",
            code="datum-transform-required",
        )
    epsg = crs.to_epsg(min_confidence=70)
    if epsg is None and crs.is_geographic and datum == "cgcs2000":
        epsg = STORAGE_SRID
    if epsg is not None:
        official = pyproj.CRS.from_epsg(epsg)
        directions = [axis.direction for axis in official.axis_info]
        swapped = bool(directions) and directions[0] == "north"
    else:
        swapped = False
    return Crs(
        code=f"EPSG:{epsg}" if epsg is not None else f"custom:{crs.name}",
        uri=f"{_EPSG_URI}{epsg}" if epsg is not None else crs.name,
        srid=epsg,
        title=crs.name,
        kind="geographic" if crs.is_geographic else "projected",
        datum=datum,
        swapped=swapped,
        wkt=crs.to_wkt(),
    )


def _datum_family(crs: pyproj.CRS) -> Literal["cgcs2000", "wgs84"] | None:
    base = crs.geodetic_crs
    if base is None or base.datum is None:
        return None
    name = base.datum.name.lower().removeprefix("d_").removesuffix(" ensemble")
    if name not in _EQUIVALENT_DATUMS:
        return None
    return "wgs84" if "1984" in name or name == "wgs84" else "cgcs2000"


@lru_cache(maxsize=64)
def _transformer(wkt: str, *, to_projected: bool) -> pyproj.Transformer:
    crs = pyproj.CRS.from_wkt(wkt)
    base = crs.geodetic_crs
    if base is None:
        raise CrsRefused("CRS without a geodetic base.", "坐标系缺少大地基准。", code="unknown-crs")
    start, end = (base, crs) if to_projected else (crs, base)
    # Inside one datum: exact, never a ballpark.
    return pyproj.Transformer.from_crs(start, end, always_xy=True, allow_ballpark=False)


def to_storage(geometries: GeometryArray, source: Crs) -> GeometryArray:
    """Bring geometries from a source CRS to EPSG:4490, longitude and latitude in degrees.

    Input coordinates are x = east, y = north whatever the authority says; long edges of
    projected sources are cut first so that straight stays straight within 1 mm.
    """
    if source.kind == "geographic":
        return geometries
    cut = shapely.segmentize(geometries, _LONGEST_EDGE_M)
    return _apply(cut, _transformer(source.wkt, to_projected=False))


def from_storage(geometries: GeometryArray, target: Crs) -> GeometryArray:
    """Bring EPSG:4490 geometries to a target CRS, x = east and y = north.

    Vertices are transformed, edges are not cut: this is for answers to clients.
    """
    if target.kind == "geographic":
        return geometries
    return _apply(geometries, _transformer(target.wkt, to_projected=True))


def _apply(geometries: GeometryArray, transformer: pyproj.Transformer) -> GeometryArray:
    def step(points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        x, y = transformer.transform(points[:, 0], points[:, 1])
        return np.column_stack((x, y))

    result: GeometryArray = shapely.transform(geometries, step)
    return result


def transform_box(box: Box, source: Crs) -> Box:
    """The lon/lat box around a box of a source CRS; edges are followed, not two corners only."""
    if source.kind == "geographic":
        return box
    outline = shapely.segmentize(shapely.box(*box), max((box[2] - box[0]) / 32, 1.0))
    bounds: Box = tuple(
        _apply(np.array([outline]), _transformer(source.wkt, to_projected=False))[0].bounds
    )
    return bounds


def swap_axes(geometries: GeometryArray) -> GeometryArray:
    """Exchange x and y; the one way from our order to the authority's and back."""
    swapped: GeometryArray = shapely.transform(geometries, lambda points: points[:, ::-1])
    return swapped


def snap(geometries: GeometryArray) -> GeometryArray:
    """Put lon/lat geometries on the storage grid once, at import; valid ones stay valid.

    Every vertex is rounded by itself, so edges shared by neighbours stay shared. Where that
    makes a valid geometry invalid, the overlay engine's precision model mends that geometry
    (a geometry thinner than the grid becomes empty; the caller refuses it).
    """
    rounded: GeometryArray = shapely.transform(geometries, lambda points: np.round(points, 8))
    broken = ~shapely.is_valid(rounded) & shapely.is_valid(geometries)
    if broken.any():
        rounded[broken] = shapely.set_precision(geometries[broken], GRID_DEG)
    return rounded


@dataclass(frozen=True, slots=True)
class LocalPlane:
    """A plane of metres around a place: for widths and buffers, never for areas.

    Degrees are scaled by the ellipsoid's radii at the centre; within 50 km the scale in x is
    off by less than 0.4 percent at the latitude of Hainan.
    """

    lon: float
    lat: float
    metres_per_deg_x: float
    metres_per_deg_y: float

    @classmethod
    def around(cls, geometry: BaseGeometry) -> Self:
        """The plane whose origin is the centre of the geometry's box."""
        west, south, east, north = geometry.bounds
        return cls.at((west + east) / 2, (south + north) / 2)

    @classmethod
    def at(cls, lon: float, lat: float) -> Self:
        """The plane whose origin is a place."""
        flattening = 1 / INVERSE_FLATTENING
        e2 = flattening * (2 - flattening)
        sine = math.sin(math.radians(lat))
        root = math.sqrt(1 - e2 * sine * sine)
        prime_vertical = SEMI_MAJOR_M / root
        meridian = SEMI_MAJOR_M * (1 - e2) / root**3
        per_degree = math.pi / 180
        return cls(
            lon, lat, prime_vertical * math.cos(math.radians(lat)) * per_degree,
            meridian * per_degree,
        )  # fmt: skip

    def to_metres(self, geometry: Any) -> Any:
        """Degrees to metres from the origin; takes a geometry or an array of them."""
        scale = np.array([self.metres_per_deg_x, self.metres_per_deg_y])
        origin = np.array([self.lon, self.lat])
        return shapely.transform(geometry, lambda points: (points - origin) * scale)

    def to_degrees(self, geometry: Any) -> Any:
        """Metres from the origin back to degrees; takes a geometry or an array of them."""
        scale = np.array([self.metres_per_deg_x, self.metres_per_deg_y])
        origin = np.array([self.lon, self.lat])
        return shapely.transform(geometry, lambda points: points / scale + origin)


_GEOD: Final = pyproj.Geod(a=SEMI_MAJOR_M, rf=INVERSE_FLATTENING)


def distance_m(first: BaseGeometry, second: BaseGeometry) -> float:
    """Geodesic distance on CGCS2000 between two lon/lat geometries, in metres; 0 if they meet.

    The nearest points are found in the local plane around the first geometry.
    """
    if shapely.intersects(first, second):
        return 0.0
    plane = LocalPlane.around(first)
    line = shapely.shortest_line(plane.to_metres(first), plane.to_metres(second))
    (lon1, lat1), (lon2, lat2) = shapely.get_coordinates(plane.to_degrees(line))
    return float(_GEOD.inv(lon1, lat1, lon2, lat2)[2])


def gauss_kruger_code(lon: float) -> str:
    """The CGCS2000 3-degree zone with prefix that a longitude lies in, as ``EPSG:4488+zone``."""
    return f"EPSG:{4488 + math.floor((lon + 1.5) / 3)}"
