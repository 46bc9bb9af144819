"""The verdict in words for a terminal."""

from typing import Any

import pytest

from gis_service.commands.verdict import verdict_lines


def report(name: str | None) -> dict[str, Any]:
    return {
        "outcome": "pass", "as_of": "2026-01-01", "findings": [],
        "submission": {"name": name, "area_m2": 1234.5},
    }  # fmt: skip


@pytest.mark.parametrize("language", ["zh", "en"])
def test_a_site_without_a_name_has_none(language: str) -> None:
    first, _ = verdict_lines(report(None), language)
    assert first.endswith("(1,234.50 m², 2026-01-01)")
    first, _ = verdict_lines(report("厂区"), language)
    assert first.endswith("(厂区, 1,234.50 m², 2026-01-01)")
