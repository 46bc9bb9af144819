"""The report on paper (A4), from the same page as the HTML form, by WeasyPrint.

The page needs nothing from outside and may fetch nothing: neither a file nor an address. Its maps
are in it.
"""

import base64
import logging
from collections.abc import Mapping
from typing import Any, Final

from planning_rules.report_html import render_html
from planning_rules.sketch import Ground


def write_pdf(
    report: Mapping[str, Any],
    language: str,
    verify_url: str | None,
    grounds: Mapping[str, Ground] | None = None,
) -> bytes:
    """A PDF with embedded fonts; Chinese text needs a CJK font on the machine (fonts-noto-cjk)."""
    import weasyprint

    logging.getLogger("weasyprint").setLevel(logging.ERROR)
    page = render_html(report, language, verify_url, grounds)
    document = weasyprint.HTML(string=page, url_fetcher=_refuse, media_type="print")
    pdf: bytes = document.write_pdf()
    return pdf


_EMBEDDED: Final = "data:image/png;base64,"


def _refuse(url: str, *_: object, **__: object) -> Any:
    """Nothing but the pictures that stand in the page itself."""
    from weasyprint.urls import URLFetcherResponse

    if url.startswith(_EMBEDDED):
        png = base64.b64decode(url.removeprefix(_EMBEDDED), validate=True)
        return URLFetcherResponse(url, png, {"Content-Type": "image/png"})
    raise ValueError(f"a report fetches nothing: {url[:80]}")
