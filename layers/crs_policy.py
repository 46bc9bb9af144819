"""What the datum policy admits: from a name or a definition to a ``Crs``, or a refusal.

Part of ``layers.crs``, whose docstring has the policy; nobody else imports this.
"""

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Final, Literal

import pyproj
from pyproj.exceptions import CRSError

from layers import obfuscation
from layers.crs_families import (
    FAMILY_NAMES,
    DatumFamily,
    ellipsoid_of,
    family_of,
    without_bound_parameters,
)
from layers.datum import Plane4, Transformation, usable
from layers.errors import BadConfiguration, CrsRefused

Box = tuple[float, float, float, float]
"""min x, min y, max x, max y."""
Datum = Literal["cgcs2000", "wgs84", "xian80", "beijing54", "local", "gcj02", "bd09"]

STORAGE_SRID: Final = 4490
_CRS84_URI: Final = "http://www.opengis.net/def/crs/OGC/1.3/CRS84"
_EPSG_URI: Final = "http://www.opengis.net/def/crs/EPSG/0/"
_LOCAL: Final = "local"
_OBFUSCATIONS: Final[dict[str, obfuscation.Obfuscation]] = {
    "gcj02": "gcj02", "gcj-02": "gcj02", "bd09": "bd09", "bd-09": "bd09", "bd09ll": "bd09",
}  # fmt: skip
_ALIASES: Final = {
    "crs84": _CRS84_URI,
    "ogc:crs84": _CRS84_URI,
    "urn:ogc:def:crs:ogc:1.3:crs84": _CRS84_URI,
    "urn:ogc:def:crs:ogc::crs84": _CRS84_URI,
    "cgcs2000": "EPSG:4490",
    "wgs84": "EPSG:4326",
}


@dataclass(frozen=True, slots=True)
class Crs:
    """A coordinate reference system that the policy admits.

    ``swapped``: the authority's first axis is latitude or northing, so coordinates have to be
    swapped where they enter or leave by that authority's definition. ``area_of_use`` is west,
    south, east, north in degrees as the register has it; outside it is doubtful, not forbidden.
    """

    code: str
    uri: str
    srid: int | None
    title: str
    kind: Literal["geographic", "projected"]
    datum: Datum
    swapped: bool
    wkt: str
    transformation: Transformation | None = None
    area_of_use: Box | None = None

    @property
    def is_storage(self) -> bool:
        """Its coordinates are stored as they are: geographic on a datum declared equivalent."""
        return self.kind == "geographic" and self.datum in ("cgcs2000", "wgs84")

    @property
    def added_accuracy_m(self) -> float:
        """What the change of datum adds to a data set's own standard deviation, in metres."""
        if self.datum in ("gcj02", "bd09"):
            return obfuscation.ACCURACY_M
        return self.transformation.accuracy_m if self.transformation else 0.0

    @property
    def conversion_area(self) -> Box | None:
        """The lon/lat box outside which its change of datum says nothing; None = no such box."""
        if self.datum in ("gcj02", "bd09"):
            return obfuscation.AREA
        return self.transformation.area_of_use if self.transformation else None

    def statement(self) -> dict[str, Any]:
        """How coordinates came to CGCS2000, as it is kept with a content."""
        if self.transformation is not None:
            return {
                "datum": self.datum,
                "conversion": "stated-transformation",
                "accuracy_m": self.added_accuracy_m,
                "transformation": self.transformation.statement(),
            }
        if self.datum in ("gcj02", "bd09"):
            return {
                "datum": self.datum,
                "conversion": "iterative-inverse",
                "accuracy_m": self.added_accuracy_m,
                "derived_from": self.datum,
                "use": obfuscation.MARK,
            }
        conversion = "none" if self.datum == "cgcs2000" else "stated-identity"
        custom = {"wkt": self.wkt} if self.srid is None and self.code.startswith("custom:") else {}
        return {"datum": self.datum, "conversion": conversion, "accuracy_m": 0.0, **custom}


@lru_cache(maxsize=256)
def parse_crs(
    text: str,
    transformation: Transformation | None = None,
    *,
    convert_obfuscated: bool = False,
) -> Crs:
    """Read a CRS as people and files write it; ``CrsRefused`` where the policy says no.

    Accepts ``EPSG:4525``, ``4525``, OGC URIs and URNs, ``CRS84``, ``CGCS2000`` and WKT
    (also ESRI's names). The order of axes in WKT is ignored: files hold east, north. With a
    ``transformation`` also CRSs of its datum, and ``local`` for a plane without a definition;
    with ``convert_obfuscated`` also ``gcj02`` and ``bd09``. Either is refused where it does not
    apply: who states a transformation means it.
    """
    name = text.strip()
    kind = _OBFUSCATIONS.get(name.lower())
    if kind is not None:
        return _obfuscated(name, kind, transformation, convert=convert_obfuscated)
    if convert_obfuscated:
        raise CrsRefused(
            f"'{text[:80]}' is no obfuscated system; the conversion (--convert-obfuscated) is "
            "for gcj02 and bd09, stated as the source CRS.",
            f"“{text[:80]}”不是加偏坐标系；--convert-obfuscated 只用于声明为 gcj02 或 bd09 的"
            "来源。",
            code="not-obfuscated",
        )
    if name.lower() == _LOCAL and transformation is not None:
        return _stated_plane(transformation)
    crs = _read(_ALIASES.get(name.lower(), name), text)
    if crs is None:
        _refuse_needless(transformation, "WGS 84")
        return Crs(
            "OGC:CRS84", _CRS84_URI, None, "WGS 84 (longitude, latitude)", "geographic", "wgs84",
            False, pyproj.CRS.from_user_input("OGC:CRS84").to_wkt(),
        )  # fmt: skip
    return _admitted(crs, text, transformation)


def _obfuscated(
    name: str,
    kind: obfuscation.Obfuscation,
    transformation: Transformation | None,
    *,
    convert: bool,
) -> Crs:
    if not convert:
        raise CrsRefused(
            f"{name} is an obfuscated coordinate system (up to 1.2 km off) and not admitted; "
            "ask the sender for CGCS2000 coordinates, or convert it explicitly "
            "(--convert-obfuscated), accurate to some metres and not for statutory use.",
            f"{name} 为加偏坐标系（偏移可达 1.2 公里），不予接收；请提供 CGCS2000 坐标，或显式转换"
            "（--convert-obfuscated），转换结果精度为米级，不得作为法定依据。",
            code="obfuscated-crs",
        )
    _refuse_needless(transformation, name)
    code = "GCJ-02" if kind == "gcj02" else "BD-09"
    wkt = pyproj.CRS.from_user_input("OGC:CRS84").to_wkt()
    return Crs(code, code, None, f"{code} (longitude, latitude)", "geographic", kind, False, wkt)


def _stated_plane(transformation: Transformation) -> Crs:
    """A local plane without a definition: its numbers are what the four parameters start from."""
    method = usable(transformation).method
    if transformation.source != _LOCAL or not isinstance(method, Plane4):
        raise transformation_mismatch(transformation, _LOCAL)
    name = transformation.source_name or _LOCAL
    return Crs(
        f"local:{name}", f"local:{name}", None, name, "projected", "local", False, "",
        transformation,
    )  # fmt: skip


def _read(name: str, text: str) -> pyproj.CRS | None:
    """The CRS of a name or definition; None for CRS84, whose order of axes is its own."""
    if name == _CRS84_URI:
        return None
    if name.startswith(_EPSG_URI):
        name = "EPSG:" + name.removeprefix(_EPSG_URI)
    try:
        if "init=" in name:  # names a file on the server, or an old order of axes
            raise ValueError(name)
        crs = pyproj.CRS.from_user_input(int(name) if name.isdigit() else name)
    except (CRSError, ValueError) as error:
        raise CrsRefused(
            f"Unknown coordinate reference system '{text[:80]}'; give a code such as EPSG:4490.",
            f"无法识别的坐标系“{text[:80]}”；请给出代码，例如 EPSG:4490。",
            code="unknown-crs",
        ) from error
    if crs.is_compound:
        crs = crs.sub_crs_list[0]
    return without_bound_parameters(crs, text)


def _admitted(crs: pyproj.CRS, text: str, transformation: Transformation | None) -> Crs:
    derived = crs.is_geographic and crs.is_derived  # a rotated pole: its numbers are no lon/lat
    plane = crs.is_engineering and transformation is not None
    if plane:
        return _local(crs, text, transformation)
    if not (crs.is_geographic or crs.is_projected) or derived or crs.geodetic_crs is None:
        raise CrsRefused(
            f"'{text[:80]}' is neither geographic nor projected; give a code such as EPSG:4490.",
            f"“{text[:80]}”既非地理坐标系也非投影坐标系；请给出代码，例如 EPSG:4490。",
            code="unknown-crs",
        )
    family = family_of(crs, text)
    if family in ("cgcs2000", "wgs84"):
        _refuse_needless(transformation, FAMILY_NAMES[family])
        return _described(crs, family)
    if transformation is None:
        raise CrsRefused(
            f"'{crs.name}' stands on another datum than CGCS2000; a stated transformation with "
            "its accuracy is required (--transformation; PROJ would leave the coordinates "
            "unchanged).",
            f"“{crs.name}”的基准不是 CGCS2000；须提供带精度说明的坐标转换参数（--transformation，"
            "否则坐标会原样不变地被误用）。",
            code="datum-transform-required",
        )
    if family is None:
        return _local(crs, text, transformation)
    if usable(transformation).source != family:
        raise transformation_mismatch(transformation, FAMILY_NAMES[family])
    return replace(_described(crs, family), transformation=transformation)


def _local(crs: pyproj.CRS, text: str, transformation: Transformation | None) -> Crs:
    """A local system by its name: parameters of one city never serve another."""
    if transformation is None or usable(transformation).source != _LOCAL:
        raise transformation_mismatch(transformation, text[:80])
    base = crs.geodetic_crs
    names = {crs.name, base.datum.name if base is not None and base.datum is not None else ""}
    if transformation.source_name not in names:
        raise transformation_mismatch(transformation, crs.name)
    if isinstance(transformation.method, Plane4):
        return replace(_stated_plane(transformation), wkt=crs.to_wkt())
    if base is None or ellipsoid_of(crs) is None:
        raise transformation_mismatch(transformation, crs.name)
    return replace(_described(crs, "local"), transformation=transformation)


def transformation_mismatch(transformation: Transformation | None, what: str) -> CrsRefused:
    """The error for a transformation of another source than the one at hand."""
    one = transformation.id if transformation is not None else ""
    source = (transformation.source_name or transformation.source) if transformation else ""
    return CrsRefused(
        f"The transformation '{one}' is for {source}, the source is {what}; name the right one.",
        f"坐标转换“{one}”适用于 {source}，而来源为 {what}；请指定正确的转换。",
        code="transformation-mismatch",
    )


def _refuse_needless(transformation: Transformation | None, what: str) -> None:
    if transformation is not None:
        raise CrsRefused(
            f"The source is {what}: no datum transformation applies. Leave out --transformation, "
            "or state the CRS the coordinates are really in (--source-crs).",
            f"来源为 {what}，不适用基准转换；请去掉 --transformation，"
            "或用 --source-crs 说明坐标实际所属的坐标系。",
            code="transformation-not-applicable",
        )


def _described(crs: pyproj.CRS, family: DatumFamily | Literal["local"]) -> Crs:
    epsg = crs.to_epsg(min_confidence=70) if family != "local" else None
    if epsg is None and crs.is_geographic and family == "cgcs2000":
        epsg = STORAGE_SRID
    official = pyproj.CRS.from_epsg(epsg) if epsg is not None else crs
    directions = [axis.direction for axis in official.axis_info]
    area = official.area_of_use
    return Crs(
        code=f"EPSG:{epsg}" if epsg is not None else f"custom:{crs.name}",
        uri=f"{_EPSG_URI}{epsg}" if epsg is not None else crs.name,
        srid=epsg,
        title=crs.name,
        kind="geographic" if crs.is_geographic else "projected",
        datum=family,
        swapped=epsg is not None and directions[:1] == ["north"],
        wkt=crs.to_wkt(),
        area_of_use=(area.west, area.south, area.east, area.north) if area is not None else None,
    )


def check_transformation(transformation: Transformation) -> Transformation:
    """Make sure that the planes it names are of the datums it says; ``BadConfiguration`` if not."""
    method = transformation.method
    if not isinstance(method, Plane4):
        return transformation
    target = parse_crs(method.target_plane)
    fits = target.kind == "projected" and target.datum == "cgcs2000"
    if method.source_plane is not None:
        plane = _read(method.source_plane, method.source_plane)
        fits = (
            fits
            and plane is not None
            and plane.is_projected
            and family_of(plane, method.source_plane) == transformation.source
        )
    if not fits:
        raise BadConfiguration(
            f"transformations: {transformation.id}: target_plane must be a CGCS2000 projection, "
            f"source_plane a projection of {transformation.source}.",
            f"坐标转换 {transformation.id}：target_plane 须为 CGCS2000 投影坐标系，"
            f"source_plane 须为 {transformation.source} 的投影坐标系。",
        )
    return transformation
