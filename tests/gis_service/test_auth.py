"""Keys: what they may, how long they hold, and that their secrets are nowhere."""

import hashlib
import re
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.testclient import TestClient

from gis_service import access_keys, auth, start
from gis_service.app import create_app
from gis_service.commands.serving import publish_keys
from gis_service.settings import Settings
from layers.database import Connection, connect


@pytest.fixture
def owner(database: str) -> Iterator[Connection]:
    with connect(database) as opened:
        yield opened


@pytest.fixture
def client(
    database: str, tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> Iterator[TestClient]:
    settings = Settings(check_processes=1, pool_size=2, data_dir=tmp_path)  # type: ignore[arg-type]
    monkeypatch.setattr(auth, "_REMEMBERED_S", 0.2)

    def who(request: Request) -> Response:
        return Response(auth.caller(request).name)

    def edit(request: Request) -> Response:
        return Response(auth.require(request, "editor").name)

    with start.library(settings, database) as library:
        app = create_app(library)
        app.router.routes[:0] = [Route("/who", who), Route("/edit", edit, methods=["GET", "POST"])]
        with TestClient(app, base_url="http://localhost", raise_server_exceptions=False) as opened:
            yield opened


def test_a_secret_is_shown_once_and_kept_as_its_hash(owner: Connection) -> None:
    key, secret = access_keys.create(owner, "office", "editor")
    assert re.fullmatch("[0-9a-f]{32}", secret), "the form of a tk of tianditu"
    (digest,) = owner.execute("SELECT digest FROM library.access_key").fetchone()  # type: ignore[misc]
    assert digest == hashlib.sha256(secret.encode()).digest()
    dumped = owner.execute("SELECT k::text FROM library.access_key AS k").fetchall()
    assert secret not in str(dumped)
    assert secret not in str(access_keys.listed(owner))
    assert access_keys.find(owner, secret) == key
    assert access_keys.find(owner, secret.upper()) is None


@pytest.mark.parametrize("how", ["bearer", "header", "tk", "TK"])
def test_a_key_is_read_wherever_it_stands(client: TestClient, owner: Connection, how: str) -> None:
    _, secret = access_keys.create(owner, "office", "editor")
    headers = {
        "bearer": {"Authorization": f"bearer {secret}"}, "header": {"X-API-Key": secret},
    }.get(how, {})  # fmt: skip
    query = f"?&{how}={secret}&x=1" if how.lower() == "tk" else ""
    assert client.get(f"/who{query}", headers=headers).text == "office"
    assert client.get("/who").text == "anonymous"


def test_a_wrong_key_is_refused_and_a_foreign_tk_is_nobody(client: TestClient) -> None:
    wrong = client.get("/who", headers={"X-API-Key": "0" * 32})
    assert wrong.status_code == 401
    assert wrong.headers["www-authenticate"] == "Bearer"
    assert wrong.json()["type"].endswith("key-not-valid")
    # A client that comes over from tianditu brings its own tk.
    assert client.get(f"/who?tk={'0' * 32}").text == "anonymous"
    assert client.get("/who?tk=").text == "anonymous"


@pytest.mark.parametrize(
    ("role", "status"), [("editor", 200), ("admin", 200), ("officer", 403), ("reader", 403)]
)
def test_a_role_is_needed_for_writing(
    client: TestClient, owner: Connection, role: access_keys.Role, status: int
) -> None:
    _, secret = access_keys.create(owner, role, role)
    answer = client.post("/edit", headers={"X-API-Key": secret})
    assert answer.status_code == status
    assert answer.text == role if status == 200 else answer.json()["type"].endswith("role-needed")
    assert client.post("/edit").status_code == 401


def test_a_revoked_key_ends_within_seconds(client: TestClient, owner: Connection) -> None:
    key, secret = access_keys.create(owner, "office", "editor")
    headers = {"X-API-Key": secret}
    assert client.get("/who", headers=headers).text == "office"
    access_keys.revoke(owner, key.id)
    access_keys.revoke(owner, key.id)
    time.sleep(0.3)
    assert client.get("/who", headers=headers).status_code == 401
    (listed,) = access_keys.listed(owner)
    assert listed.revoked is not None


def test_a_key_has_its_own_limit(client: TestClient, owner: Connection) -> None:
    _, few = access_keys.create(owner, "few", "reader", per_minute=3)
    _, many = access_keys.create(owner, "many", "reader")
    answers = [client.get(f"/who?tk={few}") for _ in range(5)]
    assert [one.status_code for one in answers] == [200, 200, 200, 429, 429]
    # Three a minute: the next one is there after 20 s.
    assert 15 <= int(answers[-1].headers["retry-after"]) <= 20
    assert all(client.get(f"/who?tk={many}").status_code == 200 for _ in range(5))
    assert client.get("/who").status_code == 200


def test_a_key_of_a_page_is_nothing_elsewhere(client: TestClient, owner: Connection) -> None:
    _, secret = access_keys.create(owner, "page", "reader", hosts=["map.example"])
    for page, name in (
        ({"referer": "https://map.example/a"}, "page"),
        ({"origin": "https://evil.example"}, "anonymous"),
        ({"referer": "https://map.example.evil.example/"}, "anonymous"),
        ({}, "page"),
    ):
        assert client.get(f"/who?tk={secret}", headers=page).text == name


def test_a_serving_process_cannot_list_keys(database: str, tmp_path: object) -> None:
    from gis_service.service_login import service_address

    settings = Settings(data_dir=tmp_path)  # type: ignore[arg-type]
    with connect(database) as owner:
        _, secret = access_keys.create(owner, "office", "admin")
    address = service_address(settings, database)
    with connect(address, access="open") as serving:
        found = access_keys.find(serving, secret)
        assert found is not None
        assert found.role == "admin"
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            access_keys.listed(serving)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            access_keys.create(serving, "mine", "admin")


def test_doors_for_tianditu_take_a_key_from_its_own_page_only(
    database: str, owner: Connection, tmp_path: Path
) -> None:
    """Where a key is needed: the right one opens, the wrong page is told so in their words."""
    settings = Settings(check_processes=1, pool_size=2, data_dir=tmp_path)
    _, secret = access_keys.create(owner, "page", "reader", hosts=["map.example"])
    with start.library(settings, database) as library:
        tianditu = library.config.tianditu.model_copy(update={"key_required": True})
        config = library.config.model_copy(update={"tianditu": tianditu})
        app = create_app(replace(library, config=config))
        with TestClient(app, base_url="http://localhost") as client:
            path = f"/vec_c/wmts?REQUEST=GetCapabilities&tk={secret}"
            assert client.get(path).status_code == 200
            assert client.get(path, headers={"referer": "http://map.example/"}).status_code == 200
            other = client.get(path, headers={"referer": "http://other.example/"})
            assert other.status_code == 403
            assert other.json() == {
                "msg": "域名不匹配", "resolve": "请到API控制台查看域名配置并修改", "code": 7,
            }  # fmt: skip


def test_a_fresh_demo_prints_a_key_of_each_role_once(
    database: str, owner: Connection, capsys: pytest.CaptureFixture[str]
) -> None:
    publish_keys(database)
    printed = re.findall(r"(\w+) +([0-9a-f]{32})", capsys.readouterr().out)
    assert [role for role, _ in printed] == list(access_keys.ROLES)
    for role, secret in printed:
        found = access_keys.find(owner, secret)
        assert found is not None
        assert found.role == role
    publish_keys(database)
    assert capsys.readouterr().out == ""
