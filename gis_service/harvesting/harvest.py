"""The walk of a harvest: fetch into a room of its own, import into the draft, report, once.

Nothing of a source that fails reaches the library; what is in force is never touched but by a
publish, and that only where the source says ``publish: when-clean`` and nothing speaks against it.
Draft and result are written in one transaction (``layers.plan_import.StoreWitness``), so a harvest
that is killed anywhere is simply run again and gives one result.
"""

import datetime
import logging
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import psycopg

from gis_service.harvesting import folder, ogc_features, postgis_table, runs
from gis_service.harvesting.changes import changes_against_force, is_no_change
from gis_service.harvesting.fetched import Fetched, FetchRoom, Unchanged
from gis_service.harvesting.publishing import publish_if_clean
from gis_service.harvesting.runs import Run, Standing
from gis_service.harvesting.sources import RegisteredSource
from gis_service.settings import ServiceConfig
from layers.catalog import Catalog
from layers.database import Connection, connect
from layers.errors import BadConfiguration, Conflict, GisError, Unavailable
from layers.import_report import ImportReport
from layers.own_folder import own_folder
from layers.plan_import import import_file
from layers.sandbox import Sandbox

_log = logging.getLogger(__name__)

FETCHERS: Final[Mapping[str, Callable[[RegisteredSource, FetchRoom], Fetched]]] = {
    "folder": folder.fetch,
    "ogc-features": ogc_features.fetch,
    "postgis": postgis_table.fetch,
}
_ROOM_PREFIX: Final = "gis-harvest-"
_SHOWN_ISSUES: Final = 50


class Stopped(Exception):
    """Somebody asked the harvest to stop; nothing was changed."""


def secret_of_environment(name: str) -> str:
    """The value of an environment variable that a source names."""
    value = os.environ.get(name)
    if not value:
        raise BadConfiguration(
            f"The environment variable {name} that a source needs is not set.",
            f"数据源所需的环境变量 {name} 未设置。",
            code="secret-missing",
        )
    return value


@dataclass(frozen=True, slots=True)
class HarvestHouse:
    """What all harvests of a process share; ``dsn`` is the owner's, not the public one."""

    dsn: str
    catalog: Catalog
    config: ServiceConfig
    field_maps_dir: Path
    sandbox: Sandbox
    today: Callable[[], datetime.date]
    publishing: frozenset[str] = frozenset()
    """Ids of the sources whose drafts may be published when they are clean."""
    secret: Callable[[str], str] = secret_of_environment


@dataclass(frozen=True, slots=True)
class Harvested:
    """The result: the stored report, and the error of a harvest that failed just now."""

    report: dict[str, Any]
    error: GisError | None = None

    @property
    def outcome(self) -> str:
        """In one word, as in the table of harvests."""
        return str(self.report["outcome"])


def harvest(
    house: HarvestHouse,
    source: RegisteredSource,
    occasion: str,
    check: Callable[[], None] = lambda: None,
) -> Harvested:
    """Harvest a source for an occasion; an occasion that is done already gives its result again.

    ``check`` is called often and may raise ``Stopped``. ``Unavailable`` while another process
    harvests the same source. Errors of the source are results, not exceptions.
    """
    with connect(house.dsn) as connection, runs.only_one(connection, source.id):
        definition = source.definition_sha256(house.catalog.layer(source.layer))
        run = runs.begin(connection, source, occasion, definition)
        if run is not None:
            walk = _Walk(house, source, connection, run, definition, check, time.monotonic())
            result = walk.guarded(occasion)
            if result is not None:
                return result
        publish_if_clean(connection, house, source, occasion)
        row = runs.stored(connection, source.id, occasion)
        return Harvested(row["report"] if row else {"outcome": "failed"})


@dataclass(slots=True)
class _Walk:
    """One attempt at one occasion."""

    house: HarvestHouse
    source: RegisteredSource
    connection: Connection
    run: Run
    definition_sha256: str
    check: Callable[[], None]
    began: float
    standing: Standing | None = None
    fetched: Fetched | None = None

    def guarded(self, occasion: str) -> Harvested | None:
        """Walk; None when a result is stored, else the failure, which is stored as well."""
        try:
            self.go()
        except Stopped:
            self._finish("stopped", {})
            raise
        except psycopg.OperationalError as error:
            raise Unavailable(
                "The library's database went away during a harvest.",
                "获取数据期间数据库连接中断。",
                code="library-away",
            ) from error
        except Exception as error:
            told = error if isinstance(error, GisError) else _unexpected(self.source.id, error)
            if told.code == "taken-over":
                raise
            outcome = "conflict" if isinstance(told, Conflict) else "failed"
            report = self._finish(outcome, {"error": _error_json(told)})
            _log.warning("harvest %s (%s): %s", self.source.id, occasion, told)
            return Harvested(report, told)
        return None

    def go(self) -> None:
        """Fetch, compare with what stands, import."""
        self.check()
        self.standing = runs.standing(self.connection, self.source, self.house.today())
        with own_folder(_ROOM_PREFIX) as room_folder:
            try:
                self.fetched = FETCHERS[self.source.kind](self.source, self._room(room_folder))
            except Unchanged:
                self._finish("unchanged", {"not_modified": True})
                return
            runs.note_fetch(self.connection, self.run, self.fetched)
            held = self._held()
            if held is not None and held.fetched_sha256 == self.fetched.sha256:
                self._finish("unchanged", {})
                return
            runs.refuse_foreign_work(self.connection, self.source.plan, None)
            self._import(self.fetched)

    def _room(self, room_folder: Path) -> FetchRoom:
        held = self._held()
        return FetchRoom(
            folder=room_folder,
            largest_bytes=self.house.config.limits.import_bytes,
            secret=self.house.secret,
            check=self.check,
            validators=held.validators if held is not None else (),
        )

    def _held(self) -> Standing | None:
        """What stands, if this very entry of the source brought it."""
        held = self.standing
        if held is None or held.definition_sha256 != self.definition_sha256:
            return None
        return held

    def _import(self, fetched: Fetched) -> None:
        house, source = self.house, self.source
        try:
            report = import_file(
                self.connection,
                house.sandbox,
                house.catalog,
                fetched.path,
                plan_id=source.plan,
                layer_id=source.layer,
                valid_from=house.today(),
                region_bbox=house.config.region.bbox,
                field_map=source.field_map,
                field_maps_dir=house.field_maps_dir,
                source_crs=source.source_crs if source.kind == "folder" else None,
                source_layer=source.source_layer if source.kind == "folder" else None,
                coverage=source.coverage,
                repair=source.repair,
                progress=lambda _what, _share: self.check(),
                deadline_s=house.config.limits.reader_deadline_s,
                witness=self,
            )
        except _SameContent:
            self._finish("unchanged", {})
            return
        if report.content is None:
            self._finish("refused", _import_json(report))

    def admit(self, report: ImportReport) -> None:
        """Inside the import's transaction: people's drafts stay, equal contents are not stored."""
        self.check()
        runs.refuse_foreign_work(self.connection, self.source.plan, report.edition)
        held = self.standing
        changed_entry = held is not None and held.fetched_sha256 and self._held() is None
        if held and held.content_sha256 == report.content_sha256 and not changed_entry:
            raise _SameContent

    def record(self, report: ImportReport) -> None:
        """Inside the import's transaction: the result is stored with the draft or not at all."""
        edition_id, content_id = report.edition, report.content
        if edition_id is None or content_id is None:
            return
        changes = changes_against_force(
            self.connection, self.house.catalog, self.source.layer, edition_id, self.house.today()
        )
        in_draft = self.standing is not None and self.standing.is_draft
        if is_no_change(changes) and not in_draft:
            raise _SameContent
        self._finish(
            "draft",
            {**_import_json(report), "changes": changes},
            edition_id=edition_id,
            content_id=content_id,
        )

    def _finish(
        self,
        outcome: str,
        more: Mapping[str, Any],
        *,
        edition_id: int | None = None,
        content_id: int | None = None,
    ) -> dict[str, Any]:
        if edition_id is None and outcome == "unchanged" and self.standing is not None:
            edition_id = self.standing.edition_id
        report: dict[str, Any] = {
            "source": self.source.id,
            "outcome": outcome,
            "plan": self.source.plan,
            "layer": self.source.layer,
            "edition": edition_id,
            "fetched": _fetched_json(self.fetched),
            **more,
            "duration_s": round(time.monotonic() - self.began, 3),
        }
        runs.finish(
            self.connection, self.run, outcome, report,
            edition_id=edition_id, content_id=content_id,
        )  # fmt: skip
        return report


class _SameContent(Exception):
    """The source holds what the library holds already; undoes the import."""


def _unexpected(source_id: str, error: Exception) -> GisError:
    _log.error("harvest %s failed", source_id, exc_info=error)
    return GisError(
        f"The harvest failed inside ({type(error).__name__}); see the log.",
        f"获取数据时内部出错（{type(error).__name__}）；请查看日志。",
        code="internal",
    )


def _error_json(error: GisError) -> dict[str, Any]:
    return {"code": error.code, "reason": error.text.model_dump()}


def _fetched_json(fetched: Fetched | None) -> dict[str, Any] | None:
    if fetched is None:
        return None
    return {
        "rows": fetched.rows,
        "bytes": fetched.byte_count,
        "sha256": fetched.sha256,
        "crs": fetched.crs,
        "pages": fetched.pages,
        "complete": fetched.complete,
    }


def _import_json(report: ImportReport) -> dict[str, Any]:
    whole = replace(report, issues=report.issues[:_SHOWN_ISSUES]).to_json()
    kept = ("read", "accepted", "repaired", "refused", "blocking_issues", "issue_counts", "issues")
    return {"import": {name: whole[name] for name in kept}}
