"""The forms of a comparison of plans: JSON, GeoJSON, GeoPackage with styles, workbook of totals.

All are made from the report and its patches alone. The workbook and the JSON list no more patches
than the report does; the map layers hold all of them.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from layers.errors import NotFound

COLOURS: Final = {
    "conflict": "#a3161b", "undetermined": "#57606a", "conditional": "#b58900",
    "accuracy-difference": "#6b3fa0", "sliver": "#9a6700",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Drawn:
    """A comparison as its forms take it: report, all patches, contacts and ground without data.

    Rows may be more than memory holds; they are read in their order, once a form.
    """

    report: Mapping[str, Any]
    patches: Iterable[Mapping[str, Any]]
    touches: Iterable[Mapping[str, Any]]
    gaps: Iterable[Mapping[str, Any]]


def _json(drawn: Drawn, path: Path, language: str) -> None:
    import orjson

    path.write_bytes(orjson.dumps(drawn.report, option=orjson.OPT_INDENT_2))


def _geojson(drawn: Drawn, path: Path, language: str) -> None:
    from gis_service.comparison_forms.map_files import write_geojson

    write_geojson(drawn, path, language)


def _geopackage(drawn: Drawn, path: Path, language: str) -> None:
    from gis_service.comparison_forms.map_files import write_geopackage

    write_geopackage(drawn, path, language)


def _xlsx(drawn: Drawn, path: Path, language: str) -> None:
    from gis_service.comparison_forms.workbook import write_workbook

    write_workbook(drawn.report, path, language)


@dataclass(frozen=True, slots=True)
class ComparisonForm:
    """One form: suffix, media type, and who writes the file."""

    suffix: str
    media_type: str
    write: Callable[[Drawn, Path, str], None]


FORMS: Final = {
    form.suffix: form
    for form in (
        ComparisonForm("json", "application/json", _json),
        ComparisonForm("geojson", "application/geo+json", _geojson),
        ComparisonForm("gpkg", "application/geopackage+sqlite3", _geopackage),
        ComparisonForm(
            "xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", _xlsx
        ),
    )
}


def form_of(suffix: str) -> ComparisonForm:
    """The form with that suffix, or ``NotFound`` with those there are."""
    if suffix not in FORMS:
        names = ", ".join(FORMS)
        raise NotFound(
            f"A comparison has no form '{suffix}'. Forms: {names}.",
            f"规划比对没有“{suffix}”形式。可用：{names}。",
        )
    return FORMS[suffix]
