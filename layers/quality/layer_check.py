"""All checks of one content: rows in cells, attributes here, geometry in the child."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, Final

import shapely

from layers.catalog import Catalog
from layers.crs import Box
from layers.database import rows
from layers.errors import GaveUp
from layers.quality.area_check import check_declared_areas
from layers.quality.attribute_check import AttributeCheck
from layers.quality.cell_check import (
    CellAnswer,
    check_cell,
    conclude_coverage,
    join_outlines,
    must_cover,
)
from layers.quality.cells import Cell, cells_of
from layers.quality.coverage_check import CellCoverage
from layers.quality.findings import CheckedLayer, Finding, Findings, found
from layers.quality.import_findings import UNKNOWN_CODE, NotedCodes, import_findings
from layers.quality.reading import LayerRows, Work, cell_rows
from layers.quality.record import SQL
from layers.text import Text

_PIXELS: Final = 900
"""Width of the report's map."""

Task = tuple[Cell, Callable[..., CellAnswer], tuple[Any, ...]]


def check_layer(
    work: Work, layer: LayerRows, catalog: Catalog, region: Box | None, findings: Findings
) -> bytes | None:
    """Check one content, add its findings, give a drawing of it (WKB)."""
    issues = rows(work.connection, SQL["import_issues"], content_id=layer.facts.content)
    noted = NotedCodes(issues)
    drawing = _LayerRun(work, layer, catalog, region, findings, noted).check_cells()
    findings.add_all(_duplicate_ids(work, layer))
    import_findings(layer.facts, issues, layer.issue_counts, noted, findings)
    return drawing


class _LayerRun:
    """The walk over the cells of one layer."""

    def __init__(
        self,
        work: Work,
        layer: LayerRows,
        catalog: Catalog,
        region: Box | None,
        findings: Findings,
        noted: NotedCodes,
    ) -> None:
        self.work, self.layer, self.region = work, layer, region
        self.findings, self.noted = findings, noted
        self.attributes = AttributeCheck(layer.facts, layer.definition, catalog)

    def check_cells(self) -> bytes | None:
        """All cells, then what they make together; gives the drawing."""
        boxes = self.layer.boxes(self.work.connection)
        if len(boxes) == 0:
            return None
        west, south, east, north = boxes.bounds
        pixel_deg = max(east - west, north - south, 1e-6) / _PIXELS
        cells = cells_of(boxes, self.work.levels.limits.cell_vertices)
        coverages: list[CellCoverage] = []
        outlines: list[bytes] = []
        unseen: list[Box] = []
        for cell, answer in self.work.each(self._tasks(cells, pixel_deg)):
            if isinstance(answer, GaveUp):
                unseen.append(cell.box)
                self.findings.add_all(not_checked(self.layer.facts, cell.box, answer))
                continue
            self.findings.add_all(answer.findings)
            if answer.coverage is not None:
                coverages.append(answer.coverage)
            if answer.outline is not None:
                outlines.append(answer.outline)
        self.findings.add_all(self.attributes.conclude())
        self._conclude(coverages, unseen, boxes.bounds)
        return self._drawing(outlines, pixel_deg)

    def _tasks(self, cells: list[Cell], pixel_deg: float) -> Iterator[Task]:
        for cell in cells:
            rows_here = self.layer.meeting(self.work.connection, cell.box)
            home = set(cell.home.tolist())
            for one in rows_here:
                if one["fid"] in home:
                    self._check_attributes(one)
            if not must_cover(self.layer.facts):
                rows_here = [one for one in rows_here if one["fid"] in home]
            arguments = (
                self.layer.facts, cell_rows(cell.box, rows_here, home), self.region, pixel_deg,
            )  # fmt: skip
            yield cell, check_cell, arguments

    def _check_attributes(self, one: dict[str, Any]) -> None:
        place = round(one["lon"], 8), round(one["lat"], 8)
        feature_id, attributes = one["feature_id"], one["attributes"]
        for finding in self.attributes.check(feature_id, attributes, place):
            if finding.code == UNKNOWN_CODE and self.noted.claim(feature_id, finding.value):
                finding = replace(finding, origin="import")
            self.findings.add(finding)
        self.findings.add_all(
            check_declared_areas(
                self.layer.facts, self.layer.definition, feature_id, attributes, one["area_m2"],
                place,
            )
        )  # fmt: skip

    def _conclude(self, coverages: list[CellCoverage], unseen: list[Box], bounds: Box) -> None:
        if not coverages:
            return
        found_here = self.work.conclude(conclude_coverage, self.layer.facts, coverages, unseen)
        if isinstance(found_here, GaveUp):
            found_here = not_checked(self.layer.facts, bounds, found_here)
        self.findings.add_all(found_here)

    def _drawing(self, outlines: list[bytes], pixel_deg: float) -> bytes | None:
        if not outlines:
            return None
        drawing = self.work.conclude(join_outlines, outlines, pixel_deg)
        return None if isinstance(drawing, GaveUp) else drawing


def not_checked(layer: CheckedLayer, box: Box, error: GaveUp) -> list[Finding]:
    """A place that could not be checked: nobody may take it for clean."""
    west, south, east, north = box
    shape = shapely.box(*box)
    return found(
        layer,
        "not-checked",
        Text(
            zh=f"此范围内的要素未能检查：{error.text.zh}",
            en=f"The features here could not be checked: {error.text.en}",
        ),
        geometry=bytes(shapely.to_wkb(shape)),
        place=((west + east) / 2, (south + north) / 2),
    )


def _duplicate_ids(work: Work, layer: LayerRows) -> Iterator[Finding]:
    for one in rows(work.connection, SQL["duplicate_ids"], **layer.key):
        names = ", ".join(f"'{name}'" for name in one["feature_ids"][:10])
        yield from found(
            layer.facts,
            "duplicate-id",
            Text(
                zh=f"要素编号只有大小写或空格之差：{names}。",
                en=f"Feature ids that differ in case or blanks only: {names}.",
            ),
            feature_ids=tuple(one["feature_ids"]),
            field=layer.definition.id_attribute,
            place=(one["lon"], one["lat"]),
        )
