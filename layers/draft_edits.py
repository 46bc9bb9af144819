"""Drafts that are edited feature by feature: open, edit, look back, revert, discard.

A draft begins as what is in force, without a copy: its contents are deltas (``layers.deltas``) that
hold only what the edits change. Each change of a feature is a version with who, why and when,
written by the database whatever way the edit came (``library.feature_history``); version 0 is
what the draft began with. An edit that names the version it stands on is refused (``Conflict``,
code ``version-mismatch``) when somebody was faster.
"""

import datetime
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import psycopg
import shapely
from psycopg import errors as pg

from layers import contents, deltas
from layers.catalog import Catalog, Layer
from layers.crs import Box
from layers.database import Connection, row, rows, statements
from layers.draft_basis import Basis
from layers.draft_checks import checked_feature
from layers.draft_views import make_draft_view, set_region
from layers.editions import contents_in_force, lock_plan, open_draft, put_layer
from layers.errors import BadInput, Conflict, NotFound
from layers.sandbox import Sandbox

_SQL: Final = statements("layers", "draft_edits.sql")
MOST_HISTORY: Final = 1_000


@dataclass(frozen=True, slots=True)
class DraftLayer:
    """The content that the edits of a layer go to."""

    edition_id: int
    plan_id: str
    layer_id: str
    content_id: int


@dataclass(frozen=True, slots=True)
class Editor:
    """Who edits, and why; both are kept with the change.

    ``key`` is the digest of the key that a caller showed: a connection that may not write itself
    edits by it, and the history keeps the key's name whatever ``who`` says.
    """

    who: str
    reason: str = ""
    key: bytes | None = None


@dataclass(frozen=True, slots=True)
class Edited:
    """What an edit led to; ``version`` is the one to name with the next edit."""

    feature_id: str
    version: int


@dataclass(frozen=True, slots=True)
class StoredFeature:
    """A feature of a draft as it is now; geometry EPSG:4490, x = longitude."""

    feature_id: str
    version: int
    attributes: dict[str, Any]
    geometry: shapely.Geometry


def list_drafts(connection: Connection) -> list[dict[str, Any]]:
    """All open drafts with their layers and how many changes each has."""
    return rows(connection, _SQL["drafts"])


def open_plan_draft(
    connection: Connection,
    catalog: Catalog,
    plan_id: str,
    *,
    region: Box,
    valid_from: datetime.date,
    layer_ids: Sequence[str] | None = None,
) -> int:
    """Open (or go on with) the plan's draft so that its layers can be edited; give its number.

    Layers begin as they are in force on ``valid_from``. What an import brought into the draft
    stays and can be edited, too. A layer without any content is left out: it is imported first,
    for an empty layer would say "no conflict" everywhere. ``BadInput`` where nothing is left.
    """
    plan = catalog.plan(plan_id)
    wanted = [layer for layer in plan.layers if layer_ids is None or layer.id in layer_ids]
    unknown = sorted(set(layer_ids or ()) - {layer.id for layer in wanted})
    if unknown:
        raise NotFound(
            f"Plan {plan_id} has no layer {', '.join(unknown)}.",
            f"规划 {plan_id} 没有图层 {'、'.join(unknown)}。",
        )
    with connection.transaction():
        lock_plan(connection, plan_id)
        set_region(connection, region)
        edition_id = open_draft(connection, plan_id, valid_from=valid_from)
        held = {
            one["layer_id"]: one
            for one in rows(connection, _SQL["contents_of_draft"], edition_id=edition_id)
        }
        in_force = contents_in_force(connection, [layer.id for layer in wanted], valid_from)
        editable = 0
        for layer in wanted:
            own = held.get(layer.id)
            origin = in_force.get(layer.id)
            if own is None and origin is None:
                continue
            editable += 1
            if own is None and origin is not None:
                _stand_on(connection, edition_id, layer, origin.content_id)
            elif own is not None and own["shared"]:
                _stand_on(connection, edition_id, layer, own["content_id"])
            make_draft_view(connection, layer)
        if not editable:
            raise BadInput(
                f"No layer of {plan_id} has data on {valid_from}; import a file first.",
                f"规划 {plan_id} 在 {valid_from} 没有任何图层数据；请先导入文件。",
                code="nothing-to-edit",
            )
    return edition_id


def _stand_on(connection: Connection, edition_id: int, layer: Layer, content_id: int) -> None:
    """Let the draft's layer be a delta of a content that cannot change itself."""
    delta = contents.create_delta(connection, content_id, source={"edited": True})
    found = row(connection, _SQL["coverage"], content_id=content_id)
    covered = bytes(found["wkb"]) if found and found["wkb"] else shapely.MultiPolygon()
    # Nothing differs yet: what the first content says about data holds, with its holes.
    contents.finish_content(connection, delta, coverage=covered)
    put_layer(connection, edition_id, layer.id, delta, basis=Basis("changed", content_id))
    contents.release_content(connection, delta)


def draft_layer(connection: Connection, layer_id: str) -> DraftLayer:
    """The open draft of a layer, or ``Conflict`` with what to do."""
    found = row(connection, _SQL["draft_of_layer"], layer_id=layer_id)
    if found is None:
        raise Conflict(
            f"Layer {layer_id} has no open draft; open one: gis-service drafts open PLAN.",
            f"图层 {layer_id} 没有打开的草稿；请执行 gis-service drafts open。",
            code="no-draft",
        )
    return DraftLayer(found["edition_id"], found["plan_id"], layer_id, found["content_id"])


def stored_feature(connection: Connection, draft: DraftLayer, feature_id: str) -> StoredFeature:
    """A feature of a draft, or ``NotFound``."""
    found = _feature(connection, draft, feature_id)
    if found is None:
        raise _no_feature(draft, feature_id)
    return StoredFeature(
        feature_id,
        _version(connection, draft, feature_id),
        found["attributes"],
        shapely.from_wkb(bytes(found["geometry"])),
    )


def create_feature(
    connection: Connection,
    sandbox: Sandbox,
    catalog: Catalog,
    draft: DraftLayer,
    attributes: Mapping[str, Any],
    geometry: shapely.Geometry,
    editor: Editor,
    *,
    feature_id: str | None = None,
    source_crs: str | None = None,
) -> Edited:
    """Add a feature; refused with its places when an import would refuse or doubt it.

    ``geometry`` has x = easting or longitude in ``source_crs`` (EPSG:4490 if none is given). The
    id is ``feature_id``, else the layer's id attribute, else the next free number.
    """
    layer = catalog.layer(draft.layer_id)
    with _editing(connection, draft, editor):
        name = feature_id or _stated_id(layer, attributes)
        name = name or _free_name(connection, draft)
        if _feature(connection, draft, name) is not None:
            raise Conflict(
                f"Layer {layer.id} has a feature '{name}' already.",
                f"图层 {layer.id} 已有要素“{name}”。",
                code="feature-exists",
            )
        ready = _checked(
            connection, sandbox, catalog, layer, name, attributes, geometry, source_crs
        )
        deltas.put_feature(connection, draft.content_id, name, *ready, key=editor.key)
        return _noted(connection, draft, name)


def replace_feature(
    connection: Connection,
    sandbox: Sandbox,
    catalog: Catalog,
    draft: DraftLayer,
    feature_id: str,
    attributes: Mapping[str, Any],
    geometry: shapely.Geometry,
    editor: Editor,
    *,
    expected_version: int | None = None,
    source_crs: str | None = None,
) -> Edited:
    """Put other attributes and another geometry in the place of a feature's."""
    layer = catalog.layer(draft.layer_id)
    with _editing(connection, draft, editor):
        _refuse_outdated(connection, draft, feature_id, expected_version)
        ready = _checked(
            connection, sandbox, catalog, layer, feature_id, attributes, geometry, source_crs
        )
        deltas.put_feature(connection, draft.content_id, feature_id, *ready, key=editor.key)
        return _noted(connection, draft, feature_id)


def update_feature(
    connection: Connection,
    sandbox: Sandbox,
    catalog: Catalog,
    draft: DraftLayer,
    feature_id: str,
    editor: Editor,
    *,
    attributes: Mapping[str, Any] | None = None,
    geometry: shapely.Geometry | None = None,
    expected_version: int | None = None,
    source_crs: str | None = None,
) -> Edited:
    """Change some attributes (None takes one away) or the geometry, and leave the rest."""
    layer = catalog.layer(draft.layer_id)
    with _editing(connection, draft, editor):
        _refuse_outdated(connection, draft, feature_id, expected_version)
        now = stored_feature(connection, draft, feature_id)
        ready = _checked(
            connection, sandbox, catalog, layer, feature_id,
            {**now.attributes, **(attributes or {})},
            now.geometry if geometry is None else geometry,
            None if geometry is None else source_crs,
        )  # fmt: skip
        deltas.put_feature(connection, draft.content_id, feature_id, *ready, key=editor.key)
        return _noted(connection, draft, feature_id)


def delete_feature(
    connection: Connection,
    draft: DraftLayer,
    feature_id: str,
    editor: Editor,
    *,
    expected_version: int | None = None,
) -> Edited:
    """Take a feature out of the draft; its history stays."""
    with _editing(connection, draft, editor):
        _refuse_outdated(connection, draft, feature_id, expected_version)
        deltas.remove_feature(connection, draft.content_id, feature_id, key=editor.key)
        return _noted(connection, draft, feature_id)


def revert(
    connection: Connection, draft: DraftLayer, feature_id: str, version: int, editor: Editor
) -> Edited:
    """Make a feature again what it was after a version (0 = what the draft began with).

    That is a new version: history is never rewritten. What it was had been checked then.
    """
    with _editing(connection, draft, editor):
        found = row(
            connection,
            _SQL["state_after"],
            content_id=draft.content_id,
            feature_id=feature_id,
            version=version,
        )
        if found is None:
            raise NotFound(
                f"Feature '{feature_id}' has no version {version} in this draft.",
                f"草稿中的要素“{feature_id}”没有版本 {version}。",
            )
        if found["geometry"] is None:
            deltas.remove_feature(connection, draft.content_id, feature_id, key=editor.key)
        else:
            deltas.put_feature(
                connection,
                draft.content_id,
                feature_id,
                found["attributes"],
                shapely.from_wkb(bytes(found["geometry"])),
                key=editor.key,
            )
        return _noted(connection, draft, feature_id)


def history(
    connection: Connection, content_id: int, feature_id: str | None = None
) -> list[dict[str, Any]]:
    """The last changes of a content, or all of one feature, newest first; publishing ends none."""
    return rows(
        connection,
        _SQL["history"],
        content_id=content_id,
        feature_id=feature_id,
        most=MOST_HISTORY,
    )


def discard(connection: Connection, plan_id: str) -> int:
    """Throw the plan's draft away, with its contents and their history; give its number."""
    with connection.transaction():
        lock_plan(connection, plan_id)
        found = next((one for one in list_drafts(connection) if one["plan"] == plan_id), None)
        if found is None:
            raise Conflict(
                f"Plan {plan_id} has no draft.", f"规划 {plan_id} 没有草稿版本。", code="no-draft"
            )
        edition_id = int(found["edition"])
        held = rows(connection, _SQL["contents_of_draft"], edition_id=edition_id)
        for one in held:
            connection.execute(
                _SQL["remove_layer"], {"edition_id": edition_id, "layer_id": one["layer_id"]}
            )
        connection.execute(_SQL["delete_draft"], {"edition_id": edition_id})
        for one in held:
            if not one["shared"]:
                contents.drop_content(connection, one["content_id"])
    return edition_id


@contextmanager
def _editing(connection: Connection, draft: DraftLayer, editor: Editor) -> Iterator[None]:
    """One edit: its own transaction, one editor of the content at a time, who and why noted."""
    try:
        with connection.transaction():
            connection.execute(_SQL["as_editor"], {"who": editor.who, "reason": editor.reason})
            row(connection, _SQL["begin_edit"], content_id=draft.content_id, key=editor.key)
            yield
    except pg.RestrictViolation as error:
        raise Conflict(
            f"Edition {draft.edition_id} is published and cannot change; open a new draft.",
            f"版本 {draft.edition_id} 已发布，不可更改；请打开新的草稿。",
            code="edition-published",
        ) from error
    except (pg.CheckViolation, pg.UniqueViolation) as error:
        reason = _first_line(error)
        raise BadInput(
            f"The edit was refused: {reason}", f"编辑被拒绝：{reason}", code="edit-refused"
        ) from error


def _first_line(error: psycopg.Error) -> str:
    return (str(error).splitlines() or [""])[0]


def _noted(connection: Connection, draft: DraftLayer, feature_id: str) -> Edited:
    """Let the database write the history now, so that the version can be told."""
    connection.execute(_SQL["note_now"])
    connection.execute(_SQL["note_later"])
    return Edited(feature_id, _version(connection, draft, feature_id))


def _version(connection: Connection, draft: DraftLayer, feature_id: str) -> int:
    found = row(connection, _SQL["version"], content_id=draft.content_id, feature_id=feature_id)
    return int(found["version"]) if found else 0


def _refuse_outdated(
    connection: Connection, draft: DraftLayer, feature_id: str, expected: int | None
) -> None:
    if _feature(connection, draft, feature_id) is None:
        raise _no_feature(draft, feature_id)
    version = _version(connection, draft, feature_id)
    if expected is not None and expected != version:
        raise Conflict(
            f"Feature '{feature_id}' is at version {version}, the edit stands on {expected}; "
            "look at it again.",
            f"要素“{feature_id}”当前为版本 {version}，而编辑基于版本 {expected}；请重新读取。",
            code="version-mismatch",
        )


def _feature(connection: Connection, draft: DraftLayer, feature_id: str) -> dict[str, Any] | None:
    return row(
        connection,
        _SQL["feature"],
        content_id=draft.content_id,
        parts=list(deltas.parts(connection, draft.content_id)),
        feature_id=feature_id,
    )


def _no_feature(draft: DraftLayer, feature_id: str) -> NotFound:
    return NotFound(
        f"The draft of {draft.layer_id} has no feature '{feature_id}'.",
        f"图层 {draft.layer_id} 的草稿没有要素“{feature_id}”。",
    )


def _free_name(connection: Connection, draft: DraftLayer) -> str:
    found = row(connection, _SQL["next_fid"], content_id=draft.content_id)
    return str(found["fid"]) if found else "1"


def _stated_id(layer: Layer, attributes: Mapping[str, Any]) -> str | None:
    value = attributes.get(layer.id_attribute) if layer.id_attribute else None
    return None if value is None else str(value)


def _checked(
    connection: Connection,
    sandbox: Sandbox,
    catalog: Catalog,
    layer: Layer,
    feature_id: str,
    attributes: Mapping[str, Any],
    geometry: shapely.Geometry,
    source_crs: str | None,
) -> tuple[dict[str, Any], shapely.Geometry]:
    """Attributes and geometry as they are stored, or ``BadInput`` with all places."""
    found = row(connection, _SQL["region"])
    region = (found["west"], found["south"], found["east"], found["north"]) if found else None
    named = dict(attributes)
    if layer.id_attribute:
        stated = _stated_id(layer, attributes)
        if stated is not None and stated != feature_id:
            raise BadInput(
                f"A feature id does not change: '{feature_id}' is there, '{stated}' was given.",
                f"要素编号不可更改：现为“{feature_id}”，给出“{stated}”。",
                code="id-changed",
            )
        named.setdefault(layer.id_attribute, feature_id)
    return checked_feature(sandbox, catalog, layer, named, geometry, region, source_crs)
