"""Text for people, in Chinese and English together."""

from pydantic import BaseModel, ConfigDict


class Text(BaseModel):
    """One text in both languages of the service."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    zh: str
    en: str

    def in_language(self, language: str) -> str:
        """Give the Chinese text for ``zh`` and its variants, the English one for all else."""
        return self.zh if language.lower().startswith("zh") else self.en
