"""The totals of a comparison as a workbook: by pair of classes, by unit, ground without data."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from openpyxl import Workbook

from gis_service.report_forms.sheets import add_sheet

_SHEETS: Final = {
    "summary": ("概要", "Summary"),
    "pairs_of_classes": ("地类对照", "Pairs of classes"),
    "totals": ("行政区汇总", "By unit"),
    "no_data": ("无数据范围", "No data"),
    "patches": ("图斑", "Patches"),
}
_HEADS: Final[Mapping[str, tuple[tuple[str, str], ...]]] = {
    "pairs_of_classes": (
        ("规则", "Rule"), ("图层", "Layer"), ("代码", "Code"), ("对照图层", "Target layer"),
        ("对照代码", "Target code"), ("关系", "Relation"), ("类型", "Kind"),
        ("图斑数", "Patches"), ("面积（平方米）", "Area m²"),
    ),
    "totals": (
        ("规则", "Rule"), ("行政区", "Administrative unit"), ("图层", "Layer"), ("代码", "Code"),
        ("对照图层", "Target layer"), ("对照代码", "Target code"), ("关系", "Relation"),
        ("类型", "Kind"), ("面积（平方米）", "Area m²"),
    ),
    "no_data": (
        ("规则", "Rule"), ("规划", "Plan"), ("图层", "Layer"), ("面积（平方米）", "Area m²"),
    ),
    "patches": (
        ("图斑编号", "Patch"), ("类型", "Kind"), ("规则", "Rule"), ("图层", "Layer"),
        ("代码", "Code"), ("对照图层", "Target layer"), ("对照代码", "Target code"),
        ("面积（平方米）", "Area m²"), ("宽度（米）", "Width m"), ("行政区", "Unit"),
        ("原因", "Reason"),
    ),
}  # fmt: skip
_TOTAL: Final = ("合计", "Total")


def write_workbook(report: Mapping[str, Any], path: Path, language: str) -> None:
    """The workbook in Chinese or English; every table of areas ends with its sum."""
    column = 0 if language == "zh" else 1
    book = Workbook(write_only=True)
    add_sheet(book, _SHEETS["summary"][column], (), _summary(report, language))
    tables: dict[str, Iterator[tuple[Any, ...]]] = {
        "pairs_of_classes": _classes(report, column),
        "totals": _totals(report, column),
        "no_data": (
            (pair["rule_id"], gap["plan"], gap["layer"], gap["area_m2"])
            for pair in report["pairs"] for gap in pair["no_data"]
        ),
        "patches": (_patch(patch, language) for patch in report["patches"]["listed"]),
    }  # fmt: skip
    for name, rows in tables.items():
        heads = [head[column] for head in _HEADS[name]]
        add_sheet(book, _SHEETS[name][column], heads, rows)
    book.save(path)


def _summary(report: Mapping[str, Any], language: str) -> Iterator[tuple[Any, Any]]:
    rules = report["provenance"]["rule_set"]
    for name in ("report_id", "created", "as_of", "outcome", "region", "digest"):
        yield name, report[name]
    yield "plans", ", ".join(report["plans"])
    yield "summary", report["summary"][language]
    yield "rule_set", f"{rules['id']} {rules['version']} {rules['sha256']}"
    for pair in report["pairs"]:
        for side in (pair["subject"], pair["target"]):
            yield side["layer"], f"{side['plan']} {side['edition']} {side.get('content_sha256')}"
    yield "patches", f"{report['patches']['count']} (sha256 {report['patches']['sha256']})"
    for text in report["disclaimers"]:
        yield "", text[language]


def _classes(report: Mapping[str, Any], column: int) -> Iterator[tuple[Any, ...]]:
    for pair in report["pairs"]:
        names = pair["subject"]["layer"], pair["target"]["layer"]
        rows = pair["pairs_of_classes"]
        for row in rows:
            yield (
                pair["rule_id"], names[0], row["subject"]["code"], names[1],
                row["target"]["code"], row["relation"], row["kind"], row["patches"],
                row["area_m2"],
            )  # fmt: skip
        whole = round(sum(row["area_m2"] for row in rows), 2)
        count = sum(row["patches"] for row in rows)
        yield pair["rule_id"], _TOTAL[column], None, None, None, None, None, count, whole


def _totals(report: Mapping[str, Any], column: int) -> Iterator[tuple[Any, ...]]:
    for pair in report["pairs"]:
        names = pair["subject"]["layer"], pair["target"]["layer"]
        for row in pair["totals"]:
            yield (
                pair["rule_id"], row["admin_code"], names[0], row["subject"]["code"], names[1],
                row["target"]["code"], row["relation"], row["kind"], row["area_m2"],
            )  # fmt: skip
        whole = round(sum(row["area_m2"] for row in pair["totals"]), 2)
        yield pair["rule_id"], _TOTAL[column], None, None, None, None, None, None, whole


def _patch(patch: Mapping[str, Any], language: str) -> tuple[Any, ...]:
    return (
        patch["id"], patch["kind"], patch["rule_id"], patch["subject_layer"],
        patch["subject"]["code"], patch["target_layer"], patch["target"]["code"],
        patch["area_m2"], patch["width_m"],
        ", ".join(unit["admin_code"] or "-" for unit in patch["units"]),
        (patch.get("reason") or {}).get(language),
    )  # fmt: skip
