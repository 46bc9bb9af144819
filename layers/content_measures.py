"""What is known of a content as a whole: count, extent, fingerprint, and where it has data.

A delta's are derived from its base's and from what differs, so that they cost by the change.
"""

import hashlib
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
import shapely
from psycopg import sql

from layers import partitions
from layers.catalog import Layer
from layers.coverage_change import pieces_after
from layers.crs import STORAGE_SRID
from layers.database import Connection, rows, statements
from layers.feature_rows import Fingerprint
from layers.import_coverage import without_slivers

_SQL: Final = statements("layers", "content_measures.sql")


def count_and_extent(
    connection: Connection, content_id: int, base_id: int | None
) -> tuple[int, str | None]:
    """How many features a content has, with those of its base, and the box around them (EWKB)."""
    name = "count_and_extent" if base_id is None else "delta_count_and_extent"
    found = connection.execute(
        _on(name, content_id), {"content_id": content_id, "base_id": base_id}
    ).fetchone()
    return (int(found[0] or 0), found[1]) if found is not None else (0, None)


def stored_fingerprint(connection: Connection, content_id: int) -> Fingerprint:
    """The fingerprint of the rows that a content itself stores, as they stand in the database."""
    fingerprint = Fingerprint()
    with (
        connection.transaction(),
        connection.cursor(name="rows_in_order", withhold=False) as cursor,
    ):
        cursor.itersize = 5000
        for feature_id, attributes, ewkb in cursor.execute(_on("rows_in_order", content_id)):
            fingerprint.add_stored(feature_id, attributes, ewkb)
    return fingerprint


def digest(connection: Connection, content_id: int, base_id: int | None) -> str:
    """The fingerprint of a content; for a delta SHA-256 over base, hidden fids and own rows.

    Equal digests mean equal rows. Two ways to the same rows need not have the same digest.
    """
    own = stored_fingerprint(connection, content_id).hexdigest()
    if base_id is None:
        return own
    base = connection.execute(_SQL["base_digest"], {"base_id": base_id}).fetchone()
    whole = hashlib.sha256(f"delta {base[0] if base else None} {own}".encode())
    for hidden in rows(connection, _SQL["hidden_in_order"], content_id=content_id):
        whole.update(f" {hidden['fid']}".encode())
    return whole.hexdigest()


def multipolygon_wkb(coverage: bytes | shapely.Geometry | None) -> bytes | None:
    """The polygons of a coverage (EPSG:4490) as EWKB of one multipolygon."""
    if coverage is None:
        return None
    geometry = shapely.from_wkb(coverage) if isinstance(coverage, bytes) else coverage
    parts = [part for part in shapely.get_parts(geometry) if part.geom_type == "Polygon"]
    stamped = shapely.set_srid(shapely.MultiPolygon(parts), STORAGE_SRID)
    return bytes(shapely.to_wkb(stamped, include_srid=True))


def delta_coverage(
    connection: Connection,
    content_id: int,
    base_id: int,
    layer: Layer,
    *,
    edits_only: bool = False,
) -> shapely.Geometry | None:
    """Where a delta has data when nobody says so; None = as it is (that of what it came from).

    It follows the features in layers whose coverage they make: without the deleted ones, with the
    new ones. Holes that an import left (refused rows) stay holes until a new feature fills them: a
    feature that overlapped one and is stored anew says nothing about what was refused there.
    With ``edits_only`` own rows that nobody edited fill nothing either.
    """
    if layer.coverage != "features" or layer.geometry != "polygon":
        return None
    base, own, base_count, _ = _coverages(connection, content_id, base_id)
    if shapely.is_empty(own) and shapely.is_empty(base) and base_count:
        return None  # rows were refused that may lie anywhere
    values = {"content_id": content_id, "base_id": base_id, "edits_only": edits_only}
    shapes = _unions(connection, _on("changed_geometries", content_id, base_id), values)
    gone, changed, new = shapes("gone"), shapes("changed"), shapes("new")
    holes = without_slivers(
        shapely.union(shapely.difference(gone, base), shapely.difference(shapes("before"), own))
    )
    filled = shapely.union(shapely.difference(changed, holes), new)
    features = shapely.union_all([shapely.difference(base, gone), changed, new, shapes("kept")])
    return shapely.intersection(features, shapely.union(own, filled))


def edited_coverage(
    connection: Connection, content_id: int, layer: Layer
) -> shapely.Geometry | None:
    """The same for a whole content that is edited in place: only what edits touched is looked at.

    Where its import refused rows, a place without data that an edited feature had stays so.
    """
    if layer.coverage != "features" or layer.geometry != "polygon":
        return None
    _, own, _, refused = _coverages(connection, content_id, None)
    if shapely.is_empty(own) and refused:
        return None
    shapes = _unions(connection, _on("edited_geometries", content_id), {"content_id": content_id})
    ever = shapes("ever")
    here = shapely.intersection(shapes("now"), ever)
    if refused:
        holes = without_slivers(shapely.difference(shapes("before"), own))
        here = shapely.difference(here, holes)
    return shapely.union(shapely.difference(own, ever), here)


def _coverages(
    connection: Connection, content_id: int, base_id: int | None
) -> tuple[shapely.Geometry, shapely.Geometry, int, int]:
    """Coverage of the base and of the content itself, rows of the base, rows refused at import."""
    found = connection.execute(
        _SQL["coverages"], {"content_id": content_id, "base_id": base_id}
    ).fetchone()
    base, own, base_count, refused = found or (None,) * 4
    first, second = (
        shapely.Polygon() if wkb is None else shapely.from_wkb(bytes(wkb)) for wkb in (base, own)
    )
    return first, second, int(base_count or 0), int(refused or 0)


def _unions(
    connection: Connection, statement: sql.Composed, values: Mapping[str, Any]
) -> Callable[[str], shapely.Geometry]:
    """Gives the union of the shapes of each kind that a statement names."""
    found = connection.execute(statement, values).fetchall()
    return lambda kind: shapely.union_all([shapely.from_wkb(wkb) for k, wkb in found if k == kind])


def cut_coverage(connection: Connection, content_id: int, base_id: int | None = None) -> None:
    """Cut the coverage into the small pieces that checks read; of a delta what differs is cut."""
    table = partitions.parent(connection, "coverage_piece", content_id)
    values = {"content_id": content_id, "base_id": base_id}
    connection.execute(sql.SQL(_SQL["drop_coverage"]).format(coverage=table), values)
    if base_id is None or not _cut_changed(connection, table, values):
        connection.execute(sql.SQL(_SQL["cut_coverage"]).format(coverage=table), values)


def _cut_changed(connection: Connection, table: sql.Identifier, values: dict[str, Any]) -> bool:
    """Take the pieces of the base that hold, and cut the others; False if there are none."""
    found = connection.execute(
        sql.SQL(_SQL["pieces_of_base"]).format(coverage=table), values
    ).fetchall()
    if not found:
        return False
    numbers = np.array([number for number, _ in found])
    pieces = shapely.from_wkb(np.array([wkb for _, wkb in found], dtype=object))
    before, after, *_ = _coverages(connection, values["content_id"], values["base_id"])
    touched, new = pieces_after(pieces, before, after)
    connection.execute(
        sql.SQL(_SQL["cut_changed"]).format(coverage=table),
        {**values, "changed": numbers[touched].tolist(), "new": shapely.to_wkb(new).tolist()},
    )
    return True


def settle(connection: Connection, content_id: int, base_id: int | None, layer: Layer) -> None:
    """Measure a draft's content anew after its rows were changed one by one."""
    count, extent = count_and_extent(connection, content_id, base_id)
    covered = (
        edited_coverage(connection, content_id, layer)
        if base_id is None
        else delta_coverage(connection, content_id, base_id, layer, edits_only=True)
    )
    connection.execute(
        _SQL["settle"],
        {
            "content_id": content_id,
            "feature_count": count,
            "extent": extent,
            "content_sha256": digest(connection, content_id, base_id),
            "coverage": multipolygon_wkb(covered),
        },
    )
    if covered is not None:
        cut_coverage(connection, content_id, base_id)


def _on(name: str, content_id: int, base_id: int | None = None) -> sql.Composed:
    return sql.SQL(_SQL[name]).format(
        features=partitions.partition("feature", content_id),
        base_features=partitions.partition("feature", content_id if base_id is None else base_id),
    )
