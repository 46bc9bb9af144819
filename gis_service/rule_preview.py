"""What a changed rule set would do to the reports that are stored.

Each report's submission is judged again on the report's own day with the contents that the report
pins, and the new rules in place of its own; layers that only the new rules read are taken as in
force on that day. Findings are compared rule by rule with those that were issued. Nothing is
stored. A report that cannot be judged again is listed with its reason, never as unchanged.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

import orjson

from gis_service.checking import judge_pinned, search_boxes
from gis_service.library import Library
from gis_service.submissions.ledger import quotas_for_check
from gis_service.verification import stated_contents, stated_quotas, stated_submission
from layers.database import Connection, row, rows
from layers.editions import contents_in_force
from layers.errors import GisError
from layers.text import Text
from planning_rules.quota import Quota
from planning_rules.rule_set import RuleSet

_IDS: Final = (
    "SELECT id FROM library.report WHERE created >= %(since)s"
    " ORDER BY created DESC, id LIMIT %(most)s"
)
_BODY: Final = "SELECT body FROM library.report WHERE id = %(report_id)s"
_RANK: Final = ("not-applicable", "pass", "warning", "conditional", "undetermined", "violation")


@dataclass(frozen=True, slots=True)
class Change:
    """One rule that would answer otherwise; None where one of the sets lacks the rule."""

    rule_id: str
    before: str | None
    after: str | None

    def as_json(self) -> dict[str, Any]:
        """The form of answers."""
        return {"rule": self.rule_id, "before": self.before, "after": self.after}


@dataclass(frozen=True, slots=True)
class Preview:
    """One stored report: outcome as issued and under the new rules, and what changes."""

    report_id: str
    name: str | None
    as_of: str
    before: str
    after: str | None
    changes: tuple[Change, ...] = ()
    problem: Text | None = None
    """Why it could not be judged again; ``after`` is None then."""

    @property
    def differs(self) -> bool:
        """Whether anything would be judged otherwise, or could not be judged at all."""
        return bool(self.changes) or self.before != self.after

    def as_json(self) -> dict[str, Any]:
        """The form of answers."""
        return {
            "report_id": self.report_id,
            "name": self.name,
            "as_of": self.as_of,
            "before": self.before,
            "after": self.after,
            "changes": [change.as_json() for change in self.changes],
            "problem": None if self.problem is None else self.problem.model_dump(),
        }


def preview(
    library: Library, rule_set: RuleSet, *, most: int = 1_000, since: date = date(1, 1, 1)
) -> Iterator[Preview]:
    """The newest ``most`` reports since a day, each judged by the new rules."""
    with library.pool.connection() as connection:
        found = rows(connection, _IDS, since=since, most=most)
    for report_id in [one["id"] for one in found]:
        with library.pool.connection() as connection:
            stored = row(connection, _BODY, report_id=report_id)
        if stored is not None:
            yield preview_report(library, rule_set, orjson.loads(stored["body"]))


def preview_report(library: Library, rule_set: RuleSet, report: Mapping[str, Any]) -> Preview:
    """One report under other rules."""
    stated = {
        "report_id": report["report_id"],
        "name": report["submission"].get("name"),
        "as_of": report["as_of"],
        "before": report["outcome"],
    }
    try:
        again = _judged(library, rule_set, report)
    except GisError as error:
        return Preview(**stated, after=None, problem=error.text)
    except (KeyError, TypeError, ValueError):
        text = Text(zh="报告缺少重演所需的内容。", en="The report lacks what a replay needs.")
        return Preview(**stated, after=None, problem=text)
    return Preview(**stated, after=again["outcome"], changes=tuple(changes(report, again)))


def _judged(library: Library, rule_set: RuleSet, report: Mapping[str, Any]) -> dict[str, Any]:
    submission = stated_submission(library, report["submission"])
    editions = report["provenance"]["editions"]
    as_of = date.fromisoformat(report["as_of"])
    boxes = search_boxes(submission, rule_set)
    new = sorted(set(boxes) - {one["layer"] for one in editions})
    with library.pool.connection() as connection:
        contents, stated = stated_contents(connection, editions), stated_quotas(report)
        contents |= contents_in_force(connection, new, as_of)
        return judge_pinned(
            library, connection, submission, rule_set, as_of, boxes,
            {layer: content for layer, content in contents.items() if layer in boxes},
            (*stated, *_new_quotas(connection, rule_set, report, as_of)),
            report_id=report["report_id"], created=report["created"],
            profile=report["provenance"]["parameters"].get("profile"),
        )  # fmt: skip


def _new_quotas(
    connection: Connection, rule_set: RuleSet, report: Mapping[str, Any], as_of: date
) -> tuple[Quota, ...]:
    """Of ledgers that the report does not pin, for the units of its land-take table: as now."""
    known = {quota.ledger for quota in stated_quotas(report)}
    ledgers = [one for one in rule_set.ledgers if one not in known]
    units = {str(one["admin_code"]) for one in report["land_take"]}
    return quotas_for_check(connection, ledgers, units, as_of)


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Change]:
    """Rules whose outcome differs; a rule that one set lacks counts where it applies."""
    old, new = _outcomes(before), _outcomes(after)
    for rule_id in sorted({*old, *new}):
        one, other = old.get(rule_id), new.get(rule_id)
        if one != other and {one, other} != {None, "not-applicable"}:
            yield Change(rule_id, one, other)


def _outcomes(report: Mapping[str, Any]) -> dict[str, str]:
    """The outcome of each rule; of several versions of one id, that of the one that applies."""
    found: dict[str, str] = {}
    for finding in report["findings"]:
        known = found.get(finding["rule_id"], _RANK[0])
        found[finding["rule_id"]] = max(known, finding["outcome"], key=_RANK.index)
    return found
