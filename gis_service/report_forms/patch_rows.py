"""The patches of a report as rows, for the forms that are tables or map layers."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class PatchRow:
    """One patch with what its finding says; ``geometry`` is GeoJSON, longitude and latitude."""

    values: Mapping[str, Any]
    geometry: Mapping[str, Any]


def patch_rows(report: Mapping[str, Any], language: str) -> Iterator[PatchRow]:
    """All patches in the order of the report."""
    for finding in report["findings"]:
        for patch in finding["patches"]:
            reason = patch.get("reason") or {}
            yield PatchRow(
                {
                    "patch_id": patch["id"],
                    "kind": patch["kind"],
                    "rule_id": finding["rule_id"],
                    "rule_version": finding["rule_version"],
                    "rule_title": finding["title"][language],
                    "outcome": finding["outcome"],
                    "layer": patch["layer"],
                    "edition": patch["edition"],
                    "feature_id": patch["feature_id"],
                    "code": patch["code"],
                    "area_m2": patch["area_m2"],
                    "width_m": patch["width_m"],
                    "length_m": patch.get("length_m"),
                    "distance_m": patch.get("distance_m"),
                    "reason": reason.get(language),
                },
                patch["geometry"],
            )
