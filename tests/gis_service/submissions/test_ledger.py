"""The ledger: entries stay, sums are theirs, and nobody gets what is not left."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from psycopg import errors as pg

from gis_service.submissions import ledger
from gis_service.submissions.ledger import (
    Posting,
    end_reservations,
    entries,
    list_quotas,
    post,
    quotas_for_check,
    set_quota,
)
from layers.database import Connection, connect
from layers.errors import BadParameter, Conflict
from tests.gis_service.submissions.conftest import COUNTY, DAYS, LEDGER, OFFICER, name_of

Stored = Callable[[str], str]


@pytest.fixture
def stored(connection: Connection) -> Stored:
    """Puts a submission into the database that reservations can name."""
    return lambda submission_id: stored_on(connection, submission_id)


def stored_on(connection: Connection, submission_id: str) -> str:
    connection.execute(
        "INSERT INTO library.report (id, created, outcome, digest, body, access_class)"
        " VALUES (%s, now(), 'pass', '', '', 'open')", (submission_id,)
    )  # fmt: skip
    connection.execute(
        "INSERT INTO library.submission (id, access_class, received, normalised_sha256, source_crs,"
        " area_m2, report_id, outcome) VALUES (%s, 'open', '{}', repeat('0', 64), 'EPSG:4490', 1,"
        " %s, 'pass')", (submission_id, submission_id),
    )  # fmt: skip
    return submission_id


def sums(connection: Connection) -> dict[str, Any]:
    (one,) = list_quotas(connection, admin_code=COUNTY)
    return one


def total_of(connection: Connection, quota_id: int) -> dict[str, float]:
    """The sums a second time, from the entries alone."""
    found = {"grant": 0.0, "reserve": 0.0, "release": 0.0, "book": 0.0}
    for one in entries(connection, quota_id):
        found[one["kind"]] += one["area_m2"]
    return {
        "granted_m2": found["grant"],
        "reserved_m2": round(found["reserve"] - found["release"] - found["book"], 2),
        "booked_m2": found["book"],
    }


def test_the_life_of_a_quota(connection: Connection, stored: Stored) -> None:
    quota = set_quota(connection, name_of(), DAYS, Decimal("1000.50"), OFFICER)
    for name, area in (("a", "400.25"), ("b", "600.25")):  # to the last cent
        post(connection, quota, "reserve", Decimal(area), Posting("王", stored(name)))
    assert sums(connection)["remaining_m2"] == 0
    end_reservations(connection, "a", "book", Posting("李", "a"))
    end_reservations(connection, "b", "release", Posting("李", "b", "过期"))
    end_reservations(connection, "b", "release", Posting("李", "b"))  # nothing left to end
    set_quota(connection, name_of(), DAYS, Decimal("900"), OFFICER)
    found = sums(connection)
    assert (found["granted_m2"], found["reserved_m2"], found["booked_m2"]) == (900, 0, 400.25)
    assert found["remaining_m2"] == 499.75
    assert total_of(connection, quota).items() <= found.items()
    told = entries(connection, quota)
    assert [(e["number"], e["kind"]) for e in told] == [
        (1, "grant"), (2, "reserve"), (3, "reserve"), (4, "book"), (5, "release"), (6, "grant"),
    ]  # fmt: skip
    assert told[4]["reason"] == "过期"
    assert told[4]["actor"] == "李"
    assert found["last_entry"] == 6
    assert [e["number"] for e in entries(connection, quota, after=4, most=1)] == [5]


def test_nobody_gets_a_cent_more_than_is_left(connection: Connection, stored: Stored) -> None:
    quota = set_quota(connection, name_of(), DAYS, Decimal(100), OFFICER)
    with pytest.raises(Conflict) as caught:
        post(connection, quota, "reserve", Decimal("100.01"), Posting("王", stored("a")))
    assert caught.value.code == "quota-exhausted"
    post(connection, quota, "reserve", Decimal("100.01"), Posting("王", "a"), exceeds=True)
    assert sums(connection)["remaining_m2"] == -0.01
    with pytest.raises(Conflict):  # who decided to exceed binds nobody else
        post(connection, quota, "reserve", Decimal("0.01"), Posting("王", stored("b")))
    with pytest.raises(Conflict):
        set_quota(connection, name_of(), DAYS, Decimal(99), OFFICER)
    assert total_of(connection, quota).items() <= sums(connection).items()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE library.quota_entry SET area_m2 = 1",
        "DELETE FROM library.quota_entry",
        "TRUNCATE library.quota_entry",
        "UPDATE library.quota SET granted_m2 = 1e9",
        "UPDATE library.quota SET reserved_m2 = 0, admin_code = '460000'",
        "DELETE FROM library.quota",
        "TRUNCATE library.quota CASCADE",
    ],
)
def test_what_is_written_stays(connection: Connection, stored: Stored, statement: str) -> None:
    quota = set_quota(connection, name_of(), DAYS, Decimal(100), OFFICER)
    post(connection, quota, "reserve", Decimal(40), Posting("王", stored("a")))
    with pytest.raises(pg.RestrictViolation), connection.transaction():
        connection.execute(statement.encode())
    assert sums(connection)["remaining_m2"] == 60


def test_a_quota_begins_with_nothing(connection: Connection) -> None:
    connection.execute(
        "INSERT INTO library.quota (ledger, admin_code, period, first_day, last_day, granted_m2)"
        " VALUES (%s, %s, 'x', '2021-01-01', '2021-12-31', 5000)", (LEDGER, COUNTY),
    )  # fmt: skip
    assert sums(connection)["granted_m2"] == 0


@pytest.mark.parametrize("kind", ["release", "book"])
def test_only_a_reservation_can_end_and_only_once(
    connection: Connection, stored: Stored, kind: Any
) -> None:
    quota = set_quota(connection, name_of(), DAYS, Decimal(100), OFFICER)
    stored("a")
    # Another's reservation: what would end twice could be taken from it.
    post(connection, quota, "reserve", Decimal(40), Posting("王", stored("b")))
    with pytest.raises(pg.CheckViolation), connection.transaction():
        post(connection, quota, kind, Decimal(40), Posting("王", "a"))
    post(connection, quota, "reserve", Decimal(40), Posting("王", "a"))
    with pytest.raises(pg.CheckViolation), connection.transaction():
        post(connection, quota, kind, Decimal(39), Posting("王", "a"))
    post(connection, quota, "release", Decimal(40), Posting("王", "a"))
    with pytest.raises(pg.UniqueViolation), connection.transaction():
        post(connection, quota, kind, Decimal(40), Posting("王", "a"))
    with pytest.raises(pg.UniqueViolation), connection.transaction():
        post(connection, quota, "reserve", Decimal(40), Posting("王", "a"))


def test_periods_of_a_unit_do_not_overlap(connection: Connection) -> None:
    set_quota(connection, name_of(), DAYS, Decimal(100), OFFICER)
    days = (date(2035, 12, 31), date(2050, 1, 1))
    with pytest.raises(Conflict, match="overlaps"):
        set_quota(connection, name_of(period="2035-2050"), days, Decimal(1), OFFICER)
    with pytest.raises(Conflict, match="cannot change"):
        set_quota(connection, name_of(), days, Decimal(1), OFFICER)
    after = (date(2036, 1, 1), date(2050, 12, 31))
    set_quota(connection, name_of(period="2036-2050"), after, Decimal(1), OFFICER)
    set_quota(connection, name_of(land_class="01"), DAYS, Decimal(7), OFFICER)
    found = quotas_for_check(connection, [LEDGER], [COUNTY, "460100"], date(2035, 12, 31))
    assert [(q.period, q.land_class, q.granted_m2) for q in found] == [
        ("2021-2035", "*", 100), ("2021-2035", "01", 7),
    ]  # fmt: skip
    assert quotas_for_check(connection, ["other"], [COUNTY], date(2026, 1, 1)) == ()


@pytest.mark.parametrize(
    ("change", "granted"),
    [
        ({"ledger": "Not A Name"}, Decimal(1)),
        ({"admin_code": "46"}, Decimal(1)),
        ({"land_class": "'; DROP"}, Decimal(1)),
        ({"period": ""}, Decimal(1)),
        ({}, Decimal("-1")),
        ({}, Decimal("NaN")),
        ({}, Decimal("Infinity")),
        ({}, Decimal("1e13")),
    ],
)
def test_a_misnamed_quota_is_refused(
    connection: Connection, change: dict[str, str], granted: Decimal
) -> None:
    with pytest.raises(BadParameter):
        set_quota(connection, name_of(**change), DAYS, granted, OFFICER)
    assert list_quotas(connection) == []


def test_two_at_once_that_together_exceed_it(database: str) -> None:
    """The second one waits for the first and is refused, though both had read enough before."""
    with connect(database) as owner:
        quota = set_quota(owner, name_of(), DAYS, Decimal(100), OFFICER)
        for name in ("a", "b"):
            stored_on(owner, name)
    refused: list[Exception] = []
    started = threading.Event()

    def second() -> None:
        with connect(database) as connection:
            try:
                with connection.transaction():
                    assert sums(connection)["remaining_m2"] == 100  # nothing committed yet
                    started.set()
                    post(connection, quota, "reserve", Decimal(60), Posting("李", "b"))
            except Conflict as error:
                refused.append(error)

    with connect(database) as connection:
        thread = threading.Thread(target=second)
        with connection.transaction():
            post(connection, quota, "reserve", Decimal(60), Posting("王", "a"))
            thread.start()
            assert started.wait(10)
            thread.join(0.3)
            assert thread.is_alive(), "the second waits for the lock of the quota"
        thread.join(10)
        assert [error.code for error in refused if isinstance(error, Conflict)] == [
            "quota-exhausted"
        ]
        assert sums(connection)["remaining_m2"] == 40
        assert [e["submission_id"] for e in entries(connection, quota)] == [None, "a"]


def test_a_repeatable_reader_cannot_reserve_on_an_old_picture(database: str) -> None:
    """A stale snapshot ends in a serialization failure, never in a reservation."""
    with connect(database) as one, connect(database) as other:
        quota = set_quota(one, name_of(), DAYS, Decimal(100), OFFICER)
        for name in ("a", "b"):
            stored_on(one, name)
        other.set_isolation_level(psycopg.IsolationLevel.REPEATABLE_READ)
        with pytest.raises(pg.SerializationFailure), other.transaction():  # noqa: PT012
            assert sums(other)["remaining_m2"] == 100
            post(one, quota, "reserve", Decimal(60), Posting("王", "a"))
            post(other, quota, "reserve", Decimal(60), Posting("李", "b"))
        assert sums(one)["remaining_m2"] == 40


def test_cents_are_what_is_kept() -> None:
    assert ledger.cents(0.125) == Decimal("0.12")
    assert ledger.cents(1234.565000001) == Decimal("1234.57")


def test_two_who_set_one_figure_at_once_set_it_once(granted: str) -> None:
    """A request that is sent twice must not grant twice what it raises."""
    for name in (name_of(), name_of(period="2036-2050")):
        days = DAYS if name == name_of() else (date(2036, 1, 1), date(2050, 12, 31))
        with connect(granted) as one, connect(granted) as other, ThreadPoolExecutor(1) as threads:
            with one.transaction():
                set_quota(one, name, days, Decimal(50_000), OFFICER)
                second = threads.submit(set_quota, other, name, days, Decimal(50_000), OFFICER)
                with pytest.raises(TimeoutError):
                    second.result(1)
            assert second.result(20)
            found = {q["period"]: q["granted_m2"] for q in list_quotas(one)}
        assert found[name.period] == 50_000
