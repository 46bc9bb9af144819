"""``rules``: lint, schema, test, show and preview."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from gis_service.commands.terminal import language, say, show, show_json
from gis_service.settings import Settings
from layers.errors import NotFound

if TYPE_CHECKING:
    from gis_service.rule_preview import Preview
    from planning_rules.rule_set import RuleSet

_CASES: Final = Path(__file__).resolve().parents[2] / "tests" / "cases"
_MARKS: Final = {"error": "✕", "warning": "▲", "note": "–"}

app = typer.Typer(help="The rule set.", no_args_is_help=True)


@app.command()
def lint(
    path: Annotated[Path | None, typer.Argument(help="Rule file or folder.")] = None,
    cases: Annotated[Path, typer.Option("--cases", help="Folder of case files.")] = _CASES,
    as_of: Annotated[str | None, typer.Option("--as-of", help="Day, 2026-01-31.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """What is wrong with the rule set; exit code 1 at an error. Example: gis-service rules lint

    Names and values against the catalogue and attributes.yml, exemptions out of reach,
    contradictions, succession, expired citations, rules without cases.
    """
    from gis_service.library import today
    from gis_service.routes.requests import calendar_day
    from layers.catalog import load_catalog
    from planning_rules.rule_case import load_cases
    from planning_rules.rule_lint import lint as faults_of

    rule_set = _rule_set(path)
    day = today() if as_of is None else calendar_day(as_of, "--as-of")
    files = load_cases(cases) if cases.is_dir() else None
    faults = faults_of(rule_set, load_catalog(Settings().config_dir), files, day)
    if json:
        show_json(
            {
                "id": rule_set.id,
                "version": rule_set.version,
                "sha256": rule_set.sha256,
                "rules": [rule.id for rule in rule_set.rules],
                "faults": [fault.as_json() for fault in faults],
            }
        )
    else:
        for fault in faults:
            said = fault.text.in_language(language())
            show(f"{_MARKS[fault.weight]} {fault.rule_id} {fault.code}: {said}")
        counts = ", ".join(f"{sum(f.weight == w for f in faults)} {w}(s)" for w in _MARKS)
        show(f"{rule_set.id} {rule_set.version}: {len(rule_set.rules)} rules, {counts}")
        show(f"sha256 {rule_set.sha256}")
    raise typer.Exit(1 if any(fault.weight == "error" for fault in faults) else 0)


@app.command()
def schema() -> None:
    """The JSON Schema of a rule file. Example: gis-service rules schema > rules.schema.json"""
    from planning_rules.rule_schema import rule_file_schema

    show_json(rule_file_schema())


def _rule_set(path: Path | None) -> "RuleSet":
    """The rules of a file or folder, of the configuration without one."""
    from planning_rules.rule_set import load_rule_set

    if path is not None and not path.exists():
        raise NotFound(f"There is no file or folder {path}.", f"没有文件或文件夹 {path}。")
    return load_rule_set(path or Settings().config_dir / "rules")


@app.command(name="test")
def run_tests(
    folder: Annotated[Path, typer.Argument(help="Folder of case files.")] = _CASES,
    json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """Judge the planners' cases; exit code 1 when one differs. Example: gis-service rules test"""
    from planning_rules.rule_case import load_cases, run_cases

    if not folder.is_dir():
        raise NotFound(f"There is no folder {folder}.", f"没有文件夹 {folder}。")
    rule_set = _rule_set(None)
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
    rule_set = _rule_set(None)
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


@app.command()
def preview(
    path: Annotated[Path, typer.Argument(help="Changed rule file or folder.")],
    most: Annotated[int, typer.Option("--most", min=1, help="Newest reports only.")] = 1_000,
    since: Annotated[str, typer.Option("--since", help="Day, 2026-01-31.")] = "0001-01-01",
    json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """Which stored reports changed rules would judge otherwise; nothing is stored.

    Exit code 1 when one would. Example: gis-service rules preview config/rules
    """
    from gis_service import start
    from gis_service.routes.requests import calendar_day
    from gis_service.rule_preview import preview as previews

    day, rule_set = calendar_day(since, "--since"), _rule_set(path)
    settings = Settings().model_copy(update={"check_processes": 1, "pool_size": 1})
    with (
        start.database(settings, say) as dsn,
        start.library(settings, dsn, access="restricted") as library,
    ):
        found = list(previews(library, rule_set, most=most, since=day))
    differing = [one for one in found if one.differs]
    if json:
        show_json({"reports": len(found), "differing": [one.as_json() for one in differing]})
    else:
        _show_previews(differing, len(found))
    raise typer.Exit(1 if differing else 0)


def _show_previews(differing: "list[Preview]", count: int) -> None:
    """Report by report with its rules, then how often each rule changes."""
    rules: Counter[str] = Counter()
    for one in differing:
        show(f"{one.report_id} {one.name or ''} ({one.as_of}): {one.before} → {one.after or '?'}")
        if one.problem is not None:
            show(f"    {one.problem.in_language(language())}")
        for change in one.changes:
            show(f"    {change.rule_id}: {change.before or '-'} → {change.after or '-'}")
            rules[f"{change.rule_id}: {change.before or '-'} → {change.after or '-'}"] += 1
    for said, times in sorted(rules.items()):
        show(f"{times:6} × {said}")
    show(f"{len(differing)} of {count} stored reports would be judged otherwise")


@app.command()
def profiles(
    json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """The choices of rules that a check can ask for. Example: gis-service rules profiles"""
    found = _rule_set(None).profiles
    if json:
        show_json([one.model_dump(mode="json", exclude_none=True) for one in found])
        return
    for one in found:
        show(f"{one.id:<20} {one.title.in_language(language())}  {', '.join(one.rules)}")
