"""What applies here: all plans at a place, for the map's click and for people who ask."""

from typing import Any, Final
from urllib.parse import quote

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gis_service.library import LayerInForce, Library
from gis_service.pictures import Pictures
from gis_service.routes.requests import library_of, number, refuse_unknown
from layers.catalog import Attribute, CodeList, Layer
from layers.errors import BadParameter
from layers.features import at_place, covered_at

_TOLERANCE_PX: Final = 6
_TILE_PX: Final = 512
_WIDEST_DEG: Final = 0.05


def identify(request: Request) -> Response:
    """Every open layer at lon/lat: its features, "nothing", or "no-data"."""
    refuse_unknown(request, ("lon", "lat", "zoom", "as_of"))
    library = library_of(request)
    pictures: Pictures = request.app.state.pictures
    picture = pictures.asked(request)
    lon, lat = number(request, "lon"), number(request, "lat")
    zoom = number(request, "zoom") if "zoom" in request.query_params else 14.0
    if not (-180 <= lon <= 180 and -90 <= lat <= 90 and 0 <= zoom <= 24):
        raise BadParameter(
            "lon is -180..180, lat -90..90, zoom 0..24.",
            "lon 应在 -180..180，lat 应在 -90..90，zoom 应在 0..24。",
        )
    radius_deg = min(_TOLERANCE_PX * 360 / (_TILE_PX * 2**zoom), _WIDEST_DEG)
    contents = {
        layer.id: content
        for layer in library.visible_layers()
        if (content := picture.layers.get(layer.id)) is not None
    }
    numbers = [content.content_id for content in contents.values()]
    with library.pool.connection() as connection:
        found = at_place(connection, numbers, lon, lat, radius_deg)
        covered = covered_at(connection, numbers, lon, lat)
    features: dict[int, dict[str, dict[str, Any]]] = {}
    for one in found:
        features.setdefault(one["content_id"], {})[one["feature_id"]] = one
    day = request.query_params.get("as_of")
    body = {
        "lon": lon,
        "lat": lat,
        "as_of": picture.as_of.isoformat(),
        "plans": [
            {
                "id": plan.id,
                "title": plan.title.model_dump(),
                "edition": next(
                    (contents[one.id].edition_id for one in plan.layers if one.id in contents),
                    None,
                ),
                "layers": [
                    _layer_answer(library, layer, contents.get(layer.id), features, covered, day)
                    for layer in plan.layers
                ],
            }
            for plan in library.catalog.plans
        ],
    }
    return Response(
        orjson.dumps(body), media_type="application/json", headers={"Cache-Control": "no-cache"}
    )


def _layer_answer(
    library: Library,
    layer: Layer,
    content: LayerInForce | None,
    features: dict[int, dict[str, dict[str, Any]]],
    covered: set[int],
    day: str | None,
) -> dict[str, Any]:
    here = features.get(content.content_id, {}) if content else {}
    if here:
        state = "features"
    elif content is not None and content.content_id in covered:
        state = "nothing"
    else:
        state = "no-data"  # never said as "nothing": we do not know
    return {
        "id": layer.id,
        "title": layer.title.model_dump(),
        "state": state,
        "features": [_feature_answer(library, layer, one, day) for one in here.values()],
    }


def _feature_answer(
    library: Library, layer: Layer, feature: dict[str, Any], day: str | None
) -> dict[str, Any]:
    values: dict[str, Any] = feature["attributes"]
    name = str(values.get(layer.label or "", "") or feature["feature_id"])
    attributes = []
    for attribute in layer.kept_attributes:
        value = values.get(attribute.name)
        if value is None:
            continue
        code_list = _code_list(library, attribute, values)
        code = code_list.find(str(value)) if code_list else None
        attributes.append(
            {
                "name": attribute.name,
                "title": attribute.title.model_dump(),
                "value": value,
                "label": code.title.model_dump() if code else None,
                "unit": attribute.unit,
            }
        )
    return {
        "feature_id": feature["feature_id"],
        "title": {"zh": name, "en": name},
        "area_m2": round(feature["area_m2"], 2) if feature["area_m2"] is not None else None,
        "href": f"/ogc/collections/{layer.id}/items/{quote(feature['feature_id'], safe='')}"
        + (f"?datetime={day}" if day else ""),
        "attributes": attributes,
    }


def _code_list(library: Library, attribute: Attribute, values: dict[str, Any]) -> CodeList | None:
    """The list that explains a value: of the feature's own scheme where it states one.

    The same digits mean other things in another scheme, so an unknown scheme explains nothing.
    """
    if attribute.codes is None:
        return None
    scheme = values.get("code_scheme")
    if attribute.name == "landuse_code" and scheme:
        return library.catalog.code_list_of_scheme(scheme)
    return library.catalog.code_list(attribute.codes)


ROUTES: Final = [Route("/identify", identify)]
