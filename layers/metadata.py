"""Metadata of an edition: who approved it, under which number and when, and what it is called.

Stored with the edition while it is a draft; a published edition is immutable, its metadata too
(the database refuses). A file of metadata is YAML with the keys of ``EditionMetadata``.
"""

import datetime
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml
from psycopg.types.json import Jsonb
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from layers.database import Connection, statements
from layers.editions import named_edition
from layers.errors import BadInput, Conflict
from layers.text import Text

_SQL: Final = statements("layers", "metadata.sql")
_KEY: Final = "description_of_edition"
_LARGEST_FILE: Final = 100_000


class Approval(BaseModel):
    """The approval (批复) of an edition; each part may be unknown."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    authority: Text | None = None
    document: str | None = Field(default=None, min_length=1, max_length=200)
    date: datetime.date | None = None


class EditionMetadata(BaseModel):
    """What people say of an edition; all of it optional."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: Text | None = None
    approval: Approval = Approval()
    description: Text | None = None
    lineage: Text | None = None
    keywords: tuple[Text, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Nothing is said."""
        return self == EditionMetadata()

    @classmethod
    def from_stored(
        cls, title: Mapping[str, Any], metadata: Mapping[str, Any]
    ) -> "EditionMetadata":
        """What stands in the database; the title is a column of its own."""
        return cls.model_validate({**metadata.get(_KEY, {}), "title": title})


def read_metadata(path: Path) -> EditionMetadata:
    """Metadata from a YAML file; ``BadInput`` names the key that is wrong."""
    if not path.is_file() or path.stat().st_size > _LARGEST_FILE:
        raise BadInput(f"There is no metadata file {path}.", f"没有元数据文件 {path}。")
    try:
        return EditionMetadata.model_validate(yaml.safe_load(path.read_text("utf-8")) or {})
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(str(step) for step in fault['loc']) or 'file'}: {fault['msg']}"
            for fault in error.errors()[:5]
        )
        raise BadInput(
            f"{path.name}: {faults}", f"元数据文件 {path.name} 有误：{faults}"
        ) from error
    except (yaml.YAMLError, ValueError) as error:
        first = " ".join(str(error).split())[:200]
        raise BadInput(f"{path.name}: {first}", f"元数据文件 {path.name} 有误：{first}") from error


def describe_draft(
    connection: Connection, plan_id: str, edition_id: int | None, said: EditionMetadata
) -> int:
    """Add metadata to a draft (None = the plan's draft) and give its number.

    What is said replaces what was said before, part by part; what is left out stays.
    ``Conflict`` for an edition that is published.
    """
    with connection.transaction():
        edition = named_edition(connection, plan_id, edition_id)
        number = int(edition["id"])
        if edition["state"] != "draft":
            raise Conflict(
                f"Edition {number} is {edition['state']}: its metadata cannot change. Publish "
                "a new edition.",
                f"版本 {number} 的状态为 {edition['state']}，元数据不可更改；请发布新版本。",
                code="edition-published",
            )
        stored = connection.execute(
            "SELECT metadata FROM library.edition WHERE id = %s", (number,)
        ).fetchone()
        before = stored[0].get(_KEY, {}) if stored is not None else {}
        connection.execute(
            _SQL["describe_draft"],
            {
                "edition_id": number,
                "title": Jsonb(said.title.model_dump()) if said.title is not None else None,
                "metadata": Jsonb({_KEY: _joined(before, said)}),
            },
        )
    return number


def _joined(before: Mapping[str, Any], said: EditionMetadata) -> dict[str, Any]:
    news = said.model_dump(mode="json", exclude_defaults=True, exclude={"title"})
    approval = {**before.get("approval", {}), **news.get("approval", {})}
    return {**before, **news, **({"approval": approval} if approval else {})}
