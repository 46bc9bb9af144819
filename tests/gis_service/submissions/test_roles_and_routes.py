"""Over HTTP with the database roles of a real service: who sends, who sees, who decides."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from psycopg import errors as pg
from starlette.testclient import TestClient

from gis_service import access_keys, start
from gis_service.app import create_app
from gis_service.library import Library
from gis_service.settings import Settings
from layers.catalog import Catalog
from layers.database import Access, Connection, connect
from layers.roles import Login, Roles, address_of, grant_reading, make_groups, make_login
from tests.gis_service.submissions.conftest import COUNTY, LEDGER, PERIOD

Site = Callable[..., dict[str, Any]]
Serve = Callable[..., TestClient]
ROLES = Roles("gissubm")
GEOJSON = {"Content-Type": "application/geo+json"}


@pytest.fixture
def keys(granted: str, catalog: Catalog) -> dict[str, str]:
    """Secrets by role; and the group roles of the database with their rights."""
    with connect(granted) as owner:
        make_groups(owner, ROLES)
        grant_reading(owner, ROLES, catalog)
        return {role: access_keys.create(owner, f"{role}-name", role)[1]
                for role in access_keys.ROLES}  # fmt: skip


@pytest.fixture
def serve(granted: str, keys: dict[str, str], tmp_path: Path) -> Iterator[Serve]:
    """A service of an access class, which reads and writes as its database role."""
    opened: list[Any] = []

    def make(access: str) -> TestClient:
        reads: Access = "open" if access == "public" else "restricted"
        login = Login.new(ROLES, reads)
        with connect(granted) as owner:
            make_login(owner, ROLES, reads, login)
        settings = Settings(check_processes=1, pool_size=4, data_dir=tmp_path / access,
                            access=access)  # fmt: skip
        house = start.library(settings, address_of(granted, login))
        library: Library = house.__enter__()
        opened.append(house)
        return TestClient(create_app(library), base_url="http://localhost",
                          raise_server_exceptions=False)  # fmt: skip

    yield make
    for house in opened:
        house.__exit__(None, None, None)


def post(client: TestClient, feature: dict[str, Any], **headers: str) -> Any:
    return client.post("/submissions", content=json.dumps(feature), headers={**GEOJSON, **headers})


def by(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


def test_a_public_sender_sees_his_own_and_nothing_else(
    serve: Serve, keys: dict[str, str], site: Site
) -> None:
    public = serve("public")
    answer = post(public, site(), **{"Idempotency-Key": "k-1"})
    assert answer.status_code == 201
    sent = answer.json()
    assert answer.headers["location"] == f"http://localhost/submissions/{sent['id']}"
    assert post(public, site(), **{"Idempotency-Key": "k-1"}).content == answer.content
    assert post(public, site(side=2), **{"Idempotency-Key": "k-1"}).status_code == 422
    assert post(public, site(), **{"Idempotency-Key": "a b"}).status_code == 400
    mine = public.get(f"/submissions/{sent['id']}").json()
    assert mine == sent
    assert not [event for event in mine["history"] if "actor" in event]
    (report,) = [link["href"] for link in mine["links"] if link["type"] == "text/html"]
    assert public.get(report).status_code == 200
    for other in ("", "1", sent["id"][:-1], sent["id"].upper(), sent["id"] + "0"):
        assert public.get(f"/submissions/{other}").status_code in (401, 404)
    for path in ("/submissions", f"/submissions/{sent['id']}/original"):
        assert public.get(path).status_code == 401
        assert public.get(path, headers=by(keys["editor"])).status_code == 403
    for act in ("approval", "rejection", "booking"):
        path = f"/submissions/{sent['id']}/{act}"
        assert public.post(path, json={}).status_code == 401
        assert public.post(path, json={}, headers=by(keys["reader"])).status_code == 403
        refused = public.post(path, json={"reason": "x"}, headers=by(keys["officer"]))
        assert refused.status_code == 403
        assert refused.json()["type"].endswith("restricted-only")
    grant = {"ledger": LEDGER, "admin_code": COUNTY, "period": PERIOD, "from": "2021-01-01",
             "to": "2035-12-31", "granted_m2": 1}  # fmt: skip
    assert public.post("/quotas", json=grant, headers=by(keys["admin"])).status_code == 403
    assert public.get("/quotas").json()["quotas"][0]["granted_m2"] == 30_000


def test_an_officer_of_the_house_decides(serve: Serve, keys: dict[str, str], site: Site) -> None:
    public, house = serve("public"), serve("restricted")
    one = post(public, site(land_take=False)).json()["id"]
    other = post(public, site(west=109.81, land_take=False)).json()["id"]
    officer = by(keys["officer"])
    page = house.get("/submissions?limit=1", headers=officer).json()
    assert [entry["id"] for entry in page["submissions"]] == [other]
    (more,) = [link["href"] for link in page["links"] if link["rel"] == "next"]
    rest = house.get(more.removeprefix("http://localhost"), headers=officer).json()
    assert [entry["id"] for entry in rest["submissions"]] == [one]
    assert rest["links"] == []
    assert house.get("/submissions?state=nonsense", headers=officer).status_code == 400
    assert house.get("/submissions?colour=red", headers=officer).status_code == 400

    path = f"/submissions/{one}"
    refused = house.post(f"{path}/approval", headers=officer)  # other layers have no data
    assert refused.status_code == 409
    assert refused.json()["type"].endswith("override-reason-needed")
    for body in ([1], {"colour": "red"}, {"reason": 5}, {"valid_until": "soon"},
                 {"valid_until": "2020-01-01", "override_reason": "x"}):  # fmt: skip
        answer = house.post(f"{path}/approval", json=body, headers=officer)
        assert answer.status_code in (400, 422), answer.text
    act = {"override_reason": "演示数据", "valid_until": "2099-12-31"}
    approved = house.post(f"{path}/approval", json=act, headers=officer)
    assert approved.status_code == 200, approved.text
    assert approved.json()["history"][-1]["actor"] == "officer-name"
    (quota,) = house.get("/quotas").json()["quotas"]
    assert quota["reserved_m2"] == pytest.approx(11_640, rel=1e-3)
    told = house.get(f"/quotas/{quota['id']}/entries", headers=officer).json()["entries"]
    assert [entry["kind"] for entry in told] == ["grant", "reserve"]
    assert house.post(f"{path}/booking", headers=officer).json()["state"] == "booked"
    assert house.post(f"{path}/rejection", json={"reason": "x"}, headers=officer).status_code == 409
    assert (
        house.post(f"/submissions/{other}/rejection", json={}, headers=officer).status_code == 400
    )
    gone = house.post(
        f"/submissions/{other}/rejection", json={"reason": "资料不全"}, headers=officer
    )
    assert gone.json()["state"] == "rejected"

    seen = public.get(path).json()
    assert [event["state"] for event in seen["history"]] == [
        "received", "checked", "approved", "booked",
    ]  # fmt: skip
    assert "officer-name" not in json.dumps(seen)
    assert house.get(path, headers=officer).json()["history"][-1]["actor"] == "officer-name"
    original = house.get(f"{path}/original", headers=officer)
    assert original.content == json.dumps(site(land_take=False)).encode()
    assert "attachment" in original.headers["content-disposition"]


def test_grants_over_http(serve: Serve, keys: dict[str, str]) -> None:
    house, officer = serve("restricted"), by(keys["admin"])
    grant = {"ledger": LEDGER, "admin_code": "460100", "period": PERIOD, "from": "2021-01-01",
             "to": "2035-12-31", "granted_m2": 1234.56, "reason": "琼府〔2026〕1号"}  # fmt: skip
    made = house.post("/quotas", json=grant, headers=officer).json()
    assert made["remaining_m2"] == 1234.56
    less = house.post("/quotas", json={**grant, "granted_m2": 34.56}, headers=officer).json()
    assert (less["granted_m2"], less["last_entry"]) == (34.56, 2)
    assert house.get("/quotas?admin_code=460100&as_of=2036-01-01").json() == {"quotas": []}
    for change in ({"granted_m2": "1"}, {"granted_m2": True}, {"granted_m2": -1},
                   {"granted_m2": None}, {"ledger": 5}, {"from": "2021"}, {"to": "2020-01-01"},
                   {"period": "x", "from": "2030-01-01"}, {"colour": "red"},
                   {"land_class": "';--"}):  # fmt: skip
        answer = house.post("/quotas", json={**grant, **change}, headers=officer)
        assert answer.status_code in (400, 409, 422), (change, answer.text)
    assert house.post("/quotas", json=[], headers=officer).status_code == 422


def test_walls_of_the_database(
    granted: str, keys: dict[str, str], serve: Serve, site: Site
) -> None:
    """Whatever a public process is talked into: no decision, no entry, no names, no originals."""
    assert post(serve("public"), site()).status_code == 201
    login = Login.new(ROLES, "open")
    with connect(granted) as owner:
        make_login(owner, ROLES, "open", login)
    with connect(address_of(granted, login), access="open") as public:
        for statement in (
            "INSERT INTO library.submission_event (submission_id, number, state, actor,"
            " override_reason) SELECT id, 3, 'approved', 'x', 'x' FROM library.submission",
            "INSERT INTO library.quota_entry (quota_id, kind, area_m2, actor)"
            " VALUES (1, 'grant', 1e9, 'x')",
            "SELECT FROM library.quota_entry",
            "SELECT FROM library.submission_original",
            "UPDATE library.quota SET granted_m2 = 1e9",
            "INSERT INTO library.quota (ledger, admin_code, period, first_day, last_day)"
            " VALUES ('a', '460000', 'x', '2021-01-01', '2021-12-31')",
            "DELETE FROM library.submission",
            "UPDATE library.submission SET outcome = 'pass'",
            "SELECT library.post_quota_entry()",
        ):
            with pytest.raises((pg.InsufficientPrivilege, pg.FeatureNotSupported)):
                public.execute(statement.encode())
        assert count(public, "submission") == 1
    with connect(granted) as owner:
        owner.execute("INSERT INTO library.report SELECT 'hidden', created, outcome, digest, body,"
                      " 'restricted' FROM library.report")  # fmt: skip
        owner.execute(
            "INSERT INTO library.submission (id, access_class, received, normalised_sha256,"
            " source_crs, area_m2, report_id, outcome) SELECT 'hidden', 'restricted', received,"
            " normalised_sha256, source_crs, area_m2, 'hidden', outcome FROM library.submission"
        )
        owner.execute("INSERT INTO library.submission_event (submission_id, number, state, actor)"
                      " VALUES ('hidden', 1, 'received', 'x')")  # fmt: skip
    with connect(address_of(granted, login), access="open") as public:
        assert count(public, "submission") == 1
        assert count(public, "submission_event") == 2


def count(connection: Connection, table: str) -> int:
    statement = f"SELECT count(*) FROM library.{table}"  # noqa: S608
    (found,) = connection.execute(statement.encode()).fetchone() or (0,)
    return int(found)
