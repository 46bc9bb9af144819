"""The page behind the QR code of a printed report: is it genuine, and what does it say."""

from collections.abc import Mapping
from functools import cache
from typing import Any, Final

from gis_service.verification import Verification
from planning_rules.html_template import html_template

_WORDS: Final[Mapping[str, tuple[str, str]]] = {
    "title": ("报告验证", "Verification of a report"),
    "genuine": ("报告真实有效", "The report is genuine"),
    "doubtful": ("报告未通过验证", "The report did not pass the verification"),
    "report_id": ("报告编号", "Report"),
    "created": ("生成时间", "Created"),
    "as_of": ("核查日期", "As of"),
    "project": ("项目", "Project"),
    "outcome": ("结论", "Outcome"),
    "digest": ("报告摘要", "Digest"),
    "open": ("查看报告", "Open the report"),
    "replay": ("重新核查并比对", "Judge again and compare"),
}
_CHECKS: Final[Mapping[str, tuple[str, str]]] = {
    "digest": ("内容摘要", "Digest"),
    "signature": ("签名", "Signature"),
    "issued": ("存档", "Stored report"),
    "replay": ("重演", "Replay"),
}


def verification_page(verified: Verification, report: Mapping[str, Any], language: str) -> str:
    """The page in Chinese or English."""
    column = 0 if language == "zh" else 1
    page: str = _template().render(
        verified=verified,
        report=report,
        word={name: words[column] for name, words in _WORDS.items()},
        check_names={name: words[column] for name, words in _CHECKS.items()},
        language="zh-CN" if column == 0 else "en",
        key="zh" if column == 0 else "en",
        marks={True: "✓", False: "✕", None: "?"},
    )
    return page


@cache
def _template() -> Any:
    return html_template("gis_service", "verification.html.j2")
