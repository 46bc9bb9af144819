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


@pytest.mark.parametrize("language", ["zh", "en"])
def test_a_pass_of_some_rules_does_not_read_like_one_of_all(language: str) -> None:
    title = {"zh": "三条控制线", "en": "Control lines"}
    told = list(verdict_lines({**report("厂区"), "profile": {"id": "x", "title": title}}, language))
    assert title[language] in told[1]
    assert not any(title[language] in line for line in verdict_lines(report("厂区"), language))
