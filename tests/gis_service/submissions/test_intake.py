"""One check a key, whatever happens; what came and what was judged are both kept."""

import hashlib
import json
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import orjson
import pytest
from psycopg import errors as pg

from gis_service.library import Library
from gis_service.submissions import claims, intake, record
from gis_service.submissions.delivery import Delivery
from gis_service.submissions.intake import Sender, take_in
from layers.database import connect
from layers.errors import (
    BadInput,
    BadParameter,
    Conflict,
    GaveUp,
    InvalidGeometry,
    LimitExceeded,
    Unavailable,
)

Site = Callable[..., dict[str, Any]]
SENDER = Sender("甲方", "t", "key-1")


def sent(feature: dict[str, Any], **beside: Any) -> Delivery:
    return Delivery(json.dumps(feature).encode(), "application/geo+json", **beside)


def counted(library: Library, table: str) -> int:
    with library.pool.connection() as connection:
        statement = f"SELECT count(*) FROM library.{table}"  # noqa: S608
        (count,) = connection.execute(statement.encode()).fetchone() or (0,)
        return int(count)


def test_received_and_normalised_are_both_kept(library: Library, site: Site) -> None:
    delivery = sent(site(), file_name="site.geojson", as_of=None, attributes={"name": "附"})
    answer = orjson.loads(take_in(library, delivery, Sender("甲方")))
    with library.pool.connection() as connection:
        kept = record.read(connection, answer["id"])
        content, _ = record.original(connection, answer["id"])
    assert kept == answer, "the answer is what a reader finds afterwards"
    assert content == delivery.content
    assert kept["received"] == {
        "format": "GeoJSON", "media_type": "application/geo+json", "file_name": "site.geojson",
        "bytes": len(delivery.content),
        "sha256": hashlib.sha256(delivery.content).hexdigest(),
    }  # fmt: skip
    assert kept["name"] == "附"
    assert kept["request"] == {"attributes": {"name": "附"}}
    assert kept["normalised"]["source_crs"] == "OGC:CRS84"
    assert kept["normalised"]["area_m2"] == pytest.approx(11_640, rel=1e-3)
    assert [(e["state"], e["actor"]) for e in kept["history"]] == [
        ("received", "甲方"), ("checked", "gis-service"),
    ]  # fmt: skip


def test_the_same_site_drawn_otherwise_is_received_otherwise(library: Library, site: Site) -> None:
    one, other = site(), site()
    ring = other["geometry"]["coordinates"][0]
    other["geometry"]["coordinates"][0] = [*ring[2:-1], *ring[:3]]
    first, second = (
        orjson.loads(take_in(library, sent(one_of), Sender("甲"))) for one_of in (one, other)
    )
    assert first["normalised"]["sha256"] == second["normalised"]["sha256"]
    assert first["received"]["sha256"] != second["received"]["sha256"]
    assert first["id"] != second["id"]


def test_a_key_gives_the_first_answer_again(library: Library, site: Site) -> None:
    first = take_in(library, sent(site()), SENDER)
    assert take_in(library, sent(site()), SENDER) == first
    quoted = replace(SENDER, idempotency_key='"key-1"')  # as a structured field
    assert take_in(library, sent(site()), quoted) == first
    assert counted(library, "submission") == 1
    assert counted(library, "report") == 1
    assert counted(library, "submission_claim") == 0
    for other in (replace(SENDER, scope="u"), replace(SENDER, idempotency_key="key-2")):
        assert take_in(library, sent(site()), other) != first
    assert counted(library, "submission") == 3


@pytest.mark.parametrize(
    "change",
    [
        {"content": b'{"type": "Feature"}'},
        {"attributes": {"name": "other"}},
        {"source_crs": "EPSG:4490"},
        {"file_name": "other.geojson"},
    ],
)
def test_a_key_with_other_content_is_refused(
    library: Library, site: Site, change: dict[str, Any]
) -> None:
    take_in(library, sent(site()), SENDER)
    with pytest.raises(BadInput) as caught:
        take_in(library, replace(sent(site()), **change), SENDER)
    assert caught.value.code == "idempotency-key-reused"
    assert counted(library, "submission") == 1


@pytest.mark.parametrize("key", ["", '""', "a b", "ä", "x" * 256, "a\x00"])
def test_what_is_no_key(library: Library, site: Site, key: str) -> None:
    with pytest.raises(BadParameter):
        take_in(library, sent(site()), replace(SENDER, idempotency_key=key))


def test_many_at_once_with_one_key_are_one_check(
    library: Library, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    checks = []
    judge = intake.judge_request
    at_work, go_on = threading.Event(), threading.Event()

    def slowly(*arguments: Any) -> Any:
        checks.append(1)
        at_work.set()
        assert go_on.wait(30)
        return judge(*arguments)

    monkeypatch.setattr(intake, "judge_request", slowly)
    answers: list[bytes] = []
    refused: list[str] = []

    def send() -> None:
        try:
            answers.append(take_in(library, sent(site()), SENDER))
        except Conflict as error:
            refused.append(error.code)

    first = threading.Thread(target=send)
    first.start()
    assert at_work.wait(30)
    others = [threading.Thread(target=send) for _ in range(8)]
    for thread in others:
        thread.start()
    for thread in others:
        thread.join(30)
    with pytest.raises(BadInput):  # other content is told so at once
        take_in(library, sent(site(side=2.0)), SENDER)
    go_on.set()
    first.join(60)
    assert refused == ["request-at-work"] * 8
    assert len(checks) == len(answers) == 1
    assert take_in(library, sent(site()), SENDER) == answers[0]
    assert counted(library, "submission") == counted(library, "report") == len(checks) == 1


def test_fifty_threads_get_one_submission(library: Library, site: Site) -> None:
    answers: list[bytes] = []

    def send() -> None:
        for _ in range(600):
            try:
                answers.append(take_in(library, sent(site()), SENDER))
                return
            except Conflict:
                threading.Event().wait(0.05)

    threads = [threading.Thread(target=send) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(answers) == 12
    assert len(set(answers)) == 1
    assert counted(library, "submission") == counted(library, "report") == 1


def test_what_fails_stores_nothing_and_frees_the_key(library: Library, site: Site) -> None:
    bow_tie = site()
    ring = bow_tie["geometry"]["coordinates"][0]
    ring[1], ring[2] = ring[2], ring[1]
    with pytest.raises(InvalidGeometry):
        take_in(library, sent(bow_tie), SENDER)
    for table in ("submission", "submission_original", "submission_event", "report",
                  "submission_claim"):  # fmt: skip
        assert counted(library, table) == 0
    assert take_in(library, sent(site()), SENDER)  # mended, under the same key


def test_a_store_that_fails_leaves_no_report(
    library: Library, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> None:
        raise pg.DiskFull("no space")

    monkeypatch.setattr(record, "add_step", broken)
    with pytest.raises(pg.DiskFull):
        take_in(library, sent(site()), SENDER)
    assert counted(library, "report") == counted(library, "submission") == 0
    assert counted(library, "submission_claim") == 0


def test_a_dead_holder_is_followed_and_a_late_one_changes_nothing(
    library: Library, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first worker stands still past its claim; the second does the work, the first nothing."""
    judge = intake.judge_request
    second: list[bytes] = []

    def stalled(*arguments: Any) -> Any:
        monkeypatch.setattr(intake, "judge_request", judge)
        with library.pool.connection() as connection:
            connection.execute("UPDATE library.submission_claim SET expires = '2020-01-01'")
        second.append(take_in(library, sent(site()), SENDER))
        return judge(*arguments)

    monkeypatch.setattr(intake, "judge_request", stalled)
    with pytest.raises(Conflict, match="taken up again"):
        take_in(library, sent(site()), SENDER)
    assert counted(library, "submission") == counted(library, "report") == 1
    assert take_in(library, sent(site()), SENDER) == second[0]


def test_a_claim_outlives_reading_and_judging(library: Library, site: Site) -> None:
    key = claims.key_of("k", "s", "0" * 64)
    with claims.claimed(library, key), library.pool.connection() as connection:
        (left,) = connection.execute(
            "SELECT extract(epoch FROM expires - now()) FROM library.submission_claim"
        ).fetchone() or (0,)
    assert float(left) > 2 * library.config.limits.check_deadline_s


def test_a_deadline_in_the_child_is_told(library: Library, site: Site) -> None:
    """Two combs of 700 teeth: 21 KB that keep an overlay busy for half a minute (rows B3, B5)."""
    limits = library.config.limits.model_copy(update={"check_deadline_s": 2.0})
    library.config = library.config.model_copy(update={"limits": limits})
    feature = {"type": "FeatureCollection", "features": [
        {**site(), "geometry": {"type": "Polygon", "coordinates": one}}
        for one in (comb(), comb(turned=True))
    ]}  # fmt: skip
    with pytest.raises(GaveUp) as caught:
        take_in(library, sent(feature), SENDER)
    assert caught.value.code in ("deadline-exceeded", "resource-limit")
    assert "nothing was stored" in caught.value.text.en
    assert counted(library, "submission") == counted(library, "submission_claim") == 0


def comb(teeth: int = 700, *, turned: bool = False) -> list[list[list[float]]]:
    ring = [(0.0, 0.0)]
    for x in range(0, 2 * teeth, 2):
        ring += [(x, 2 * teeth), (x + 1, 2 * teeth), (x + 1, 1), (x + 2, 1)]
    ring += [(2 * teeth, 0), (0, 0)]
    scale = 0.01 / (2 * teeth)
    turn = (lambda p: (p[1], p[0])) if turned else (lambda p: p)
    return [[[109.80 + turn(p)[0] * scale, 19.20 + turn(p)[1] * scale] for p in ring]]


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"", BadInput), (b" \n ", BadInput), (b"{", BadInput), (b"hello", BadInput),
        (b'{"type": "Feature"}', BadInput), (b"\xff\xfe{\x00}\x00", BadInput),
        (b"PK\x03\x04 no archive", BadInput), (b"SQLite format 3\x00", BadInput),
        (b"<kml>", BadInput), (b"[" * 100, BadInput), (b'{"a":' * 40 + b"1" + b"}" * 40, BadInput),
    ],
)  # fmt: skip
def test_bytes_that_are_no_submission(library: Library, content: bytes, error: Any) -> None:
    with pytest.raises(error):
        take_in(library, Delivery(content), Sender("甲"))
    assert counted(library, "submission") == 0


def test_a_byte_order_mark_is_no_fault(library: Library, site: Site) -> None:
    delivery = sent(site())
    marked = replace(delivery, content=b"\xef\xbb\xbf" + delivery.content)
    assert orjson.loads(take_in(library, marked, Sender("甲")))["state"] == "checked"


def test_too_many_bytes(library: Library) -> None:
    most = library.config.limits.submission_bytes
    with pytest.raises(LimitExceeded):
        take_in(library, Delivery(b" " * (most + 1)), Sender("甲"))


def test_files_of_strangers_need_a_child_without_network(
    library: Library, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(library.sandbox, "_network_isolated", False)
    text = Delivery("[属性描述]\n坐标系=2000国家大地坐标系\n".encode("gb18030"))
    with pytest.raises(Unavailable):
        take_in(library, text, Sender("甲"))
    with pytest.raises(BadInput):  # his own file is read, and has no points
        take_in(library, text, Sender("甲", trusted=True))
    assert take_in(library, sent(site()), Sender("甲"))


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE library.submission SET outcome = 'pass'",
        "DELETE FROM library.submission_event",
        "UPDATE library.submission_original SET content = ''",
        "TRUNCATE library.submission CASCADE",
    ],
)
def test_the_record_cannot_be_rewritten(library: Library, site: Site, statement: str) -> None:
    take_in(library, sent(site()), SENDER)
    with library.pool.connection() as connection, pytest.raises(pg.RestrictViolation):
        connection.execute(statement.encode())


def test_a_page_after_another(library: Library, site: Site) -> None:
    ids = [
        orjson.loads(take_in(library, sent(site(side=1 + n / 10)), Sender("甲")))["id"]
        for n in range(3)
    ]
    with library.pool.connection() as connection:
        first, mark = record.page(connection, most=2)
        rest, end = record.page(connection, most=2, after=mark)
        assert [one["id"] for one in (*first, *rest)] == ids[::-1]
        assert end is None
        assert record.page(connection, state="approved") == ([], None)
        assert len(record.page(connection, state="checked")[0]) == 3
        for mark in ("x", "bm8", "W10", "WzEsMl0"):
            with pytest.raises(BadParameter):
                record.page(connection, after=mark)


def test_the_plan_of_a_page_uses_the_index(granted: str) -> None:
    from gis_service.submissions.record import _SQL

    with connect(granted) as connection:
        connection.execute("SET enable_seqscan = off")
        connection.execute("SET enable_sort = off")
        plan = "\n".join(
            line
            for (line,) in connection.execute(
                b"EXPLAIN " + _SQL["page"].encode(),
                {"after_id": "x", "after_created": "2026-01-01", "state": None, "most": 10},
            )
        )
    assert "submission_created" in plan
