"""What is published about rules: the JSON Schema of rule files."""

from functools import cache

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from planning_rules.rule_schema import rule_file_schema


@cache
def _schema() -> bytes:
    return orjson.dumps(rule_file_schema(), option=orjson.OPT_INDENT_2)


def schema(request: Request) -> Response:
    """The JSON Schema of a rule file."""
    return Response(_schema(), media_type="application/schema+json")


ROUTES = [Route("/schemas/rules.json", schema)]
