"""The contents that a report was made from, found again by the editions that it names."""

from collections.abc import Mapping
from typing import Final

from layers.database import Connection, rows, statements
from layers.editions import Content

_SQL: Final = statements("layers", "pinned_contents.sql")


def pinned_contents(connection: Connection, editions: Mapping[str, int]) -> dict[str, Content]:
    """Contents by layer id, for pairs of layer and edition number; what is gone is missing.

    In force or not does not matter: superseded and withdrawn editions keep their contents.
    """
    found = rows(
        connection,
        _SQL["pinned_contents"],
        layer_ids=list(editions),
        edition_ids=list(editions.values()),
    )
    return {record["layer_id"]: Content(**record) for record in found}
