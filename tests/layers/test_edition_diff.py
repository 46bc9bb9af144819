"""Differences between editions, held against plain Python and a published formula of area."""

import datetime
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import shapely
from pyproj import Geod

from layers.catalog import Catalog
from layers.change_measuring import Measured, difference_areas, measure, measure_all
from layers.contents import create_content, create_delta, finish_content, load_arrays
from layers.database import Connection
from layers.deltas import put_feature, remove_feature
from layers.edition_diff import (
    changed_names,
    changed_rows,
    comparables,
    compare,
    edition_version,
    page_rows,
    reshaped_pairs,
)
from layers.editions import open_draft, publish, put_layer
from layers.errors import BadParameter, NotFound
from layers.sandbox import Sandbox

PLAN = "overall-plan"
LAYER = "planned_landuse"
OTHER = "ecological_redline"
DAY = datetime.date(2025, 1, 1)
GEOD = Geod(a=6378137.0, rf=298.257222101)


def box(column: int, row: int = 0, side: float = 0.01) -> shapely.Geometry:
    return shapely.box(110 + column / 50, 19 + row / 50, 110 + column / 50 + side, 19.01 + row / 50)


def geodesic_area(geometry: shapely.Geometry) -> float:
    fine = shapely.segmentize(geometry, 0.0005)
    return abs(GEOD.geometry_area_perimeter(fine)[0])


class Editions:
    """Makes editions of the overall plan from rows (feature id, geometry, attributes)."""

    def __init__(self, connection: Connection) -> None:
        self.connection, self.day = connection, 0

    def __call__(
        self,
        layers: dict[str, Sequence[tuple[str, shapely.Geometry, dict[str, Any]]]],
        *,
        is_published: bool = True,
        report: dict[str, Any] | None = None,
    ) -> int:
        self.day += 1
        edition = 0
        for layer, features in layers.items():
            content = create_content(self.connection, layer)
            names = sorted({name for _, _, attributes in features for name in attributes})
            load_arrays(
                self.connection,
                content,
                [geometry for _, geometry, _ in features],
                {name: [f[2].get(name) for f in features] for name in names},
                1,
                feature_ids=[name for name, _, _ in features],
            )
            finish_content(
                self.connection, content, coverage=shapely.box(109, 18, 111, 20),
                import_report=report,
            )  # fmt: skip
            edition = open_draft(
                self.connection, PLAN, valid_from=DAY + datetime.timedelta(self.day)
            )
            put_layer(self.connection, edition, layer, content)
        if is_published:
            publish(self.connection, PLAN, edition)
        return edition


@pytest.fixture
def editions(connection: Connection) -> Editions:
    return Editions(connection)


def diffs(connection: Connection, catalog: Catalog, before: int, after: int, *names: str) -> dict:
    layers = [layer for _, layer in catalog.layers() if not names or layer.id in names]
    sides = edition_version(connection, before), edition_version(connection, after)
    return {
        pair.layer_id: compare(connection, pair)
        for pair in comparables(connection, catalog, *sides, layers)
    }


BEFORE = [
    ("a", box(0), {"landuse_code": "01", "name": "same"}),
    ("b", box(1), {"landuse_code": "01", "name": "recoded"}),
    ("c", box(2), {"landuse_code": "02", "name": "moved"}),
    ("d", box(3), {"landuse_code": "03", "name": "both"}),
    ("e", box(4), {"landuse_code": "04", "name": "gone"}),
]
AFTER = [
    ("f", box(5), {"landuse_code": "05", "name": "new"}),
    ("d", box(3, side=0.012), {"landuse_code": "03", "name": "another"}),
    ("c", box(2, side=0.02), {"landuse_code": "02", "name": "moved"}),
    ("b", box(1), {"landuse_code": "07", "name": "recoded"}),
    ("a", box(0), {"landuse_code": "01", "name": "same"}),
]


def test_added_removed_and_changed_with_areas(
    connection: Connection, catalog: Catalog, editions: Editions, sandbox: Sandbox
) -> None:
    before, after = editions({LAYER: BEFORE}), editions({LAYER: AFTER})
    found = diffs(connection, catalog, before, after)[LAYER]
    assert [(c.name, c.kind, c.what) for c in found.listed] == [
        ("b", "changed", "attributes"),
        ("c", "changed", "geometry"),
        ("d", "changed", "both"),
        ("e", "removed", None),
        ("f", "added", None),
    ]
    totals = found.totals
    assert (totals["features_before"], totals["features_after"]) == (5, 5)
    assert (totals["attributes_only"], totals["geometry_only"], totals["both"]) == (1, 1, 1)
    assert found.changed_attributes == {"landuse_code": 1, "name": 1}
    areas = {name: geodesic_area(shape) for name, shape, _ in [*BEFORE]}
    now = {name: geodesic_area(shape) for name, shape, _ in AFTER}
    assert totals["removed_area_m2"] == pytest.approx(areas["e"], abs=0.05)
    assert totals["added_area_m2"] == pytest.approx(now["f"], abs=0.05)
    assert totals["area_m2_before"] == pytest.approx(sum(areas.values()), abs=0.2)
    assert totals["area_m2_after"] == pytest.approx(sum(now.values()), abs=0.2)
    changed = ("b", "c", "d")
    assert totals["changed_area_m2_before"] == pytest.approx(
        sum(areas[n] for n in changed), abs=0.2
    )
    assert totals["changed_area_m2_after"] == pytest.approx(sum(now[n] for n in changed), abs=0.2)
    measured = measure_all(sandbox, reshaped_pairs(connection, found.pair))
    # Each new box holds the old one, so the symmetric difference is the difference of areas.
    grown = now["c"] - areas["c"] + now["d"] - areas["d"]
    assert (measured.pairs, measured.not_measured) == (2, 0)
    assert measured.total_m2 == pytest.approx(grown, abs=0.2)


def test_a_move_is_measured_although_the_area_is_the_same(sandbox: Sandbox) -> None:
    one, moved = box(0), shapely.transform(box(0), lambda c: c + np.array([0.01, 0]))
    (area,) = measure(sandbox, [(shapely.to_wkb(one), shapely.to_wkb(moved))])
    assert area == pytest.approx(geodesic_area(one) + geodesic_area(moved), abs=0.05)
    line = shapely.to_wkb(shapely.LineString([(110, 19), (111, 19)]))
    assert measure(sandbox, [(line, line)]) == [0.0]


def test_the_stream_and_the_page_hold_both_rows(
    connection: Connection, catalog: Catalog, editions: Editions
) -> None:
    before, after = editions({LAYER: BEFORE}), editions({LAYER: AFTER})
    found = diffs(connection, catalog, before, after)[LAYER]
    old = {name: (shape, values) for name, shape, values in BEFORE}
    new = {name: (shape, values) for name, shape, values in AFTER}
    streamed = [row for batch in changed_rows(connection, found.pair) for row in batch]
    assert [row.change for row in streamed] == list(found.listed)
    for row in streamed:
        for side, attributes, wkb in (
            (old, row.attributes_before, row.geometry_before),
            (new, row.attributes_after, row.geometry_after),
        ):
            if row.change.name not in side:
                assert attributes is None
                assert wkb is None
                continue
            shape, values = side[row.change.name]
            assert attributes == values
            assert shapely.equals_exact(shapely.from_wkb(wkb), shape, tolerance=1e-8)
    page = page_rows(connection, found.pair, found.listed[1:4])
    assert [(change.name, changed_names(b, a)) for change, b, a in page] == [
        ("c", []), ("d", ["name"]), ("e", []),
    ]  # fmt: skip


def test_layers_from_one_content_cost_nothing(
    connection: Connection, catalog: Catalog, editions: Editions
) -> None:
    before = editions({LAYER: BEFORE, OTHER: [("r", box(7), {})]})
    after = editions({LAYER: AFTER})
    found = diffs(connection, catalog, before, after)
    assert found[OTHER].pair.same
    assert found[OTHER].changes == 0
    assert found[OTHER].totals["features_after"] == 1
    # Nothing is read: not even a table that is not there is missed.
    (content,) = connection.execute(
        "SELECT content_id FROM library.edition_layer WHERE edition_id = %s AND layer_id = %s",
        (before, OTHER),
    ).fetchone() or (0,)
    with connection.transaction(force_rollback=True):
        connection.execute(f"DROP TABLE library.feature_c{content}")
        assert compare(connection, found[OTHER].pair).changes == 0
    # The same rows imported anew have the same fingerprint.
    again = editions({LAYER: AFTER})
    assert diffs(connection, catalog, after, again)[LAYER].pair.same


def test_row_numbers_are_no_names(
    connection: Connection, catalog: Catalog, editions: Editions
) -> None:
    """A row inserted at the top shifts every number; by number all features would have changed."""
    id_attribute = catalog.layer(LAYER).id_attribute
    assert id_attribute is not None

    def numbered(rows: Sequence[tuple]) -> list[tuple]:
        return [
            (str(number), shape, {**values, id_attribute: str(number)})
            for number, (_, shape, values) in enumerate(rows, start=1)
        ]

    report = {"issue_counts": {"ids-generated": 1}}
    twin = ("t", box(0), {"landuse_code": "09", "name": "twin"})
    rows = [*BEFORE, twin]
    before = editions({LAYER: numbered(rows)}, report=report)
    after = editions(
        {LAYER: numbered([("n", box(9), {"landuse_code": "01"}), twin, *BEFORE[:1], *AFTER[2:4],
                          BEFORE[3]])},
        report=report,
    )  # fmt: skip
    found = diffs(connection, catalog, before, after)[LAYER]
    assert found.pair.matched_by == "geometry"
    kinds = sorted((c.kind, c.what or "") for c in found.listed)
    # c moved: another shape; b was recoded; e is gone; the twins of one shape are not mixed up.
    assert kinds == [("added", ""), ("added", ""), ("changed", "attributes"), ("removed", ""),
                     ("removed", "")]  # fmt: skip
    assert found.changed_attributes == {"landuse_code": 1}
    assert list(reshaped_pairs(connection, found.pair)) == []


def test_contents_without_a_report_tell_by_their_rows(
    connection: Connection, catalog: Catalog, editions: Editions
) -> None:
    before = editions({LAYER: [("1", box(0), {}), ("2", box(1), {})]})
    after = editions({LAYER: [("1", box(1), {}), ("2", box(0), {})]})
    found = diffs(connection, catalog, before, after)[LAYER]
    assert (found.pair.matched_by, found.changes) == ("geometry", 0)


def test_a_draft_is_compared_with_what_it_will_carry_over(
    connection: Connection, catalog: Catalog, editions: Editions
) -> None:
    before = editions({LAYER: BEFORE, OTHER: [("r", box(7), {})]})
    draft = editions({LAYER: AFTER}, is_published=False)
    found = diffs(connection, catalog, before, draft)
    assert found[LAYER].changes == 5
    assert found[OTHER].pair.same, "not removed: publishing carries it over"


def test_a_layer_that_only_one_edition_has(
    connection: Connection, catalog: Catalog, editions: Editions
) -> None:
    before = editions({OTHER: [("r", box(7), {})]})
    after = editions({LAYER: AFTER})
    totals = diffs(connection, catalog, before, after)[LAYER].totals
    assert (totals["added"], totals["removed"], totals["features_before"]) == (5, 0, 0)
    back = diffs(connection, catalog, after, before)[LAYER].totals
    assert (back["added"], back["removed"]) == (0, 5)
    assert back["removed_area_m2"] == pytest.approx(totals["added_area_m2"])


def test_only_layers_that_the_caller_may_see(
    connection: Connection, catalog: Catalog, editions: Editions
) -> None:
    before = editions({LAYER: BEFORE, OTHER: [("r", box(7), {})]})
    after = editions({LAYER: AFTER, OTHER: [("s", box(7), {})]})
    assert set(diffs(connection, catalog, before, after, LAYER)) == {LAYER}


def test_editions_of_two_plans_are_not_compared(
    connection: Connection, catalog: Catalog, editions: Editions
) -> None:
    ours = editions({LAYER: BEFORE})
    content = create_content(connection, "forest_land")
    load_arrays(connection, content, [box(0)], {}, 1)
    finish_content(connection, content, coverage=box(0))
    theirs = open_draft(connection, "forest-plan", valid_from=DAY)
    put_layer(connection, theirs, "forest_land", content)
    with pytest.raises(BadParameter) as refused:
        diffs(connection, catalog, ours, theirs)
    assert refused.value.code == "other-plan"
    with pytest.raises(NotFound):
        edition_version(connection, 987_654)


def put_delta(connection: Connection, edition: int, change: Callable[[int], None]) -> int:
    """An edition that stands on the content of another one."""
    (base,) = connection.execute(
        "SELECT content_id FROM library.edition_layer WHERE edition_id = %s AND layer_id = %s",
        (edition, LAYER),
    ).fetchone() or (0,)
    content = create_delta(connection, base)
    finish_content(connection, content)
    draft = open_draft(connection, PLAN, valid_from=DAY + datetime.timedelta(500))
    put_layer(connection, draft, LAYER, content)
    change(content)
    return publish(connection, PLAN, draft)


def test_deltas_are_compared_by_the_rows_that_differ(
    connection: Connection, catalog: Catalog, editions: Editions
) -> None:
    many = [(f"m{n}", box(n % 40, n // 40 + 1), {"landuse_code": "01"}) for n in range(200)]
    before = editions({LAYER: [*BEFORE, *many]})

    def change(content: int) -> None:
        put_feature(connection, content, "b", {"landuse_code": "07", "name": "recoded"}, box(1))
        put_feature(connection, content, "c", BEFORE[2][2], box(2, side=0.02))
        remove_feature(connection, content, "e")
        put_feature(connection, content, "f", {"landuse_code": "05"}, box(5))

    after = put_delta(connection, before, change)
    found = diffs(connection, catalog, before, after)[LAYER]
    assert found.pair.related
    expected = [("b", "attributes"), ("c", "geometry"), ("e", None), ("f", None)]
    assert [(c.name, c.what) for c in found.listed] == expected
    assert (found.totals["features_before"], found.totals["features_after"]) == (205, 205)
    back = diffs(connection, catalog, after, before)[LAYER]
    kinds = {c.name: c.kind for c in back.listed}
    assert kinds == {"b": "changed", "c": "changed", "e": "added", "f": "removed"}

    # Two deltas of one base, and a delta against a content that shares nothing.
    def other(content: int) -> None:
        put_feature(connection, content, "b", {"landuse_code": "08", "name": "recoded"}, box(1))

    second = put_delta(connection, before, other)
    between = diffs(connection, catalog, after, second)[LAYER]
    assert between.pair.related
    assert [c.name for c in between.listed] == ["b", "c", "e", "f"]
    assert between.changed_attributes == {"landuse_code": 1}
    apart = editions({LAYER: AFTER})
    unrelated = diffs(connection, catalog, after, apart)[LAYER]
    assert not unrelated.pair.related
    assert unrelated.totals["removed"] == 200
    assert unrelated.totals["features_before"] == 205


def killer(count: int) -> shapely.Geometry:
    """A comb; two of them crossed meet in count squared places."""
    x = np.repeat(np.linspace(0, 1, count), 2)
    y = np.tile([0, 1, 1, 0], count // 2 + 1)[: len(x)]
    return shapely.LineString(np.column_stack([x, y])).buffer(0.1 / count, cap_style="flat")


def test_an_overlay_that_does_not_end_is_said_to_be_not_measured(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    import layers.change_measuring as measuring

    monkeypatch.setattr(measuring, "_BATCH_DEADLINE_S", 1.0)
    monkeypatch.setattr(measuring, "_PAIR_DEADLINE_S", 1.0)
    comb = killer(2400)
    crossed = shapely.transform(comb, lambda c: c[:, ::-1])
    pairs = [
        (shapely.to_wkb(comb), shapely.to_wkb(crossed)),
        (shapely.to_wkb(box(0)), shapely.to_wkb(box(0, side=0.02))),
    ]
    result = measure_all(sandbox, [pairs])
    assert (result.pairs, result.not_measured) == (2, 1)
    assert result.total_m2 is None, "a sum without one of its parts would be too small"
    assert Measured(areas_m2=[1.0, 2.0]).total_m2 == 3.0
    assert difference_areas(pairs[1:])[0] > 0
