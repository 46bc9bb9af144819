"""OGC API Features: every page or nothing, in longitude and latitude, from our own service too."""

import json
from dataclasses import replace
from http.server import BaseHTTPRequestHandler
from typing import Any

import httpx2
import pytest

from gis_service.harvesting import ogc_features
from gis_service.harvesting.fetched import Fetched, FetchRoom, Unchanged
from layers.errors import BadInput, CrsRefused, LimitExceeded, Unavailable

from .conftest import Collection, Web, forest, make_source, send

CGCS2000 = "http://www.opengis.net/def/crs/EPSG/0/4490"
CRS84 = "http://www.opengis.net/def/crs/OGC/1.3/CRS84"


def fetch(collection: Collection, room: FetchRoom, **more: Any) -> Fetched:
    source = make_source("ogc-features", collection.location, **{"page_features": 10, **more})
    return ogc_features.fetch(source, room)


def features_of(got: Fetched) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(got.path.read_bytes())["features"]
    return found


def test_all_pages_come_in_order(collection: Collection, room: FetchRoom) -> None:
    got = fetch(collection, room)
    assert features_of(got) == collection.features
    assert (got.rows, got.pages, got.complete, got.crs) == (25, 3, True, "OGC:CRS84")
    assert "crs" not in json.loads(got.path.read_bytes())


def test_equal_features_give_an_equal_digest_whatever_the_pages(
    collection: Collection, room: FetchRoom
) -> None:
    first = fetch(collection, room).sha256
    assert fetch(collection, room, page_features=7).sha256 == first
    collection.features = forest(range(24))
    assert fetch(collection, room).sha256 != first


@pytest.mark.parametrize("stated", [26, 24, 0, 1_000_000])
def test_another_number_than_stated_is_a_failure(
    collection: Collection, room: FetchRoom, stated: int
) -> None:
    collection.matched = stated
    with pytest.raises(BadInput) as caught:
        fetch(collection, room)
    assert caught.value.code == "incomplete"


def test_pages_that_stop_early_are_a_failure(collection: Collection, room: FetchRoom) -> None:
    collection.next_of = lambda offset, at: (
        f"{at}/items?limit=10&offset=10" if offset == 0 else None
    )
    with pytest.raises(BadInput) as caught:
        fetch(collection, room)
    assert "25" in str(caught.value)
    assert "20" in str(caught.value)


def test_a_source_that_states_no_number_is_not_called_complete(
    collection: Collection, room: FetchRoom
) -> None:
    collection.matched = None
    assert fetch(collection, room).complete is None


def test_a_number_that_changes_between_pages_is_a_failure(
    collection: Collection, room: FetchRoom
) -> None:
    def grow(offset: int) -> None:
        if offset == 10:
            collection.features = forest(range(26))

    collection.page_hook = grow
    with pytest.raises(BadInput) as caught:
        fetch(collection, room)
    assert caught.value.code == "source-changes"


def test_a_feature_that_comes_twice_is_a_failure(collection: Collection, room: FetchRoom) -> None:
    """A row inserted while paging by offset shifts all later pages by one; one row comes twice."""

    def insert(offset: int) -> None:
        if offset == 10:
            collection.features = [*forest([99]), *forest(range(24))]

    collection.page_hook = insert
    with pytest.raises(BadInput) as caught:
        fetch(collection, room)
    assert caught.value.code == "feature-twice"


@pytest.mark.parametrize("offsets", [(0,), (10, 0), (10, 20, 10)])
def test_links_that_go_round_end(
    collection: Collection, room: FetchRoom, offsets: tuple[int, ...]
) -> None:
    collection.matched = None
    for feature in collection.features:
        feature.pop("id")
    steps = iter((*offsets, *offsets))
    collection.next_of = lambda _offset, at: f"{at}/items?limit=10&offset={next(steps)}"
    with pytest.raises(BadInput) as caught:
        fetch(collection, room)
    assert caught.value.code == "paging-circle"


@pytest.mark.parametrize(
    "href",
    ["http://127.0.0.1:1/ogc/collections/forest/items", "/ogc/collections/other/items",
     "https://evil.example/ogc/collections/forest/items", "file:///etc/passwd"],
)  # fmt: skip
def test_a_next_link_that_leads_away_is_a_failure(
    collection: Collection, room: FetchRoom, href: str
) -> None:
    collection.next_of = lambda _offset, _at: href
    with pytest.raises(BadInput) as caught:
        fetch(collection, room)
    assert caught.value.code == "link-leads-away"
    assert len(collection.web.seen) == 2


def test_an_items_link_that_leads_away_is_a_failure(web: Web, room: FetchRoom) -> None:
    document = {"links": [{"rel": "items", "type": "application/geo+json", "href": "/x/items"}]}
    web.respond = lambda handler: send(handler, json.dumps(document).encode())
    location = f"{web.address}/ogc/collections/forest"
    with pytest.raises(BadInput) as caught:
        ogc_features.fetch(make_source("ogc-features", location), room)
    assert caught.value.code == "link-leads-away"


@pytest.mark.parametrize(
    "body",
    [b"<html>maintenance</html>", b'{"type":"FeatureCollection","features":[{"ty', b"[]",
     b'{"features": {}}', b'{"features": [1]}', b'{"features": [{"type":"Polygon"}]}'],
)  # fmt: skip
def test_what_is_no_collection_is_a_failure(web: Web, room: FetchRoom, body: bytes) -> None:
    def respond(handler: BaseHTTPRequestHandler) -> None:
        send(handler, body if "/items" in handler.path else b"{}")

    web.respond = respond
    location = f"{web.address}/ogc/collections/forest"
    with pytest.raises(BadInput):
        ogc_features.fetch(make_source("ogc-features", location), room)


def test_a_page_that_fails_later_fails_all(collection: Collection, room: FetchRoom) -> None:
    respond = collection.respond

    def failing(handler: BaseHTTPRequestHandler) -> None:
        if "offset=20" in handler.path:
            send(handler, b"", 503)
        else:
            respond(handler)

    collection.web.respond = failing
    with pytest.raises(Unavailable):
        fetch(collection, room)


def test_more_bytes_than_allowed_are_refused(collection: Collection, room: FetchRoom) -> None:
    with pytest.raises(LimitExceeded):
        fetch(collection, replace(room, largest_bytes=3000), page_features=5)


def test_a_fetch_has_a_deadline_and_hears_a_stop(collection: Collection, room: FetchRoom) -> None:
    with pytest.raises(Unavailable) as caught:
        fetch(collection, room, deadline_s=1e-6)
    assert caught.value.code == "fetch-deadline"


def test_credentials_are_sent_and_stand_nowhere_else(
    collection: Collection, room: FetchRoom
) -> None:
    got = fetch(collection, room, credentials={"bearer": "HARVEST_TOKEN"})
    sent = {headers.get("Authorization") for _, headers in collection.web.seen}
    assert sent == {"Bearer s3cret-canary-token"}
    assert b"s3cret" not in got.path.read_bytes()
    assert "s3cret" not in repr(got)


class TestConditions:
    def test_unchanged_pages_are_not_sent_again(
        self, collection: Collection, room: FetchRoom
    ) -> None:
        collection.etags = True
        first = fetch(collection, room)
        assert len(first.validators) == 3
        collection.web.seen.clear()
        with pytest.raises(Unchanged):
            fetch(collection, replace(room, validators=first.validators))
        assert len(collection.web.seen) == 3

    def test_a_change_on_the_last_page_is_not_missed(
        self, collection: Collection, room: FetchRoom
    ) -> None:
        collection.etags = True
        first = fetch(collection, room)
        collection.features[-1]["properties"]["protection_grade"] = "II"
        again = fetch(collection, replace(room, validators=first.validators))
        assert features_of(again)[-1]["properties"]["protection_grade"] == "II"

    def test_pages_without_a_validator_are_always_fetched(
        self, collection: Collection, room: FetchRoom
    ) -> None:
        assert fetch(collection, room).validators == ()

    @pytest.mark.parametrize(("age_s", "kept"), [(3600, True), (1, False)])
    def test_a_time_is_trusted_only_if_clearly_past(
        self, web: Web, room: FetchRoom, age_s: int, kept: bool
    ) -> None:
        """Two states within a second have one Last-Modified (RFC 9110, 8.8.2.2)."""
        import email.utils
        import time

        modified = email.utils.formatdate(time.time() - age_s, usegmt=True)
        body = json.dumps({"features": forest([1])}).encode()
        web.respond = lambda handler: send(handler, body, Last_Modified=modified)
        location = f"{web.address}/ogc/collections/forest"
        got = ogc_features.fetch(make_source("ogc-features", location), room)
        assert bool(got.validators) is kept


class TestAxes:
    def latitude_first(self, collection: Collection, confirmed: str | None) -> None:
        """A server that offers CGCS2000 and answers in its order, latitude first."""
        plain = collection.respond
        collection.crs = (CRS84, CGCS2000)

        def respond(handler: BaseHTTPRequestHandler) -> None:
            if "crs=" not in handler.path:
                return plain(handler)
            turned = json.loads(json.dumps(collection.features))
            for feature in turned:
                rings = feature["geometry"]["coordinates"]
                feature["geometry"]["coordinates"] = [[[y, x] for x, y in r] for r in rings]
            body = json.dumps({"features": turned, "numberMatched": len(turned)}).encode()
            headers = {"Content_Crs": f"<{confirmed}>"} if confirmed else {}
            return send(handler, body, **headers)

        collection.web.respond = respond

    def test_cgcs2000_is_asked_for_and_turned_to_longitude_first(
        self, collection: Collection, room: FetchRoom
    ) -> None:
        self.latitude_first(collection, CGCS2000)
        got = fetch(collection, room)
        assert got.crs == "EPSG:4490"
        found = [feature["geometry"] for feature in features_of(got)]
        assert found == [feature["geometry"] for feature in collection.features]
        stated = json.loads(got.path.read_bytes())["crs"]["properties"]["name"]
        assert stated == "EPSG:4490"

    @pytest.mark.parametrize("confirmed", [None, CRS84])
    def test_a_server_that_does_not_confirm_it_is_asked_for_crs84(
        self, collection: Collection, room: FetchRoom, confirmed: str | None
    ) -> None:
        self.latitude_first(collection, confirmed)
        got = fetch(collection, room)
        assert got.crs == "OGC:CRS84"
        assert features_of(got) == collection.features

    def test_another_crs_than_asked_for_is_a_failure(self, web: Web, room: FetchRoom) -> None:
        body = json.dumps({"features": forest([1])}).encode()
        web.respond = lambda handler: send(handler, body, Content_Crs=f"<{CGCS2000}>")
        location = f"{web.address}/ogc/collections/forest"
        with pytest.raises(CrsRefused):
            ogc_features.fetch(make_source("ogc-features", location), room)


def test_our_own_service_is_a_source(live_service: str, room: FetchRoom) -> None:
    """Paged through whole, and equal to one plain request in CRS84 to the same service."""
    location = f"{live_service}/ogc/collections/forest_land"
    source = make_source(
        "ogc-features", location, networks=["127.0.0.0/8", "::1/128"], page_features=100
    )
    got = ogc_features.fetch(source, room)
    plain = httpx2.get(f"{location}/items?limit=10000").json()
    assert got.rows == plain["numberMatched"] == len(plain["features"])
    assert got.pages is not None
    assert got.pages > 1
    assert got.complete is True
    assert got.crs == "EPSG:4490"
    for ours, theirs in zip(features_of(got), plain["features"], strict=True):
        assert (ours["id"], ours["properties"]) == (theirs["id"], theirs["properties"])
        assert ours["geometry"] == theirs["geometry"]
