"""The coordinate reference systems that features are given, asked and filtered in."""

from typing import Final

CRS84: Final = "http://www.opengis.net/def/crs/OGC/1.3/CRS84"
_EPSG: Final = "http://www.opengis.net/def/crs/EPSG/0/"
STORAGE_CRS_URI: Final = _EPSG + "4490"
OFFERED_CRS: Final = (
    CRS84,
    *(_EPSG + code for code in ("4490", "4326", "3857", "4524", "4525", "4526", "4545", "4546",
                                "4547")),
)  # fmt: skip
"""What items can be asked in: geographic, web mercator, the 3-degree zones of the region, with
zone number (4524 to 4526) and without (4545 to 4547)."""
