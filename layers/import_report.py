"""The report of an import: what was read, accepted, mended, refused, and why."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal

from layers.catalog import Layer, Plan
from layers.crs_diagnosis import Shift
from layers.import_issues import Issue
from layers.import_rows import ReadResult

_SHOWN_ISSUES: Final = 1_000
_CRUDE_SHIFT_M: Final = 50.0


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What an import did; ``issues`` is capped, ``issue_counts`` is whole.

    ``edition`` and ``content`` are None when no row was accepted: then nothing was stored.
    """

    plan: str
    layer: str
    edition: int | None
    content: int | None
    read: int
    accepted: int
    repaired: int
    refused: int
    blocking: int
    issues: tuple[Issue, ...]
    issue_counts: Mapping[str, int]
    file_name: str
    file_sha256: str
    format: str
    encoding: str | None
    source_crs: str
    content_sha256: str

    def to_json(self) -> dict[str, Any]:
        """The report as the command line and the service give it."""
        return {
            "plan": self.plan,
            "edition": self.edition,
            "layer": self.layer,
            "content": self.content,
            "read": self.read,
            "accepted": self.accepted,
            "repaired": self.repaired,
            "refused": self.refused,
            "blocking_issues": self.blocking,
            "issue_count": sum(self.issue_counts.values()),
            "issue_counts": dict(self.issue_counts),
            "issues": [issue.to_json() for issue in self.issues],
            "source": {
                "file": self.file_name,
                "sha256": self.file_sha256,
                "format": self.format,
                "encoding": self.encoding,
                "crs": self.source_crs,
            },
            "content_sha256": self.content_sha256,
        }


def report_of(
    plan: Plan, layer: Layer, path: Path, result: ReadResult, issues: list[Issue]
) -> ImportReport:
    """The report of what the child found, before anything is stored."""
    return ImportReport(
        plan=plan.id,
        layer=layer.id,
        edition=None,
        content=None,
        read=result.read,
        accepted=result.accepted,
        repaired=result.repaired,
        refused=result.refused,
        blocking=result.blocking,
        issues=tuple(issues[:_SHOWN_ISSUES]),
        issue_counts=result.issue_counts,
        file_name=path.name,
        file_sha256=result.file_sha256,
        format=result.format,
        encoding=result.encoding,
        source_crs=result.source_crs,
        content_sha256=result.content_sha256,
    )


def shift_issue(shift: Shift) -> Issue:
    """Blocking from 50 m on: no correction of boundaries moves everything that far."""
    severity: Literal["blocking", "advisory"] = (
        "blocking" if shift.length_m >= _CRUDE_SHIFT_M else "advisory"
    )
    value = f"{shift.east_m:.1f} {shift.north_m:.1f}"
    return Issue("datum-shift-suspected", severity, shift.reason, value=value)


def with_shift(report: ImportReport, shift: Shift) -> ImportReport:
    """The report with the suspicion of a datum error in front."""
    issue = shift_issue(shift)
    return replace(
        report,
        issues=(issue, *report.issues)[:_SHOWN_ISSUES],
        issue_counts={**report.issue_counts, issue.code: 1},
        blocking=report.blocking + (issue.severity == "blocking"),
    )
