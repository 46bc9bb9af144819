"""Streams a file through the checks: one thread reads and checks, another encodes and writes.

Runs in a child of ``layers.sandbox``. Where the digests of a base are at hand, a row that the base
holds as it is passes by its digest: it is neither decoded nor checked nor loaded. Rows that had
issues are checked each time, and so is everything about them that a full import would say.
"""

import json
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa  # type: ignore[import-untyped]
import shapely

from layers.attribute_checks import Values, check_attributes, readable_values
from layers.crs import STORAGE_SRID, Crs
from layers.crs_diagnosis import outside_region, share_inside
from layers.declared_area import DeclaredAreas
from layers.drawing_process import DrawingProcess
from layers.ewkb import to_ewkb
from layers.feature_rows import RowFile, attribute_rows
from layers.field_map import FieldPlan
from layers.geometry_checks import CheckedGeometries, GeometryRules, check_geometries
from layers.import_coverage import GrowingUnion
from layers.import_crs import CrsWitness
from layers.import_issues import IssueLog
from layers.import_job import (
    CHUNKS_FILE,
    PIECES_PIPE,
    PROGRESS_FILE,
    ROWS_PIPE,
    ImportJob,
    NotComparable,
    ReadResult,
)
from layers.known_rows import KnownRows, NumberedIssues, joined
from layers.readers import Batch, Source, stream
from layers.source_rows import ChunkFile, row_digests
from layers.text import Text

_KEPT_BOXES: Final = 50_000
_SAMPLED_CENTRES: Final = 1_000
_MOSTLY: Final = 0.5
_CHANGED_AT_ONCE: Final = 1_000
"""Changed rows are few in each batch; they are checked together."""
_QUEUED: Final = 2
_WORD_S: Final = 0.2
"""How often the progress is told."""
_ENOUGH_ROWS: Final = 20_000
_MOST_CHANGED: Final = 0.3
"""A file that differs more from its base is read in full at once."""


@dataclass(frozen=True, slots=True)
class _Checked:
    """A batch that went through the checks; ``kept`` are the indices of rows to be loaded."""

    batch: Batch
    numbers: npt.NDArray[np.int64]
    checked: CheckedGeometries
    values: Values
    attributes: Values
    ids: list[str]
    digests: list[bytes]
    kept: npt.NDArray[np.int64]
    noted: npt.NDArray[np.bool_]


class RowReader:
    """One reading of one source."""

    def __init__(
        self,
        job: ImportJob,
        source: Source,
        crs: Crs,
        plan: FieldPlan,
        issues: IssueLog,
        result: ReadResult,
    ) -> None:
        """Prepare; ``result`` and ``issues`` are filled by ``read_all``."""
        self.job, self.source, self.crs, self.plan = job, source, crs, plan
        self.issues, self.result = issues, result
        self.rules = GeometryRules(job.layer.geometry, crs, job.region, job.repair)
        self.ids: set[str] = set()
        self.outside = 0
        self.centres: list[Any] = []
        self.covered = GrowingUnion()
        self.witness = CrsWitness(crs, job.region)
        self.declared = DeclaredAreas()
        self.next_fid = job.first_fid
        self.drawing: DrawingProcess | None = None
        self.next_word = 0.0
        self.known = KnownRows(job, plan, self.ids) if job.first_fid is not None else None

    def read_all(self) -> None:
        """Read to the end; the streams are whole only when nothing was raised."""
        folder = self.job.job_dir
        with ExitStack() as stack:
            if self.job.draw:  # before there is a thread or a stream
                self.drawing = stack.enter_context(
                    DrawingProcess(self.job.layer, folder / PIECES_PIPE)
                )
            rows = stack.enter_context(RowFile(folder / ROWS_PIPE))
            chunks = ChunkFile(folder / CHUNKS_FILE, self.job.content_id, self.crs.code)
            stack.enter_context(closing(chunks))
            writer = stack.enter_context(ThreadPoolExecutor(1))
            waiting: deque[Future[None]] = deque()
            for batch in self._batches():
                found = self._check(batch)
                if len(waiting) >= _QUEUED:
                    waiting.popleft().result()
                waiting.append(writer.submit(self._write, found, rows, chunks))
                self._report_progress()
            for written in waiting:
                written.result()
            self.issues.extend(self.declared.issues())
            self._refuse_if_all_outside()
            if self.job.union_features:  # while the last rows are drawn
                self.result.features_union = self.covered.wkb()
        if self.drawing is not None:
            self.result.grids = self.drawing.grids
        self.result.content_sha256 = rows.fingerprint.hexdigest()
        self.witness.speak(self.issues)
        if self.known is not None:
            self.known.save(folder)

    def _batches(self) -> Any:
        """Batches as they come, or, beside a base, only what has to be looked at."""
        wanted = [name for name, _ in self.plan.pairs]
        if self.known is None:
            yield from stream(self.source, wanted)
            return
        changed: list[Batch] = []
        seen = differing = 0
        for batch in stream(self.source, wanted, self.known.choose):
            seen, differing = seen + batch.left_out + len(batch), differing + len(batch)
            if seen >= _ENOUGH_ROWS and differing > _MOST_CHANGED * seen:
                self._give_up_comparing()
            self.result.read += batch.left_out
            self.result.accepted += batch.left_out
            self.result.unchanged += batch.left_out
            self._report_progress()
            if len(batch):
                changed.append(batch)
            if sum(map(len, changed)) >= _CHANGED_AT_ONCE:
                yield joined(changed)
                changed = []
        if changed:
            yield joined(changed)

    def _give_up_comparing(self) -> None:
        if not self.job.changes_only:
            raise NotComparable("Too much of the file is new.", "文件的大部分内容是新的。")

    def _check(self, batch: Batch) -> _Checked:
        numbers = _numbers(batch)
        issues = NumberedIssues(self.issues, numbers, batch.first_row)
        checked = check_geometries(batch, self.rules, issues)
        self.witness.see(checked)
        self.declared.add(numbers, batch.declared_areas, checked.areas_m2)
        values = readable_values(batch.columns, batch.first_row, self.plan, issues)
        attributes, lacking = check_attributes(
            values, len(batch), batch.first_row, self.plan, self.job.layer,
            self.job.catalog, issues,
        )  # fmt: skip
        ids = self._feature_ids(numbers, attributes)
        wkb = batch.wkb.to_pylist() if batch.wkb is not None else _wkb(batch).tolist()
        digests = row_digests(wkb, list(values.values()), ids)
        accepted = self._kept(numbers, checked, lacking, ids, issues)
        self._count(batch, checked, len(accepted))
        kept = accepted
        if self.known is not None:
            same = self.known.take(digests, accepted, ids)
            self.result.unchanged += int(same.sum())
            kept = accepted[~same]
        noted = np.zeros(len(batch), dtype=bool)
        noted[list(issues.indices)] = True
        return _Checked(batch, numbers, checked, values, attributes, ids, digests, kept, noted)

    def _feature_ids(self, numbers: npt.NDArray[np.int64], attributes: Values) -> list[str]:
        name = self.job.layer.id_attribute
        own = attributes.get(name) if name else None
        if own is None:
            ids = [str(number) for number in numbers.tolist()]
            if name:
                attributes[name] = list(ids)
            return ids
        if None in own:
            for index, value in enumerate(own):
                if value is None:
                    own[index] = str(numbers[index])
        return [value if isinstance(value, str) else str(value) for value in own]

    def _kept(
        self,
        numbers: npt.NDArray[np.int64],
        checked: CheckedGeometries,
        lacking: set[int],
        ids: Sequence[str],
        issues: NumberedIssues,
    ) -> npt.NDArray[np.int64]:
        """Rows with attribute faults or repeated ids are refused; their place is remembered."""
        present = np.flatnonzero(~shapely.is_missing(checked.stored))
        new = set(ids)
        if not lacking and len(present) == len(ids) == len(new) and self.ids.isdisjoint(new):
            self.ids |= new
            return present
        return np.array(
            [
                index
                for index in present.tolist()
                if self._is_kept(index, checked, lacking, ids, issues)
            ],
            dtype=np.int64,
        )

    def _is_kept(
        self,
        index: int,
        checked: CheckedGeometries,
        lacking: set[int],
        ids: Sequence[str],
        issues: NumberedIssues,
    ) -> bool:
        repeated = ids[index] in self.ids
        if repeated and index not in lacking:
            issues.add(
                "duplicate-id",
                "blocking",
                Text(
                    zh="要素编号重复，后出现的行被拒绝。",
                    en="The feature id stands twice; the later row was refused.",
                ),
                row=issues.first_row + index,
                field=self.job.layer.id_attribute,
                value=ids[index],
            )
        if repeated or index in lacking:
            checked.refused_boxes.append(checked.stored[index].bounds)
            return False
        self.ids.add(ids[index])
        return True

    def _write(self, found: _Checked, rows: RowFile, chunks: ChunkFile) -> None:
        kept = found.kept
        if not len(kept):
            return
        fids = found.numbers[kept]
        if self.next_fid is not None:
            fids = np.arange(self.next_fid, self.next_fid + len(kept))
            self.next_fid += len(kept)
        geometries = found.checked.stored[kept]
        self.result.area_m2 += float(np.nansum(found.checked.areas_m2[kept]))
        if self.job.layer.geometry == "line":
            self.result.length_deg += float(shapely.length(geometries).sum())
        ids, attributes = found.ids, found.attributes
        if len(kept) < len(ids):
            places = kept.tolist()
            ids = [ids[place] for place in places]
            attributes = {n: [values[p] for p in places] for n, values in attributes.items()}
        ewkb = to_ewkb(geometries, STORAGE_SRID)
        if self.drawing is not None:
            shown = self.job.layer.tile_attributes
            self.drawing.add(fids, {n: v for n, v in attributes.items() if n in shown}, ewkb)
        texts = list(attribute_rows(attributes, len(ids)))
        rows.write(fids, ids, texts, found.checked.areas_m2[kept], ewkb)
        if self.job.union_features:
            self.covered.add(geometries)
        self._keep_source(found, fids, chunks)

    def _keep_source(self, found: _Checked, fids: npt.NDArray[np.int64], chunks: ChunkFile) -> None:
        differs = found.checked.altered[found.kept]
        altered = found.kept[differs]
        batch = found.batch
        whole = len(altered) == len(batch)
        picked = pa.array(altered)
        wkb = batch.wkb if batch.wkb is not None else pa.array(_wkb(batch).tolist(), pa.binary())
        values = {
            name: pa.array(found.values[name], column.type)
            for name, column in batch.columns.items()
            if name in found.values
        }
        chunks.write(
            fids,
            [found.digests[index] for index in found.kept.tolist()],
            found.noted[found.kept],
            fids[differs],
            wkb if whole else wkb.take(picked),
            {n: v if whole else v.take(picked) for n, v in values.items()},
        )
        self.result.source_rows += len(altered)

    def _count(self, batch: Batch, checked: CheckedGeometries, accepted: int) -> None:
        result = self.result
        result.read += len(batch)
        result.accepted += accepted
        result.refused += len(batch) - accepted
        result.repaired += checked.repaired
        # No geometry, no numbers, or off the globe: nobody can say where such a row lies.
        result.unplaced += max(0, len(batch) - accepted - len(checked.refused_boxes))
        room = _KEPT_BOXES - len(result.refused_boxes)
        if len(checked.refused_boxes) <= room:
            result.refused_boxes.extend(checked.refused_boxes)
        else:
            # Too many to keep one by one: one box around them all says less, never too much.
            merged = np.array([*result.refused_boxes, *checked.refused_boxes])
            low, high = merged[:, :2].min(axis=0), merged[:, 2:].max(axis=0)
            result.refused_boxes = [(low[0], low[1], high[0], high[1])]
        self.outside += checked.outside
        if len(self.centres) < _SAMPLED_CENTRES:
            boxes = checked.source_boxes
            self.centres.extend(((boxes[:, :2] + boxes[:, 2:]) / 2)[:_SAMPLED_CENTRES])

    def _refuse_if_all_outside(self) -> None:
        region = self.job.region
        if region is None or self.result.accepted or not self.centres:
            return
        centres = np.array(self.centres)
        if self.outside < self.result.read - self._refused_before_place():
            return
        # Features larger than the region are refused one by one; the CRS is not to blame.
        if share_inside(centres, self.crs, region) < _MOSTLY:
            raise outside_region(centres, self.crs, region)

    def _refused_before_place(self) -> int:
        """Rows refused before anybody asked where they lie."""
        return sum(
            self.issues.counts[code]
            for code in (
                "geometry-missing", "geometry-unreadable", "geometry-empty", "geometry-kind",
                "coordinates-not-finite",
            )
        )  # fmt: skip

    def _report_progress(self) -> None:
        now = time.monotonic()
        if now < self.next_word:
            return
        self.next_word = now + _WORD_S
        path = self.job.job_dir / PROGRESS_FILE
        fresh = path.with_suffix(".new")
        total = self.source.feature_count
        fresh.write_text(json.dumps({"read": self.result.read, "total": total}), "ascii")
        fresh.replace(path)


def _numbers(batch: Batch) -> npt.NDArray[np.int64]:
    """The numbers of the rows in the file."""
    if batch.rows is not None:
        return np.array(batch.rows, dtype=np.int64)
    return np.arange(batch.first_row, batch.first_row + len(batch))


def _wkb(batch: Batch) -> Any:
    return shapely.to_wkb(batch.geometries)
