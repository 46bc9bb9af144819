"""Edits of drafts over HTTP: forms, states, roles, axis order, history; on a real draft."""

import datetime
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from pyproj import Transformer
from shapely.geometry import mapping, shape
from starlette.testclient import TestClient

from gis_service import access_keys, start
from gis_service.app import create_app
from gis_service.service_login import service_address
from gis_service.settings import Settings
from layers.catalog import Catalog
from layers.database import Connection, connect
from layers.draft_edits import open_plan_draft

LAYER = "detailed_plan_parcel"
DRAFT = f"/ogc/collections/{LAYER}-draft/items"
FIXED = f"/ogc/collections/{LAYER}/items"
EPSG = "http://www.opengis.net/def/crs/EPSG/0/"
REGION = (107.9, 17.6, 111.9, 20.7)
BOX = shapely.box(110.5, 19.5, 110.501, 19.501)


@dataclass
class Desk:
    """A service whose processes log in with few rights, and keys of an editor and a reader."""

    client: TestClient
    owner: Connection
    editor: dict[str, str]
    reader: dict[str, str]

    def send(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        sent = {**self.editor, "content-type": "application/geo+json", **headers}
        return self.client.request(method, path, json=body, headers=sent)


def feature(geometry: Any = BOX, **properties: Any) -> dict[str, Any]:
    return {
        "type": "Feature",
        "properties": {"landuse_code": "0701", **properties},
        "geometry": mapping(geometry),
    }


@pytest.fixture
def desk(
    database: str,
    catalog: Catalog,
    tmp_path: Path,
    publish_layer_for: Callable[[Connection], Any],
) -> Iterator[Desk]:
    with connect(database) as owner:
        publish_layer_for(owner)(
            LAYER,
            [shapely.box(110 + i / 100, 19, 110 + i / 100 + 0.01, 19.01) for i in range(3)],
            {"parcel_id": ["1", "2", "3"], "landuse_code": ["0701"] * 3},
        )
        open_plan_draft(
            owner, catalog, "detailed-plan", region=REGION, valid_from=datetime.date(2026, 1, 1)
        )
        keys = {
            role: {"authorization": f"Bearer {access_keys.create(owner, role, role)[1]}"}
            for role in ("editor", "reader")
        }
        settings = Settings(data_dir=tmp_path, check_processes=1, pool_size=4)
        with start.library(settings, service_address(settings, database)) as library:
            app = create_app(library)
            with TestClient(app, base_url="http://localhost") as client:
                yield Desk(client, owner, keys["editor"], keys["reader"])


def test_a_feature_is_made_read_changed_and_taken_away(desk: Desk) -> None:
    made = desk.send("POST", DRAFT, feature(), **{"x-edit-reason": "new parcel"})
    assert made.status_code == 201, made.text
    address = made.headers["location"]
    read = desk.client.get(address, headers=desk.editor)
    assert read.headers["etag"] == made.headers["etag"]
    assert shape(read.json()["geometry"]).equals(BOX)
    moved = shapely.box(110.6, 19.5, 110.601, 19.501)
    replaced = desk.send("PUT", address, feature(moved), **{"if-match": made.headers["etag"]})
    assert replaced.status_code == 204, replaced.text
    patch = {"properties": {"landuse_code": "0801"}}
    patched = desk.send(
        "PATCH", address, patch,
        **{"if-match": replaced.headers["etag"], "content-type": "application/merge-patch+json"},
    )  # fmt: skip
    assert patched.status_code == 204, patched.text
    now = desk.client.get(address, headers=desk.editor).json()
    assert now["properties"]["landuse_code"] == "0801"
    assert shape(now["geometry"]).equals(moved)
    assert desk.send("DELETE", address).status_code == 204
    assert desk.client.get(address, headers=desk.editor).status_code == 404
    history = desk.owner.execute(
        "SELECT version, action, changed_by, reason FROM library.feature_history ORDER BY version"
    ).fetchall()
    assert history == [
        (1, "create", "editor", "new parcel"), (2, "update", "editor", None),
        (3, "update", "editor", None), (4, "delete", "editor", None),
    ]  # fmt: skip


def test_what_is_in_force_does_not_change(desk: Desk) -> None:
    before = desk.client.get(FIXED).json()["features"]
    assert desk.send("DELETE", f"{FIXED}/{before[0]['id']}").status_code == 204
    assert desk.client.get(FIXED).json()["features"] == before
    draft = desk.client.get(DRAFT, headers=desk.editor).json()["features"]
    assert [one["id"] for one in draft] == [one["id"] for one in before[1:]]


def test_a_tag_that_was_read_in_force_holds_until_somebody_edits(desk: Desk) -> None:
    tag = desk.client.get(f"{FIXED}/1").headers["etag"]
    first = desk.send("PUT", f"{FIXED}/1", feature(parcel_id="1"), **{"if-match": tag})
    assert first.status_code == 204, first.text
    late = desk.send("PUT", f"{FIXED}/1", feature(parcel_id="1"), **{"if-match": tag})
    assert late.status_code == 412
    assert late.headers["etag"] == first.headers["etag"]
    assert "again" in late.json()["detail"]
    assert desk.send("DELETE", f"{DRAFT}/1", **{"if-match": '"other"'}).status_code == 412
    assert desk.send("DELETE", f"{DRAFT}/1", **{"if-match": "*"}).status_code == 204


def test_only_editors_edit_and_see_drafts(desk: Desk) -> None:
    for headers, status in (({}, 401), (desk.reader, 403)):
        for method, path in (("POST", DRAFT), ("PUT", f"{DRAFT}/1"), ("DELETE", f"{FIXED}/1"),
                             ("PATCH", f"{DRAFT}/1")):  # fmt: skip
            answer = desk.client.request(
                method, path, json=feature(),
                headers={**headers, "content-type": "application/geo+json"},
            )  # fmt: skip
            assert answer.status_code == status, (method, answer.text)
        assert desk.client.get(DRAFT, headers=headers).status_code == 404
        assert "POST" not in desk.client.options(DRAFT, headers=headers).headers["allow"]
    assert desk.owner.execute("SELECT count(*) FROM library.feature_history").fetchone() == (0,)


def test_without_a_valid_key_the_database_refuses_the_service_itself(
    desk: Desk, database: str, tmp_path: Path
) -> None:
    """A hole in the service would not open the drafts: its login can change nothing alone."""
    settings = Settings(data_dir=tmp_path)
    with connect(service_address(settings, database), access="open") as login:
        (draft,) = desk.owner.execute(
            "SELECT el.content_id FROM library.edition_layer AS el JOIN library.edition AS e"
            " ON e.id = el.edition_id WHERE e.state = 'draft'"
        ).fetchone() or (0,)
        for key in (None, b"0" * 32):
            with pytest.raises(Exception, match="not an editor"):
                login.execute("SELECT library.remove_draft_feature(%s, '1', %s)", (draft, key))
        with pytest.raises(Exception, match="permission denied"):
            login.execute("DELETE FROM library.feature")


def test_options_tell_editors_what_the_draft_takes(desk: Desk) -> None:
    listed = desk.send("OPTIONS", DRAFT)
    assert "POST" in listed.headers["allow"]
    one = desk.send("OPTIONS", f"{DRAFT}/unknown_id").headers["allow"]
    assert {"PUT", "PATCH", "DELETE"} <= {name.strip() for name in one.split(",")}
    assert "POST" not in desk.send("OPTIONS", FIXED).headers["allow"]


@pytest.mark.parametrize("code", ["4490", "4525", "4546"])
def test_content_crs_has_the_authoritys_axis_order(desk: Desk, code: str) -> None:
    """The oracle is pyproj without always_xy; trap 14: swapped geometry in the database."""
    official = Transformer.from_crs("EPSG:4490", f"EPSG:{code}")
    lon, lat = shapely.get_coordinates(BOX).T
    ring = np.column_stack(official.transform(lat, lon)).tolist()
    body = feature()
    body["geometry"] = {"type": "Polygon", "coordinates": [ring]}
    made = desk.send("POST", DRAFT, body, **{"content-crs": f"<{EPSG}{code}>"})
    assert made.status_code == 201, made.text
    read = desk.client.get(made.headers["location"], headers=desk.editor).json()
    stored = shape(read["geometry"])
    assert stored.hausdorff_distance(BOX) < 2e-8


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (feature(landuse_code="nonsense"), 422, None),
        (feature(no_such="1"), 422, "unknown-attribute"),
        (feature(shapely.box(-10, 19, -9, 20)), 422, None),
        ({**feature(), "geometry": None}, 422, "geometry-missing"),
        ({**feature(), "geometry": {"type": "Polygon", "coordinates": [[[0, 0], [1, 1]]]}}, 422,
         None),
        ({**feature(), "id": [1]}, 422, None),
        ({"type": "FeatureCollection", "features": []}, 422, None),
        ([], 422, None),
    ],
)  # fmt: skip
def test_bad_features_are_refused_with_the_place(
    desk: Desk, body: Any, status: int, code: str | None
) -> None:
    answer = desk.send("POST", DRAFT, body)
    assert answer.status_code == status, answer.text
    if code:
        assert answer.json()["type"].endswith(code)
    assert len(answer.json()["detail"]) > 10
    assert desk.owner.execute("SELECT count(*) FROM library.feature_history").fetchone() == (0,)


def test_the_address_names_the_feature_and_not_the_body(desk: Desk) -> None:
    """pygeoapi's PUT /items/9001 with id 5 in its body overwrote feature 5."""
    for method in ("PUT", "PATCH"):
        answer = desk.send(method, f"{DRAFT}/1", {**feature(), "id": "2"})
        assert answer.status_code == 422
        assert answer.json()["type"].endswith("id-differs")
    assert desk.send("PUT", f"{DRAFT}/nobody", feature()).status_code == 404
    twice = desk.send("POST", DRAFT, {**feature(), "id": "1"})
    assert twice.status_code == 409
    assert twice.json()["type"].endswith("feature-exists")


def test_media_types_and_parameters(desk: Desk) -> None:
    assert desk.send("POST", DRAFT, feature(), **{"content-type": "text/plain"}).status_code == 400
    with_charset = {"content-type": "application/geo+json; charset=utf-8"}
    assert desk.send("POST", DRAFT, feature(), **with_charset).status_code == 201
    assert desk.send("POST", f"{DRAFT}?x=1", feature()).status_code == 400
    wrong_crs = desk.send("POST", DRAFT, feature(), **{"content-crs": "<EPSG:27700>"})
    assert wrong_crs.status_code == 400


def test_without_a_draft_the_answer_says_what_to_do(desk: Desk) -> None:
    answer = desk.send("POST", "/ogc/collections/county/items", feature())
    assert answer.status_code == 409
    assert "drafts open" in answer.json()["detail"]


def test_numbers_matched_of_a_draft_are_not_invented(desk: Desk) -> None:
    listed = desk.client.get(DRAFT, params={"limit": 2}, headers=desk.editor).json()
    assert "numberMatched" not in listed
    assert [link for link in listed["links"] if link["rel"] == "next"]


def test_editors_find_the_draft_in_the_list_of_collections(desk: Desk) -> None:
    def listed(headers: dict[str, str]) -> dict[str, Any]:
        answer = desk.client.get("/ogc/collections?f=json", headers=headers).json()
        return {one["id"]: one for one in answer["collections"]}

    assert f"{LAYER}-draft" not in listed(desk.reader)
    draft = listed(desk.editor)[f"{LAYER}-draft"]
    links = {link["rel"]: link["href"] for link in draft["links"]}
    assert links["items"].split("?")[0].endswith(DRAFT)
    alone = f"/ogc/collections/{LAYER}-draft?f=json"
    assert desk.client.get(alone, headers=desk.editor).json()["id"] == f"{LAYER}-draft"
    assert desk.client.get(alone).status_code == 404
    schema = desk.client.get(f"/ogc/collections/{LAYER}-draft/schema", headers=desk.editor)
    assert "landuse_code" in schema.json()["properties"]


def test_an_id_that_no_index_holds_is_refused(desk: Desk) -> None:
    for stated in ("a\x00b", "号" * 256, "".join(map(chr, range(0x4E00, 0x4E00 + 3000)))):
        refused = desk.send("POST", DRAFT, {**feature(), "id": stated})
        assert refused.status_code == 422, refused.text
        assert refused.json()["errors"][0]["at"] == "/id"
    made = desk.send("POST", DRAFT, {**feature(), "id": "号" * 255})
    assert made.status_code == 201, made.text
    assert desk.client.get(made.headers["location"], headers=desk.editor).status_code == 200
