"""Archives from publish to answer: the worker writes, the service reads, the CLI exports."""

import datetime
import gzip
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import mapbox_vector_tile
import pytest
import shapely
from pmtiles.reader import MmapSource, Reader, all_tiles
from starlette.testclient import TestClient

from gis_service import map_tiles, start
from gis_service.app import create_app
from gis_service.jobs.tile_archives import has_missing, remove_old, write_missing
from gis_service.jobs.workshop import Workshop, open_workshop
from gis_service.settings import Settings
from layers.contents import build_pieces
from layers.database import Connection, connect
from layers.deltas import put_feature
from layers.editions import withdraw
from tiles.matrix_set import load_matrix_sets, tile_of

QUAD = load_matrix_sets(Path(__file__).resolve().parents[2] / "config")["WebMercatorQuad"]
LANDUSE, FOREST = "planned_landuse", "forest_land"
EAST, WEST = (109.705, 19.205), (109.505, 19.205)


def square(place: tuple[float, float]) -> shapely.Geometry:
    x, y = place
    return shapely.box(x - 0.004, y - 0.004, x + 0.004, y + 0.004)


@pytest.fixture
def settings(database: str, tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path, database_url=database, check_processes=1, pool_size=2)


@pytest.fixture
def owner(database: str) -> Iterator[Connection]:
    with connect(database) as connection:
        yield connection


@pytest.fixture
def workshop(settings: Settings, database: str) -> Iterator[Workshop]:
    with open_workshop(settings, database) as opened:
        yield opened


@pytest.fixture
def published(owner: Connection, publish_layer_for: Callable[[Connection], Any]) -> Any:
    put = publish_layer_for(owner)
    put(LANDUSE, [square(EAST), square(WEST)], {"landuse_code": ["0101", "0301"]})
    put(FOREST, [square(EAST)])
    return put


@pytest.fixture
def client(settings: Settings, database: str, published: Any) -> Iterator[TestClient]:
    with (
        start.library(settings, database) as library,
        TestClient(create_app(library), base_url="http://localhost") as opened,
    ):
        yield opened


def address(layers: str, place: tuple[float, float], zoom: int = 14) -> str:
    tile = tile_of(QUAD, *place, zoom)
    return f"/tiles/{layers}/{tile.z}/{tile.x}/{tile.y}.mvt"


def no_database(*_: Any, **__: Any) -> bytes:
    raise AssertionError("the database was asked for a tile")


def test_what_is_published_is_written_by_the_worker_and_read_without_the_database(
    client: TestClient, workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = f"{LANDUSE},{FOREST}"
    made = {name: client.get(address(name, EAST)) for name in (LANDUSE, both)}
    assert has_missing(workshop)
    write_missing(workshop)
    assert not has_missing(workshop)
    client.app.state.library.tiles.__init__()  # type: ignore[attr-defined]
    client.app.state.map_tiles.archives._looked_s = float("-inf")  # type: ignore[attr-defined]
    monkeypatch.setattr(map_tiles, "layer_tile", no_database)
    for name, before in made.items():
        after = client.get(address(name, EAST))
        assert (after.content, after.headers["etag"]) == (before.content, before.headers["etag"])
        known = {"If-None-Match": f'"other", W/{before.headers["etag"]}'}
        again = client.get(address(name, EAST), headers=known)
        assert (again.status_code, again.content) == (304, b"")
    decoded = mapbox_vector_tile.decode(client.get(address(both, EAST)).content)
    assert sorted(decoded) == [FOREST, LANDUSE]
    # Between the two squares nothing is drawn, and the archive knows.
    between = client.get(address(LANDUSE, (109.605, 19.205)))
    assert (between.status_code, between.content) == (204, b"")
    with pytest.raises(AssertionError, match="database was asked"):
        client.get(address(LANDUSE, EAST, 15))


def test_an_address_with_the_edition_holds_for_ever(client: TestClient) -> None:
    template = client.get(f"/tiles/{LANDUSE}.json").json()["tiles"][0]
    version = template.rpartition("?")[2]
    answer = client.get(f"{address(LANDUSE, EAST)}?{version}")
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    for query in ("", "?v=999999"):
        assert client.get(address(LANDUSE, EAST) + query).headers["cache-control"] == "no-cache"


def test_an_edit_of_a_draft_changes_the_tiles_that_it_touches_and_no_others(
    settings: Settings, database: str, owner: Connection, published: Any
) -> None:
    edition = published(
        LANDUSE, [square(EAST), square(WEST)], {"landuse_code": ["0101", "0301"]},
        valid_from=datetime.date(2023, 1, 1), publish=False,
    )  # fmt: skip
    found = owner.execute(
        "SELECT content_id FROM library.edition_layer WHERE edition_id = %s", (edition,)
    ).fetchone()
    assert found is not None
    build_pieces(owner, found[0])
    restricted = settings.model_copy(update={"access": "restricted"})
    with (
        start.library(restricted, database) as library,
        TestClient(create_app(library), base_url="http://localhost") as client,
    ):
        asked = {place: f"{address(LANDUSE, place)}?edition={edition}" for place in (EAST, WEST)}
        before = {place: client.get(path) for place, path in asked.items()}
        assert [one.status_code for one in before.values()] == [200, 200]
        put_feature(owner, found[0], "2", {"landuse_code": "0201"}, square(WEST))
        build_pieces(owner, found[0])
        after = {
            place: client.get(path, headers={"If-None-Match": before[place].headers["etag"]})
            for place, path in asked.items()
        }
    assert {one.headers["cache-control"] for one in after.values()} == {"no-cache"}
    assert (after[EAST].status_code, after[WEST].status_code) == (304, 200)
    (feature,) = mapbox_vector_tile.decode(after[WEST].content)[LANDUSE]["features"]
    assert feature["properties"]["landuse_code"] == "0201"


def test_upkeep_removes_the_archive_of_what_was_withdrawn(
    workshop: Workshop, owner: Connection, published: Any, settings: Settings
) -> None:
    edition = published(LANDUSE, [square(WEST)], valid_from=datetime.date(2022, 1, 1))
    write_missing(workshop)
    files = {path.name for path in settings.tiles_dir.iterdir()}
    assert remove_old(workshop) == []
    plan, _ = workshop.catalog.layer_with_plan(LANDUSE)
    withdraw(owner, plan.id, edition)
    (removed,) = remove_old(workshop)
    assert {path.name for path in settings.tiles_dir.iterdir()} == files - {removed}
    # What holds again was superseded when the worker came: it is written now.
    assert has_missing(workshop)


def run(settings: Settings, *words: str) -> dict[str, Any]:
    program = Path(sys.executable).with_name("gis-service")
    environment = {
        **os.environ, "DATABASE_URL": settings.database_url or "",
        "DATA_DIR": str(settings.data_dir),
    }  # fmt: skip
    done = subprocess.run(
        [program, *words, "--json"], env=environment, capture_output=True, check=True, timeout=120
    )
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def test_seed_and_export(settings: Settings, published: Any, tmp_path: Path) -> None:
    seeded = run(settings, "tiles", "seed", LANDUSE, "--zooms", "5-12")
    (path,) = [Path(one["file"]) for one in seeded["files"]]
    with path.open("rb") as file:
        assert Reader(MmapSource(file)).header()["max_zoom"] == 12
    out = tmp_path / "landuse.pmtiles"
    told = run(settings, "tiles", "export", LANDUSE, "-o", str(out))
    with out.open("rb") as file:
        reader = Reader(MmapSource(file))
        header, metadata = reader.header(), reader.metadata()
        tiles = dict(all_tiles(MmapSource(file)))
    assert told["tiles"] == len(tiles) == header["addressed_tiles_count"]
    assert (header["min_zoom"], header["max_zoom"], header["clustered"]) == (5, 14, True)
    west, south = header["min_lon_e7"] / 1e7, header["min_lat_e7"] / 1e7
    assert (west, south) == pytest.approx((109.501, 19.201), abs=1e-6)
    assert metadata["attribution"]
    (layer,) = metadata["vector_layers"]
    assert (layer["id"], "landuse_code" in layer["fields"]) == (LANDUSE, True)
    decoded = mapbox_vector_tile.decode(gzip.decompress(tiles[tuple(tile_of(QUAD, *EAST, 14))]))
    (feature,) = decoded[LANDUSE]["features"]
    assert feature["properties"]["landuse_code"] == "0101"
