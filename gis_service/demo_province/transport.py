"""Highways and the surfaces that keep the air around airports free."""

from collections.abc import Iterator
from functools import partial
from typing import Final

import numpy as np
import shapely

from gis_service.demo_province.curves import turned_box
from gis_service.demo_province.drawing_plane import (
    GeometryArray,
    geometry_to_lonlat,
    geometry_to_plane,
    to_plane,
)
from gis_service.demo_province.edition import Chunk, DemoLayer
from gis_service.demo_province.fixed_places import AIRPORTS, Airport
from gis_service.demo_province.places import MARK_ZH
from gis_service.demo_province.province import Province, drifted, numbered

_CLASS_ZH: Final = {
    "expressway": "高速公路",
    "national": "国道",
    "provincial": "省道",
    "county": "县道",
    "township": "乡道",
}

# Code 4 instrument runway, after MH 5001 / ICAO Annex 14 in outline; demo values.
_INNER_RADIUS_M: Final = 4_000.0
_INNER_HEIGHT_M: Final = 45.0
_CONICAL_WIDTH_M: Final = 2_000.0
_CONICAL_SLOPE: Final = 0.05
_APPROACH_M: Final = 15_000.0
_APPROACH_SLOPE: Final = 0.02
_APPROACH_SPREAD: Final = 0.15
_STRIP_HALF_M: Final = 150.0
_STRIP_BEYOND_M: Final = 60.0
_TRANSITION_SLOPE: Final = 1 / 7


def highway(province: Province) -> DemoLayer:
    """Road land of the transport plan, by road and county; digitised apart from the land use."""
    return DemoLayer("highway", None, partial(_highways, province))


def obstacle_limitation_surface(province: Province) -> DemoLayer:
    """Surfaces of the demonstration's airports; heights above the 1985 national datum."""
    return DemoLayer("obstacle_limitation_surface", None, partial(_surfaces, province))


def _highways(province: Province) -> Iterator[Chunk]:
    layout = province.layout
    roads = layout.routes
    lands = shapely.transform(
        shapely.segmentize(layout.road_lands, 120.0),
        lambda xy: drifted(xy, province.terrain, 4.0, 6),
    )
    lands = shapely.set_precision(lands, 1e-8)
    county, road = shapely.STRtree(lands).query(layout.counties, predicate="intersects")
    order = np.lexsort((county, road))
    county, road = county[order], road[order]
    pieces = shapely.intersection(lands[road], layout.counties[county], grid_size=1e-8)
    pieces = shapely.set_precision(pieces, 1e-8)
    parts, owner = shapely.get_parts(pieces, return_index=True)
    large = (shapely.get_dimensions(parts) == 2) & (shapely.area(geometry_to_plane(parts)) > 400)
    parts, owner = parts[large], road[owner[large]]
    yield Chunk(
        parts,
        {
            "road_id": numbered("T", 1, len(parts)),
            "name": [f"{roads[i].number}{_CLASS_ZH[roads[i].road_class]}{MARK_ZH}" for i in owner],
            "road_class": [roads[i].road_class for i in owner],
            "width_m": [roads[i].width_m for i in owner],
        },
    )


def _surfaces(province: Province) -> Iterator[Chunk]:
    shapes: list[object] = []
    edges: list[object] = []
    rows: list[tuple[str, str, float, float, str]] = []
    for airport in AIRPORTS:
        for kind, shape, height, slope, edge in _of_airport(airport):
            name = f"{airport.zh}净空限制面{MARK_ZH}"
            rows.append((f"{airport.id}-{len(rows) + 1:03d}", kind, height, slope, name))
            shapes.append(shape)
            edges.append(edge)
    geometries: GeometryArray = geometry_to_lonlat(np.array(shapes, dtype=object))
    inner_edges = geometry_to_lonlat(np.array(edges, dtype=object))
    yield Chunk(
        geometries,
        {
            "surface_id": [row[0] for row in rows],
            "surface_type": [row[1] for row in rows],
            "elevation_m": [row[2] for row in rows],
            "slope": [row[3] for row in rows],
            "inner_edge": shapely.to_wkt(inner_edges, rounding_precision=8).tolist(),
            "name": [row[4] for row in rows],
        },
    )


def _of_airport(airport: Airport) -> list[tuple[str, object, float, float, object]]:
    """Kind, area, elevation of the inner edge, slope and inner edge of each surface."""
    x, y = to_plane(np.array([airport.lonlat]))[0]
    along = np.radians(airport.angle_deg)
    axis = np.array([np.cos(along), np.sin(along)])
    across = np.array([-axis[1], axis[0]])
    middle, half = np.array([x, y]), airport.runway_m / 2
    runway = shapely.linestrings([middle - axis * half, middle + axis * half])
    inner = shapely.buffer(runway, _INNER_RADIUS_M, quad_segs=16)
    outer = shapely.buffer(runway, _INNER_RADIUS_M + _CONICAL_WIDTH_M, quad_segs=16)
    ground = airport.elevation_m
    rim, high = shapely.boundary(inner), ground + _INNER_HEIGHT_M
    surfaces: list[tuple[str, object, float, float, object]] = [
        ("inner_horizontal", inner, high, 0.0, None),
        ("conical", shapely.difference(outer, inner), high, _CONICAL_SLOPE, rim),
    ]
    for way in (1.0, -1.0):
        start = middle + axis * way * (half + _STRIP_BEYOND_M)
        end = start + axis * way * _APPROACH_M
        wide = _STRIP_HALF_M + _APPROACH_M * _APPROACH_SPREAD
        fan = [
            start - across * _STRIP_HALF_M,
            end - across * wide,
            end + across * wide,
            start + across * _STRIP_HALF_M,
        ]
        threshold = shapely.linestrings([fan[0], fan[3]])
        surfaces.append(("approach", shapely.polygons(fan), ground, _APPROACH_SLOPE, threshold))
        reach = _INNER_HEIGHT_M / _TRANSITION_SLOPE
        side = middle + across * way * (_STRIP_HALF_M + reach / 2)
        box = turned_box(
            float(side[0]),
            float(side[1]),
            airport.runway_m + 2 * _STRIP_BEYOND_M,
            reach,
            airport.angle_deg,
        )
        beside = middle + across * way * _STRIP_HALF_M
        length = half + _STRIP_BEYOND_M
        strip_edge = shapely.linestrings([beside - axis * length, beside + axis * length])
        surfaces.append(("transitional", box, ground, _TRANSITION_SLOPE, strip_edge))
    return surfaces
