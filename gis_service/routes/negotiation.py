"""Which form of a resource is asked for: ``f=`` first, then the Accept header, then the first."""

from collections.abc import Mapping

from starlette.requests import Request

from layers.errors import BadParameter


def form_asked(request: Request, offered: Mapping[str, str]) -> str:
    """The name of a form; ``offered`` is name to media type, the first one is the default.

    An Accept header that names none of them gets the default, as browsers' and scripts' do.
    """
    named = request.query_params.get("f")
    if named is not None:
        if named not in offered:
            raise BadParameter(
                f"f: '{named[:20]}' is not offered; choose one of {', '.join(offered)}.",
                f"f：不提供“{named[:20]}”；可选：{'、'.join(offered)}。",
                code="format-not-offered",
            )
        return named
    by_type = {media_type.split(";")[0]: name for name, media_type in [*offered.items()][::-1]}
    for accepted in _preferred(request.headers.get("accept", "")):
        if accepted in by_type:
            return by_type[accepted]
    return next(iter(offered))


def _preferred(accept: str) -> list[str]:
    """Media types of an Accept header, the most wanted first."""
    found = []
    for place, part in enumerate(accept.split(",")[:32]):
        media_type, *parameters = (piece.strip().lower() for piece in part.split(";"))
        weight = 1.0
        for parameter in parameters:
            name, _, value = parameter.partition("=")
            if name == "q":
                try:
                    weight = float(value)
                except ValueError:
                    weight = 0.0
        if weight > 0:
            found.append((-weight, place, media_type))
    return [media_type for _, _, media_type in sorted(found)]
