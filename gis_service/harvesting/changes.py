"""What a harvested draft changes against the edition in force, for the report of the harvest."""

import datetime
from typing import Any

from layers import editions
from layers.catalog import Catalog
from layers.database import Connection
from layers.edition_diff import LayerDiff, comparables, compare, edition_version


def changes_against_force(
    connection: Connection, catalog: Catalog, layer_id: str, edition_id: int, day: datetime.date
) -> dict[str, Any]:
    """Counts and areas (m2) of added, removed and changed features of one layer of a draft.

    ``against`` is the edition in force on the day, None if there is none: then all is added.
    """
    in_force = editions.contents_in_force(connection, [layer_id], day).get(layer_id)
    draft = edition_version(connection, edition_id)
    if in_force is None:
        count = _feature_count(connection, draft.layers[layer_id].content_id)
        return {"against": None, "added": count, "removed": 0, "changed": 0}
    before = edition_version(connection, in_force.edition_id)
    layer = catalog.layer(layer_id)
    (pair,) = comparables(connection, catalog, before, draft, [layer])
    return {"against": in_force.edition_id, **_figures(compare(connection, pair, kept=0))}


def _figures(diff: LayerDiff) -> dict[str, Any]:
    totals = diff.totals
    changed = totals["attributes_only"] + totals["geometry_only"] + totals["both"]
    return {
        "matched_by": diff.pair.matched_by,
        "added": totals["added"],
        "removed": totals["removed"],
        "changed": changed,
        "geometry_changed": diff.reshaped,
        "added_area_m2": totals["added_area_m2"],
        "removed_area_m2": totals["removed_area_m2"],
        "changed_attributes": diff.changed_attributes,
        "coverage_changed": diff.coverage_changed,
    }


def is_no_change(changes: dict[str, Any]) -> bool:
    """Whether the draft would say what is in force already, in whatever order of rows."""
    counts = ("added", "removed", "changed")
    return (
        changes["against"] is not None
        and not any(changes[name] for name in counts)
        and not changes["coverage_changed"]
    )


def _feature_count(connection: Connection, content_id: int) -> int:
    found = connection.execute(
        "SELECT feature_count FROM library.layer_content WHERE id = %s", (content_id,)
    ).fetchone()
    return int(found[0] or 0) if found else 0
