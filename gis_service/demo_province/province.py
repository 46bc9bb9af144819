"""The finished drawing: layout and the parcels of all counties, and what layers share."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import shapely

from gis_service.demo_province.drawing_plane import (
    BoolArray,
    FloatArray,
    GeometryArray,
    IntArray,
    geometry_to_lonlat,
    to_lonlat,
)
from gis_service.demo_province.land_codes import CodeArray
from gis_service.demo_province.landuse import code_of
from gis_service.demo_province.layout import Layout, lay_out
from gis_service.demo_province.parcels import CountyParcels, Setting, county_parcels
from gis_service.demo_province.places import COUNTIES
from gis_service.demo_province.reserves import Reserves, draw_reserves
from gis_service.demo_province.scale import ScaleName
from gis_service.demo_province.superblocks import RING, ROAD, WATER
from gis_service.demo_province.terrain import Terrain

Progress = Callable[[str, float], None]


@dataclass(frozen=True, slots=True)
class Standing:
    """Land that is not cut into parcels: roads, waters, fixed places of one county."""

    geometries: GeometryArray
    """Lon/lat polygons, vertex for vertex those of the parcels around."""
    current: CodeArray
    planned: CodeArray


@dataclass(frozen=True, slots=True)
class Province:
    """Layout, parcels by county, and the land between them."""

    layout: Layout
    parcels: tuple[CountyParcels, ...]
    reserves: Reserves
    standing: tuple[Standing, ...]

    @property
    def seed(self) -> int:
        """The seed it was drawn from."""
        return self.layout.seed

    @property
    def terrain(self) -> Terrain:
        """The lie of its land."""
        return self.layout.terrain


def draw(scale_name: ScaleName, seed: int, coast_file: Path | None, progress: Progress) -> Province:
    """Draw everything that several layers share; progress runs from 0 to 1."""
    progress("layout", 0.0)
    layout = lay_out(scale_name, seed, coast_file)
    setting = Setting(layout.terrain, layout.towns, layout.scale, seed)
    cut = []
    for number, county in enumerate(COUNTIES):
        progress(county.name.en, 0.15 + 0.85 * number / len(COUNTIES))
        cut.append(county_parcels(layout.blocks, number, setting))
    standing = tuple(_standing(layout, number) for number in range(len(COUNTIES)))
    progress("drawn", 1.0)
    return Province(layout, tuple(cut), draw_reserves(seed), standing)


def _standing(layout: Layout, county: int) -> Standing:
    """Faces of one road, water or place joined to as few polygons as can be."""
    blocks = layout.blocks
    mine = np.flatnonzero((blocks.county == county) & (blocks.kind >= WATER))
    faces = geometry_to_lonlat(blocks.faces[mine])
    keys = np.stack([blocks.kind[mine], blocks.reference[mine]], axis=1)
    groups, group = np.unique(keys, axis=0, return_inverse=True)
    geometries: list[GeometryArray] = []
    current: list[str] = []
    planned: list[str] = []
    for number, (kind, reference) in enumerate(groups.tolist()):
        joined = shapely.get_parts(shapely.coverage_union_all(faces[group == number]))
        geometries.append(joined)
        current += [_standing_code(layout, kind, reference, "current")] * len(joined)
        planned += [_standing_code(layout, kind, reference, "planned")] * len(joined)
    return Standing(np.concatenate(geometries), np.array(current, "U6"), np.array(planned, "U6"))


def _standing_code(layout: Layout, kind: int, reference: int, which: str) -> str:
    if kind in (ROAD, RING):
        return "1202" if kind == ROAD else "1207"
    if kind == WATER:
        return "1701" if reference < len(layout.rivers) else "1703"
    return code_of(layout.fixed[reference], which)


def drifted(xy: FloatArray, terrain: Terrain, reach_m: float, key: int) -> FloatArray:
    """The vertices as another digitiser set them, astray by up to about ``reach_m``; lon/lat.

    A smooth field of the place alone: parcels that touched still touch.
    """
    drift = terrain.drift(xy[:, 0], xy[:, 1], 2_600.0, key)
    return to_lonlat(xy + drift * reach_m)


def in_areas(x: FloatArray, y: FloatArray, areas: GeometryArray) -> BoolArray:
    """Which places lie in any of the areas (metres of the plane)."""
    hit = np.zeros(len(x), dtype=bool)
    point = shapely.STRtree(np.asarray(shapely.points(x, y))).query(areas, predicate="contains")[1]
    hit[point] = True
    return hit


def sound(geometries: GeometryArray) -> BoolArray:
    """What is left of a drifted layer: slivers that the drift folded over are dropped."""
    kept: BoolArray = shapely.is_valid(geometries) & ~shapely.is_empty(geometries)
    return kept


def numbered(prefix: str, first: int, count: int) -> list[str]:
    """Identifiers of consecutive features."""
    return [f"{prefix}{number:07d}" for number in range(first, first + count)]


def by_place(geometries: GeometryArray) -> IntArray:
    """An order that keeps neighbours together (by Hilbert curve, on the boxes' middles)."""
    box = shapely.bounds(geometries)
    x = (box[:, 0] + box[:, 2]) / 2
    y = (box[:, 1] + box[:, 3]) / 2
    span = np.array([x.min(), y.min(), np.ptp(x) + 1e-9, np.ptp(y) + 1e-9])
    u = ((x - span[0]) / span[2] * 65_535).astype(np.int64)
    v = ((y - span[1]) / span[3] * 65_535).astype(np.int64)
    return np.argsort(_hilbert(u, v), kind="stable")


def _hilbert(u: IntArray, v: IntArray) -> IntArray:
    """Position on a Hilbert curve of order 16."""
    place = np.zeros_like(u)
    side = 32_768
    while side:
        right = (u & side) > 0
        upper = (v & side) > 0
        place += side * side * ((3 * right) ^ upper)
        turn = ~upper
        flip = turn & right
        u, v = np.where(flip, 65_535 - u, u), np.where(flip, 65_535 - v, v)
        u, v = np.where(turn, v, u), np.where(turn, u, v)
        side //= 2
    return place


def counties_with_parcels(province: Province) -> Iterator[tuple[int, CountyParcels, Standing]]:
    """County number, parcels and the land between, in the order of ``COUNTIES``."""
    for number, (parcels, standing) in enumerate(
        zip(province.parcels, province.standing, strict=True)
    ):
        yield number, parcels, standing
