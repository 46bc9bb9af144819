"""The report on paper (A4), from the same page as the HTML form, by WeasyPrint.

The page needs nothing from outside and may fetch nothing: neither a file nor an address.
"""

import logging
from collections.abc import Mapping
from typing import Any, NoReturn

from planning_rules.report_html import render_html


def write_pdf(report: Mapping[str, Any], language: str, verify_url: str | None) -> bytes:
    """A PDF with embedded fonts; Chinese text needs a CJK font on the machine (fonts-noto-cjk)."""
    import weasyprint

    logging.getLogger("weasyprint").setLevel(logging.ERROR)
    page = render_html(report, language, verify_url)
    document = weasyprint.HTML(string=page, url_fetcher=_refuse, media_type="print")
    pdf: bytes = document.write_pdf()
    return pdf


def _refuse(url: str, *_: object, **__: object) -> NoReturn:
    raise ValueError(f"a report fetches nothing: {url[:80]}")
