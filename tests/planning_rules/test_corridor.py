"""Centrelines with a width, held against geodesic distances and lengths by pyproj."""

import numpy as np
import pyproj
import pytest
import shapely

from layers.area import area_m2
from layers.errors import BadParameter
from planning_rules.corridor import strip_of
from planning_rules.submission import read_submission

GEOD = pyproj.Geod(a=6378137, rf=298.257222101)
REGION = (107.9, 17.6, 111.9, 20.7)
LINE = [[108.75, 19.05], [109.2, 19.2], [109.9, 19.1], [110.6, 19.7]]


def feature(**attributes: object) -> dict[str, object]:
    geometry = {"type": "LineString", "coordinates": LINE}
    return {"type": "Feature", "geometry": geometry, "properties": attributes}


def test_the_strip_has_the_area_of_length_times_width() -> None:
    strip = strip_of(shapely.LineString(LINE), 60)
    length = GEOD.line_length(*np.array(LINE).T)
    assert area_m2(strip) == pytest.approx(length * 60, rel=2e-3)
    assert area_m2(strip) >= length * 60 * 0.9999


@pytest.mark.parametrize("width", [0.5, 60, 1000])
def test_no_side_of_the_strip_is_nearer_than_half_the_width(width: float) -> None:
    """From each side point, the geodesic distance to a dense sampling of the line."""
    line = shapely.LineString([[108.75, 19.05], [109.2, 19.2]])
    sides = shapely.get_coordinates(strip_of(line, width))
    rest = [0.2, 0.5, 0.8]
    along = shapely.get_coordinates(shapely.line_interpolate_point(line, rest, normalized=True))
    outline = shapely.segmentize(shapely.LinearRing(sides), 1e-3)
    for lon, lat in along:
        ring = shapely.get_coordinates(outline)
        near = shapely.shortest_line(shapely.Point(lon, lat), shapely.LinearRing(ring))
        (x1, y1), (x2, y2) = shapely.get_coordinates(near)
        distance = GEOD.inv(x1, y1, x2, y2)[2]
        # The degree plane leans the foot of the perpendicular a little: never nearer than half.
        assert distance >= width / 2 * 0.9999 - 0.001
        assert distance <= width / 2 * 1.01


def test_a_submission_with_a_width_is_an_area() -> None:
    plain = read_submission(feature(), region_bbox=REGION)
    wide = read_submission(feature(line_width_m=60), region_bbox=REGION)
    assert (plain.dimension, wide.dimension) == (1, 2)
    assert wide.geometry.covers(plain.geometry.interpolate(0.3, normalized=True).buffer(1e-6))
    assert [remark.code for remark in wide.repairs] == ["line-widened"]
    assert plain.sha256 != wide.sha256


@pytest.mark.parametrize("width", [0, -1, "60", True, 1000.5])
def test_a_wrong_width_is_refused_and_not_ignored(width: object) -> None:
    with pytest.raises(BadParameter) as caught:
        read_submission(feature(line_width_m=width), region_bbox=REGION)
    assert caught.value.places[0].at == "/properties/line_width_m"
