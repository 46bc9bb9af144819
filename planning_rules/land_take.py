"""What land a site takes: administrative unit by land class, closing to the cent."""

import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from layers.area import area_m2, close_to_cent
from planning_rules.overlay import (
    LayerOverlay,
    SharedPart,
    Site,
    difference,
    intersection,
    polygon_parts,
    union,
    with_areas,
)  # fmt: skip

COUNTY: Final = "county"
"""The layer of administrative units, with ``admin_code``."""
CURRENT_USE: Final = "current_landuse"
"""The layer of what stands there today, with ``code_scheme`` and ``landuse_code``."""

_NEGLIGIBLE_M2: Final = 0.005

Key = tuple[str | None, str | None, str | None]
"""admin_code, code_scheme, code; None where the layers do not say."""


def land_take(
    site: Site, area_of_site_m2: float, county: LayerOverlay | None, use: LayerOverlay | None
) -> list[dict[str, Any]]:
    """The table of a site; areas add up to ``area_of_site_m2`` to the cent, shares to 1.

    Where features overlap, the one with the smaller id takes the ground, so nothing counts
    twice; what no feature covers is a row with code null.
    """
    if site.dimension != 2:
        return []
    sums: dict[Key, list[float]] = {}
    for admin_part, admin in _partition(site.geometry, _bodies(county)):
        admin_code = None if admin is None else _word(admin, "admin_code")
        shared = _bodies(use)
        if admin_part is not site.geometry:
            shared = _cut(shared, admin_part)
        for area, owner in _areas(admin_part, shared):
            scheme = None if owner is None else _word(owner, "code_scheme")
            code = None if owner is None else _word(owner, "landuse_code")
            sums.setdefault((admin_code, scheme, code), []).append(area)
    totals = {key: math.fsum(values) for key, values in sums.items()}
    keys = sorted(totals, key=lambda key: tuple((word is None, word or "") for word in key))
    keys = [key for key in keys if totals[key] >= _NEGLIGIBLE_M2] or keys[:1]
    return _table(keys, [totals[key] for key in keys], area_of_site_m2)


def _bodies(overlay: LayerOverlay | None) -> list[SharedPart]:
    if overlay is None:
        return []
    return [p for p in overlay.shared if p.body is not None and shapely.get_dimensions(p.body) == 2]


def _word(part: SharedPart, name: str) -> str | None:
    value = part.feature.attributes.get(name)
    return None if value is None else str(value)


def _disjoint(parts: Sequence[SharedPart]) -> bool:
    """True when the parts share no ground, so that their areas may simply be added."""
    bodies = [part.body for part in parts]
    total = math.fsum(part.area_m2 for part in parts)
    return abs(total - area_m2(union(np.array(bodies, dtype=object)))) < _NEGLIGIBLE_M2


def _partition(
    whole: BaseGeometry, parts: list[SharedPart]
) -> list[tuple[BaseGeometry, SharedPart | None]]:
    """Cut the whole by the parts in their order; what is left over belongs to nobody."""
    if not parts:
        return [(whole, None)]
    if len(parts) == 1 and abs(area_m2(whole) - parts[0].area_m2) < _NEGLIGIBLE_M2:
        return [(whole, parts[0])]
    result: list[tuple[BaseGeometry, SharedPart | None]] = []
    rest = whole
    for part in parts:
        mine = _polygons(intersection(rest, part.body))
        if mine is not None:
            result.append((mine, part))
            rest = difference(rest, part.body)
    left = _polygons(rest)
    return result if left is None else [*result, (left, None)]


def _cut(parts: list[SharedPart], ground: BaseGeometry) -> list[SharedPart]:
    cut = ((part, _polygons(intersection(part.body, ground))) for part in parts)
    return list(with_areas([SharedPart(p.feature, b, None) for p, b in cut if b is not None]))


def _areas(whole: BaseGeometry, parts: list[SharedPart]) -> list[tuple[float, SharedPart | None]]:
    if parts and not _disjoint(parts):
        return [(area_m2(mine), owner) for mine, owner in _partition(whole, parts)]
    areas: list[tuple[float, SharedPart | None]] = [(part.area_m2, part) for part in parts]
    rest = area_m2(whole) - math.fsum(area for area, _ in areas)
    return [*areas, (max(rest, 0.0), None)]


def _polygons(geometry: BaseGeometry) -> BaseGeometry | None:
    parts = polygon_parts(geometry)
    if len(parts) == 0:
        return None
    return parts[0] if len(parts) == 1 else union(parts)


def _table(keys: list[Key], areas: list[float], whole_m2: float) -> list[dict[str, Any]]:
    closed = close_to_cent(areas, whole_m2)
    total = math.fsum(areas)
    # Shares to four decimals that add up to 1: the same closing, in units of a hundredth.
    scaled = close_to_cent([100 * area / total for area in areas], 100.0) if total else []
    return [
        {
            "admin_code": admin,
            "code_scheme": scheme,
            "code": code,
            "area_m2": area,
            "share": round(share / 100, 4),
        }
        for (admin, scheme, code), area, share in zip(keys, closed, scaled, strict=True)
    ]
