"""Editions and their differences in words and JSON, the same for HTTP and the command line."""

import datetime
import math
from collections.abc import Iterator, Sequence
from typing import Any, Final

from layers.catalog import Catalog, Layer
from layers.change_measuring import Measured, measure_all
from layers.database import Connection
from layers.edition_diff import (
    Change,
    Comparable,
    EditionVersion,
    LayerDiff,
    changed_names,
    page_rows,
    reshaped_pairs,
)
from layers.editions import list_editions
from layers.sandbox import Sandbox
from layers.text import Text

BY_GEOMETRY: Final = Text(
    zh="要素编号是行号，不能用于对应；按相同图形对应，图形变化的要素计为一删一增。",
    en="Feature ids are row numbers and name nothing; features were matched by equal geometry, one "
    "whose shape changed counts as removed and added.",
)


def edition_entries(
    connection: Connection, plan_id: str, today: datetime.date, layers: Sequence[Layer] | None
) -> list[dict[str, Any]]:
    """All editions of a plan, newest first, with the days they hold and the given layers only."""
    visible = None if layers is None else {layer.id for layer in layers}
    return [_entry(found, today, visible) for found in list_editions(connection, plan_id)]


def _entry(found: dict[str, Any], today: datetime.date, visible: set[str] | None) -> dict[str, Any]:
    first, until = found.pop("days") or (None, None)
    day = today.isoformat()
    return {
        **found,
        # Days by what is known now; "until" is the first day on which it holds no more.
        "holds": {"from": first, "until": until} if first else None,
        "in_force": bool(first and first <= day and (until is None or day < until)),
        "layers": [
            layer for layer in found["layers"] if visible is None or layer["layer"] in visible
        ],
    }


def diff_head(before: EditionVersion, after: EditionVersion) -> dict[str, Any]:
    """Which editions are compared."""
    return {
        "plan": before.plan_id,
        "before": _side(before),
        "after": _side(after),
    }


def _side(version: EditionVersion) -> dict[str, Any]:
    return {
        "edition": version.id,
        "state": version.state,
        "title": version.title,
        "valid_from": version.valid_from.isoformat(),
    }


def layer_summary(catalog: Catalog, diff: LayerDiff, measured: Measured | None) -> dict[str, Any]:
    """The totals of a layer; areas in m2, null where a figure is not known."""
    totals, pair = diff.totals, diff.pair
    surface = catalog.layer(pair.layer_id).geometry == "polygon"

    def area(name: str) -> float | None:
        return round(totals[name], 2) if surface and totals[name] is not None else None

    return {
        "layer": pair.layer_id,
        "title": catalog.layer(pair.layer_id).title.model_dump(),
        "state": _state(pair),
        "matched_by": None if pair.same else pair.matched_by,
        "note": BY_GEOMETRY.model_dump() if pair.matched_by == "geometry" else None,
        "features_before": totals["features_before"],
        "features_after": totals["features_after"],
        "area_m2_before": area("area_m2_before"),
        "area_m2_after": area("area_m2_after"),
        "added": {"features": totals["added"], "area_m2": area("added_area_m2")},
        "removed": {"features": totals["removed"], "area_m2": area("removed_area_m2")},
        "changed": {
            "features": totals["attributes_only"] + totals["geometry_only"] + totals["both"],
            "attributes": totals["attributes_only"],
            "geometry": totals["geometry_only"],
            "both": totals["both"],
            "area_m2_before": area("changed_area_m2_before"),
            "area_m2_after": area("changed_area_m2_after"),
            **_difference(diff, measured, surface),
        },
        "changed_attributes": diff.changed_attributes,
        "coverage_changed": diff.coverage_changed,
        "accuracy_m": [side.accuracy_m if side else None for side in (pair.before, pair.after)],
    }


def _state(pair: Comparable) -> str:
    if pair.same:
        return "same"
    if pair.before is None:
        return "layer-added"
    return "layer-removed" if pair.after is None else "compared"


def _difference(diff: LayerDiff, measured: Measured | None, surface: bool) -> dict[str, Any]:
    """The symmetric difference, and of how many features it is not known (never as zero)."""
    if not surface:
        return {"symmetric_difference_m2": None, "not_measured": 0}
    if measured is None:
        whole = 0.0 if diff.reshaped == 0 else None
        return {"symmetric_difference_m2": whole, "not_measured": diff.reshaped}
    total = measured.total_m2 if measured.pairs == diff.reshaped else None
    missing = diff.reshaped - measured.pairs + measured.not_measured
    return {
        "symmetric_difference_m2": round(total, 2) if total is not None else None,
        "not_measured": missing,
    }


def measured_difference(
    connection: Connection,
    sandbox: Sandbox,
    diff: LayerDiff,
    *,
    most_pairs: float = math.inf,
    budget_s: float = math.inf,
) -> Measured | None:
    """The symmetric difference of a layer; None, not measured, above ``most_pairs``."""
    if diff.reshaped == 0 or diff.reshaped > most_pairs:
        return None
    return measure_all(sandbox, reshaped_pairs(connection, diff.pair, diff), budget_s=budget_s)


def change_entries(
    connection: Connection, pair: Comparable, changes: Sequence[Change]
) -> Iterator[dict[str, Any]]:
    """Some changes with the attributes before and after; of a changed one those that differ."""
    for change, before, after in page_rows(connection, pair, changes):
        names = changed_names(before, after, pair.ignored)
        if change.kind == "changed":
            before = {name: (before or {}).get(name) for name in names}
            after = {name: (after or {}).get(name) for name in names}
        yield {
            "feature_id": change.name,
            "change": change.kind,
            "what": change.what,
            "changed_attributes": names,
            "before": before,
            "after": after,
            "area_m2_before": _cents(change.area_before_m2),
            "area_m2_after": _cents(change.area_after_m2),
        }


def _cents(area_m2: float | None) -> float | None:
    return None if area_m2 is None else round(area_m2, 2)
