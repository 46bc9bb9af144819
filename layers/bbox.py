"""Boxes as clients write them: four or six numbers in a CRS and its authority's axis order."""

from collections.abc import Sequence

from layers.crs import Box, Crs, transform_box
from layers.errors import BadParameter


def lon_lat_boxes(values: Sequence[float], crs: Crs, name: str = "bbox") -> tuple[Box, ...]:
    """The lon/lat boxes of finite numbers, first corner first.

    Six numbers carry heights, which are left out. West greater than east crosses the antimeridian
    and gives two boxes; any other reversed box is refused, for it would silently find nothing.
    """
    found = list(values)
    if len(found) == 6:
        found = [found[0], found[1], found[3], found[4]]
    if len(found) != 4:
        raise BadParameter(
            f"{name} needs 4 or 6 numbers, not {len(found)}.",
            f"{name} 需要 4 或 6 个数字，而不是 {len(found)} 个。",
        )
    first_x, first_y, second_x, second_y = found
    if crs.swapped:
        first_x, first_y, second_x, second_y = first_y, first_x, second_y, second_x
    if first_y > second_y or (first_x > second_x and crs.kind == "projected"):
        raise BadParameter(
            f"{name}: the lower corner comes first.", f"{name}：应先给左下角，再给右上角。"
        )
    if first_x > second_x:
        return ((first_x, first_y, 180.0, second_y), (-180.0, first_y, second_x, second_y))
    return (transform_box((first_x, first_y, second_x, second_y), crs),)
