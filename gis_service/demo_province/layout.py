"""The plan of the whole province before any parcel is cut: land, water, roads, towns, faces."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import shapely
from shapely import LineString
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
from gis_service.demo_province.projects import Project, projects, villages
from gis_service.demo_province.rivers import Reservoir, River, reservoirs, rivers
from gis_service.demo_province.routes import Route, routes
from gis_service.demo_province.scale import SCALES, SHOWN_COUNTIES, Scale, ScaleName
from gis_service.demo_province.superblocks import (
    COUNTRY,
    RING,
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
    road_lands: GeometryArray
    """Land of each route; roads end at the ring roads around town centres."""
    villages: GeometryArray
    projects: tuple[Project, ...]
    fixed: tuple[FixedPlace, ...]
    blocks: Superblocks
    counties: GeometryArray
    """Outlines in lon/lat, in the order of ``COUNTIES``, vertex for vertex those of the faces."""
    ashore: BaseGeometry
    """All counties together, lon/lat: the land that land use covers."""


def lay_out(scale_name: ScaleName, seed: int, coast_file: Path | None) -> Layout:
    """Draw the province as far as its superblocks."""
    scale = SCALES[scale_name]
    land = draw_land(seed, coast_file)
    terrain = Terrain.of(land, seed)
    settled = towns(terrain, seed)
    areas, cores = _town_areas(settled, seed)
    fixed = fixed_places()
    around = shapely.buffer(
        shapely.points([(t.x, t.y) for t in settled]),
        [t.radius_m + 800 for t in settled],
        quad_segs=4,
    )
    clear = kept_clear()
    kept = shapely.buffer(shapely.points(clear[:, :2]), clear[:, 2] + 1_500, quad_segs=4)
    waters = rivers(terrain, seed)
    lakes = reservoirs(waters, terrain, seed, shapely.union_all([*around, *kept]))
    roads = routes(settled, terrain, clear, seed)
    lands = shapely.difference(
        np.array([road.land() for road in roads], dtype=object), shapely.union_all(cores)
    )
    taken = shapely.union_all([*around, *kept, *(lake.water for lake in lakes)])
    hamlets = villages(terrain, seed, taken) if scale.coarse > 1 else np.zeros(0, dtype=object)
    works = projects(terrain, seed, taken)
    figures = [Figure(shape, COUNTRY, -1) for shape in hamlets.tolist()]
    figures += [Figure(project.shape, COUNTRY, -1) for project in works]
    figures += [Figure(area, TOWN, number) for number, area in enumerate(areas)]
    figures += _lines(waters, lakes, lands)
    figures += _rings(settled, cores)
    figures += [Figure(place.shape, place.kind, number) for number, place in enumerate(fixed)]
    borders = [LineString(line) for line in county_borders(seed)]
    blocks = superblocks(land, borders, _county_points(), figures, scale.edge_spacing_m)
    counties = _county_outlines(blocks)
    return Layout(
        seed,
        scale,
        land,
        terrain,
        settled,
        areas,
        waters,
        lakes,
        roads,
        lands,
        hamlets,
        works,
        fixed,
        blocks,
        counties,
        shapely.coverage_union_all(counties),
    )


def _town_areas(settled: tuple[Town, ...], seed: int) -> tuple[GeometryArray, GeometryArray]:
    """The area of each town, and of its centre inside the ring road."""
    areas, cores = [], []
    for key, town in enumerate(settled):
        shown = key < len(COUNTIES) and COUNTIES[key].code in SHOWN_COUNTIES
        # Sample sites lie in the towns that are shown: these keep close to a circle.
        areas.append(
            blob(town.x, town.y, town.radius_m, seed, key, unevenness=0.08 if shown else 0.22)
        )
        cores.append(blob(town.x, town.y, town.radius_m * 0.38, seed, 200 + key, unevenness=0.1))
    return np.array(areas, dtype=object), np.array(cores, dtype=object)


def _lines(
    waters: tuple[River, ...], lakes: tuple[Reservoir, ...], lands: GeometryArray
) -> list[Figure]:
    """Waters (references: rivers, then reservoirs), and roads over them, the highest class last."""
    shapes = [river.water() for river in waters] + [lake.water for lake in lakes]
    figures = [Figure(shape, WATER, number) for number, shape in enumerate(shapes)]
    numbered = list(enumerate(lands))
    return figures + [Figure(shape, ROAD, number) for number, shape in reversed(numbered)]


def _rings(settled: tuple[Town, ...], cores: GeometryArray) -> list[Figure]:
    """A ring road around each town centre."""
    half = [12.0 if number < len(COUNTIES) else 7.0 for number in range(len(settled))]
    rings = shapely.buffer(shapely.boundary(cores), half, quad_segs=2)
    return [Figure(ring, RING, number) for number, ring in enumerate(rings)]


def _county_points() -> tuple[GeometryArray, IntArray]:
    points = np.concatenate([to_plane(np.array(county.points)) for county in COUNTIES])
    owner = np.repeat(np.arange(len(COUNTIES)), [len(county.points) for county in COUNTIES])
    return np.asarray(shapely.points(points)), owner


def _county_outlines(blocks: Superblocks) -> GeometryArray:
    faces = geometry_to_lonlat(blocks.faces)
    return np.array(
        [
            shapely.coverage_union_all(faces[blocks.county == number])
            for number in range(len(COUNTIES))
        ],
        dtype=object,
    )
