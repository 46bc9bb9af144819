"""Editions, differences and other days over HTTP, on a small library of its own."""

import dataclasses
import datetime
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mapbox_vector_tile
import pyogrio
import pytest
import shapely
from starlette.testclient import TestClient

from gis_service import start
from gis_service.app import create_app
from gis_service.library import Library, today
from gis_service.local_postgis import LocalPostgis
from gis_service.routes import editions
from gis_service.settings import Settings
from layers.catalog import Catalog
from layers.contents import create_content, finish_content, load_arrays
from layers.database import Connection, connect, create_database
from layers.deltas import remove_feature
from layers.draft_checks import draw_draft
from layers.editions import open_draft, publish, put_layer

PLAN, LAYER, OTHER = "overall-plan", "planned_landuse", "ecological_redline"
D2021, D2024, D2026 = (datetime.date(year, 1, 1) for year in (2021, 2024, 2026))
PLACE = "lon=110.005&lat=19.005"
TILE = "14/13198/7310"  # lon 109.995 to 110.017, around lat 19.0


def box(column: int, side: float = 0.01) -> shapely.Geometry:
    return shapely.box(110 + column / 50, 19, 110 + column / 50 + side, 19.01)


def add(
    connection: Connection,
    layer: str,
    valid_from: datetime.date,
    features: list[tuple[str, shapely.Geometry, dict[str, Any]]],
    *,
    is_published: bool = True,
) -> int:
    content = create_content(connection, layer)
    names = sorted({name for _, _, attributes in features for name in attributes})
    load_arrays(
        connection,
        content,
        [geometry for _, geometry, _ in features],
        {name: [f[2].get(name) for f in features] for name in names},
        1,
        feature_ids=[name for name, _, _ in features],
    )
    finish_content(connection, content, coverage=shapely.box(109, 18, 111, 20))
    plan = "overall-plan" if layer in (LAYER, OTHER) else "forest-plan"
    with connection.transaction():
        edition = open_draft(connection, plan, valid_from=valid_from)
        put_layer(connection, edition, layer, content)
    return publish(connection, plan, edition) if is_published else edition


@dataclasses.dataclass
class Shelf:
    """The numbers of the editions there are."""

    first: int
    second: int
    coming: int
    draft: int


@pytest.fixture(scope="module")
def dsn(cluster: LocalPostgis, template: str) -> str:
    create_database(cluster.dsn(), "test_edition_routes", template=template)
    return cluster.dsn("test_edition_routes")


@pytest.fixture(scope="module")
def shelf(dsn: str) -> Shelf:
    with connect(dsn) as connection:
        add(connection, "forest_land", D2021, [("w", box(0), {})])
        first = add(
            connection, LAYER, D2021,
            [("a", box(0), {"landuse_code": "01"}), ("b", box(1), {"landuse_code": "02"})],
        )  # fmt: skip
        second = add(
            connection, LAYER, D2024,
            [("a", box(0), {"landuse_code": "07"}), ("b", box(1, 0.02), {"landuse_code": "02"}),
             ("c", box(3), {"landuse_code": "03"})],
        )  # fmt: skip
        add(connection, OTHER, D2026, [("r", box(0), {})])
        coming = add(
            connection, LAYER, today() + datetime.timedelta(400),
            [("a", box(0), {"landuse_code": "12"})],
        )  # fmt: skip
        draft = add(connection, LAYER, today(), [("z", box(0), {})], is_published=False)
    return Shelf(first, second, coming, draft)


@pytest.fixture(scope="module")
def library(dsn: str, shelf: Shelf) -> Iterator[Library]:
    with start.library(Settings(check_processes=1, pool_size=4), dsn) as opened:
        yield opened


@pytest.fixture(scope="module")
def client(library: Library) -> Iterator[TestClient]:
    app = create_app(library)
    with TestClient(app, base_url="http://localhost", raise_server_exceptions=False) as opened:
        yield opened


def get(client: TestClient, path: str) -> Any:
    answer = client.get(path)
    assert answer.status_code == 200, answer.text
    return answer.json()


def refused(client: TestClient, path: str) -> tuple[int, str]:
    answer = client.get(path)
    return answer.status_code, answer.json()["type"].rsplit(":", 1)[-1]


def features_of(client: TestClient, query: str, layer: str = LAYER) -> dict[Any, Any]:
    answer = client.get(f"/tiles/{layer}/{TILE}.mvt{query}")
    if answer.status_code == 204:
        return {}
    assert answer.status_code == 200, answer.text
    decoded = mapbox_vector_tile.decode(answer.content)
    return {one["id"]: one["properties"] for one in decoded[layer]["features"]}


def test_editions_of_a_plan_with_the_days_they_hold(client: TestClient, shelf: Shelf) -> None:
    body = get(client, f"/plans/{PLAN}/editions")
    found = {edition["id"]: edition for edition in body["editions"]}
    assert shelf.draft not in found, "a draft is nobody's business before it is published"
    assert found[shelf.first]["holds"] == {"from": "2021-01-01", "until": "2024-01-01"}
    assert found[shelf.second]["in_force"] is False
    assert [edition["id"] for edition in found.values() if edition["in_force"]] == [
        shelf.second + 1
    ]
    assert found[shelf.coming]["holds"]["until"] is None
    assert found[shelf.coming]["in_force"] is False
    assert refused(client, "/plans/no-plan/editions") == (404, "not-found")


def test_one_edition(client: TestClient, shelf: Shelf) -> None:
    body = get(client, f"/editions/{shelf.second}")
    assert (body["plan_id"], body["valid_from"]) == (PLAN, "2024-01-01")
    assert [(one["layer"], one["features"]) for one in body["layers"]] == [(LAYER, 3)]
    assert {link["rel"]: link["href"] for link in body["links"]}["diff"] == (
        f"http://localhost/editions/{shelf.first}/diff/{shelf.second}"
    )
    for number in (shelf.draft, 987654, 2**40):
        assert refused(client, f"/editions/{number}")[0] == 404
    assert refused(client, "/editions/x") == (404, "not-found")


def test_the_summary_of_a_difference(client: TestClient, shelf: Shelf) -> None:
    body = get(client, f"/editions/{shelf.first}/diff/{shelf.second}")
    assert (body["before"]["edition"], body["after"]["edition"]) == (shelf.first, shelf.second)
    (layer,) = body["layers"]
    assert layer["added"]["features"] == 1
    assert (layer["changed"]["attributes"], layer["changed"]["geometry"]) == (1, 1)
    assert layer["changed_attributes"] == {"landuse_code": 1}
    grown = layer["changed"]["area_m2_after"] - layer["changed"]["area_m2_before"]
    assert layer["changed"]["symmetric_difference_m2"] == pytest.approx(grown, abs=0.02)
    assert layer["changed"]["not_measured"] == 0
    same = get(client, f"/editions/{shelf.second}/diff/{shelf.second + 1}")
    states = {one["layer"]: one["state"] for one in same["layers"]}
    assert states == {LAYER: "same", OTHER: "layer-added"}


def test_the_list_of_a_layer_comes_in_pages(client: TestClient, shelf: Shelf) -> None:
    path = f"/editions/{shelf.first}/diff/{shelf.second}"
    first = get(client, f"{path}?layer={LAYER}&limit=2")
    assert [one["feature_id"] for one in first["changes"]] == ["a", "b"]
    assert first["changes"][0]["before"] == {"landuse_code": "01"}
    assert first["changes"][0]["after"] == {"landuse_code": "07"}
    assert (first["returned"], first["matched"], first["truncated"]) == (2, 3, False)
    second = get(client, first["next"].removeprefix("http://localhost"))
    assert [one["feature_id"] for one in second["changes"]] == ["c"]
    assert "next" not in second
    added = get(client, f"{path}?layer={LAYER}&change=added")
    assert [one["feature_id"] for one in added["changes"]] == ["c"]
    for query, code in (
        ("?change=added", "which-layer"),
        (f"?layer={LAYER}&change=moved", "bad-parameter"),
        (f"?layer={LAYER}&what=x", "unknown-parameter"),
    ):
        assert refused(client, path + query) == (400, code)


def test_files_of_a_difference(client: TestClient, shelf: Shelf, tmp_path: Path) -> None:
    path = f"/editions/{shelf.first}/diff/{shelf.second}"
    answer = client.get(f"{path}.geojson")
    assert answer.headers["content-type"].startswith("application/geo+json")
    versions = [f["properties"]["version"] for f in json.loads(answer.content)["features"]]
    assert sorted(versions) == ["after", "after", "after", "before", "before"]
    package = tmp_path / "diff.gpkg"
    package.write_bytes(client.get(f"{path}.gpkg").content)
    assert pyogrio.read_info(package, layer=LAYER)["features"] == 5
    assert refused(client, f"{path}.dxf")[0] == 404


def test_drafts_and_other_plans_are_not_compared(client: TestClient, shelf: Shelf) -> None:
    assert refused(client, f"/editions/{shelf.first}/diff/{shelf.draft}")[0] == 404
    forest = get(client, "/plans/forest-plan/editions")["editions"][0]["id"]
    assert refused(client, f"/editions/{shelf.first}/diff/{forest}") == (400, "other-plan")


@pytest.fixture
def without_landuse(library: Library) -> Iterator[TestClient]:
    """A process for which the land-use layer and the forest plan are not open."""
    hidden = {LAYER, "forest_land"}

    def close(catalog: Catalog) -> Catalog:
        plans = tuple(
            plan.model_copy(
                update={
                    "layers": tuple(
                        layer.model_copy(update={"access": "internal"})
                        if layer.id in hidden
                        else layer
                        for layer in plan.layers
                    )
                }
            )
            for plan in catalog.plans
        )
        return catalog.model_copy(update={"plans": plans}).up_to("open")

    app = create_app(dataclasses.replace(library, catalog=close(library.catalog)))
    with TestClient(app, base_url="http://localhost") as opened:
        yield opened


def test_layers_that_are_not_open_are_in_no_answer(
    without_landuse: TestClient, client: TestClient, shelf: Shelf
) -> None:
    third = shelf.second + 1
    assert [one["layer"] for one in get(client, f"/editions/{third}")["layers"]] == [OTHER, LAYER]
    forest = get(client, "/plans/forest-plan/editions")["editions"][0]["id"]
    closed = without_landuse
    assert [one["layer"] for one in get(closed, f"/editions/{third}")["layers"]] == [OTHER]
    path = f"/editions/{shelf.first}/diff/{shelf.second}"
    assert get(closed, path)["layers"] == []
    assert refused(closed, f"{path}?layer={LAYER}")[0] == 404
    assert json.loads(closed.get(f"{path}.geojson").content)["features"] == []
    for address in (f"/editions/{forest}", "/plans/forest-plan/editions"):
        assert refused(closed, address)[0] == 404
    assert refused(closed, f"/editions/{shelf.first}/diff/{forest}") == (404, "no-edition")
    unknown = closed.get("/editions/987654").json()
    hidden = closed.get(f"/editions/{forest}").json()
    assert unknown["type"] == hidden["type"]
    assert unknown["detail"].replace("987654", str(forest)) == hidden["detail"]
    assert refused(closed, f"/tiles/{LAYER}/{TILE}.mvt?edition={shelf.second}")[0] == 404


def test_tiles_of_another_day(client: TestClient, shelf: Shelf) -> None:
    assert features_of(client, "?as_of=2020-12-31") == {}
    assert features_of(client, "?as_of=2022-06-01") == {1: {"landuse_code": "01"}}
    assert features_of(client, "?as_of=2024-01-01") == {1: {"landuse_code": "07"}}
    assert features_of(client, "") == {1: {"landuse_code": "07"}}
    coming = (today() + datetime.timedelta(400)).isoformat()
    assert features_of(client, f"?as_of={coming}") == {1: {"landuse_code": "12"}}


def test_tiles_of_an_edition(client: TestClient, shelf: Shelf) -> None:
    assert features_of(client, f"?edition={shelf.first}") == {1: {"landuse_code": "01"}}
    assert features_of(client, f"?edition={shelf.coming}") == {1: {"landuse_code": "12"}}
    path = f"/tiles/{LAYER}/{TILE}.mvt"
    assert refused(client, f"{path}?edition={shelf.draft}") == (404, "no-edition")
    assert refused(client, f"/tiles/forest_land/{TILE}.mvt?edition={shelf.first}") == (
        404, "layer-not-in-edition",
    )  # fmt: skip
    assert refused(client, f"{path}?edition={shelf.first}&as_of=2022-01-01") == (400, "two-times")
    assert refused(client, f"{path}?as_of=01.02.2022") == (400, "bad-parameter")
    assert refused(client, f"{path}?edition=0") == (400, "bad-parameter")
    assert refused(client, f"{path}?edition=99999999999")[0] == 404


def test_tiles_are_kept_by_content_not_by_day(client: TestClient, shelf: Shelf) -> None:
    def ask(query: str) -> Any:
        return client.get(f"/tiles/{LAYER}/{TILE}.mvt{query}")

    days = [ask(f"?as_of={day}") for day in ("2021-01-01", "2023-12-31")]
    assert days[0].headers["etag"] == days[1].headers["etag"]
    assert days[0].headers["etag"] == ask(f"?edition={shelf.first}").headers["etag"]
    assert days[0].headers["etag"] != ask("").headers["etag"]
    # A later correction may change a past day: the day alone is no promise.
    assert days[0].headers["cache-control"] == "no-cache"
    document = get(client, f"/tiles/{LAYER}.json?as_of=2022-06-01")
    (address,) = document["tiles"]
    z, x, y = TILE.split("/")
    path = address.format(z=z, x=x, y=y).removeprefix("http://localhost")
    named = client.get(path)
    assert "immutable" in named.headers["cache-control"]
    assert named.content == days[0].content
    again = client.get(path, headers={"if-none-match": named.headers["etag"]})
    assert again.status_code == 304
    # The content of another day under this day's address is not promised for ever.
    other_day = path.replace("as_of=2022-06-01", "as_of=2024-06-01")
    assert client.get(other_day).headers["cache-control"] == "no-cache"


def test_style_and_catalogue_of_another_day(client: TestClient, shelf: Shelf) -> None:
    style = get(client, "/styles/map.json?as_of=2022-06-01")
    for layer, source in style["sources"].items():
        assert source["url"] == f"http://localhost/tiles/{layer}.json?as_of=2022-06-01"
    one = get(client, f"/styles/map.json?edition={shelf.first}")["sources"]
    assert one[LAYER]["url"].endswith(f"?edition={shelf.first}")
    assert "?" not in one["forest_land"]["url"], "other plans show what holds today"
    tags = {
        client.get(f"/styles/map.json{query}").headers["etag"]
        for query in ("", "?as_of=2022-06-01", f"?edition={shelf.first}")
    }
    assert len(tags) == 3
    plans = {plan["id"]: plan for plan in get(client, "/catalog?as_of=2022-06-01")["plans"]}
    assert plans[PLAN]["edition"]["id"] == shelf.first
    counts = {layer["id"]: layer["feature_count"] for layer in plans[PLAN]["layers"]}
    assert (counts[LAYER], counts[OTHER]) == (2, None)
    before = get(client, "/catalog?as_of=2020-01-01")
    assert before["service"]["as_of"] == "2020-01-01"
    assert all(plan["edition"] is None for plan in before["plans"])
    assert refused(client, "/catalog?as_off=2020-01-01") == (400, "unknown-parameter")


def test_what_applied_at_a_place_on_another_day(client: TestClient) -> None:
    def landuse(query: str) -> dict[str, Any]:
        body = get(client, f"/identify?{PLACE}{query}")
        plan = next(plan for plan in body["plans"] if plan["id"] == PLAN)
        return next(layer for layer in plan["layers"] if layer["id"] == LAYER)

    then = landuse("&as_of=2022-06-01")
    assert then["features"][0]["attributes"][0]["value"] == "01"
    assert then["features"][0]["href"].endswith("/items/a?datetime=2022-06-01")
    item = get(client, then["features"][0]["href"])
    assert item["properties"]["landuse_code"] == "01"
    assert landuse("")["features"][0]["attributes"][0]["value"] == "07"
    assert landuse("&as_of=2020-06-01")["state"] == "no-data"


@pytest.fixture
def inside(library: Library) -> Iterator[TestClient]:
    """The process of those who may see everything."""
    settings = library.settings.model_copy(update={"access": "restricted"})
    app = create_app(dataclasses.replace(library, settings=settings))
    with TestClient(app, base_url="http://localhost") as opened:
        yield opened


def test_a_draft_is_shown_inside_and_never_kept(
    inside: TestClient, client: TestClient, shelf: Shelf, dsn: str
) -> None:
    assert get(inside, f"/editions/{shelf.draft}")["state"] == "draft"
    entries = get(inside, f"/plans/{PLAN}/editions")["editions"]
    assert entries[0]["id"] == shelf.draft
    found = get(inside, f"/editions/{shelf.second}/diff/{shelf.draft}")["layers"]
    landuse = next(one for one in found if one["layer"] == LAYER)
    assert (landuse["added"]["features"], landuse["removed"]["features"]) == (1, 3)
    # No pieces yet: nothing is shown, and not as if the layer were empty.
    path = f"/tiles/{LAYER}/{TILE}.mvt?edition={shelf.draft}"
    assert refused(inside, path) == (404, "no-edition")
    with connect(dsn) as connection:
        draw_draft(connection, shelf.draft)
    time.sleep(1.1)  # a picture is a second old at most
    answer = inside.get(path)
    assert answer.headers["cache-control"] == "no-cache"
    assert features_of(inside, f"?edition={shelf.draft}") == {1: {}}
    document = get(inside, f"/tiles/{LAYER}.json?edition={shelf.draft}")
    z, x, y = TILE.split("/")
    named = document["tiles"][0].format(z=z, x=x, y=y).removeprefix("http://localhost")
    assert inside.get(named).headers["cache-control"] == "no-cache"
    with connect(dsn) as connection:  # an edit of the same content
        remove_feature(connection, document_content(connection, shelf.draft), "z")
        draw_draft(connection, shelf.draft)
    time.sleep(1.1)
    assert features_of(inside, f"?edition={shelf.draft}") == {}
    assert refused(client, path) == (404, "no-edition"), "the public process still knows of none"


def document_content(connection: Connection, edition: int) -> int:
    found = connection.execute(
        "SELECT content_id FROM library.edition_layer WHERE edition_id = %s", (edition,)
    ).fetchone()
    assert found is not None
    return int(found[0])


def test_one_difference_is_made_at_a_time(
    library: Library, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(editions, "_PATIENCE_S", 0.1)
    app = create_app(library)
    with TestClient(app, base_url="http://localhost") as own:
        path = f"/editions/{shelf.first}/diff/{shelf.second}"
        with app.state.diffs._making:
            assert refused(own, path) == (503, "busy")
        assert own.get(path).status_code == 200
        with app.state.diffs._making:  # from the store: nothing has to be made
            assert own.get(path).status_code == 200


def test_long_lists_and_large_files_have_an_end(
    library: Library, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(editions, "_LISTED", 2)
    monkeypatch.setattr(editions, "_MOST_IN_FILE", 2)
    path = f"/editions/{shelf.first}/diff/{shelf.second}"
    with TestClient(create_app(library), base_url="http://localhost") as own:
        page = get(own, f"{path}?layer={LAYER}")
        assert (page["matched"], page["truncated"]) == (2, True)
        assert page["summary"]["added"]["features"] == 1, "totals hold all"
        assert refused(own, f"{path}.geojson") == (413, "limit-exceeded")
