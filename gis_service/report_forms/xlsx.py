"""The report as a workbook: findings, patches, land take, layers, provenance.

Cells hold values, never formulas: a text that begins with ``=`` stays a text.
"""

import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from openpyxl import Workbook

from gis_service.report_forms.patch_rows import patch_rows
from gis_service.report_forms.sheets import add_sheet

_SHEETS: Final[Mapping[str, tuple[str, str]]] = {
    "summary": ("概要", "Summary"),
    "findings": ("核查结论", "Findings"),
    "patches": ("图斑", "Patches"),
    "land_take": ("占地分析", "Land take"),
    "layers": ("图层状态", "Layers"),
    "provenance": ("数据与方法", "Provenance"),
}
_HEADS: Final[Mapping[str, tuple[tuple[str, str], ...]]] = {
    "findings": (
        ("规则", "Rule"), ("版本", "Version"), ("名称", "Title"), ("结论", "Outcome"),
        ("实测", "Measured"), ("限值", "Limit"), ("单位", "Unit"), ("所需文件", "Documents needed"),
        ("依据", "Legal basis"), ("说明", "Message"),
    ),
    "patches": (
        ("图斑编号", "Patch"), ("类型", "Kind"), ("规则", "Rule"), ("版本", "Version"),
        ("规则名称", "Rule title"), ("结论", "Outcome"), ("图层", "Layer"), ("图层版本", "Edition"),
        ("要素", "Feature"), ("代码", "Code"), ("面积（平方米）", "Area m²"),
        ("宽度（米）", "Width m"), ("长度（米）", "Length m"),
        ("距离（米）", "Distance m"), ("原因", "Reason"),
    ),
    "land_take": (
        ("行政区", "Administrative unit"), ("分类体系", "Scheme"), ("代码", "Code"),
        ("面积（平方米）", "Area m²"), ("占比", "Share"),
    ),
    "layers": (("图层", "Layer"), ("版本", "Edition"), ("状态", "State")),
    "provenance": (("图层", "Layer"), ("版本", "Edition"), ("SHA-256", "SHA-256")),
}  # fmt: skip
_ABOUT: Final[Mapping[str, tuple[str, str]]] = {
    "report_id": ("报告编号", "Report"), "created": ("生成时间", "Created"),
    "as_of": ("核查日期", "As of"), "outcome": ("结论", "Outcome"), "summary": ("概要", "Summary"),
    "name": ("项目", "Project"), "area_m2": ("面积（平方米）", "Area m²"),
    "area_mu": ("面积（亩）", "Area mu"), "declared_area_m2": ("申报面积", "Declared area m²"),
    "source_crs": ("来源坐标系", "Source CRS"), "sha256": ("项目哈希", "SHA-256 of the site"),
    "rule_set": ("规则集", "Rule set"), "digest": ("报告摘要", "Digest"),
    "signature": ("签名", "Signature"), "verify": ("验证地址", "Verify at"),
}  # fmt: skip


def write_xlsx(report: Mapping[str, Any], language: str, verify_url: str | None) -> bytes:
    """The workbook in Chinese or English."""
    column = 0 if language == "zh" else 1
    book = Workbook(write_only=True)
    add_sheet(book, _SHEETS["summary"][column], (), _summary(report, language, column, verify_url))
    tables: tuple[tuple[str, Iterable[Sequence[Any]]], ...] = (
        ("findings", (_finding(f, language) for f in report["findings"])),
        ("patches", (tuple(row.values.values()) for row in patch_rows(report, language))),
        ("land_take", _land_take(report, column)),
        ("layers", ((x["layer"], x["edition"], x["state"]) for x in report["layers"])),
        (
            "provenance",
            (
                (e["layer"], e["edition"], e["content_sha256"])
                for e in report["provenance"]["editions"]
            ),
        ),
    )
    for name, rows in tables:
        heads = [head[column] for head in _HEADS[name]]
        add_sheet(book, _SHEETS[name][column], heads, rows)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def _summary(
    report: Mapping[str, Any], language: str, column: int, verify_url: str | None
) -> list[tuple[str, Any]]:
    submission, rules = report["submission"], report["provenance"]["rule_set"]
    values = {
        **{key: report[key] for key in ("report_id", "created", "as_of", "outcome")},
        "summary": report["summary"][language],
        **{key: submission[key] for key in (
            "name", "area_m2", "area_mu", "declared_area_m2", "source_crs", "sha256")},
        "rule_set": f"{rules['id']} {rules['version']} {rules['sha256']}",
        "digest": report["digest"],
        "signature": report["signature"],
        "verify": verify_url,
    }  # fmt: skip
    rows = [(_ABOUT[key][column], value) for key, value in values.items()]
    notice = [report["notice"]] if report.get("notice") else []
    return rows + [("", text[language]) for text in (*notice, *report["disclaimers"])]


def _finding(finding: Mapping[str, Any], language: str) -> tuple[Any, ...]:
    measured, limit = finding["measured"] or {}, finding["limit"] or {}
    needed = "；".join(f"{n['authority'] or ''}《{n['document']}》" for n in finding["requires"])
    basis = "；".join(
        " ".join(filter(None, (b["title"], b.get("number"), b.get("article"))))
        for b in finding["legal_basis"]
    )
    return (
        finding["rule_id"], finding["rule_version"], finding["title"][language],
        finding["outcome"], measured.get("value"), limit.get("value"), measured.get("unit"),
        needed, basis, finding["message"][language],
    )  # fmt: skip


def _land_take(report: Mapping[str, Any], column: int) -> Iterable[tuple[Any, ...]]:
    for row in report["land_take"]:
        yield (
            row["admin_code"], row.get("code_scheme"), row["code"], row["area_m2"], row["share"],
        )  # fmt: skip
    if report["land_take"]:
        total = ("合计", "Total")[column]
        yield (total, None, None, report["submission"]["area_m2"], 1)
