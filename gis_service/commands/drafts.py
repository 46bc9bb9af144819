"""``drafts``: open a plan's draft for editing, look at its history, check, revert, discard."""

import getpass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gis_service.commands.first_day import ValidFrom, first_day
from gis_service.commands.terminal import language, say, show, show_json
from gis_service.settings import Settings, load_service_config
from layers.errors import NotFound

if TYPE_CHECKING:
    from layers.database import Connection

app = typer.Typer(help="Drafts that are edited feature by feature.", no_args_is_help=True)

PlanArgument = Annotated[str, typer.Argument(help="Plan id, see: plans list")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print as JSON.")]


@app.command(name="list")
def list_drafts(json: JsonOption = False) -> None:
    """All open drafts with their layers and changes. Example: gis-service drafts list"""
    from gis_service import start
    from layers import draft_edits
    from layers.database import connect

    settings = Settings()
    with start.database(settings, say) as dsn, connect(dsn) as connection:
        found = draft_edits.list_drafts(connection)
    if json:
        show_json(found)
        return
    for draft in found:
        show(f"{draft['plan']:<28} edition {draft['edition']}  from {draft['valid_from']}  "
             f"{draft['title'][language()]}")  # fmt: skip
        for layer in draft["layers"]:
            issues = layer["blocking_issues"]
            mark = f"  blocking issues: {issues}" if issues else ""
            show(f"    {layer['changes']:>8,} changes  {layer['layer']}{mark}")


@app.command(name="open")
def open_draft(
    plan: PlanArgument,
    layer: Annotated[
        list[str] | None, typer.Option(help="Only these layers; may be repeated.")
    ] = None,
    valid_from: ValidFrom = None,
    editor: Annotated[
        str | None, typer.Option(help="A database role that may edit through layer_draft.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Open a draft that begins as what is in force, to be edited in QGIS (schema layer_draft).

    Example: gis-service drafts open overall-plan --layer ecological_redline --editor planners
    """
    from gis_service import start
    from layers.catalog import load_catalog
    from layers.database import connect
    from layers.draft_edits import list_drafts, open_plan_draft
    from layers.draft_views import grant_editor

    settings = Settings()
    catalog = load_catalog(settings.config_dir)
    config = load_service_config(settings.config_dir)
    with start.database(settings, say) as dsn, connect(dsn) as connection:
        edition = open_plan_draft(
            connection,
            catalog,
            plan,
            region=config.region.bbox,
            valid_from=first_day(connection, plan, valid_from),
            layer_ids=layer or None,
        )
        draft = next(one for one in list_drafts(connection) if one["edition"] == edition)
        names = [one["layer"] for one in draft["layers"] if layer is None or one["layer"] in layer]
        if editor is not None:
            grant_editor(connection, editor, names)
    if json:
        show_json({"plan": plan, "edition": edition, "layers": names})
        return
    show(f"{plan}: edition {edition} (draft) is open")
    for name in names:
        show(f"    layer_draft.{name}  (key: feature_id)")


@app.command(name="history")
def history(
    plan: PlanArgument,
    layer: Annotated[str, typer.Argument(help="Layer id.")],
    feature: Annotated[str | None, typer.Argument(help="Feature id; all.")] = None,
    edition: Annotated[int | None, typer.Option(help="A published edition; the draft.")] = None,
    json: JsonOption = False,
) -> None:
    """Who changed what in a draft, or in the draft that an edition was; newest first.

    Example: gis-service drafts history overall-plan ecological_redline R7
    """
    from gis_service import start
    from layers import draft_edits
    from layers.database import connect

    settings = Settings()
    with start.database(settings, say) as dsn, connect(dsn) as connection:
        content_id = (
            _draft(connection, plan, layer).content_id
            if edition is None
            else _content_of(connection, layer, edition)
        )
        found = draft_edits.history(connection, content_id, feature)
    if json:
        show_json(found)
        return
    for one in found:
        what = ["geometry"] if one["geometry_changed"] else []
        show(
            f"{one['changed']:%Y-%m-%d %H:%M:%S}  {one['feature_id']}  version {one['version']}  "
            f"{one['action']}  {', '.join([*what, *_names(one)])}  {one['changed_by']}  "
            f"{one['reason'] or ''}".rstrip()
        )


def _content_of(connection: "Connection", layer: str, edition: int) -> int:
    from layers.pinned_contents import pinned_contents

    content = pinned_contents(connection, {layer: edition}).get(layer)
    if content is None:
        raise NotFound(
            f"Edition {edition} holds no layer '{layer}'.", f"版本 {edition} 没有图层“{layer}”。"
        )
    return content.content_id


def _names(one: dict[str, Any]) -> list[str]:
    from layers.edition_diff import changed_names

    return changed_names(one["attributes_before"], one["attributes_after"])


@app.command(name="check")
def check(
    plan: PlanArgument,
    draw: Annotated[
        bool, typer.Option("--draw", help="Make it ready for the map (tiles with ?edition=).")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Check edited features before the publish; exit code 1 when something blocks it.

    Example: gis-service drafts check overall-plan --draw
    """
    from gis_service import start
    from layers.catalog import load_catalog
    from layers.database import connect
    from layers.draft_checks import check_draft, draw_draft
    from layers.sandbox import Sandbox

    settings = Settings()
    catalog = load_catalog(settings.config_dir)
    with (
        start.database(settings, say) as dsn,
        connect(dsn) as connection,
        Sandbox() as sandbox,
    ):
        edition = _edition(connection, plan)
        found = check_draft(connection, sandbox, catalog, edition)
        if draw:
            draw_draft(connection, edition)
    blocking = sum(one["severity"] == "blocking" for one in found)
    if json:
        show_json({"plan": plan, "edition": edition, "blocking": blocking, "issues": found})
    else:
        show(f"{plan}: edition {edition} (draft)  blocking issues: {blocking}")
        for one in found:
            place = " ".join(filter(None, (one["layer"], one["feature_id"], one["field"])))
            show(f"  {one['severity']:<9} {place}: {one['reason'][language()]}")
    raise typer.Exit(1 if blocking else 0)


@app.command(name="revert")
def revert(
    plan: PlanArgument,
    layer: Annotated[str, typer.Argument(help="Layer id.")],
    feature: Annotated[str, typer.Argument(help="Feature id.")],
    version: Annotated[int, typer.Argument(help="Version; 0 is what the draft began with.")],
    reason: Annotated[str, typer.Option(help="Kept in the history.")] = "",
    json: JsonOption = False,
) -> None:
    """Make a feature again what it was; that is a new version.

    Example: gis-service drafts revert overall-plan ecological_redline R7 0
    """
    from gis_service import start
    from layers import draft_edits
    from layers.database import connect

    settings = Settings()
    editor = draft_edits.Editor(getpass.getuser(), reason)
    with start.database(settings, say) as dsn, connect(dsn) as connection:
        draft = _draft(connection, plan, layer)
        done = draft_edits.revert(connection, draft, feature, version, editor)
    if json:
        show_json({"feature_id": done.feature_id, "version": done.version})
    else:
        show(f"{feature}: as after version {version}; now version {done.version}")


@app.command(name="discard")
def discard(plan: PlanArgument, json: JsonOption = False) -> None:
    """Throw a plan's draft away, with its history. Example: gis-service drafts discard overall-plan"""  # noqa: E501
    from gis_service import start
    from layers import draft_edits
    from layers.catalog import load_catalog
    from layers.database import connect

    settings = Settings()
    load_catalog(settings.config_dir).plan(plan)
    with start.database(settings, say) as dsn, connect(dsn) as connection:
        edition = draft_edits.discard(connection, plan)
    if json:
        show_json({"plan": plan, "edition": edition, "state": "discarded"})
    else:
        show(f"{plan}: draft {edition} discarded")


def _draft(connection: "Connection", plan_id: str, layer_id: str) -> Any:
    from layers.catalog import load_catalog
    from layers.draft_edits import draft_layer
    from layers.errors import BadParameter

    plan = load_catalog(Settings().config_dir).plan(plan_id)
    if all(layer.id != layer_id for layer in plan.layers):
        names = ", ".join(layer.id for layer in plan.layers)
        raise BadParameter(
            f"{plan_id} has no layer {layer_id}: {names}.",
            f"规划 {plan_id} 没有图层 {layer_id}；图层：{names}。",
        )
    return draft_layer(connection, layer_id)


def _edition(connection: "Connection", plan_id: str) -> int:
    from layers.database import row, statements
    from layers.errors import Conflict

    found = row(connection, statements("layers", "editions.sql")["draft_of_plan"], plan_id=plan_id)
    if found is None:
        raise Conflict(
            f"Plan {plan_id} has no draft.", f"规划 {plan_id} 没有草稿版本。", code="no-draft"
        )
    return int(found["id"])
