"""Something that was done to the input of a check, or that its sender should know."""

from dataclasses import dataclass
from typing import Any

from layers.text import Text


@dataclass(frozen=True, slots=True)
class Remark:
    """A code, for programs, and words, for people."""

    code: str
    text: Text

    def as_json(self) -> dict[str, Any]:
        """The form of reports."""
        return {"code": self.code, "message": {"zh": self.text.zh, "en": self.text.en}}
