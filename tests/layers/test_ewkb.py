"""EWKB written at once: what shapely writes one by one, and what PostGIS reads back."""

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from layers.database import Connection
from layers.ewkb import to_ewkb

SQUARE, TRIANGLE = shapely.box(109.1, 19.2, 109.3, 19.4), shapely.Polygon([(0, 0), (1, 0), (0, 1)])
HOLED = shapely.Polygon(SQUARE.exterior, [shapely.box(109.15, 19.25, 109.2, 19.3).exterior])
CORNERS = st.lists(st.tuples(st.floats(-180, 180), st.floats(-90, 90)), min_size=3, max_size=8)


def one_by_one(shapes: np.ndarray) -> list[bytes]:
    stamped = shapely.set_srid(shapes, 4490)
    return shapely.to_wkb(stamped, include_srid=True, output_dimension=2, byte_order=1).tolist()


def array(*shapes: shapely.Geometry) -> np.ndarray:
    found = np.empty(len(shapes), dtype=object)
    found[:] = shapes
    return found


@pytest.mark.parametrize(
    "shapes",
    [
        (), (SQUARE, TRIANGLE), (SQUARE, HOLED), (SQUARE, shapely.MultiPolygon([SQUARE, TRIANGLE])),
        (SQUARE, shapely.Polygon()), (shapely.Polygon(),), (shapely.Point(1, 2), SQUARE.exterior),
        (shapely.force_3d(SQUARE, 7.0), TRIANGLE),
    ],
)  # fmt: skip
def test_all_kinds_are_written_as_shapely_does(shapes: tuple[shapely.Geometry, ...]) -> None:
    assert to_ewkb(array(*shapes), 4490) == one_by_one(array(*shapes))


@given(st.lists(CORNERS, min_size=1, max_size=5))
def test_any_polygons_are_written_as_shapely_does(rings: list[list[tuple[float, float]]]) -> None:
    shapes = array(*map(shapely.Polygon, rings))
    assert to_ewkb(shapes, 4490) == one_by_one(shapes)


def test_postgis_reads_it_back(connection: Connection) -> None:
    found = connection.execute(
        "SELECT ST_SRID(g), ST_AsBinary(g) FROM"
        " (SELECT ST_GeomFromEWKB(unnest(%s::bytea [])) AS g) AS q",
        (to_ewkb(array(SQUARE, TRIANGLE), 3857),),
    ).fetchall()
    assert [(srid, shapely.from_wkb(wkb)) for srid, wkb in found] == [
        (3857, SQUARE), (3857, TRIANGLE),
    ]  # fmt: skip
