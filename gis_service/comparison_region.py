"""Where plans are compared: an administrative unit, a box, or a polygon; everywhere if not said."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import shapely

from gis_service.library import Library
from layers.comparison_rows import ContentRows, polygon_wkb
from layers.crs import Box
from layers.database import Connection
from layers.editions import Content
from layers.errors import BadParameter, NotFound
from planning_rules.submission import read_submission

_DEADLINE_S: Final = 60.0
_CODE_DIGITS: Final = 2

RegionRequest = str | Mapping[str, Any]
"""A code of administrative units (``460105``, or ``4601`` for all that begin so), four numbers
``west,south,east,north`` in degrees, or a GeoJSON polygon."""


@dataclass(frozen=True, slots=True)
class Region:
    """The ground that is asked for (WKB, lon/lat), its box, and how a report names it."""

    name: str
    box: Box
    wkb: bytes


def region_of(
    library: Library, connection: Connection, units: Content | None, asked: RegionRequest
) -> Region:
    """The region that somebody asks for; ``units`` is the layer of administrative units."""
    if isinstance(asked, Mapping):
        return _drawn(library, asked)
    if "," in asked:
        return _boxed(asked)
    if asked.isdigit() and len(asked) >= _CODE_DIGITS:
        return _unit(library, connection, units, asked)
    raise BadParameter(
        f"The region '{asked}' is no code of an administrative unit and no west,south,east,north.",
        f"区域“{asked}”既不是行政区划代码，也不是 西,南,东,北 四个数值。",
    )


def _boxed(asked: str) -> Region:
    try:
        west, south, east, north = (float(side) for side in asked.split(","))
    except ValueError:
        raise _bad_box(asked) from None
    if not (-180 <= west < east <= 180 and -90 <= south < north <= 90):
        raise _bad_box(asked)
    return Region(asked, (west, south, east, north), _wkb(shapely.box(west, south, east, north)))


def _bad_box(asked: str) -> BadParameter:
    return BadParameter(
        f"The region '{asked}' is no west,south,east,north in degrees.",
        f"区域“{asked}”不是以度为单位的 西,南,东,北。",
    )


def _drawn(library: Library, asked: Mapping[str, Any]) -> Region:
    """A polygon of a caller is read in the child, as a submission is."""
    feature = dict(asked) if asked.get("type") == "Feature" else {
        "type": "Feature", "properties": {}, "geometry": dict(asked),
    }  # fmt: skip
    read = library.sandbox.run(
        partial(read_submission, region_bbox=library.config.region.bbox),
        {**feature, "properties": {}},
        deadline_s=_DEADLINE_S,
    )
    if shapely.get_dimensions(read.geometry) != 2:
        raise BadParameter("The region must be a polygon.", "区域应为面。")
    return Region(f"sha256:{read.sha256}", _box(read.geometry), _wkb(read.geometry))


def _unit(library: Library, connection: Connection, units: Content | None, code: str) -> Region:
    if units is None:
        raise NotFound(
            "No administrative units are in force; give the region as west,south,east,north.",
            "没有生效的行政区划数据；请以 西,南,东,北 给出区域。",
        )
    rows = ContentRows.of(connection, units.content_id)
    fids, classes, values = rows.class_values("admin_code", "admin_code")
    wanted = {i for i, (value, _) in enumerate(values) if value and value.startswith(code)}
    chosen = [int(f) for f, c in zip(fids, classes, strict=True) if int(c) in wanted]
    if not chosen:
        known = ", ".join(sorted({value for value, _ in values if value}))
        raise NotFound(
            f"There is no administrative unit {code}. Units: {known}.",
            f"没有行政区 {code}。现有：{known}。",
        )
    blob = library.sandbox.run(polygon_wkb, rows.outline(chosen), deadline_s=_DEADLINE_S)
    return Region(code, _box(shapely.from_wkb(blob)), blob)


def _box(geometry: Any) -> Box:
    west, south, east, north = geometry.bounds
    return west, south, east, north


def _wkb(geometry: Any) -> bytes:
    return bytes(shapely.to_wkb(geometry))
