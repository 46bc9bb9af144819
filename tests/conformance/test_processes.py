"""OGC API Processes Part 1: core, description, JSON, HTML, job list, callback, dismiss."""

import re
from typing import Any

import pytest
from openapi_spec_validator import validate

from .conftest import Site

ECHO = "/ogc/processes/echo/execution"
EXCEPTIONS = "http://www.opengis.net/def/exceptions/ogcapi-processes-1/1.0/"
ASYNC = {"prefer": "respond-async"}


def requirement(identifier: str) -> pytest.MarkDecorator:
    return pytest.mark.requirement("ogcapi-processes-1", identifier)


def run(site: Site, body: Any, **headers: str) -> Any:
    return site.client.post(ECHO, json=body, headers=headers)


def job(site: Site, **body: Any) -> str:
    answer = run(site, {"inputs": {}, **body}, **ASYNC)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["jobID"])


@requirement("/req/core/landingpage-op")
@requirement("/req/core/landingpage-success")
def test_landing_page(site: Site) -> None:
    rels = {link["rel"] for link in site.get("/ogc")["links"]}
    assert {"service-desc", "conformance"} <= rels
    assert "http://www.opengis.net/def/rel/ogc/1.0/processes" in rels
    assert "http://www.opengis.net/def/rel/ogc/1.0/job-list" in rels


@requirement("/req/core/api-definition-op")
@requirement("/req/core/api-definition-success")
@requirement("/req/oas30/oas-definition-1")
@requirement("/req/oas30/completeness")
@requirement("/req/oas30/exceptions-codes")
def test_api_definition(site: Site) -> None:
    document = site.get("/ogc/api", f="json")
    validate(document)
    for path in ("/processes", "/processes/{process}", "/processes/{process}/execution", "/jobs",
                 "/jobs/{job}", "/jobs/{job}/results"):  # fmt: skip
        for operation in document["paths"][path].values():
            assert "default" in operation["responses"]


@requirement("/req/core/conformance-op")
@requirement("/req/core/conformance-success")
def test_conformance(site: Site) -> None:
    classes = site.get("/ogc/conformance")["conformsTo"]
    for name in ("core", "ogc-process-description", "json", "html", "oas30", "job-list",
                 "callback", "dismiss"):  # fmt: skip
        assert f"http://www.opengis.net/spec/ogcapi-processes-1/1.0/conf/{name}" in classes


@requirement("/req/core/http")
def test_methods(site: Site) -> None:
    assert site.client.get(ECHO).status_code == 405
    assert site.client.put("/ogc/processes", json={}).status_code == 405


@requirement("/req/core/process-list")
@requirement("/req/core/process-list-success")
@requirement("/req/core/pl-links")
def test_list_of_processes(site: Site) -> None:
    document = site.get("/ogc/processes")
    assert {"conflict-check", "echo", "impact", "plan-comparison"} <= {
        one["id"] for one in document["processes"]
    }
    assert "self" in {link["rel"] for link in document["links"]}
    for one in document["processes"]:
        assert one["version"]
        assert one["jobControlOptions"]
        assert any(link["rel"] == "self" for link in one["links"])


@requirement("/req/core/pl-limit-definition")
@requirement("/req/core/pl-limit-response")
def test_limit_of_the_list(site: Site) -> None:
    assert len(site.get("/ogc/processes", limit=2)["processes"]) == 2
    names = {one.get("name") for one in _parameters(site, "/processes")}
    assert "limit" in names


def _parameters(site: Site, path: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = site.get("/ogc/api", f="json")["paths"][path]["get"]["parameters"]
    return found


@requirement("/req/core/process-op")
@requirement("/req/core/process-success")
@requirement("/req/ogc-process-description/json-encoding")
@requirement("/req/ogc-process-description/inputs-def")
@requirement("/req/ogc-process-description/input-def")
@requirement("/req/ogc-process-description/input-mixed-type")
@requirement("/req/ogc-process-description/outputs-def")
@requirement("/req/ogc-process-description/output-def")
@pytest.mark.parametrize("name", ["echo", "conflict-check", "impact", "plan-comparison"])
def test_descriptions(site: Site, name: str) -> None:
    one = site.get(f"/ogc/processes/{name}")
    assert one["id"] == name
    assert one["outputTransmission"] == ["value"]
    for described in (*one["inputs"].values(), *one["outputs"].values()):
        assert described["schema"]
    rels = {link["rel"] for link in one["links"]}
    assert "http://www.opengis.net/def/rel/ogc/1.0/execute" in rels


@requirement("/req/core/process-exception-no-such-process")
@requirement("/req/core/job-creation-op")
def test_unknown_processes(site: Site) -> None:
    for answer in (
        site.client.get("/ogc/processes/nobody"),
        site.client.post("/ogc/processes/nobody/execution", json={"inputs": {}}),
    ):
        assert answer.status_code == 404
        assert answer.json()["type"] == EXCEPTIONS + "no-such-process"


@requirement("/req/core/job-creation-request")
@requirement("/req/core/job-creation-inputs")
@requirement("/req/core/job-creation-input-inline")
@requirement("/req/core/job-creation-input-inline-object")
@requirement("/req/core/job-creation-input-inline-mixed")
@requirement("/req/core/job-creation-success-sync-document")
def test_inputs_by_value(site: Site) -> None:
    inputs = {"message": "你好", "numbers": [1, 2.5]}
    answer = run(site, {"inputs": inputs, "response": "document"})
    assert answer.json() == inputs
    wrapped = {"message": {"value": "你好", "mediaType": "text/plain"}}
    answer = run(site, {"inputs": wrapped, "response": "document"})
    assert answer.json() == {"message": "你好"}


@requirement("/req/core/job-creation-input-array")
def test_arrays(site: Site) -> None:
    asked = {"inputs": {"numbers": [3, 2, 1]}, "outputs": {"numbers": {}}}
    assert run(site, asked).json() == [3, 2, 1]


@requirement("/req/core/job-creation-input-inline-bbox")
def test_boxes(site: Site) -> None:
    box = {"bbox": [109, 19, 110, 20], "crs": "http://www.opengis.net/def/crs/OGC/1.3/CRS84"}
    assert run(site, {"inputs": {"box": box}, "outputs": {"box": {}}}).json() == box


@requirement("/req/core/job-creation-input-ref")
def test_inputs_by_reference_come_from_registered_places_only(site: Site) -> None:
    """What is registered is held in tests/gis_service/jobs/test_processes.py."""
    for address in ("http://127.0.0.1/x.json", "http://169.254.169.254/", "file:///etc/passwd"):
        answer = run(site, {"inputs": {"message": {"href": address}}})
        assert answer.status_code == 400
        assert answer.json()["type"].endswith("href-refused")


@requirement("/req/core/job-creation-input-validation")
@requirement("/req/core/job-creation-input-cardinality")
@pytest.mark.parametrize(
    ("inputs", "at"),
    [
        ({"message": ["x"]}, "/inputs/message"), ({"message": 5}, "/inputs/message"),
        ({"pause": -1}, "/inputs/pause"), ({"pause": "2"}, "/inputs/pause"),
        ({"pause": 1e9}, "/inputs/pause"), ({"numbers": ["a"]}, "/inputs/numbers/0"),
        ({"box": {"bbox": [1, 2]}}, "/inputs/box/bbox"), ({"box": {}}, "/inputs/box"),
        ({"no_such": 1}, "/inputs/no_such"), ({"numbers": [1] * 2000}, "/inputs/numbers"),
    ],
)  # fmt: skip
def test_inputs_are_held_against_their_schemas(site: Site, inputs: Any, at: str) -> None:
    """Stock pygeoapi ran ``name: ["x"]`` and said Hello ['x']."""
    for headers in ({}, ASYNC):
        answer = run(site, {"inputs": inputs}, **headers)
        assert answer.status_code == 400
        assert answer.json()["errors"][0]["at"] == at
    missing = site.client.post("/ogc/processes/conflict-check/execution", json={"inputs": {}})
    assert missing.status_code == 400


@requirement("/req/core/job-creation-default-outputs")
def test_all_outputs_where_none_is_named(site: Site) -> None:
    inputs = {"message": "x", "pause": 0}
    assert run(site, {"inputs": inputs}).json() == inputs


@requirement("/req/core/job-creation-success-sync-raw-value-one")
def test_one_raw_output(site: Site) -> None:
    asked = {"inputs": {"message": "x", "pause": 0}, "outputs": {"message": {}}, "response": "raw"}
    assert run(site, asked).json() == "x"


@requirement("/req/core/job-creation-success-sync-raw-value-multi")
def test_several_raw_outputs(site: Site) -> None:
    inputs = {"message": "x", "numbers": [1]}
    answer = run(site, {"inputs": inputs, "outputs": {n: {} for n in inputs}, "response": "raw"})
    assert answer.headers["content-type"].startswith("multipart/related")
    assert re.findall(r"Content-ID: (\w+)", answer.text) == ["message", "numbers"]


@requirement("/req/core/job-creation-success-sync-raw-ref")
def test_outputs_by_reference_are_not_offered(site: Site) -> None:
    asked = {"inputs": {"message": "x"}, "outputs": {"message": {"transmissionMode": "reference"}}}
    assert run(site, asked).status_code == 400


@requirement("/req/core/job-creation-default-execution-mode")
@requirement("/req/core/job-creation-auto-execution-mode")
def test_sync_unless_preferred_otherwise(site: Site) -> None:
    assert run(site, {"inputs": {}}).status_code == 200
    assert run(site, {"inputs": {}}, prefer="respond-async, wait=5").status_code == 201
    plans = {"inputs": {"plans": ["overall-plan", "forest-plan"]}}
    answer = site.client.post("/ogc/processes/plan-comparison/execution", json=plans)
    assert answer.status_code == 201  # it has no other way


@requirement("/req/core/job-creation-success-async")
@requirement("/req/core/job-creation-success-async-header")
def test_jobs_are_taken_with_their_address(site: Site) -> None:
    answer = run(site, {"inputs": {}}, **ASYNC)
    assert answer.status_code == 201
    assert answer.headers["preference-applied"] == "respond-async"
    status = site.client.get(answer.headers["location"]).json()
    assert status["jobID"] == answer.json()["jobID"]
    assert status["status"] == "accepted"


@requirement("/req/core/job-op")
@requirement("/req/core/job-success")
def test_status_of_jobs(site: Site) -> None:
    one = job(site)
    for _ in range(2):
        status = site.get(f"/ogc/jobs/{one}")
        assert (status["type"], status["processID"]) == ("process", "echo")
        assert None not in status.values()
        assert {"jobID", "status", "created", "links"} <= set(status)
        site.work(one)
    assert status["status"] == "successful"
    assert status["progress"] == 100


@requirement("/req/core/job-exception-no-such-job")
@requirement("/req/core/job-results-exception-no-such-job")
def test_unknown_jobs(site: Site) -> None:
    for path in ("/ogc/jobs/nobody", "/ogc/jobs/nobody/results"):
        answer = site.client.get(path)
        assert answer.status_code == 404
        assert answer.json()["type"] == EXCEPTIONS + "no-such-job"


@requirement("/req/core/job-results-exception-results-not-ready")
def test_results_before_the_end(site: Site) -> None:
    answer = site.client.get(f"/ogc/jobs/{job(site)}/results")
    assert answer.status_code == 404
    assert answer.json()["type"] == EXCEPTIONS + "result-not-ready"


@requirement("/req/core/job-results")
@requirement("/req/core/job-results-async-document")
@requirement("/req/core/job-results-async-raw-value-one")
@requirement("/req/core/job-results-async-raw-value-multi")
def test_results_in_the_form_that_was_asked_for(site: Site) -> None:
    inputs = {"message": "x", "numbers": [1]}
    document = job(site, inputs=inputs, response="document")
    one = job(site, inputs=inputs, outputs={"message": {}})
    several = job(site, inputs=inputs, outputs={"message": {}, "numbers": {}})
    for taken in (document, one, several):
        site.work(taken)
    assert site.get(f"/ogc/jobs/{document}/results") == inputs
    assert site.client.get(f"/ogc/jobs/{one}/results").json() == "x"
    parts = site.client.get(f"/ogc/jobs/{several}/results")
    assert parts.headers["content-type"].startswith("multipart/related")


@requirement("/req/core/job-results-failed")
def test_results_of_a_failed_job(site: Site) -> None:
    site_far = {"type": "Point", "coordinates": [0, 0]}
    answer = site.client.post(
        "/ogc/processes/conflict-check/execution", headers=ASYNC,
        json={"inputs": {"submission": {"type": "Feature", "properties": {},
                                        "geometry": site_far}}},
    )  # fmt: skip
    failed = answer.json()["jobID"]
    site.work(failed)
    assert site.get(f"/ogc/jobs/{failed}")["status"] == "failed"
    results = site.client.get(f"/ogc/jobs/{failed}/results")
    assert results.status_code >= 400
    assert "outside the region" in results.json()["detail"]


@requirement("/req/job-list/job-list-op")
@requirement("/req/job-list/job-list-success")
@requirement("/req/job-list/links")
@requirement("/req/job-list/processid-mandatory")
def test_list_of_jobs(site: Site) -> None:
    one = job(site)
    document = site.get("/ogc/jobs")
    assert one == document["jobs"][0]["jobID"]
    assert all(entry["processID"] for entry in document["jobs"])
    assert {"self", "alternate"} <= {link["rel"] for link in document["links"]}


@requirement("/req/job-list/type-definition")
@requirement("/req/job-list/processID-definition")
@requirement("/req/job-list/status-definition")
@requirement("/req/job-list/datetime-definition")
@requirement("/req/job-list/duration-definition")
@requirement("/req/job-list/limit-definition")
def test_parameters_of_the_list_are_described(site: Site) -> None:
    names = {one.get("name") for one in _parameters(site, "/jobs")}
    assert names >= {
        "type", "processID", "status", "datetime", "minDuration", "maxDuration", "limit",
    }  # fmt: skip


@requirement("/req/job-list/limit-response")
def test_the_list_is_paged(site: Site) -> None:
    jobs = [job(site) for _ in range(5)]
    page, seen = site.get("/ogc/jobs", limit=2), []
    while True:
        assert len(page["jobs"]) <= 2
        seen += [one["jobID"] for one in page["jobs"]]
        following = [link["href"] for link in page["links"] if link["rel"] == "next"]
        if not following:
            break
        page = site.get(following[0])
    assert len(seen) == len(set(seen))
    assert seen[:5] == jobs[::-1]
    assert site.client.get("/ogc/jobs?limit=0").status_code == 400


@requirement("/req/job-list/type-response")
@requirement("/req/job-list/processID-response")
@requirement("/req/job-list/status-response")
def test_the_list_by_status_and_process(site: Site) -> None:
    done = job(site)
    site.work(done)
    listed = site.get("/ogc/jobs", status="successful", processID="echo", type="process")["jobs"]
    assert done in {one["jobID"] for one in listed}
    assert {(one["status"], one["processID"]) for one in listed} == {("successful", "echo")}
    for bad in ({"status": "done"}, {"processID": "nobody"}, {"type": "thing"}):
        assert site.client.get("/ogc/jobs", params=bad).status_code == 400


@requirement("/req/job-list/datetime-response")
@requirement("/req/job-list/duration-response")
def test_the_list_by_time(site: Site) -> None:
    done = job(site)
    site.work(done)
    day = site.get(f"/ogc/jobs/{done}")["created"][:10]
    for asked, there in (
        ({"datetime": f"{day}/.."}, True), ({"datetime": day}, True),
        ({"datetime": "../2001-01-01"}, False), ({"minDuration": "3600"}, False),
        ({"maxDuration": "3600"}, True), ({"minDuration": "0", "maxDuration": "600"}, True),
    ):  # fmt: skip
        listed = {one["jobID"] for one in site.get("/ogc/jobs", **asked)["jobs"]}
        assert (done in listed) == there, asked
    for bad in ({"datetime": "yesterday"}, {"minDuration": "long"}):
        assert site.client.get("/ogc/jobs", params=bad).status_code == 400


@requirement("/req/dismiss/job-dismiss-op")
@requirement("/req/dismiss/job-dismiss-success")
@requirement("/req/dismiss/job-dismiss-status")
def test_dismissal(site: Site) -> None:
    one = job(site)
    answer = site.client.delete(f"/ogc/jobs/{one}")
    assert answer.status_code == 200
    assert answer.json()["status"] == "dismissed"
    site.work(one)
    assert site.get(f"/ogc/jobs/{one}")["status"] == "dismissed"
    done = job(site)
    site.work(done)
    assert site.client.delete(f"/ogc/jobs/{done}").json()["status"] == "dismissed"
    assert site.client.get(f"/ogc/jobs/{done}/results").status_code >= 400
    assert site.client.delete("/ogc/jobs/nobody").json()["type"] == EXCEPTIONS + "no-such-job"


@requirement("/req/callback/job-creation-callback")
def test_callbacks_to_unregistered_addresses_are_refused(site: Site) -> None:
    """What is registered is told: tests/gis_service/jobs/test_processes.py."""
    body = {"inputs": {}, "subscriber": {"successUri": "http://127.0.0.1/hook"}}
    answer = run(site, body, **ASYNC)
    assert answer.status_code == 400
    assert answer.json()["type"].endswith("href-refused")


@requirement("/req/json/definition")
@requirement("/req/html/definition")
@requirement("/req/html/content")
def test_forms(site: Site) -> None:
    one = job(site)
    for path in ("/ogc/processes", "/ogc/processes/echo", "/ogc/jobs", f"/ogc/jobs/{one}"):
        page = site.client.get(path, headers={"accept": "text/html"})
        assert page.headers["content-type"].startswith("text/html")
        assert "echo" in page.text
        plain = site.client.get(path, headers={"accept": "application/json"})
        assert plain.headers["content-type"].startswith("application/json")
