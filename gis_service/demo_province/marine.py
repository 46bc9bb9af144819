"""The sea: use zones off the coast, and the coastline by its kind."""

from collections.abc import Iterator
from functools import partial
from typing import Final

import numpy as np
import shapely

from gis_service.demo_province.drawing_plane import (
    FloatArray,
    GeometryArray,
    IntArray,
    geometry_to_lonlat,
    geometry_to_plane,
    to_lonlat,
    to_plane,
)
from gis_service.demo_province.edition import Chunk, DemoLayer
from gis_service.demo_province.land_codes import CodeArray
from gis_service.demo_province.noise import generator
from gis_service.demo_province.places import COUNTIES, MARK_ZH
from gis_service.demo_province.province import Province, by_place, numbered
from gis_service.demo_province.rings import Vertices, from_polygons
from gis_service.demo_province.subdivision import Manner, measure, subdivide

_BELTS_M: Final = (2_200.0, 6_500.0, 14_000.0)

SEA_USE_ZH: Final = {
    "1802": "增养殖用海",
    "1803": "捕捞海域",
    "1902": "盐田用海",
    "2001": "港口用海",
    "2002": "航运用海",
    "2101": "风景旅游用海",
    "2102": "文体休闲娱乐用海",
    "2203": "海洋保护修复及海岸防护工程用海",
    "1905": "可再生能源用海",
    "24": "其他海域",
}

COAST_TYPES_ZH: Final = {"natural": "自然岸线", "artificial": "人工岸线", "restored": "修复岸线"}


def marine_layers(province: Province) -> tuple[DemoLayer, DemoLayer]:
    """Sea-use zones, which speak for the belt they fill, and the coastline."""
    belt, faces = _zone_faces(province)
    return (
        DemoLayer("sea_use_zone", shapely.union_all(faces), partial(_zones, province, belt, faces)),
        DemoLayer("coastline", None, partial(_coastline, province)),
    )


def _zone_faces(province: Province) -> tuple[IntArray, GeometryArray]:
    """Pieces of the belts between rays from the island's middle, and the belt of each."""
    shore = province.layout.ashore
    plain = shapely.simplify(geometry_to_plane(shore), 150.0)
    outlines = [shapely.buffer(plain, width, quad_segs=4) for width in _BELTS_M]
    outlines = [
        shapely.polygons(shapely.get_exterior_ring(max(shapely.get_parts(o), key=lambda p: p.area)))
        for o in outlines
    ]
    turns = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    rays = [
        shapely.linestrings([(0, 0), (260_000 * np.cos(t), 260_000 * np.sin(t))])
        for t in turns + 0.031
    ]
    lines = shapely.segmentize(
        np.array([*(outline.boundary for outline in outlines), *rays], dtype=object), 400.0
    )
    noded = shapely.union_all([shore.boundary, *geometry_to_lonlat(lines)], grid_size=1e-8)
    faces = shapely.get_parts(shapely.polygonize(shapely.get_parts(noded)))
    faces = shapely.transform(faces, lambda points: np.round(points, 8))
    faces = shapely.orient_polygons(shapely.normalize(faces))
    inside = shapely.point_on_surface(faces)
    box = shapely.bounds(faces)
    order = np.lexsort((box[:, 1], box[:, 0]))
    faces, inside = faces[order], inside[order]
    shapely.prepare(shore)
    belts = geometry_to_lonlat(np.array(outlines, dtype=object))
    belt = np.full(len(faces), len(_BELTS_M))
    for number in (2, 1, 0):
        belt[shapely.intersects(belts[number], inside)] = number
    at_sea = ~shapely.intersects(shore, inside) & (belt < len(_BELTS_M))
    return belt[at_sea], faces[at_sea]


def _zones(province: Province, belt: IntArray, faces: GeometryArray) -> Iterator[Chunk]:
    holed = shapely.get_num_interior_rings(faces) > 0
    vertices = Vertices(np.zeros((0, 2)))
    rings = from_polygons(geometry_to_plane(faces[~holed]), vertices)
    fine = province.layout.scale.coarse == 1

    def manner(x: FloatArray, y: FloatArray) -> Manner:
        inland = -province.terrain.inland_m(x, y)
        target = np.where(inland < 2_300, 4e6, 2.2e7) * (0.22 if fine else 4.0)
        return Manner(target, np.sqrt(target) / 5, np.full_like(x, 0.02))

    zones, origin = subdivide(rings, vertices, manner, generator(province.seed, 97))
    shape = measure(zones, vertices.xy)
    middle = to_plane(shapely.get_coordinates(shapely.point_on_surface(faces[holed])))
    x = np.concatenate([shape.x, middle[:, 0]])
    y = np.concatenate([shape.y, middle[:, 1]])
    belt = np.concatenate([belt[~holed][origin], belt[holed]])
    codes = _sea_codes(province, x, y, belt)
    geometries = np.concatenate([zones.polygons(to_lonlat(vertices.xy)), faces[holed]])
    order = by_place(geometries)
    codes = codes[order]
    yield Chunk(
        geometries[order],
        {
            "zone_id": numbered("M", 1, len(codes)),
            "sea_use_code": codes.tolist(),
            "name": [f"{SEA_USE_ZH[code]}{MARK_ZH}" for code in codes.tolist()],
        },
    )


def _sea_codes(province: Province, x: FloatArray, y: FloatArray, belt: IntArray) -> CodeArray:
    terrain = province.terrain
    wide, local = terrain.patches(x, y, 22_000, 51), terrain.patches(x, y, 9_000, 52)
    ports = np.array([(t.x, t.y) for t in province.layout.towns[: len(COUNTIES)]])
    reach = np.array([t.radius_m for t in province.layout.towns[: len(COUNTIES)]])
    near = (np.hypot(x[:, None] - ports[:, 0], y[:, None] - ports[:, 1]) - reach).min(axis=1)
    chosen = np.select(
        [
            (near < 5_500) & (belt < 2) & (local > -0.1),
            (near < 17_000) & (belt == 2) & (local > 0.1),
            (belt < 2) & (wide > 0.42),
            (belt == 0) & (local > 0.25),
            (belt == 0) & (local < -0.35),
            (belt < 2) & (wide < -0.1),
            (belt == 1) & (local > 0.4),
            (belt == 2) & (wide > 0.62),
            (belt == 2) & (wide < 0.1),
        ],
        ["2001", "2002", "2203", "2101", "2102", "1802", "2101", "1905", "1803"],
        default="24",
    )
    return chosen.astype("U6")


def _coastline(province: Province) -> Iterator[Chunk]:
    rings = shapely.get_exterior_ring(shapely.get_parts(province.layout.ashore))
    terrain, towns = province.terrain, province.layout.towns
    middle = np.array([(t.x, t.y, t.radius_m) for t in towns])
    lines: list[object] = []
    kinds: list[str] = []
    for ring in rings:
        lonlat = shapely.get_coordinates(ring)
        xy = to_plane(lonlat)
        near = np.hypot(xy[:, None, 0] - middle[:, 0], xy[:, None, 1] - middle[:, 1])
        built = (near < middle[:, 2] * 1.15).any(axis=1)
        mended = ~built & (terrain.patches(xy[:, 0], xy[:, 1], 9_000, 53) > 0.62)
        kind = np.where(built, 1, np.where(mended, 2, 0))
        along = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(xy, axis=0).T))])
        section = (along / 6_000).astype(np.int64)
        breaks = np.flatnonzero((np.diff(kind) != 0) | (np.diff(section) != 0)) + 1
        edges = np.concatenate([[0], breaks, [len(xy) - 1]])
        for first, last in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
            if last > first:
                lines.append(shapely.linestrings(lonlat[first : last + 1]))
                kinds.append(("natural", "artificial", "restored")[int(kind[first])])
    yield Chunk(
        np.array(lines, dtype=object),
        {
            "coastline_id": numbered("K", 1, len(lines)),
            "coastline_type": kinds,
            "name": [f"{COAST_TYPES_ZH[kind]}{MARK_ZH}" for kind in kinds],
        },
    )
