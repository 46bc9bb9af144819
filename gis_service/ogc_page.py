"""What every page of the OGC API has: name, notice, language and the links at the top."""

from collections.abc import Mapping
from functools import cache
from typing import Any, Final

from starlette.requests import Request

from gis_service.problems import language_of
from gis_service.routes.requests import base_url, library_of
from planning_rules.html_template import html_template

_WORDS: Final[Mapping[str, tuple[str, str]]] = {
    "map": ("地图", "Map"),
    "collections": ("图层", "Collections"),
    "processes": ("处理服务", "Processes"),
    "jobs": ("任务", "Jobs"),
}


def ogc_page(
    request: Request, template: str, words: Mapping[str, tuple[str, str]], **values: Any
) -> str:
    """A page in the caller's language; ``words`` are Chinese and English, as ``word`` in it."""
    language = language_of(request)
    column = 0 if language == "zh" else 1
    config = library_of(request).config
    page: str = _template(template).render(
        address=base_url(request),
        service=config.title.in_language(language),
        notice=config.notice.in_language(language),
        word={name: both[column] for name, both in {**_WORDS, **words}.items()},
        language="zh-CN" if column == 0 else "en",
        **values,
    )
    return page


@cache
def _template(name: str) -> Any:
    return html_template("gis_service", name)
