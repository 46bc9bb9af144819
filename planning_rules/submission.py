"""A project submission: read strictly, normalised once, identified by its content.

From here on the geometry is EPSG:4490, x = longitude, y = latitude in degrees, two-dimensional,
valid, snapped to the storage grid, and in one canonical order of rings and vertices, so that the
same site drawn from another corner is the same submission.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from layers.area import area_m2
from layers.crs import Box, Crs, parse_crs, snap, swap_axes, to_storage
from layers.errors import BadInput, BadParameter, CrsRefused, GisError, LimitExceeded, Place
from layers.text import Text
from planning_rules.canonical_json import canonical, geometry_json, sha256_of
from planning_rules.corridor import ATTRIBUTE, stated_width_m, strip_of
from planning_rules.geojson import GeometryReader, json_fault, require_valid
from planning_rules.remark import Remark
from planning_rules.search_boxes import boxes_around

MOST_ACCURACY_M: Final = 1.0
"""Demo policy: the authority must set how coarse a site survey may be. A strip not wider than the
accuracy is no conflict, so an applicant's larger figure would switch rules off."""

LONGEST_TEXT: Final = 10_000
LONGEST_NAME: Final = 200
"""Characters of an attribute; reports print them."""

DIMENSION_NAMES: Final[tuple[Literal["point", "line", "area"], ...]] = ("point", "line", "area")


@dataclass(frozen=True, slots=True)
class Received:
    """What the sender's bytes were, before anything was done to them.

    No part of a report: the same site drawn from another corner is the same submission.
    """

    format: str
    size_bytes: int
    sha256: str

    def as_json(self) -> dict[str, Any]:
        """The form of answers."""
        return {"format": self.format, "bytes": self.size_bytes, "sha256": self.sha256}


@dataclass(frozen=True, slots=True)
class Submission:
    """What is judged. ``dimension`` is 2 for areas, 1 for lines, 0 for points.

    ``sha256`` is of the normalised geometry and attributes, ``received`` of what was sent.
    """

    geometry: BaseGeometry
    attributes: Mapping[str, Any]
    name: str | None
    sha256: str
    source_crs: str
    area_m2: float
    repairs: tuple[Remark, ...]
    notes: tuple[Remark, ...]
    received: Received | None = None

    @property
    def id(self) -> str:
        """A short name that follows from the content."""
        return f"S-{self.sha256[:16]}"

    @property
    def dimension(self) -> int:
        """2 area, 1 line, 0 point."""
        return int(shapely.get_dimensions(self.geometry))

    @property
    def declared_area_m2(self) -> float | None:
        """The area the applicant states, where it is a number."""
        value = self.attributes.get("declared_area_m2")
        return number_or_none(value)

    @property
    def accuracy_m(self) -> float:
        """The stated accuracy of the boundary; 0 where none is stated or it is not credible."""
        value = number_or_none(self.attributes.get("accuracy_m"))
        return value if value is not None and 0 <= value <= MOST_ACCURACY_M else 0.0

    def search_boxes(self, margin_m: float) -> list[Box]:
        """Lon/lat boxes that together hold the site and its margin; a feature may meet several.

        A corridor gets many small boxes in place of one that spans the province.
        """
        return boxes_around(self.geometry, margin_m)


def number_or_none(value: Any) -> float | None:
    """A number as a float; None for anything else, TRUE and FALSE included."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number else None


def read_submission(
    feature: Mapping[str, Any], *, source_crs: str = "CRS84", region_bbox: Box
) -> Submission:
    """Read a GeoJSON Feature, FeatureCollection or bare geometry.

    Coordinates are x = east/longitude, y = north/latitude in ``source_crs``; a legacy ``crs``
    member that names a CRS takes its place. ``region_bbox`` is west, south, east, north in
    degrees. Raises ``InvalidGeometry``, ``CrsRefused``, ``LimitExceeded`` or ``BadInput``.
    """
    if not isinstance(feature, Mapping):
        raise BadInput("A GeoJSON object is expected.", "应提交 GeoJSON 对象。")
    crs = parse_crs(_named_crs(feature) or source_crs)
    reader = GeometryReader()
    members = _members(feature)
    geometries = []
    for pointer, geometry, _ in members:
        read = reader.read(geometry, pointer)
        require_valid(read, pointer + "/coordinates")
        geometries.append(read)
    if len(reader.dimensions) > 1:
        raise BadInput(
            "Areas, lines and points must not be mixed in one submission.",
            "同一项目不得混用面、线、点。",
            code="mixed-dimensions",
        )
    attributes, notes = _attributes([properties for _, _, properties in members])
    repairs = []
    if reader.has_z:
        text = Text(
            en="Heights (Z) were dropped; the check is in plan view.", zh="已舍去高程（Z）。"
        )
        repairs.append(Remark("z-dropped", text))
    located = _locate(geometries, crs, region_bbox)
    geometry = _one(_with_width(located, attributes, repairs), repairs)
    return Submission(
        geometry=geometry,
        attributes=attributes,
        name=str(attributes["name"]) if attributes.get("name") is not None else None,
        sha256=_digest(geometry, attributes),
        source_crs=crs.code,
        area_m2=area_m2(geometry),
        repairs=tuple(repairs),
        notes=(*notes, *_accuracy_note(attributes), _DATUM_NOTE),
        received=_received(feature),
    )


def _received(feature: Mapping[str, Any]) -> Received:
    """GeoJSON is known by its canonical form: white space and order of keys are no content."""
    try:
        text = canonical(feature)
    except (ValueError, TypeError) as error:
        raise BadParameter(
            f"The submission cannot be written as JSON: {error}",
            f"项目无法写成规范 JSON：{error}",
        ) from error
    return Received("GeoJSON (RFC 8785)", len(text), hashlib.sha256(text).hexdigest())


def _with_width(
    located: list[BaseGeometry], attributes: Mapping[str, Any], repairs: list[Remark]
) -> list[BaseGeometry]:
    """Lines as the strips of land that they take, where the applicant states their width."""
    width_m = stated_width_m(attributes)
    if width_m is None or int(shapely.get_dimensions(located[0])) != 1:
        return located
    text = Text(
        en=f"The centreline was turned into a strip of {width_m:g} m ({ATTRIBUTE}).",
        zh=f"中心线已按线宽 {width_m:g} 米（{ATTRIBUTE}）转为占地范围。",
    )
    repairs.append(Remark("line-widened", text))
    return [strip_of(line, width_m) for line in located]


def _accuracy_note(attributes: Mapping[str, Any]) -> tuple[Remark, ...]:
    given = attributes.get("accuracy_m")
    value = number_or_none(given)
    if given is None or (value is not None and 0 <= value <= MOST_ACCURACY_M):
        return ()
    text = Text(
        en=f"'accuracy_m' was ignored (taken as 0): a number from 0 to {MOST_ACCURACY_M:g} m is "
        "admitted.",
        zh=f"“accuracy_m”未采用（按 0 计）：只接受 0～{MOST_ACCURACY_M:g} 米的数值。",
    )
    return (Remark("accuracy-ignored", text),)


_DATUM_NOTE: Final = Remark(
    "datum-not-provable",
    Text(
        en="Coordinates taken from web maps (GCJ-02, BD-09) lie 0.4 to 1.2 km off and cannot be "
        "recognised from the numbers; the applicant answers for CGCS2000.",
        zh="取自互联网地图的坐标（GCJ-02、BD-09）偏移约 0.4～1.2 公里，且无法由数值本身识别；"
        "坐标为 CGCS2000 由申请人负责。",
    ),
)


def _named_crs(feature: Mapping[str, Any]) -> str | None:
    """The CRS of a legacy ``crs`` member; a link is refused and never followed."""
    member = feature.get("crs")
    if member is None:
        return None
    name = None
    if isinstance(member, Mapping) and member.get("type") == "name":
        properties = member.get("properties")
        name = properties.get("name") if isinstance(properties, Mapping) else None
    if not isinstance(name, str):
        raise CrsRefused(
            "The 'crs' member must name a CRS, for example urn:ogc:def:crs:EPSG::4490; links are "
            "not followed.",
            "crs 成员须给出坐标系名称，例如 urn:ogc:def:crs:EPSG::4490；不接受链接。",
            code="crs-member",
        )
    return name


def _members(feature: Mapping[str, Any]) -> list[tuple[str, Any, Mapping[str, Any]]]:
    """(JSON pointer of the geometry, geometry, properties) of every parcel."""
    kind = feature.get("type")
    if kind == "FeatureCollection":
        features = feature.get("features")
        if not isinstance(features, list) or not features:
            raise BadInput("The collection has no features.", "要素集合为空。", code="empty")
        return [_member(inner, f"/features/{i}") for i, inner in enumerate(features)]
    if kind == "Feature":
        return [_member(feature, "")]
    return [("", feature, {})]


def _member(feature: Any, at: str) -> tuple[str, Any, Mapping[str, Any]]:
    if not isinstance(feature, Mapping) or feature.get("type") != "Feature":
        place = Place(at or "/", Text(en="a Feature is expected", zh="此处应为 Feature"))
        raise BadInput(f"{at}: a Feature is expected.", f"{at} 应为 Feature。", places=(place,))
    if feature.get("geometry") is None:
        place = Place(at + "/geometry", Text(en="no geometry", zh="缺少几何"))
        raise BadInput("The feature has no geometry.", "要素没有几何。", places=(place,))
    properties = feature.get("properties") or {}
    if not isinstance(properties, Mapping):
        place = Place(at + "/properties", Text(en="an object is expected", zh="此处应为对象"))
        raise BadInput("properties must be an object.", "properties 应为对象。", places=(place,))
    if fault := json_fault(dict(properties), at + "/properties"):
        raise fault
    for name, value in properties.items():
        if len(name) > LONGEST_NAME or (isinstance(value, str) and len(value) > LONGEST_TEXT):
            place = Place(f"{at}/properties/{name[:40]}", Text(en="too long", zh="过长"))
            raise LimitExceeded(
                f"An attribute has more than {LONGEST_TEXT:,} characters, or its name more than "
                f"{LONGEST_NAME}.",
                f"属性值超过 {LONGEST_TEXT:,} 个字符，或属性名超过 {LONGEST_NAME} 个字符。",
                places=(place,),
            )
    return at + "/geometry", feature["geometry"], properties


def _attributes(
    properties: list[Mapping[str, Any]],
) -> tuple[dict[str, Any], list[Remark]]:
    """One set of attributes for all parcels.

    Where parcels differ, or one does not say, the value is unknown: a parcel never borrows the
    answer of its neighbour. Names and documents are joined, declared areas added up.
    """
    merged: dict[str, Any] = {}
    notes = []
    for name in sorted({name for one in properties for name in one}):
        values = [one.get(name) for one in properties]
        agreed, merged[name] = _merge(name, values)
        if not agreed:
            text = Text(
                en=f"The parcels differ in '{name}', or one lacks it; it is taken as unknown.",
                zh=f"各地块的“{name}”不一致或有缺失，按未知处理。",
            )
            notes.append(Remark("parcels-differ", text))
    return merged, notes


def _merge(name: str, values: list[Any]) -> tuple[bool, Any]:
    """Whether the parcels agree, and on what."""
    given = {canonical(value): value for value in values if value is not None}
    if name == "name" and given:
        words = [str(value) for value in given.values()]
        return True, next(iter(given.values())) if len(words) == 1 else "、".join(words)
    if name == "documents" and given and all(isinstance(v, list) for v in given.values()):
        documents = {canonical(one): one for value in given.values() for one in value}
        return True, list(documents.values())
    if len(given) == 1 and None not in values and name != "declared_area_m2":
        return True, values[0]
    if name == "declared_area_m2" and all(type(value) in (int, float) for value in values):
        return True, values[0] if len(values) == 1 else sum(values)
    return (not given or len(values) == 1), (values[0] if len(values) == 1 else None)


def _locate(geometries: list[BaseGeometry], crs: Crs, region: Box) -> list[BaseGeometry]:
    """Bring the parcels to lon/lat and make sure that they lie in the region."""
    array = np.array(geometries, dtype=object)
    located = _try_storage(array, crs)
    outside = (
        f"Expected longitude {region[0]:g} to {region[2]:g}, latitude {region[1]:g} to "
        f"{region[3]:g}.",
        f"应在东经 {region[0]:g}～{region[2]:g}°、北纬 {region[1]:g}～{region[3]:g}° 范围内。",
    )
    if located is not None and _meets(located, region):
        return list(located)
    exchanged = _try_storage(swap_axes(array), crs)
    if exchanged is not None and _meets(exchanged, region):
        raise CrsRefused(
            "The axes are swapped: the coordinates stand in the order latitude/northing first. "
            "Give x (longitude, easting) before y (latitude, northing).",
            "坐标轴顺序颠倒：纬度（纵坐标、北）写在了前面。"
            "请按 x（经度、东）在前、y（纬度、北）在后提交。",
            code="swapped-axes",
        )
    if located is None:
        metres = crs.kind == "geographic"
        raise CrsRefused(
            f"The coordinates do not fit {crs.code}"
            + (": they look like metres; name the projected CRS. " if metres else ". ")
            + outside[0],
            f"坐标值与 {crs.code} 不符"
            + ("：看似以米为单位，请注明投影坐标系。" if metres else "。")
            + outside[1],
            code="outside-crs",
        )
    west, south, east, north = shapely.total_bounds(located)
    raise CrsRefused(
        f"The site lies outside the region (longitude {west:.4f} to {east:.4f}, latitude "
        f"{south:.4f} to {north:.4f}). {outside[0]} Check CRS, zone and axis order.",
        f"地块不在辖区内（经度 {west:.4f}～{east:.4f}°，纬度 {south:.4f}～{north:.4f}°）。"
        f"{outside[1]}请检查坐标系、分带与坐标轴顺序。",
        code="outside-region",
    )


def _try_storage(array: Any, crs: Crs) -> Any | None:
    """The geometries in lon/lat, or None where the numbers cannot be coordinates of the CRS."""
    located = to_storage(array, crs)
    coordinates = shapely.get_coordinates(located)
    fits = np.isfinite(coordinates) & (np.abs(coordinates) <= (180.0, 90.0))
    return located if bool(fits.all()) else None


def _meets(located: Any, region: Box) -> bool:
    return bool(shapely.intersects(located, shapely.box(*region)).any())


def _one(located: list[BaseGeometry], repairs: list[Remark]) -> BaseGeometry:
    """Snap, join the parcels, and bring rings and vertices into canonical order."""
    snapped = snap(np.array(located, dtype=object))
    if shapely.is_empty(snapped).any() or not shapely.is_valid(snapped).all():
        raise BadInput(
            "The site is thinner than the grid of 1 mm.",
            "地块比 1 毫米的坐标格网还窄。",
            code="thinner-than-grid",
        )
    if len(snapped) == 1:
        joined = snapped[0]
    else:
        joined = snap(np.array([shapely.union_all(snapped)], dtype=object))[0]
        text = Text(
            en=f"{len(snapped)} parcels were joined into one site.",
            zh=f"{len(snapped)} 个地块已合并为一个项目范围。",
        )
        repairs.append(Remark("parcels-joined", text))
    try:
        require_valid(joined, "/geometry")
    except GisError:
        joined = shapely.set_precision(joined, 1e-8)
    normal: BaseGeometry = shapely.normalize(shapely.remove_repeated_points(joined))
    return normal


def _digest(geometry: BaseGeometry, attributes: Mapping[str, Any]) -> str:
    """SHA-256 of the canonical JSON of the normalised geometry and the attributes."""
    content = {"geometry": geometry_json(geometry), "attributes": attributes}
    try:
        return sha256_of(content)
    except (ValueError, TypeError) as error:
        raise BadParameter(
            f"The attributes cannot be written as JSON: {error}",
            f"属性无法写成规范 JSON：{error}",
        ) from error
