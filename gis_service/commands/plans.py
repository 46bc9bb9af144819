"""``plans list``, ``plans show``, ``plans diff`` and ``plans restore``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gis_service.commands.describing import describe
from gis_service.commands.terminal import language, progress_bar, say, show, show_json
from gis_service.settings import Settings
from layers.errors import BadParameter, Conflict

if TYPE_CHECKING:
    from layers.catalog import Catalog
    from layers.database import Connection

app = typer.Typer(help="The catalogue with its editions.", no_args_is_help=True)

app.command()(describe)

_IN_FORCE = "in-force"
_DRAFT = "draft"


@app.command(name="list")
def list_plans(
    json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """All plans with the edition in force. Example: gis-service plans list"""
    from gis_service import start
    from layers.catalog import load_catalog
    from layers.database import connect

    settings = Settings()
    with start.database(settings, say) as dsn, connect(dsn) as connection:
        catalog = load_catalog(settings.config_dir)
        entries = [_entry(connection, catalog, plan.id) for plan in catalog.plans]
    if json:
        show_json(entries)
        return
    for entry in entries:
        held = next((e for e in entry["editions"] if e["in_force"]), None)
        state = f"edition {held['id']} from {held['holds']['from']}" if held else "-"
        show(f"{entry['id']:<28} {state:<32} {entry['title'][language()]}")


@app.command(name="show")
def show_plan(
    plan: Annotated[str, typer.Argument(help="Plan id, see: plans list")],
    json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """One plan with all its editions and layers. Example: gis-service plans show overall-plan"""
    from gis_service import start
    from layers.catalog import load_catalog
    from layers.database import connect

    settings = Settings()
    catalog = load_catalog(settings.config_dir)
    catalog.plan(plan)
    with start.database(settings, say) as dsn, connect(dsn) as connection:
        entry = _entry(connection, catalog, plan)
    if json:
        show_json(entry)
        return
    show(f"{entry['id']}  {entry['title'][language()]}  ({entry['authority'][language()]})")
    for edition in entry["editions"]:
        show(
            f"  edition {edition['id']}  {edition['state']}  {_days(edition)}  "
            f"{edition['title'][language()]}"
        )
        for layer in edition["layers"]:
            issues = layer["blocking_issues"]
            mark = f"  blocking issues: {issues}" if issues else ""
            show(f"    {layer['features'] or 0:>10,}  {layer['layer']}{mark}")


def _days(edition: dict[str, Any]) -> str:
    holds = edition["holds"]
    if holds is None:
        return f"from {edition['valid_from']}"
    until = f" until {holds['until']}" if holds["until"] else ""
    return f"holds from {holds['from']}{until}{' (today)' if edition['in_force'] else ''}"


def _entry(connection: "Connection", catalog: "Catalog", plan_id: str) -> dict[str, Any]:
    from gis_service.edition_reports import edition_entries
    from gis_service.library import today

    plan = catalog.plan(plan_id)
    return {
        "id": plan.id,
        "kind": plan.kind,
        "title": plan.title.model_dump(),
        "authority": plan.authority.model_dump(),
        "layers": [layer.id for layer in plan.layers],
        "editions": edition_entries(connection, plan_id, today(), None),
    }


@app.command(name="diff")
def diff(
    plan: Annotated[str, typer.Argument(help="Plan id, see: plans list")],
    before: Annotated[str, typer.Argument(help="Edition number, or: in-force")],
    after: Annotated[str, typer.Argument(help="Edition number, or: draft, in-force")],
    layer: Annotated[str | None, typer.Option(help="This layer only.")] = None,
    output: Annotated[
        Path | None, typer.Option("-o", help="File to write: .gpkg or .geojson.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the totals as JSON.")] = False,
) -> None:
    """What was added, removed and changed between two editions; exit code 0 also with changes.

    Example: gis-service plans diff overall-plan in-force draft -o changes.gpkg
    """
    from gis_service import start
    from gis_service.edition_reports import diff_head, layer_summary, measured_difference
    from layers.catalog import load_catalog
    from layers.database import connect
    from layers.edition_diff import comparables, compare, edition_version
    from layers.sandbox import Sandbox

    _refuse_suffix(output)
    settings = Settings()
    catalog = load_catalog(settings.config_dir)
    layers = [one for one in catalog.plan(plan).layers if layer in (None, one.id)]
    if not layers:
        catalog.layer(layer or "")
        raise BadParameter(f"{plan} has no layer {layer}.", f"规划 {plan} 没有图层 {layer}。")
    with (
        start.database(settings, say) as dsn,
        connect(dsn) as connection,
        Sandbox() as sandbox,
        progress_bar() as report,
    ):
        sides = (
            edition_version(connection, _edition_number(connection, plan, before)),
            edition_version(connection, _edition_number(connection, plan, after)),
        )
        for side in sides:
            _refuse_other_plan(plan, side.id, side.plan_id)
        pairs = comparables(connection, catalog, *sides, layers)
        entries = []
        for number, pair in enumerate(pairs):
            report(pair.layer_id, number / max(1, len(pairs)))
            found = compare(connection, pair)
            entries.append(
                layer_summary(catalog, found, measured_difference(connection, sandbox, found))
            )
        if output is not None:
            report(output.name, 0.9)
            _write(connection, sandbox, [(p, catalog.layer(p.layer_id)) for p in pairs], output)
    body = {**diff_head(*sides), "layers": entries}
    if json:
        show_json(body)
        return
    _show_diff(body)


def _write(connection: "Connection", sandbox: Any, pairs: Any, output: Path) -> None:
    from layers.change_files import geojson, write_geopackage

    if output.suffix == ".gpkg":
        write_geopackage(connection, sandbox, pairs, output)
        return
    fresh = output.with_name(f".{output.name}.new")
    try:
        with fresh.open("wb") as file:
            file.writelines(geojson(connection, sandbox, pairs))
        fresh.replace(output)
    finally:
        fresh.unlink(missing_ok=True)


def _refuse_suffix(output: Path | None) -> None:
    if output is not None and output.suffix not in (".gpkg", ".geojson"):
        raise BadParameter(
            f"{output.name}: a difference is written as .gpkg or .geojson.",
            f"{output.name}：差异只能写为 .gpkg 或 .geojson。",
        )


def _refuse_other_plan(plan: str, edition_id: int, plan_of_edition: str) -> None:
    if plan_of_edition != plan:
        raise BadParameter(
            f"Edition {edition_id} is of {plan_of_edition}, not of {plan}.",
            f"版本 {edition_id} 属于 {plan_of_edition}，而不是 {plan}。",
            code="other-plan",
        )


def _edition_number(connection: "Connection", plan_id: str, name: str) -> int:
    """A number, or what ``in-force`` (today) and ``draft`` stand for."""
    from gis_service.library import today
    from layers.database import row, statements

    sql = statements("layers", "editions.sql")
    if name == _IN_FORCE:
        found = row(connection, sql["edition_on"], plan_id=plan_id, as_of=today())
        if found is not None:
            return int(found["edition_id"])
        raise Conflict(
            f"Plan {plan_id} has no edition in force today.", f"规划 {plan_id} 目前没有生效的版本。"
        )
    if name == _DRAFT:
        found = row(connection, sql["draft_of_plan"], plan_id=plan_id)
        if found is not None:
            return int(found["id"])
        raise Conflict(
            f"Plan {plan_id} has no draft.", f"规划 {plan_id} 没有草稿版本。", code="no-draft"
        )
    if not (name.isascii() and name.isdigit() and 0 < int(name[:12]) < 2**31):
        raise BadParameter(
            f"'{name}' is no edition number; write a number, in-force or draft.",
            f"“{name}”不是版本号；请写数字、in-force 或 draft。",
        )
    return int(name)


def _show_diff(body: dict[str, Any]) -> None:
    for side in ("before", "after"):
        one = body[side]
        show(f"{side:<7} edition {one['edition']}  {one['state']}  from {one['valid_from']}  "
             f"{one['title'][language()]}")  # fmt: skip
    for layer in body["layers"]:
        if layer["state"] == "same":
            show(f"  {layer['layer']:<40} =")
            continue
        changed = layer["changed"]
        show(
            f"  {layer['layer']:<40} +{layer['added']['features']:,} "
            f"-{layer['removed']['features']:,} ~{changed['features']:,} "
            f"({changed['attributes']:,} attributes, {changed['geometry']:,} geometry, "
            f"{changed['both']:,} both)"
        )
        if layer["note"]:
            show(f"    {layer['note'][language()]}")
        show(
            f"    + {_m2(layer['added']['area_m2'])}  - {_m2(layer['removed']['area_m2'])}  "
            f"~ {_m2(changed['area_m2_before'])} > {_m2(changed['area_m2_after'])}, symmetric "
            f"difference {_m2(changed['symmetric_difference_m2'])}"
        )


def _m2(area_m2: float | None) -> str:
    return "-" if area_m2 is None else f"{area_m2:,.2f} m2"


@app.command(name="restore")
def restore(
    plan: Annotated[str, typer.Argument(help="Plan id, see: plans list")],
    edition: Annotated[int, typer.Argument(help="Edition number, see: plans show")],
    valid_from: Annotated[str | None, typer.Option(help="First day in force; today.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """Make a draft with the contents of an earlier edition; then publish it like any other.

    Example: gis-service plans restore overall-plan 7
    """
    from gis_service import start
    from gis_service.library import today
    from gis_service.routes.requests import calendar_day
    from layers import edition_restore
    from layers.catalog import load_catalog
    from layers.database import connect

    settings = Settings()
    load_catalog(settings.config_dir).plan(plan)
    first_day = calendar_day(valid_from, "--valid-from") if valid_from else today()
    with start.database(settings, say) as dsn, connect(dsn) as connection:
        draft = edition_restore.restore(connection, plan, edition, valid_from=first_day)
    if json:
        show_json({"plan": plan, "edition": draft, "state": "draft", "restored_from": edition})
    else:
        show(f"{plan}: edition {draft} (draft) holds what edition {edition} held; "
             f"put it in force: gis-service publish {plan}")  # fmt: skip
