"""The report of an import: what was read, accepted, mended, refused, and why."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Literal

from layers.catalog import Layer, Plan
from layers.crs_diagnosis import Shift
from layers.import_issues import Issue
from layers.import_job import ReadResult
from layers.personal_data import without_personal
from layers.text import Text

_SHOWN_ISSUES: Final = 1_000
_CRUDE_SHIFT_M: Final = 50.0
_SHRUNK_SHARE: Final = 0.2


@dataclass(frozen=True, slots=True)
class Changes:
    """What an incremental import did, in features; ``base`` is the content compared with."""

    base: int
    added: int
    changed: int
    removed: int
    unchanged: int

    @property
    def is_nothing(self) -> bool:
        """Whether every feature is as it was."""
        return self.added == self.changed == self.removed == 0

    def to_json(self) -> dict[str, int]:
        """As it stands in the import report."""
        return {
            "base": self.base, "added": self.added, "changed": self.changed,
            "removed": self.removed, "unchanged": self.unchanged,
        }  # fmt: skip


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
    datum: Mapping[str, Any] = field(default_factory=dict)
    """How the coordinates came to CGCS2000 (``layers.crs.Crs.statement``)."""

    settings: str = ""
    """A digest of everything that decides what becomes of a row (``layers.incremental``)."""
    fields: str = ""
    changes: Changes | None = None
    """What differs from the base, where only that was loaded."""

    @property
    def added_accuracy_m(self) -> float:
        """What that adds to the layer's own standard deviation, in metres."""
        return float(self.datum.get("accuracy_m", 0.0))

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
                **self.datum,
                "settings": self.settings,
                "fields": self.fields,
            },
            "content_sha256": self.content_sha256,
            **({"changes": self.changes.to_json()} if self.changes is not None else {}),
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
        file_name=without_personal(path.name),
        file_sha256=result.file_sha256,
        format=result.format,
        encoding=result.encoding,
        source_crs=result.source_crs,
        content_sha256=result.content_sha256,
        datum=result.datum,
        fields=result.fields,
    )


def shift_issue(shift: Shift) -> Issue:
    """Blocking from 50 m on: no correction of boundaries moves everything that far."""
    severity: Literal["blocking", "advisory"] = (
        "blocking" if shift.length_m >= _CRUDE_SHIFT_M else "advisory"
    )
    value = f"{shift.east_m:.1f} {shift.north_m:.1f}"
    return Issue("datum-shift-suspected", severity, shift.reason, value=value)


@dataclass(frozen=True, slots=True)
class Comparison:
    """A new content against one that it will replace; shares are of the older one, None = none.

    ``ids_vanished`` is None where ids cannot be compared (row numbers on either side).
    """

    features_before: int
    features_after: int
    area_m2_before: float
    area_m2_after: float
    ids_vanished: int | None
    length_lost: float | None
    extent_lost: float | None

    def losses(self) -> dict[str, float]:
        """Shares lost, by what they are shares of."""
        features, area = self.features_before, self.area_m2_before
        shares = {
            "features": 1 - self.features_after / features if features else None,
            "area": 1 - self.area_m2_after / area if area else None,
            "length": self.length_lost,
            "ids": self.ids_vanished / features if features and self.ids_vanished else None,
            "extent": self.extent_lost,
        }
        return {name: share for name, share in shares.items() if share is not None}


_LOSS_NAMES: Final = {
    "features": Text(zh="要素数量", en="features"),
    "area": Text(zh="总面积", en="area"),
    "length": Text(zh="总长度", en="length"),
    "ids": Text(zh="要素编号", en="feature ids"),
    "extent": Text(zh="空间范围", en="extent"),
}


def shrunk_issue(comparison: Comparison) -> Issue | None:
    """A blocking issue where more than a fifth is gone: a part of a file taken for the whole.

    The coverage would still say that the layer has data where its features are missing.
    """
    losses = comparison.losses()
    if all(share <= _SHRUNK_SHARE for share in losses.values()):
        return None
    lost = {name: share for name, share in losses.items() if share > 0}
    counts = (comparison.features_before, comparison.features_after)
    areas = (comparison.area_m2_before, comparison.area_m2_after)
    shares_zh = "、".join(f"{_LOSS_NAMES[name].zh} {s:.1%}" for name, s in lost.items())
    shares_en = ", ".join(f"{_LOSS_NAMES[name].en} {s:.1%}" for name, s in lost.items())
    reason = Text(
        zh=f"与现行版本相比缺失：{shares_zh}（要素 {counts[0]} → {counts[1]} 个，"
        f"面积 {areas[0]:.2f} → {areas[1]:.2f} 平方米）。文件可能不完整。",
        en=f"Against the edition in force there is missing: {shares_en} (features {counts[0]} -> "
        f"{counts[1]}, area {areas[0]:.2f} -> {areas[1]:.2f} m2). The file may be incomplete.",
    )
    return Issue("content-shrunk", "blocking", reason, value=f"{counts[0]} -> {counts[1]}")


def with_issues(report: ImportReport, found: Sequence[Issue]) -> ImportReport:
    """The report with what the comparison with the edition in force found in front."""
    return replace(
        report,
        issues=(*found, *report.issues)[:_SHOWN_ISSUES],
        issue_counts=Counter(report.issue_counts) + Counter(issue.code for issue in found),
        blocking=report.blocking + sum(issue.severity == "blocking" for issue in found),
    )
