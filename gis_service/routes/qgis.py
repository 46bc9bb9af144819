"""What planners take into QGIS: a project of all layers that this process shows."""

import hashlib
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gis_service.qgis_project import MEDIA_TYPE, ProjectAsked, project_archive
from gis_service.routes.requests import base_url, library_of, refuse_unknown


def project(request: Request) -> Response:
    """The project, in Chinese unless ``lang=en`` asks otherwise."""
    refuse_unknown(request, ("tk",))
    library = library_of(request)
    asked = ProjectAsked(
        catalog=library.catalog,
        address=base_url(request),
        title=library.config.title,
        bbox=library.config.region.bbox,
        language="en" if request.query_params.get("lang", "zh").startswith("en") else "zh",
    )
    body = project_archive(asked)
    etag = f'"{hashlib.sha256(body).hexdigest()[:24]}"'
    headers = {
        "ETag": etag,
        "Cache-Control": "no-cache",
        "Content-Disposition": 'attachment; filename="project.qgz"',
    }
    if request.headers.get("if-none-match") == etag:
        return Response(status_code=304, headers=headers)
    return Response(body, headers=headers, media_type=MEDIA_TYPE)


ROUTES: Final = [Route("/qgis/project.qgz", project)]
"""Before the doors of tianditu, whose paths begin with any word."""
