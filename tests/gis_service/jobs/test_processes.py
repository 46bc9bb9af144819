"""Jobs of OGC processes: durable, dismissed, paged, told to registered addresses only."""

import http.server
import json
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from starlette.testclient import TestClient

from gis_service import access_keys, process_jobs, start
from gis_service.app import create_app
from gis_service.jobs.processes import run_job
from gis_service.jobs.workshop import open_workshop
from gis_service.process_jobs import JobRun
from gis_service.service_login import service_address
from gis_service.settings import Settings
from layers.database import Connection, connect
from layers.text import Text

from .conftest import PROJECT, set_all, until
from .test_worker import stalled

ECHO = "/ogc/processes/echo/execution"
ASYNC = {"prefer": "respond-async, wait=10"}
WORKER = """
import sys
from pathlib import Path
from gis_service.jobs.worker import WorkerPlan, WorkerTimes, run_worker
from gis_service.settings import Settings

if __name__ == "__main__":
    settings = Settings(config_dir=Path(sys.argv[2]), data_dir=Path(sys.argv[3]))
    times = WorkerTimes(1.0, heartbeat_s=0.3, stalled_after_s=1.0, poll_s=0.2)
    sys.exit(0 if run_worker(settings, sys.argv[1], WorkerPlan(times=times)) else 1)
"""


@dataclass
class Office:
    """A service with few rights, the owner's connection, and workers as processes."""

    client: TestClient
    owner: Connection
    dsn: str
    settings: Settings
    running: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def work(self) -> subprocess.Popen[bytes]:
        script = self.settings.data_dir / "worker.py"
        script.write_text(WORKER)
        with (self.settings.data_dir / "worker.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, str(script), self.dsn, str(self.settings.config_dir),
                 str(self.settings.data_dir)],
                stdout=log, stderr=log, env={"PYTHONPATH": str(PROJECT), "PATH": "/usr/bin:/bin"},
            )  # fmt: skip
        self.running.append(process)
        return process

    def ask(self, inputs: dict[str, Any], **more: Any) -> str:
        answer = self.client.post(ECHO, json={"inputs": inputs, **more}, headers=ASYNC)
        assert answer.status_code == 201, answer.text
        assert answer.headers["location"].endswith(answer.json()["jobID"])
        return str(answer.json()["jobID"])

    def status(self, job: str) -> dict[str, Any]:
        found: dict[str, Any] = self.client.get(f"/ogc/jobs/{job}").json()
        return found

    def ends(self, job: str) -> dict[str, Any]:
        def ended() -> dict[str, Any] | None:
            found = self.status(job)
            return found if found["status"] not in ("accepted", "running") else None

        found: dict[str, Any] = until(ended)
        return found


@pytest.fixture
def office(queue_dsn: str, tmp_path: Path) -> Iterator[Office]:
    shutil.copytree(PROJECT / "config", tmp_path / "config")
    settings = Settings(
        config_dir=tmp_path / "config", data_dir=tmp_path, check_processes=1, pool_size=4
    )
    with (
        connect(queue_dsn) as owner,
        start.library(settings, service_address(settings, queue_dsn)) as library,
        TestClient(create_app(library), base_url="http://localhost") as client,
    ):
        made = Office(client, owner, queue_dsn, settings)
        yield made
        for process in made.running:
            if process.poll() is None:
                process.kill()
            process.wait()


def test_a_job_is_taken_done_and_its_result_kept(office: Office) -> None:
    job = office.ask({"message": "你好", "numbers": [1, 2]}, response="document")
    taken = office.status(job)
    assert taken["status"] == "accepted"
    assert None not in taken.values()
    early = office.client.get(f"/ogc/jobs/{job}/results")
    assert early.status_code == 404
    assert early.json()["type"].endswith("/ogcapi-processes-1/1.0/result-not-ready")
    office.work()
    assert office.ends(job)["status"] == "successful"
    results = office.client.get(f"/ogc/jobs/{job}/results")
    assert results.json() == {"message": "你好", "numbers": [1, 2]}


def test_a_running_job_has_no_null_members(office: Office) -> None:
    job = office.ask({"pause": 8})
    office.work()
    running = until(lambda: (s := office.status(job))["status"] == "running" and s)
    assert running["progress"] == 0
    assert running["started"]
    assert "finished" not in running
    assert None not in running.values()


def test_the_job_of_a_killed_worker_is_done_by_another(office: Office) -> None:
    job = office.ask({"message": "x", "pause": 4})
    first = office.work()
    until(lambda: office.status(job)["status"] == "running")
    first.send_signal(signal.SIGKILL)
    first.wait()
    office.work()
    until(lambda: stalled(office.dsn, 1.0))
    assert office.ends(job)["status"] == "successful"
    assert office.client.get(f"/ogc/jobs/{job}/results").json() == {"message": "x", "pause": 4}
    assert office.owner.execute("SELECT attempt FROM library.process_job").fetchone() == (2,)


def test_a_dismissed_job_stops_and_gives_nothing(office: Office) -> None:
    job = office.ask({"pause": 50})
    office.work()
    until(lambda: office.status(job)["status"] == "running")
    gone = office.client.delete(f"/ogc/jobs/{job}")
    assert gone.json()["status"] == "dismissed"
    # The worker is free again long before the pause would end.
    second = office.ask({"message": "next"})
    third = office.ask({"message": "and next"})
    assert office.ends(second)["status"] == office.ends(third)["status"] == "successful"
    assert office.status(job)["status"] == "dismissed"
    assert office.client.get(f"/ogc/jobs/{job}/results").status_code == 409


def test_a_late_finisher_changes_nothing(office: Office) -> None:
    job = office.ask({"message": "x"})
    first, second = JobRun(office.owner, job), JobRun(office.owner, job)
    assert first.wanted
    assert second.wanted
    assert not first.is_wanted()
    second.finish({"message": "second"})
    first.finish({"message": "first"})
    first.fail(Text(zh="败", en="failed"))
    assert office.client.get(f"/ogc/jobs/{job}/results").json() == {"message": "second"}
    assert not JobRun(office.owner, job).wanted


def test_a_job_that_cannot_be_done_says_why(office: Office, tmp_path: Path) -> None:
    site = {"type": "Point", "coordinates": [0, 0]}
    answer = office.client.post(
        "/ogc/processes/conflict-check/execution", headers=ASYNC,
        json={"inputs": {"submission": {"type": "Feature", "properties": {}, "geometry": site}}},
    )  # fmt: skip
    job = answer.json()["jobID"]
    told: list[str] = []
    with open_workshop(office.settings, office.dsn) as workshop:
        run_job(workshop, job, lambda: False, lambda _who, event, _news: told.append(event))
    failed = office.status(job)
    assert failed["status"] == "failed"
    assert "outside the region" in failed["message"]
    assert told == ["inProgressUri", "failedUri"]
    assert "outside the region" in office.client.get(f"/ogc/jobs/{job}/results").json()["detail"]


def test_jobs_of_workers_that_died_too_often_fail(office: Office) -> None:
    job = office.ask({"message": "x"})
    office.owner.execute("UPDATE library.process_job SET updated = now() - interval '2 minutes'")
    assert process_jobs.fail_lost(office.owner) == []  # it still waits in the queue
    set_all(office.owner, "failed")
    assert process_jobs.fail_lost(office.owner) == [job]
    assert office.status(job)["status"] == "failed"


def test_the_list_is_paged_filtered_and_shows_no_others(office: Office) -> None:
    jobs = [office.ask({"message": str(n)}) for n in range(5)]
    secret = access_keys.create(office.owner, "mine", "reader")[1]
    key = {"authorization": f"Bearer {secret}"}
    mine = office.client.post(ECHO, json={"inputs": {}}, headers={**ASYNC, **key}).json()["jobID"]
    site = {"submission": {"type": "Feature"}}
    checks = "/ogc/processes/conflict-check/execution"
    hidden = office.client.post(checks, json={"inputs": site}, headers=ASYNC).json()["jobID"]
    seen, page = [], office.client.get("/ogc/jobs", params={"limit": 2}).json()
    while True:
        assert len(page["jobs"]) <= 2
        seen += [one["jobID"] for one in page["jobs"]]
        following = [link["href"] for link in page["links"] if link["rel"] == "next"]
        if not following:
            break
        page = office.client.get(following[0]).json()
    assert seen == jobs[::-1]
    with_key = office.client.get("/ogc/jobs", headers=key).json()["jobs"]
    assert mine in [one["jobID"] for one in with_key]
    assert hidden not in [one["jobID"] for one in with_key]
    assert office.client.get("/ogc/jobs?processID=impact").json()["jobs"] == []
    assert office.client.get("/ogc/jobs?status=done").status_code == 400
    assert office.client.get("/ogc/jobs?nonsense=1").status_code == 400
    namesake = access_keys.create(office.owner, "mine", "reader")[1]
    for other in ({}, {"authorization": f"Bearer {namesake}"}):
        assert office.client.delete(f"/ogc/jobs/{mine}", headers=other).status_code == 403
        listed = office.client.get("/ogc/jobs", headers=other).json()["jobs"]
        assert mine not in [one["jobID"] for one in listed]
    assert office.client.delete(f"/ogc/jobs/{mine}", headers=key).json()["status"] == "dismissed"


def test_unknown_jobs_have_the_standards_type(office: Office) -> None:
    for path in ("/ogc/jobs/nobody", "/ogc/jobs/00000000-0000-0000-0000-000000000000"):
        answer = office.client.get(path)
        assert answer.status_code == 404
        assert answer.json()["type"].endswith("ogcapi-processes-1/1.0/no-such-job")


def test_a_login_of_the_service_cannot_touch_the_queue(office: Office) -> None:
    job = office.ask({"message": "x"})
    with connect(service_address(office.settings, office.dsn), access="open") as login:
        for statement in (
            "DELETE FROM procrastinate.procrastinate_jobs",
            "UPDATE library.process_job SET status = 'successful'",
            "INSERT INTO library.process_job (process_id, access_class, request)"
            " VALUES ('echo', 'restricted', '{}')",
        ):
            with pytest.raises(Exception, match=r"permission denied|row-level security"):
                login.execute(statement)
    assert office.status(job)["status"] == "accepted"


@contextmanager
def listener() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    heard: list[dict[str, Any]] = []

    class Ear(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            heard.append({"path": self.path, **json.loads(body)})
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Ear)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/hooks/", heard
    finally:
        server.shutdown()
        server.server_close()


def register(office: Office, **entries: list[dict[str, Any]]) -> None:
    path = office.settings.config_dir / "addresses.yml"
    path.write_text(yaml.safe_dump(entries), "utf-8")


def test_callbacks_go_to_registered_addresses_only(office: Office) -> None:
    with listener() as (address, heard):
        subscriber = {"successUri": f"{address}done", "inProgressUri": f"{address}begun"}
        refused = office.client.post(
            ECHO, json={"inputs": {}, "subscriber": subscriber}, headers=ASYNC
        )
        assert refused.status_code == 400
        assert refused.json()["type"].endswith("href-refused")
        register(office, callbacks=[{"location": address}])
        for other in (address.replace("hooks", "hooks2"), f"{address}../other",
                      "http://169.254.169.254/", "file:///etc/passwd"):  # fmt: skip
            body = {"inputs": {}, "subscriber": {"successUri": other}}
            assert office.client.post(ECHO, json=body, headers=ASYNC).status_code == 400, other
        job = office.ask({"message": "x"}, subscriber=subscriber)
        office.work()
        until(lambda: len(heard) == 2)
    assert {one["path"] for one in heard} == {"/hooks/done", "/hooks/begun"}
    done = next(one for one in heard if one["path"] == "/hooks/done")
    assert (done["jobID"], done["status"]) == (job, "successful")
    assert office.status(job)["status"] == "successful"


def test_a_deaf_subscriber_does_not_turn_the_job(office: Office) -> None:
    register(office, callbacks=[{"location": "http://127.0.0.1:9/hooks/"}])
    job = office.ask({}, subscriber={"successUri": "http://127.0.0.1:9/hooks/x"})
    office.work()
    assert office.ends(job)["status"] == "successful"


def test_inputs_come_from_registered_addresses_only(
    office: Office, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sites").mkdir()
    (tmp_path / "sites" / "m.json").write_text('"by reference"')
    files: Callable[..., Any] = lambda *a: http.server.SimpleHTTPRequestHandler(  # noqa: E731
        *a, directory=str(tmp_path)
    )
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), files)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        address = f"http://127.0.0.1:{server.server_port}/sites/"
        body = {"inputs": {"message": {"href": f"{address}m.json"}}, "response": "document"}
        assert office.client.post(ECHO, json=body).status_code == 400
        register(office, inputs=[{"location": address}])
        assert office.client.post(ECHO, json=body).json() == {"message": "by reference"}
        body = {"inputs": {"message": {"href": f"{address}../config/service.yml"}}}
        assert office.client.post(ECHO, json=body).status_code == 400
    finally:
        server.shutdown()
        server.server_close()


def test_the_pause_of_a_sync_run_holds_no_thread(office: Office) -> None:
    began = time.monotonic()
    answer = office.client.post(ECHO, json={"inputs": {"pause": 0.3}})
    assert answer.json() == {"pause": 0.3}
    assert time.monotonic() - began >= 0.3
