"""All editions of the demo province, one after the other."""

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Final

from gis_service.demo_province import (
    administration,
    constraints,
    control_lines,
    landuse_layers,
    marine,
    nature,
    protection,
    transport,
)
from gis_service.demo_province.edition import DemoEdition
from gis_service.demo_province.province import Progress, Province, draw
from gis_service.demo_province.scale import ScaleName
from layers.text import Text

SEED: Final = 20_260_101


def build(
    scale: ScaleName, seed: int = SEED, coast: Path | None = None, progress: Progress | None = None
) -> Iterator[DemoEdition]:
    """Draw the province and give its editions in the order in which they are to be loaded.

    ``coast`` is ``land-10m.json`` of world-atlas; without it the island is an invented one. Layers
    make their features when asked (``DemoLayer.chunks``), so memory holds one county at a time.
    """
    province = draw(scale, seed, coast, progress or _silent)
    yield from editions(province)


def _silent(_step: str, _share: float) -> None:
    return None


def editions(province: Province) -> Iterator[DemoEdition]:
    """The editions of a drawn province."""
    yield _edition(
        "administrative-divisions",
        "行政区划示意",
        "Administrative divisions, schematic",
        date(2020, 1, 1),
        administration.county(province),
        administration.town_place(province),
    )
    yield _edition(
        "current-landuse-survey",
        "土地利用调查（2018 年，GB/T 21010-2017）",
        "Land-use survey 2018 (GB/T 21010-2017)",
        date(2018, 12, 31),
        landuse_layers.old_landuse(province),
    )
    yield _edition(
        "current-landuse-survey",
        "国土变更调查（2023 年）",
        "Land-use survey 2023",
        date(2023, 12, 31),
        landuse_layers.current_landuse(province),
    )
    yield _edition(
        "overall-plan",
        "国土空间总体规划（2021—2035 年）",
        "Overall plan 2021-2035",
        date(2024, 1, 1),
        control_lines.permanent_basic_farmland(province),
        control_lines.ecological_redline(province),
        control_lines.urban_development_boundary(province),
        landuse_layers.planned_landuse(province),
    )
    yield _edition(
        "detailed-plan",
        "城镇详细规划",
        "Detailed plans of towns",
        date(2024, 6, 1),
        landuse_layers.detailed_plan_parcel(province),
    )
    yield from _special_plans(province)


def _special_plans(province: Province) -> Iterator[DemoEdition]:
    yield _edition(
        "forest-plan",
        "林地保护利用规划",
        "Forest land plan",
        date(2024, 1, 1),
        nature.forest_land(province),
    )
    yield _edition(
        "marine-plan",
        "海岸带及海洋空间规划",
        "Coastal and marine plan",
        date(2024, 1, 1),
        *marine.marine_layers(province),
    )
    yield _edition(
        "water-protection-plan",
        "饮用水水源保护区划",
        "Drinking-water protection zones",
        date(2022, 1, 1),
        protection.drinking_water_protection_zone(province),
    )
    yield _edition(
        "heritage-plan",
        "文物保护规划",
        "Heritage plan",
        date(2023, 1, 1),
        *protection.heritage_layers(province),
    )
    yield _edition(
        "nature-reserve-plan",
        "自然保护地规划",
        "Nature reserves",
        date(2023, 1, 1),
        nature.nature_reserve(province),
    )
    yield _edition(
        "transport-plan",
        "公路网规划",
        "Highway plan",
        date(2023, 1, 1),
        transport.highway(province),
    )
    yield _edition(
        "airport-plan",
        "机场净空保护规划",
        "Airport obstacle limitation",
        date(2023, 1, 1),
        transport.obstacle_limitation_surface(province),
    )
    yield _edition(
        "river-plan",
        "河道管理范围划定",
        "River management ranges",
        date(2022, 1, 1),
        constraints.river_management_range(province),
    )
    yield _edition(
        "power-grid-plan",
        "电网专项规划",
        "Power grid plan",
        date(2023, 1, 1),
        constraints.power_line_corridor(province),
    )
    yield _edition(
        "geohazard-plan",
        "地质灾害防治规划",
        "Areas prone to geological hazards",
        date(2022, 1, 1),
        constraints.geohazard_prone_area(province),
    )
    yield _edition(
        "forest-plan",
        "林地保护利用规划修编稿（坐标基准有误）",
        "Forest land plan, revision draft (wrong datum)",
        date(2026, 6, 1),
        nature.forest_land_shifted(province),
        publish=False,
    )


def _edition(
    plan_id: str, zh: str, en: str, valid_from: date, *layers: object, publish: bool = True
) -> DemoEdition:
    title = Text(zh=f"{zh}（演示数据）", en=f"{en} (synthetic demo)")
    return DemoEdition(plan_id, title, valid_from, tuple(layers), publish)  # type: ignore[arg-type]
