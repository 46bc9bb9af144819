"""A quality run: all checks of an edition, from its rows to findings in the database.

The library is read in one repeatable-read transaction. Features go to the child cell by cell, so
memory is bounded by the cell and geometry never meets GEOS in the database or in this process.
A cell that runs out of time or memory becomes a finding "not checked", never a pass.
"""

import datetime
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import shapely

from layers.catalog import Catalog
from layers.crs import Box
from layers.database import Connection, row, rows
from layers.errors import Conflict, NotFound
from layers.quality.codes import DOUBTFUL
from layers.quality.control_lines import compare_control_lines
from layers.quality.findings import Findings
from layers.quality.layer_check import check_layer
from layers.quality.levels import Levels
from layers.quality.reading import LayerRows, Work
from layers.quality.record import SQL, Outcome, RunHead, store_run
from layers.sandbox import Sandbox

Progress = Callable[[str, float], None]


@dataclass(frozen=True, slots=True)
class QualityRun:
    """What a run came to; the findings are in the database."""

    run: int
    edition: int
    outcome: Outcome
    blocking: int
    advisory: int


def edition_to_check(connection: Connection, plan_id: str, edition_id: int | None) -> int:
    """The edition asked for, else the plan's draft, else the one in force today."""
    if edition_id is None:
        found = row(connection, SQL["edition_to_check"], plan_id=plan_id)
        if found is None:
            raise Conflict(
                f"Plan {plan_id} has no draft and no edition in force; import a file first.",
                f"规划 {plan_id} 没有草稿，也没有生效的版本；请先导入文件。",
                code="no-edition",
            )
        return int(found["id"])
    found = row(connection, SQL["edition"], edition_id=edition_id)
    if found is None or found["plan_id"] != plan_id:
        raise NotFound(
            f"Plan {plan_id} has no edition {edition_id}.",
            f"规划 {plan_id} 没有版本 {edition_id}。",
        )
    return edition_id


def run_quality(
    connection: Connection,
    sandbox: Sandbox,
    catalog: Catalog,
    levels: Levels,
    edition_id: int,
    *,
    region: Box | None,
    workers: int = 1,
    progress: Progress = lambda _what, _share: None,
) -> QualityRun:
    """Check an edition (draft or published) and store what was found.

    ``connection`` must not be in a transaction. ``region`` (lon/lat) is what every feature has to
    lie in. A draft is judged by the layers it brings; those that it will carry over, and layers of
    other plans in force on its first day, are compared with.
    """
    started = datetime.datetime.now(datetime.UTC)
    findings = Findings(levels.limits.kept_per_code)
    outlines: dict[str, bytes] = {}
    with connection.transaction(), ThreadPoolExecutor(workers) as threads:
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        edition = row(connection, SQL["edition"], edition_id=edition_id)
        if edition is None:
            raise NotFound(f"There is no edition {edition_id}.", f"没有版本 {edition_id}。")
        work = Work(connection, sandbox, levels, threads, workers)
        checked = _layers_of(connection, catalog, levels, edition_id)
        for number, layer in enumerate(checked):
            progress(layer.facts.layer, number / (len(checked) + 1))
            outline = check_layer(work, layer, catalog, region, findings)
            if outline is not None:
                outlines[layer.facts.layer] = outline
        progress("control lines", len(checked) / (len(checked) + 1))
        counterparts = compare_control_lines(
            work, catalog, checked, edition["valid_from"], findings
        )
    outcome = outcome_of(findings)
    head = RunHead(
        edition_id=edition_id,
        started=started,
        contents={one.facts.layer: f"{one.facts.content}:{one.sha256}" for one in checked},
        counterparts=counterparts,
        levels=levels.model_dump(),
        engine={"shapely": shapely.__version__, "geos": shapely.geos_version_string},
    )
    run_id = store_run(connection, head, outcome, findings, outlines)
    progress("stored", 1.0)
    return QualityRun(
        run_id, edition_id, outcome, findings.total("blocking"), findings.total("advisory")
    )


def outcome_of(findings: Findings) -> Outcome:
    """Blocked, else incomplete where something was not looked at, else advisory or clean."""
    if findings.total("blocking"):
        return "blocked"
    if findings.has(DOUBTFUL):
        return "incomplete"
    return "advisory" if findings.total("advisory") else "clean"


def _layers_of(
    connection: Connection, catalog: Catalog, levels: Levels, edition_id: int
) -> list[LayerRows]:
    found = rows(connection, SQL["contents"], edition_id=edition_id)
    if not found:
        raise Conflict(
            f"Edition {edition_id} holds no layer; import a file first.",
            f"版本 {edition_id} 没有图层；请先导入文件。",
            code="empty-edition",
        )
    return [LayerRows.of(connection, catalog, levels, content) for content in found]
