"""Canonical JSON against the package that implements RFC 8785 in full."""

import math
from datetime import date
from typing import Any

import pytest
import rfc8785
import shapely
from hypothesis import given
from hypothesis import strategies as st

from planning_rules.canonical_json import canonical, geometry_json, json_value

NUMBERS = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**53) + 1, 2**53 - 1)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=25,
)


@given(VALUES)
def test_equal_to_the_reference(value: Any) -> None:
    assert canonical(value) == rfc8785.dumps(value)


@pytest.mark.parametrize(
    "value",
    [2.0, -0.0, 0.1, 1e-4, 9.9e-5, 1e-7, 1e16, 1e21, 123456789012345.6, 2.0**53, 5e-324, 1e308,
     {"é": 1, "\U0001f600": 2, "ﬀ": 3}, "\u2028\x7f\x00\"\\/\b", {"b": [1.5, {"a": 2.0}]}],
)  # fmt: skip
def test_known_corners(value: Any) -> None:
    assert canonical(value) == rfc8785.dumps(value)


@pytest.mark.parametrize("value", [math.nan, math.inf, 2**60, {1: 2}, {"a": {1, 2}}, "\ud800"])
def test_what_json_cannot_hold(value: Any) -> None:
    with pytest.raises((ValueError, rfc8785.CanonicalizationError)):
        canonical(value)


def test_json_value() -> None:
    value = {1: (date(2026, 5, 1), [None])}
    assert json_value(value) == {"1": ["2026-05-01", [None]]}


@given(st.lists(st.tuples(st.floats(108, 112), st.floats(18, 21)), min_size=3, max_size=9))
def test_geometry_keeps_every_bit(points: list[tuple[float, float]]) -> None:
    for shape in (shapely.Polygon(points), shapely.MultiPoint(points), shapely.Point(points[0])):
        assert geometry_json(shape) == json_value(shapely.geometry.mapping(shape))
