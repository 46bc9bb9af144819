"""Taking a submission in: read, judged, and stored with its report in one transaction."""

import datetime
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import orjson

from gis_service.checking import Judged, class_of, judge_request, keep_report
from gis_service.library import Library
from gis_service.submissions import record
from gis_service.submissions.claims import Claim, claimed, key_of
from gis_service.submissions.delivery import Delivery, check_request
from gis_service.submissions.record import Step
from layers.errors import Conflict


@dataclass(frozen=True, slots=True)
class Sender:
    """Who submits; ``scope`` keeps idempotency keys of different senders apart."""

    name: str
    scope: str = ""
    idempotency_key: str | None = None
    trusted: bool = False
    """Whether files are the sender's own on this machine."""


def take_in(
    library: Library,
    delivery: Delivery,
    sender: Sender,
    show: Callable[[dict[str, Any]], dict[str, Any]] = lambda submission: submission,
) -> bytes:
    """Check a submission and keep it; gives the answer as JSON, for a known key the first one.

    Raises what a check raises; then nothing is stored and the key is free again. ``show`` makes
    the sender's view of the submission.
    """
    key = None
    if sender.idempotency_key is not None:
        key = key_of(sender.idempotency_key, sender.scope, delivery.fingerprint())
    with claimed(library, key) as claim:
        if claim is not None and claim.answer is not None:
            return claim.answer
        received = datetime.datetime.now(datetime.UTC)
        with check_request(library, delivery, trusted=sender.trusted) as request:
            judged = judge_request(library, request)
        return _keep(library, delivery, sender, judged, claim, received, show)


def _keep(
    library: Library,
    delivery: Delivery,
    sender: Sender,
    judged: Judged,
    claim: Claim | None,
    received: datetime.datetime,
    show: Callable[[dict[str, Any]], dict[str, Any]],
) -> bytes:
    """Report, submission and its first two steps; or nothing, where the claim was lost."""
    submission_id, checked = str(uuid.uuid4()), datetime.datetime.now(datetime.UTC)
    steps = (
        (Step("received", sender.name), received),
        (Step("checked", "gis-service"), checked),
    )
    answer = orjson.dumps(show(_document(submission_id, delivery, judged, steps)))
    with library.pool.connection() as connection, connection.transaction():
        if claim is not None and not claim.end(connection):
            raise Conflict(
                "The check took so long that the same request was taken up again; ask for that.",
                "核查耗时过长，同一请求已被重新受理；请稍后查询。",
                code="request-at-work",
            )
        keep_report(library, connection, judged)
        record.keep(
            connection, submission_id, delivery, judged, class_of(library, judged.report), claim,
            answer, received,
        )  # fmt: skip
        for number, (step, at) in enumerate(steps, start=1):
            record.add_step(connection, submission_id, number, step, at)
    return answer


def _document(
    submission_id: str,
    delivery: Delivery,
    judged: Judged,
    steps: tuple[tuple[Step, datetime.datetime], ...],
) -> dict[str, Any]:
    """The submission as a reader will find it."""
    submission = judged.submission
    row = {
        "id": submission_id,
        "created": steps[0][1],
        "name": submission.name,
        "received": record.received_json(delivery, judged),
        "request": delivery.asked(),
        "normalised_sha256": submission.sha256,
        "source_crs": submission.source_crs,
        "area_m2": round(submission.area_m2, 2),
        "repairs": [one.as_json() for one in submission.repairs],
        "notes": [one.as_json() for one in submission.notes],
        "report_id": judged.report["report_id"],
        "outcome": judged.report["outcome"],
    }
    history = [
        {"number": n, "state": step.state, "at": at, "actor": step.actor, "reason": None,
         "override_reason": None, "valid_until": None}
        for n, (step, at) in enumerate(steps, start=1)
    ]  # fmt: skip
    return record.as_json(row, history)
