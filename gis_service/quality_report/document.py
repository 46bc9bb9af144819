"""The report as one JSON value; every other form is made from it."""

from collections.abc import Collection, Mapping
from typing import Any

import orjson
import shapely
from shapely.geometry.base import BaseGeometry

from layers.catalog import Catalog
from layers.database import Connection
from layers.quality.codes import DOUBTFUL, title_of
from layers.quality.record import findings_of, newest_run, no_run, outlines_of

Document = dict[str, Any]


def quality_document(
    connection: Connection,
    catalog: Catalog,
    edition_id: int,
    visible: Collection[str] | None = None,
) -> Document:
    """The newest run of an edition; ``NotFound`` without one.

    ``visible`` are the layers that the caller may see (None = all): findings, counts and drawings
    of others are left out, also those that compare with a hidden layer. An edition of which
    nothing may be seen has no report for him.
    """
    run = newest_run(connection, edition_id)
    plan = catalog.plan(run["plan_id"])
    seen = _Sight(visible)
    if not any(seen.layer(name) for name in run["contents"]):
        raise no_run(edition_id)
    findings = [
        _finding(one)
        for one in findings_of(connection, run["id"])
        if seen.layer(one["layer_id"]) and seen.layer(one["other_layer_id"])
        and seen.layer(_named(one))
    ]  # fmt: skip
    counts = [_count(one, catalog) for one in run["counts"] if seen.layer(one["layer"])]
    if seen.hides({*run["contents"], *run["counterparts"], *_pairs(run["levels"])}):
        counts = _recounted(counts, findings)
    return {
        "run": run["id"],
        "plan": plan.id,
        "plan_title": plan.title.model_dump(),
        "edition": run["edition_id"],
        "edition_title": run["title"],
        "state": run["state"],
        "valid_from": run["valid_from"].isoformat(),
        "synthetic": run["synthetic"],
        "started": run["started"].isoformat(timespec="seconds"),
        "finished": run["finished"].isoformat(timespec="seconds"),
        "outcome": _outcome(counts),
        "blocking": _total(counts, "blocking"),
        "advisory": _total(counts, "advisory"),
        "layers": [
            {
                "layer": name,
                "title": catalog.layer(name).title.model_dump(),
                "content": int(pin.split(":")[0]),
                "content_sha256": pin.split(":")[1],
            }
            for name, pin in sorted(run["contents"].items())
            if seen.layer(name)
        ],
        "counterparts": [
            {"layer": name, "title": catalog.layer(name).title.model_dump(), **used}
            for name, used in sorted(run["counterparts"].items())
            if seen.layer(name)
        ],
        "counts": counts,
        "findings": findings,
        "thresholds": run["levels"]["thresholds"],
        "engine": run["engine"],
    }


def drawings(
    connection: Connection, run_id: int, visible: Collection[str] | None = None
) -> dict[str, BaseGeometry]:
    """The simplified shapes of the run's layers, for the map of the page."""
    found = outlines_of(connection, run_id)
    return {
        name: shapely.from_wkb(wkb)
        for name, wkb in found.items()
        if visible is None or name in visible
    }


class _Sight:
    """What a caller may see."""

    def __init__(self, visible: Collection[str] | None) -> None:
        self._visible = visible

    def layer(self, name: str | None) -> bool:
        return name is None or self._visible is None or name in self._visible

    def hides(self, names: Collection[str]) -> bool:
        return not all(self.layer(name) for name in names)


def _named(row: Mapping[str, Any]) -> str | None:
    """A layer that stands in the value of a finding about a missing comparison."""
    return (
        row["value"] if row["code"] in ("counterpart-missing", "counterpart-incomplete") else None
    )


def _pairs(levels: Mapping[str, Any]) -> list[str]:
    return [name for pair in levels["control_lines"] for name in pair["layers"]]


def _finding(row: Mapping[str, Any]) -> Document:
    geometry = None
    if row["wkb"] is not None:
        geometry = orjson.loads(shapely.to_geojson(shapely.from_wkb(bytes(row["wkb"]))))
    measured = row["measured"]
    return {
        "number": row["number"],
        "code": row["code"],
        "title": title_of(row["code"]).model_dump(),
        "severity": row["severity"],
        "origin": row["origin"],
        "layer": row["layer_id"],
        "feature_ids": row["feature_ids"],
        "other_layer": row["other_layer_id"],
        "row": row["source_row"],
        "field": row["field"],
        "value": row["value"],
        "measured": None if measured is None else {"value": measured, "unit": row["unit"]},
        "width_m": row["width_m"],
        "reason": row["reason"],
        "place": None if row["lon"] is None else [row["lon"], row["lat"]],
        "geometry": geometry,
    }


def _count(row: Mapping[str, Any], catalog: Catalog) -> Document:
    return {
        **row,
        "title": title_of(row["code"]).model_dump(),
        "layer_title": catalog.layer(row["layer"]).title.model_dump(),
    }


def _recounted(counts: list[Document], findings: list[Document]) -> list[Document]:
    """Counts without what is hidden: comparisons are counted by what is left of them."""
    compared = {"control-line-overlap", "control-line-overlap-sliver", "counterpart-missing",
                "counterpart-incomplete"}  # fmt: skip
    result = []
    for one in counts:
        if one["code"] in compared:
            left = [f for f in findings if (f["layer"], f["code"], f["severity"])
                    == (one["layer"], one["code"], one["severity"])]  # fmt: skip
            one = {**one, "count": len(left)}
        if one["count"]:
            result.append(one)
    return result


def _total(counts: list[Document], severity: str) -> int:
    return sum(one["count"] for one in counts if one["severity"] == severity)


def _outcome(counts: list[Document]) -> str:
    if _total(counts, "blocking"):
        return "blocked"
    if any(one["code"] in DOUBTFUL for one in counts):
        return "incomplete"
    return "advisory" if counts else "clean"
