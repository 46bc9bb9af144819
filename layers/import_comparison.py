"""A new content against the one that it will replace: is it shifted, did it shrink."""

import datetime
from typing import Final

import numpy as np
from psycopg.rows import dict_row

from layers import editions
from layers.crs_diagnosis import Shift, find_shift
from layers.database import Connection, statements
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
    shift = _shift(connection, content_id, in_force.content_id)
    shrunk = shrunk_issue(_compare(connection, report, content_id, in_force.content_id))
    found = (shift_issue(shift) if shift is not None else None, shrunk)
    return [issue for issue in found if issue is not None]


def _compare(
    connection: Connection, report: ImportReport, content_id: int, before: int
) -> Comparison:
    with connection.cursor(row_factory=dict_row) as cursor:
        (found,) = cursor.execute(
            _SQL["compare_contents"], {"content_id": before, "new_id": content_id}
        ).fetchall()
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
