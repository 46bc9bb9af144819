"""Rows that the base of an incremental import holds already, told by their digests.

The answer has to be that of a full import, row by row, so a row is passed over only where nothing
about it can differ: its digest (id, geometry, fields) is in the base, it had no issue there, and
no earlier row of the file could have taken its id.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa  # type: ignore[import-untyped]

from layers.attribute_checks import readable_values
from layers.attribute_values import CONVERTERS, Unreadable
from layers.declared_area import DeclaredArea
from layers.field_map import FieldPlan
from layers.import_issues import IssueLog, Severity
from layers.import_job import KEPT_FILE, KNOWN_FILE, ImportJob
from layers.readers import Batch
from layers.source_rows import DIGEST_BYTES, row_digests
from layers.text import Text

_WORDS: Final = DIGEST_BYTES // 8


class KnownRows:
    """The digests of a base, in order; those found again are marked."""

    def __init__(self, job: ImportJob, plan: FieldPlan, ids: set[str]) -> None:
        """Read what ``save_known`` wrote; ids of rows passed over go into ``ids``."""
        with np.load(job.job_dir / KNOWN_FILE) as saved:
            words = saved["digests"].reshape(-1, _WORDS)
            order = np.argsort(words[:, 0], kind="stable")
            self.words, self.fids = words[order], saved["fids"][order]
            self.noted = saved["noted"][order]
        self.kept = np.zeros(len(self.fids), dtype=bool)
        self.plan, self.ids = plan, ids
        self.looked_at: set[str] = set()
        """Ids of rows that are checked: an equal id further down has to be checked as well."""
        self.attribute = job.layer.attribute(job.layer.id_attribute or "")
        self.field = next(
            (f for f, a in plan.pairs if self.attribute and a.name == self.attribute.name), None
        )

    def choose(
        self, first_row: int, wkb: list[bytes | None], columns: dict[str, pa.Array]
    ) -> list[int]:
        """The indices of rows that have to be checked; the others hold as they are."""
        values = readable_values(columns, first_row, self.plan, IssueLog())
        ids = self._ids(values)
        names = [name or "" for name in ids]
        places = self._places(row_digests(wkb, list(values.values()), names))
        safe = places >= 0
        safe[safe] = ~self.noted[places[safe]] & ~self.kept[places[safe]]
        checked = []
        for index, (name, is_safe) in enumerate(zip(ids, safe.tolist(), strict=True)):
            if is_safe and name is not None and self._is_free(name):
                self.ids.add(name)
                self.kept[places[index]] = True
            else:
                checked.append(index)
                self.looked_at.add(names[index])
        return checked

    def _is_free(self, name: str) -> bool:
        return name not in self.ids and name not in self.looked_at

    def _ids(self, values: dict[str, list[Any]]) -> list[str | None]:
        if self.field is None or self.attribute is None:
            return [None] * len(next(iter(values.values()), []))
        convert = CONVERTERS[self.attribute.type]
        ids: list[str | None] = []
        for raw in values[self.field]:
            try:
                value = None if raw is None else convert(raw)
            except Unreadable:
                value = None
            ids.append(None if value is None else str(value))
        return ids

    def take(
        self, digests: Sequence[bytes], accepted: npt.NDArray[np.int64], ids: Sequence[str]
    ) -> npt.NDArray[np.bool_]:
        """Which of the checked and accepted rows the base holds as they are; they are marked."""
        self.looked_at.update(ids)
        places = self._places([digests[index] for index in accepted.tolist()])
        same = places >= 0
        same[same] = ~self.kept[places[same]]
        self.kept[places[same]] = True
        return same

    def _places(self, digests: Sequence[bytes]) -> npt.NDArray[np.int64]:
        """Where a digest stands among those of the base; -1 where it does not."""
        if not len(self.fids) or not digests:
            return np.full(len(digests), -1, dtype=np.int64)
        sought = np.frombuffer(b"".join(digests), dtype="<u8").reshape(-1, _WORDS)
        at = np.searchsorted(self.words[:, 0], sought[:, 0])
        at = np.minimum(at, len(self.fids) - 1)
        # Of two digests with equal first halves only one is found: the other row counts as changed.
        return np.where((self.words[at] == sought).all(axis=1), at, -1)

    def save(self, folder: Path) -> None:
        """Write which rows of the base hold, and the ids of the rows that were checked."""
        with (folder / KEPT_FILE).open("wb") as file:
            np.savez(
                file,
                kept=self.fids[self.kept],
                ids=np.array(sorted(self.looked_at), dtype=str),
            )


class NumberedIssues(IssueLog):
    """Passes issues on with the numbers that rows have in the file, and notes the rows.

    The checks count rows on from the first one of a batch; a selection of rows has other numbers.
    """

    def __init__(self, log: IssueLog, numbers: npt.NDArray[np.int64], first_row: int) -> None:
        """Stand before ``log`` for one batch."""
        self.log, self.numbers, self.first_row = log, numbers, first_row
        self.counts, self.kept = log.counts, log.kept
        self.indices: set[int] = set()

    def add(
        self,
        code: str,
        severity: Severity,
        reason: Text,
        *,
        row: int | None = None,
        field: str | None = None,
        value: object = None,
        **options: Any,
    ) -> None:
        """Note an issue of a row of the batch (or of the file, without a row)."""
        if row is not None:
            self.indices.add(row - self.first_row)
            row = int(self.numbers[row - self.first_row])
        self.log.add(code, severity, reason, row=row, field=field, value=value, **options)


def joined(batches: Sequence[Batch]) -> Batch:
    """Selections of several batches as one."""
    if len(batches) == 1:
        return batches[0]
    faults: dict[int, str] = {}
    linearised: list[int] = []
    fault_lines: dict[int, int] = {}
    declared: dict[int, DeclaredArea] = {}
    rows: list[int] = []
    before = 0
    for batch in batches:
        faults.update({before + index: code for index, code in batch.faults.items()})
        linearised.extend(before + index for index in batch.linearised)
        fault_lines.update({before + index: line for index, line in batch.fault_lines.items()})
        declared.update({before + index: area for index, area in batch.declared_areas.items()})
        counted = range(batch.first_row, batch.first_row + len(batch))
        rows.extend(counted if batch.rows is None else batch.rows)
        before += len(batch)
    # A format without WKB gives all its rows, its batches keep None there.
    encoded = [batch.wkb for batch in batches]
    return Batch(
        first_row=batches[0].first_row,
        geometries=np.concatenate([batch.geometries for batch in batches]),
        columns={
            name: pa.concat_arrays([batch.columns[name] for batch in batches])
            for name in batches[0].columns
        },
        faults=faults,
        linearised=tuple(linearised),
        fault_lines=fault_lines,
        declared_areas=declared,
        wkb=None if any(wkb is None for wkb in encoded) else pa.concat_arrays(encoded),
        rows=tuple(rows),
    )
