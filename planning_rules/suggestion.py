"""The suggested boundary (套合): the site cut back to the rigid lines that it crosses.

A suggestion, never a verdict: what remains is to be submitted again. Only conflicts of rigid rules
that a cut can resolve are taken away; the rules that no cut resolves are named.
"""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import shapely
from shapely.errors import GEOSException
from shapely.geometry.base import BaseGeometry

from layers.area import MU_M2, area_m2
from layers.crs import GRID_DEG
from layers.text import Text
from planning_rules.canonical_json import geometry_json
from planning_rules.finding import Finding, text_json
from planning_rules.overlay import GeometryArray, Site, difference, polygon_parts, union
from planning_rules.rule_set import RuleSet
from planning_rules.width import narrower_than

_CUTTABLE: Final = frozenset({"overlap", "within", "decision_table", "compatibility"})
"""Tests whose conflicts are parts of the site; a distance or a height is not cut away."""


def suggested_boundary(
    site: Site, findings: Sequence[Finding], rule_set: RuleSet
) -> dict[str, Any] | None:
    """What is left of an area site without its rigid conflicts; None where there are none.

    Strips and spikes narrower than the width tolerance go with them. ``geometry`` is None where
    nothing remains.
    """
    violated = [f for f in findings if f.rule.rigidity == "rigid" and f.outcome == "violation"]
    cut = {f.rule.id: parts for f in violated if len(parts := _conflicts(f))}
    if site.dimension != 2 or not cut:
        return None
    width_m = max(rule_set.tolerance_of(f.rule).min_width_m for f in violated if f.rule.id in cut)
    left = sorted(f.rule.id for f in violated if f.rule.id not in cut)
    try:
        conflicts = union(np.concatenate(list(cut.values())))
        kept = _cleaned(site, polygon_parts(difference(site.geometry, conflicts)), width_m)
    except GEOSException:  # the verdict stands without a suggestion
        return {"geometry": None, "area_m2": None, "cut_to": sorted(cut), "not_resolved": left,
                "message": text_json(_NOT_DRAWN)}  # fmt: skip
    return _as_json(site, kept, sorted(cut), left, width_m)


_NOT_DRAWN: Final = Text(zh="未能生成建议边界。", en="The suggested boundary could not be drawn.")


def _conflicts(finding: Finding) -> GeometryArray:
    """The areas of the site that the finding objects to."""
    if finding.result is None or finding.rule.test.kind not in _CUTTABLE:
        return np.zeros(0, dtype=object)
    shapes = [patch.geometry for patch in finding.result.patches if patch.kind == "conflict"]
    return _all_polygons(np.array(shapes, dtype=object))


def _all_polygons(shapes: GeometryArray) -> GeometryArray:
    """The polygons of many geometries."""
    parts: GeometryArray = shapely.get_parts(shapely.get_parts(shapely.get_parts(shapes)))
    kept: GeometryArray = parts[(shapely.get_dimensions(parts) == 2) & ~shapely.is_empty(parts)]
    return kept


def _cleaned(site: Site, parts: GeometryArray, width_m: float) -> GeometryArray:
    """The parts without what is narrower than the tolerance, on the storage grid."""
    metres: GeometryArray = site.plane.to_metres(parts)
    metres = metres[~narrower_than(metres, width_m)]
    if len(metres) == 0:
        return metres
    opened = shapely.buffer(
        shapely.buffer(metres, -width_m / 2, join_style="mitre"), width_m / 2, join_style="mitre"
    )
    # Never more than there was: a mitre may stand out by a hair.
    inside = _all_polygons(shapely.intersection(opened, metres))
    inside = inside[~narrower_than(inside, width_m)]
    snapped = shapely.set_precision(site.plane.to_degrees(inside), GRID_DEG)
    return _all_polygons(snapped)


def _as_json(
    site: Site, kept: GeometryArray, cut: list[str], left: list[str], width_m: float
) -> dict[str, Any]:
    shape: BaseGeometry | None = None
    if len(kept):
        shape = shapely.normalize(kept[0] if len(kept) == 1 else union(kept))
    area = 0.0 if shape is None else round(area_m2(shape), 2)
    return {
        "geometry": None if shape is None else geometry_json(shape),
        "area_m2": area,
        "area_mu": round(area / MU_M2, 2),
        "removed_m2": round(area_m2(site.geometry) - area, 2),
        "parts": 0 if shape is None else len(polygon_parts(shape)),
        "cut_to": cut,
        "not_resolved": left,
        "width_tolerance_m": width_m,
        "message": text_json(_message(area, len(kept), left)),
    }


def _message(area: float, parts: int, left: list[str]) -> Text:
    if parts == 0:
        return Text(
            zh="扣除刚性管控冲突后没有剩余用地。",
            en="Nothing remains of the site without its rigid conflicts.",
        )
    pieces_zh = f"，分为 {parts} 块" if parts > 1 else ""
    pieces_en = f" in {parts} parts" if parts > 1 else ""
    rest_zh = f"；以下规则不能以裁剪解决：{'、'.join(left)}" if left else ""
    rest_en = f"; not resolved by a cut: {', '.join(left)}" if left else ""
    return Text(
        zh=f"建议边界（套合刚性控制线）{area:,.2f} 平方米{pieces_zh}{rest_zh}。须重新提交核查。",
        en=f"Suggested boundary, cut to the rigid lines: {area:,.2f} m²{pieces_en}{rest_en}. It is "
        "to be submitted and checked anew.",
    )
