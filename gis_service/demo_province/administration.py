"""Counties, and towns as labels."""

from collections.abc import Iterator
from functools import partial

import numpy as np
import shapely

from gis_service.demo_province.drawing_plane import to_lonlat
from gis_service.demo_province.edition import Chunk, DemoLayer
from gis_service.demo_province.places import COUNTIES
from gis_service.demo_province.province import Province


def county(province: Province) -> DemoLayer:
    """Schematic counties that fill the land."""
    return DemoLayer("county", province.layout.ashore, partial(_counties, province))


def town_place(province: Province) -> DemoLayer:
    """A point for each town."""
    return DemoLayer("town_place", None, partial(_towns, province))


def _counties(province: Province) -> Iterator[Chunk]:
    yield Chunk(
        province.layout.counties,
        {
            "admin_code": [county.code for county in COUNTIES],
            "name": [county.name.zh for county in COUNTIES],
            "name_en": [county.name.en for county in COUNTIES],
        },
    )


def _towns(province: Province) -> Iterator[Chunk]:
    towns = province.layout.towns
    points = to_lonlat(np.array([(town.x, town.y) for town in towns]))
    yield Chunk(
        np.asarray(shapely.points(points)),
        {
            "place_id": [f"P{number:04d}" for number in range(1, len(towns) + 1)],
            "name": [town.name.zh for town in towns],
            "name_en": [town.name.en for town in towns],
            "kind": [town.kind for town in towns],
        },
    )
