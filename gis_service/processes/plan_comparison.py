"""``plan-comparison``: plan against plan, with totals and patches; a job, because it takes long."""

from collections.abc import Mapping
from typing import Any, Final

from gis_service.processes.process import Process, Run
from gis_service.routes.requests import calendar_day

_REGION: Final = {
    "oneOf": [
        {"type": "string", "pattern": r"^[0-9]{2,6}$", "description": "Administrative code"},
        {"type": "array", "items": {"type": "number"}, "minItems": 4, "maxItems": 4},
        {"type": "object", "required": ["type"], "contentMediaType": "application/geo+json"},
    ]
}


def _compare(run: Run, inputs: Mapping[str, Any]) -> Mapping[str, Any]:
    from gis_service.comparing import CompareRequest, compare_plans
    from gis_service.executors import executor

    as_of, region = inputs.get("as_of"), inputs.get("region")
    if isinstance(region, list):
        region = ",".join(str(one) for one in region)
    request = CompareRequest(
        tuple(inputs["plans"]), region, calendar_day(as_of, "as_of") if as_of else None
    )
    limits = run.library.config.limits

    def tell(_what: str, share: float) -> None:
        run.check()
        run.progress(share)

    with executor(
        run.workers,
        deadline_s=limits.comparison_deadline_s,
        memory_bytes=limits.reader_memory_bytes,
    ) as (runner, count):
        return {"report": compare_plans(run.library, request, runner, count, tell).report}


PLAN_COMPARISON: Final = Process(
    {
        "id": "plan-comparison",
        "version": "1.0.0",
        "title": {"en": "Comparison of plans", "zh": "规划矛盾比对"},
        "description": {
            "en": "Compares plans in force on a day, pair by pair: conflict patches with totals.",
            "zh": "比对指定日期生效的规划，给出矛盾图斑与面积汇总。",
        },
        "jobControlOptions": ["async-execute", "dismiss"],
        "outputTransmission": ["value"],
        "keywords": {"en": ["planning", "comparison"], "zh": ["规划", "矛盾图斑"]},
        "inputs": {
            "plans": {
                "title": "Plans / 规划",
                "description": "Two or more plan ids.",
                "schema": {
                    "type": "array",
                    "items": {"type": "string"},
                    "minItems": 2,
                    "maxItems": 20,
                    "uniqueItems": True,
                },
                "minOccurs": 1,
                "maxOccurs": 1,
            },
            "region": {
                "title": "Region / 区域",
                "description": "An administrative code, west, south, east, north, or a GeoJSON "
                "polygon; everything where left out.",
                "schema": _REGION,
                "minOccurs": 0,
                "maxOccurs": 1,
            },
            "as_of": {
                "title": "Day / 日期",
                "schema": {"type": "string", "format": "date"},
                "minOccurs": 0,
                "maxOccurs": 1,
            },
        },
        "outputs": {
            "report": {
                "title": "Report / 比对报告",
                "schema": {"type": "object", "contentMediaType": "application/json"},
            }
        },
        "example": {"inputs": {"plans": ["overall-plan", "forest-plan"], "region": "460100"}},
    },
    _compare,
    shared=True,
)
