"""The library's own names as a gazetteer: what is called so, and what is near.

Names of some layers (counties, towns, roads …), read once for each set of contents and searched in
memory. Coordinates are lon/lat degrees (CGCS2000); distances are metres on the local plane.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import shapely

from layers.crs import Box, distance_m
from layers.database import Connection, row, rows, statements

_SQL: Final = statements("layers", "place_names.sql")
MOST_NAMES: Final = 50_000
_M_PER_DEGREE: Final = 111_320.0


@dataclass(frozen=True, slots=True)
class Place:
    """A named feature; ``area_id`` is the id of the administrative unit that it lies in."""

    layer_id: str
    feature_id: str
    name: str
    name_en: str | None
    lon: float
    lat: float
    box: Box
    area_id: str | None
    attributes: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class NamedLayer:
    """A content whose features have names, and the attributes that hold them."""

    layer_id: str
    content_id: int
    name: str
    name_en: str | None = None


def read_places(
    connection: Connection, layers: Sequence[NamedLayer], dividing: int | None
) -> tuple[Place, ...]:
    """All named features of the layers, with the units of the ``dividing`` content."""
    by_content = {layer.content_id: layer for layer in layers}
    found = rows(
        connection, _SQL["names"], content_ids=list(by_content), dividing=dividing, most=MOST_NAMES
    )
    places = []
    for record in found:
        layer = by_content[record["content_id"]]
        attributes = record["attributes"]
        name = attributes.get(layer.name)
        if name:
            english = attributes.get(layer.name_en) if layer.name_en else None
            places.append(
                Place(
                    layer.layer_id, record["feature_id"], str(name), english,
                    record["lon"], record["lat"],
                    (record["west"], record["south"], record["east"], record["north"]),
                    record["area_id"], attributes,
                )
            )  # fmt: skip
    return tuple(places)


def named(places: Iterable[Place], word: str) -> list[Place]:
    """Places whose name holds the word: exact ones first, then those that begin with it."""
    wanted = word.strip().casefold()
    if not wanted:
        return []
    ranked = []
    for number, place in enumerate(places):
        ranks = [_rank(name.casefold(), wanted) for name in (place.name, place.name_en) if name]
        best = min((rank for rank in ranks if rank is not None), default=None)
        if best is not None:
            ranked.append((best, len(place.name), number, place))
    ranked.sort(key=lambda one: one[:3])
    return [one[3] for one in ranked]


def _rank(name: str, wanted: str) -> int | None:
    if name == wanted:
        return 0
    if name.startswith(wanted):
        return 1
    return 2 if wanted in name else None


def in_box(places: Iterable[Place], box: Box) -> list[Place]:
    """Places whose point lies in a box."""
    west, south, east, north = box
    return [one for one in places if west <= one.lon <= east and south <= one.lat <= north]


def near(
    places: Iterable[Place], lon: float, lat: float, radius_m: float
) -> list[tuple[Place, float]]:
    """Places within a distance with it in metres, the nearest first; an area is at its point."""
    high = radius_m / _M_PER_DEGREE
    wide = high / max(0.01, math.cos(math.radians(lat)))
    box = (lon - wide, lat - high, lon + wide, lat + high)
    here = shapely.Point(lon, lat)
    found = [(distance_m(here, shapely.Point(one.lon, one.lat)), number, one)
             for number, one in enumerate(in_box(places, box))]  # fmt: skip
    found.sort(key=lambda one: one[:2])
    return [(one, distance) for distance, _, one in found if distance <= radius_m]


def area_at(connection: Connection, dividing: int, lon: float, lat: float) -> str | None:
    """The id of the administrative unit at a place."""
    found = row(connection, _SQL["area_at"], dividing=dividing, lon=lon, lat=lat)
    return found["feature_id"] if found else None


def outline_wkt(
    connection: Connection, dividing: int, feature_id: str | None, tolerance_deg: float
) -> str | None:
    """The outline of a unit, or of all together, as MULTIPOLYGON text; simplified, for showing."""
    found = row(
        connection, _SQL["outline"], dividing=dividing, feature_id=feature_id,
        tolerance_deg=tolerance_deg,
    )  # fmt: skip
    return found["wkt"] if found else None
