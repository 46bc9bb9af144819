"""A new content against the one that it will replace: is it shifted, did it shrink."""

import datetime
from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from layers import editions
from layers.crs_diagnosis import Shift, find_shift
from layers.database import Connection, row, statements
from layers.import_issues import Issue
from layers.import_report import Comparison, ImportReport, shift_issue, shrunk_issue

_SQL: Final = statements("layers", "import.sql")
_ROW_NUMBERS: Final = "ids-generated"


def against_force(
    connection: Connection, report: ImportReport, content_id: int, valid_from: datetime.date
) -> list[Issue]:
    """What is suspicious against the content in force on the day, else against the last one.

    ``content_id`` is a finished content, whole or a delta.
    """
    layer = report.layer
    for day in (valid_from, datetime.date.max):
        in_force = editions.contents_in_force(connection, [layer], day).get(layer)
        if in_force is not None:
            break
    else:
        return []
    before = in_force.content_id
    if before == content_id:
        return []
    relation = _relation(connection, content_id, before)
    shift = None if relation and relation["mostly_same"] else _shift(connection, content_id, before)
    found = _compared(connection, content_id, before, by_changes=relation is not None)
    shrunk = shrunk_issue(_comparison(report, found))
    issues = (shift_issue(shift) if shift is not None else None, shrunk)
    return [issue for issue in issues if issue is not None]


def _relation(connection: Connection, content_id: int, before: int) -> dict[str, Any] | None:
    """How two contents with the same base differ; None where they have not."""
    return row(connection, _SQL["relation"], content_id=before, new_id=content_id)


def _compared(
    connection: Connection, content_id: int, before: int, *, by_changes: bool
) -> dict[str, Any]:
    """Sums of both contents: from those kept of the base and the changes, else by reading all."""
    values = {"content_id": before, "new_id": content_id}
    if by_changes:
        found = row(connection, _SQL["compare_by_changes"], **values)
        if found is not None:
            return found
    return row(connection, _SQL["compare_contents"], **values) or {}


def _comparison(report: ImportReport, found: Mapping[str, Any]) -> Comparison:
    counts = found["issue_counts"]
    # Row numbers are no names: other rows carry the same ones in the next file. A content that
    # was not imported (the demo) says nothing about its ids.
    comparable = counts is not None and _ROW_NUMBERS not in {*counts, *report.issue_counts}
    return Comparison(
        features_before=found["features_before"],
        features_after=found["features_after"],
        area_m2_before=found["area_m2_before"] or 0.0,
        area_m2_after=found["area_m2_after"] or 0.0,
        ids_vanished=found["ids_vanished"] if comparable else None,
        length_lost=found["length_lost"],
        extent_lost=found["extent_lost"],
    )


def _shift(connection: Connection, content_id: int, before: int) -> Shift | None:
    pairs = np.array(
        connection.execute(
            _SQL["shifted_centroids"], {"content_id": before, "new_id": content_id}
        ).fetchall(),
        dtype=float,
    ).reshape(-1, 4)
    return find_shift(pairs[:, :2], pairs[:, 2:])
