"""Jobs of OGC processes as rows: taken, looked at, dismissed; their results are kept with them.

A row and its place in the queue are one transaction (a trigger puts it there), so a job is never
lost between them. What a job gives outlives workers and restarts, and ends after
``KEPT_DAYS``.
"""

import datetime
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson
from psycopg.types.json import Jsonb

from gis_service.processes import PROCESSES, Process
from gis_service.processes.inputs import Execution
from layers.database import Access, Connection, row, rows, statements
from layers.errors import Conflict, NotFound
from layers.text import Text

_SQL: Final = statements("gis_service", "process_jobs.sql")
KEPT_DAYS: Final = 30
STATUSES: Final = ("accepted", "running", "successful", "failed", "dismissed")
_LAST_NUMBER: Final = 2**62
_WORDS: Final[Mapping[str, Text]] = {
    "accepted": Text(zh="等待执行", en="waiting"),
    "running": Text(zh="正在执行", en="running"),
    "successful": Text(zh="已完成", en="done"),
    "failed": Text(zh="失败", en="failed"),
    "dismissed": Text(zh="已取消", en="dismissed"),
}


@dataclass(frozen=True, slots=True)
class JobQuery:
    """Which jobs are listed, newest first; ``caller`` None = anybody.

    ``since`` and ``until`` bound when they were taken, the durations how long they have run.
    """

    caller: str | None
    everything: bool = False
    process_ids: Sequence[str] | None = None
    statuses: Sequence[str] | None = None
    limit: int = 100
    before: int = _LAST_NUMBER
    offset: int = 0
    since: datetime.datetime | None = None
    until: datetime.datetime | None = None
    shortest_s: float | None = None
    longest_s: float | None = None


def add_job(
    connection: Connection,
    process: Process,
    execution: Execution,
    access: Access,
    caller: str | None,
) -> uuid.UUID:
    """Take a job; it is in the queue when this is committed."""
    request = {
        "inputs": dict(execution.inputs),
        "outputs": execution.outputs,
        "response": execution.response,
    }
    made = row(
        connection, _SQL["add"], process_id=process.id, access_class=access, caller=caller,
        request=Jsonb(request),
        subscriber=Jsonb(dict(execution.subscriber)) if execution.subscriber else None,
    )  # fmt: skip
    if made is None:
        raise Conflict("The job was not taken.", "任务未被接收。")
    found: uuid.UUID = made["id"]
    return found


def job(connection: Connection, job_id: str) -> dict[str, Any]:
    """A job's row without its result, or ``NotFound``."""
    found = row(connection, _SQL["job"], job_id=_number(job_id))
    if found is None:
        raise _no_job(job_id)
    return found


def list_jobs(connection: Connection, query: JobQuery) -> list[dict[str, Any]]:
    """One more than ``query.limit`` where others follow."""
    return rows(
        connection, _SQL["list"], before=query.before, caller=query.caller,
        everything=query.everything, limit=query.limit + 1, offset=query.offset,
        shared=[one.id for one in PROCESSES.values() if one.shared],
        process_ids=_or_none(query.process_ids), statuses=_or_none(query.statuses),
        since=query.since, until=query.until, shortest_s=query.shortest_s,
        longest_s=query.longest_s,
    )  # fmt: skip


def _or_none(values: Sequence[str] | None) -> list[str] | None:
    return None if values is None else list(values)


def dismiss(connection: Connection, job_id: str) -> dict[str, Any]:
    """Stop a job that waits or runs, or take away the result of one that has ended."""
    job(connection, job_id)
    row(connection, _SQL["dismiss"], job_id=_number(job_id))
    return job(connection, job_id)


def outputs_of(connection: Connection, job_id: str) -> tuple[Mapping[str, Any], dict[str, Any]]:
    """A job that has ended well, with its outputs; else an error that says why there are none."""
    found = row(connection, _SQL["result"], job_id=_number(job_id))
    if found is None:
        raise _no_job(job_id)
    if found["status"] in ("accepted", "running"):
        raise NotFound(
            "The job has not ended yet; ask for its status first.",
            "任务尚未结束，请先查询其状态。",
            code="result-not-ready",
        )
    if found["result"] is None:
        said = Text.model_validate(found["message"]) if found["message"] else None
        state = _WORDS[found["status"]]
        raise Conflict(
            f"The job has no result ({state.en}). {said.en if said else ''}".strip(),
            f"任务没有结果（{state.zh}）。{said.zh if said else ''}",
            code="job-without-result",
        )
    outputs: dict[str, Any] = orjson.loads(bytes(found["result"]))
    return found, outputs


def status_info(found: Mapping[str, Any], address: str, language: str) -> dict[str, Any]:
    """``statusInfo`` of the standard; what is not known yet is left out and never null."""
    said = Text.model_validate(found["message"]) if found["message"] else _WORDS[found["status"]]
    body = {
        "type": "process",
        "processID": found["process_id"],
        "jobID": str(found["id"]),
        "status": found["status"],
        "message": said.in_language(language),
        "progress": found["progress"],
        **{name: _stamp(found[name]) for name in ("created", "started", "updated", "finished")},
    }
    here = f"{address}/ogc/jobs/{found['id']}"
    links = [
        {"href": here, "rel": "self", "type": "application/json"},
        {"href": f"{address}/ogc/jobs", "rel": "up", "type": "application/json"},
    ]
    if found["status"] == "successful":
        links.append(
            {
                "href": f"{here}/results",
                "rel": "http://www.opengis.net/def/rel/ogc/1.0/results",
                "type": "application/json",
            }
        )
    return {**{name: value for name, value in body.items() if value is not None}, "links": links}


def _stamp(when: datetime.datetime | None) -> str | None:
    if when is None:
        return None
    return when.astimezone(datetime.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _number(job_id: str) -> uuid.UUID:
    try:
        return uuid.UUID(job_id)
    except ValueError as error:
        raise _no_job(job_id) from error


def _no_job(job_id: str) -> NotFound:
    return NotFound(
        f"There is no job '{job_id[:60]}'.", f"没有任务“{job_id[:60]}”。", code="no-such-job"
    )


class JobRun:
    """One attempt at a job; a late finisher, or one of a dismissed job, changes nothing."""

    def __init__(self, connection: Connection, job_id: str) -> None:
        """Begin; ``wanted`` is False where there is nothing to do."""
        self._connection, self._job_id = connection, _number(job_id)
        begun = row(connection, _SQL["start"], job_id=self._job_id)
        self.wanted = begun is not None
        self._attempt: int = begun["attempt"] if begun else 0
        self.process_id: str = begun["process_id"] if begun else ""
        self.access: Access = begun["access_class"] if begun else "open"
        self.request: Mapping[str, Any] = begun["request"] if begun else {}

    def is_wanted(self) -> bool:
        """Whether nobody has dismissed it meanwhile."""
        found = row(self._connection, _SQL["is_wanted"], job_id=self._job_id, attempt=self._attempt)
        return bool(found and found["wanted"])

    def tell_progress(self, share: float) -> None:
        """Let others see how far it is; the end is told by ``finish`` alone."""
        percent = max(0, min(99, int(share * 100)))
        self._connection.execute(
            _SQL["progress"],
            {"job_id": self._job_id, "attempt": self._attempt, "progress": percent},
        )

    def finish(self, outputs: Mapping[str, Any]) -> Mapping[str, str]:
        """Keep what it gives; the addresses that are to be told."""
        return self._end("successful", orjson.dumps(dict(outputs)), None)

    def fail(self, reason: Text) -> Mapping[str, str]:
        """Keep why it gives nothing."""
        return self._end("failed", None, Jsonb({"zh": reason.zh, "en": reason.en}))

    def _end(self, status: str, result: bytes | None, message: Any) -> Mapping[str, str]:
        found = row(
            self._connection, _SQL["finish"], job_id=self._job_id, attempt=self._attempt,
            status=status, result=result, message=message,
        )  # fmt: skip
        return (found["subscriber"] or {}) if found else {}


def fail_lost(connection: Connection) -> list[str]:
    """Mark jobs as failed whose workers died under them too often; gives their ids."""
    reason = Text(
        zh="执行任务的进程多次异常结束。", en="The worker of the job died under it too often."
    )
    message = Jsonb({"zh": reason.zh, "en": reason.en})
    return [str(one["id"]) for one in rows(connection, _SQL["fail_lost"], message=message)]


def remove_old(connection: Connection) -> None:
    """Results do not stay for ever."""
    connection.execute(_SQL["remove_old"], {"days": KEPT_DAYS})
