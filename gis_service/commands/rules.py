"""``rules lint`` and ``rules show``."""

from typing import Annotated

import typer

from gis_service.commands.terminal import language, show, show_json
from gis_service.settings import Settings
from layers.errors import NotFound

app = typer.Typer(help="The rule set.", no_args_is_help=True)


@app.command()
def lint() -> None:
    """Read the rule set and say what is wrong with it. Example: gis-service rules lint"""
    from planning_rules.rule_set import load_rule_set

    rule_set = load_rule_set(Settings().config_dir / "rules")
    show(f"{rule_set.id} {rule_set.version}: {len(rule_set.rules)} rules, sha256 {rule_set.sha256}")


@app.command(name="show")
def show_rule(
    rule: Annotated[str, typer.Argument(help="Rule id, for example HN-PBF-001")],
    json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """One rule with its legal basis. Example: gis-service rules show HN-PBF-001"""
    from planning_rules.rule_set import load_rule_set

    rule_set = load_rule_set(Settings().config_dir / "rules")
    found = next((one for one in rule_set.rules if one.id == rule), None)
    if found is None:
        names = ", ".join(one.id for one in rule_set.rules)
        raise NotFound(
            f"There is no rule '{rule}'. Rules: {names}.", f"没有规则“{rule}”。现有：{names}。"
        )
    if json:
        show_json(found.model_dump(mode="json", by_alias=True, exclude_none=True))
        return
    show(f"{found.id}@{found.version}  {found.title.in_language(language())}")
    for basis in found.legal_basis:
        show(f"  {basis.title} {basis.article or ''} (verified: {basis.verified})")
