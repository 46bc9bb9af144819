"""The report as one HTML page: readable, printable on A4, without any outside resource."""

import re
from collections.abc import Mapping
from functools import cache
from typing import Any, Final

import segno
from markupsafe import Markup

from planning_rules.html_template import html_template
from planning_rules.sketch import Ground, sketch

_ICONS: Final = {
    "violation": "✕", "undetermined": "?", "conditional": "§", "warning": "!", "pass": "✓",
    "not-applicable": "–",
}  # fmt: skip
_WORDS: Final[Mapping[str, tuple[str, str]]] = {
    "title": ("规划冲突核查报告", "Planning conflict report"),
    "violation": ("违反", "Violation"),
    "undetermined": ("无法判定", "Undetermined"),
    "conditional": ("有条件", "Conditional"),
    "warning": ("提示", "Warning"),
    "pass": ("符合", "Pass"),
    "not-applicable": ("不适用", "Not applicable"),
    "conflict": ("冲突", "conflict"),
    "accuracy-difference": ("精度差异", "accuracy difference"),
    "sliver": ("碎屑", "sliver"),
    "touch": ("相接", "touch"),
    "concerned": ("涉及", "Concerned"),
    "not-concerned": ("不涉及", "Not concerned"),
    "no-data": ("无数据", "No data"),
    "demo": ("演示数据 · synthetic data", "演示数据 · synthetic data"),
    "project": ("项目", "Project"),
    "unnamed": ("（未命名）", "(unnamed)"),
    "area": ("面积", "Area"),
    "declared": ("申报面积", "Declared area"),
    "as_of": ("核查日期", "As of"),
    "known_at": ("按当时已知", "As known at"),
    "report_id": ("报告编号", "Report"),
    "created": ("生成时间", "Created"),
    "source_crs": ("来源坐标系", "Source CRS"),
    "remarks": ("数据处理说明", "Remarks on the input"),
    "findings": ("核查结论", "Findings"),
    "basis": ("依据", "Legal basis"),
    "unverified": ("引用待核", "citation not checked"),
    "measured": ("实测", "Measured"),
    "limit": ("限值", "Limit"),
    "requires": ("所需文件", "Documents needed"),
    "consent": ("已提交文件", "Documents supplied"),
    "exemption": ("例外情形", "Exemption"),
    "remedy": ("处理建议", "What can be done"),
    "patches": ("图斑", "Patches"),
    "feature": ("要素", "Feature"),
    "kind": ("类型", "Kind"),
    "code": ("代码", "Code"),
    "width": ("宽度", "Width"),
    "coordinates": ("坐标（经度, 纬度）", "Coordinates (longitude, latitude)"),
    "more": ("点，其余见 JSON", "points; the rest is in the JSON"),
    "reason": ("说明", "Reason"),
    "details": ("逐地块指标", "Figures by parcel"),
    "attribute": ("指标", "Figure"),
    "layers": ("图层状态", "Layers"),
    "layer": ("图层", "Layer"),
    "edition": ("版本", "Edition"),
    "state": ("状态", "State"),
    "land_take": ("占地分析", "Land take"),
    "admin": ("行政区", "Administrative unit"),
    "scheme": ("分类体系", "Scheme"),
    "share": ("占比", "Share"),
    "total": ("合计", "Total"),
    "provenance": ("数据与方法", "Provenance"),
    "rule_set": ("规则集", "Rule set"),
    "engine": ("计算引擎", "Engine"),
    "parameters": ("参数", "Parameters"),
    "digest": ("报告摘要（SHA-256）", "Digest of the report (SHA-256)"),
    "signature": ("签名", "Signature"),
    "unsigned": ("未签名", "not signed"),
    "sign_here": ("签署", "To be signed"),
    "checked_by": ("核查人", "Checked by"),
    "approved_by": ("审核人", "Approved by"),
    "seal": ("单位（盖章）", "Authority (seal)"),
    "date": ("日期", "Date"),
    "verify_at": ("扫码或访问以下地址验证本报告", "Verify this report by the code or at"),
    "disclaimers": ("声明", "Disclaimers"),
    "others": ("其余规则", "Other rules"),
    "beyond": ("搜索范围内无", "none within"),
    "source-seen-excerpt": ("仅见原文摘录", "an excerpt was seen"),
    "source-seen-news": ("仅见新闻报道", "a news report was seen"),
    "number-seen": ("仅见文号", "only the number was seen"),
    "name-seen": ("仅见名称", "only the name was seen"),
    "old-text-seen": ("仅见旧文本", "an older text was seen"),
    "codes-cross-checked": ("代码已交叉核对", "codes were cross-checked"),
}
_ORDER: Final = (
    "violation", "undetermined", "conditional", "warning", "pass", "not-applicable",
)  # fmt: skip
_UNITS: Final = {"m2": "m²", "1": ""}
_MOST_POINTS: Final = 12


OVERVIEW_SIZE: Final = (640, 360)
FINDING_SIZE: Final = (300, 200)
OVERVIEW: Final = ""
"""The key of the overview's ground; a finding's is the id of its rule."""


def render_html(
    report: Mapping[str, Any],
    language: str,
    verify_url: str | None = None,
    grounds: Mapping[str, Ground] | None = None,
) -> str:
    """The page in Chinese (``zh`` and its variants) or English; the report is not changed.

    ``verify_url`` is where the report can be verified: printed as a QR code and as text.
    ``grounds`` lie under the drawings.
    """
    site, under = report["submission"]["geometry"], grounds or {}
    column = 0 if language.lower().startswith("zh") else 1
    order = {outcome: rank for rank, outcome in enumerate(_ORDER)}
    findings = sorted(report["findings"], key=lambda f: (order[f["outcome"]], f["rule_id"]))
    page: str = _template().render(
        report=report,
        findings=[f for f in findings if f["outcome"] not in ("pass", "not-applicable")],
        others=[f for f in findings if f["outcome"] in ("pass", "not-applicable")],
        language="zh-CN" if column == 0 else "en",
        key="zh" if column == 0 else "en",
        word={name: words[column] for name, words in _WORDS.items()},
        icon=_ICONS,
        overview=sketch(site, worst_patches(findings), *OVERVIEW_SIZE, under.get(OVERVIEW)),
        verify_url=verify_url,
        qr_code=None if verify_url is None else _qr_code(verify_url),
        sketch_of=lambda f: sketch(site, f["patches"], *FINDING_SIZE, under.get(f["rule_id"])),
    )
    return page


def worst_patches(findings: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What the overview shows."""
    return [
        patch
        for finding in findings
        for patch in finding["patches"]
        if finding["outcome"] in ("violation", "conditional", "warning")
        or (finding["outcome"] == "undetermined" and patch["kind"] != "conflict")
    ]


@cache
def _template() -> Any:
    return html_template(
        "planning_rules", "report.html.j2",
        figure=_figure, number=_number, points=_points,
        percent=lambda share: f"{share * 100:.2f} %",
        css=lambda text: re.sub(r"[^A-Za-z0-9-]", "", str(text)),
    )  # fmt: skip


def _qr_code(address: str) -> Markup:
    """A QR code as SVG; the library writes nothing of the address but its modules."""
    return Markup(segno.make(address, error="m").svg_inline(scale=3, border=2))


def _number(value: float | None) -> str:
    """Thousands separated, two decimals; a dash for nothing."""
    return "—" if value is None else f"{value:,.2f}"


def _figure(value: Mapping[str, Any] | None) -> str:
    """A value with its unit, ``—`` for none."""
    if value is None or value.get("value") is None:
        return "—"
    shown = value["value"]
    text = f"{shown:,.2f}".rstrip("0").rstrip(".") if isinstance(shown, float) else str(shown)
    unit = _UNITS.get(value["unit"], value["unit"])
    sign = {"<=": "≤ ", ">=": "≥ "}.get(value.get("op", ""), "")
    return f"{sign}{text} {unit}".rstrip()


def _points(geometry: Mapping[str, Any]) -> tuple[list[str], int]:
    """The first positions of a geometry as text, and how many there are."""
    found: list[str] = []
    total = 0
    stack = [geometry.get("coordinates") or [g["coordinates"] for g in geometry["geometries"]]]
    while stack:
        value = stack.pop()
        if value and isinstance(value[0], int | float):
            total += 1
            if len(found) < _MOST_POINTS:
                found.append(f"{value[0]:.8f}, {value[1]:.8f}")
        else:
            stack.extend(reversed(value))
    return found, total
