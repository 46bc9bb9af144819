"""Whether a new content was read in the wrong Gauss-Krueger zone, asked of the land it lies on.

Eastings without a zone prefix fit every zone. Read in a neighbour's they come out 3 degrees off,
which can still be inside the region's box: on the open sea beside the island. The administrative
divisions in force tell.
"""

import datetime
from typing import Final

from psycopg import sql

from layers import editions, partitions
from layers.catalog import Catalog
from layers.crs_diagnosis import OnLand, wrong_zone
from layers.crs_families import neighbour_zone
from layers.database import Connection, row, statements
from layers.import_issues import Issue
from layers.text import Text

_SQL: Final = statements("layers", "import.sql")
_CODE: Final = "zone-suspected"


def zone_issue(
    connection: Connection,
    catalog: Catalog,
    content_id: int,
    source_crs: str,
    day: datetime.date,
) -> Issue | None:
    """A blocking issue where a neighbouring zone would bring everything onto land.

    None for sources that are in no zone, and while there are no divisions in force on the day.
    ``content_id`` is a content whose rows are loaded; of a delta only its own are looked at.
    """
    if neighbour_zone(source_crs, 0) is None and not source_crs.startswith("custom:"):
        return None
    divisions = [
        layer.id
        for plan, layer in catalog.layers()
        if plan.kind == "administrative"
        and layer.geometry == "polygon"
        and layer.coverage == "features"
    ]
    land = editions.contents_in_force(connection, divisions, day)
    if not land:
        return None
    statement = sql.SQL(_SQL["on_land"]).format(
        features=partitions.partition("feature", content_id)
    )
    found = connection.execute(
        statement, {"land": [content.content_id for content in land.values()]}
    ).fetchall()
    shares = {int(steps): float(share) for steps, share in found}
    if not shares:
        return None
    reason = wrong_zone(
        OnLand(shares[0], {steps: share for steps, share in shares.items() if steps}), source_crs
    )
    return Issue(_CODE, "blocking", reason, field="geometry") if reason else None


def known_zone_issue(connection: Connection, content_id: int) -> Issue | None:
    """What was found of the content that a delta stands on: a few other rows do not move it."""
    found = row(connection, _SQL["issue_of_code"], content_id=content_id, code=_CODE)
    if found is None:
        return None
    return Issue(_CODE, found["severity"], Text(**found["reason"]), field=found["field"])
