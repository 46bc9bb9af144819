"""Plan against plan on hand-made plans: areas that are known, and cells that change nothing."""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from layers.area import area_m2
from planning_rules.plan_comparison import CellAnswer, PairRules, PlanCell, PlanSide, compare_cell
from planning_rules.plan_matrix import PlanClass, PlanMatrix
from planning_rules.plan_patches import WidthRules, clusters, join_open_clusters
from planning_rules.plan_report import PairReport
from planning_rules.plan_totals import NamedPatch, PairNames, PairTotals, named_patches
from planning_rules.rule_case import ORIGIN, Shape
from planning_rules.rule_set import ResolvedTolerance, load_rule_set
from tests.conftest import PROJECT

FOREST, FARM, TOWN = 0, 1, 2
CLASSES = tuple(PlanClass("landuse-2023", code, True) for code in ("03", "01", "07"))
RELATIONS = (  # [subject][target]
    ("same", "conflict", "conflict"),
    ("conflict", "same", "conditional"),
    ("conflict", "unknown", "same"),
)
Drawing = tuple[tuple[float, float, float, float], int]
WORLD = shapely.box(109.0, 18.5, 110.6, 19.9)


def lonlat(*box: float) -> Any:
    return Shape(rectangle=(box[0], box[1], box[2], box[3])).geometry()


def side(drawings: Sequence[Drawing], coverage: Any = WORLD) -> PlanSide:
    shapes = [lonlat(*box) for box, _ in drawings]
    return PlanSide(
        np.arange(1, len(shapes) + 1),
        np.array([number for _, number in drawings], dtype=np.int64),
        tuple(shapely.to_wkb(shape) for shape in shapes),
        None if coverage is None else shapely.to_wkb(coverage),
    )


def rules(accuracy_m: float = 0.0, min_area_m2: float = 0.0, below: bool = False) -> PairRules:
    tolerance = ResolvedTolerance(
        min_width_m=0.02, min_area_m2=min_area_m2, classify_as_accuracy_difference=below
    )
    return PairRules(RELATIONS, WidthRules(tolerance, accuracy_m))  # type: ignore[arg-type]


def cells(cuts: tuple[Sequence[float], Sequence[float]], **parts: Any) -> list[PlanCell]:
    """Cells between the cuts (metres), which begin and end outside of everything."""
    columns, rows = ([-2000.0, *sorted(cut), 2000.0] for cut in cuts)
    made = []
    for (west, east), (south, north) in itertools.product(
        itertools.pairwise(columns), itertools.pairwise(rows)
    ):
        corner = ORIGIN.to_degrees(shapely.box(west, south, east, north)).bounds
        made.append(PlanCell(box=corner, region=None, units=(), **parts))
    return made


def run(found: Sequence[PlanCell], asked: PairRules) -> PairTotals:
    totals = PairTotals(asked.relations)
    for cell in found:
        totals.add(compare_cell(cell, asked))
    for relation in sorted(totals.open):
        totals.add_patches(join_open_clusters(clusters(totals.open[relation]), asked.widths))
    return totals


def named(totals: PairTotals) -> list[NamedPatch]:
    return named_patches(PairNames("T-1", "a", "b", CLASSES, CLASSES), totals)


def one_cell(subject: PlanSide, target: PlanSide, **changes: Any) -> list[PlanCell]:
    return cells(((), ()), subject=subject, target=target, **changes)


def test_areas_of_a_drawing_by_hand() -> None:
    subject = side([((0, 0, 100, 100), FOREST), ((100, 0, 200, 100), TOWN)])
    target = side([((50, 0, 150, 100), FARM)])
    totals = run(one_cell(subject, target), rules())
    assert [(p.kind, p.part.subject_class, p.part.target_class) for p in totals.patches] == [
        ("conflict", FOREST, FARM),
        ("undetermined", TOWN, FARM),
    ]
    for patch, box in zip(totals.patches, ((50, 0, 100, 100), (100, 0, 150, 100)), strict=True):
        assert patch.area_m2 == pytest.approx(area_m2(lonlat(*box)), abs=1e-6)
        assert patch.area_m2 == pytest.approx(5000, rel=1e-3)
        assert patch.width_m == pytest.approx(50, rel=0.03)
    closed = [area for _, area in totals.closed_rows()]
    assert round(sum(closed), 2) == round(area_m2(lonlat(50, 0, 150, 100)), 2)
    for area, patch in zip(closed, totals.patches, strict=True):
        assert area == pytest.approx(patch.area_m2, abs=0.011)


def test_same_and_compatible_classes_need_no_patch() -> None:
    totals = run(one_cell(side([((0, 0, 100, 100), FOREST)]), side([((0, 0, 60, 100), FOREST)])),
                 rules())  # fmt: skip
    assert totals.patches == []
    ((key, area),) = totals.closed_rows()
    assert (key.relation, key.kind) == ("same", None)
    assert area == round(area_m2(lonlat(0, 0, 60, 100)), 2)


CUTS = [((0.0,), ()), ((30.0, 70.0), (50.0,)), ((25.0,), (10.0, 20.0, 90.0)), ((50.0,), (50.0,))]


@pytest.mark.parametrize("cut", CUTS)
def test_a_patch_that_cells_cut_comes_out_whole(cut: Any) -> None:
    parts = {
        "subject": side([((0, 0, 100, 100), FOREST), ((300, 0, 400, 100), FOREST)]),
        "target": side([((20, 20, 80, 80), FARM), ((80, 20, 160, 80), TOWN),
                        ((320, 0, 400, 100), FARM)]),
    }  # fmt: skip
    whole, pieces = run(cells(((), ()), **parts), rules()), run(cells(cut, **parts), rules())
    assert [p.id for p in named(pieces)] == [p.id for p in named(whole)]
    for one, other in zip(named(whole), named(pieces), strict=True):
        shape = shapely.from_wkb(other.patch.part.wkb)
        assert shapely.get_num_coordinates(shape) == 5  # no vertex of a cell edge is left
        assert shape.equals(shapely.from_wkb(one.patch.part.wkb))
        assert other.patch.area_m2 == pytest.approx(one.patch.area_m2, abs=1e-5)
        assert (other.patch.kind, other.patch.part.subject_fids) == (
            one.patch.kind, one.patch.part.subject_fids,
        )  # fmt: skip
    assert [area for _, area in pieces.closed_rows()] == [area for _, area in whole.closed_rows()]


def test_a_strip_is_wide_or_narrow_as_a_whole_not_cell_by_cell() -> None:
    """12 m wide, cut lengthwise: each half is within the accuracy of 10 m, the whole is not."""
    parts = {
        "subject": side([((0, 0, 1000, 12), FOREST)]), "target": side([((0, 0, 1000, 12), FARM)]),
    }  # fmt: skip
    totals = run(cells(((), (6.0,)), **parts), rules(accuracy_m=10))
    assert [(p.kind, round(p.area_m2)) for p in totals.patches] == [
        ("conflict", round(area_m2(lonlat(0, 0, 1000, 12))))
    ]


@pytest.mark.parametrize(
    ("width", "accuracy", "min_area", "kind", "reason"),
    [
        (0.015, 0.0, 0.0, "sliver", "below_min_width"),
        (0.03, 0.0, 0.0, "conflict", None),
        (4.9, 5.0, 0.0, "accuracy-difference", "within_accuracy"),
        (5.1, 5.0, 0.0, "conflict", None),
        (10.0, 5.0, 2000.0, "accuracy-difference", "below_min_area"),
        (10.1, 5.0, 1000.0, "conflict", None),
    ],
)
def test_kinds(width: float, accuracy: float, min_area: float, kind: str, reason: Any) -> None:
    parts = (side([((0, 0, 100, width), FOREST)]), side([((0, -50, 100, 50), FARM)]))
    below = min_area > 0
    for cut in ((), (40.0,)):
        totals = run(
            cells((cut, ()), subject=parts[0], target=parts[1]),
            rules(accuracy, min_area, below),
        )
        assert [(p.kind, p.reason) for p in totals.patches] == [(kind, reason)]


def test_ten_narrow_strips_of_two_classes_are_one_wide_conflict() -> None:
    strips = [((0, y, 100, y + 3), FARM if y % 2 else TOWN) for y in range(0, 30, 3)]
    totals = run(one_cell(side([((0, 0, 100, 30), FOREST)]), side(strips)), rules(accuracy_m=5))
    assert {patch.kind for patch in totals.patches} == {"conflict"}
    assert len(totals.patches) == 10
    assert all(p.component_m2 == pytest.approx(area_m2(lonlat(0, 0, 100, 30)), abs=1e-3)
               for p in totals.patches)  # fmt: skip


def test_a_strip_along_agreeing_ground_stays_narrow() -> None:
    """What agrees beside a strip does not make it wider."""
    target = side([((0, 0, 100, 3), FARM), ((0, 3, 100, 50), FOREST)])
    totals = run(one_cell(side([((0, 0, 100, 50), FOREST)]), target), rules(accuracy_m=5))
    assert [patch.kind for patch in totals.patches] == ["accuracy-difference"]


def test_touching_is_recorded_and_no_conflict() -> None:
    subject, target = side([((0, 0, 100, 100), FOREST)]), side([((100, 20, 200, 80), FARM)])
    totals = run(one_cell(subject, target), rules())
    assert totals.patches == []
    (touch,) = totals.touches
    assert (touch.subject_class, touch.target_class, touch.count) == (FOREST, FARM, 1)
    assert touch.length_m == pytest.approx(60, rel=1e-3)
    assert totals.closed_rows() == []


def test_a_contact_along_a_conflict_is_no_touch_of_its_own() -> None:
    subject = side([((0, 0, 100, 100), FOREST), ((100, 0, 200, 100), FOREST)])
    totals = run(one_cell(subject, side([((100, 0, 200, 100), FARM)])), rules())
    assert [patch.kind for patch in totals.patches] == ["conflict"]
    assert totals.touches == []


def test_ground_without_data_is_named() -> None:
    subject = side([((0, 0, 100, 100), FOREST)], coverage=lonlat(0, 0, 100, 100))
    target = side([((0, 0, 50, 100), FARM)], coverage=lonlat(0, 0, 50, 100))
    totals = run(cells(((30.0,), (40.0,)), subject=subject, target=target), rules())
    ground = totals.whole_ground()
    assert ground.both == pytest.approx(area_m2(lonlat(0, 0, 50, 100)), abs=1e-4)
    assert ground.subject_only == pytest.approx(area_m2(lonlat(50, 0, 100, 100)), abs=1e-4)
    assert set(totals.gaps) == {"target"}
    missing = shapely.union_all([shapely.from_wkb(blob) for blob in totals.gaps["target"]])
    assert area_m2(missing) == pytest.approx(ground.subject_only, abs=1e-4)


def test_a_layer_that_is_not_in_force_covers_nothing() -> None:
    target = side([], coverage=None)
    subject = side([((0, 0, 100, 100), FOREST)], coverage=lonlat(0, 0, 100, 100))
    ground = run(one_cell(subject, target), rules()).whole_ground()
    assert ground.both == 0
    assert ground.subject_only == pytest.approx(area_m2(lonlat(0, 0, 100, 100)), abs=1e-6)


def test_the_region_is_the_frame() -> None:
    region = shapely.to_wkb(lonlat(-10, -10, 50, 50))
    (cell,) = one_cell(
        side([((0, 0, 100, 100), FOREST)], coverage=lonlat(0, 0, 100, 100)),
        side([((0, 0, 100, 100), FARM)], coverage=lonlat(0, 0, 100, 100)),
    )
    cell = PlanCell(cell.box, region, cell.subject, cell.target, cell.units)
    totals = run([cell], rules())
    assert [p.area_m2 for p in totals.patches] == [
        pytest.approx(area_m2(lonlat(0, 0, 50, 50)), abs=1e-6)
    ]
    ground = totals.whole_ground()
    expected = area_m2(lonlat(-10, -10, 50, 50)) - area_m2(lonlat(0, 0, 50, 50))
    assert ground.neither == pytest.approx(expected, abs=1e-6)
    assert set(totals.gaps) == {"subject", "target"}


def test_ground_counted_twice_is_said() -> None:
    """Two features of one layer overlap: the sums by pairs are more than the ground."""
    subject = side([((0, 0, 100, 100), FOREST), ((50, 0, 150, 100), FARM)])
    totals = run(one_cell(subject, side([((0, 0, 150, 100), TOWN)])), rules())
    ground = totals.whole_ground()
    assert ground.compared == pytest.approx(area_m2(lonlat(0, 0, 150, 100)), abs=1e-6)
    assert ground.counted_twice == pytest.approx(area_m2(lonlat(50, 0, 100, 100)), abs=1e-6)
    assert sum(area for _, area in totals.closed_rows()) == pytest.approx(
        round(ground.compared, 2) + round(ground.counted_twice, 2), abs=1e-9
    )


def test_rows_by_unit_close_to_the_cent() -> None:
    units = (
        ("460101", shapely.to_wkb(lonlat(-500, -500, 37.123, 500))),
        ("460102", shapely.to_wkb(lonlat(37.123, -500, 81.7, 500))),
    )
    (cell,) = one_cell(side([((0, 0, 100.3, 77.7), FOREST)]), side([((0, 0, 100.3, 77.7), FARM)]))
    cell = PlanCell(cell.box, None, cell.subject, cell.target, units)
    totals = run([cell], rules())
    rows = {key.unit: area for key, area in totals.closed_rows()}
    assert set(rows) == {"460101", "460102", None}
    assert round(sum(rows.values()), 2) == round(area_m2(lonlat(0, 0, 100.3, 77.7)), 2)
    assert rows["460101"] == pytest.approx(area_m2(lonlat(0, 0, 37.123, 77.7)), abs=0.011)
    assert rows[None] == pytest.approx(area_m2(lonlat(81.7, 0, 100.3, 77.7)), abs=0.011)


coordinate = st.integers(-300, 300).map(float)
boxes = st.tuples(coordinate, coordinate, st.integers(1, 200), st.integers(1, 200)).map(
    lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3])
)
drawings = st.lists(st.tuples(boxes, st.integers(0, 2)), min_size=1, max_size=6)
cuts = st.lists(st.integers(-400, 400).map(lambda n: n + 0.5), max_size=3, unique=True)


@settings(max_examples=40, deadline=None)
@given(drawings, drawings, cuts, cuts)
def test_cells_change_no_patch_and_no_total(
    one: list[Drawing], two: list[Drawing], columns: list[float], rows: list[float]
) -> None:
    parts = {"subject": side(one), "target": side(two)}
    asked = rules(accuracy_m=6, min_area_m2=50, below=True)
    whole, cut = run(cells(((), ()), **parts), asked), run(cells((columns, rows), **parts), asked)
    first, second = named(whole), named(cut)
    key = lambda p: (p.patch.kind, p.patch.part.subject_class, p.patch.part.target_class)  # noqa: E731
    assert sorted(map(key, first)) == sorted(map(key, second))
    for got, expected in zip(
        sorted(p.patch.area_m2 for p in second), sorted(p.patch.area_m2 for p in first),
        strict=True,
    ):  # fmt: skip
        assert got == pytest.approx(expected, abs=1e-4)
    for (key_one, a), (key_two, b) in zip(whole.closed_rows(), cut.closed_rows(), strict=True):
        assert key_one == key_two
        assert a == pytest.approx(b, abs=0.011)


MATRIX = PlanMatrix.model_validate(
    {
        "id": "m", "scheme": "landuse-2023",
        "layers": {
            "parcels": {"property": "code", "scheme_property": "scheme"},
            "forest": {"class": "03"},
            "reserve": {"property": "zone", "map": {"core": "reserve-core"}},
        },
        "crosswalks": [
            {"scheme": "landuse-2020", "same_codes": True, "codes": {"0204": "0205"}},
            {"scheme": "GB/T21010-2017", "codes": {"05": "09", "0601": "1001"}},
        ],
        "rows": {
            "07": {"03": "conflict", "0702": "conditional", "*": "compatible"},
            "0701": {"03": "conditional"},
            "03": {"reserve-core": "compatible"},
        },
    }
)  # fmt: skip


@pytest.mark.parametrize(
    ("value", "scheme", "expected"),
    [
        ("0101", "landuse-2023", ("landuse-2023", "0101", True)),
        ("0204", "landuse-2020", ("landuse-2023", "0205", True)),
        ("0101", "landuse-2020", ("landuse-2023", "0101", True)),
        ("0501", "GB/T21010-2017", ("landuse-2023", "09", True)),
        ("0601", "GB/T21010-2017", ("landuse-2023", "1001", True)),
        ("0602", "GB/T21010-2017", ("GB/T21010-2017", "0602", False)),
        ("0101", "sandiao", ("sandiao", "0101", False)),
        ("0101", None, (None, "0101", False)),
        (None, "landuse-2023", (None, None, False)),
        ("", "landuse-2023", (None, None, False)),
    ],
)
def test_classes_are_walked_across(value: Any, scheme: Any, expected: Any) -> None:
    assert MATRIX.class_of("parcels", value, scheme) == PlanClass(*expected)


def known(code: str) -> PlanClass:
    return PlanClass("landuse-2023", code, True)


@pytest.mark.parametrize(
    ("target", "subject", "expected"),
    [
        (known("07"), known("03"), "conflict"),
        (known("0702"), known("0301"), "conflict"),
        (known("0701"), known("0301"), "conditional"),
        (known("070101"), known("03"), "conditional"),
        (known("07"), known("070201"), "conditional"),
        (known("07"), known("17"), "compatible"),
        (known("0702"), known("0702"), "same"),
        (known("0301"), known("03"), "compatible"),
        (known("1007"), known("03"), "unknown"),  # 07 inside 1007 is no ancestor
        (known("03"), known("reserve-core"), "compatible"),
        (known("03"), known("reserve"), "unknown"),
        (PlanClass("sandiao", "07", False), known("03"), "unknown"),
        (known("07"), PlanClass(None, None, False), "unknown"),
    ],
)
def test_relations(target: PlanClass, subject: PlanClass, expected: str) -> None:
    assert MATRIX.relation(target, subject, "undetermined") == expected


def test_the_default_of_the_rule_holds_for_pairs_outside_the_matrix() -> None:
    pair = known("12"), known("03")
    answers = {d: MATRIX.relation(*pair, d) for d in ("forbidden", "permitted", "conditional")}
    assert answers == {
        "forbidden": "conflict", "permitted": "compatible", "conditional": "conditional",
    }  # fmt: skip


def test_an_empty_cell_says_nothing() -> None:
    (cell,) = one_cell(side([]), side([]))
    answer: CellAnswer = compare_cell(cell, rules())
    assert (answer.patches, answer.open, answer.agreeing) == ((), (), ())


def test_two_layers_without_any_ground_do_not_agree() -> None:
    """Both are in force, and every row of both was refused: no cell was there to be compared."""
    rule = next(
        one
        for one in load_rule_set(PROJECT / "config" / "rules").rules
        if one.subject.kind != "project"
    )

    def outcome(totals: PairTotals) -> str:
        names = PairNames(rule.id, "a", "b", CLASSES, CLASSES)
        contents = ({"edition": 1}, {"edition": 2})
        return PairReport(rule, names, totals, ("a", "b"), contents, "b", False).outcome()

    assert outcome(PairTotals(RELATIONS)) == "undetermined"  # type: ignore[arg-type]
    forest = side([((0, 0, 100, 100), FOREST)])
    assert outcome(run(one_cell(forest, forest), rules())) == "pass"
