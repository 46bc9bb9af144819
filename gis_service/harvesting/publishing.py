"""Publishing of a harvested draft without a person: only where nothing speaks against it."""

import logging
from typing import TYPE_CHECKING, Any, Final

from gis_service.harvesting import runs
from gis_service.harvesting.sources import RegisteredSource
from layers import contents, editions
from layers.database import Connection
from layers.errors import Conflict

if TYPE_CHECKING:
    from gis_service.harvesting.harvest import HarvestHouse

_log = logging.getLogger(__name__)

SUSPICIOUS: Final = frozenset({"content-shrunk", "datum-shift-suspected"})
"""Issues that a person has to look at, whatever their severity."""


def publish_if_clean(
    connection: Connection, house: "HarvestHouse", source: RegisteredSource, occasion: str
) -> bool:
    """Publish the draft of a finished harvest if its source says so and all of it is clean.

    Every layer of the draft must have been brought by a source that says ``when-clean``, without
    blocking issues, without a suspicion of loss or shift, and untouched since. The pieces are
    made first; then people's edits wait for the short transaction that looks again and publishes.
    """
    run = runs.stored(connection, source.id, occasion)
    if source.publish != "when-clean" or run is None or run["edition_id"] is None:
        return False
    if run["outcome"] not in ("draft", "unchanged"):
        return False
    edition_id = run["edition_id"]
    if not _is_clean(runs.brought_to_draft(connection, edition_id), house.publishing):
        return False
    for content in runs.brought_to_draft(connection, edition_id):
        if content["state"] != "ready":
            contents.build_pieces(connection, content["content_id"])
    try:
        with connection.transaction():
            runs.lock_edition(connection, edition_id)
            if not _is_clean(runs.brought_to_draft(connection, edition_id), house.publishing):
                return False
            editions.publish(connection, source.plan, edition_id)
            runs.mark_published(connection, run["id"])
    except Conflict as error:
        _log.info("draft %s of %s stays a draft: %s", edition_id, source.plan, error)
        return False
    return True


def _is_clean(brought: list[dict[str, Any]], publishing: frozenset[str]) -> bool:
    return bool(brought) and all(
        content["source_id"] in publishing
        and content["blocking_issues"] == 0
        and not SUSPICIOUS & set(content["issue_counts"])
        for content in brought
    )
