"""Tables of a second, real PostGIS: one snapshot, read only, in the table's own CRS."""

import datetime
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import psycopg
import pyogrio.raw
import pytest
import shapely
from psycopg.conninfo import make_conninfo

from gis_service.harvesting import postgis_table
from gis_service.harvesting.egress import open_postgres
from gis_service.harvesting.fetched import Fetched, FetchRoom
from layers.crs import parse_crs
from layers.errors import BadInput, BadParameter, CrsRefused, LimitExceeded, NotFound, Unavailable

from .conftest import forest, make_source


def fill(dsn: str, numbers: range) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        for feature in forest(numbers):
            connection.execute(
                "INSERT INTO parcels VALUES (%s, 'I', 12.5, '2026-01-31',"
                " ST_Multi(ST_SetSRID(ST_GeomFromGeoJSON(%s), 4490)))",
                (feature["id"], json.dumps(feature["geometry"])),
            )


def run(dsn: str, statement: Any) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(statement)


@pytest.fixture
def fetch(foreign_dsn: str, room: FetchRoom, tmp_path: Any) -> Callable[..., Fetched]:
    turns = iter(range(100))

    def call(location: str = "public.parcels", dsn: str = foreign_dsn, **more: Any) -> Fetched:
        source = make_source("postgis", location, credentials={"dsn": "HARVEST_TABLE"}, **more)
        folder = tmp_path / f"room-{next(turns)}"
        folder.mkdir()
        return postgis_table.fetch(source, replace(room, folder=folder, secret=lambda _n: dsn))

    return call


def test_the_table_comes_whole_with_types_and_crs(
    foreign_dsn: str, fetch: Callable[..., Fetched]
) -> None:
    fill(foreign_dsn, range(30))
    got = fetch()
    assert (got.rows, got.crs, got.complete) == (30, "EPSG:4490", True)
    meta, _, geometries, columns = pyogrio.raw.read(got.path)
    values = dict(zip(meta["fields"], columns, strict=True))
    assert parse_crs(meta["crs"]).code == "EPSG:4490"
    assert sorted(values["forest_id"]) == sorted(f"F{n}" for n in range(30))
    assert set(values["height"]) == {12.5}
    assert {str(day) for day in values["seen"]} == {"2026-01-31"}
    by_id = dict(zip(values["forest_id"], shapely.from_wkb(geometries), strict=True))
    for feature in forest(range(30)):
        expected = shapely.geometry.shape(feature["geometry"])
        assert shapely.equals(by_id[feature["id"]], expected)


def test_gdal_finds_a_sound_geopackage(foreign_dsn: str, fetch: Callable[..., Fetched]) -> None:
    fill(foreign_dsn, range(3))
    info = pyogrio.read_info(fetch().path)
    assert (info["driver"], info["features"], info["layer_name"]) == ("GPKG", 3, "harvested")


def test_an_unchanged_table_gives_an_equal_digest_in_whatever_order_it_lies(
    foreign_dsn: str, fetch: Callable[..., Fetched]
) -> None:
    fill(foreign_dsn, range(20))
    first = fetch()
    # An update that changes nothing moves the row to the end of the heap.
    run(foreign_dsn, "UPDATE parcels SET height = height WHERE forest_id = 'F3'")
    again = fetch()
    assert again.sha256 == first.sha256
    assert again.path.read_bytes() == first.path.read_bytes()
    run(foreign_dsn, "UPDATE parcels SET protection_grade = 'II' WHERE forest_id = 'F3'")
    assert fetch().sha256 != first.sha256


def test_one_snapshot_is_read_whatever_happens_meanwhile(foreign_dsn: str, room: FetchRoom) -> None:
    fill(foreign_dsn, range(30))
    calls: list[int] = []

    def meanwhile() -> None:
        calls.append(1)
        if len(calls) == 1:
            run(foreign_dsn, "DELETE FROM parcels WHERE forest_id <> 'F0'")

    source = make_source("postgis", "public.parcels", credentials={"dsn": "HARVEST_TABLE"})
    busy = replace(room, check=meanwhile, secret=lambda _n: foreign_dsn)
    assert postgis_table.fetch(source, busy).rows == 30
    assert calls


def test_nothing_can_be_written_there(foreign_dsn: str) -> None:
    with (
        open_postgres(foreign_dsn, ()) as connection,
        pytest.raises(psycopg.errors.ReadOnlySqlTransaction),
    ):
        connection.execute("DELETE FROM parcels")


def test_null_geometry_and_projected_coordinates_come_as_they_are(
    foreign_dsn: str, fetch: Callable[..., Fetched]
) -> None:
    run(foreign_dsn, "CREATE TABLE zone37 (id int PRIMARY KEY, geom geometry(Polygon, 4525))")
    run(foreign_dsn, "INSERT INTO zone37 VALUES (1, NULL), (2, ST_MakeEnvelope("
        "37500000, 2100000, 37500100, 2100100, 4525))")  # fmt: skip
    got = fetch("public.zone37")
    assert (got.rows, got.crs) == (2, "EPSG:4525")
    _, _, geometries, _ = pyogrio.raw.read(got.path)
    assert geometries[0] is None
    assert shapely.from_wkb(geometries[1]).bounds == (37500000, 2100000, 37500100, 2100100)


def test_a_table_without_a_crs_needs_one_stated(
    foreign_dsn: str, fetch: Callable[..., Fetched]
) -> None:
    run(foreign_dsn, "CREATE TABLE bare (id int PRIMARY KEY, geom geometry)")
    run(foreign_dsn, "INSERT INTO bare VALUES (1, ST_MakePoint(110, 19))")
    with pytest.raises(CrsRefused) as caught:
        fetch("public.bare")
    assert caught.value.code == "crs-missing"
    assert fetch("public.bare", source_crs="EPSG:4490").crs == "EPSG:4490"
    run(foreign_dsn, "INSERT INTO bare VALUES (2, ST_SetSRID(ST_MakePoint(110, 19), 4326))")
    with pytest.raises(CrsRefused):
        fetch("public.bare", source_crs="EPSG:4490")


def test_a_datum_that_the_policy_refuses_is_refused(
    foreign_dsn: str, fetch: Callable[..., Fetched]
) -> None:
    run(foreign_dsn, "CREATE TABLE tokyo (id int PRIMARY KEY, geom geometry(Point, 4301))")
    run(foreign_dsn, "INSERT INTO tokyo VALUES (1, ST_SetSRID(ST_MakePoint(110, 19), 4301))")
    with pytest.raises(CrsRefused):
        fetch("public.tokyo")


def test_two_geometry_columns_need_a_choice(
    foreign_dsn: str, fetch: Callable[..., Fetched]
) -> None:
    run(foreign_dsn, "CREATE TABLE two (id int PRIMARY KEY, a geometry(Point, 4490),"
        " b geometry(Point, 4490))")  # fmt: skip
    run(foreign_dsn, "INSERT INTO two VALUES (1, ST_SetSRID(ST_MakePoint(110, 19), 4490),"
        " ST_SetSRID(ST_MakePoint(111, 20), 4490))")  # fmt: skip
    with pytest.raises(BadParameter, match="a, b"):
        fetch("public.two")
    got = fetch("public.two", geometry_column="b")
    _, _, geometries, _ = pyogrio.raw.read(got.path)
    assert shapely.from_wkb(geometries[0]).coords[0] == (111, 20)


def test_names_with_quotes_are_names(foreign_dsn: str, fetch: Callable[..., Fetched]) -> None:
    odd = 'x"; DROP TABLE parcels; --'
    with psycopg.connect(foreign_dsn, autocommit=True) as connection:
        connection.execute(
            psycopg.sql.SQL("ALTER TABLE parcels ADD COLUMN {} text DEFAULT 'v'").format(
                psycopg.sql.Identifier(odd)
            )
        )
    fill_with = forest(range(1))[0]
    run(foreign_dsn, psycopg.sql.SQL(
        "INSERT INTO parcels (forest_id, geom) VALUES ('F0', ST_Multi(ST_SetSRID("
        "ST_GeomFromGeoJSON({}), 4490)))").format(json.dumps(fill_with["geometry"])))  # fmt: skip
    got = fetch()
    assert odd in list(pyogrio.read_info(got.path)["fields"])


@pytest.mark.parametrize("location", ["public.nothing", "nothing.parcels", "public.plain"])
def test_what_is_not_there_or_has_no_geometry_is_told(
    foreign_dsn: str, fetch: Callable[..., Fetched], location: str
) -> None:
    run(foreign_dsn, "CREATE TABLE plain (id int)")
    with pytest.raises(NotFound):
        fetch(location)


def test_an_empty_table_changes_nothing(fetch: Callable[..., Fetched]) -> None:
    with pytest.raises(BadInput) as caught:
        fetch()
    assert caught.value.code == "no-rows"


def test_a_user_without_rights_is_told_so(foreign_dsn: str, fetch: Callable[..., Fetched]) -> None:
    fill(foreign_dsn, range(2))
    run(foreign_dsn, "DROP ROLE IF EXISTS harvest_nobody")
    run(foreign_dsn, "CREATE ROLE harvest_nobody LOGIN PASSWORD 's3cret-canary'")
    try:
        dsn = make_conninfo(foreign_dsn, user="harvest_nobody", password="s3cret-canary")
        with pytest.raises((BadInput, NotFound)) as caught:
            fetch(dsn=dsn)
        assert "s3cret" not in str(caught.value)
    finally:
        run(foreign_dsn, "DROP ROLE harvest_nobody")


def test_a_database_that_is_away_is_unavailable(fetch: Callable[..., Fetched]) -> None:
    with pytest.raises(Unavailable) as caught:
        fetch(dsn="postgresql://someone:s3cret@127.0.0.1:1/x")
    assert "s3cret" not in f"{caught.value!r}"


def test_more_than_allowed_is_refused(foreign_dsn: str, room: FetchRoom) -> None:
    fill(foreign_dsn, range(20))
    source = make_source("postgis", "public.parcels", credentials={"dsn": "HARVEST_TABLE"})
    small = replace(room, secret=lambda _n: foreign_dsn, largest_bytes=500)
    with pytest.raises(LimitExceeded):
        postgis_table.fetch(source, small)


def test_the_day_of_the_rows_is_a_date(foreign_dsn: str, fetch: Callable[..., Fetched]) -> None:
    fill(foreign_dsn, range(1))
    meta, _, _, columns = pyogrio.raw.read(fetch().path)
    values = dict(zip(meta["fields"], columns, strict=True))
    assert values["seen"][0].astype(datetime.date) == datetime.date(2026, 1, 31)
