"""Deltas: contents that stand on another one and hold only what differs from it.

A delta has rows of its own and the fids of those rows of its base that do not hold in it
(``library.hidden_feature``). Readers see base and delta as one content through the views in the
schema ``reading``. A changed row is hidden in the base and stored anew in the delta, with the same
feature id and a fid above all fids of the base. The base is always a whole content: a delta of a
delta starts with a copy of what the first one holds, and a delta that hides or adds more than a
fifth of its base becomes whole when it is finished.

An import that changes a few rows::

    content_id = create_delta(connection, base_content_id)     # all rows of the base
    hide(connection, content_id, fids)                         # ... but these
    first = next_fid(connection, content_id)
    load_arrays(connection, content_id, geometries, columns, first, feature_ids=ids)
    finish_content(connection, content_id)                     # coverage of the base if not given
    put_layer(connection, edition_id, layer_id, content_id)

A draft that is edited row by row (finished and put into a draft edition first, empty or not)::

    put_feature(connection, content_id, feature_id, attributes, geometry)   # add or replace
    remove_feature(connection, content_id, feature_id)

or plain INSERT, UPDATE and DELETE on the content's own partition and on ``hidden_feature``:
triggers refuse what is published, note the touched rows and take the content back to 'loaded';
``build_pieces`` (a publish calls it) then makes the pieces of the touched rows anew.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final, LiteralString

import numpy as np
import shapely
from psycopg import errors as pg
from psycopg import sql
from psycopg.types.json import Jsonb

from layers import partitions
from layers.area import areas_m2
from layers.crs import STORAGE_SRID
from layers.database import Connection, row, statements
from layers.errors import Conflict, NotFound
from layers.feature_rows import attributes_json

_SQL: Final = statements("layers", "deltas.sql")
_IMPORT_SQL: Final = statements("layers", "import.sql")
LOCK_CLASS: Final = 73_615
"""First key of the advisory locks that living imports hold; the second one is the content."""
_LARGEST_SHARE: Final = 0.2
"""A delta that replaces more of its base than this is stored whole: reading it costs two looks."""


def parts(connection: Connection, content_id: int) -> tuple[int, ...]:
    """The contents that store the rows of this one: itself, and its base if it has one."""
    found = base_of(connection, content_id)
    return (content_id,) if found is None else (content_id, found)


def base_of(connection: Connection, content_id: int) -> int | None:
    """The whole content that a delta stands on; None for a whole one."""
    found = row(
        connection,
        "SELECT base_id FROM library.layer_content WHERE id = %(content_id)s",
        content_id=content_id,
    )
    return None if found is None or found["base_id"] is None else int(found["base_id"])


def create_delta(
    connection: Connection, from_content_id: int, *, source: Mapping[str, Any] | None = None
) -> int:
    """Open a content that begins with all rows of another one; give its number.

    Nobody sees it before ``finish_content``. From then on the other one cannot change any more.
    """
    with connection.transaction():
        origin = row(connection, _SQL["base_of_content"], content_id=from_content_id)
        if origin is None or origin["state"] == "loading":
            raise NotFound(
                f"There is no loaded content {from_content_id}.",
                f"没有已加载的内容 {from_content_id}。",
            )
        base_id = int(origin["base_id"] or from_content_id)
        created = row(
            connection,
            _SQL["create_delta"],
            content_id=from_content_id,
            base_id=base_id,
            source=Jsonb(dict(source or {})),
            lock_class=LOCK_CLASS,
        )
        if created is None:
            raise Conflict("The content was not created.", "未能创建图层内容。")
        content_id = int(created["id"])
        partitions.create(connection, "feature", content_id)
        if base_id != from_content_id:
            _copy_delta(connection, from_content_id, content_id)
    return content_id


def _copy_delta(connection: Connection, from_id: int, content_id: int) -> None:
    values = {"content_id": content_id, "from_id": from_id}
    connection.execute(_SQL["copy_hidden"], values)
    connection.execute(_on("copy_rows", content_id, from_id), values)
    connection.execute(_SQL["copy_source_rows"], values)
    connection.execute(_IMPORT_SQL["copy_chunks_of_base"], values)


def next_fid(connection: Connection, content_id: int) -> int:
    """The first fid that is free in the content, above all of its base."""
    highest = 0
    for part in parts(connection, content_id):
        for statement in (_on("highest_fid", part), _SQL["highest_source_fid"]):
            found = connection.execute(statement, {"content_id": part}).fetchone()
            highest = max(highest, int(found[0]) if found else 0)
    return highest + 1


def hide(connection: Connection, content_id: int, fids: Iterable[int]) -> None:
    """Let rows no longer hold: those of the base are hidden, own ones deleted."""
    base_id = base_of(connection, content_id)
    values = {"content_id": content_id, "base_id": base_id, "fids": list(fids)}
    with connection.transaction():
        if base_id is not None:
            connection.execute(_on("hide", content_id, base_id), values)
        connection.execute(_on("remove_rows", content_id), values)
        connection.execute(_SQL["remove_source_rows"], values)


def unhide(connection: Connection, content_id: int, fids: Iterable[int]) -> None:
    """Let rows of the base hold again; ``Conflict`` where the delta has them anew."""
    try:
        with connection.transaction():
            connection.execute(_SQL["unhide"], {"content_id": content_id, "fids": list(fids)})
    except pg.UniqueViolation as error:
        raise _twice(content_id) from error


def put_feature(
    connection: Connection,
    content_id: int,
    feature_id: str,
    attributes: Mapping[str, Any],
    geometry: shapely.Geometry,
    *,
    key: bytes | None = None,
) -> int:
    """Add a feature to a draft's content, or replace the one with that id; give its fid.

    ``geometry`` is EPSG:4490, x = longitude, valid and snapped. A replaced row of the base gets a
    new fid. Raises psycopg's ``RestrictViolation`` when the content is published or others
    stand on it. ``key``: see ``draft_edits.Editor``.
    """
    stamped = shapely.set_srid(geometry, STORAGE_SRID)
    area = (
        float(areas_m2(np.array([geometry]))[0]) if shapely.get_dimensions(geometry) == 2 else None
    )
    values = {
        "content_id": content_id,
        "feature_id": feature_id,
        "attributes": attributes_json(attributes).decode(),
        "area_m2": area,
        "ewkb": shapely.to_wkb(stamped, include_srid=True, output_dimension=2),
    }
    found = row(connection, _SQL["put_feature"], **values, key=key)
    return int(found["fid"]) if found else 0


def remove_feature(
    connection: Connection, content_id: int, feature_id: str, *, key: bytes | None = None
) -> bool:
    """Take a feature out of a draft's content; False if there was none."""
    found = row(
        connection, _SQL["remove_feature"], content_id=content_id, feature_id=feature_id, key=key
    )
    return bool(found and found["removed"])


def settle_rows(connection: Connection, content_id: int) -> int | None:
    """Before a content is finished: make a large delta whole, else check it; give its base."""
    base_id = base_of(connection, content_id)
    if base_id is None:
        return None
    replaced, size = _size(connection, content_id, base_id)
    if replaced > _LARGEST_SHARE * size:
        values = {"content_id": content_id, "from_id": base_id}
        connection.execute(_on("copy_rows", content_id, base_id), values)
        connection.execute(_SQL["copy_source_rows"], values)
        connection.execute(_IMPORT_SQL["copy_chunks_of_base"], values)
        connection.execute(_SQL["make_whole"], values)
        return None
    _refuse_twice(connection, content_id, base_id)
    return base_id


def _refuse_twice(connection: Connection, content_id: int, base_id: int) -> None:
    """``Conflict`` where delta and base share a fid or a feature id that is not hidden."""
    values = {"content_id": content_id, "base_id": base_id}
    lowest = connection.execute(_on("lowest_fid", content_id), values).fetchone()
    highest = connection.execute(_on("highest_fid", base_id), {"content_id": base_id}).fetchone()
    if lowest and highest and lowest[0] <= highest[0]:
        raise Conflict(
            f"Rows of content {content_id} begin at fid {lowest[0]}; its base goes up to "
            f"{highest[0]}.",
            f"内容 {content_id} 的行号自 {lowest[0]} 起，而其基础内容已用至 {highest[0]}。",
            code="fid-taken",
        )
    twice = connection.execute(_on("twice", content_id, base_id), values).fetchall()
    if twice:
        raise _twice(content_id, ", ".join(name for (name,) in twice))


def _twice(content_id: int, names: str = "") -> Conflict:
    named = f": {names}" if names else ""
    return Conflict(
        f"Content {content_id} has features that its base has, too{named}. Hide those first.",
        f"内容 {content_id} 与其基础内容有相同编号的要素{named}。请先隐藏后者。",
        code="feature-twice",
    )


def _size(connection: Connection, content_id: int, base_id: int) -> tuple[int, int]:
    """How much of its base a delta replaces (rows added or hidden), and how large that is."""
    values = {"content_id": content_id, "base_id": base_id}
    found = connection.execute(_on("size", content_id), values).fetchone()
    own, hidden, base = found if found else (0, 0, 0)
    return max(own, hidden), base or 0


def _on(name: str, content_id: int, base_id: int | None = None) -> sql.Composed:
    """A statement on the partitions of a content and of its base (or of where it copies from)."""
    return on_partitions(_SQL[name], content_id, base_id)


def on_partitions(
    statement: LiteralString, content_id: int, base_id: int | None = None
) -> sql.Composed:
    """``{features}`` is the content's own partition, ``{base_features}`` that of its base."""
    return sql.SQL(statement).format(
        features=partitions.partition("feature", content_id),
        base_features=partitions.partition("feature", content_id if base_id is None else base_id),
    )
