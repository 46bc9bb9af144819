"""The report as one HTML page: readable, printable on A4, without scripts or outside resources."""

import datetime
from collections.abc import Mapping
from functools import cache
from typing import Any, Final

from shapely.geometry.base import BaseGeometry

from gis_service.quality_report.document import Document
from gis_service.quality_report.finding_map import finding_map
from gis_service.quality_report.words import words_in
from layers.text import Text
from planning_rules.html_template import html_template

SHOWN_PER_KIND: Final = 200
_ICONS: Final = {"blocked": "✕", "incomplete": "?", "advisory": "!", "clean": "✓"}


def render_html(
    document: Document,
    drawings: Mapping[str, BaseGeometry],
    language: str,
    *,
    notice: Text | None = None,
    address: str | None = None,
) -> str:
    """The page in Chinese (``zh``) or English.

    ``address`` is where the service is reached (for links to the map and the other forms); None
    for a file. ``notice`` stands over reports of synthetic editions.
    """
    # The large ones at the bottom.
    drawings = dict(sorted(drawings.items(), key=lambda pair: -float(pair[1].area)))
    titles = {one["layer"]: one["title"] for one in document["layers"]}
    key = "zh" if language.lower().startswith("zh") else "en"
    page: str = _template().render(
        report=document,
        kinds=_kinds(document),
        word=words_in(language),
        key=key,
        language="zh-CN" if key == "zh" else "en",
        icon=_ICONS[document["outcome"]],
        picture=finding_map(drawings, document["findings"]),
        drawn=[titles[name] for name in drawings],
        notice=notice,
        address=address,
        shown=SHOWN_PER_KIND,
    )
    return page


def _kinds(document: Document) -> list[dict[str, Any]]:
    """Findings by kind and layer, what blocks first; each with its whole count."""
    kinds: dict[tuple[str, ...], dict[str, Any]] = {}
    ordered = sorted(
        document["counts"], key=lambda one: (one["severity"] != "blocking", one["layer"])
    )
    names = ("layer", "code", "origin", "severity")
    for one in ordered:
        kinds[tuple(one[name] for name in names)] = {**one, "findings": []}
    for finding in document["findings"]:
        kinds[tuple(finding[name] for name in names)]["findings"].append(finding)
    return list(kinds.values())


@cache
def _template() -> Any:
    return html_template(
        "gis_service.quality_report", "quality.html.j2",
        figure=_figure, zoom=_zoom, moment=_moment,
    )  # fmt: skip


def _figure(value: float | None) -> str:
    """A number with its thousands apart; small ones keep three digits."""
    if value is None:
        return "—"
    if value and abs(value) < 1:
        return f"{value:.3g}"
    return f"{value:,.2f}"


def _moment(text: str) -> str:
    """A moment to the minute, in universal time."""
    moment = datetime.datetime.fromisoformat(text).astimezone(datetime.UTC)
    return moment.strftime("%Y-%m-%d %H:%M UTC")


def _zoom(finding: Document) -> int:
    """The zoom at which the finding is to be looked at."""
    measured = finding["measured"]
    large = bool(measured and measured["unit"] == "m2" and abs(measured["value"]) > 1e6)
    return 13 if large else 17
