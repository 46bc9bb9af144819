"""Levels as shipped, and shapes given in metres around a place in Hainan."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import shapely

from layers.catalog import Catalog
from layers.crs import LocalPlane, snap
from layers.quality.levels import Levels, load_levels

CONFIG = Path(__file__).resolve().parents[3] / "config"
PLANE = LocalPlane.at(110.0, 19.5)

MakeBox = Callable[[float, float, float, float], shapely.Polygon]


def at_place(shape: shapely.Geometry) -> shapely.Geometry:
    """A shape in metres from 110 E 19.5 N, on the storage grid."""
    placed = snap(np.array([PLANE.to_degrees(shape)], dtype=object))[0]
    assert isinstance(placed, shapely.Geometry)
    return placed


def metre_box(west: float, south: float, east: float, north: float) -> shapely.Polygon:
    box = at_place(shapely.box(west, south, east, north))
    assert isinstance(box, shapely.Polygon)
    return box


@pytest.fixture
def place() -> Callable[[shapely.Geometry], shapely.Geometry]:
    return at_place


@pytest.fixture
def box() -> MakeBox:
    return metre_box


@pytest.fixture(scope="session")
def levels(catalog: Catalog) -> Levels:
    return load_levels(CONFIG, catalog)
