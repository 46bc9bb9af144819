"""The typed views read directly by QGIS, by a login that may only read."""

from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from layers.catalog import Catalog
from layers.database import connect
from layers.roles import Login, Roles, address_of, grant_reading, make_groups, make_login

ROLES = Roles("gis_qgis_test")
LAYER = "planned_landuse"


def test_qgis_reads_a_typed_view_and_cannot_write_it(
    demo_dsn: str, in_qgis: Callable[..., Any], catalog: Catalog
) -> None:
    login = Login.new(ROLES, "open")
    with connect(demo_dsn) as owner:
        make_groups(owner, ROLES)
        grant_reading(owner, ROLES, catalog)
        make_login(owner, ROLES, "open", login)
        owner.commit()
        stored = owner.execute(
            "SELECT feature_id FROM layer_view.planned_landuse WHERE landuse_code = '0201'"
        ).fetchall()
        extent = owner.execute(
            "SELECT ST_XMin(e), ST_YMin(e), ST_XMax(e), ST_YMax(e) FROM"
            " (SELECT ST_Extent(geom) AS e FROM layer_view.planned_landuse) AS s"
        ).fetchone()
    assert stored
    assert extent
    words = conninfo_to_dict(address_of(demo_dsn, login))

    read = in_qgis(
        "typed_view",
        source=(
            f"dbname='{words['dbname']}' host='{words['host']}' port={words['port']}"
            f" user='{login.role}' password='{login.password}' key='fid' srid=4490"
            f' type=MultiPolygon checkPrimaryKeyUnicity=\'0\' table="layer_view"."{LAYER}" (geom)'
        ),
        filter="\"landuse_code\" = '0201'",
    )

    assert read["crs"] == "EPSG:4490"
    assert read["names"] == sorted(name for (name,) in stored)
    assert read["types"]["area_m2"] == "float8"
    assert not read["editable"]
    west, south, east, north = read["extent"]
    assert extent[0] <= west < east <= extent[2]
    assert extent[1] <= south < north <= extent[3]
    with (
        psycopg.connect(address_of(demo_dsn, login)) as reader,
        pytest.raises(psycopg.Error),
    ):
        reader.execute("DELETE FROM layer_view.planned_landuse")
