"""What officers decide, what it reserves, and what two of them cannot both do."""

import threading
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import orjson
import pytest
from psycopg import errors as pg

from gis_service.checking import stored_report
from gis_service.jobs.approvals import expire_approvals
from gis_service.library import Library, today
from gis_service.submissions import decisions, record
from gis_service.submissions.decisions import Approval
from gis_service.submissions.delivery import Delivery
from gis_service.submissions.intake import Sender, take_in
from gis_service.submissions.ledger import Posting, entries, list_quotas, post, set_quota
from gis_service.verification import replay, verify
from layers.errors import BadParameter, Conflict, NotFound
from tests.gis_service.submissions.conftest import COUNTY, DAYS, OFFICER, name_of

Site = Callable[..., dict[str, Any]]
Submitted = Callable[..., str]
WANG = Approval("王")
AGAINST = Approval("王", override_reason="市政府专题会议纪要〔2026〕3号")


@pytest.fixture
def submitted(library: Library, site: Site) -> Submitted:
    def send(**options: Any) -> str:
        content = orjson.dumps(site(**options))
        found = orjson.loads(take_in(library, Delivery(content), Sender("甲")))
        return str(found["id"])

    return send


def read(library: Library, submission_id: str) -> dict[str, Any]:
    with library.pool.connection() as connection:
        return record.read(connection, submission_id)


def left(library: Library) -> float:
    with library.pool.connection() as connection:
        return float(list_quotas(connection, admin_code=COUNTY)[0]["remaining_m2"])


def taken(library: Library, submission_id: str) -> float:
    """What the report of a submission measured."""
    report = stored_report(library, read(library, submission_id)["report_id"])
    (finding,) = report["findings"]
    return float(finding["measured"]["value"])


def decide(library: Library, act: Callable[..., Any], *arguments: Any) -> dict[str, Any]:
    with library.pool.connection() as connection:
        found: dict[str, Any] = act(connection, *arguments)
        return found


def approve(library: Library, submission_id: str, how: Approval = WANG) -> dict[str, Any]:
    return decide(library, decisions.approve, submission_id, how)


def test_an_approval_reserves_what_the_report_measured(
    library: Library, submitted: Submitted
) -> None:
    one = submitted()
    found = approve(library, one, Approval("王", "符合"))
    assert found["state"] == "approved"
    assert found["history"][-1] | {"at": ""} == {
        "state": "approved", "at": "", "actor": "王", "reason": "符合",
    }  # fmt: skip
    assert taken(library, one) == pytest.approx(11_640, rel=1e-3)
    assert left(library) == round(30_000 - taken(library, one), 2)
    with library.pool.connection() as connection:
        entry = entries(connection, list_quotas(connection)[0]["id"])[-1]
    assert (entry["kind"], entry["submission_id"], entry["actor"]) == ("reserve", one, "王")
    with pytest.raises(Conflict, match="is approved"):
        approve(library, one)


def test_a_later_check_sees_what_is_reserved_and_replays_stay(
    library: Library, submitted: Submitted
) -> None:
    one, other, third = (submitted(west=109.80 + n / 100) for n in range(3))
    before = stored_report(library, read(library, third)["report_id"])
    assert before["outcome"] == "pass"
    approve(library, one)
    approve(library, other)
    fourth = submitted(west=109.84)
    assert read(library, fourth)["outcome"] == "violation"
    assert replay(library, before)["digest"] == before["digest"]
    assert verify(library, before, replay_too=True).valid
    pinned = before["provenance"]["quotas"]
    assert [(q["admin_code"], q["granted_m2"], q["reserved_m2"], q["last_entry"])
            for q in pinned] == [(COUNTY, 30_000, 0, 1)]  # fmt: skip


def test_a_ledger_that_was_pinned_otherwise_gives_another_digest(
    library: Library, submitted: Submitted
) -> None:
    report = stored_report(library, read(library, submitted())["report_id"])
    report["provenance"]["quotas"][0]["granted_m2"] = 1.0
    assert replay(library, report)["outcome"] == "violation"
    assert not verify(library, report, replay_too=True).valid


def test_what_others_took_since_the_check_is_gone(library: Library, submitted: Submitted) -> None:
    """All three passed their check; the ledger has room for two. No reason changes that."""
    one, other, third = (submitted(west=109.80 + n / 100) for n in range(3))
    approve(library, one)
    approve(library, other)
    for how in (WANG, AGAINST):
        with pytest.raises(Conflict) as caught:
            approve(library, third, how)
        assert caught.value.code == "quota-exhausted"
    assert read(library, third)["state"] == "checked", "the decision went with the reservation"


def test_two_approvals_at_once_that_together_exceed_it(
    library: Library, submitted: Submitted
) -> None:
    """Real connections of two officers; exactly one wins, whoever is first."""
    big = [submitted(west=109.80 + n / 100, side=1.3) for n in range(2)]  # 19,670 m2 each
    assert all(read(library, one)["outcome"] == "pass" for one in big)
    barrier = threading.Barrier(2)
    ended: dict[str, str] = {}

    def act(submission_id: str) -> None:
        with library.pool.connection() as connection:
            barrier.wait(20)
            try:
                decisions.approve(connection, submission_id, WANG)
                ended[submission_id] = "approved"
            except Conflict as error:
                ended[submission_id] = error.code

    threads = [threading.Thread(target=act, args=(one,)) for one in big]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(ended.values()) == ["approved", "quota-exhausted"]
    assert {one: read(library, one)["state"] for one in big} == {
        one: "approved" if ended[one] == "approved" else "checked" for one in big
    }
    assert left(library) == round(30_000 - taken(library, big[0]), 2)


def test_two_officers_at_once_on_one_submission(library: Library, submitted: Submitted) -> None:
    one = submitted()
    barrier = threading.Barrier(2)
    ended: list[str] = []

    def act(how: Callable[[Any], Any]) -> None:
        with library.pool.connection() as connection:
            barrier.wait(20)
            try:
                ended.append(how(connection)["state"])
            except Conflict:
                ended.append("refused")

    acts = (
        lambda c: decisions.approve(c, one, WANG),
        lambda c: decisions.approve(c, one, Approval("李")),
    )
    threads = [threading.Thread(target=act, args=(how,)) for how in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(ended) == ["approved", "refused"]
    assert left(library) == round(30_000 - taken(library, one), 2)


def test_against_the_report_only_with_a_reason_that_stays(
    library: Library, submitted: Submitted
) -> None:
    large = submitted(side=2.0)  # 46,560 m2 where 30,000 are left
    assert read(library, large)["outcome"] == "violation"
    for how in (WANG, Approval("王", "同意"), Approval("王", override_reason="  ")):
        with pytest.raises(Conflict) as caught:
            approve(library, large, how)
        assert caught.value.code == "override-reason-needed"
    found = approve(library, large, AGAINST)
    assert found["history"][-1]["override_reason"] == AGAINST.override_reason
    assert left(library) == round(30_000 - taken(library, large), 2) < 0
    with library.pool.connection() as connection:
        entry = entries(connection, list_quotas(connection)[0]["id"])[-1]
    assert entry["exceeds"] is True
    assert entry["reason"] == AGAINST.override_reason


def test_the_database_itself_wants_the_reason(library: Library, submitted: Submitted) -> None:
    large = submitted(side=2.0)
    with library.pool.connection() as connection, pytest.raises(pg.CheckViolation):
        record.add_step(connection, large, 3, record.Step("approved", "王"))


def test_an_undetermined_report_needs_the_reason_too(
    library: Library, submitted: Submitted
) -> None:
    """A site beyond the county: nobody's quota. Nothing is reserved for it."""
    away = submitted(west=109.95)
    assert read(library, away)["outcome"] == "undetermined"
    with pytest.raises(Conflict):
        approve(library, away)
    assert approve(library, away, AGAINST)["state"] == "approved"
    assert left(library) == 30_000


def test_an_exempted_project_takes_nothing_of_the_county(
    library: Library, submitted: Submitted
) -> None:
    one = submitted(side=2.0, project_level="national-major")
    assert read(library, one)["outcome"] == "conditional"
    approve(library, one)
    assert left(library) == 30_000


def test_rejection_booking_and_their_turns(library: Library, submitted: Submitted) -> None:
    one, other, third = (submitted(west=109.80 + n / 100) for n in range(3))
    with pytest.raises(Conflict):
        decide(library, decisions.book, one, "王")
    approve(library, one)
    approve(library, other)
    found = decide(library, decisions.reject, one, "李", "用地单位撤回")
    assert [e["state"] for e in found["history"]] == ["received", "checked", "approved", "rejected"]
    assert left(library) == round(30_000 - taken(library, other), 2)
    decide(library, decisions.book, other, "李", "供地批复")
    with library.pool.connection() as connection:
        (quota,) = list_quotas(connection)
    assert (quota["reserved_m2"], quota["booked_m2"]) == (0, taken(library, other))
    decide(library, decisions.reject, third, "李", "资料不全")
    for ended in (one, other, third):
        for act in (
            lambda c, i: decisions.approve(c, i, WANG),
            lambda c, i: decisions.reject(c, i, "王", "再否"),
            lambda c, i: decisions.book(c, i, "王"),
        ):
            with pytest.raises(Conflict) as caught:
                decide(library, act, ended)
            assert caught.value.code == "wrong-state"


def test_an_approval_lapses_after_its_last_day(
    library: Library, submitted: Submitted, granted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = submitted(), submitted(west=109.81)
    last = today() + timedelta(days=30)
    approve(library, one, Approval("王", valid_until=last))
    approve(library, other)
    monkeypatch.setattr(decisions, "today", lambda: last)
    assert expire_approvals(granted) == [], "the last day is still one of the approval"
    monkeypatch.setattr(decisions, "today", lambda: last + timedelta(days=1))
    assert expire_approvals(granted) == [one]
    assert expire_approvals(granted) == []
    assert read(library, one)["state"] == "expired"
    assert read(library, other)["state"] == "approved"
    assert left(library) == round(30_000 - taken(library, other), 2)


def test_a_booked_approval_does_not_lapse(
    library: Library, submitted: Submitted, granted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = submitted()
    approve(library, one, Approval("王", valid_until=today()))
    decide(library, decisions.book, one, "王")
    monkeypatch.setattr(decisions, "today", lambda: today() + timedelta(days=1))
    assert expire_approvals(granted) == []


@pytest.mark.parametrize(
    "how",
    [
        Approval("", "x"),
        Approval("  "),
        Approval("王", "x" * 4001),
        Approval("王", "a\x00b"),
        Approval("王", valid_until=today() - timedelta(days=1)),
    ],
)
def test_words_of_a_decision(library: Library, submitted: Submitted, how: Approval) -> None:
    with pytest.raises(BadParameter):
        approve(library, submitted(), how)


def test_a_rejection_says_why(library: Library, submitted: Submitted) -> None:
    with pytest.raises(BadParameter):
        decide(library, decisions.reject, submitted(), "王", " ")
    with pytest.raises(NotFound):
        decide(library, decisions.reject, "no-such", "王", "x")


def test_a_missing_quota_at_approval_is_said(library: Library, submitted: Submitted) -> None:
    """The report pins a period that this ledger (another copy, say) does not hold."""
    one = submitted()
    with library.pool.connection() as connection:
        report = stored_report(library, read(library, one)["report_id"])
        report["findings"][0]["details"][0]["period"] = "2036-2050"
        connection.execute(
            "UPDATE library.report SET body = %s WHERE id = %s",
            (orjson.dumps(report), report["report_id"]),
        )
        with pytest.raises(NotFound, match="2036-2050"):
            decisions.approve(connection, one, WANG)
    assert read(library, one)["state"] == "checked"


def test_equality_passes_to_the_cent(library: Library, submitted: Submitted) -> None:
    one = submitted()
    with library.pool.connection() as connection:
        set_quota(connection, name_of(), DAYS, Decimal(str(taken(library, one))), OFFICER)
    exact = submitted(west=109.80)
    assert read(library, exact)["outcome"] == "pass"
    approve(library, exact)
    assert left(library) == 0
    with pytest.raises(Conflict), library.pool.connection() as connection:
        post(connection, list_quotas(connection)[0]["id"], "reserve", Decimal("0.01"),
             Posting("王", one))  # fmt: skip
