"""The published schema of rules, over HTTP and from the command line."""

import json
import subprocess
import sys
from pathlib import Path

import jsonschema
import yaml
from starlette.testclient import TestClient

PROGRAM = Path(sys.executable).with_name("gis-service")
RULES = Path(__file__).resolve().parents[3] / "config" / "rules"


def test_the_schema_of_rules(client: TestClient) -> None:
    answer = client.get("/schemas/rules.json")
    assert answer.headers["content-type"] == "application/schema+json"
    validator = jsonschema.Draft202012Validator(answer.json())
    content = json.loads(json.dumps(yaml.safe_load((RULES / "marine.yml").read_text("utf-8")),
                                    default=str))  # fmt: skip
    assert list(validator.iter_errors(content)) == []
    content["rules"][0]["test"]["within"] = {"max_outside_area": "0 m2"}
    assert list(validator.iter_errors(content))
    printed = subprocess.run(
        [str(PROGRAM), "rules", "schema"], capture_output=True, text=True, check=True
    )
    assert json.loads(printed.stdout) == answer.json()
