"""Conflict checks over HTTP: verdicts of the samples, digests, refusals, reports."""

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from shapely.geometry import mapping
from starlette.testclient import TestClient

EXECUTION = "/ogc/processes/conflict-check/execution"


def check(client: TestClient, submission: Any, **inputs: Any) -> Any:
    return client.post(EXECUTION, json={"inputs": {"submission": submission, **inputs}})


def sample(client: TestClient, site: str) -> dict[str, Any]:
    feature: dict[str, Any] = client.get(f"/samples/{site}.geojson").json()
    return feature


def feature(geometry: shapely.Geometry, **properties: Any) -> dict[str, Any]:
    return {"type": "Feature", "properties": properties, "geometry": mapping(geometry)}


def test_samples_have_the_verdicts_they_promise(client: TestClient) -> None:
    listed = {entry["id"] for entry in client.get("/samples").json()}
    assert "farmland-conflict" in listed
    report = check(client, sample(client, "farmland-conflict")).json()
    assert report["outcome"] == "violation"
    farmland = next(f for f in report["findings"] if f["rule_id"] == "HN-PBF-001")
    assert farmland["outcome"] == "violation"
    assert farmland["measured"]["value"] > 0
    assert [patch for patch in farmland["patches"] if patch["kind"] == "conflict"]
    # Every rule has an entry, whatever the others say.
    assert len(report["findings"]) == len({f["rule_id"] for f in report["findings"]}) >= 8


def test_no_data_is_never_a_pass(client: TestClient) -> None:
    report = check(client, sample(client, "no-data")).json()
    states = {layer["layer"]: layer["state"] for layer in report["layers"]}
    assert "no-data" in states.values()
    assert report["outcome"] in ("violation", "undetermined")
    silent = [layer for layer, state in states.items() if state == "no-data"]
    rules = {"heritage_construction_control_zone": "HN-HERITAGE-002"}
    for layer in silent:
        if layer in rules:
            finding = next(f for f in report["findings"] if f["rule_id"] == rules[layer])
            assert finding["outcome"] == "undetermined"


def test_land_take_closes_to_the_cent(client: TestClient) -> None:
    report = check(client, sample(client, "farmland-conflict")).json()
    cents = sum(round(row["area_m2"] * 100) for row in report["land_take"])
    assert cents == round(report["submission"]["area_m2"] * 100)


def test_same_input_same_digest_by_http_and_command_line(
    client: TestClient, demo_dsn: str, tmp_path: Path
) -> None:
    site = sample(client, "farmland-conflict")
    first, second = check(client, site).json(), check(client, site).json()
    assert first["digest"] == second["digest"]
    assert first["report_id"] != second["report_id"]
    file = tmp_path / "site.geojson"
    file.write_text(json.dumps(site), "utf-8")
    program = Path(sys.executable).with_name("gis-service")
    run = subprocess.run(
        [str(program), "check", str(file), "--json"],
        env={"DATABASE_URL": demo_dsn, "PATH": "/usr/bin:/bin"},
        capture_output=True,
        check=False,
    )
    assert run.returncode == 1, run.stderr
    assert json.loads(run.stdout)["digest"] == first["digest"]


def test_document_form_and_wrapped_value(client: TestClient) -> None:
    site = sample(client, "farmland-conflict")
    wrapped = {"value": site, "mediaType": "application/geo+json"}
    body = {"inputs": {"submission": wrapped}, "response": "document"}
    answer = client.post(EXECUTION, json=body).json()
    assert answer["report"]["digest"] == check(client, site).json()["digest"]


def test_as_of_picks_editions_and_rules_of_the_day(client: TestClient) -> None:
    report = check(client, sample(client, "farmland-conflict"), as_of="1999-01-01").json()
    assert report["as_of"] == "1999-01-01"
    assert {layer["state"] for layer in report["layers"]} == {"no-data"}
    assert all(f["outcome"] in ("not-applicable", "undetermined") for f in report["findings"])


def test_reports_are_kept_and_readable(client: TestClient) -> None:
    report = check(client, sample(client, "farmland-conflict")).json()
    stored = client.get(f"/reports/{report['report_id']}.json").json()
    assert stored == report
    page = client.get(f"/reports/{report['report_id']}.html?lang=zh")
    assert page.headers["content-type"].startswith("text/html")
    assert "HN-PBF-001" in page.text
    assert "演示数据" in page.text
    assert report["digest"] in page.text
    negotiated = client.get(f"/reports/{report['report_id']}", headers={"accept": "text/html"})
    assert negotiated.text.startswith("<!")
    assert client.get("/reports/nobody.json").status_code == 404


BOW_TIE = {
    "type": "Polygon",
    "coordinates": [
        [[110.3, 19.9], [110.31, 19.91], [110.31, 19.9], [110.3, 19.91], [110.3, 19.9]]
    ],
}


@pytest.mark.parametrize(
    ("submission", "status", "code"),
    [
        ({"type": "Feature", "properties": {}, "geometry": BOW_TIE}, 422, "invalid-geometry"),
        ({"type": "Feature", "properties": {}, "geometry": None}, 422, None),
        (feature(shapely.Polygon()), 422, None),
        (feature(shapely.box(0, 0, 0.1, 0.1)), 422, "outside-region"),
        (feature(shapely.box(19.90, 110.30, 19.91, 110.31)), 422, None),  # latitude first
        (feature(shapely.box(37432000, 2214000, 37432100, 2214100)), 422, None),  # metres
        ({"href": "http://127.0.0.1/site.geojson"}, 400, "href-refused"),
        ([1, 2], 400, "bad-execution"),
        ("site", 400, "bad-execution"),
    ],
)
def test_bad_submissions_are_refused_with_their_reason(
    client: TestClient, submission: Any, status: int, code: str | None
) -> None:
    answer = check(client, submission)
    assert answer.status_code == status, answer.text
    problem = answer.json()
    assert answer.headers["content-type"] == "application/problem+json"
    if code:
        assert problem["type"] == f"urn:gis-service:problem:{code}"
    assert len(problem["detail"]) > 10


def test_the_place_of_the_fault_is_named(client: TestClient) -> None:
    problem = check(client, {"type": "Feature", "properties": {}, "geometry": BOW_TIE}).json()
    assert problem["errors"]
    assert "110.305" in problem["errors"][0]["reason"]


def test_bodies_that_are_no_requests(client: TestClient) -> None:
    def post(content: bytes) -> Any:
        return client.post(EXECUTION, content=content)

    assert post(b"{").status_code == 422
    assert post(b'{"inputs": 5}').status_code == 400
    assert post(b'{"inputs": {}}').json()["errors"][0]["at"] == "/inputs/submission"
    assert post(b'{"inputs": {"submission": {}, "extra": 1}}').status_code == 400
    assert post(b"[" * 100_000).status_code == 413
    assert post(b'{"inputs": {"submission": {"a": NaN}}}').status_code == 422
    unknown = client.post("/ogc/processes/nobody/execution", json={"inputs": {}})
    assert unknown.status_code == 404


def _wheel(corners: int) -> shapely.Polygon:
    angles = np.linspace(0, 2 * math.pi, corners, endpoint=False)
    radii = 0.02 + 0.001 * np.sin(40 * angles)
    return shapely.Polygon(
        np.column_stack((110.32 + radii * np.cos(angles), 19.90 + radii * np.sin(angles)))
    )


def test_a_site_of_many_vertices_has_a_defined_answer(client: TestClient) -> None:
    answer = check(client, feature(_wheel(96_000), name="96,001 vertices", land_take=True))
    assert answer.status_code == 200, answer.text
    assert answer.json()["submission"]["area_m2"] > 0
    refused = check(client, feature(_wheel(101_000)))
    assert refused.status_code == 413
    assert "100,000" in refused.json()["detail"]


def test_killer_geometry_ends_at_the_deadline_and_the_service_lives(client: TestClient) -> None:
    """Two valid combs, 2,803 vertices each: 50 s in an overlay (reliability.md 2.4)."""
    teeth = 700
    ring = [(0, 0)]
    for i in range(teeth):
        x = 2 * i
        ring += [(x, 2 * teeth), (x + 1, 2 * teeth), (x + 1, 1), (x + 2, 1)]
    ring += [(2 * teeth, 0), (0, 0)]
    scale = 0.02 / teeth
    comb = shapely.Polygon([(110.2 + x * scale, 19.8 + y * scale) for x, y in ring])
    assert comb.is_valid
    answer = check(client, feature(comb, name="comb", land_take=True))
    assert answer.status_code in (200, 422)
    assert client.get("/readyz").status_code == 200


def test_form_lists_what_the_rules_ask(client: TestClient) -> None:
    names = {entry["name"] for entry in client.get("/submission-form").json()["attributes"]}
    assert {"land_take", "floor_area_ratio", "building_height_m"} <= names


def test_processes_are_described(client: TestClient) -> None:
    listed = client.get("/ogc/processes", headers={"accept": "application/json"}).json()
    assert {"conflict-check", "echo"} <= {one["id"] for one in listed["processes"]}
    described = client.get(
        "/ogc/processes/conflict-check", headers={"accept": "application/json"}
    ).json()
    assert "submission" in described["inputs"]
    echoed = client.post("/ogc/processes/echo/execution", json={"inputs": {"message": "你好"}})
    assert echoed.json() == {"message": "你好"}
