"""Tile matrix sets: which tile lies where.

A set is an OGC Two Dimensional Tile Matrix Set (2.0) document under ``config/matrix_sets``, read
by morecantile; any set of square tiles will do, in any CRS that the datum policy admits. Ids of
levels and order of axes end here: everybody else asks with whole numbers and gets boxes with x
before y. The sets differ in where they begin to count::

    c  level n  =  WorldCRS84Quad  level n - 1   (tianditu, CGCS2000, levels from 1)
    w  level n  =  WebMercatorQuad level n       (tianditu, levels from 1)
"""

import json
import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import shapely
from pydantic import ValidationError

from layers.crs import Crs, from_storage, parse_crs, to_storage, transform_box
from layers.errors import BadConfiguration, CrsRefused, NotFound
from layers.text import Text

if TYPE_CHECKING:
    from morecantile import TileMatrixSet
    from morecantile.models import TileMatrix as Matrix

_MERCATOR: Final = "EPSG:3857"
_HALF_WORLD_M: Final = 20_037_508.342789244
_LAST_LATITUDE: Final = 85.0511287798066


class Box(NamedTuple):
    """A box in the set's own CRS, x east (longitude) and y north (latitude)."""

    west: float
    south: float
    east: float
    north: float


class Tile(NamedTuple):
    """A tile by level, column from the west and row from the north."""

    z: int
    x: int
    y: int


@dataclass(frozen=True, slots=True)
class TileMatrix:
    """One level of a set; sizes in units of the CRS (degrees or metres)."""

    z: int
    scale_denominator: float
    """On pixels of 0.28 mm, as OGC has it; never the 96-dpi figure of old tianditu documents."""
    cell_size: float
    west: float
    north: float
    tile_px: int
    columns: int
    rows: int

    @property
    def span(self) -> float:
        """Side of a tile, in units of the CRS."""
        return self.cell_size * self.tile_px


@dataclass(frozen=True, slots=True)
class MatrixSet:
    """A tile matrix set; ``document`` is the JSON as it is published."""

    id: str
    title: str
    crs: Crs
    matrices: tuple[TileMatrix, ...]
    document: dict[str, Any]
    is_mercator_quad: bool = False
    """Whether its tiles are those of the web-mercator square that most maps use."""

    @property
    def zooms(self) -> range:
        """The levels that exist."""
        return range(self.matrices[0].z, self.matrices[-1].z + 1)

    def from_lonlat(self, lon: float, lat: float) -> tuple[float, float]:
        """A place (degrees, CGCS2000) in the set's CRS, x east and y north."""
        place = np.array([shapely.Point(lon, lat)], dtype=object)
        point = from_storage(place, self.crs)[0]
        return point.x, point.y

    def to_lonlat(self, x: float, y: float) -> tuple[float, float]:
        """A place in the set's CRS in degrees (CGCS2000)."""
        place = np.array([shapely.Point(x, y)], dtype=object)
        point = to_storage(place, self.crs)[0]
        return point.x, point.y

    def zoom_like(self, z: int) -> int:
        """The web-mercator zoom (tiles of 256 px) whose pixels are about as wide at the equator.

        Level n of ``c`` is like zoom n; styles and pieces know such zooms only.
        """
        cell_m = self.matrix(z).cell_size
        if self.crs.kind == "geographic":
            cell_m *= _HALF_WORLD_M / 180
        return max(0, round(math.log2(2 * _HALF_WORLD_M / 256 / cell_m)))

    def matrix(self, z: int) -> TileMatrix:
        """The level, or ``NotFound``; levels that do not exist are never made up."""
        if z not in self.zooms:
            raise _not_there(self, f"{z}")
        return self.matrices[z - self.zooms.start]


def tile_bounds(matrix_set: MatrixSet, z: int, x: int, y: int) -> Box:
    """The box of a tile in the set's CRS; ``NotFound`` outside the set, before any work.

    There is no wrapping around the date line: a column too many is a tile that does not exist.
    """
    matrix = matrix_set.matrix(z)
    if not (0 <= x < matrix.columns and 0 <= y < matrix.rows):
        raise _not_there(matrix_set, f"{z}/{x}/{y}")
    return Box(
        matrix.west + x * matrix.span,
        matrix.north - (y + 1) * matrix.span,
        matrix.west + (x + 1) * matrix.span,
        matrix.north - y * matrix.span,
    )


def lonlat_bounds(matrix_set: MatrixSet, tile: Tile) -> Box:
    """The box around a tile in degrees (CGCS2000); its edges are followed."""
    box = tile_bounds(matrix_set, *tile)
    if matrix_set.is_mercator_quad:
        return Box(*(_degrees(box.west), _latitude(box.south), _degrees(box.east),
                     _latitude(box.north)))  # fmt: skip
    return Box(*transform_box(box, matrix_set.crs))


def _degrees(x: float) -> float:
    return x / _HALF_WORLD_M * 180


def _latitude(y: float) -> float:
    return math.degrees(math.atan(math.sinh(y / _HALF_WORLD_M * math.pi)))


def mercator_bounds(matrix_set: MatrixSet, tile: Tile, margin: float) -> Box:
    """The web-mercator box around a tile that is wider by ``margin`` of its side, cut to the map.

    For tiles of other grids that are drawn from web-mercator pieces.
    """
    box = tile_bounds(matrix_set, *tile)
    reach = (box.east - box.west) * margin
    wider = Box(box.west - reach, box.south - reach, box.east + reach, box.north + reach)
    if matrix_set.crs.code == _MERCATOR:
        return wider
    west, south, east, north = transform_box(wider, matrix_set.crs)
    return Box(west / 180 * _HALF_WORLD_M, _northing(south), east / 180 * _HALF_WORLD_M,
               _northing(north))  # fmt: skip


def _northing(lat: float) -> float:
    bounded = math.radians(max(-_LAST_LATITUDE, min(_LAST_LATITUDE, lat)))
    return math.log(math.tan(math.pi / 4 + bounded / 2)) / math.pi * _HALF_WORLD_M


def tile_of(matrix_set: MatrixSet, lon: float, lat: float, z: int) -> Tile:
    """The tile that holds a place (degrees, CGCS2000); a place on an edge lies east and south.

    Places on or beyond the outer edge belong to the last tile there.
    """
    matrix = matrix_set.matrix(z)
    x, y = matrix_set.from_lonlat(lon, lat)
    column = math.floor((x - matrix.west) / matrix.span)
    row = math.floor((matrix.north - y) / matrix.span)
    return Tile(z, max(0, min(matrix.columns - 1, column)), max(0, min(matrix.rows - 1, row)))


@lru_cache(maxsize=4)
def load_matrix_sets(config_dir: Path) -> dict[str, MatrixSet]:
    """All sets under ``config/matrix_sets`` by id; ``BadConfiguration`` names the file."""
    paths = sorted((config_dir / "matrix_sets").glob("*.json"))
    sets = [_read(path) for path in paths]
    return {matrix_set.id: matrix_set for matrix_set in sets}


def matrix_set_named(sets: dict[str, MatrixSet], set_id: str) -> MatrixSet:
    """The set of that id, or ``NotFound`` with the ids there are."""
    found = sets.get(set_id)
    if found is None:
        names = ", ".join(sets)
        raise NotFound(
            f"There is no tile matrix set '{set_id[:40]}'. Sets: {names}.",
            f"没有瓦片矩阵集“{set_id[:40]}”。现有：{names}。",
        )
    return found


def _read(path: Path) -> MatrixSet:
    try:
        document = json.loads(path.read_text("utf-8"))
        crs = parse_crs(_crs_text(document["crs"]))
        matrices = tuple(_matrix(entry, crs) for entry in _model(document).tileMatrices)
        title = document.get("title", document["id"])
        found = MatrixSet(
            document["id"], title, crs, matrices, document, _is_mercator_quad(crs, matrices)
        )
        fault = _fault(found, path)
    except ValidationError as error:
        fault = "; ".join(f"{_path(one['loc'])}: {one['msg']}" for one in error.errors()[:3])
    except (LookupError, ValueError, TypeError, CrsRefused) as error:
        fault = f"{type(error).__name__}: {error}"
    if fault:
        text = Text(zh=f"瓦片矩阵集 {path.name} 有误：{fault}", en=f"{path.name}: {fault}")
        raise BadConfiguration(text.en, text.zh)
    return found


def _path(location: tuple[int | str, ...]) -> str:
    return "/".join(str(step) for step in location)


def _model(document: dict[str, Any]) -> "TileMatrixSet":
    """The document as morecantile understands it: what the standard refuses is refused here."""
    from morecantile import TileMatrixSet  # a quarter of a second: not before it is needed

    return TileMatrixSet.model_validate(document)


def _crs_text(crs: Any) -> str:
    """The CRS of a document: a URI, or an object that holds one."""
    return str(crs.get("uri", crs)) if isinstance(crs, dict) else crs


def _matrix(entry: "Matrix", crs: Crs) -> TileMatrix:
    first, second = entry.pointOfOrigin
    west, north = (second, first) if crs.swapped else (first, second)
    if entry.cornerOfOrigin != "topLeft" or entry.tileWidth != entry.tileHeight:
        raise ValueError(f"level {entry.id}: square tiles from the top left only")
    if entry.variableMatrixWidths:
        raise ValueError(f"level {entry.id}: rows of one width only")
    return TileMatrix(
        z=int(entry.id),
        scale_denominator=entry.scaleDenominator,
        cell_size=entry.cellSize,
        west=west,
        north=north,
        tile_px=entry.tileWidth,
        columns=entry.matrixWidth,
        rows=entry.matrixHeight,
    )


def _is_mercator_quad(crs: Crs, matrices: tuple[TileMatrix, ...]) -> bool:
    return crs.code == _MERCATOR and all(
        math.isclose(one.west, -_HALF_WORLD_M, rel_tol=1e-9)
        and math.isclose(one.north, _HALF_WORLD_M, rel_tol=1e-9)
        and math.isclose(one.span * 2**one.z, 2 * _HALF_WORLD_M, rel_tol=1e-9)
        for one in matrices
    )


def _fault(matrix_set: MatrixSet, path: Path) -> str | None:
    """What else is wrong with a set that could be read."""
    if matrix_set.id != path.stem:
        return f"id {matrix_set.id} differs from the file name"
    if [matrix.z for matrix in matrix_set.matrices] != list(matrix_set.zooms):
        return "levels must be whole numbers without a gap"
    if matrix_set.crs.srid is None and not matrix_set.crs.is_storage:
        return f"{matrix_set.crs.code} has no EPSG number, by which PostGIS knows it"
    return None


def _not_there(matrix_set: MatrixSet, name: str) -> NotFound:
    zooms = matrix_set.zooms
    return NotFound(
        f"There is no tile {name} in {matrix_set.id} (levels {zooms.start} to {zooms.stop - 1}).",
        f"矩阵集 {matrix_set.id} 中没有瓦片 {name}（级别 {zooms.start}–{zooms.stop - 1}）。",
        code="tile-outside",
    )
