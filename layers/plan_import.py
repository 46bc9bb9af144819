"""Import of a file into the draft edition of a plan.

A child process reads and checks (``layers.import_rows``); this module moves the result into the
library in one transaction: rows, source rows, issues, coverage, the draft's pointer. A process
killed at any point leaves at most a content that nobody sees, which the next import sweeps, and a
folder of a dead process, which it removes.
"""

import datetime
import json
import math
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final, Protocol

import numpy as np
import shapely
from psycopg import sql
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from layers import contents, editions, partitions
from layers.catalog import Catalog, Layer, Plan
from layers.crs import Box
from layers.crs_diagnosis import Shift, find_shift
from layers.database import Connection, statements
from layers.datum import Transformation
from layers.errors import BadInput, BadParameter
from layers.field_map import FieldMap, load_field_map
from layers.import_coverage import CoverageChoice, coverage_kind, coverage_of
from layers.import_issues import Issue, load_issues
from layers.import_report import (
    Comparison,
    ImportReport,
    report_of,
    shift_issue,
    shrunk_issue,
    with_issues,
)
from layers.import_rows import (
    ISSUES_FILE,
    PROGRESS_FILE,
    ROWS_FILE,
    SOURCE_ROWS_FILE,
    ImportJob,
    read_into_files,
)
from layers.sandbox import Sandbox
from layers.zone_check import zone_issue

Progress = Callable[[str, float], None]


class StoreWitness(Protocol):
    """Who stands by while an import is stored, inside its one transaction."""

    def admit(self, report: ImportReport) -> None:
        """The draft is open and locked, nothing is in it yet; an exception undoes everything."""

    def record(self, report: ImportReport) -> None:
        """All is stored; what is written here is stored with it or not at all."""


__all__ = ["CoverageChoice", "FieldMap", "ImportReport", "StoreWitness", "import_file"]

_SQL: Final = statements("layers", "import.sql")
_READING_SHARE: Final = 0.6
_JOB_PREFIX: Final = "gis-import-"
_ROW_NUMBERS: Final = "ids-generated"


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
    contents.sweep_dead_contents(connection)
    with _job_folder() as job_dir:
        content_id = contents.create_content(connection, layer.id)
        try:
            job = ImportJob(
                path=path.resolve(),
                job_dir=job_dir,
                content_id=content_id,
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
                coverage_stated=coverage is not None,
            )
            result = sandbox.run(
                read_into_files,
                job,
                deadline_s=deadline_s,
                watch=_progress_watch(job_dir, progress),
            )
            report = report_of(plan, layer, path, result, load_issues(job_dir / ISSUES_FILE))
            if result.accepted == 0:
                contents.drop_content(connection, content_id)
                return report
            area = coverage_of(
                kind, coverage, region_bbox, result.features_union, result.refused_boxes,
                accuracy_m=math.hypot(layer.accuracy_m, result.added_accuracy_m),
                unplaced=result.unplaced,
            )  # fmt: skip
            progress("store", _READING_SHARE)
            report = _store(
                connection, catalog, plan, report, content_id, valid_from, job_dir, area, witness
            )
        except BaseException:
            _drop_quietly(connection, content_id)
            raise
        finally:
            if not connection.closed:
                contents.release_content(connection, content_id)
    progress("stored", 1.0)
    return report


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


def _store(
    connection: Connection,
    catalog: Catalog,
    plan: Plan,
    report: ImportReport,
    content_id: int,
    valid_from: datetime.date,
    job_dir: Path,
    area: shapely.Geometry | None,
    witness: StoreWitness | None,
) -> ImportReport:
    """Everything or nothing: one transaction."""
    with connection.transaction():
        edition_id = editions.open_draft(connection, plan.id, valid_from=valid_from)
        if witness is not None:
            witness.admit(replace(report, edition=edition_id))
        contents.load_rows(connection, content_id, job_dir / ROWS_FILE)
        _copy_file(connection, "copy_source_rows", job_dir / SOURCE_ROWS_FILE)
        found = _against_force(connection, report, content_id, valid_from)
        zone = zone_issue(connection, catalog, content_id, report.source_crs, valid_from)
        found += [zone] if zone is not None else []
        report = replace(with_issues(report, found), edition=edition_id, content=content_id)
        _copy_issues(connection, content_id, [*load_issues(job_dir / ISSUES_FILE), *found])
        connection.execute(
            _SQL["add_accuracy"], {"content_id": content_id, "added_m": report.added_accuracy_m}
        )
        contents.finish_content(
            connection,
            content_id,
            content_sha256=report.content_sha256,
            coverage=area,
            source=report.to_json()["source"],
            import_report=report.to_json(),
            blocking_issues=report.blocking,
        )
        editions.put_layer(connection, edition_id, report.layer, content_id)
        if witness is not None:
            witness.record(report)
    return report


def _against_force(
    connection: Connection, report: ImportReport, content_id: int, valid_from: datetime.date
) -> list[Issue]:
    """What is suspicious against the content in force on the day, else against the last one."""
    layer = report.layer
    for day in (valid_from, datetime.date.max):
        in_force = editions.contents_in_force(connection, [layer], day).get(layer)
        if in_force is not None:
            break
    else:
        return []
    shift = _shift(connection, content_id, in_force.content_id)
    shrunk = shrunk_issue(_compare(connection, report, content_id, in_force.content_id))
    found = (shift_issue(shift) if shift is not None else None, shrunk)
    return [issue for issue in found if issue is not None]


def _compare(
    connection: Connection, report: ImportReport, content_id: int, before: int
) -> Comparison:
    statement = sql.SQL(_SQL["compare_contents"]).format(
        features=partitions.partition("feature", content_id)
    )
    with connection.cursor(row_factory=dict_row) as cursor:
        (found,) = cursor.execute(statement, {"content_id": before}).fetchall()
    counts = found["issue_counts"]
    # Row numbers are no names: other rows carry the same ones in the next file. A content that
    # was not imported (the demo) says nothing about its ids.
    comparable = counts is not None and _ROW_NUMBERS not in {*counts, *report.issue_counts}
    return Comparison(
        features_before=found["features_before"],
        features_after=found["features_after"],
        area_m2_before=found["area_m2_before"] or 0.0,
        area_m2_after=found["area_m2_after"] or 0.0,
        ids_vanished=found["ids_vanished"] if comparable else None,
        length_lost=found["length_lost"],
        extent_lost=found["extent_lost"],
    )


def _shift(connection: Connection, content_id: int, before: int) -> Shift | None:
    statement = sql.SQL(_SQL["shifted_centroids"]).format(
        features=partitions.partition("feature", content_id)
    )
    pairs = np.array(
        connection.execute(statement, {"content_id": before}).fetchall(), dtype=float
    ).reshape(-1, 4)
    return find_shift(pairs[:, :2], pairs[:, 2:])


def _copy_file(connection: Connection, statement: str, path: Path) -> None:
    with (
        connection.cursor() as cursor,
        cursor.copy(_SQL[statement]) as copy,
        path.open("rb") as file,
    ):
        while block := file.read(1 << 20):
            copy.write(block)


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
    def look() -> None:
        try:
            seen = json.loads((job_dir / PROGRESS_FILE).read_text("ascii"))
        except (OSError, ValueError):
            return
        total = seen["total"] or 2 * seen["read"]
        progress("read", _READING_SHARE * min(1.0, seen["read"] / max(1, total)))

    return look


def _drop_quietly(connection: Connection, content_id: int) -> None:
    """After a failure: the content goes if the connection still works; else the next sweep."""
    if not connection.closed and not connection.broken:
        contents.drop_content(connection, content_id)


@contextmanager
def _job_folder() -> Iterator[Path]:
    """A folder of this process; folders of processes that live no more are removed."""
    root = Path(tempfile.gettempdir())
    for left in root.glob(f"{_JOB_PREFIX}*"):
        pid = left.name.removeprefix(_JOB_PREFIX).split("-")[0]
        if pid.isdigit() and not Path(f"/proc/{pid}").exists():
            shutil.rmtree(left, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=f"{_JOB_PREFIX}{os.getpid()}-", dir=root))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
