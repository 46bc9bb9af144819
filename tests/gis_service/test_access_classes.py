"""A public process knows nothing of layers above its class: no byte of any answer, no right."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import shapely
import yaml
from starlette.testclient import TestClient

from gis_service import start
from gis_service.app import create_app
from gis_service.checking import CheckRequest, check
from gis_service.library import Library
from gis_service.service_login import service_address
from gis_service.settings import Settings
from layers.catalog import load_catalog
from layers.catalog_sync import sync_catalog
from layers.database import connect
from layers.errors import Unavailable

HIDDEN = "forest_land"
OPEN = "planned_landuse"
CANARY = "QZCANARY"
SITE = shapely.box(110.002, 19.002, 110.004, 19.004)


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped configuration, but forest land is internal and its words are canaries."""
    folder = tmp_path_factory.mktemp("config")
    for path in (Path(__file__).parents[2] / "config").iterdir():
        (folder / path.name).symlink_to(path)
    (folder / "layers").unlink()
    (folder / "layers").mkdir()
    for path in (Path(__file__).parents[2] / "config" / "layers").iterdir():
        content = yaml.safe_load(path.read_text("utf-8"))
        for layer in content.get("layers", ()):
            if layer["id"] == HIDDEN:
                layer["access"] = "internal"
                layer.pop("secrecy", None)
                layer["title"] = {"zh": f"{CANARY}林地", "en": f"{CANARY} forest"}
        (folder / "layers" / path.name).write_text(
            yaml.safe_dump(content, allow_unicode=True), "utf-8"
        )
    return folder


@pytest.fixture
def processes(
    database: str, config: Path, tmp_path: Path, publish_layer_for: Any
) -> Iterator[Callable[[str], Library]]:
    with connect(database) as connection:
        publish = publish_layer_for(connection)
        box = shapely.box(110, 19, 110.01, 19.01)
        for layer_id in (HIDDEN, OPEN):
            publish(layer_id, [box], {"name": [f"{CANARY}{layer_id}"]}, coverage=box)
        sync_catalog(connection, load_catalog(config))
    opened = []

    def open_process(access: str) -> Library:
        settings = Settings(
            check_processes=1, pool_size=2, data_dir=tmp_path, config_dir=config,
            database_url=database, role_prefix="gistest", access=access,  # type: ignore[arg-type]
        )  # fmt: skip
        block = start.library(settings, service_address(settings, database))
        opened.append(block)
        return block.__enter__()

    yield open_process
    for block in opened:
        block.__exit__(None, None, None)


def addresses(layer: str) -> list[str]:
    return [
        *(f"/ogc/collections/{layer}{end}" for end in
          ("", "/items", "/items/1", "/queryables", "/schema", "/tiles", "/map", "/styles")),
        f"/tiles/{layer}.json", f"/tiles/{layer}/12/3297/1826.mvt",
        f"/tiles/{OPEN},{layer}/12/3297/1826.mvt", f"/legends/{layer}.json",
        f"/legends/{layer}.png", f"/styles/{layer}.json", f"/ogc/collections/{layer}/items?limit=1",
        f"/ogc/collections/{layer}/items?bbox=110,19,111,20",
    ]  # fmt: skip


GENERAL = [
    "/", "/catalog", "/ogc", "/ogc/collections", "/ogc/api", "/ogc/conformance", "/styles/map.json",
    "/identify?lon=110.003&lat=19.003", "/limits", "/metrics", "/readyz", "/submission-form",
    "/samples", "/ogc/processes", "/plans/forest-plan/editions", "/plans/overall-plan/editions",
    "/editions/1", "/editions/2", "/editions/1/quality", "/sources", "/sprites/map.json",
    "/ogc/collections/catalogue/items", f"/ogc/collections/{OPEN}/items",
    f"/tiles/{OPEN}/12/3297/1826.mvt", "/ogc/processes/conflict-check",
]  # fmt: skip


def same(body: bytes) -> bytes:
    """Without the number that each request has of its own."""
    return re.sub(rb'"instance":"[^"]*"', b"", body)


def test_no_answer_of_a_public_process_knows_a_hidden_layer(
    processes: Callable[[str], Library],
) -> None:
    library = processes("public")
    with TestClient(
        create_app(library), base_url="http://localhost", raise_server_exceptions=False
    ) as client:
        for address in [*GENERAL, *addresses(HIDDEN)]:
            for accept in ("application/json", "text/html"):
                answer = client.get(address, headers={"Accept": accept})
                assert answer.status_code < 500, (address, answer.text)
                words = answer.text.replace(CANARY + OPEN, "")
                assert CANARY not in words, address
                if address in GENERAL:
                    assert f'"{HIDDEN}"' not in words, address
        for hidden, unknown in zip(addresses(HIDDEN), addresses("forest_lanx"), strict=True):
            one, other = client.get(hidden), client.get(unknown)
            assert one.status_code == other.status_code == 404, hidden
            assert same(one.content.replace(HIDDEN.encode(), b"forest_lanx")) == same(other.content)
            assert one.headers == other.headers
    internal = processes("internal")
    with TestClient(create_app(internal), base_url="http://localhost") as client:
        assert CANARY + HIDDEN in client.get(f"/ogc/collections/{HIDDEN}/items").text


def test_reports_of_harvests_are_for_the_restricted_process_only(
    processes: Callable[[str], Library],
) -> None:
    for access, answers in (("public", False), ("internal", False), ("restricted", True)):
        with TestClient(create_app(processes(access)), base_url="http://localhost") as client:
            answer = client.get("/sources")
            assert (answer.json().get("sources") == []) is answers, access
            assert (answer.status_code == 404) is not answers, access


def test_a_check_says_who_must_check_the_hidden_layer(
    processes: Callable[[str], Library],
) -> None:
    feature = {
        "type": "Feature",
        "geometry": json.loads(shapely.to_geojson(SITE)),
        "properties": {"name": "x", "proposed_use": "0701", "project_level": "municipal"},
    }
    public, internal = processes("public"), processes("internal")
    report = check(public, CheckRequest(feature))
    (finding,) = [one for one in report["findings"] if one["rule_id"] == "HN-FOREST-001"]
    authority = load_catalog(public.settings.config_dir).layer_with_plan(HIDDEN)[0].authority
    assert finding["outcome"] == "undetermined"
    assert authority.en in json.dumps(finding, ensure_ascii=False)
    assert CANARY not in json.dumps(report, ensure_ascii=False).replace(CANARY + OPEN, "")
    (state,) = [one for one in report["layers"] if one["layer"] == HIDDEN]
    assert (state["state"], state["edition"]) == ("no-data", None)
    inner = check(internal, CheckRequest(feature))
    (finding,) = [one for one in inner["findings"] if one["rule_id"] == "HN-FOREST-001"]
    assert finding["outcome"] != "pass"
    (state,) = [one for one in inner["layers"] if one["layer"] == HIDDEN]
    assert state["state"] == "concerned"
    # The report of the inner process is not there for the public one.
    with TestClient(create_app(public), base_url="http://localhost") as client:
        assert client.get(f"/reports/{inner['report_id']}.json").status_code == 404
        assert client.get(f"/reports/{report['report_id']}.json").status_code == 200


def test_the_login_is_kept_and_used_again(
    processes: Callable[[str], Library], tmp_path: Path
) -> None:
    first = processes("public").settings
    kept = tmp_path / "database-login-public.json"
    assert kept.stat().st_mode & 0o777 == 0o600
    before = kept.read_bytes()
    processes("public")
    assert kept.read_bytes() == before
    assert first.database_url is not None
    assert json.loads(before)["role"] in service_address(first, first.database_url)


def test_an_address_that_reads_more_is_refused(database: str, config: Path, tmp_path: Path) -> None:
    settings = Settings(
        data_dir=tmp_path, config_dir=config, database_url=database, role_prefix="gistest",
        public_database_url=database,
    )  # fmt: skip
    with pytest.raises(Unavailable) as refused:
        service_address(settings, database)
    assert refused.value.code == "too-many-rights"
