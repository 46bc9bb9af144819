"""Sample submissions for the first minute, each with a verdict that holds in every demo."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import shapely

from gis_service.demo_province.curves import turned_box
from gis_service.demo_province.drawing_plane import to_lonlat
from gis_service.demo_province.fixed_places import (
    FARMLAND,
    HOUSING,
    INDUSTRY,
    OLD_TOWN,
    near_seat,
)
from layers.text import Text


@dataclass(frozen=True, slots=True)
class SampleSite:
    """A submission as a GeoJSON Feature (lon/lat), with what it shows."""

    id: str
    title: Text
    description: Text
    feature: dict[str, Any]


_USE: Final[dict[str, dict[str, Any]]] = {
    # Densities and ratios in percent, as the plan parcels state them.
    "1001": {"floor_area_ratio": 1.2, "building_height_m": 18.0, "building_density": 35.0,
             "green_ratio": 25.0},
    "0901": {"floor_area_ratio": 1.8, "building_height_m": 18.0, "building_density": 40.0,
             "green_ratio": 25.0},
    "0701": {"floor_area_ratio": 1.6, "building_height_m": 33.0, "building_density": 22.0,
             "green_ratio": 38.0},
}


def sample_sites() -> list[SampleSite]:
    """The sites, the clearest contradiction first."""
    return [
        _site(
            "farmland-conflict", ("占用永久基本农田的厂房（演示）", "Factory on protected farmland (demo)"),
            ("县城以东水田中的厂房项目：占用永久基本农田，且在城镇开发边界之外。",
             "A factory in the paddy fields east of the county seat: it takes permanent basic "
             "farmland and lies outside the urban development boundary."),
            FARMLAND, (0.0, 0.0), (230.0, 150.0), 23.0, "1001",
        ),
        _site(
            "clean-site", ("符合各项规划的厂房（演示）", "Factory that fits every plan (demo)"),
            ("工业地块内的厂房项目：用途和开发强度都符合详细规划。",
             "A factory inside an industrial plot; its use and its size keep to the detailed plan."),
            INDUSTRY, (0.0, 0.0), (260.0, 170.0), 14.0, "1001",
        ),
        _site(
            "heritage-consent", ("文物建设控制地带内的商铺（演示）",
                                 "Shops in a heritage control zone (demo)"),
            ("老城商业地块内的项目，位于文物建设控制地带：须征得文物主管部门同意。",
             "Shops on a plot of the old town inside the construction control zone of a monument: "
             "the heritage authority has to consent."),
            OLD_TOWN, (40.0, 0.0), (120.0, 90.0), -9.0, "0901",
        ),
        _site(
            "no-data", ("文物资料缺失区内的住宅（演示）", "Housing where heritage data are missing (demo)"),
            ("住宅项目所在的县没有文物保护规划资料：结论为“无法判定”，而不是“通过”。",
             "The county of this housing project is not covered by the heritage plan: the answer is "
             "undetermined, not passed."),
            HOUSING, (0.0, 0.0), (220.0, 160.0), 21.0, "0701",
        ),
        _site(
            "too-dense", ("超出容积率的厂房（演示）", "Factory that is too dense (demo)"),
            ("与“符合各项规划的厂房”同一地块，但容积率和高度超出详细规划。",
             "On the same plot as the factory that fits, but denser and higher than the detailed "
             "plan allows."),
            INDUSTRY, (0.0, 0.0), (260.0, 170.0), 14.0, "1001",
            floor_area_ratio=3.1, building_height_m=48.0,
        ),
    ]


def _site(
    site_id: str, title: tuple[str, str], description: tuple[str, str],
    place: tuple[str, float, float], offset_m: tuple[float, float], size_m: tuple[float, float],
    angle_deg: float, use: str, **changed: float,
) -> SampleSite:
    x, y = near_seat(*place)
    shape = turned_box(x + offset_m[0], y + offset_m[1], *size_m, angle_deg)
    ring = to_lonlat(np.asarray(shapely.get_coordinates(shape)))
    properties = {
        "name": title[0],
        "proposed_use": use,
        **_USE[use],
        "project_level": "county",
        "land_take": True,
        "vertical_relation": "surface",
        **changed,
    }
    feature = {
        "type": "Feature",
        "id": site_id,
        "geometry": {"type": "Polygon", "coordinates": [ring.tolist()]},
        "properties": properties,
    }
    return SampleSite(site_id, Text(zh=title[0], en=title[1]),
                      Text(zh=description[0], en=description[1]), feature)
