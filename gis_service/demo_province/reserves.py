"""Outlines of the nature reserves, drawn apart from any parcel."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import shapely
from shapely import Polygon

from gis_service.demo_province.coast import largest_part, roughen
from gis_service.demo_province.curves import blob
from gis_service.demo_province.drawing_plane import GeometryArray, to_plane

RESERVES: Final = (
    # lon, lat, radius in metres, level, invented name
    (109.68, 18.90, 9_500.0, "national", "云顶岭"),
    (109.50, 19.04, 11_500.0, "national", "青鹦岭"),
    (109.18, 19.10, 9_000.0, "national", "长臂岭"),
    (108.95, 18.72, 9_000.0, "national", "峰尖岭"),
    (109.90, 18.70, 8_500.0, "national", "罗山"),
    (109.30, 18.80, 6_500.0, "provincial", "佳溪岭"),
    (110.15, 18.88, 6_000.0, "provincial", "六泉岭"),
    (109.56, 18.50, 6_000.0, "provincial", "甘林岭"),
    (109.80, 19.16, 6_500.0, "provincial", "黎峰"),
    (110.03, 19.18, 5_000.0, "provincial", "上溪"),
    (108.86, 19.02, 4_500.0, "provincial", "东田坡鹿园"),
)


@dataclass(frozen=True, slots=True)
class Reserves:
    """Whole reserves and their cores, in metres of the plane and the order of ``RESERVES``."""

    whole: GeometryArray
    cores: GeometryArray


def draw_reserves(seed: int) -> Reserves:
    """Draw all of them."""
    whole, cores = [], []
    for key, (lon, lat, radius_m, _, _) in enumerate(RESERVES):
        x, y = to_plane(np.array([[lon, lat]]))[0]
        outline = blob(x, y, radius_m, seed, 500 + key, unevenness=0.4)
        ring = roughen(
            shapely.get_coordinates(outline)[:-1],
            seed,
            500 + key,
            longest_m=160.0,
            amplitude=0.13,
            closed=True,
        )
        area = largest_part(shapely.make_valid(Polygon(ring)))
        whole.append(area)
        # A core to 40 m is enough, and its offset from a rough line ten times quicker.
        plain = shapely.simplify(area, 40.0)
        cores.append(largest_part(plain.buffer(-radius_m * 0.34, quad_segs=4)))
    return Reserves(np.array(whole, dtype=object), np.array(cores, dtype=object))
