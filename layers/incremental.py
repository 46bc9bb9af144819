"""An import that loads only what differs from the content before it.

Possible where the rows of the base went through the same checks with the same settings: then equal
digests mean equal rows. Everything else (another field map, CRS, coverage, catalogue, another
version of the checks, a base edited since) takes a full import. The result is that of a full
import, row by row.
"""

import datetime
import hashlib
import importlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import orjson
import shapely

from layers import deltas, source_rows
from layers.catalog import Catalog, Layer
from layers.coverage_change import covered_after
from layers.crs import GeometryArray
from layers.database import Connection, row, rows, statements
from layers.errors import BadInput, Conflict, NotFound
from layers.import_issues import Issue
from layers.import_job import KEPT_FILE, KNOWN_FILE, ImportJob, ReadResult
from layers.import_report import Changes, ImportReport
from layers.text import Text

_SQL: Final = statements("layers", "incremental.sql")
_CHECKS: Final = (
    "area", "attribute_checks", "attribute_values", "crs", "crs_families", "crs_policy", "datum",
    "field_map", "geometry_checks", "import_coverage", "import_crs", "obfuscation",
    "personal_data", "row_reader", "source_rows", "validity",
)  # fmt: skip
"""Modules that decide what becomes of a row; a base that others judged is not compared with."""


@dataclass(frozen=True, slots=True)
class Base:
    """A content to compare with; ``from_id`` is itself, which may be a delta."""

    from_id: int
    source: Mapping[str, Any]
    report: Mapping[str, Any]
    as_imported: bool
    """No row was edited since."""
    blocking_issues: int
    has_open_edits: bool
    """Features were edited one by one, and not checked since or with blocking findings."""


def settings_sha256(job: ImportJob, catalog: Catalog, coverage: object) -> str:
    """A digest of all that decides what becomes of a row, apart from the file."""
    layer = job.layer
    spoken = (
        shapely.to_wkb(coverage, hex=True) if isinstance(coverage, shapely.Geometry) else coverage
    )
    told = (
        layer.model_dump(mode="json"),
        [one.model_dump(mode="json") for one in catalog.code_lists],
        job.field_map.model_dump(mode="json") if job.field_map else None,
        job.source_crs, repr(job.transformation), job.convert_obfuscated, job.region, job.repair,
        spoken, shapely.geos_version_string, _checks_sha256(),
    )  # fmt: skip
    return hashlib.sha256(orjson.dumps(told, default=repr)).hexdigest()


def _checks_sha256() -> str:
    digest = hashlib.sha256()
    for name in _CHECKS:
        file = importlib.import_module(f"layers.{name}").__file__
        digest.update(Path(file).read_bytes() if file else b"")
    return digest.hexdigest()


def find_base(
    connection: Connection, plan_id: str, layer: Layer, valid_from: datetime.date
) -> Base | None:
    """The draft's content of the layer, else the one in force on the day, else the last one."""
    found = row(connection, _SQL["base"], plan_id=plan_id, layer_id=layer.id, valid_from=valid_from)
    return (
        None
        if found is None
        else Base(
            found["id"],
            found["source"],
            found["import_report"],
            found["as_imported"],
            found["blocking_issues"],
            found["has_open_edits"],
        )
    )


def is_comparable(base: Base, settings: str, layer: Layer, coverage_kind: str) -> bool:
    """Whether equal digests mean equal rows, and the coverage can follow the changes."""
    if (
        not base.as_imported
        or base.source.get("settings") != settings
        or "ids-generated" in _counts(base)
    ):
        return False
    # The boxes of rows that the base refused are cut out of what its features cover.
    followed = coverage_kind == "features" and layer.geometry == "polygon"
    return not (followed and base.report.get("refused"))


def is_like(base: Base, report: ImportReport, layer: Layer, coverage_kind: str) -> bool:
    """Whether rows of the base and of a file of changes went through the same checks.

    Otherwise the two together are nothing that a later file could be compared with.
    """
    own: Mapping[str, Any] = report.to_json()["source"]
    same = all(base.source.get(key) == own[key] for key in ("crs", "fields", *report.datum))
    return same and is_comparable(base, report.settings, layer, coverage_kind)


def says_the_same(base: Base, report: ImportReport) -> bool:
    """Whether the base also says all that the report says besides the accepted rows.

    A refused row changes no feature, yet its place is "no data" and the issue blocks.
    """
    return (
        base.as_imported
        and not report.refused
        and not base.report.get("refused")
        and dict(report.issue_counts) == dict(_counts(base))
    )


def _counts(base: Base) -> Mapping[str, int]:
    counts: Mapping[str, int] = base.report.get("issue_counts") or {}
    return counts


def write_known(connection: Connection, base: Base, folder: Path, *, changes_only: bool) -> None:
    """Put the digests of the base where the child finds them.

    A file of changes may have been told another CRS or map than the base: all of it is checked.
    """
    known = source_rows.load_digests(connection, base.from_id, nothing=changes_only)
    words = np.frombuffer(known.digests.tobytes(), dtype="<u8")
    with (folder / KNOWN_FILE).open("wb") as file:
        np.savez(file, fids=known.fids, digests=words, noted=known.noted)


def apply(
    connection: Connection, job: ImportJob, base: Base, result: ReadResult,
    removed_ids: Sequence[str],
) -> tuple[Changes, npt.NDArray[np.int64]]:  # fmt: skip
    """Hide the rows of the base that do not hold in a delta whose own rows are loaded; give them.

    A file of changes leaves alone what it does not name; of a refused row it names the id.
    """
    content_id, first_fid = job.content_id, job.first_fid or 0
    with np.load(job.job_dir / KEPT_FILE) as saved:
        kept, ids = saved["kept"], saved["ids"].tolist()
    if job.changes_only:
        before = _count(connection, base.from_id)
        named = [*ids, *removed_ids]
        gone = np.setdiff1d(_fids_of_ids(connection, base.from_id, named), kept)
        if removed_ids:
            _refuse_unknown(connection, base.from_id, removed_ids)
    else:
        fids = source_rows.fids_of(connection, base.from_id)
        before, gone = len(fids), np.setdiff1d(fids, kept)
    own = result.accepted - result.unchanged
    changed = _count_changed(connection, content_id, base.from_id, gone, first_fid)
    deltas.hide(connection, content_id, gone.tolist())
    changes = Changes(
        base=base.from_id, added=own - changed, changed=changed, removed=len(gone) - changed,
        unchanged=before - len(gone),
    )  # fmt: skip
    return changes, gone


def _count(connection: Connection, content_id: int) -> int:
    found = row(connection, _SQL["count_of"], content_id=content_id)
    return int(found["feature_count"]) if found else 0


def _fids_of_ids(
    connection: Connection, content_id: int, ids: Sequence[str]
) -> npt.NDArray[np.int64]:
    found = rows(connection, _SQL["fids_of_ids"], content_id=content_id, ids=list(ids))
    return np.array([one["fid"] for one in found], dtype=np.int64)


def _refuse_unknown(connection: Connection, content_id: int, ids: Sequence[str]) -> None:
    known = {
        one["feature_id"]
        for one in rows(connection, _SQL["fids_of_ids"], content_id=content_id, ids=list(ids))
    }
    unknown = sorted(set(ids) - known)
    if unknown:
        names = ", ".join(unknown[:10])
        raise BadInput(
            f"Ids to delete that are not in the content ({len(unknown)}): {names}. Mend the list.",
            f"待删除编号中有 {len(unknown)} 个不存在：{names}。请更正清单。",
            code="unknown-ids",
        )


def _count_changed(
    connection: Connection,
    content_id: int,
    from_id: int,
    gone: npt.NDArray[np.int64],
    first_fid: int,
) -> int:
    statement = deltas.on_partitions(_SQL["count_changed"], content_id)
    found = connection.execute(
        statement, {"from_id": from_id, "fids": gone.tolist(), "first_fid": first_fid}
    ).fetchone()
    return int(found[0]) if found else 0


def coverage_after(
    connection: Connection, job: ImportJob, base: Base, gone: npt.NDArray[np.int64]
) -> Any:
    """What features cover after the changes; rows that the import refused are still to be cut out.

    A base without data anywhere (rows refused that nobody can place) gets none.
    """
    found = row(connection, _SQL["coverage_of"], content_id=base.from_id)
    whole: Any = shapely.from_wkb(found["wkb"]) if found and found["wkb"] else shapely.Polygon()
    if not job.union_features or (found and found["feature_count"] and whole.is_empty):
        return whole
    values = {
        "from_id": base.from_id,
        "parts": list(deltas.parts(connection, base.from_id)),
        "fids": gone.tolist(),
        "first_fid": job.first_fid,
    }

    def near(places: GeometryArray) -> GeometryArray:
        wkb = shapely.to_wkb(places).tolist()
        return _shapes(connection.execute(_SQL["near_places"], {**values, "places": wkb}))

    went = _shapes(connection.execute(_SQL["gone"], values))
    come = deltas.on_partitions(_SQL["come"], job.content_id)
    return covered_after(whole, went, _shapes(connection.execute(come, values)), near)


def _shapes(found: Iterable[tuple[bytes]]) -> GeometryArray:
    shapes: GeometryArray = shapely.from_wkb(np.array([wkb for (wkb,) in found], dtype=object))
    return shapes


def base_or_refuse(base: Base | None, layer: Layer) -> Base:
    """A file of changes needs something that it changes."""
    if base is None:
        raise NotFound(
            f"Layer {layer.id} has no content that the changes apply to; import a whole file "
            "first.",
            f"图层 {layer.id} 没有可供变更的内容；请先导入完整文件。",
            code="no-base",
        )
    if base.has_open_edits:  # a check looks at edits of its own content only
        raise Conflict(
            f"Edits in the draft of {layer.id} are not checked or have blocking issues; settle "
            "them first (gis-service drafts check).",
            f"图层 {layer.id} 草稿中的编辑尚未检查或存在阻断性问题；请先处理"
            "（gis-service drafts check）。",
            code="edits-not-checked",
        )
    if "ids-generated" in _counts(base) or layer.id_attribute is None:
        raise BadInput(
            "The content in force has row numbers for ids; changes cannot be told. Import a whole "
            "file with ids.",
            "现有内容以行号为编号，无法识别变更；请导入带编号的完整文件。",
            code="ids-missing",
        )
    return base


def refuse_edited(connection: Connection, plan_id: str, layer: Layer) -> None:
    """``Conflict`` where a whole file would take the place of a draft's edits, and end them."""
    found = row(connection, _SQL["edits_of_draft"], plan_id=plan_id, layer_id=layer.id)
    if found is not None and found["edits"]:
        raise Conflict(
            f"The draft of {plan_id} holds edits of {layer.id} ({found['edits']}), which the file "
            "would replace. Publish or discard the draft first (gis-service drafts discard "
            f"{plan_id}), or import the changes only.",
            f"规划 {plan_id} 的草稿中图层 {layer.id} 有 {found['edits']} 处编辑，导入整份文件会将其"
            f"覆盖。请先发布或丢弃该草稿（gis-service drafts discard {plan_id}），或仅导入变更。",
            code="draft-edited",
        )


def kept_issues(connection: Connection, content_id: int, base: Base) -> list[Issue]:
    """Issues of the base that a file of changes did not settle: they go on to stand."""
    return [
        Issue(
            one["code"], one["severity"], Text(**one["reason"]), row=one["source_row"],
            field=one["field"], value=one["value"],
        )
        for one in rows(
            connection, _SQL["kept_issues"], content_id=content_id, from_id=base.from_id
        )
    ]  # fmt: skip
