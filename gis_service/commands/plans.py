"""``plans list`` and ``plans show``."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from gis_service.commands.terminal import language, say, show, show_json
from gis_service.settings import Settings

if TYPE_CHECKING:
    from layers.catalog import Catalog
    from layers.database import Connection

app = typer.Typer(help="The catalogue with its editions.", no_args_is_help=True)


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
        published = next((e for e in entry["editions"] if e["state"] == "published"), None)
        state = f"edition {published['id']} from {published['valid_from']}" if published else "-"
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
            f"  edition {edition['id']}  {edition['state']}  from {edition['valid_from']}  "
            f"{edition['title'][language()]}"
        )
        for layer in edition["layers"]:
            issues = layer["blocking_issues"]
            mark = f"  {issues} blocking issues" if issues else ""
            show(f"    {layer['features'] or 0:>10,}  {layer['layer']}{mark}")


def _entry(connection: "Connection", catalog: "Catalog", plan_id: str) -> dict[str, Any]:
    from layers.editions import list_editions

    plan = catalog.plan(plan_id)
    return {
        "id": plan.id,
        "kind": plan.kind,
        "title": plan.title.model_dump(),
        "authority": plan.authority.model_dump(),
        "layers": [layer.id for layer in plan.layers],
        "editions": list_editions(connection, plan_id),
    }
