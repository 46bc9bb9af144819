"""The tables of the library as SQLAlchemy models; the migrations are the master.

Only truly dynamic statements are built from these (``layers.feature_pages``); a test keeps
models and migrated schema equal, column by column.
"""

import datetime
import uuid
from decimal import Decimal
from typing import Any

from geoalchemy2 import Geometry
from sqlalchemy import BigInteger, ForeignKey, Integer, LargeBinary, Numeric, SmallInteger, Text
from sqlalchemy.dialects.postgresql import ARRAY, DATERANGE, JSONB, TSTZRANGE
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import DateTime

_Json = dict[str, Any]


def _geometry(kind: str, srid: int) -> Geometry:
    return Geometry(kind, srid=srid, spatial_index=False)


class Model(DeclarativeBase):
    """Base of the models; all tables stand in the schema ``library``."""

    __table_args__ = {"schema": "library"}  # noqa: RUF012 - the form SQLAlchemy asks for
    type_annotation_map = {  # noqa: RUF012 - the form SQLAlchemy asks for
        _Json: JSONB,
        str: Text,
        datetime.datetime: DateTime(timezone=True),
        bytes: LargeBinary,
        Decimal: Numeric(16, 2),
    }


class Plan(Model):
    """A plan (规划) of the catalogue."""

    __tablename__ = "plan"
    id: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str]
    rank: Mapped[int]
    definition: Mapped[_Json]


class Layer(Model):
    """A layer (图层) of a plan."""

    __tablename__ = "layer"
    id: Mapped[str] = mapped_column(primary_key=True)
    plan_id: Mapped[str] = mapped_column(ForeignKey("library.plan.id"))
    access_class: Mapped[str]
    accuracy_m: Mapped[float]
    definition: Mapped[_Json]


class Edition(Model):
    """An edition (版本) of a plan."""

    __tablename__ = "edition"
    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    plan_id: Mapped[str] = mapped_column(ForeignKey("library.plan.id"))
    state: Mapped[str]
    title: Mapped[_Json]
    valid_from: Mapped[datetime.date]
    synthetic: Mapped[bool]
    created: Mapped[datetime.datetime]
    published: Mapped[datetime.datetime | None]
    metadata_: Mapped[_Json] = mapped_column("metadata")


class InForce(Model):
    """Which edition is in force when, and since when that is known (bitemporal)."""

    __tablename__ = "in_force"
    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    plan_id: Mapped[str] = mapped_column(ForeignKey("library.plan.id"))
    edition_id: Mapped[int] = mapped_column(ForeignKey("library.edition.id"))
    valid: Mapped[Any] = mapped_column(DATERANGE, nullable=False)
    recorded: Mapped[Any] = mapped_column(TSTZRANGE, nullable=False)


class LayerContent(Model):
    """The content of one layer, as imported once; editions may share it."""

    __tablename__ = "layer_content"
    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    layer_id: Mapped[str] = mapped_column(ForeignKey("library.layer.id"))
    base_id: Mapped[int | None] = mapped_column(ForeignKey("library.layer_content.id"))
    state: Mapped[str]
    accuracy_m: Mapped[float]
    feature_count: Mapped[int | None] = mapped_column(BigInteger)
    content_sha256: Mapped[str | None]
    coverage: Mapped[Any | None] = mapped_column(_geometry("MULTIPOLYGON", 4490))
    extent: Mapped[Any | None] = mapped_column(_geometry("POLYGON", 4490))
    source: Mapped[_Json]
    import_report: Mapped[_Json]
    blocking_issues: Mapped[int]
    created: Mapped[datetime.datetime]


class EditionLayer(Model):
    """Which content a layer has in an edition."""

    __tablename__ = "edition_layer"
    edition_id: Mapped[int] = mapped_column(ForeignKey("library.edition.id"), primary_key=True)
    layer_id: Mapped[str] = mapped_column(ForeignKey("library.layer.id"), primary_key=True)
    content_id: Mapped[int] = mapped_column(ForeignKey("library.layer_content.id"))
    carried_over: Mapped[bool]
    basis: Mapped[str | None]
    basis_id: Mapped[int | None]


class Feature(Model):
    """A feature (图斑), EPSG:4490, x = longitude; partitioned by content."""

    __tablename__ = "feature"
    content_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    fid: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    feature_id: Mapped[str]
    attributes: Mapped[_Json]
    area_m2: Mapped[float | None]
    geom: Mapped[Any] = mapped_column(_geometry("GEOMETRY", 4490), nullable=False)


class SourceFeature(Model):
    """The row as it came, where the stored one differs."""

    __tablename__ = "source_feature"
    content_id: Mapped[int] = mapped_column(
        ForeignKey("library.layer_content.id"), primary_key=True
    )
    fid: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    source_crs: Mapped[str]
    geom_wkb: Mapped[bytes]
    attributes: Mapped[_Json]


class SourceChunk(Model):
    """Some thousand rows as they came, and digests of all rows (``layers.source_rows``)."""

    __tablename__ = "source_chunk"
    content_id: Mapped[int] = mapped_column(
        ForeignKey("library.layer_content.id"), primary_key=True
    )
    chunk: Mapped[int] = mapped_column(Integer, primary_key=True)
    first_fid: Mapped[int] = mapped_column(BigInteger)
    last_fid: Mapped[int] = mapped_column(BigInteger)
    source_crs: Mapped[str]
    fids: Mapped[bytes]
    digests: Mapped[bytes]
    noted: Mapped[bytes]
    body: Mapped[bytes]


class OverlayPiece(Model):
    """A piece of a feature of at most 128 vertices, for overlay and point queries."""

    __tablename__ = "overlay_piece"
    content_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    fid: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    piece: Mapped[int] = mapped_column(Integer, primary_key=True)
    geom: Mapped[Any] = mapped_column(_geometry("GEOMETRY", 4490), nullable=False)


class CoveragePiece(Model):
    """A piece of where a content has data."""

    __tablename__ = "coverage_piece"
    content_id: Mapped[int] = mapped_column(
        ForeignKey("library.layer_content.id"), primary_key=True
    )
    piece: Mapped[int] = mapped_column(Integer, primary_key=True)
    geom: Mapped[Any] = mapped_column(_geometry("POLYGON", 4490), nullable=False)


class TilePiece(Model):
    """A web-mercator piece cut to an ancestor tile, for drawing only; a table without a key."""

    __tablename__ = "tile_piece"
    # The mapper wants a key; these five name a row, the table itself has no constraint.
    content_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    base_zoom: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    x: Mapped[int] = mapped_column(Integer, primary_key=True)
    y: Mapped[int] = mapped_column(Integer, primary_key=True)
    fid: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    properties: Mapped[_Json]
    geom: Mapped[Any] = mapped_column(_geometry("GEOMETRY", 3857), nullable=False)
    by_feature: Mapped[bool | None]


class HiddenFeature(Model):
    """A row of its base that does not hold in a delta."""

    __tablename__ = "hidden_feature"
    content_id: Mapped[int] = mapped_column(
        ForeignKey("library.layer_content.id"), primary_key=True
    )
    fid: Mapped[int] = mapped_column(BigInteger, primary_key=True)


class TouchedFeature(Model):
    """A row of a draft that changed since the pieces were made."""

    __tablename__ = "touched_feature"
    content_id: Mapped[int] = mapped_column(
        ForeignKey("library.layer_content.id"), primary_key=True
    )
    fid: Mapped[int] = mapped_column(BigInteger, primary_key=True)


class MosaicGrid(Model):
    """The grid of classes behind the merged pieces of a low zoom."""

    __tablename__ = "mosaic_grid"
    content_id: Mapped[int] = mapped_column(
        ForeignKey("library.layer_content.id"), primary_key=True
    )
    base_zoom: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    west: Mapped[float]
    north: Mapped[float]
    cell_m: Mapped[float]
    height: Mapped[int]
    width: Mapped[int]
    classes: Mapped[Any] = mapped_column(JSONB, nullable=False)
    cells: Mapped[bytes]


class ImportIssue(Model):
    """A problem of one row of an import."""

    __tablename__ = "import_issue"
    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    content_id: Mapped[int] = mapped_column(ForeignKey("library.layer_content.id"))
    source_row: Mapped[int | None] = mapped_column(BigInteger)
    field: Mapped[str | None]
    value: Mapped[str | None]
    code: Mapped[str]
    severity: Mapped[str]
    reason: Mapped[_Json]


class Report(Model):
    """A conflict report as issued; the JSON body is the master."""

    __tablename__ = "report"
    id: Mapped[str] = mapped_column(primary_key=True)
    created: Mapped[datetime.datetime]
    outcome: Mapped[str]
    digest: Mapped[str]
    body: Mapped[bytes]
    access_class: Mapped[str]


class RuleSet(Model):
    """The text of a rule set that judged; reports name its digest."""

    __tablename__ = "rule_set"
    sha256: Mapped[str] = mapped_column(primary_key=True)
    id: Mapped[str]
    version: Mapped[str]
    canonical_text: Mapped[str]
    first_used: Mapped[datetime.datetime]


class QualityRun(Model):
    """What the checks of an edition came to; never changed."""

    __tablename__ = "quality_run"
    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    edition_id: Mapped[int] = mapped_column(ForeignKey("library.edition.id"))
    started: Mapped[datetime.datetime]
    finished: Mapped[datetime.datetime]
    contents: Mapped[_Json]
    counterparts: Mapped[_Json]
    outcome: Mapped[str]
    blocking: Mapped[int] = mapped_column(BigInteger)
    advisory: Mapped[int] = mapped_column(BigInteger)
    counts: Mapped[_Json]
    levels: Mapped[_Json]
    engine: Mapped[_Json]


class QualityFinding(Model):
    """One finding of a quality run, with its place."""

    __tablename__ = "quality_finding"
    run_id: Mapped[int] = mapped_column(ForeignKey("library.quality_run.id"), primary_key=True)
    number: Mapped[int] = mapped_column(Integer, primary_key=True)
    origin: Mapped[str]
    code: Mapped[str]
    severity: Mapped[str]
    layer_id: Mapped[str] = mapped_column(ForeignKey("library.layer.id"))
    content_id: Mapped[int]
    feature_ids: Mapped[list[str]] = mapped_column(ARRAY(Text))
    other_layer_id: Mapped[str | None] = mapped_column(ForeignKey("library.layer.id"))
    other_content_id: Mapped[int | None]
    source_row: Mapped[int | None] = mapped_column(BigInteger)
    field: Mapped[str | None]
    value: Mapped[str | None]
    measured: Mapped[float | None]
    unit: Mapped[str | None]
    width_m: Mapped[float | None]
    reason: Mapped[_Json]
    place: Mapped[Any | None] = mapped_column(_geometry("POINT", 4490))
    geom: Mapped[Any | None] = mapped_column(_geometry("GEOMETRY", 4490))


class QualityOutline(Model):
    """The drawing of a layer in the map of a quality report."""

    __tablename__ = "quality_outline"
    run_id: Mapped[int] = mapped_column(ForeignKey("library.quality_run.id"), primary_key=True)
    layer_id: Mapped[str] = mapped_column(ForeignKey("library.layer.id"), primary_key=True)
    geom: Mapped[Any] = mapped_column(_geometry("GEOMETRY", 4490), nullable=False)


class FeatureHistory(Model):
    """One change of a feature in a draft's content, written by triggers."""

    __tablename__ = "feature_history"
    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    content_id: Mapped[int] = mapped_column(ForeignKey("library.layer_content.id"))
    feature_id: Mapped[str]
    version: Mapped[int]
    action: Mapped[str]
    attributes_before: Mapped[_Json | None]
    attributes_after: Mapped[_Json | None]
    geom_before: Mapped[Any | None] = mapped_column(_geometry("GEOMETRY", 4490))
    geom_after: Mapped[Any | None] = mapped_column(_geometry("GEOMETRY", 4490))
    changed_by: Mapped[str]
    reason: Mapped[str | None]
    changed: Mapped[datetime.datetime]


class DraftRegion(Model):
    """The box (degrees) that features of drafts have to lie in; one row."""

    __tablename__ = "draft_region"
    one: Mapped[bool] = mapped_column(primary_key=True)
    west: Mapped[float]
    south: Mapped[float]
    east: Mapped[float]
    north: Mapped[float]


class AccessKey(Model):
    """A caller's key; its secret is nowhere, only the SHA-256."""

    __tablename__ = "access_key"
    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    name: Mapped[str]
    role: Mapped[str]
    digest: Mapped[bytes]
    per_minute: Mapped[int | None]
    hosts: Mapped[list[str]] = mapped_column(ARRAY(Text))
    created: Mapped[datetime.datetime]
    revoked: Mapped[datetime.datetime | None]


class Submission(Model):
    """A submission (项目用地) as received, with what its check came to."""

    __tablename__ = "submission"
    id: Mapped[str] = mapped_column(primary_key=True)
    created: Mapped[datetime.datetime]
    name: Mapped[str | None]
    access_class: Mapped[str]
    received: Mapped[_Json]
    request: Mapped[_Json]
    normalised_sha256: Mapped[str]
    source_crs: Mapped[str]
    area_m2: Mapped[Decimal]
    repairs: Mapped[_Json]
    notes: Mapped[_Json]
    report_id: Mapped[str] = mapped_column(ForeignKey("library.report.id"))
    outcome: Mapped[str]
    key_sha256: Mapped[str | None]
    request_sha256: Mapped[str | None]
    answer: Mapped[bytes | None]


class SubmissionOriginal(Model):
    """The bytes of a submission as they came."""

    __tablename__ = "submission_original"
    submission_id: Mapped[str] = mapped_column(
        ForeignKey("library.submission.id"), primary_key=True
    )
    content: Mapped[bytes]


class SubmissionClaim(Model):
    """An Idempotency-Key whose submission is being worked on."""

    __tablename__ = "submission_claim"
    key_sha256: Mapped[str] = mapped_column(primary_key=True)
    request_sha256: Mapped[str]
    token: Mapped[str]
    expires: Mapped[datetime.datetime]


class SubmissionEvent(Model):
    """A step of a submission: received, checked, approved, rejected, booked, expired."""

    __tablename__ = "submission_event"
    submission_id: Mapped[str] = mapped_column(
        ForeignKey("library.submission.id"), primary_key=True
    )
    number: Mapped[int] = mapped_column(Integer, primary_key=True)
    state: Mapped[str]
    at: Mapped[datetime.datetime]
    actor: Mapped[str]
    reason: Mapped[str | None]
    override_reason: Mapped[str | None]
    valid_until: Mapped[datetime.date | None]


class Quota(Model):
    """A quota (指标) of an administrative unit; its sums are those of its entries."""

    __tablename__ = "quota"
    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    ledger: Mapped[str]
    admin_code: Mapped[str]
    period: Mapped[str]
    first_day: Mapped[datetime.date]
    last_day: Mapped[datetime.date]
    land_class: Mapped[str]
    granted_m2: Mapped[Decimal]
    reserved_m2: Mapped[Decimal]
    booked_m2: Mapped[Decimal]
    entries: Mapped[int]


class QuotaEntry(Model):
    """What was granted, reserved, released or booked of a quota."""

    __tablename__ = "quota_entry"
    quota_id: Mapped[int] = mapped_column(ForeignKey("library.quota.id"), primary_key=True)
    number: Mapped[int] = mapped_column(Integer, primary_key=True)
    kind: Mapped[str]
    area_m2: Mapped[Decimal]
    submission_id: Mapped[str | None] = mapped_column(ForeignKey("library.submission.id"))
    at: Mapped[datetime.datetime]
    actor: Mapped[str]
    reason: Mapped[str | None]
    exceeds: Mapped[bool]


class ProcessJob(Model):
    """A job of a process, with its result."""

    __tablename__ = "process_job"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(BigInteger)
    process_id: Mapped[str]
    access_class: Mapped[str]
    caller: Mapped[str | None]
    request: Mapped[_Json]
    subscriber: Mapped[_Json | None]
    status: Mapped[str]
    attempt: Mapped[int]
    progress: Mapped[int | None] = mapped_column(SmallInteger)
    message: Mapped[_Json | None]
    created: Mapped[datetime.datetime]
    started: Mapped[datetime.datetime | None]
    updated: Mapped[datetime.datetime]
    finished: Mapped[datetime.datetime | None]
    result: Mapped[bytes | None]
    media_type: Mapped[str | None]
