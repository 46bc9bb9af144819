"""The parcels of one county: two tessellations of the same land, one inside the other.

``planned`` is what a planner draws (street blocks, larger fields); ``current`` is what a surveyor
finds, finer in the country, and not yet built at the edges of towns. ``detailed`` are the building
plots inside the street blocks. All carry the same vertices wherever they agree.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import shapely

from gis_service.demo_province.drawing_plane import (
    BoolArray,
    FloatArray,
    GeometryArray,
    IntArray,
    to_plane,
)
from gis_service.demo_province.noise import generator
from gis_service.demo_province.places import Town
from gis_service.demo_province.rings import Rings, Vertices, from_polygons
from gis_service.demo_province.scale import Scale, village_nearness
from gis_service.demo_province.subdivision import Manner, MannerAt, measure, subdivide
from gis_service.demo_province.superblocks import TOWN, Superblocks
from gis_service.demo_province.terrain import Terrain

FIELD: Final = 0
RURAL_ROAD: Final = 1
PLOT: Final = 2
STREET: Final = 3
"""Kinds of a parcel: open country, field road, building plot in a town, street."""

_STREET_HALF_M: Final = 7.0
_FIELD_ROAD_HALF_M: Final = 3.0


@dataclass(frozen=True, slots=True)
class Tessellation:
    """Parcels with at most one hole each."""

    shells: Rings
    holes: Rings
    kind: IntArray
    town: IntArray
    """Index of the town, -1 in the country."""
    x: FloatArray
    y: FloatArray
    area_m2: FloatArray
    """In the drawing plane, without the hole's; to choose a use by, no figure of any report."""

    def __len__(self) -> int:
        """Number of parcels."""
        return len(self.shells)

    def geometries(self, lonlat: FloatArray, which: IntArray | BoolArray) -> GeometryArray:
        """Polygons of some parcels over these coordinates of the vertices."""
        return self.shells.take(which).polygons(lonlat, self.holes.take(which))


@dataclass(frozen=True, slots=True)
class CountyParcels:
    """All parcels of one county."""

    county: int
    xy: FloatArray
    planned: Tessellation
    current: Tessellation
    detailed: Tessellation


@dataclass(frozen=True, slots=True)
class Setting:
    """What the cutting needs to know about the province."""

    terrain: Terrain
    towns: tuple[Town, ...]
    scale: Scale
    seed: int


def county_parcels(blocks: Superblocks, county: int, setting: Setting) -> CountyParcels:
    """Cut the open country and the towns of one county."""
    vertices = Vertices(np.zeros((0, 2)))
    chance = generator(setting.seed, 61, county)
    mine = blocks.county == county
    country = _country(blocks, np.flatnonzero(mine & (blocks.kind == 0)), vertices, setting, chance)
    town = _town(blocks, np.flatnonzero(mine & (blocks.kind == TOWN)), vertices, setting, chance)
    planned = _joined([country[0], town[0]], vertices)
    current = _joined([country[1], town[1]], vertices)
    detailed = _joined([town[2]], vertices)
    return CountyParcels(county, vertices.xy, planned, current, detailed)


_Part = list[tuple[Rings, Rings, int, IntArray]]


def _country(
    blocks: Superblocks,
    which: IntArray,
    vertices: Vertices,
    setting: Setting,
    chance: np.random.Generator,
) -> tuple[_Part, _Part]:
    faces = from_polygons(blocks.faces[which], vertices)
    large, _ = subdivide(faces, vertices, _manner(setting, "block"), chance)
    width = _field_road_half(large, vertices, setting)
    inner, inset = _inset(large, vertices, width, setting.scale.edge_spacing_m / 2)
    roads = large.take(inset)
    fields, _ = subdivide(inner, vertices, _manner(setting, "planned"), chance)
    fine, _ = subdivide(fields, vertices, _manner(setting, "current"), chance)
    nowhere = [np.full(len(part), -1) for part in (fields, fine, roads)]
    road_part = (roads, inner.take(inset), RURAL_ROAD, nowhere[2])
    return (
        [(fields, _none(fields), FIELD, nowhere[0]), road_part],
        [(fine, _none(fine), FIELD, nowhere[1]), road_part],
    )


def _town(
    blocks: Superblocks,
    which: IntArray,
    vertices: Vertices,
    setting: Setting,
    chance: np.random.Generator,
) -> tuple[_Part, _Part, _Part]:
    faces = from_polygons(blocks.faces[which], vertices)
    town_of_face = blocks.reference[which]
    streets, origin = subdivide(faces, vertices, _manner(setting, "street"), chance)
    town = town_of_face[origin]
    half = np.full(len(streets), _STREET_HALF_M)
    inner, inset = _inset(streets, vertices, half, 45.0)
    plots, block = subdivide(inner, vertices, _manner(setting, "plot"), chance)
    detailed, plot = subdivide(plots, vertices, _manner(setting, "detailed"), chance)
    built = _built(streets, vertices, town, setting)
    open_blocks = streets.take(~built)
    fields, field_block = subdivide(open_blocks, vertices, _manner(setting, "current"), chance)
    ring = np.flatnonzero(inset)
    built_ring = np.flatnonzero(inset & built)
    standing = np.flatnonzero(built[block])
    planned: _Part = [
        (plots, _none(plots), PLOT, town[block]),
        (streets.take(ring), inner.take(ring), STREET, town[ring]),
    ]
    current: _Part = [
        (plots.take(standing), _none(plots.take(standing)), PLOT, town[block][standing]),
        (streets.take(built_ring), inner.take(built_ring), STREET, town[built_ring]),
        (fields, _none(fields), FIELD, town[~built][field_block]),
    ]
    return planned, current, [(detailed, _none(detailed), PLOT, town[block][plot])]


def _manner(setting: Setting, stage: str) -> MannerAt:
    """Sizes and roughness of cuts by stage and place."""
    terrain, scale = setting.terrain, setting.scale

    def in_country(x: FloatArray, y: FloatArray) -> Manner:
        height = terrain.height_m(x, y)
        hilly = np.clip((height - 60) / 340, 0, 1)
        factor = scale.factor(x, y)
        grown = factor * 5**hilly
        if stage == "block":
            target = 900_000 * np.maximum(grown, 1)
        else:
            field = 70_000 if stage == "current" else 165_000
            target = field * grown
            village = village_nearness(x, y, terrain) > -0.6
            target = np.where(village & (factor < 4), np.minimum(target, 6_000), target)
        spacing = np.clip(np.sqrt(target) / 3.2, 25, 900)
        # Long cuts follow streams and ridges; short ones are field edges.
        roughness = 0.018 + 0.055 * hilly + 0.02 * np.clip(np.log10(target / 2e5), 0, 2)
        return Manner(target, spacing, roughness)

    def in_town(x: FloatArray, y: FloatArray) -> Manner:
        factor = scale.factor(x, y, town=True)
        base = {"street": 70_000.0, "plot": 32_000.0, "detailed": 14_000.0}[stage]
        target = base * factor
        spacing = np.clip(np.sqrt(target) / 4, 22, 400)
        return Manner(target, spacing, np.full_like(x, 0.004))

    return in_country if stage in ("block", "planned", "current") else in_town


def _field_road_half(rings: Rings, vertices: Vertices, setting: Setting) -> FloatArray:
    """Half width of the field road around each block, 0 where there is none."""
    shape = measure(rings, vertices.xy)
    flat = setting.terrain.height_m(shape.x, shape.y) < 120
    fine = setting.scale.factor(shape.x, shape.y) < 3
    return np.where(flat & fine, _FIELD_ROAD_HALF_M, 0.0)


def _built(streets: Rings, vertices: Vertices, town: IntArray, setting: Setting) -> BoolArray:
    """Blocks of a town that stand today; the others are fields still."""
    shape = measure(streets, vertices.xy)
    middle = np.array([(t.x, t.y, t.radius_m) for t in setting.towns])[town].reshape(-1, 3)
    share = np.hypot(shape.x - middle[:, 0], shape.y - middle[:, 1]) / middle[:, 2]
    ragged = setting.terrain.patches(shape.x, shape.y, 1_500.0, 3) * 0.28
    return np.asarray(share + ragged < 0.66)


def _inset(
    rings: Rings, vertices: Vertices, half_m: FloatArray, spacing_m: float
) -> tuple[Rings, BoolArray]:
    """Rings drawn inwards by a half width; a ring that cannot be stays as it is.

    Says of each ring whether it was drawn in: then the strip between is a road.
    """
    on_grid = to_plane(vertices.lonlat)
    shapes = rings.polygons(on_grid)
    smaller = shapely.buffer(shapes, -half_m, join_style="mitre", mitre_limit=2.0)
    smaller = shapely.simplify(smaller, 0.3)
    inset: BoolArray = (
        (half_m > 0)
        & (shapely.get_type_id(smaller) == 3)
        & (shapely.area(smaller) > 0.45 * shapely.area(shapes))
    )
    inset[inset] &= shapely.get_num_interior_rings(smaller[inset]) == 0
    inset[inset] &= shapely.contains_properly(shapes[inset], smaller[inset])
    chosen = np.flatnonzero(inset)
    inner = shapely.orient_polygons(shapely.segmentize(smaller[chosen], spacing_m))
    new = from_polygons(inner, vertices)
    parts = Rings.joined([new, rings.take(~inset)])
    back = np.empty(len(rings), dtype=np.int64)
    back[np.concatenate([chosen, np.flatnonzero(~inset)])] = np.arange(len(rings))
    return parts.take(back), inset


def _none(rings: Rings) -> Rings:
    """No hole for any of the rings."""
    return Rings.of_runs(np.zeros(0, np.int64), np.zeros(len(rings), np.int64))


def _joined(parts: list[_Part], vertices: Vertices) -> Tessellation:
    flat = [piece for part in parts for piece in part if len(piece[0])]
    shells = Rings.joined([piece[0] for piece in flat])
    holes = Rings.joined([piece[1] for piece in flat])
    kinds = [np.full(len(piece[0]), piece[2]) for piece in flat]
    towns = [piece[3] for piece in flat]
    if not flat:
        nothing = np.zeros(0, dtype=np.int64)
        return Tessellation(shells, holes, nothing, nothing, *[np.zeros(0)] * 3)
    shape = measure(shells, vertices.xy)
    return Tessellation(
        shells,
        holes,
        np.concatenate(kinds),
        np.concatenate(towns),
        shape.x,
        shape.y,
        shape.area_m2,
    )
