"""Reading figures: fractions, percents, units, and what is not guessed."""

from typing import Any

import pytest

from planning_rules.limits import read_figure


@pytest.mark.parametrize(
    ("value", "unit", "expected", "noted"),
    [
        (2.5, "1", 2.5, False), ("2.5", "1", 2.5, False), (0, "1", 0, False),
        (24, "m", 24, False), ("24 m", "m", 24, False), ("24米", "m", 24, False),
        (35, "%", 35, False), ("35 %", "%", 35, False), ("35％", "%", 35, False),
        (0.35, "%", 35, True), (1, "%", 100, True), ("0.35", "%", 35, True),
        ("0.35 %", "%", 0.35, False), (1.01, "%", 1.01, False), (0, "%", 0, False),
        (100, "%", 100, False),
    ],
)  # fmt: skip
def test_readings(value: Any, unit: str, expected: float, noted: bool) -> None:
    reading = read_figure(value, unit)
    assert reading.value == pytest.approx(expected)
    assert (reading.note is not None) is noted
    assert reading.problem is None


@pytest.mark.parametrize(
    ("value", "unit"),
    [
        (None, "1"), ("", "1"), ("abc", "1"), (True, "1"), (False, "%"), ([2], "1"), (-1, "m"),
        (float("nan"), "1"), (float("inf"), "m"), (101, "%"), ("35 m", "%"), ("2 %", "1"),
        ("24 %", "m"), ("1e3", "m"), ("24-36", "m"), ("≤24", "m"), ("24 m 25 m", "m"),
        ("-5 %", "%"), ("٢٤", "m"),
    ],
)  # fmt: skip
def test_not_read(value: Any, unit: str) -> None:
    reading = read_figure(value, unit)
    assert reading.value is None
    assert reading.problem is not None


def test_a_plan_states_percents_so_a_bare_fraction_is_not_guessed() -> None:
    assert read_figure(0.3, "%", from_plan=True).value is None
    assert read_figure("0.3 %", "%", from_plan=True).value == pytest.approx(0.3)
    assert read_figure(30, "%", from_plan=True).value == 30
    assert read_figure(0, "%", from_plan=True).value == 0
    assert read_figure(0.8, "1", from_plan=True).value == pytest.approx(0.8)


@pytest.mark.parametrize("value", [1, 0.35, "1", "0.3"])
def test_a_bare_fraction_never_meets_a_lower_limit(value: Any) -> None:
    reading = read_figure(value, "%", at_least=True)
    assert reading.value is None
    assert reading.problem is not None
    assert "35 %" in reading.problem.en
    assert read_figure("1 %", "%", at_least=True).value == 1
    assert read_figure(0, "%", at_least=True).value == 0
    assert read_figure(35, "%", at_least=True).value == 35
