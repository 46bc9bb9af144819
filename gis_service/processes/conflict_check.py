"""``conflict-check``: a submission against what is in force on a day; the report is stored."""

from collections.abc import Mapping
from typing import Any, Final

from gis_service.checking import CheckRequest, check
from gis_service.processes.process import Process, Run
from gis_service.routes.requests import calendar_day, past_moment

_GEOJSON: Final = "application/geo+json"

_DESCRIPTION: Final[dict[str, Any]] = {
    "id": "conflict-check",
    "version": "1.0.0",
    "title": {"en": "Conflict check", "zh": "冲突检查"},
    "description": {
        "en": "Judges a project submission against the plans in force on a day; gives a report.",
        "zh": "按指定日期生效的规划检查项目用地，给出报告。",
    },
    "jobControlOptions": ["sync-execute", "async-execute", "dismiss"],
    "outputTransmission": ["value"],
    "keywords": {"en": ["planning", "conflict"], "zh": ["规划", "冲突检查"]},
    "inputs": {
        "submission": {
            "title": "Submission / 项目用地",
            "description": "A GeoJSON Feature (CGCS2000 or CRS84 longitude, latitude) whose "
            "properties are the attributes the rules ask for; see /submission-form.",
            "schema": {
                "type": "object",
                "contentMediaType": _GEOJSON,
            },
            "minOccurs": 1,
            "maxOccurs": 1,
        },
        "as_of": {
            "title": "Day / 检查日期",
            "description": "Plans and rules in force on this day; today when left out.",
            "schema": {"type": "string", "format": "date"},
            "minOccurs": 0,
            "maxOccurs": 1,
        },
        "known_at": {
            "title": "Known at / 已知时刻",
            "description": "By what was known of that day at a moment, as in "
            "2026-01-31T08:00:00+08:00; what is known now when left out.",
            "schema": {"type": "string", "format": "date-time"},
            "minOccurs": 0,
            "maxOccurs": 1,
        },
        "profile": {
            "title": "Profile / 核查方案",
            "description": "A choice of rules, see the rule set; all rules when left out.",
            "schema": {"type": "string", "maxLength": 60},
            "minOccurs": 0,
            "maxOccurs": 1,
        },
    },
    "outputs": {
        "report": {
            "title": "Conflict report / 冲突检查报告",
            "schema": {"type": "object", "contentMediaType": "application/json"},
        }
    },
    "example": {
        "inputs": {
            "submission": {
                "type": "Feature",
                "properties": {"name": "Sample", "land_take": True},
                "geometry": {
                    "type": "Polygon",
                    "coordinates": [
                        [[110.3, 19.9], [110.301, 19.9], [110.301, 19.901], [110.3, 19.9]]
                    ],
                },
            }
        }
    },
}


def _check(run: Run, inputs: Mapping[str, Any]) -> Mapping[str, Any]:
    as_of, known_at = inputs.get("as_of"), inputs.get("known_at")
    request = CheckRequest(
        submission=inputs["submission"],
        as_of=calendar_day(as_of, "as_of") if as_of is not None else None,
        known_at=past_moment(known_at, "known_at") if known_at is not None else None,
        profile=inputs.get("profile"),
    )
    return {"report": check(run.library, request)}


CONFLICT_CHECK: Final = Process(_DESCRIPTION, _check)
