"""The part of an import that touches foreign bytes; runs in a child of ``layers.sandbox``.

Reads batch by batch, maps, checks and converts (``layers.row_reader``). Rows go through a pipe to
the process that stores them while the file is still being read; issues and source rows into files
of the job's folder. Memory is bounded by the batch and the set of feature ids; the database is
never touched here.
"""

import hashlib
import os
from pathlib import Path

import orjson

from layers.catalog import Layer
from layers.errors import BadInput
from layers.field_map import FieldPlan, plan_fields
from layers.import_crs import StatedCrs, choose_crs
from layers.import_issues import IssueLog
from layers.import_job import ISSUES_FILE, ImportJob, NotComparable, ReadResult
from layers.readers import Source, open_source
from layers.row_reader import RowReader
from layers.text import Text

__all__ = ["ImportJob", "ReadResult", "read_into_files", "sha256_of"]


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
    result.fields = fields_text(plan)
    refuse_other(job, source, result)
    RowReader(job, source, crs, plan, issues, result).read_all()
    if issues.counts["geometry-kind"]:
        _note_kinds(issues)
    if result.unplaced:
        _note_unplaced(result.unplaced, job.coverage_stated, issues)
    result.blocking = issues.blocking
    result.issue_counts = dict(issues.counts)
    issues.save(job.job_dir / ISSUES_FILE)
    return result


def fields_text(plan: FieldPlan) -> str:
    """Which field becomes which attribute, and what is made of its values."""
    told = (
        [(field, attribute.name) for field, attribute in plan.pairs],
        dict(plan.constants), {n: dict(v) for n, v in plan.values.items()}, plan.personal,
    )  # fmt: skip
    return orjson.dumps(told, option=orjson.OPT_SORT_KEYS, default=repr).decode()


def refuse_other(job: ImportJob, source: Source, result: ReadResult) -> None:
    """``NotComparable`` where the file's own CRS or fields are not those of the base."""
    if job.expected is None:
        return
    now = {"crs": result.source_crs, "fields": result.fields, **result.datum}
    if source.batches is not None or any(job.expected.get(k) != v for k, v in now.items()):
        raise NotComparable(
            "The file is of another kind than the content before.", "文件与原内容不可比。"
        )


def _note_kinds(issues: IssueLog) -> None:
    """Drawings and KML hold points, lines and polygons side by side: what to do about the rest."""
    issues.add(
        "geometry-kinds-mixed",
        "advisory",
        Text(
            zh="文件中含有其他类型的图形（见被拒绝的行）。若它们位于文件的另一个图层，"
            "请用 --source-layer 指定要导入的图层；否则请只提供该图层类型的图形。",
            en="The file holds geometries of another kind (see the refused rows). If they lie in "
            "another layer of it, name the one to import (--source-layer); else send a file with "
            "the layer's kind only.",
        ),
    )


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
            en=f"Refused rows without a known place: {count}; {result.en}.",
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
                en=f"Fields that belong to no attribute of {layer.id} are not stored: "
                f"{len(plan.ignored)}.",
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


def sha256_of(path: Path) -> str:
    """Digest of a file, or of a folder's files in name order."""
    digest = hashlib.sha256()
    files = sorted(p for p in path.iterdir() if p.is_file()) if path.is_dir() else [path]
    for file in files:
        with file.open("rb") as opened:
            while block := opened.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()
