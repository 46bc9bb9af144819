"""Coverage that follows changes, held against the overlay of everything at once."""

from typing import Any

import numpy as np
import pytest
import shapely

from layers.coverage_change import covered_after, pieces_after


def square(column: float, line: float, side: float = 1.0) -> Any:
    return shapely.box(column, line, column + side, line + side)


def shapes(*given: Any) -> Any:
    return np.array(given, dtype=object)


def is_same(one: Any, other: Any) -> bool:
    return bool(shapely.area(shapely.symmetric_difference(one, other)) < 1e-12)


@pytest.mark.parametrize("seed", range(20))
def test_pieces_that_changed_and_those_that_did_not_are_the_new_coverage(seed: int) -> None:
    chance = np.random.default_rng(seed)
    pieces = shapes(*(square(x, y) for x in range(4) for y in range(4)))
    before = shapely.union_all(pieces)
    spots = [square(*chance.uniform(-1, 4.5, 2), chance.uniform(0.001, 0.4)) for _ in range(60)]
    after = before.difference(shapely.union_all(spots[:45])).union(shapely.union_all(spots[45:]))
    touched, new = pieces_after(pieces, before, after)
    together = np.concatenate((np.delete(pieces, touched), new))
    assert is_same(shapely.union_all(together), after)
    assert shapely.area(together).sum() == pytest.approx(after.area, abs=1e-9)  # none lies twice


def test_only_pieces_with_a_change_are_cut() -> None:
    pieces = shapes(*(square(x, 0) for x in range(100)))
    before = shapely.box(0, 0, 100, 1)
    after = before.difference(square(40.4, 0.4, 0.1)).union(square(100, 0, 0.5))
    touched, new = pieces_after(pieces, before, after)
    assert touched.tolist() == [40]
    assert is_same(
        shapely.union_all(new), pieces[40].intersection(after).union(square(100, 0, 0.5))
    )
    same, none = pieces_after(pieces, before, before)
    assert (len(same), len(none)) == (0, 0)


def test_what_went_and_came_is_taken_shape_by_shape() -> None:
    whole = shapely.box(0, 0, 10, 10)
    stays = shapes(square(0, 1))  # overlaps what goes, and keeps its part
    gone = shapes(shapely.box(0, 0, 2, 2), square(5, 5), square(8, 8))
    come = shapes(shapely.box(1, 0, 2, 2), square(5, 5), square(12, 0), square(12.5, 0))
    found = covered_after(whole, gone, come, lambda _: stays)
    lost = shapely.box(0, 0, 1, 1).union(square(8, 8))
    assert is_same(found, whole.difference(lost).union(shapely.box(12, 0, 13.5, 1)))
