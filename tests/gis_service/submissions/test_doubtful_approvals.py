"""Approvals whose report does not carry them any more, or never said so aloud."""

import json
from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import orjson
import pytest

from gis_service.library import Library, today
from gis_service.submissions import decisions, record
from gis_service.submissions.decisions import Approval
from gis_service.submissions.delivery import Delivery
from gis_service.submissions.intake import Sender, take_in
from gis_service.submissions.ledger import entries, list_quotas
from layers.catalog import Catalog
from layers.database import connect
from layers.errors import Conflict
from planning_rules.rule_set import rule_set_of
from tests.conftest import publish_layer_on
from tests.gis_service.submissions.conftest import GROUND

Site = Callable[..., dict[str, Any]]
WANG = Approval("王")
AGAINST = Approval("王", override_reason="市政府专题会议纪要〔2026〕3号")


def send(library: Library, site: dict[str, Any], as_of: date | None = None) -> dict[str, Any]:
    delivery = Delivery(orjson.dumps(site), as_of=as_of)
    found: dict[str, Any] = orjson.loads(take_in(library, delivery, Sender("甲")))
    return found


def refused(library: Library, submission_id: str, how: Approval = WANG) -> str:
    """The code of the refusal; nothing of it stays."""
    with library.pool.connection() as connection:
        before = list_quotas(connection)
        with pytest.raises(Conflict) as caught:
            decisions.approve(connection, submission_id, how)
        assert record.read(connection, submission_id)["state"] == "checked"
        assert list_quotas(connection) == before
    return caught.value.code


def change_rules(library: Library, change: Callable[[list[dict[str, Any]]], Any]) -> None:
    content = json.loads(library.rule_set.canonical_text)
    change(content["rules"])
    library.rule_set = rule_set_of(json.dumps(content, ensure_ascii=False))


def survey_anew(dsn: str, catalog: Catalog, first_day: date) -> None:
    """The same ground, told otherwise."""
    with connect(dsn) as connection:
        publish_layer_on(connection, catalog)(
            "current_landuse",
            [GROUND],
            {"parcel_id": ["P2"], "landuse_code": ["0101"], "code_scheme": ["landuse-2023"]},
            coverage=GROUND,
            valid_from=first_day,
        )


def test_a_rule_that_only_warns_lets_nobody_exceed_a_quota_without_a_reason(
    library: Library, site: Site
) -> None:
    change_rules(library, lambda rules: rules[0]["on_violation"].update(outcome="warning"))
    large = send(library, site(side=2.0))  # 46,560 m2 where 30,000 are left
    assert large["outcome"] == "warning"
    assert refused(library, large["id"]) == "override-reason-needed"
    with library.pool.connection() as connection:
        decisions.approve(connection, large["id"], AGAINST)
        entry = entries(connection, list_quotas(connection)[0]["id"])[-1]
    assert (entry["exceeds"], entry["reason"]) == (True, AGAINST.override_reason)


def test_two_rules_on_one_quota_reserve_their_sum(library: Library, site: Site) -> None:
    change_rules(library, lambda rules: rules.append({**rules[0], "id": "HN-QUOTA-002"}))
    one, large = send(library, site()), send(library, site(west=109.82, side=1.3))
    assert (one["outcome"], large["outcome"]) == ("pass", "pass")
    assert refused(library, large["id"]) == "quota-exhausted", "19,670 m2 twice are not left"
    with library.pool.connection() as connection:
        decisions.approve(connection, one["id"], WANG)
        (quota,) = list_quotas(connection)
    assert quota["reserved_m2"] == pytest.approx(2 * 11_640, rel=1e-3)


def test_a_report_on_plans_that_changed_since_needs_a_reason(
    library: Library, site: Site, granted: str, catalog: Catalog
) -> None:
    one, other = (send(library, site(west=west, side=0.5)) for west in (109.80, 109.82))
    survey_anew(granted, catalog, today() + timedelta(days=1))
    with library.pool.connection() as connection:
        assert decisions.approve(connection, other["id"], WANG)["state"] == "approved"
    survey_anew(granted, catalog, today())
    assert refused(library, one["id"]) == "report-outdated"
    anew = send(library, site(side=0.5))
    with library.pool.connection() as connection:
        assert decisions.approve(connection, anew["id"], WANG)["state"] == "approved"
        found = decisions.approve(connection, one["id"], AGAINST)
    assert found["history"][-1]["override_reason"] == AGAINST.override_reason


def test_a_day_that_the_sender_chose_is_not_today(
    library: Library, site: Site, granted: str, catalog: Catalog
) -> None:
    """Who asks about a day before a plan came into force gets its answer, but no approval."""
    survey_anew(granted, catalog, date(2026, 6, 1))
    past = send(library, site(), date(2026, 5, 31))
    assert past["outcome"] == "pass"
    assert refused(library, past["id"]) == "report-outdated"


def test_a_period_that_ended_is_not_drawn_on(
    library: Library, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = send(library, site())
    monkeypatch.setattr(decisions, "today", lambda: date(2036, 1, 1))
    assert refused(library, one["id"]) == "report-outdated"
    monkeypatch.setattr(decisions, "today", lambda: date(2035, 12, 31))
    with library.pool.connection() as connection:
        assert decisions.approve(connection, one["id"], WANG)["state"] == "approved"


def test_an_approval_that_lapsed_is_not_booked_while_nobody_let_it_expire(
    library: Library, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, last = send(library, site()), today() + timedelta(days=30)
    with library.pool.connection() as connection:
        decisions.approve(connection, one["id"], Approval("王", valid_until=last))
        monkeypatch.setattr(decisions, "today", lambda: last + timedelta(days=1))
        with pytest.raises(Conflict) as caught:
            decisions.book(connection, one["id"], "王")
        assert caught.value.code == "approval-lapsed"
        assert record.read(connection, one["id"])["state"] == "approved"
        monkeypatch.setattr(decisions, "today", lambda: last)
        assert decisions.book(connection, one["id"], "王")["state"] == "booked"
