"""What the child does with one cell of a layer, and with what all its cells said."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import shapely

from layers.area import area_m2
from layers.crs import Box, GeometryArray
from layers.quality.coverage_check import CellCoverage, Gap, cell_coverage, gaps_of
from layers.quality.findings import CheckedLayer, Finding, found
from layers.quality.overlaps import Overlap, PairPart, join_pairs, overlaps_in_cell
from layers.quality.shape_check import check_shapes
from layers.quality.widths import place_in, polygons_of
from layers.text import Text


class CellRows(NamedTuple):
    """Features that meet a cell, by number; ``home`` says whose centre lies in it."""

    box: Box
    ids: list[str]
    wkbs: list[bytes]
    home: list[bool]


class CellAnswer(NamedTuple):
    """Findings of single features, what the coverage check needs of the cell, an outline."""

    findings: list[Finding]
    coverage: CellCoverage | None
    outline: bytes | None


def check_cell(
    layer: CheckedLayer, rows: CellRows, region: Box | None, pixel_deg: float
) -> CellAnswer:
    """Check the features of one cell; ``pixel_deg`` is the detail that the outline keeps."""
    shapes = shapely.from_wkb(np.array(rows.wkbs, dtype=object))
    home = np.array(rows.home, dtype=bool)
    own_ids = [name for name, mine in zip(rows.ids, rows.home, strict=True) if mine]
    findings = check_shapes(layer, own_ids, shapes[home], region)
    coverage = None
    if must_cover(layer):
        limits = layer.levels.thresholds
        coverage = cell_coverage(
            rows.ids,
            shapes,
            home,
            rows.box,
            open_gap_width_m=limits.open_gap_width_m,
            rounding_m=limits.rounding_m,
        )
    return CellAnswer(findings, coverage, _outline(shapes[home], coverage, pixel_deg))


def must_cover(layer: CheckedLayer) -> bool:
    """Whether gaps and overlaps of the layer are looked for."""
    return (
        layer.tessellation
        and layer.kind == "polygon"
        and layer.levels.asks("overlap", "overlap-sliver", "gap", "gap-sliver", "gap-open")
    )


def _outline(own: GeometryArray, coverage: CellCoverage | None, pixel_deg: float) -> bytes | None:
    """A drawing of the cell for the report's map; shapes below a pixel are left out."""
    if coverage is not None:
        own = np.array([shapely.from_wkb(coverage.union)], dtype=object) if coverage.union else own
    if len(own) == 0:
        return None
    boxes = shapely.bounds(own)
    size = np.maximum(boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1])
    drawn = own[size >= 2 * pixel_deg] if shapely.get_dimensions(own[0]) else own[:200]
    simple = shapely.simplify(drawn, pixel_deg)
    parts = shapely.get_parts(simple)
    parts = parts[~shapely.is_empty(parts)]
    return bytes(shapely.to_wkb(shapely.geometrycollections(parts))) if len(parts) else None


def conclude_coverage(
    layer: CheckedLayer, answers: Sequence[CellCoverage], unseen: Sequence[Box]
) -> list[Finding]:
    """Overlaps and gaps of the whole layer, the largest first."""
    rounding_m = layer.levels.thresholds.rounding_m
    parts = [part for answer in answers for part in answer.overlaps]
    findings = [
        finding
        for overlap in join_pairs(parts, rounding_m)
        for finding in _overlap(layer, layer, overlap, layer.accuracy_m, "overlap")
    ]
    if layer.levels.asks("gap", "gap-sliver", "gap-open"):
        unions = [answer.union for answer in answers if answer.union is not None]
        cracks = [crack for answer in answers for crack in answer.cracks]
        gaps = gaps_of(unions, cracks, unseen, rounding_m)
        areas = [area_m2(gap.polygon) for gap in gaps]
        for index in sorted(range(len(gaps)), key=lambda i: -areas[i]):
            findings += _gap(layer, gaps[index], areas[index])
    return findings


def _overlap(
    layer: CheckedLayer, other: CheckedLayer, overlap: Overlap, accuracy_m: float, code: str
) -> list[Finding]:
    sliver = overlap.width_m <= accuracy_m
    figures_zh = f"{overlap.area_m2:,.2f} 平方米，最宽处 {overlap.width_m:.3f} 米"
    figures_en = f"{overlap.area_m2:,.2f} m2, {overlap.width_m:.3f} m at its widest"
    note_zh = f"（不超过精度 {accuracy_m:g} 米）" if sliver else ""
    note_en = f" (not above the accuracy of {accuracy_m:g} m)" if sliver else ""
    one, two = overlap.first, overlap.second
    if code == "overlap":
        reason = Text(
            zh=f"要素 {one} 与 {two} 重叠 {figures_zh}{note_zh}。",
            en=f"Features {one} and {two} overlap by {figures_en}{note_en}.",
        )
    else:
        reason = Text(
            zh=f"{layer.title.zh} {one} 与{other.title.zh} {two} 重叠 {figures_zh}{note_zh}。",
            en=f"{layer.title.en} {one} and {other.title.en} {two} overlap by "
            f"{figures_en}{note_en}.",
        )
    return found(
        layer,
        f"{code}-sliver" if sliver else code,
        reason,
        feature_ids=(one, two),
        other=other if other is not layer else None,
        measured=overlap.area_m2,
        unit="m2",
        width_m=overlap.width_m,
        geometry=overlap.wkb,
        place=overlap.place,
    )


def _gap(layer: CheckedLayer, gap: Gap, area: float) -> list[Finding]:
    sliver = gap.width_m <= layer.accuracy_m
    code = "gap-open" if not gap.closed else "gap-sliver" if sliver else "gap"
    zh = f"图斑之间留空 {area:,.2f} 平方米，最宽处 {gap.width_m:.3f} 米"
    en = f"A gap of {area:,.2f} m2, {gap.width_m:.3f} m at its widest"
    if not gap.closed:
        zh, en = f"{zh}，与图层外部相通", f"{en}, that leads out of the layer"
    if sliver:
        zh = f"{zh}（不超过精度 {layer.accuracy_m:g} 米）"
        en = f"{en} (not above the accuracy of {layer.accuracy_m:g} m)"
    return found(
        layer,
        code,
        Text(zh=f"{zh}。", en=f"{en}."),
        measured=area,
        unit="m2",
        width_m=gap.width_m,
        geometry=bytes(shapely.to_wkb(gap.polygon)),
        place=place_in(gap.polygon),
    )


def pairs_in_cell(box: Box, one: CellRows, two: CellRows) -> list[PairPart]:
    """What two layers share inside a cell; invalid shapes are findings of their own layer."""
    sides = []
    for rows in (one, two):
        shapes = shapely.from_wkb(np.array(rows.wkbs, dtype=object))
        good = shapely.is_valid(shapes) & (shapely.get_dimensions(shapes) == 2)
        names = [name for name, fine in zip(rows.ids, good, strict=True) if fine]
        sides.append((names, shapes[good]))
    (first_ids, first), (second_ids, second) = sides
    if len(first) == 0 or len(second) == 0:
        return []
    return overlaps_in_cell(first_ids, first, second_ids, second, box)


def conclude_pair(
    layer: CheckedLayer, other: CheckedLayer, parts: Sequence[PairPart], accuracy_m: float
) -> list[Finding]:
    """Overlaps of two layers, the largest first."""
    rounding_m = layer.levels.thresholds.rounding_m
    return [
        finding
        for overlap in join_pairs(parts, rounding_m)
        for finding in _overlap(layer, other, overlap, accuracy_m, "control-line-overlap")
    ]


def join_outlines(outlines: Sequence[bytes], pixel_deg: float) -> bytes | None:
    """One drawing of a layer from those of its cells."""
    shapes = shapely.get_parts(shapely.from_wkb(np.array(outlines, dtype=object)))
    surfaces = polygons_of(shapes)
    if len(surfaces):
        shapes = polygons_of(shapely.simplify(shapely.union_all(surfaces, grid_size=pixel_deg / 4),
                                              pixel_deg))  # fmt: skip
    if len(shapes) == 0:
        return None
    return bytes(shapely.to_wkb(shapely.geometrycollections(shapes)))
