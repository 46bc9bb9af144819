"""What is published about rules: the set in use, and the JSON Schema of rule files."""

from functools import cache
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gis_service.routes.requests import library_of, refuse_unknown
from planning_rules.rule_schema import rule_file_schema


@cache
def _schema() -> bytes:
    return orjson.dumps(rule_file_schema(), option=orjson.OPT_INDENT_2)


def schema(request: Request) -> Response:
    """The JSON Schema of a rule file."""
    return Response(_schema(), media_type="application/schema+json")


def rules(request: Request) -> Response:
    """The rule set in use; whether an edited one is refused, and inside the house why."""
    refuse_unknown(request, ())
    library = library_of(request)
    in_use = library.rules_in_use()
    refusal = library.shelf.refusal if library.shelf is not None else None
    body: dict[str, Any] = {
        "id": in_use.id,
        "version": in_use.version,
        "status": in_use.status,
        "sha256": in_use.sha256,
        "rules": [
            {"id": rule.id, "version": rule.version, "title": rule.title.model_dump()}
            for rule in in_use.rules
        ],
        "edited_set_refused": refusal is not None,
    }
    if refusal is not None and library.settings.access == "restricted":
        body["refusal"] = {
            "since": refusal.since.isoformat(timespec="seconds"),
            "reason": refusal.reason.model_dump(),
        }
    return Response(
        orjson.dumps(body), media_type="application/json", headers={"Cache-Control": "no-store"}
    )


ROUTES = [Route("/rules", rules), Route("/schemas/rules.json", schema)]
