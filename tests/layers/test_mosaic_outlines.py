"""Outlines of patches, held against GDAL's polygonizer, which walks them one by one."""

from typing import Any

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from rasterio.features import shapes

from layers.mosaic_outlines import outlines


def of_gdal(cells: Any) -> dict[int, list[shapely.Geometry]]:
    found: dict[int, list[shapely.Geometry]] = {}
    for body, value in shapes(cells, mask=cells > 0, connectivity=4):
        found.setdefault(int(value), []).append(shapely.geometry.shape(body))
    return found


def is_like_gdal(cells: Any) -> None:
    found, wanted = outlines(cells), of_gdal(cells)
    assert bool(shapely.is_valid(found.polygons).all())
    assert set(found.classes.tolist()) == set(wanted)
    for number, expected in wanted.items():
        mine = found.polygons[found.classes == number]
        assert sorted(shapely.area(mine)) == sorted(shapely.area(expected))
        assert shapely.union_all(mine).equals(shapely.union_all(expected))


grids = st.tuples(st.integers(1, 12), st.integers(1, 12), st.integers(1, 3)).flatmap(
    lambda size: arrays(np.uint16, size[:2], elements=st.integers(0, size[2]))
)


@settings(max_examples=200, deadline=None)
@given(grids)
def test_patches_are_those_of_gdal(cells: Any) -> None:
    if cells.any():
        is_like_gdal(cells)


@pytest.mark.parametrize(
    "rows",
    [
        "11111 12121 11111",  # holes
        "1111 1211 1121 1111",  # two holes that touch in a corner
        "110 101 011",  # a patch that meets itself in a corner, from outside
        "11111 12221 12121 12221 11111",  # a patch in the hole of a hole
        "12 21",
        "1",
    ],
)
def test_corners_and_holes(rows: str) -> None:
    cells = np.array([[int(cell) for cell in row] for row in rows.split()], dtype=np.uint16)
    is_like_gdal(cells)
