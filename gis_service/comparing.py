"""Plan against plan, from names of plans to a report: one walk for CLI, HTTP and jobs.

The library is read in one repeatable-read transaction; geometry is worked on cell by cell through
an executor, never in the database or in this process.
"""

import datetime
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from gis_service.comparison_pairs import LayerPair, NotCompared, asked_plans, layer_pairs
from gis_service.comparison_region import Region, RegionRequest, region_of
from gis_service.executors import in_order
from gis_service.library import Library, today
from gis_service.row_spool import RowSpool
from layers.comparison_rows import ContentRows, shared_cells
from layers.crs import Box
from layers.database import Connection
from layers.editions import Content, contents_in_force
from layers.errors import GaveUp
from layers.features import coverage_near
from planning_rules.land_take import COUNTY
from planning_rules.plan_comparison import PairRules, PlanCell, PlanSide, compare_cell
from planning_rules.plan_patches import WidthRules, clusters, join_open_clusters
from planning_rules.plan_report import (
    MOST_PATCHES,
    Inputs,
    PairReport,
    build_report,
    gap_rows,
    pair_json,
    touch_rows,
)
from planning_rules.plan_totals import PairNames, PairTotals, named_features, named_patches
from planning_rules.rule_set import RuleSet

Progress = Callable[[str, float], None]
Task = tuple[Box, tuple[PlanCell, PairRules]]
_Contents = tuple[Content | None, Content | None]

CELL_VERTICES: Final = 40_000
_JOIN_BATCH: Final = 400
_SNAPSHOT: Final = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"
_NO_DEADLINE: Final = "SET LOCAL statement_timeout = 0"
"""A statement reads one cell or streams one layer; the executor has the deadlines."""


@dataclass(frozen=True, slots=True)
class CompareRequest:
    """What is asked for: plans in any order, where, and the day whose editions hold."""

    plans: tuple[str, ...]
    region: RegionRequest | None = None
    as_of: datetime.date | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """The report with all that its map layers draw: patches in its order, contacts, no data."""

    report: dict[str, Any]
    patches: RowSpool
    touches: RowSpool
    gaps: RowSpool


@dataclass(frozen=True, slots=True)
class _Layer:
    """One side of a pair: its rows, and the class of every feature."""

    rows: ContentRows
    fids: npt.NDArray[np.int64]
    classes: npt.NDArray[np.int64]

    def side(self, box: Box, coverage: bytes | None) -> PlanSide:
        fids, wkbs = self.rows.pieces(box)
        return PlanSide(fids, self.classes[np.searchsorted(self.fids, fids)], wkbs, coverage)


def compare_plans(
    library: Library,
    request: CompareRequest,
    runner: Executor,
    workers: int,
    progress: Progress = lambda _what, _share: None,
) -> Comparison:
    """Compare plans as they are in force on a day; nothing is stored."""
    as_of, rule_set = request.as_of or today(), library.rules_in_use()
    plans = asked_plans(library.catalog, request.plans)
    pairs, left = layer_pairs(library.catalog, rule_set, library.keepers, plans, as_of)
    found = _Found([], RowSpool(), RowSpool(), RowSpool())
    with library.pool.connection() as connection, connection.transaction():
        connection.execute(_SNAPSHOT)
        connection.execute(_NO_DEADLINE)
        layers = {layer.id for pair in pairs for layer in (pair.subject, pair.target)}
        contents = contents_in_force(connection, sorted({*layers, COUNTY}), as_of)
        region = None
        if request.region is not None:
            region = region_of(library, connection, contents.get(COUNTY), request.region)
        for number, pair in enumerate(pairs):
            work = _PairWork(rule_set, connection, pair, contents, region, runner, workers)
            totals, names = work.result(_part(progress, pair, number, len(pairs)))
            sides = (contents.get(pair.subject.id), contents.get(pair.target.id))
            found.add(connection, _pair_report(pair, names, totals, sides), sides)
    progress("report", 1.0)
    report = _report(rule_set, as_of, request, region, found, left)
    report["signature"] = library.keys.sign(report)
    return Comparison(report, found.patches, found.touches, found.gaps)


@dataclass(slots=True)
class _Found:
    """What the pairs came to; patches go to files pair by pair."""

    pairs: list[dict[str, Any]]
    patches: RowSpool
    touches: RowSpool
    gaps: RowSpool
    synthetic: bool = False

    def add(self, connection: Connection, pair: PairReport, contents: _Contents) -> None:
        self.pairs.append(pair_json(pair))
        self.synthetic |= pair.synthetic
        self.patches.add(_patch_rows(connection, pair, contents))
        self.touches.add(touch_rows(pair))
        self.gaps.add(gap_rows(pair))


def _part(progress: Progress, pair: LayerPair, number: int, count: int) -> Callable[[float], None]:
    what = f"{pair.subject.id} × {pair.target.id}"
    return lambda share: progress(what, (number + share) / count)


@dataclass(frozen=True, slots=True)
class _PairWork:
    """The work on one pair of layers."""

    rule_set: RuleSet
    connection: Connection
    pair: LayerPair
    contents: Mapping[str, Content]
    region: Region | None
    runner: Executor
    workers: int

    def result(self, progress: Callable[[float], None]) -> tuple[PairTotals, PairNames]:
        """All cells, then the components that cell edges had cut."""
        pair = self.pair
        one, two = (self.contents.get(layer.id) for layer in (pair.subject, pair.target))
        names = PairNames(pair.rule.id, pair.subject.id, pair.target.id, (), ())
        if one is None or two is None:
            return PairTotals(()), names
        (subject, classes), (target, others) = (
            self._layer(layer.id, content)
            for layer, content in ((pair.subject, one), (pair.target, two))
        )
        asked = pair.rule.test.compatibility
        default = "undetermined" if asked is None else asked.default
        relations = tuple(
            tuple(pair.matrix.relation(there, here, default) for there in others)
            for here in classes
        )
        names = replace(names, subject_classes=classes, target_classes=others)
        tolerance = self.rule_set.tolerance_of(pair.rule)
        accuracy_m = float(np.hypot(one.accuracy_m, two.accuracy_m))
        rules = PairRules(relations, WidthRules(tolerance, accuracy_m))
        totals = PairTotals(relations)
        bounds = self._bounds(subject, target)
        if bounds is not None:
            self._compare(subject, target, rules, bounds, totals, progress)
        return totals, names

    def _layer(self, layer_id: str, content: Content) -> tuple[_Layer, tuple[Any, ...]]:
        """The rows of a layer with the class of every feature, and the classes."""
        rows = ContentRows.of(self.connection, content.content_id)
        says = self.pair.matrix.layers[layer_id]
        fids, classes, values = rows.class_values(says.property or "", says.scheme_property or "")
        found = [self.pair.matrix.class_of(layer_id, value, scheme) for value, scheme in values]
        distinct = sorted(set(found), key=lambda c: (not c.known, c.scheme or "", c.code or ""))
        place = np.array([distinct.index(one) for one in found], dtype=np.int64)
        numbers = place[classes] if len(classes) else classes
        return _Layer(rows, fids, numbers), tuple(distinct)

    def _bounds(self, *layers: _Layer) -> Box | None:
        """The box to share out: the region's, else around all ground with data."""
        if self.region is not None:
            return self.region.box
        extents = [e for e in (layer.rows.extent() for layer in layers) if e is not None]
        if not extents:
            return None
        lows, highs = [e[:2] for e in extents], [e[2:] for e in extents]
        (west, south), (east, north) = np.min(lows, axis=0), np.max(highs, axis=0)
        return float(west), float(south), float(east), float(north)

    def _compare(
        self, subject: _Layer, target: _Layer, rules: PairRules, bounds: Box, totals: PairTotals,
        progress: Callable[[float], None],
    ) -> None:  # fmt: skip
        cells = shared_cells(
            subject.rows.boxes(bounds), target.rows.boxes(bounds), bounds, CELL_VERTICES
        )
        tasks = self._cells(cells, subject, target, rules)
        for done, (box, answer) in enumerate(
            in_order(self.runner, self.workers, compare_cell, tasks), start=1
        ):
            if isinstance(answer, GaveUp):
                totals.unseen.append((box, answer.text))
            else:
                totals.add(answer)
            progress(0.95 * done / len(cells))
        self._join(totals, rules)
        progress(1.0)

    def _cells(
        self, boxes: Sequence[Box], subject: _Layer, target: _Layer, rules: PairRules
    ) -> Iterator[Task]:
        region = None if self.region is None else self.region.wkb
        county = self.contents.get(COUNTY)
        units = None if county is None else _Units.of(self.connection, county)
        numbers = (subject.rows.content_id, target.rows.content_id)
        for box in boxes:
            covered = coverage_near(self.connection, {number: [box] for number in numbers})
            cell = PlanCell(
                box,
                region,
                subject.side(box, covered[numbers[0]]),
                target.side(box, covered[numbers[1]]),
                () if units is None else units.near(box),
            )
            yield box, (cell, rules)

    def _join(self, totals: PairTotals, rules: PairRules) -> None:
        """Make whole what cell edges cut; clusters go out in batches."""
        for relation in sorted(totals.open):
            groups = clusters(totals.open[relation])
            batches = [groups[i : i + _JOIN_BATCH] for i in range(0, len(groups), _JOIN_BATCH)]
            tasks = ((batch, (batch, rules.widths)) for batch in batches)
            for batch, found in in_order(self.runner, self.workers, join_open_clusters, tasks):
                if isinstance(found, GaveUp):
                    totals.give_up(batch, found.text)
                else:
                    totals.add_patches(found)
        totals.open.clear()


@dataclass(frozen=True, slots=True)
class _Units:
    """The layer of administrative units, with the code of every feature."""

    rows: ContentRows
    codes: Mapping[int, str]

    @classmethod
    def of(cls, connection: Connection, content: Content) -> "_Units":
        rows = ContentRows.of(connection, content.content_id)
        fids, classes, values = rows.class_values("admin_code", "admin_code")
        named = zip(fids.tolist(), classes.tolist(), strict=True)
        return cls(rows, {fid: values[c][0] or "" for fid, c in named})

    def near(self, box: Box) -> tuple[tuple[str, bytes], ...]:
        fids, wkbs = self.rows.pieces(box)
        named = ((self.codes[fid], blob) for fid, blob in zip(fids.tolist(), wkbs, strict=True))
        return tuple(sorted((code, blob) for code, blob in named if code))


def _patch_rows(
    connection: Connection, pair: PairReport, contents: _Contents
) -> Iterator[dict[str, Any]]:
    """The patches of a pair as JSON, with the ids of their features."""
    one, two = contents
    if one is None or two is None:
        return
    subjects, targets = named_features(pair.totals.patches)
    own = ContentRows.of(connection, one.content_id).feature_ids(subjects)
    others = ContentRows.of(connection, two.content_id).feature_ids(targets)
    for named in named_patches(pair.names, pair.totals):
        yield named.as_json(own, others)


def _report(
    rule_set: RuleSet,
    as_of: datetime.date,
    request: CompareRequest,
    region: Region | None,
    found: _Found,
    left: Sequence[NotCompared],
) -> dict[str, Any]:
    created = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    inputs = Inputs(
        plans=request.plans,
        region=None if region is None else region.name,
        as_of=as_of,
        rule_set=rule_set,
        cell_vertices=CELL_VERTICES,
    )
    return build_report(
        inputs,
        found.pairs,
        [
            {
                "plan": one.plan, "layer": one.layer, "hidden": one.hidden,
                "reason": one.reason.model_dump(),
            }
            for one in left
        ],
        {
            "count": len(found.patches),
            "sha256": found.patches.sha256,
            "listed": list(islice(found.patches, MOST_PATCHES)),
        },
        report_id=str(uuid.uuid4()),
        created=created.replace("+00:00", "Z"),
        synthetic=found.synthetic,
    )  # fmt: skip


def _pair_report(
    pair: LayerPair, names: PairNames, totals: PairTotals, contents: _Contents
) -> PairReport:
    return PairReport(
        rule=pair.rule,
        names=names,
        totals=totals,
        plans=(pair.subject_plan.id, pair.target_plan.id),
        contents=tuple(_content_json(content) for content in contents),
        prevails=pair.prevailing.id,
        synthetic=any(content is not None and content.synthetic for content in contents),
    )


def _content_json(content: Content | None) -> dict[str, Any] | None:
    if content is None:
        return None
    return {
        "edition": content.edition_id,
        "content_sha256": content.content_sha256,
        "accuracy_m": content.accuracy_m,
        "features": content.feature_count,
    }
