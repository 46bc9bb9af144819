"""Quality runs in the database: written whole, read as they were written."""

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import shapely
from psycopg.types.json import Jsonb

from layers.crs import STORAGE_SRID
from layers.database import Connection, row, rows, statements
from layers.errors import Conflict, NotFound
from layers.quality.findings import Finding, Findings

SQL: Final = statements("layers", "quality.sql")

Outcome = Literal["blocked", "incomplete", "advisory", "clean"]


@dataclass(frozen=True, slots=True)
class RunHead:
    """What a run looked at, with what levels and which engine."""

    edition_id: int
    started: datetime.datetime
    contents: Mapping[str, str]
    """Layer id -> ``content id:sha256``."""
    counterparts: Mapping[str, Mapping[str, int]]
    levels: Mapping[str, Any]
    engine: Mapping[str, str]


def store_run(
    connection: Connection,
    head: RunHead,
    outcome: Outcome,
    findings: Findings,
    outlines: Mapping[str, bytes],
) -> int:
    """Write a run with its findings in one transaction; give its number."""
    counts = [{**key._asdict(), "count": count} for key, count in sorted(findings.counts.items())]
    with connection.transaction():
        created = row(
            connection,
            SQL["add_run"],
            edition_id=head.edition_id,
            started=head.started,
            contents=Jsonb(dict(head.contents)),
            counterparts=Jsonb(dict(head.counterparts)),
            outcome=outcome,
            blocking=findings.total("blocking"),
            advisory=findings.total("advisory"),
            counts=Jsonb(counts),
            levels=Jsonb(dict(head.levels)),
            engine=Jsonb(dict(head.engine)),
        )
        if created is None:
            raise Conflict("The quality run was not stored.", "未能存储质检结果。")
        run_id = int(created["id"])
        _copy_findings(connection, run_id, findings.kept)
        for layer_id, wkb in outlines.items():
            values = {"run_id": run_id, "layer_id": layer_id, "ewkb": _ewkb(wkb)}
            connection.execute(SQL["add_outline"], values)
    return run_id


def _copy_findings(connection: Connection, run_id: int, findings: Sequence[Finding]) -> None:
    ordered = sorted(findings, key=lambda one: one.severity != "blocking")
    with connection.cursor() as cursor, cursor.copy(SQL["copy_findings"]) as copy:
        for number, one in enumerate(ordered, start=1):
            place = None if one.place is None else shapely.to_wkb(shapely.Point(one.place))
            copy.write_row(
                (
                    run_id, number, one.origin, one.code, one.severity, one.layer, one.content,
                    list(one.feature_ids), one.other_layer, one.other_content, one.row, one.field,
                    one.value, one.measured, one.unit, one.width_m,
                    Jsonb(one.reason.model_dump()), _hex(place), _hex(one.geometry),
                )
            )  # fmt: skip


def _ewkb(wkb: bytes) -> bytes:
    shape = shapely.set_srid(shapely.from_wkb(wkb), STORAGE_SRID)
    return bytes(shapely.to_wkb(shape, include_srid=True))


def _hex(wkb: bytes | None) -> str | None:
    return None if wkb is None else _ewkb(wkb).hex()


def newest_run(connection: Connection, edition_id: int) -> dict[str, Any]:
    """The newest run of an edition with its edition's facts; ``NotFound`` when there is none."""
    found = row(connection, SQL["newest_run"], edition_id=edition_id)
    if found is None:
        raise no_run(edition_id)
    return found


def no_run(edition_id: int) -> NotFound:
    """The one answer for an edition without a run, without a name, or not for this caller."""
    return NotFound(
        f"Edition {edition_id} has no quality report; make one with: gis-service quality PLAN "
        f"{edition_id}.",
        f"版本 {edition_id} 没有质检报告；请运行：gis-service quality PLAN {edition_id}。",
        code="no-quality-run",
    )


def findings_of(connection: Connection, run_id: int) -> list[dict[str, Any]]:
    """The findings of a run as rows, in their order."""
    return rows(connection, SQL["findings"], run_id=run_id)


def outlines_of(connection: Connection, run_id: int) -> dict[str, bytes]:
    """The drawings of the layers of a run, WKB by layer id."""
    found = rows(connection, SQL["outlines"], run_id=run_id)
    return {one["layer_id"]: bytes(one["wkb"]) for one in found}


def refuse_blocking(connection: Connection, edition_id: int, accepted: str | None) -> None:
    """``Conflict`` where the newest run on a content of the draft has blocking findings in it.

    Whatever edition that run was of: a restored edition, or a draft of which another layer was
    imported again, is no better than what was seen. Where a content was never looked at nothing is
    known and nothing is refused: publishing does not wait for a check that takes minutes
    (``publish --check`` makes one first).
    """
    if accepted:
        return
    found = row(connection, SQL["blocking_of_contents"], edition_id=edition_id)
    if found is not None and found["blocking"]:
        count = found["blocking"]
        raise Conflict(
            f"The quality report of edition {edition_id} has blocking findings: {count} (run "
            f"{found['id']}, see: gis-service quality). Mend the data and import them again, check "
            "anew (publish --check), or publish with --accept-blocking 'reason'.",
            f"版本 {edition_id} 的质检报告有 {count} 个阻断性问题（第 {found['id']} 次质检，"
            "见 gis-service quality）。请修正数据后重新导入，或重新质检（publish --check），"
            "或使用 --accept-blocking '理由' 发布。",
            code="quality-blocking",
        )
