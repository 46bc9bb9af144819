"""Import of a file into the draft edition of a plan.

A child process reads and checks (``layers.import_rows``); this module moves the result into the
library in one transaction: rows, source rows, issues, coverage, the draft's pointer. A process
killed at any point leaves at most a content that nobody sees, which the next import sweeps, and a
folder of a dead process, which it removes.
"""

import datetime
import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt
import psycopg
import shapely
from psycopg.types.json import Jsonb

from layers import contents, editions
from layers.catalog import Catalog, Layer, Plan
from layers.crs import Box
from layers.database import Connection, beside, is_free, statements
from layers.datum import Transformation
from layers.draft_basis import Basis, content_to_replace
from layers.errors import BadInput, BadParameter
from layers.field_map import FieldMap, load_field_map
from layers.import_comparison import against_force
from layers.import_coverage import (
    CoverageChoice,
    CoverageKind,
    coverage_kind,
    coverage_of,
    without_boxes,
)
from layers.import_issues import Issue, load_issues
from layers.import_job import (
    CHUNKS_FILE,
    ISSUES_FILE,
    PIECES_PIPE,
    PROGRESS_FILE,
    ROWS_PIPE,
    ImportJob,
    NotComparable,
    ReadResult,
)
from layers.import_report import ImportReport, report_of, with_issues
from layers.import_rows import read_into_files
from layers.incremental import (
    Base,
    apply,
    base_or_refuse,
    coverage_after,
    find_base,
    is_comparable,
    is_like,
    kept_issues,
    refuse_edited,
    says_the_same,
    settings_sha256,
    write_known,
)
from layers.own_folder import own_folder
from layers.pieces import load_tile_pieces, prepare_overlay_pieces
from layers.row_loading import RowLoader
from layers.sandbox import Sandbox
from layers.source_rows import copy_chunks
from layers.zone_check import known_zone_issue, zone_issue

Progress = Callable[[str, float], None]


class StoreWitness(Protocol):
    """Who stands by while an import is stored, inside its one transaction."""

    def admit(self, report: ImportReport) -> None:
        """The draft is open and locked, nothing is in it yet; an exception undoes everything."""

    def record(self, report: ImportReport) -> None:
        """All is stored; what is written here is stored with it or not at all."""


__all__ = ["CoverageChoice", "FieldMap", "ImportReport", "StoreWitness", "import_file"]

_SQL: Final = statements("layers", "import.sql")
_READING_SHARE: Final = 0.7
_INDEX_SHARE: Final = 0.75
_COMPARE_SHARE: Final = 0.95
_JOB_PREFIX: Final = "gis-import-"


def import_file(
    connection: Connection,
    sandbox: Sandbox,
    catalog: Catalog,
    path: Path,
    *,
    plan_id: str,
    layer_id: str | None = None,
    valid_from: datetime.date,
    region_bbox: Box | None,
    field_map: FieldMap | Path | str | None = None,
    field_maps_dir: Path | None = None,
    source_crs: str | None = None,
    source_layer: str | None = None,
    transformation: Transformation | str | None = None,
    convert_obfuscated: bool = False,
    coverage: CoverageChoice | shapely.Geometry | None = None,
    repair: bool = False,
    full: bool = False,
    changes_only: bool = False,
    delete_ids: Sequence[str] = (),
    progress: Progress = lambda _what, _share: None,
    deadline_s: float = 3600.0,
    allow_network: bool = False,
    witness: StoreWitness | None = None,
) -> ImportReport:
    """Read a file into the plan's draft edition and give the report.

    ``region_bbox`` (lon/lat) is what everything has to lie in; None = anywhere. ``coverage``
    overrides what the catalogue says about the layer: ``region``, ``features``, or a lon/lat
    polygon; the boxes of refused rows are always taken out, so that a refused feature's place
    is "no data" and never "no conflict". Where it is None and rows without a known place were
    refused, the whole content has no coverage. ``transformation`` is a stated change of datum or
    the id of a registered one; ``convert_obfuscated`` admits gcj02 and bd09 as ``source_crs``,
    which leaves a blocking issue. Refused without network isolation unless
    ``allow_network``.

    Where the content before was imported with the same settings, only rows that differ from it
    are checked and stored (``layers.incremental``); ``full`` forbids that. With ``changes_only``
    the file holds changed and new rows only, found by their ids, and ``delete_ids`` go.
    """
    plan, layer = _target(catalog, plan_id, layer_id)
    chosen_map = _field_map(field_map, field_maps_dir)
    if isinstance(transformation, str):
        transformation = catalog.transformation(transformation)
    kind = coverage_kind(layer, coverage, region_bbox)
    if not (allow_network or sandbox.network_isolated):
        raise BadInput(
            "Files are not read here: the child process could not be cut off from the network.",
            "此处不读取文件：子进程无法与网络隔离。",
            code="sandbox-unproven",
        )
    if not changes_only:
        refuse_edited(connection, plan.id, layer)
    contents.sweep_dead_contents(connection)
    template = ImportJob(
        path=path.resolve(),
        job_dir=Path(),
        content_id=0,
        layer=layer,
        catalog=catalog,
        field_map=chosen_map,
        source_crs=source_crs,
        source_layer=source_layer,
        transformation=transformation,
        convert_obfuscated=convert_obfuscated,
        region=region_bbox,
        repair=repair,
        union_features=kind == "features" and layer.geometry == "polygon",
        changes_only=changes_only,
        coverage_stated=coverage is not None,
    )
    work = _Import(
        connection, sandbox, catalog, plan, template, kind, coverage, valid_from, progress,
        deadline_s, witness, tuple(delete_ids),
    )  # fmt: skip
    base = None if full and not changes_only else find_base(connection, plan.id, layer, valid_from)
    if changes_only:
        return work.run(base_or_refuse(base, layer))
    if base is not None and is_comparable(base, work.settings, layer, kind):
        try:
            return work.run(base)
        except NotComparable:
            progress("read again", 0.0)
    return work.run(None)


@dataclass(frozen=True, slots=True)
class _Import:
    """One import with all that it was asked."""

    connection: Connection
    sandbox: Sandbox
    catalog: Catalog
    plan: Plan
    template: ImportJob
    kind: CoverageKind
    coverage: CoverageChoice | shapely.Geometry | None
    valid_from: datetime.date
    progress: Progress
    deadline_s: float
    witness: StoreWitness | None
    delete_ids: tuple[str, ...]

    @property
    def settings(self) -> str:
        """A digest of what decides about rows."""
        return settings_sha256(self.template, self.catalog, self.coverage)

    def run(self, base: Base | None) -> ImportReport:
        """Read, load and store; with a base only what differs from it."""
        connection = self.connection
        with own_folder(_JOB_PREFIX) as job_dir:
            content_id = (
                contents.create_content(connection, self.template.layer.id)
                if base is None
                else contents.create_delta(connection, base.from_id)
            )
            try:
                job = replace(
                    self.template,
                    job_dir=job_dir,
                    content_id=content_id,
                    # What no other connection sees yet is drawn when it is published.
                    draw=base is None and is_free(connection),
                )
                if base is not None:
                    write_known(connection, base, job_dir, changes_only=job.changes_only)
                    job = replace(
                        job,
                        first_fid=contents.next_fid(connection, content_id),
                        expected=base.source if not job.changes_only else None,
                    )
                report = self._read_and_store(job, base)
            except BaseException:
                _drop_quietly(connection, content_id)
                raise
            finally:
                if not connection.closed:
                    contents.release_content(connection, content_id)
        self.progress("stored", 1.0)
        return report

    def _read_and_store(self, job: ImportJob, base: Base | None) -> ImportReport:
        watch = _progress_watch(job.job_dir, self.progress)
        with ExitStack() as stack:
            rows_pipe = RowLoader(self.connection, job.content_id, job.job_dir / ROWS_PIPE)
            loaders = [stack.enter_context(rows_pipe)]
            if job.draw:
                other = stack.enter_context(beside(self.connection))
                pieces_pipe = job.job_dir / PIECES_PIPE
                loader = RowLoader(other, job.content_id, pieces_pipe, load_tile_pieces)
                loaders.append(stack.enter_context(loader))

            def look() -> None:
                for loader in loaders:
                    loader.look()
                watch()

            result = self.sandbox.run(read_into_files, job, deadline_s=self.deadline_s, watch=look)
            rows_pipe.finish(result.accepted - result.unchanged)
            return self._report_and_store(job, base, result, loaders[1:])

    def _report_and_store(
        self, job: ImportJob, base: Base | None, result: ReadResult, drawing: Sequence[RowLoader]
    ) -> ImportReport:
        issues = load_issues(job.job_dir / ISSUES_FILE)
        report = replace(
            report_of(self.plan, job.layer, job.path, result, issues), settings=self.settings
        )
        if (
            base is not None
            and job.changes_only
            and not is_like(base, report, job.layer, self.kind)
        ):
            report = replace(report, settings="")
        if result.accepted == 0 and not (job.changes_only and self.delete_ids):
            for loader in drawing:
                loader.finish(None)
            contents.drop_content(self.connection, job.content_id)
            return report
        self.progress("store", _READING_SHARE)
        with _beside(self.connection, job, result, drawing) as meanwhile:
            return self._store(job, base, report, result, issues, meanwhile)

    def _store(
        self,
        job: ImportJob,
        base: Base | None,
        report: ImportReport,
        result: ReadResult,
        issues: list[Issue],
        meanwhile: "_Meanwhile",
    ) -> ImportReport:
        """Everything or nothing: one transaction; the rows are in a content nobody sees yet."""
        connection, content_id = self.connection, job.content_id
        with connection.transaction():
            edition_id = editions.open_draft(connection, self.plan.id, valid_from=self.valid_from)
            if not job.changes_only:  # edited while the file was read
                refuse_edited(connection, self.plan.id, job.layer)
            if self.witness is not None:
                self.witness.admit(replace(report, edition=edition_id))
            gone = None
            if base is not None:
                changes, gone = apply(connection, job, base, result, self.delete_ids)
                report = replace(report, changes=changes)
                if job.changes_only:
                    old = kept_issues(connection, content_id, base)
                    issues, report = [*issues, *old], with_issues(report, old)
                if changes.is_nothing:
                    same = with_issues(report, self._compared(job, base, base.from_id, report))
                    if says_the_same(base, same):
                        return self._same(edition_id, job, base, same)
            self.progress("index", _INDEX_SHARE)
            report, found = self._finish(job, base, gone, report, result, meanwhile.pieces)
            report = replace(report, edition=edition_id)
            _copy_issues(connection, content_id, [*issues, *found])
            report = _keep_findings(connection, report, result if base is None else None)
            editions.put_layer(
                connection, edition_id, report.layer, content_id, basis=self._basis(job, base)
            )
            if self.witness is not None:
                self.witness.record(report)
            meanwhile.copied()
        return report

    def _basis(self, job: ImportJob, base: Base | None) -> Basis:
        if base is not None and job.changes_only:
            return Basis("changed", base.from_id)
        layer_id = job.layer.id
        return Basis("compared", content_to_replace(self.connection, layer_id, self.valid_from))

    def _finish(
        self,
        job: ImportJob,
        base: Base | None,
        gone: npt.NDArray[np.int64] | None,
        report: ImportReport,
        result: ReadResult,
        pieces: Callable[[], list[dict[str, Any]]] | None,
    ) -> tuple[ImportReport, list[Issue]]:
        """Attach the rows and hold the content against the one in force."""
        connection, content_id = self.connection, job.content_id
        accuracy_m = math.hypot(job.layer.accuracy_m, result.added_accuracy_m)
        area = self._coverage(job, base, gone, result, accuracy_m)
        connection.execute(
            _SQL["add_accuracy"], {"content_id": content_id, "added_m": report.added_accuracy_m}
        )
        contents.finish_content(
            connection,
            content_id,
            content_sha256=report.content_sha256,
            coverage=shapely.Polygon() if area is None and base is not None else area,
            source=report.to_json()["source"],
            blocking_issues=report.blocking,
            pieces=pieces,
        )
        self.progress("compare", _COMPARE_SHARE)
        found = self._compared(job, base, content_id, report)
        return replace(with_issues(report, found), content=content_id), found

    def _compared(
        self, job: ImportJob, base: Base | None, content_id: int, report: ImportReport
    ) -> list[Issue]:
        """What is suspicious about the content as a whole, or about what it stands on."""
        connection = self.connection
        zone = None
        if base is None or content_id != base.from_id:
            zone = zone_issue(
                connection, self.catalog, content_id, report.source_crs, self.valid_from
            )
        if zone is None and base is not None and not job.changes_only:
            zone = known_zone_issue(connection, base.from_id)
        found = against_force(connection, report, content_id, self.valid_from)
        return [*found, zone] if zone is not None else found

    def _same(
        self, edition_id: int, job: ImportJob, base: Base, report: ImportReport
    ) -> ImportReport:
        """Nothing differs: the draft holds the content that is there."""
        connection = self.connection
        contents.drop_content(connection, job.content_id)
        editions.put_layer(
            connection, edition_id, report.layer, base.from_id, basis=self._basis(job, base)
        )
        report = replace(
            report,
            edition=edition_id,
            content=base.from_id,
            content_sha256=base.report["content_sha256"],
            blocking=max(report.blocking, base.blocking_issues),
        )
        if self.witness is not None:
            self.witness.record(report)
        return report

    def _coverage(
        self,
        job: ImportJob,
        base: Base | None,
        gone: npt.NDArray[np.int64] | None,
        result: ReadResult,
        accuracy_m: float,
    ) -> shapely.Geometry | None:
        """Where the content has data; None = nowhere."""
        if base is None or gone is None or (not job.changes_only and not job.union_features):
            return coverage_of(
                self.kind, self.coverage, job.region, result.features_union,
                result.refused_boxes, accuracy_m=accuracy_m, unplaced=result.unplaced,
            )  # fmt: skip
        if result.unplaced and self.coverage is None:
            return None
        area = coverage_after(self.connection, job, base, gone)
        return without_boxes(area, result.refused_boxes, accuracy_m=accuracy_m)


@dataclass(frozen=True, slots=True)
class _Meanwhile:
    """What other connections do while the rows are indexed; each call waits for its end."""

    copied: Callable[[], None]
    """The source rows are in."""
    pieces: Callable[[], list[dict[str, Any]]] | None
    """The tables of pieces are there; gives their grids. None where nothing was drawn yet."""


@contextmanager
def _beside(
    connection: Connection, job: ImportJob, result: ReadResult, drawing: Sequence[RowLoader]
) -> Iterator[_Meanwhile]:
    """Work on connections of their own meanwhile, where the content is there for them.

    What they write belongs to the content and goes with it if the rest fails.
    """
    file = job.job_dir / CHUNKS_FILE
    if not is_free(connection):
        yield _Meanwhile(lambda: copy_chunks(connection, file), None)
        return
    with beside(connection) as one, beside(connection) as other, ThreadPoolExecutor(2) as pool:
        copied = pool.submit(copy_chunks, one, file)
        if not job.draw:
            yield _Meanwhile(copied.result, None)
            return
        overlay = pool.submit(prepare_overlay_pieces, other, job.content_id)

        def pieces() -> list[dict[str, Any]]:
            overlay.result()
            for loader in drawing:
                loader.finish(None)
            return result.grids

        yield _Meanwhile(copied.result, pieces)


def _keep_findings(
    connection: Connection, report: ImportReport, whole: ReadResult | None
) -> ImportReport:
    sums = {"area_m2": whole.area_m2, "length_deg": whole.length_deg} if whole else None
    found = connection.execute(
        _SQL["keep_findings"],
        {
            "content_id": report.content,
            "import_report": Jsonb(report.to_json()),
            "blocking_issues": report.blocking,
            "sums": Jsonb({"sums": sums} if sums else {}),
        },
    ).fetchone()
    return replace(report, content_sha256=str(found[0])) if found else report


def _target(catalog: Catalog, plan_id: str, layer_id: str | None) -> tuple[Plan, Layer]:
    plan = catalog.plan(plan_id)
    if layer_id is None and len(plan.layers) == 1:
        return plan, plan.layers[0]
    layer = next((layer for layer in plan.layers if layer.id == layer_id), None)
    if layer is None:
        names = ", ".join(layer.id for layer in plan.layers)
        raise BadParameter(
            f"Say which layer of {plan_id} the file holds (--layer): {names}.",
            f"请指定文件对应规划 {plan_id} 的哪个图层（--layer）：{names}。",
            code="which-layer",
        )
    return plan, layer


def _field_map(value: FieldMap | Path | str | None, folder: Path | None) -> FieldMap | None:
    if value is None or isinstance(value, FieldMap):
        return value
    return load_field_map(value, folder)


def _copy_issues(connection: Connection, content_id: int, issues: list[Issue]) -> None:
    with connection.cursor() as cursor, cursor.copy(_SQL["copy_issues"]) as copy:
        for issue in issues:
            copy.write_row(
                (
                    content_id, issue.row, issue.field, issue.value, issue.code, issue.severity,
                    Jsonb(issue.reason.model_dump()),
                )
            )  # fmt: skip


def _progress_watch(job_dir: Path, progress: Progress) -> Callable[[], None]:
    began = time.monotonic()

    def look() -> None:
        try:
            seen = json.loads((job_dir / PROGRESS_FILE).read_text("ascii"))
        except (OSError, ValueError):
            return
        total = seen["total"] or 2 * seen["read"]
        rate = seen["read"] / max(time.monotonic() - began, 0.001)
        share = _READING_SHARE * min(1.0, seen["read"] / max(1, total))
        progress(f"read: {seen['read']:,} rows, {rate:,.0f} rows/s", share)

    return look


def _drop_quietly(connection: Connection, content_id: int) -> None:
    """After a failure: the content goes if the database still can; else by the next sweep."""
    if not connection.closed and not connection.broken:
        with suppress(psycopg.Error):  # a full disk, say: what went wrong first is what is told
            contents.drop_content(connection, content_id)
