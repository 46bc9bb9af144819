"""A conflict report in plain words, for a terminal."""

from collections.abc import Iterator, Mapping
from typing import Any

from gis_service.commands.terminal import VERDICT_WORDS


def verdict_lines(report: Mapping[str, Any], language: str) -> Iterator[str]:
    """The verdict, then one line for each finding that a reader has to know of."""
    sign, word = VERDICT_WORDS[report["outcome"]]
    submission = report["submission"]
    about = [submission["name"], f"{submission['area_m2']:,.2f} m²", report["as_of"]]
    yield f"{sign} {word.in_language(language)}  ({', '.join(one for one in about if one)})"
    if (profile := report.get("profile")) is not None:
        # A pass of some rules must not read like one of all.
        if language == "zh":
            yield f"  仅按方案“{profile['title']['zh']}”核查，其余规则未作核查"
        else:
            yield f"  Of the profile '{profile['title']['en']}' only; no other rule was checked"
    passed = 0
    for finding in report["findings"]:
        if finding["outcome"] in ("pass", "not-applicable"):
            passed += 1
            continue
        sign, word = VERDICT_WORDS[finding["outcome"]]
        yield f"  {sign} {finding['rule_id']} {finding['title'][language]}"
        yield f"      {finding['message'][language]}"
    if language == "zh":
        yield f"  其余 {passed} 条规则通过或不适用"
    else:
        yield f"  {passed} other rules pass or do not apply"
