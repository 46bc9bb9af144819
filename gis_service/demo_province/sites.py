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


@dataclass(frozen=True, slots=True)
class _Spot:
    """A rectangle by the place it lies in, its shift from that place's middle, size and turn."""

    place: tuple[str, float, float]
    shift_m: tuple[float, float]
    size_m: tuple[float, float]
    angle_deg: float

    def ring(self) -> list[list[float]]:
        """Closed lon/lat ring on the storage grid."""
        x, y = near_seat(*self.place)
        box = turned_box(x + self.shift_m[0], y + self.shift_m[1], *self.size_m, self.angle_deg)
        ring: list[list[float]] = to_lonlat(np.asarray(shapely.get_coordinates(box))).tolist()
        return ring


_ORDINARY: Final[dict[str, Any]] = {
    # Everything the rules ask about, so that no answer hangs on an empty field.
    "project_level": "ordinary",
    "project_category": "none",
    "construction_type": "single-project",
    "facility_type": "other",
    "approval_level_and_type": "municipal-or-county",
    "land_take": True,
    "is_new_building": True,
    "vertical_relation": "surface",
    "discharges_pollutants": False,
    "is_water_supply_facility": False,
}

_FACTORY: Final[dict[str, Any]] = {
    "proposed_use": "1001",
    "floor_area_ratio": 1.2,
    "building_height_m": 18.0,
    "building_density": 35.0,
    "green_ratio": 25.0,
}
"""Density and green ratio in percent, as the plan parcels state them."""

_SHOPS: Final[dict[str, Any]] = {
    "proposed_use": "0901",
    "floor_area_ratio": 1.8,
    "building_height_m": 18.0,
    "building_density": 40.0,
    "green_ratio": 25.0,
}

_FLATS: Final[dict[str, Any]] = {
    "proposed_use": "0701",
    "floor_area_ratio": 1.6,
    "building_height_m": 33.0,
    "building_density": 22.0,
    "green_ratio": 38.0,
}

_ON_THE_PLOT: Final = _Spot(INDUSTRY, (0.0, 0.0), (260.0, 170.0), 14.0)


def sample_sites() -> list[SampleSite]:
    """The sites, the clearest contradiction first."""
    return [
        _farmland_conflict(),
        _clean_site(),
        _heritage_consent(),
        _no_data(),
        _too_dense(),
    ]


def _farmland_conflict() -> SampleSite:
    return _site(
        "farmland-conflict",
        Text(zh="占用永久基本农田的厂房（演示）", en="Factory on protected farmland (demo)"),
        Text(
            zh="县城以东水田中的产业园项目：占用永久基本农田，且在城镇开发边界之外。",
            en="An industrial park in the paddy fields east of the county seat: it takes permanent "
            "basic farmland and lies outside the urban development boundary.",
        ),
        _Spot(FARMLAND, (0.0, 0.0), (230.0, 150.0), 23.0),
        {**_FACTORY, "construction_type": "industrial-park"},
    )


def _clean_site() -> SampleSite:
    return _site(
        "clean-site",
        Text(zh="符合各项规划的厂房（演示）", en="Factory that fits every plan (demo)"),
        Text(
            zh="工业地块内的厂房项目：用途和开发强度都符合详细规划。",
            en="A factory inside an industrial plot; its use and its size keep to the detailed "
            "plan.",
        ),
        _ON_THE_PLOT,
        _FACTORY,
    )


def _heritage_consent() -> SampleSite:
    return _site(
        "heritage-consent",
        Text(zh="文物建设控制地带内的商铺（演示）", en="Shops in a heritage control zone (demo)"),
        Text(
            zh="老城商业地块内的项目，位于文物建设控制地带：须征得文物主管部门同意。",
            en="Shops on a plot of the old town inside the construction control zone of a "
            "monument: the heritage authority has to consent.",
        ),
        _Spot(OLD_TOWN, (40.0, 0.0), (120.0, 90.0), -9.0),
        _SHOPS,
    )


def _no_data() -> SampleSite:
    return _site(
        "no-data",
        Text(zh="文物资料缺失区内的住宅（演示）", en="Housing where heritage is unknown (demo)"),
        Text(
            zh="住宅项目所在的县没有文物保护规划资料：结论为“无法判定”，而不是“通过”。",
            en="The county of this housing project is not covered by the heritage plan: the answer "
            "is undetermined, not passed.",
        ),
        _Spot(HOUSING, (0.0, 0.0), (220.0, 160.0), 21.0),
        _FLATS,
    )


def _too_dense() -> SampleSite:
    return _site(
        "too-dense",
        Text(zh="超出容积率的厂房（演示）", en="Factory that is too dense (demo)"),
        Text(
            zh="与“符合各项规划的厂房”同一地块，但容积率和高度超出详细规划。",
            en="On the same plot as the factory that fits, but denser and higher than the "
            "detailed plan allows.",
        ),
        _ON_THE_PLOT,
        {**_FACTORY, "floor_area_ratio": 3.1, "building_height_m": 48.0},
    )


def _site(
    site_id: str, title: Text, description: Text, spot: _Spot, attributes: dict[str, Any]
) -> SampleSite:
    feature = {
        "type": "Feature",
        "id": site_id,
        "geometry": {"type": "Polygon", "coordinates": [spot.ring()]},
        "properties": {"name": title.zh, **_ORDINARY, **attributes},
    }
    return SampleSite(site_id, title, description, feature)
