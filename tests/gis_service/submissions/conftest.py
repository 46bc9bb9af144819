"""A library of one county on farmland with a quota, and what officers do with it."""

import json
from collections.abc import Callable, Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import shapely

from gis_service import start
from gis_service.library import Library
from gis_service.settings import Settings
from gis_service.submissions.ledger import Posting, QuotaName, set_quota
from layers.catalog import Catalog
from layers.database import connect
from planning_rules.rule_set import load_rule_set, rule_set_of
from tests.conftest import PROJECT, publish_layer_on

COUNTY = "469021"
LEDGER = "new_construction_land"
PERIOD = "2021-2035"
DAYS = (date(2021, 1, 1), date(2035, 12, 31))
OFFICER = Posting(actor="王科长")
GROUND = shapely.box(109.7, 19.1, 109.9, 19.3)

Site = Callable[..., dict[str, Any]]


def name_of(admin_code: str = COUNTY, **changes: Any) -> QuotaName:
    return QuotaName(**{"ledger": LEDGER, "admin_code": admin_code, "period": PERIOD, **changes})


@pytest.fixture
def site() -> Site:
    """A square of ``side`` thousandths of a degree on the farmland of the county."""

    def make(west: float = 109.80, side: float = 1.0, **attributes: Any) -> dict[str, Any]:
        box = shapely.box(west, 19.2, west + side / 1000, 19.2 + side / 1000)
        properties = {"name": "站", "project_level": "ordinary", **attributes}
        return {
            "type": "Feature",
            "geometry": json.loads(shapely.to_geojson(box)),
            "properties": properties,
        }

    return make


@pytest.fixture
def granted(database: str, catalog: Catalog) -> str:
    """A database with county, survey, and a quota of 30,000 m2; a site of one unit takes 11,640."""
    lay_ground(database, catalog)
    return database


def lay_ground(database: str, catalog: Catalog) -> None:
    with connect(database) as connection:
        publish = publish_layer_on(connection, catalog)
        publish("county", [GROUND], {"admin_code": [COUNTY], "name": ["屯昌"]}, coverage=GROUND)
        publish(
            "current_landuse",
            [GROUND],
            {"parcel_id": ["P1"], "landuse_code": ["0103"], "code_scheme": ["landuse-2023"]},
            coverage=GROUND,
        )
        set_quota(connection, name_of(), DAYS, Decimal(30_000), OFFICER)


@pytest.fixture
def library(granted: str, tmp_path: Path) -> Iterator[Library]:
    """The library of an officer, with the quota rule alone: outcomes are those of the ledger."""
    settings = Settings(check_processes=1, pool_size=6, data_dir=tmp_path, access="restricted")
    with start.library(settings, granted) as opened:
        content = json.loads(load_rule_set(PROJECT / "config" / "rules").canonical_text)
        content["rules"] = [r for r in content["rules"] if r["id"] == "HN-QUOTA-001"]
        del content["profiles"]  # they name rules that are not here
        opened.shelf = None
        opened.rule_set = rule_set_of(json.dumps(content, ensure_ascii=False))
        yield opened
