"""Land take: a partition of the site that closes to the cent."""

from collections.abc import Callable
from typing import Any

import pytest

from planning_rules.land_take import land_take
from planning_rules.overlay import Site, overlay_layer
from planning_rules.rule_case import CaseLayer
from planning_rules.submission import Submission

SITE = {"rectangle": (0, 0, 100, 100)}
Table = dict[tuple[str | None, str | None], float]


def table(
    submit: Callable[..., Submission], uses: list[Any], counties: list[Any]
) -> list[dict[str, Any]]:
    submission = submit(SITE)
    site = Site.of(submission.geometry)
    county = overlay_layer(site, CaseLayer(features=counties).target("county"))
    use = overlay_layer(site, CaseLayer(features=uses).target("current_landuse"))
    rows = land_take(site, submission.area_m2, county, use)
    assert sum(round(r["area_m2"] * 100) for r in rows) == round(submission.area_m2 * 100)
    assert sum(round(r["share"] * 10_000) for r in rows) == 10_000
    return rows


def use(code: str | None, *rectangle: float) -> dict[str, Any]:
    return {"rectangle": rectangle, "attributes": {"landuse_code": code, "code_scheme": "s"}}


def county(code: str, *rectangle: float) -> dict[str, Any]:
    return {"rectangle": rectangle, "attributes": {"admin_code": code}}


def areas(rows: list[dict[str, Any]]) -> Table:
    return {(row["admin_code"], row["code"]): row["area_m2"] for row in rows}


def test_units_by_classes(submit: Callable[..., Submission]) -> None:
    rows = table(
        submit,
        [use("01", 0, 0, 100, 40), use("02", 0, 40, 100, 100)],
        [county("A", -10, -10, 30, 110), county("B", 30, -10, 110, 110)],
    )
    expected = {("A", "01"): 1200, ("A", "02"): 1800, ("B", "01"): 2800, ("B", "02"): 4200}
    assert areas(rows) == pytest.approx(expected, rel=1e-3)


def test_the_rest_has_no_code(submit: Callable[..., Submission]) -> None:
    rows = table(submit, [use("01", 0, 0, 100, 40)], [county("A", -10, -10, 50, 110)])
    expected = {("A", "01"): 2000, ("A", None): 3000, (None, "01"): 2000, (None, None): 3000}
    assert areas(rows) == pytest.approx(expected, rel=1e-3)


def test_overlapping_classes_count_once(submit: Callable[..., Submission]) -> None:
    rows = table(
        submit,
        [use("01", 0, 0, 100, 60), use("02", 0, 40, 100, 100)],
        [county("A", -10, -10, 110, 110)],
    )
    assert areas(rows) == pytest.approx({("A", "01"): 6000, ("A", "02"): 4000}, rel=1e-3)


def test_overlapping_units_count_once(submit: Callable[..., Submission]) -> None:
    rows = table(
        submit,
        [use("01", -10, -10, 110, 110)],
        [county("A", -10, -10, 60, 110), county("B", 40, -10, 110, 110)],
    )
    assert areas(rows) == pytest.approx({("A", "01"): 6000, ("B", "01"): 4000}, rel=1e-3)


def test_no_layers_at_all(submit: Callable[..., Submission]) -> None:
    submission = submit(SITE)
    rows = land_take(Site.of(submission.geometry), submission.area_m2, None, None)
    assert areas(rows) == {(None, None): round(submission.area_m2, 2)}
    assert rows[0]["share"] == 1


def test_many_small_parts_still_close(submit: Callable[..., Submission]) -> None:
    uses = [use(f"{i:02d}", i * 100 / 37, 0, (i + 1) * 100 / 37, 100) for i in range(37)]
    rows = table(submit, uses, [county("A", -10, -10, 110, 110)])
    assert len(rows) == 37
