"""The forms of a report other than JSON, its master: HTML, PDF, XLSX, GeoJSON, GeoPackage.

Each is made from the JSON alone, in a child that can be killed (a report may hold thousands of
patches), and says nothing that the JSON does not say.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from layers.errors import NotFound
from layers.sandbox import Sandbox
from planning_rules.sketch import Ground

_DEADLINE_S: Final = 120.0


@dataclass(frozen=True, slots=True)
class ReportForm:
    """One form: suffix, media type, and who writes it (report, language, verify address).

    One that shows maps also takes the grounds of its drawings.
    """

    suffix: str
    media_type: str
    write: Callable[..., bytes]
    has_maps: bool = False


Grounds = Mapping[str, Ground]


def _html(
    report: Mapping[str, Any], language: str, verify_url: str | None, grounds: Grounds
) -> bytes:
    from planning_rules.report_html import render_html

    return render_html(report, language, verify_url, grounds).encode()


def _pdf(
    report: Mapping[str, Any], language: str, verify_url: str | None, grounds: Grounds
) -> bytes:
    from gis_service.report_forms.pdf import write_pdf

    return write_pdf(report, language, verify_url, grounds)


def _xlsx(report: Mapping[str, Any], language: str, verify_url: str | None) -> bytes:
    from gis_service.report_forms.xlsx import write_xlsx

    return write_xlsx(report, language, verify_url)


def _geojson(report: Mapping[str, Any], language: str, verify_url: str | None) -> bytes:
    from gis_service.report_forms.geojson import write_geojson

    return write_geojson(report, language, verify_url)


def _geopackage(report: Mapping[str, Any], language: str, verify_url: str | None) -> bytes:
    from gis_service.report_forms.geopackage import write_geopackage

    return write_geopackage(report, language, verify_url)


FORMS: Final = {
    form.suffix: form
    for form in (
        ReportForm("html", "text/html", _html, has_maps=True),
        ReportForm("pdf", "application/pdf", _pdf, has_maps=True),
        ReportForm(
            "xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", _xlsx
        ),
        ReportForm("geojson", "application/geo+json", _geojson),
        ReportForm("gpkg", "application/geopackage+sqlite3", _geopackage),
    )
}


def form_of(suffix: str) -> ReportForm:
    """The form with that suffix, or ``NotFound`` with those there are."""
    if suffix not in FORMS:
        names = ", ".join(("json", *FORMS))
        raise NotFound(
            f"A report has no form '{suffix}'. Forms: {names}.",
            f"报告没有“{suffix}”形式。可用：{names}。",
        )
    return FORMS[suffix]


def render(
    sandbox: Sandbox,
    report: Mapping[str, Any],
    form: ReportForm,
    language: str,
    verify_url: str | None,
    grounds: Grounds | None = None,
) -> bytes:
    """The bytes of a form; ``GaveUp`` where the child ran out of time or memory.

    ``grounds`` (``report_forms.grounds``) lie under the drawings of forms that have maps.
    """
    more = (grounds or {},) if form.has_maps else ()
    work = partial(form.write, report, language, verify_url, *more)
    return sandbox.run(work, deadline_s=_DEADLINE_S)
