"""Descriptions of the OGC processes; their execution is ``gis_service.routes.checks``."""

from typing import Any, Final

_GEOJSON: Final = "application/geo+json"

CONFLICT_CHECK: Final[dict[str, Any]] = {
    "id": "conflict-check",
    "version": "1.0.0",
    "title": {"en": "Conflict check", "zh": "冲突检查"},
    "description": {
        "en": "Judges a project submission against the plans in force on a day; gives a report.",
        "zh": "按指定日期生效的规划检查项目用地，给出报告。",
    },
    "jobControlOptions": ["sync-execute"],
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
                "required": ["type"],
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

ECHO: Final[dict[str, Any]] = {
    "id": "echo",
    "version": "1.0.0",
    "title": {"en": "Echo", "zh": "回显"},
    "description": {
        "en": "Gives its inputs back, after a pause if asked; for a client's first steps.",
        "zh": "原样返回输入，可设置停顿；用于客户端首次联调。",
    },
    "jobControlOptions": ["sync-execute"],
    "outputTransmission": ["value"],
    "keywords": {"en": ["echo", "test"], "zh": ["回显", "测试"]},
    "inputs": {
        "message": {
            "title": "Message / 消息",
            "schema": {"type": "string"},
            "minOccurs": 0,
            "maxOccurs": 1,
        },
        "pause": {
            "title": "Pause in seconds / 停顿秒数",
            "schema": {"type": "number", "minimum": 0, "maximum": 10},
            "minOccurs": 0,
            "maxOccurs": 1,
        },
    },
    "outputs": {
        "echo": {
            "title": "The inputs / 输入内容",
            "schema": {"type": "object", "contentMediaType": "application/json"},
        }
    },
    "example": {"inputs": {"message": "hello", "pause": 0}},
}

PROCESSES: Final = (CONFLICT_CHECK, ECHO)
