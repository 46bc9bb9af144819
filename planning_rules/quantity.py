"""Values with a unit as rules write them: ``0 m2``, ``200 m``, ``15 %``, ``1`` (UCUM style)."""

import math
import re
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, model_validator

_FORM: Final = re.compile(r"^\s*([+-]?[0-9]+(?:\.[0-9]+)?)\s*(m2|ha|mm|cm|km|m|%|1|)\s*$")
_BASE: Final = {
    "m": ("m", 1.0), "mm": ("m", 0.001), "cm": ("m", 0.01), "km": ("m", 1000.0),
    "m2": ("m2", 1.0), "ha": ("m2", 10_000.0), "%": ("%", 1.0), "1": ("1", 1.0), "": ("1", 1.0),
}  # fmt: skip


def _written_form(schema: dict[str, Any]) -> None:
    described = schema.get("description", "")
    schema.clear()
    schema.update(
        title="Quantity",
        description=described,
        anyOf=[{"type": "string", "pattern": _FORM.pattern}, {"type": "number"}],
        examples=["0 m2", "200 m", "15 %", "1"],
    )


class Quantity(BaseModel):
    """A finite number in a base unit: ``m``, ``m2``, ``%`` or ``1``."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        # As people write it; the two fields are how it is kept.
        json_schema_extra=lambda schema: _written_form(schema),
    )

    value: float
    unit: str

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, given: object) -> object:
        if isinstance(given, dict | Quantity):
            return given
        if isinstance(given, bool) or not isinstance(given, str | int | float):
            raise ValueError(f"'{given}' is no quantity; write for example '200 m'")
        match = _FORM.match(str(given))
        if match is None:
            raise ValueError(f"'{given}' is no quantity; write for example '200 m' or '0 m2'")
        unit, factor = _BASE[match.group(2)]
        return {"value": float(match.group(1)) * factor, "unit": unit}

    @model_validator(mode="after")
    def _is_finite(self) -> "Quantity":
        if not math.isfinite(self.value):
            raise ValueError("a quantity must be finite")
        return self

    def as_json(self) -> dict[str, object]:
        """The form of reports: ``{"value": 200, "unit": "m"}``."""
        return {"value": self.value, "unit": self.unit}
