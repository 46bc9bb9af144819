"""The conflict check, from a submission to a stored report: one walk for CLI, HTTP and jobs.

Geometry of a submission is read and judged in the sandbox's child, never in the service or the
database: two valid rings of 2,800 vertices can keep an overlay busy for 50 seconds. The library
is read in one repeatable-read transaction, so all layers are of one moment.
"""

import datetime
import tempfile
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import orjson
from psycopg import IsolationLevel

from gis_service.library import Library, today
from gis_service.submissions.ledger import quotas_for_check
from layers.catalog import AccessClass
from layers.crs import Box
from layers.database import Connection, row
from layers.editions import Content, contents_in_force
from layers.errors import LimitExceeded, NotFound
from layers.features import Candidate, candidates, coverage_near
from layers.text import Text
from planning_rules.attribute_remarks import attribute_remarks
from planning_rules.land_take import COUNTY, CURRENT_USE
from planning_rules.overlay import TargetFeature, TargetLayer
from planning_rules.quota import Quota
from planning_rules.report import build_report_by_text
from planning_rules.rule_set import RuleSet
from planning_rules.submission import Submission, read_submission
from planning_rules.submission_file import FileRequest, read_submission_file
from planning_rules.submission_form import attribute_fields

_INSERT: Final = (
    "INSERT INTO library.report (id, created, outcome, digest, body, access_class)"
    " VALUES (%s, %s, %s, %s, %s, %s)"
)
_KNOWS_RULES: Final = "SELECT FROM library.rule_set WHERE sha256 = %s"
_KEEP_RULES: Final = (
    "INSERT INTO library.rule_set (sha256, id, version, canonical_text)"
    " VALUES (%s, %s, %s, %s) ON CONFLICT (sha256) DO NOTHING"
)
_SELECT: Final = "SELECT body FROM library.report WHERE id = %(report_id)s"


@dataclass(frozen=True, slots=True)
class SubmissionFile:
    """A file of any admitted format with attributes beside it; ``layer`` where it has several."""

    path: Path
    attributes: Mapping[str, Any] = field(default_factory=dict)
    layer: str | None = None
    name: str | None = None


@dataclass(frozen=True, slots=True)
class CheckRequest:
    """What a check is asked for: a GeoJSON object or a file, the CRS of its numbers, the day.

    ``source_crs`` None: CRS84 for GeoJSON, what a file says of itself otherwise. ``known_at``
    asks what the library knew of that day at a moment; None = now.
    """

    submission: Mapping[str, Any] | SubmissionFile
    source_crs: str | None = None
    as_of: datetime.date | None = None
    known_at: datetime.datetime | None = None
    profile: str | None = None
    """The choice of rules that is asked about; None = all."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the library says near a submission, all of one moment: layers and quotas."""

    targets: Mapping[str, TargetLayer]
    quotas: tuple[Quota, ...] = ()


@dataclass(frozen=True, slots=True)
class Judged:
    """A submission with its signed report, which is not stored yet."""

    submission: Submission
    report: dict[str, Any]
    created: datetime.datetime
    rule_set: RuleSet


def check(library: Library, request: CheckRequest, *, store: bool = True) -> dict[str, Any]:
    """Judge a submission against what is in force on the day, store the report, give it.

    Raises the errors of ``planning_rules.submission`` for input that cannot be judged, and
    ``GaveUp`` when the child ran out of time or memory; then nothing is stored.
    """
    judged = judge_request(library, request)
    if store:
        with library.pool.connection() as connection, connection.transaction():
            keep_report(library, connection, judged)
    return judged.report


def judge_request(library: Library, request: CheckRequest) -> Judged:
    """Read, judge and sign; nothing is stored."""
    as_of, rule_set = request.as_of or today(), library.rules_in_use()
    if request.profile is not None:
        rule_set.profile(request.profile)  # an unknown one is said before anything is read
    submission = read_request(library, request, rule_set)
    remarks = attribute_remarks(submission.attributes, rule_set.described)
    submission = replace(submission, notes=(*submission.notes, *remarks))
    boxes = search_boxes(submission, rule_set)
    with library.pool.connection() as connection:
        evidence = read_evidence(
            connection, boxes, rule_set, as_of, library.config.region.bbox, library.keepers,
            request.known_at,
        )  # fmt: skip
    created = datetime.datetime.now(datetime.UTC)
    report = _judge(
        library, submission, evidence, rule_set, as_of,
        report_id=str(uuid.uuid4()),
        created=rfc3339(created, "seconds"),
        known_at=rfc3339(request.known_at) if request.known_at is not None else None,
        profile=request.profile,
    )  # fmt: skip
    report["signature"] = library.keys.sign(report)
    return Judged(submission, report, created, rule_set)


def read_request(
    library: Library, request: CheckRequest, rule_set: RuleSet | None = None
) -> Submission:
    """The submission of a request, read in the child; columns of files that ``rule_set`` asks for.

    Who judges hands over the rules that he judges by; None = those in use.
    """
    region, deadline_s = library.config.region.bbox, library.config.limits.check_deadline_s
    given = request.submission
    if not isinstance(given, SubmissionFile):
        reading = partial(
            read_submission, source_crs=request.source_crs or "CRS84", region_bbox=region
        )
        return library.sandbox.run(reading, dict(given), deadline_s=deadline_s)
    most = library.config.limits.submission_bytes
    if given.path.is_file() and given.path.stat().st_size > most:
        raise LimitExceeded(f"The file is larger than {most:,} bytes.", f"文件超过 {most:,} 字节。")
    with tempfile.TemporaryDirectory(prefix="gis-submission-") as folder:
        wanted = FileRequest(
            path=given.path.resolve(),
            job_dir=Path(folder),
            region=region,
            fields=attribute_fields(rule_set or library.rules_in_use()),
            layer=given.layer,
            source_crs=request.source_crs,
            attributes=given.attributes,
            name=given.name,
        )
        return library.sandbox.run(read_submission_file, wanted, deadline_s=deadline_s)


def _judge(
    library: Library,
    submission: Submission,
    evidence: Evidence,
    rule_set: RuleSet,
    as_of: datetime.date,
    *,
    report_id: str,
    created: str,
    known_at: str | None,
    suggest: bool = True,
    profile: str | None = None,
) -> dict[str, Any]:
    report: dict[str, Any] = library.sandbox.run(
        partial(
            build_report_by_text,
            report_id=report_id,
            created=created,
            known_at=known_at,
            suggest=suggest,
            profile=profile,
        ),
        submission,
        evidence.targets,
        rule_set.canonical_text,
        as_of,
        evidence.quotas,
        deadline_s=library.config.limits.check_deadline_s,
    )
    return report


def judge_pinned(
    library: Library,
    connection: Connection,
    submission: Submission,
    rule_set: RuleSet,
    as_of: datetime.date,
    boxes: Mapping[str, list[Box]],
    contents: Mapping[str, Content],
    quotas: tuple[Quota, ...],
    *,
    report_id: str,
    created: str,
    known_at: str | None = None,
    suggest: bool = True,
    profile: str | None = None,
) -> dict[str, Any]:
    """Judge with given contents and ledger figures in place of today's: the replay of a report."""
    region = library.config.region.bbox
    targets = _targets(connection, boxes, contents, region, library.keepers)
    return _judge(
        library, submission, Evidence(targets, quotas), rule_set, as_of,
        report_id=report_id, created=created, known_at=known_at, suggest=suggest,
        profile=profile,
    )  # fmt: skip


def rfc3339(moment: datetime.datetime, timespec: str = "auto") -> str:
    """A moment as reports write it, in UTC."""
    return moment.astimezone(datetime.UTC).isoformat(timespec=timespec).replace("+00:00", "Z")


def keep_report(library: Library, connection: Connection, judged: Judged) -> None:
    """Store the report and, at its first use, the rule set, in the caller's transaction."""
    rules, report = judged.rule_set, judged.report
    if connection.execute(_KNOWS_RULES, (rules.sha256,)).fetchone() is None:
        connection.execute(
            _KEEP_RULES, (rules.sha256, rules.id, rules.version, rules.canonical_text)
        )
    connection.execute(
        _INSERT,
        (report["report_id"], judged.created, report["outcome"], report["digest"],
         orjson.dumps(report), class_of(library, report)),
    )  # fmt: skip


def class_of(library: Library, report: Mapping[str, Any]) -> AccessClass:
    """The highest class of the layers that a report tells of."""
    read = {one["layer"] for one in report["layers"]}
    classes = {layer.access for layer in library.visible_layers() if layer.id in read}
    return max(classes, key=("open", "internal", "restricted").index, default="open")


def search_boxes(submission: Submission, rule_set: RuleSet) -> dict[str, list[Box]]:
    """Where to look in each layer: around the site as far as the layer's rules reach."""
    layers = sorted({*rule_set.layers, COUNTY, CURRENT_USE})
    margins = {layer: rule_set.margin_m(layer) for layer in layers}
    boxes = {margin: submission.search_boxes(margin) for margin in set(margins.values())}
    return {layer: boxes[margin] for layer, margin in margins.items()}


def read_evidence(
    connection: Connection,
    boxes: Mapping[str, list[Box]],
    rule_set: RuleSet,
    as_of: datetime.date,
    region: Box,
    keepers: Mapping[str, Text],
    known_at: datetime.datetime | None = None,
) -> Evidence:
    """All layers that are asked for, near the submission, and its quotas, in one snapshot.

    A layer without an edition in force is there with ``edition=None``: its rules answer
    "undetermined". ``keepers`` are the authorities that keep layers which are not open. What the
    ledgers said at an earlier moment nobody knows: with ``known_at`` no quota is there.
    """
    connection.set_isolation_level(IsolationLevel.REPEATABLE_READ)
    try:
        with connection.transaction():
            contents = contents_in_force(connection, sorted(boxes), as_of, known_at=known_at)
            targets = _targets(connection, boxes, contents, region, keepers)
            units = [str(f.attributes.get("admin_code")) for f in targets[COUNTY].features]
            ledgers = rule_set.ledgers if known_at is None else ()
            quotas = quotas_for_check(connection, ledgers, units, as_of)
            return Evidence(targets, quotas)
    finally:
        connection.set_isolation_level(None)


def _targets(
    connection: Connection,
    boxes: Mapping[str, list[Box]],
    contents: Mapping[str, Content],
    region: Box,
    keepers: Mapping[str, Text],
) -> dict[str, TargetLayer]:
    searches = {content.content_id: boxes[layer] for layer, content in contents.items()}
    bases = {content.content_id: content.base_id for content in contents.values()}
    near = candidates(connection, searches, bases)
    # As far as the rules look: a hole beside the site matters to a distance.
    covered = coverage_near(connection, searches)
    return {
        layer: _target(layer, contents.get(layer), near, covered, region, keepers.get(layer))
        for layer in boxes
    }


def _target(
    layer: str,
    content: Content | None,
    near: Mapping[int, tuple[Candidate, ...]],
    covered: Mapping[int, bytes],
    region: Box,
    keeper: Text | None,
) -> TargetLayer:
    if content is None:
        return TargetLayer(layer, None, None, 1.0, None, kept_by=keeper)
    return TargetLayer(
        layer,
        content.edition_id,
        content.content_sha256,
        content.accuracy_m,
        covered[content.content_id],
        tuple(
            TargetFeature(one.fid, one.feature_id, one.attributes, one.pieces)
            for one in near[content.content_id]
        ),
        content.plan_id,
        content.synthetic,
        region,
    )


def stored_report(library: Library, report_id: str) -> dict[str, Any]:
    """A report as it was issued, or ``NotFound``."""
    with library.pool.connection() as connection:
        return report_kept(connection, report_id)


def report_kept(connection: Connection, report_id: str) -> dict[str, Any]:
    """The same on a connection that is at work already."""
    found = row(connection, _SELECT, report_id=report_id)
    if found is None:
        raise NotFound(f"There is no report '{report_id}'.", f"没有报告“{report_id}”。")
    report: dict[str, Any] = orjson.loads(found["body"])
    return report
