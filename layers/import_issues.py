"""Issues of an import: rows about rows. A bad value is data, not an exception.

``blocking`` issues stand for rows that were refused and for what would let a check pass wrongly
(unknown codes, geometries that a repair changed, a content that shrank); an edition with them is
not published unless somebody accepts that with a reason. ``advisory`` ones tell what was changed
or doubted.
"""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from layers.personal_data import without_personal
from layers.text import Text

Severity = Literal["blocking", "advisory"]

KEPT_PER_CODE: Final = 2_000
"""Issues of one kind that are kept one by one; the counts are always whole."""
_LONGEST_VALUE: Final = 120


@dataclass(frozen=True, slots=True)
class Issue:
    """One finding: source row (1 = first, None = the file), field and value if there is one."""

    code: str
    severity: Severity
    reason: Text
    row: int | None = None
    field: str | None = None
    value: str | None = None

    def to_json(self) -> dict[str, Any]:
        """As it stands in the import report."""
        return {
            "row": self.row,
            "field": self.field,
            "value": self.value,
            "code": self.code,
            "severity": self.severity,
            "reason": self.reason.model_dump(),
        }

    @classmethod
    def from_json(cls, body: dict[str, Any]) -> "Issue":
        """The reverse of ``to_json``."""
        return cls(
            code=body["code"],
            severity=body["severity"],
            reason=Text(**body["reason"]),
            row=body["row"],
            field=body["field"],
            value=body["value"],
        )


class IssueLog:
    """Collects issues; keeps the first of each kind, counts all."""

    def __init__(self) -> None:
        """Start empty."""
        self.kept: list[Issue] = []
        self.counts: Counter[str] = Counter()
        self._by_field: Counter[tuple[str, str | None]] = Counter()
        self.blocking = 0

    def add(
        self,
        code: str,
        severity: Severity,
        reason: Text,
        *,
        row: int | None = None,
        field: str | None = None,
        value: object = None,
        kept_per_field: int = KEPT_PER_CODE,
    ) -> None:
        """Note an issue; long values are cut, ``kept_per_field`` of a kind are kept by field.

        A value that holds a number of a person is masked, whoever reports it.
        """
        self.counts[code] += 1
        if severity == "blocking":
            self.blocking += 1
        self._by_field[code, field] += 1
        if self.counts[code] > KEPT_PER_CODE or self._by_field[code, field] > kept_per_field:
            return
        # Whole first: what is cut off could hide half of a number.
        text = None if value is None else without_personal(str(value)).replace("\x00", "")
        text = text[:_LONGEST_VALUE] if text is not None else None
        self.kept.append(Issue(code, severity, reason, row, field, text))

    def extend(self, issues: Iterable[Issue]) -> None:
        """Note issues that were made elsewhere."""
        for issue in issues:
            self.add(
                issue.code, issue.severity, issue.reason,
                row=issue.row, field=issue.field, value=issue.value,
            )  # fmt: skip

    def save(self, path: Path) -> None:
        """Write the kept issues as JSON lines, in row order."""
        ordered = sorted(self.kept, key=lambda issue: (issue.row or 0, issue.field or ""))
        with path.open("w", encoding="utf-8") as file:
            for issue in ordered:
                file.write(json.dumps(issue.to_json(), ensure_ascii=False) + "\n")


def load_issues(path: Path) -> list[Issue]:
    """Read what ``IssueLog.save`` wrote."""
    with path.open(encoding="utf-8") as file:
        return [Issue.from_json(json.loads(line)) for line in file]
