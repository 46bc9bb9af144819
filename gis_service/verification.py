"""Verifying a report: its digest, its signature, whether it was issued here, and its replay.

A replay judges the submission of the report again, with the editions, the rule set and the day
that the report pins, and compares the digests. Equal bytes prove that the verdict follows from
those inputs; a difference names what differs (another engine, say), and never changes a report.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import partial
from typing import Any, Final

from gis_service.checking import judge_pinned, search_boxes
from gis_service.library import Library
from layers.database import Connection, row
from layers.editions import Content
from layers.errors import BadInput, GisError
from layers.pinned_contents import pinned_contents
from layers.text import Text
from planning_rules.quota import Quota, quota_of
from planning_rules.remark import Remark
from planning_rules.report import SUGGESTS, digest_is_right
from planning_rules.rule_set import RuleSet, rule_set_of
from planning_rules.submission import Submission, read_submission

_STORED: Final = "SELECT digest FROM library.report WHERE id = %(report_id)s"
_RULES: Final = "SELECT canonical_text FROM library.rule_set WHERE sha256 = %(sha256)s"
_FAULTS: Final = {
    "unsigned": Text(zh="报告没有签名。", en="The report is not signed."),
    "malformed": Text(zh="签名格式不对。", en="The signature has no valid form."),
    "unknown-key": Text(
        zh="签名所用的密钥不在受信任的密钥中。", en="The key of the signature is not trusted here."
    ),
    "bad-signature": Text(zh="签名无效。", en="The signature is not valid."),
    "of-another-report": Text(
        zh="签名属于另一份报告。", en="The signature belongs to another report."
    ),
}


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at; ``good`` is None where it could not be."""

    name: str
    good: bool | None
    message: Text

    def as_json(self) -> dict[str, Any]:
        """The form of answers."""
        return {"check": self.name, "good": self.good, "message": self.message.model_dump()}


@dataclass(frozen=True, slots=True)
class Verification:
    """All checks of one report."""

    report_id: str
    checks: tuple[Check, ...]

    @property
    def valid(self) -> bool:
        """Digest and signature are good, and nothing that was looked at contradicts them."""
        needed = {"digest", "signature"}
        return all(
            check.good is True if check.name in needed else check.good is not False
            for check in self.checks
        )

    def as_json(self) -> dict[str, Any]:
        """The form of answers."""
        return {
            "report_id": self.report_id,
            "valid": self.valid,
            "checks": [check.as_json() for check in self.checks],
        }


def verify(library: Library, report: Any, *, replay_too: bool = False) -> Verification:
    """Verify a report as somebody brings it; ``BadInput`` for what is no report."""
    if not isinstance(report, Mapping) or not isinstance(report.get("report_id"), str):
        raise BadInput(
            "This is no conflict report (no report_id).", "这不是冲突核查报告（缺少 report_id）。"
        )
    checks = [_digest_check(report), _signature_check(library, report), _issued(library, report)]
    if replay_too:
        checks.append(_replay_check(library, report))
    return Verification(report["report_id"], tuple(checks))


def _digest_fits(report: Mapping[str, Any]) -> bool:
    try:
        return digest_is_right(report)
    except (ValueError, TypeError):
        return False


def _digest_check(report: Mapping[str, Any]) -> Check:
    good = _digest_fits(report)
    message = (
        Text(zh="摘要与内容一致。", en="The digest fits the content.")
        if good
        else Text(zh="内容与摘要不符，报告被改动过。", en="The content was changed.")
    )
    return Check("digest", good, message)


def _signature_check(library: Library, report: Mapping[str, Any]) -> Check:
    found = library.keys.check(report)
    if found.good:
        message = Text(
            zh=f"签名有效（密钥 {found.key_id}）。",
            en=f"The signature is valid (key {found.key_id}).",
        )
    else:
        message = _FAULTS[found.fault or "bad-signature"]
    return Check("signature", found.good, message)


def _issued(library: Library, report: Mapping[str, Any]) -> Check:
    with library.pool.connection() as connection:
        stored = row(connection, _STORED, report_id=report["report_id"])
    if stored is None:
        return Check(
            "issued",
            None,
            Text(zh="此处没有该编号的报告。", en="No report of this number is stored here."),
        )
    # A digest that is only stated proves nothing about the content that came with it.
    if stored["digest"] == report.get("digest") and _digest_fits(report):
        return Check("issued", True, Text(zh="与存档报告一致。", en="It is the stored report."))
    return Check(
        "issued", False, Text(zh="与存档报告不同。", en="The stored report is another one.")
    )


def _replay_check(library: Library, report: Mapping[str, Any]) -> Check:
    try:
        again = replay(library, report)
    except GisError as error:
        return Check("replay", None, error.text)
    except (KeyError, TypeError, ValueError):
        return Check(
            "replay",
            None,
            Text(zh="报告缺少重演所需的内容。", en="The report lacks what a replay needs."),
        )
    if again["digest"] == report.get("digest") and _digest_fits(report):
        return Check(
            "replay", True, Text(zh="重演结果逐字节一致。", en="The replay gives the same bytes.")
        )
    names = ", ".join(differing(report, again)) or "digest"
    return Check(
        "replay",
        False,
        Text(zh=f"重演结果不同：{names}。", en=f"The replay differs in: {names}."),
    )


def differing(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """Where two reports differ, two levels deep: ``provenance/engine``, ``findings/3``."""
    places = []
    for key in sorted({*one, *other} - {"digest", "signature", "report_id", "created"}):
        left, right = one.get(key), other.get(key)
        if left == right:
            continue
        if isinstance(left, Mapping) and isinstance(right, Mapping):
            inner = sorted({*left, *right})
            places += [f"{key}/{name}" for name in inner if left.get(name) != right.get(name)]
        elif isinstance(left, list) and isinstance(right, list) and len(left) == len(right):
            places += [
                f"{key}/{i}" for i, (a, b) in enumerate(zip(left, right, strict=True)) if a != b
            ]
        else:
            places.append(key)
    return places


def replay(library: Library, report: Mapping[str, Any]) -> dict[str, Any]:
    """Judge again what a report judged, from what it pins; nothing is stored.

    Raises ``BadInput`` where an edition or the rule set is not here any more.
    """
    rule_set = _rule_set(library, report["provenance"]["rule_set"]["sha256"])
    submission = stated_submission(library, report["submission"])
    editions = report["provenance"]["editions"]
    boxes = search_boxes(submission, rule_set)
    with library.pool.connection() as connection:
        contents = stated_contents(connection, editions)
        return judge_pinned(
            library,
            connection,
            submission,
            rule_set,
            date.fromisoformat(report["as_of"]),
            {layer: boxes[layer] for layer in (one["layer"] for one in editions)},
            contents,
            stated_quotas(report),
            report_id=report["report_id"],
            created=report["created"],
            known_at=report["provenance"].get("known_at"),
            suggest=SUGGESTS in report["provenance"]["parameters"],
            profile=report["provenance"]["parameters"].get("profile"),
        )


def stated_quotas(report: Mapping[str, Any]) -> tuple[Quota, ...]:
    """The ledger figures that a report pins; none where its rules read no ledger."""
    return tuple(quota_of(one) for one in report["provenance"].get("quotas", []))


def stated_contents(
    connection: Connection, editions: Sequence[Mapping[str, Any]]
) -> dict[str, Content]:
    """The contents that a report pins, by layer; ``BadInput`` names those that are gone."""
    wanted = {one["layer"]: one["edition"] for one in editions if one["edition"] is not None}
    contents = pinned_contents(connection, wanted)
    missing = sorted(
        f"{one['layer']} ({one['edition']})"
        for one in editions
        if one["edition"] is not None
        and (
            one["layer"] not in contents
            or contents[one["layer"]].content_sha256 != one["content_sha256"]
        )
    )
    if missing:
        names = ", ".join(missing)
        raise BadInput(
            f"The library does not hold these contents of the report: {names}.",
            f"库中没有报告所用的以下内容：{names}。",
            code="contents-missing",
        )
    return dict(contents)


def _rule_set(library: Library, sha256: str) -> RuleSet:
    if (in_use := library.rules_in_use()).sha256 == sha256:
        return in_use
    with library.pool.connection() as connection:
        stored = row(connection, _RULES, sha256=sha256)
    if stored is None:
        raise BadInput(
            "The rule set of the report is not stored here.",
            "此处没有报告所用的规则集。",
            code="rule-set-missing",
        )
    return rule_set_of(stored["canonical_text"])


def stated_submission(library: Library, stated: Mapping[str, Any]) -> Submission:
    """The submission from its normalised form in the report; it has to give the same hash."""
    feature = {
        "type": "Feature", "geometry": stated["geometry"], "properties": stated["attributes"],
    }  # fmt: skip
    read: Submission = library.sandbox.run(
        partial(read_submission, region_bbox=library.config.region.bbox),
        feature,
        deadline_s=library.config.limits.check_deadline_s,
    )
    if read.sha256 != stated["sha256"]:
        raise BadInput(
            "The submission in the report does not fit its hash.",
            "报告中的项目范围与其哈希不符。",
            code="submission-differs",
        )
    return replace(
        read,
        source_crs=stated["source_crs"],
        repairs=tuple(_remark(one) for one in stated["repairs"]),
        notes=tuple(_remark(one) for one in stated["notes"]),
    )


def _remark(stated: Mapping[str, Any]) -> Remark:
    return Remark(stated["code"], Text(**stated["message"]))
