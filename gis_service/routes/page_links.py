"""Links of a page to itself and its neighbours: the request's own address, some parameters new."""

from urllib.parse import urlencode

from starlette.requests import Request

from gis_service.routes.requests import base_url


def page_link(request: Request, rel: str, media_type: str, **changes: str | None) -> dict[str, str]:
    """A link with parameters changed or (None) dropped."""
    parameters = [(k, v) for k, v in request.query_params.multi_items() if k not in changes]
    parameters += [(k, v) for k, v in changes.items() if v is not None]
    query = urlencode(parameters, safe=":/,")
    address = f"{base_url(request)}{request.url.path}" + (f"?{query}" if query else "")
    return {"href": address, "rel": rel, "type": media_type}
