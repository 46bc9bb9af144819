"""Overlaps between layers that exclude each other: the three control lines.

Which layers is data (``control_lines`` in ``config/quality.yml``). A layer that the edition does
not bring is taken as it is in force on the edition's first day, of the same plan or of another;
where it has none, that is said and nothing passes.
"""

import datetime
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from layers.catalog import Catalog
from layers.crs import Box
from layers.database import row
from layers.errors import GaveUp
from layers.quality.cell_check import conclude_pair, pairs_in_cell
from layers.quality.cells import Cell, cells_of
from layers.quality.findings import CheckedLayer, Finding, Findings, found
from layers.quality.layer_check import not_checked
from layers.quality.overlaps import PairPart
from layers.quality.reading import LayerRows, Work, cell_rows
from layers.quality.record import SQL
from layers.text import Text

_CODES: Final = ("control-line-overlap", "control-line-overlap-sliver")
Task = tuple[Cell, Callable[..., list[PairPart]], tuple[Any, ...]]


def compare_control_lines(
    work: Work,
    catalog: Catalog,
    checked: Sequence[LayerRows],
    valid_from: datetime.date,
    findings: Findings,
) -> Mapping[str, Mapping[str, int]]:
    """Compare the pairs that concern the edition; give the contents of other editions used."""
    own = {one.facts.layer: one for one in checked}
    counterparts: dict[str, dict[str, int]] = {}
    for pair in work.levels.control_lines:
        names = sorted(pair.layers, key=lambda name: name not in own)
        if names[0] not in own or not own[names[0]].facts.levels.asks(*_CODES):
            continue
        first, second = own[names[0]], own.get(names[1])
        if second is None:
            content = row(
                work.connection, SQL["counterpart"], layer_id=names[1], valid_from=valid_from
            )
            if content is None:
                findings.add_all(_missing(first.facts, catalog, names[1], valid_from))
                continue
            second = LayerRows.of(work.connection, catalog, work.levels, content)
            counterparts[names[1]] = {
                "edition": content["edition_id"],
                "content": content["content_id"],
            }
            if second.blocking_issues:
                findings.add_all(_incomplete(first.facts, second))
        findings.add_all(_compare(work, first, second))
    return counterparts


def _missing(
    layer: CheckedLayer, catalog: Catalog, other: str, day: datetime.date
) -> list[Finding]:
    title = catalog.layer(other).title
    return found(
        layer,
        "counterpart-missing",
        Text(
            zh=f"“{title.zh}”在 {day} 没有生效的版本，未与其比较。",
            en=f"'{title.en}' has no edition in force on {day}; nothing was compared with it.",
        ),
        value=other,
    )


def _incomplete(layer: CheckedLayer, other: LayerRows) -> list[Finding]:
    title, count = other.definition.title, other.blocking_issues
    return found(
        layer,
        "counterpart-incomplete",
        Text(
            zh=f"“{title.zh}”导入时有 {count} 个阻断性问题；其缺失部分未能比较。",
            en=f"'{title.en}' was imported with blocking issues ({count}); what it lacks could not "
            "be compared.",
        ),
        other=other.facts,
        value=other.facts.layer,
    )


def _compare(work: Work, first: LayerRows, second: LayerRows) -> list[Finding]:
    """Cell by cell of the part that both layers' boxes have in common."""
    both = [one.boxes(work.connection) for one in (first, second)]
    if not all(len(boxes) for boxes in both):
        return []
    common = _common(both[0].bounds, both[1].bounds)
    if common is None:
        return []
    cells = cells_of(both[0].meeting(common), work.levels.limits.cell_vertices, common)
    parts: list[PairPart] = []
    findings: list[Finding] = []
    for cell, answer in work.each(_tasks(work, first, second, cells)):
        if isinstance(answer, GaveUp):
            findings += not_checked(first.facts, cell.box, answer)
        else:
            parts += answer
    accuracy_m = math.hypot(first.facts.accuracy_m, second.facts.accuracy_m)
    overlaps = work.conclude(conclude_pair, first.facts, second.facts, parts, accuracy_m)
    if isinstance(overlaps, GaveUp):
        return [*findings, *not_checked(first.facts, common, overlaps)]
    return [*findings, *overlaps]


def _tasks(
    work: Work, first: LayerRows, second: LayerRows, cells: Sequence[Cell]
) -> Iterator[Task]:
    for cell in cells:
        one, two = (layer.meeting(work.connection, cell.box) for layer in (first, second))
        if one and two:
            sides = (cell_rows(cell.box, one, set()), cell_rows(cell.box, two, set()))
            yield cell, pairs_in_cell, (cell.box, *sides)


def _common(one: Box, two: Box) -> Box | None:
    west, south = max(one[0], two[0]), max(one[1], two[1])
    east, north = min(one[2], two[2]), min(one[3], two[3])
    return (west, south, east, north) if west < east and south < north else None
