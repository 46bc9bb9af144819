"""The part of an import that touches foreign bytes; runs in a child of ``layers.sandbox``.

Reads batch by batch, maps, checks and converts, and writes three files into the job's folder:
rows for COPY, source rows for COPY, issues. Memory is bounded by the batch and the set of
feature ids; the database is never touched here.
"""

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import shapely

from layers.attribute_checks import Values, check_attributes, readable_values
from layers.catalog import Catalog, Layer
from layers.crs import Box, Crs
from layers.crs_diagnosis import outside_region, share_inside
from layers.datum import Transformation
from layers.declared_area import DeclaredAreas
from layers.errors import BadInput
from layers.feature_rows import RowFile, attributes_json, encode_source_row, end_rows, start_rows
from layers.field_map import FieldMap, FieldPlan, plan_fields
from layers.geometry_checks import CheckedGeometries, GeometryRules, check_geometries
from layers.import_coverage import union_of
from layers.import_crs import CrsWitness, StatedCrs, choose_crs
from layers.import_issues import IssueLog
from layers.readers import Batch, Source, open_source, stream
from layers.text import Text

ROWS_FILE: Final = "rows.copy"
SOURCE_ROWS_FILE: Final = "source-rows.copy"
ISSUES_FILE: Final = "issues.jsonl"
PROGRESS_FILE: Final = "progress.json"

_KEPT_BOXES: Final = 50_000
_SAMPLED_CENTRES: Final = 1_000
_MOSTLY: Final = 0.5


@dataclass(frozen=True, slots=True)
class ImportJob:
    """Everything the child needs to know."""

    path: Path
    job_dir: Path
    content_id: int
    layer: Layer
    catalog: Catalog
    field_map: FieldMap | None
    source_crs: str | None
    source_layer: str | None
    region: Box | None
    repair: bool
    union_features: bool
    transformation: Transformation | None = None
    convert_obfuscated: bool = False
    coverage_stated: bool = False
    """The caller said where the layer has data; else that becomes unknown with unplaced rows."""


@dataclass(slots=True)
class ReadResult:
    """What the child found; counts are of rows."""

    format: str
    source_crs: str
    file_sha256: str
    encoding: str | None
    read: int = 0
    accepted: int = 0
    repaired: int = 0
    refused: int = 0
    unplaced: int = 0
    """Refused rows of which nobody can say where they lie."""
    source_rows: int = 0
    content_sha256: str = ""
    blocking: int = 0
    issue_counts: dict[str, int] = field(default_factory=dict)
    refused_boxes: list[Box] = field(default_factory=list)
    features_union: bytes | None = None
    datum: dict[str, Any] = field(default_factory=dict)
    """How the coordinates came to CGCS2000 (``Crs.statement``)."""
    added_accuracy_m: float = 0.0


def read_into_files(job: ImportJob) -> ReadResult:
    """Read the source and write the files; errors that concern the whole file are raised."""
    os.chdir(job.job_dir)
    source = open_source(job.path, job.job_dir, job.source_layer)
    issues = IssueLog()
    for note in source.notes:
        issues.add(note.code, "advisory", note.reason)
    stated = StatedCrs(job.source_crs, job.transformation, job.convert_obfuscated)
    crs = choose_crs(stated, source.crs_text, issues)
    plan = plan_fields(source.fields, job.layer, job.field_map, source.alternative_names)
    _note_fields(plan, job.layer, issues)
    result = ReadResult(
        source.format, crs.code, sha256_of(job.path), source.encoding,
        datum=crs.statement(), added_accuracy_m=crs.added_accuracy_m,
    )  # fmt: skip
    _RowReader(job, source, crs, plan, issues, result).read_all()
    if result.unplaced:
        _note_unplaced(result.unplaced, job.coverage_stated, issues)
    result.blocking = issues.blocking
    result.issue_counts = dict(issues.counts)
    issues.save(job.job_dir / ISSUES_FILE)
    return result


def _note_unplaced(count: int, stated: bool, issues: IssueLog) -> None:
    if stated:
        result = Text(
            zh="覆盖范围由导入者指定（--coverage），其中可能缺少这些要素",
            en="the coverage is as the caller stated it (--coverage), though they may lie in it",
        )
    else:
        result = Text(
            zh="因此该图层内容的覆盖范围整体记为未知（任何位置均为“无数据”），"
            "除非用 --coverage 指定",
            en="so the coverage of the whole content is unknown (no data anywhere) unless "
            "--coverage states it",
        )
    issues.add(
        "refused-without-place",
        "blocking",
        Text(
            zh=f"{count} 行被拒绝且位置未知；{result.zh}。",
            en=f"{count} refused rows have no known place; {result.en}.",
        ),
    )


def _note_fields(plan: FieldPlan, layer: Layer, issues: IssueLog) -> None:
    for name in plan.personal:
        issues.add(
            "personal-field-dropped",
            "advisory",
            Text(
                zh="个人信息字段，导入时已删除。",
                en="A field of personal data; it was dropped at import.",
            ),
            field=name,
        )
    if plan.ignored:
        issues.add(
            "fields-not-mapped",
            "advisory",
            Text(
                zh=f"有 {len(plan.ignored)} 个字段不属于图层 {layer.id}，未入库。",
                en=f"{len(plan.ignored)} fields belong to no attribute of {layer.id}; not stored.",
            ),
            value=", ".join(plan.ignored),
        )
    missing = [a for a in plan.missing if a.name != layer.id_attribute]
    if missing:
        names = ", ".join(f"{a.name} ({'/'.join(a.aliases)})" for a in missing)
        raise BadInput(
            f"The file has no field for required attributes of {layer.id}: {names}. Give a field "
            "map (--map).",
            f"文件缺少图层 {layer.id} 必填属性对应的字段：{names}。请提供字段映射（--map）。",
            code="required-field-missing",
        )
    if len(plan.missing) > len(missing) or layer.id_attribute is None:
        issues.add(
            "ids-generated",
            "advisory",
            Text(
                zh="文件没有标识字段，以行号作为要素编号。",
                en="The file has no id field; row numbers were taken as feature ids.",
            ),
        )


class _RowReader:
    """Streams a source through the checks into the files."""

    def __init__(
        self,
        job: ImportJob,
        source: Source,
        crs: Crs,
        plan: FieldPlan,
        issues: IssueLog,
        result: ReadResult,
    ) -> None:
        self.job, self.source, self.crs, self.plan = job, source, crs, plan
        self.issues, self.result = issues, result
        self.rules = GeometryRules(job.layer.geometry, crs, job.region, job.repair)
        self.ids: set[str] = set()
        self.outside = 0
        self.centres: list[Any] = []
        self.unions: list[shapely.Geometry] = []
        self.witness = CrsWitness(crs, job.region)
        self.declared = DeclaredAreas()

    def read_all(self) -> None:
        rows = RowFile(self.job.job_dir / ROWS_FILE)
        with rows, (self.job.job_dir / SOURCE_ROWS_FILE).open("wb", buffering=1 << 20) as sources:
            start_rows(sources)
            wanted = [name for name, _ in self.plan.pairs]
            for batch in stream(self.source, wanted):
                self._take(batch, rows, sources)
                self._report_progress()
            end_rows(sources)
        self.issues.extend(self.declared.issues())
        self.result.content_sha256 = rows.fingerprint.hexdigest()
        self._refuse_if_all_outside()
        self.witness.speak(self.issues)
        if self.unions:
            self.result.features_union = shapely.to_wkb(union_of(self.unions))

    def _take(self, batch: Batch, rows: RowFile, sources: Any) -> None:
        blocked = self.issues.blocking
        checked = check_geometries(batch, self.rules, self.issues)
        self.witness.see(checked)
        self.declared.add(batch.first_row, batch.declared_areas, checked.areas_m2)
        values = readable_values(batch.columns, batch.first_row, self.plan, self.issues)
        attributes, lacking = check_attributes(
            values, len(batch), batch.first_row, self.plan, self.job.layer,
            self.job.catalog, self.issues,
        )  # fmt: skip
        ids = self._feature_ids(batch, attributes)
        present = ~shapely.is_missing(checked.stored)
        kept = [
            index
            for index in np.flatnonzero(present).tolist()
            if self._is_kept(index, batch, checked, lacking, ids)
        ]
        self._write(batch, checked, values, attributes, ids, kept, rows, sources)
        self._count(batch, checked, len(kept), self.issues.blocking - blocked)

    def _feature_ids(self, batch: Batch, attributes: Sequence[dict[str, Any]]) -> list[str]:
        name = self.job.layer.id_attribute
        ids = []
        for index, row in enumerate(attributes):
            value = row.get(name) if name else None
            if value is None:
                value = str(batch.first_row + index)
                if name:
                    row[name] = value
            ids.append(str(value))
        return ids

    def _is_kept(
        self,
        index: int,
        batch: Batch,
        checked: CheckedGeometries,
        lacking: set[int],
        ids: Sequence[str],
    ) -> bool:
        """Rows with attribute faults or repeated ids are refused; their place is remembered."""
        repeated = ids[index] in self.ids
        if repeated and index not in lacking:
            self.issues.add(
                "duplicate-id",
                "blocking",
                Text(
                    zh="要素编号重复，后出现的行被拒绝。",
                    en="The feature id stands twice; the later row was refused.",
                ),
                row=batch.first_row + index,
                field=self.job.layer.id_attribute,
                value=ids[index],
            )
        if repeated or index in lacking:
            checked.refused_boxes.append(checked.stored[index].bounds)
            return False
        self.ids.add(ids[index])
        return True

    def _write(
        self,
        batch: Batch,
        checked: CheckedGeometries,
        values: Values,
        attributes: Sequence[dict[str, Any]],
        ids: Sequence[str],
        kept: Sequence[int],
        rows: RowFile,
        sources: Any,
    ) -> None:
        if not kept:
            return
        geometries = checked.stored[list(kept)]
        rows.write(
            (batch.first_row + index for index in kept),
            (ids[index] for index in kept),
            (attributes_json(attributes[index]) for index in kept),
            checked.areas_m2[list(kept)],
            geometries,
        )
        if self.job.union_features:
            self.unions.append(union_of(geometries))
        altered = [index for index in kept if checked.altered[index]]
        sources.writelines(
            encode_source_row(
                self.job.content_id, batch.first_row + index, self.crs.code, wkb,
                {name: column[index] for name, column in values.items()},
            )
            for index, wkb in zip(
                altered, shapely.to_wkb(batch.geometries[altered]).tolist(), strict=True
            )
        )  # fmt: skip
        self.result.source_rows += len(altered)

    def _count(
        self, batch: Batch, checked: CheckedGeometries, accepted: int, blocking: int
    ) -> None:
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
        path = self.job.job_dir / PROGRESS_FILE
        fresh = path.with_suffix(".new")
        total = self.source.feature_count
        fresh.write_text(json.dumps({"read": self.result.read, "total": total}), "ascii")
        fresh.replace(path)


def sha256_of(path: Path) -> str:
    """Digest of a file, or of a folder's files in name order."""
    digest = hashlib.sha256()
    files = sorted(p for p in path.iterdir() if p.is_file()) if path.is_dir() else [path]
    for file in files:
        with file.open("rb") as opened:
            while block := opened.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()
