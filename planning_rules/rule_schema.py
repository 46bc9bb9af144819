"""The JSON Schema of a rule file, for editors and for whoever writes rules elsewhere.

It says the form: keys, types, words, exactly one test. What only the loader can know (conditions
that parse, versions that do not meet, a matrix that exists) it does not say.
"""

from typing import Any, Final, Literal

from pydantic import Field

from layers.text import Text
from planning_rules.plan_matrix import PlanMatrix
from planning_rules.rule import Model, Rule, Words
from planning_rules.rule_set import CheckProfile, CompatibilityMatrix, Defaults

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


class RuleSetHead(Model):
    """What stands once in a set: identity, jurisdiction, status, and how areas are measured."""

    id: Words
    version: Words
    jurisdiction: tuple[Words, ...]
    status: Words
    crs: Literal["EPSG:4490"]
    area_method: Literal["cgcs2000-ellipsoidal"]
    title: Text | None = None
    notice: Text | None = None


class RuleFile(Model):
    """One file of a rule set; ``ruleset`` and ``defaults`` stand in one file of the folder."""

    ruleset: RuleSetHead | None = None
    defaults: Defaults | None = None
    rules: tuple[Rule, ...] = ()
    matrices: tuple[CompatibilityMatrix, ...] = ()
    plan_matrices: tuple[PlanMatrix, ...] = ()
    profiles: tuple[CheckProfile, ...] = ()
    remarks: Any = Field(default=None, description="Not read.")


def rule_file_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of a rule file as JSON; dates of YAML are ISO texts there."""
    schema = RuleFile.model_json_schema(by_alias=True, mode="validation")
    return {
        "$schema": DIALECT,
        **schema,
        "title": "Planning rules",
    }
