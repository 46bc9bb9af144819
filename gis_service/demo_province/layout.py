"""The plan of the whole province before any parcel is cut: land, water, roads, towns, faces."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from gis_service.demo_province.borders import county_borders
from gis_service.demo_province.coast import land as draw_land
from gis_service.demo_province.curves import blob
from gis_service.demo_province.drawing_plane import (
    GeometryArray,
    IntArray,
    geometry_to_lonlat,
    to_plane,
)
from gis_service.demo_province.fixed_places import FixedPlace, fixed_places, kept_clear
from gis_service.demo_province.places import COUNTIES, Town, towns
from gis_service.demo_province.rivers import Reservoir, River, reservoirs, rivers
from gis_service.demo_province.routes import Route, routes
from gis_service.demo_province.scale import SCALES, Scale, ScaleName
from gis_service.demo_province.superblocks import (
    ROAD,
    TOWN,
    WATER,
    Figure,
    Superblocks,
    superblocks,
)
from gis_service.demo_province.terrain import Terrain


@dataclass(frozen=True, slots=True)
class Layout:
    """Everything that does not depend on parcels; geometries in metres of the drawing plane."""

    seed: int
    scale: Scale
    land: BaseGeometry
    terrain: Terrain
    towns: tuple[Town, ...]
    town_areas: GeometryArray
    rivers: tuple[River, ...]
    reservoirs: tuple[Reservoir, ...]
    routes: tuple[Route, ...]
    fixed: tuple[FixedPlace, ...]
    blocks: Superblocks
    counties: GeometryArray
    """Outlines in lon/lat, in the order of ``COUNTIES``, vertex for vertex those of the faces."""


def lay_out(scale_name: ScaleName, seed: int, coast_file: Path | None) -> Layout:
    """Draw the province as far as its superblocks."""
    scale = SCALES[scale_name]
    land = draw_land(seed, coast_file)
    terrain = Terrain.of(land, seed)
    settled = towns(terrain, seed)
    areas = np.array(
        [blob(town.x, town.y, town.radius_m, seed, key) for key, town in enumerate(settled)],
        dtype=object,
    )
    fixed = fixed_places()
    around = shapely.buffer(shapely.points([(t.x, t.y) for t in settled]),
                            [t.radius_m + 800 for t in settled], quad_segs=4)
    clear = kept_clear()
    kept = shapely.buffer(shapely.points(clear[:, :2]), clear[:, 2] + 1_500, quad_segs=4)
    waters = rivers(terrain, seed)
    lakes = reservoirs(waters, terrain, seed, shapely.union_all([*around, *kept]))
    roads = routes(settled, terrain, clear, seed)
    figures = _figures(areas, waters, lakes, roads, fixed)
    borders = [shapely.linestrings(line) for line in county_borders(seed)]
    points, owner = _county_points()
    blocks = superblocks(land, borders, (points, owner), figures, scale.edge_spacing_m)
    return Layout(seed, scale, land, terrain, settled, areas, waters, lakes, roads, fixed, blocks,
                  _county_outlines(blocks))


def _figures(
    areas: GeometryArray, waters: tuple[River, ...], lakes: tuple[Reservoir, ...],
    roads: tuple[Route, ...], fixed: tuple[FixedPlace, ...],
) -> list[Figure]:
    """What cuts the land; later ones win: a road bridges water, a fixed place stays whole."""
    figures = [Figure(area, TOWN, number) for number, area in enumerate(areas)]
    # References of waters: rivers first, then reservoirs.
    figures += [Figure(river.water(), WATER, number) for number, river in enumerate(waters)]
    figures += [
        Figure(lake.water, WATER, len(waters) + number) for number, lake in enumerate(lakes)
    ]
    numbered = list(enumerate(roads))
    figures += [Figure(road.land(), ROAD, number) for number, road in reversed(numbered)]
    figures += [Figure(place.shape, place.kind, number) for number, place in enumerate(fixed)]
    return figures


def _county_points() -> tuple[GeometryArray, IntArray]:
    points = np.concatenate([to_plane(np.array(county.points)) for county in COUNTIES])
    owner = np.repeat(np.arange(len(COUNTIES)), [len(county.points) for county in COUNTIES])
    return np.asarray(shapely.points(points)), owner


def _county_outlines(blocks: Superblocks) -> GeometryArray:
    faces = geometry_to_lonlat(blocks.faces)
    return np.array(
        [shapely.coverage_union_all(faces[blocks.county == number])
         for number in range(len(COUNTIES))],
        dtype=object,
    )
