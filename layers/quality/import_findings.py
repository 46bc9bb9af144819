"""Issues of the import as findings: one list, so that nobody has to read two reports."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

import shapely

from layers.import_issues import Severity
from layers.quality.findings import CheckedLayer, CountKey, Finding, Findings
from layers.text import Text

UNKNOWN_CODE: Final = "unknown-code"
_PLACED_CODES: Final = frozenset(
    {"geometry-invalid", "geometry-repaired", "conversion-mended", "outside-region"}
)
"""Codes whose value is a place: ``lon lat`` or ``west south east north``."""


class NotedCodes:
    """Unknown codes that the import has noted already; the edition's check sees them again."""

    def __init__(self, issues: Sequence[Mapping[str, Any]]) -> None:
        """Take the issues of one content."""
        self._open = {
            (issue["feature_id"], issue["value"])
            for issue in issues
            if issue["code"] == UNKNOWN_CODE and issue["feature_id"] is not None
        }

    def claim(self, feature_id: str, value: str | None) -> bool:
        """Whether the import noted this one; it is then no longer left over."""
        key = (feature_id, value)
        if key not in self._open:
            return False
        self._open.discard(key)
        return True

    def is_left(self, issue: Mapping[str, Any]) -> bool:
        """Whether nobody claimed the issue (a code that has come into the list since)."""
        return (issue["feature_id"], issue["value"]) in self._open


def import_findings(
    layer: CheckedLayer,
    issues: Sequence[Mapping[str, Any]],
    whole_counts: Mapping[str, int],
    noted: NotedCodes,
    findings: Findings,
) -> None:
    """Add the issues of a content; its counts are whole where the import kept only the first."""
    listed: Counter[str] = Counter()
    worst: dict[str, Severity] = {}
    for issue in issues:
        code, severity = issue["code"], issue["severity"]
        listed[code] += 1
        if worst.get(code) != "blocking":
            worst[code] = severity
        stored = issue["feature_id"] is not None
        if code == UNKNOWN_CODE and stored and not noted.is_left(issue):
            continue
        findings.add(_finding(layer, issue))
    for code, count in whole_counts.items():
        if code != UNKNOWN_CODE and count > listed[code]:
            # In doubt the worse: of the issues that were not kept only the number is known.
            key = CountKey(layer.layer, code, "import", worst.get(code, "blocking"))
            findings.count_more(key, count - listed[code])


def _finding(layer: CheckedLayer, issue: Mapping[str, Any]) -> Finding:
    shape = _place_of(issue)
    place = None if shape is None else shapely.point_on_surface(shape)
    if place is None and issue["lon"] is not None:
        place = shapely.Point(issue["lon"], issue["lat"])
    return Finding(
        code=issue["code"],
        severity=issue["severity"],
        layer=layer.layer,
        content=layer.content,
        reason=Text.model_validate(issue["reason"]),
        origin="import",
        feature_ids=(issue["feature_id"],) if issue["feature_id"] is not None else (),
        row=issue["source_row"],
        field=issue["field"],
        value=issue["value"],
        geometry=bytes(shapely.to_wkb(shape)) if shape is not None else None,
        place=(place.x, place.y) if place is not None else None,
    )


def _place_of(issue: Mapping[str, Any]) -> shapely.Geometry | None:
    """The point or box in an issue's value, if its code writes one."""
    if issue["code"] not in _PLACED_CODES or not issue["value"]:
        return None
    try:
        numbers = [float(word) for word in issue["value"].split()]
    except ValueError:
        return None
    if not all(map(math.isfinite, numbers)):
        return None
    if len(numbers) == 2:
        return shapely.Point(numbers)
    if len(numbers) == 4:
        west, south, east, north = numbers
        return shapely.box(west, south, east, north)
    return None
