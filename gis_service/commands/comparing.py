"""``compare``: plan against plan."""

import datetime
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import orjson
import typer

from gis_service.commands.terminal import (
    VERDICT_WORDS,
    language,
    progress_bar,
    say,
    show,
    show_json,
)
from gis_service.settings import Settings, load_service_config
from layers.errors import BadParameter, UnreadableFile

if TYPE_CHECKING:
    from gis_service.comparing import Comparison
    from gis_service.comparison_region import RegionRequest

_PROBLEMS: Final = frozenset({"violation", "undetermined"})
_SUFFIXES: Final = (".gpkg", ".geojson", ".xlsx", ".json")
_REGION_HELP: Final = (
    "Administrative code (460105, or 4601 for all that begin so), west,south,east,north, or a "
    "GeoJSON file."
)


def compare(
    plans: Annotated[list[str], typer.Argument(help="Plan ids, two or more, see: plans list")],
    region: Annotated[str | None, typer.Option(help=_REGION_HELP)] = None,
    as_of: Annotated[str | None, typer.Option(help="Day to compare for, 2026-01-31.")] = None,
    scheduler: Annotated[
        str | None, typer.Option(help="Dask scheduler that does the work: tcp://host:8786")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, max=64, help="Processes; one a processor core.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", help="File to write: .gpkg, .geojson, .xlsx or .json.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Compare plans in force: conflict patches (矛盾图斑) with totals; exit code 1 at a conflict
    or where something is undetermined.

    Example: gis-service compare overall-plan forest-plan --region 460105 -o conflicts.gpkg
    """
    from gis_service import start
    from gis_service.comparing import CompareRequest, compare_plans
    from gis_service.executors import executor
    from gis_service.routes.requests import calendar_day

    if output is not None and output.suffix.lower() not in _SUFFIXES:
        raise BadParameter(
            f"-o: a file name that ends in {', '.join(_SUFFIXES)}.",
            f"-o：文件名应以 {'、'.join(_SUFFIXES)} 结尾。",
        )
    day: datetime.date | None = calendar_day(as_of, "--as-of") if as_of else None
    settings = Settings().model_copy(update={"check_processes": 1, "pool_size": 1})
    limits = load_service_config(settings.config_dir).limits
    request = CompareRequest(tuple(plans), _region(region), day)
    with (
        start.database(settings, say) as dsn,
        start.library(settings, dsn, access="restricted") as library,
        executor(
            workers or os.cpu_count() or 1,
            scheduler=scheduler,
            deadline_s=limits.comparison_deadline_s,
            memory_bytes=limits.reader_memory_bytes,
        ) as (runner, count),
        progress_bar() as progress,
    ):
        comparison = compare_plans(library, request, runner, count, progress)
        if output is not None:
            _write(comparison, output)
    if json:
        show_json(comparison.report)
    else:
        _show(comparison.report)
    raise typer.Exit(1 if comparison.report["outcome"] in _PROBLEMS else 0)


def _region(asked: str | None) -> "RegionRequest | None":
    if asked is None or not asked.lower().endswith((".json", ".geojson")):
        return asked
    path = Path(asked)
    try:
        value: Any = orjson.loads(path.read_bytes())
    except (OSError, orjson.JSONDecodeError) as error:
        raise UnreadableFile(
            f"{path.name} is no readable GeoJSON file.", f"{path.name} 不是可读的 GeoJSON 文件。"
        ) from error
    if isinstance(value, dict) and value.get("type") == "FeatureCollection":
        features = value.get("features") or [None]
        value = features[0] if len(features) == 1 else None
    if not isinstance(value, dict):
        raise BadParameter("The region must be one polygon.", "区域应为一个面。")
    return value


def _write(comparison: "Comparison", output: Path) -> None:
    from gis_service.comparison_forms import Drawn, form_of

    form = form_of(output.suffix.lower().removeprefix("."))
    drawn = Drawn(comparison.report, comparison.patches, comparison.touches, comparison.gaps)
    form.write(drawn, output, language())


def _show(report: dict[str, Any]) -> None:
    lang = language()
    mark, word = VERDICT_WORDS[report["outcome"]]
    show(f"{mark} {word.in_language(lang)}: {report['summary'][lang]}")
    for pair in report["pairs"]:
        subject, target = pair["subject"], pair["target"]
        mark, _ = VERDICT_WORDS[pair["outcome"]]
        compared = pair["ground"]["compared_m2"] / 10_000
        show(
            f"{mark} {pair['rule_id']}  {subject['layer']} × {target['layer']}  {compared:,.1f} ha"
        )
        for row in pair["pairs_of_classes"]:
            if row["kind"] is not None:
                one, two = row["subject"]["code"], row["target"]["code"]
                show(
                    f"    {row['kind']:<20} {one} × {two}  {row['patches']:>7,}"
                    f"  {row['area_m2'] / 10_000:>14,.2f} ha"
                )
        for gap in pair["no_data"]:
            area = "" if gap["area_m2"] is None else f" {gap['area_m2'] / 10_000:,.1f} ha"
            show(f"    ? {gap['layer']}: {'无数据' if lang == 'zh' else 'no data'}{area}")
    for one in report["not_compared"]:
        show(f"  – {one['layer']}: {one['reason'][lang]}")
