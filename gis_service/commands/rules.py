"""``rules lint``, ``rules test`` and ``rules show``."""

from pathlib import Path
from typing import Annotated, Final

import typer

from gis_service.commands.terminal import language, show, show_json
from gis_service.settings import Settings
from layers.errors import NotFound

_CASES: Final = Path(__file__).resolve().parents[2] / "tests" / "cases"

app = typer.Typer(help="The rule set.", no_args_is_help=True)


@app.command()
def lint(
    json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """Read the rule set and say what is wrong with it. Example: gis-service rules lint"""
    from planning_rules.rule_set import load_rule_set

    rule_set = load_rule_set(Settings().config_dir / "rules")
    if json:
        show_json(
            {
                "id": rule_set.id,
                "version": rule_set.version,
                "sha256": rule_set.sha256,
                "rules": [rule.id for rule in rule_set.rules],
            }
        )
        return
    show(f"{rule_set.id} {rule_set.version}: {len(rule_set.rules)} rules, sha256 {rule_set.sha256}")


@app.command(name="test")
def run_tests(
    folder: Annotated[Path, typer.Argument(help="Folder of case files.")] = _CASES,
    json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """Judge the planners' cases; exit code 1 when one differs. Example: gis-service rules test"""
    from planning_rules.rule_case import load_cases, run_cases
    from planning_rules.rule_set import load_rule_set

    if not folder.is_dir():
        raise NotFound(f"There is no folder {folder}.", f"没有文件夹 {folder}。")
    rule_set = load_rule_set(Settings().config_dir / "rules")
    results = list(run_cases(load_cases(folder), rule_set))
    failed = [result for result in results if result.differences]
    if json:
        failures = [
            {"rule": one.rule_id, "case": one.case.name, "differences": one.differences}
            for one in failed
        ]
        show_json({"cases": len(results), "failed": failures})
    else:
        for result in failed:
            show(f"✕ {result.rule_id} {result.case.name}: {'; '.join(result.differences)}")
        show(f"{len(results) - len(failed)} of {len(results)} cases as expected")
    raise typer.Exit(1 if failed or not results else 0)


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
