"""Pages of features for people: a table, and a drawing of the places that asks no other host."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

import shapely
from shapely.geometry import shape
from starlette.requests import Request

from gis_service.ogc_page import ogc_page
from gis_service.problems import language_of
from gis_service.shown import Shown

_WORDS: Final[Mapping[str, tuple[str, str]]] = {
    "of": ("共", "of"),
    "next": ("下一页", "Next page"),
    "other_forms": ("其他格式", "Other forms"),
    "id": ("编号", "Id"),
    "draft": ("草稿，尚未发布", "Draft, not published"),
    "no_features": ("没有符合条件的要素。", "No feature matches."),
}
_WIDTH: Final = 640.0
_COLUMNS: Final = 6


def items_page(
    request: Request,
    shown: Shown,
    features: Sequence[Mapping[str, Any]],
    links: Sequence[Mapping[str, str]],
    matched: int | None,
) -> str:
    """A page of features as HTML; the drawing is in the CRS that was asked for."""
    return _page(request, shown, features, links, matched=matched, single=False)


def item_page(
    request: Request,
    shown: Shown,
    feature: Mapping[str, Any],
    links: Sequence[Mapping[str, str]],
) -> str:
    """One feature as HTML."""
    return _page(request, shown, [feature], links, matched=1, single=True)


def _page(
    request: Request,
    shown: Shown,
    features: Sequence[Mapping[str, Any]],
    links: Sequence[Mapping[str, str]],
    *,
    matched: int | None,
    single: bool,
) -> str:
    language = language_of(request)
    attributes = shown.layer.kept_attributes
    return ogc_page(
        request,
        "items.html.j2",
        _WORDS,
        collection=shown.id,
        title=shown.layer.title.in_language(language),
        is_draft=shown.is_draft,
        features=features,
        single=single,
        matched=matched,
        attributes=[
            (one.name, one.title.in_language(language))
            for one in (attributes if single else attributes[:_COLUMNS])
        ],
        links=[link for link in links if link["rel"] == "alternate"],
        next_link=next((link["href"] for link in links if link["rel"] == "next"), None),
        drawing=_drawing(features),
    )


def _drawing(features: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """SVG paths of the features, in a box of their own; None where nothing has a place."""
    places = [(f["id"], shape(f["geometry"])) for f in features if f.get("geometry")]
    if not places:
        return None
    west, south, east, north = shapely.total_bounds([place for _, place in places])
    # Degrees of longitude are shorter than those of latitude; metres are drawn as they are.
    degrees = max(abs(west), abs(east)) <= 180 and max(abs(south), abs(north)) <= 90
    squeeze = math.cos(math.radians((south + north) / 2)) if degrees else 1.0
    side = max((east - west) * squeeze, north - south) or 1e-4
    scale = _WIDTH / side
    height = max(40.0, (north - south) * scale)
    drawn = [
        (name, _path(shapely.simplify(place, side / 2000), west, north, scale * squeeze, scale))
        for name, place in places
    ]
    return {"paths": drawn, "width": _WIDTH, "height": round(height, 1)}


def _path(
    place: shapely.Geometry, west: float, north: float, scale_x: float, scale_y: float
) -> str:
    parts = []
    for one in shapely.get_parts(place):
        rings = [one.exterior, *one.interiors] if one.geom_type == "Polygon" else [one]
        for ring in rings:
            points = shapely.get_coordinates(ring)
            steps = (f"{(x - west) * scale_x:.1f} {(north - y) * scale_y:.1f}" for x, y in points)
            closed = "Z" if one.geom_type == "Polygon" else ""
            dot = "l0.1 0" if one.geom_type == "Point" else ""
            parts.append("M" + "L".join(steps) + dot + closed)
    return "".join(parts)
