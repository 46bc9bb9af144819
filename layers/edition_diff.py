"""What changed between two editions of a plan, or between a draft and an edition.

Layers that both editions have from one content cost nothing, and of contents that stand on one base
(``layers.deltas``) only the rows that differ from it are read. Others are compared by feature id in
one hash join inside the database; where the ids are row numbers they are no names, and features
are matched by equal geometry instead (``matched_by``): one whose shape changed then counts as
removed and added. Nothing of this measures geometry: areas are those stored with the features,
and ``layers.change_measuring`` measures what the shapes of changed features do not share.
"""

import datetime
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from psycopg import sql
from psycopg.rows import dict_row

from layers.catalog import Catalog, Layer
from layers.database import Connection, row, rows, statements
from layers.errors import BadParameter, NotFound

_SQL: Final = statements("layers", "edition_diff.sql")

KEPT: Final = 50_000
"""Changes of a layer that are listed one by one; the totals and the stream hold all."""
_STREAM_ROWS: Final = 500

MatchedBy = Literal["feature_id", "geometry"]


@dataclass(frozen=True, slots=True)
class LayerVersion:
    """The content that a layer has in an edition."""

    layer_id: str
    content_id: int
    content_sha256: str | None
    accuracy_m: float
    ids_generated: bool
    ids_known: bool
    """The import said where its ids come from; of other contents the rows are asked."""
    carried_over: bool
    base_id: int | None = None
    """The content that a delta stands on."""
    feature_count: int | None = None

    @property
    def root(self) -> int:
        """The whole content that the rows stand on; itself unless it is a delta."""
        return self.content_id if self.base_id is None else self.base_id


@dataclass(frozen=True, slots=True)
class EditionVersion:
    """An edition with its contents; of a draft also those that publishing would carry over."""

    id: int
    plan_id: str
    state: str
    title: dict[str, str]
    valid_from: datetime.date
    synthetic: bool
    created: datetime.datetime
    published: datetime.datetime | None
    metadata: dict[str, Any]
    layers: dict[str, LayerVersion]


@dataclass(frozen=True, slots=True)
class Comparable:
    """Two contents of one layer and how their features are matched; None = no content."""

    layer_id: str
    before: LayerVersion | None
    after: LayerVersion | None
    matched_by: MatchedBy
    ignored: tuple[str, ...]
    """Attributes that hold a row number and are not compared."""

    @property
    def same(self) -> bool:
        """One content, or two with equal fingerprints: nothing has to be read."""
        if self.before is None or self.after is None:
            return False
        if self.before.content_id == self.after.content_id:
            return True
        digests = {self.before.content_sha256, self.after.content_sha256}
        return len(digests) == 1 and None not in digests

    @property
    def related(self) -> bool:
        """Both stand on one content: what neither of them changed need not be read."""
        if self.before is None or self.after is None:
            return False
        return self.before.root == self.after.root


@dataclass(frozen=True, slots=True)
class Change:
    """One feature that was added, removed or changed; fids are those of the two contents."""

    name: str
    fid_before: int | None
    fid_after: int | None
    area_before_m2: float | None
    area_after_m2: float | None
    attributes_differ: bool
    geometry_differs: bool

    @property
    def kind(self) -> Literal["added", "removed", "changed"]:
        """In one word."""
        if self.fid_before is None:
            return "added"
        return "removed" if self.fid_after is None else "changed"

    @property
    def what(self) -> Literal["attributes", "geometry", "both"] | None:
        """What changed of a feature that both editions have."""
        if self.kind != "changed":
            return None
        if self.attributes_differ and self.geometry_differs:
            return "both"
        return "geometry" if self.geometry_differs else "attributes"


@dataclass(frozen=True, slots=True)
class LayerDiff:
    """Totals of a layer and its first changes by name; ``listed`` ends at ``KEPT``."""

    pair: Comparable
    totals: dict[str, Any]
    changed_attributes: dict[str, int]
    coverage_changed: bool
    listed: tuple[Change, ...]

    @property
    def reshaped(self) -> int:
        """Features whose geometry changed."""
        return int(self.totals["geometry_only"] + self.totals["both"])

    @property
    def changes(self) -> int:
        """All changes, listed or not."""
        names = ("added", "removed", "attributes_only", "geometry_only", "both")
        return sum(int(self.totals[name]) for name in names)


@dataclass(frozen=True, slots=True)
class ChangedRow:
    """A change with both rows: attributes, and geometry as WKB (EPSG:4490, lon/lat)."""

    change: Change
    attributes_before: dict[str, Any] | None
    attributes_after: dict[str, Any] | None
    geometry_before: bytes | None
    geometry_after: bytes | None


def edition_version(connection: Connection, edition_id: int) -> EditionVersion:
    """An edition with its contents, or ``NotFound``."""
    found = row(connection, _SQL["edition"], edition_id=edition_id)
    if found is None:
        raise NotFound(
            f"There is no edition {edition_id}.", f"没有版本 {edition_id}。", code="no-edition"
        )
    contents = rows(connection, _SQL["contents_of_version"], edition_id=edition_id)
    return EditionVersion(
        **found,
        layers={
            content["layer_id"]: LayerVersion(
                layer_id=content["layer_id"],
                content_id=content["content_id"],
                content_sha256=content["content_sha256"],
                accuracy_m=content["accuracy_m"],
                ids_generated=content["ids_generated"],
                ids_known=content["ids_known"],
                carried_over=content["carried_over"],
                base_id=content["base_id"],
                feature_count=content["feature_count"],
            )
            for content in contents
            if content["state"] != "loading"
        },
    )


def comparables(
    connection: Connection,
    catalog: Catalog,
    before: EditionVersion,
    after: EditionVersion,
    layers: Sequence[Layer],
) -> list[Comparable]:
    """The layers of two editions of one plan, side by side, as far as the caller may see them."""
    if before.plan_id != after.plan_id:
        raise BadParameter(
            f"Edition {before.id} is of {before.plan_id}, edition {after.id} of {after.plan_id}; "
            "only editions of one plan are compared.",
            f"版本 {before.id} 属于 {before.plan_id}，版本 {after.id} 属于 {after.plan_id}；"
            "只能比较同一规划的版本。",
            code="other-plan",
        )
    visible = {layer.id: layer for layer in layers}
    return [
        _comparable(connection, visible[layer.id], before, after)
        for layer in catalog.plan(before.plan_id).layers
        if layer.id in visible and (layer.id in before.layers or layer.id in after.layers)
    ]


def _comparable(
    connection: Connection, layer: Layer, before: EditionVersion, after: EditionVersion
) -> Comparable:
    sides = (before.layers.get(layer.id), after.layers.get(layer.id))
    numbered = any(_are_row_numbers(connection, side) for side in _imported(*sides))
    ignored = (layer.id_attribute,) if numbered and layer.id_attribute else ()
    return Comparable(layer.id, *sides, "geometry" if numbered else "feature_id", ignored)


def _imported(before: LayerVersion | None, after: LayerVersion | None) -> list[LayerVersion]:
    """The sides whose ids have to be asked for.

    None of one content. Of two that stand on one base the deltas that were imported: who edits
    features of a draft keeps their ids, whatever the ids of the base once came from.
    """
    sides = [side for side in (before, after) if side is not None]
    if len({side.content_id for side in sides}) < len(sides):
        return []
    if len(sides) == 2 and sides[0].root == sides[1].root:
        return [side for side in sides if side.base_id is not None and side.ids_known]
    return sides


def _are_row_numbers(connection: Connection, version: LayerVersion) -> bool:
    """Whether feature ids are row numbers: by the import's word, else by the rows themselves."""
    if version.ids_known:
        return version.ids_generated
    statement = sql.SQL(_SQL["ids_are_row_numbers"]).format(after=all_rows(version))
    found = connection.execute(statement).fetchone()
    return bool(found and found[0])


def compare(connection: Connection, pair: Comparable, *, kept: int = KEPT) -> LayerDiff:
    """Totals and the first changes of a layer, by one statement."""
    if pair.same:
        return _unchanged(connection, pair)
    with connection.cursor(row_factory=dict_row) as cursor:
        (found,) = cursor.execute(
            _composed("compare", pair), {"ignored": list(pair.ignored), "kept": kept}
        ).fetchall()
    listed = tuple(_change(record) for record in found.pop("listed"))
    totals = {name: value or 0 for name, value in found.items()}
    if pair.related and pair.before is not None:
        before = pair.before.feature_count or 0
        totals |= {"features_before": before, "area_m2_before": None, "area_m2_after": None}
        totals["features_after"] = before + totals["added"] - totals["removed"]
    diff = LayerDiff(pair, totals, {}, _coverage_differs(connection, pair), listed)
    return replace(diff, changed_attributes=_changed_attributes(connection, diff))


def _change(record: Sequence[Any]) -> Change:
    name, fid_before, fid_after, area_before, area_after, values, shape = record
    return Change(name, fid_before, fid_after, area_before, area_after, bool(values), bool(shape))


def _changed_attributes(connection: Connection, diff: LayerDiff) -> dict[str, int]:
    """Which attributes changed, in how many features."""
    if not diff.totals["attributes_only"] + diff.totals["both"]:
        return {}
    counts: Counter[str] = Counter()
    for batch in _changes(connection, diff.pair, diff):
        recoded = [change for change in batch if change.attributes_differ]
        for _, before, after in page_rows(connection, diff.pair, recoded):
            counts.update(changed_names(before, after, diff.pair.ignored))
    return dict(sorted(counts.items()))


def _unchanged(connection: Connection, pair: Comparable) -> LayerDiff:
    """Nothing is read of an unchanged layer; its whole area is not among the figures."""
    content_id = pair.after.content_id if pair.after else None
    found = row(connection, _SQL["feature_count"], content_id=content_id)
    features = found["features"] if found else None
    totals: dict[str, Any] = dict.fromkeys(_FIGURES, 0)
    totals |= {"features_before": features, "features_after": features}
    totals |= {"area_m2_before": None, "area_m2_after": None}
    return LayerDiff(pair, totals, {}, _coverage_differs(connection, pair), ())


_FIGURES: Final = (
    "added", "added_area_m2", "removed", "removed_area_m2", "attributes_only", "geometry_only",
    "both", "changed_area_m2_before", "changed_area_m2_after",
)  # fmt: skip


def _coverage_differs(connection: Connection, pair: Comparable) -> bool:
    if pair.before is None or pair.after is None:
        return True
    if pair.before.content_id == pair.after.content_id:
        return False
    found = row(
        connection,
        _SQL["coverage_differs"],
        before=pair.before.content_id,
        after=pair.after.content_id,
    )
    return bool(found and found["differs"])


def page_rows(
    connection: Connection, pair: Comparable, changes: Sequence[Change]
) -> list[tuple[Change, dict[str, Any] | None, dict[str, Any] | None]]:
    """Some changes with the attributes of both sides."""
    before, after = _sides(connection, "attributes_by_fid", pair, changes)
    return [
        (change, *before.get(change.fid_before, (None,)), *after.get(change.fid_after, (None,)))
        for change in changes
    ]


def _sides(
    connection: Connection, statement: str, pair: Comparable, changes: Sequence[Change]
) -> tuple[dict[int | None, tuple[Any, ...]], dict[int | None, tuple[Any, ...]]]:
    """The rows of both sides of some changes, by fid: two index look-ups for all of them."""
    return (
        _by_fid(connection, statement, pair.before, [change.fid_before for change in changes]),
        _by_fid(connection, statement, pair.after, [change.fid_after for change in changes]),
    )


def _by_fid(
    connection: Connection,
    statement: str,
    version: LayerVersion | None,
    fids: Sequence[int | None],
) -> dict[int | None, tuple[Any, ...]]:
    asked = [fid for fid in fids if fid is not None]
    if not asked:
        return {}
    composed = sql.SQL(_SQL[statement]).format(rows=all_rows(version))
    found = connection.execute(composed, {"fids": asked}, binary=True).fetchall()
    return {record[0]: record[1:] for record in found}


def changed_names(
    before: dict[str, Any] | None, after: dict[str, Any] | None, ignored: Sequence[str] = ()
) -> list[str]:
    """Names of the attributes that differ; none where one side is missing."""
    if before is None or after is None:
        return []
    names = sorted({*before, *after} - set(ignored))
    return [name for name in names if before.get(name) != after.get(name)]


def changed_rows(
    connection: Connection, pair: Comparable, diff: LayerDiff | None = None
) -> Iterator[list[ChangedRow]]:
    """All changes with both rows, in batches: memory does not grow with their number."""
    for batch in _changes(connection, pair, diff):
        before, after = _sides(connection, "rows_by_fid", pair, batch)
        yield [
            ChangedRow(change, old[0], new[0], old[1], new[1])
            for change in batch
            for old, new in [
                (before.get(change.fid_before, _NO_ROW), after.get(change.fid_after, _NO_ROW))
            ]
        ]


_NO_ROW: Final = (None, None)


def reshaped_pairs(
    connection: Connection, pair: Comparable, diff: LayerDiff | None = None
) -> Iterator[list[tuple[bytes, bytes]]]:
    """Both shapes (WKB) of features whose geometry changed, in batches."""
    if pair.matched_by == "geometry":
        return
    for batch in _changes(connection, pair, diff):
        reshaped = [change for change in batch if change.geometry_differs]
        if reshaped:
            before, after = _sides(connection, "shapes_by_fid", pair, reshaped)
            yield [
                (bytes(before[change.fid_before][0]), bytes(after[change.fid_after][0]))
                for change in reshaped
            ]


def _changes(
    connection: Connection, pair: Comparable, diff: LayerDiff | None
) -> Iterator[list[Change]]:
    """All changes in batches: from the list where that holds all, else by another pass."""
    if pair.same:
        return
    if diff is not None and diff.changes == len(diff.listed):
        for start in range(0, len(diff.listed), _STREAM_ROWS):
            yield list(diff.listed[start : start + _STREAM_ROWS])
        return
    with connection.transaction(), connection.cursor(name="differing", binary=True) as cursor:
        cursor.execute(_composed("differing", pair), {"ignored": list(pair.ignored)})
        while batch := cursor.fetchmany(_STREAM_ROWS):
            yield [_change(record) for record in batch]


def _composed(statement: str, pair: Comparable) -> sql.Composed:
    if pair.related and pair.before is not None and pair.after is not None:
        sides = {
            "before": _differing_rows(pair.before, pair.after),
            "after": _differing_rows(pair.after, pair.before),
        }
    else:
        sides = {"before": all_rows(pair.before), "after": all_rows(pair.after)}
    changes = sql.SQL(_SQL[f"changes_by_{'id' if pair.matched_by == 'feature_id' else 'geometry'}"])
    return sql.SQL(_SQL[statement]).format(**sides, changes=changes.format(**sides))


def all_rows(version: LayerVersion | None) -> sql.Composable:
    """A subquery with all rows of a content, whole or delta; with none for None."""
    if version is None:
        return sql.SQL(_SQL["no_rows"])
    name = "rows_of_whole" if version.base_id is None else "rows_of_delta"
    return sql.SQL(_SQL[name]).format(
        content=sql.Literal(version.content_id), root=sql.Literal(version.root)
    )


def _differing_rows(version: LayerVersion, other: LayerVersion) -> sql.Composable:
    return sql.SQL(_SQL["differing_rows"]).format(
        content=sql.Literal(version.content_id),
        other=sql.Literal(other.content_id),
        root=sql.Literal(version.root),
    )
