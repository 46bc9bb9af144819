"""``echo``: gives its inputs back, after a pause if asked; for tests and a client's first steps."""

from collections.abc import Mapping
from typing import Any, Final

from gis_service.processes.process import Process, Run

LONGEST_PAUSE_S: Final = 60
_SCHEMAS: Final[Mapping[str, dict[str, Any]]] = {
    "message": {"type": "string", "maxLength": 10_000},
    "pause": {"type": "number", "minimum": 0, "maximum": LONGEST_PAUSE_S},
    "numbers": {"type": "array", "items": {"type": "number"}, "maxItems": 1000},
    "box": {
        "type": "object",
        "required": ["bbox"],
        "format": "ogc-bbox",
        "properties": {
            "bbox": {"type": "array", "items": {"type": "number"}, "minItems": 4, "maxItems": 6},
            "crs": {"type": "string", "format": "uri"},
        },
    },
}
_TITLES: Final = {
    "message": "Message / 消息",
    "pause": "Pause in seconds / 停顿秒数",
    "numbers": "Numbers / 数组",
    "box": "Box / 范围",
}


def _echo(_run: Run, inputs: Mapping[str, Any]) -> Mapping[str, Any]:
    return dict(inputs)


def _pause_s(inputs: Mapping[str, Any]) -> float:
    return float(inputs.get("pause", 0))


ECHO: Final = Process(
    {
        "id": "echo",
        "version": "1.1.0",
        "title": {"en": "Echo", "zh": "回显"},
        "description": {
            "en": "Gives its inputs back, after a pause if asked; for a client's first steps.",
            "zh": "原样返回输入，可设置停顿；用于客户端首次联调。",
        },
        "jobControlOptions": ["sync-execute", "async-execute", "dismiss"],
        "outputTransmission": ["value"],
        "keywords": {"en": ["echo", "test"], "zh": ["回显", "测试"]},
        "inputs": {
            name: {"title": _TITLES[name], "schema": schema, "minOccurs": 0, "maxOccurs": 1}
            for name, schema in _SCHEMAS.items()
        },
        "outputs": {
            name: {"title": _TITLES[name], "schema": schema} for name, schema in _SCHEMAS.items()
        },
        "example": {"inputs": {"message": "hello", "pause": 0}},
    },
    _echo,
    _pause_s,
    shared=True,
)
