"""``import``, ``publish`` and ``withdraw``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gis_service.commands.describing import (
    ApprovalAuthority,
    ApprovalDate,
    ApprovalDocument,
    TitleEn,
    TitleZh,
    said_of_edition,
)
from gis_service.commands.first_day import ValidFrom, first_day
from gis_service.commands.terminal import language, progress_bar, say, show, show_json
from gis_service.settings import Settings, load_service_config
from layers.errors import LimitExceeded, UnreadableFile

if TYPE_CHECKING:
    from layers.plan_import import ImportReport

_SHOWN_ISSUES = 20


def import_plan(
    file: Annotated[Path, typer.Argument(help="GeoPackage, shapefile, KML, DXF, TXT ...: README.")],
    plan: Annotated[str, typer.Option(help="Plan id, see: plans list")],
    layer: Annotated[str | None, typer.Option(help="Layer id, if the plan has several.")] = None,
    map: Annotated[str | None, typer.Option(help="Field map: a file or a name.")] = None,
    source_crs: Annotated[
        str | None, typer.Option(help="CRS if the file states none: a code, WKT or a .wkt file.")
    ] = None,
    transformation: Annotated[
        str | None, typer.Option(help="Stated change of datum (config/transformations).")
    ] = None,
    convert_obfuscated: Annotated[
        bool, typer.Option(help="Convert gcj02/bd09 all the same; never for statutory use.")
    ] = False,
    source_layer: Annotated[str | None, typer.Option(help="Layer inside the file.")] = None,
    valid_from: ValidFrom = None,
    coverage: Annotated[str | None, typer.Option(help="region, features or a file.")] = None,
    repair: Annotated[bool, typer.Option(help="Mend invalid geometry and say so.")] = False,
    full: Annotated[bool, typer.Option(help="Check every row, also unchanged ones.")] = False,
    changes: Annotated[
        bool, typer.Option("--changes", help="The file holds changed and new rows only.")
    ] = False,
    delete_ids: Annotated[
        Path | None, typer.Option(help="With --changes: a CSV of ids of features to delete.")
    ] = None,
    approval_document: ApprovalDocument = None,
    approval_date: ApprovalDate = None,
    approval_authority: ApprovalAuthority = None,
    title_zh: TitleZh = None,
    title_en: TitleEn = None,
    json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Read a file into a draft edition; exit code 1 when rows were refused
    or something else stops its publishing. Rows that the content before holds as they are, imported
    with the same settings, are not read again.

    Example: gis-service import redline.gpkg --plan overall-plan --layer ecological_redline
    """
    from gis_service import start
    from gis_service.commands.coverage import read_choice
    from gis_service.commands.id_list import read_ids
    from gis_service.commands.source_crs import crs_text
    from layers.catalog import load_catalog
    from layers.database import connect
    from layers.metadata import describe_draft
    from layers.plan_import import import_file
    from layers.sandbox import Sandbox

    if not file.exists():
        raise UnreadableFile(f"There is no file {file}.", f"没有文件 {file}。", code="no-file")
    settings = Settings()
    config = load_service_config(settings.config_dir)
    catalog = load_catalog(settings.config_dir)
    if file.is_file() and file.stat().st_size > config.limits.import_bytes:
        raise LimitExceeded(
            f"{file.name} is larger than {config.limits.import_bytes:,} bytes.",
            f"{file.name} 超过 {config.limits.import_bytes:,} 字节。",
        )
    said = said_of_edition(approval_document, approval_date, approval_authority, title_zh, title_en)
    deleted = read_ids(delete_ids, changes, catalog.plan(plan), layer)
    with (
        start.database(settings, say) as dsn,
        connect(dsn) as connection,
        Sandbox(memory_bytes=config.limits.reader_memory_bytes, max_tasks=8) as sandbox,
        progress_bar() as report,
    ):
        result = import_file(
            connection,
            sandbox,
            catalog,
            file,
            plan_id=plan,
            layer_id=layer,
            field_map=map,
            field_maps_dir=settings.config_dir / "field_maps",
            source_crs=crs_text(source_crs),
            transformation=transformation,
            convert_obfuscated=convert_obfuscated,
            source_layer=source_layer,
            valid_from=first_day(connection, plan, valid_from),
            coverage=read_choice(sandbox, coverage),
            repair=repair,
            full=full,
            changes_only=changes,
            delete_ids=deleted,
            region_bbox=config.region.bbox,
            progress=report,
            deadline_s=config.limits.reader_deadline_s,
        )
        if result.edition is not None and not said.is_empty:
            describe_draft(connection, plan, result.edition, said)
    if json:
        show_json(result.to_json())
    else:
        _show(result)
    raise typer.Exit(1 if result.refused or result.blocking else 0)


def _show(result: "ImportReport") -> None:
    body: dict[str, Any] = result.to_json()
    show(
        f"edition {body['edition']} (draft)  {body['layer']}: read {body['read']:,}, accepted "
        f"{body['accepted']:,}, repaired {body['repaired']:,}, refused {body['refused']:,}"
    )
    if result.changes is not None:
        one = result.changes
        show(
            f"  against content {one.base}: added {one.added:,}, changed {one.changed:,}, removed "
            f"{one.removed:,}, unchanged {one.unchanged:,}"
        )
    for issue in body["issues"][:_SHOWN_ISSUES]:
        place = " ".join(
            [f"row {issue['row']}" if issue["row"] is not None else "file", issue["field"] or ""]
        ).strip()
        show(f"  {issue['severity']:<9} {place}: {issue['reason'][language()]}")
    rest = len(body["issues"]) - _SHOWN_ISSUES
    if rest > 0:
        show(f"  ... {rest} more, see --json")


def publish(
    plan: Annotated[str, typer.Argument(help="Plan id.")],
    edition: Annotated[int | None, typer.Argument(help="Edition; the plan's draft.")] = None,
    accept_blocking: Annotated[
        str | None, typer.Option(help="Publish in spite of blocking issues; the reason is kept.")
    ] = None,
    accept_basis: Annotated[
        str | None,
        typer.Option(help="Publish though what it was made against is not in force; kept."),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Make a quality report first; blocking findings stop.")
    ] = False,
    approval_document: ApprovalDocument = None,
    approval_date: ApprovalDate = None,
    approval_authority: ApprovalAuthority = None,
    title_zh: TitleZh = None,
    title_en: TitleEn = None,
    json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """Put a draft edition in force. Refused while its newest quality report has blocking findings;
    without a report nothing is known and nothing is refused (--check makes one first). Refused as
    well when the edition that it was edited from or compared with was withdrawn in the meantime.

    Example: gis-service publish overall-plan --check
    """
    from gis_service import start
    from gis_service.commands.quality import check_edition
    from layers import editions
    from layers.catalog import load_catalog
    from layers.database import connect
    from layers.metadata import describe_draft
    from layers.quality.run import edition_to_check

    settings = Settings()
    load_catalog(settings.config_dir).plan(plan)
    said = said_of_edition(approval_document, approval_date, approval_authority, title_zh, title_en)
    with start.database(settings, say) as dsn, connect(dsn) as connection:
        if not said.is_empty:
            edition = describe_draft(connection, plan, edition, said)
        if check:
            edition = edition_to_check(connection, plan, edition)
            check_edition(connection, settings, edition)
        number = editions.publish(
            connection, plan, edition, accept_blocking=accept_blocking,
            accept_basis=accept_basis, progress=say,
        )  # fmt: skip
    if json:
        show_json({"plan": plan, "edition": number, "state": "published"})
    else:
        show(f"{plan}: edition {number} published")


def withdraw(
    plan: Annotated[str, typer.Argument(help="Plan id.")],
    edition: Annotated[int, typer.Argument(help="Edition number.")],
    json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """Take an edition out of force; the one before it comes back. Example: gis-service withdraw overall-plan 7"""  # noqa: E501
    from gis_service import start
    from layers import editions
    from layers.catalog import load_catalog
    from layers.database import connect

    settings = Settings()
    load_catalog(settings.config_dir).plan(plan)
    with start.database(settings, say) as dsn, connect(dsn) as connection:
        restored = editions.withdraw(connection, plan, edition)
    if json:
        show_json({"plan": plan, "edition": edition, "state": "withdrawn", "in_force": restored})
    elif restored is None:
        show(f"{plan}: edition {edition} withdrawn; no edition is in force now (no data)")
    else:
        show(f"{plan}: edition {edition} withdrawn; edition {restored} is in force again")
