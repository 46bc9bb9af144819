"""What a collection of the OGC API stands for: a layer in force, or the open draft of one.

``planned_landuse`` is what is in force on a day; ``planned_landuse-draft`` is the draft that people
edit, there for callers who may edit it and like an unknown collection for all others.
"""

import datetime
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from starlette.requests import Request

from gis_service import auth
from gis_service.library import Library
from gis_service.routes.requests import base_url, library_of
from layers.catalog import Layer
from layers.database import Connection, row, statements
from layers.errors import NotFound

DRAFT_SUFFIX: Final = "-draft"
_SQL: Final = statements("layers", "draft_edits.sql")


@dataclass(frozen=True, slots=True)
class Shown:
    """A collection; ``content_id`` None = no features (no edition on that day)."""

    id: str
    layer: Layer
    library: Library
    is_draft: bool = False
    content_id: int | None = None
    basis_id: int | None = None
    """Of a draft: the content that was in force when it was opened."""
    edition_id: int | None = None
    feature_count: int | None = None
    """Of what cannot change; None = not known without counting."""

    def on(self, day: datetime.date | None) -> "Shown":
        """With its content on a day (today if None)."""
        if self.is_draft:
            return self
        try:
            content = self.library.content(self.layer.id, day)
        except NotFound:
            if day is None:
                raise
            return self
        return replace(self, content_id=content.content_id, feature_count=content.feature_count)

    def address(self, request: Request) -> str:
        """The address of the collection."""
        return f"{base_url(request)}/ogc/collections/{self.id}"

    def etag(self, connection: Connection, feature_id: str) -> str:
        """Names the state of a feature: its content, and in a draft the version of the edits.

        A feature that the draft has not changed has the tag of what it began with, so who read
        it in force may edit it with that tag.
        """
        if not self.is_draft:
            return f'"{self.content_id}"'
        return draft_tag(self, version_of(connection, self.content_id, feature_id))


def draft_tag(shown: Shown, version: int) -> str:
    """The tag of a feature of a draft at a version."""
    if version == 0 and shown.basis_id is not None:
        return f'"{shown.basis_id}"'
    return f'"{shown.content_id}.{version}"'


def version_of(connection: Connection, content_id: int | None, feature_id: str) -> int:
    """How often a feature was edited in a draft."""
    found = row(connection, _SQL["version"], content_id=content_id, feature_id=feature_id)
    return int(found["version"]) if found else 0


def shown_collection(request: Request, name: str) -> Shown:
    """The collection of that name for this caller, or ``NotFound`` as for an unknown one."""
    library = library_of(request)
    if not name.endswith(DRAFT_SUFFIX):
        return Shown(name, library.visible_layer(name), library)
    layer = library.visible_layer(name.removesuffix(DRAFT_SUFFIX))
    found = open_draft_of(library, layer) if auth.caller(request).may("editor") else None
    if found is None:
        raise NotFound(f"There is no layer '{name}'.", f"没有图层“{name}”。")
    return found


def open_draft_of(library: Library, layer: Layer) -> Shown | None:
    """The draft of a layer as a collection, or None while there is none."""
    with library.pool.connection() as connection:
        found = row(connection, _SQL["draft_collection"], layer_id=layer.id)
    if found is None:
        return None
    return Shown(
        layer.id + DRAFT_SUFFIX, layer, library, True, found["content_id"], found["basis_id"],
        found["edition_id"],
    )  # fmt: skip


def open_drafts(request: Request) -> list[Shown]:
    """The open drafts of all layers, for callers who may edit them."""
    if not auth.caller(request).may("editor"):
        return []
    library = library_of(request)
    found = (open_draft_of(library, layer) for layer in library.visible_layers())
    return [one for one in found if one is not None]


def draft_document(document: Mapping[str, Any], shown: Shown) -> dict[str, Any]:
    """The description of a draft, made of its layer's: another id, no time in force."""
    layer = shown.layer.id
    links = [
        {**link, "href": re.sub(rf"(/collections/{layer})(?=[/?]|$)", rf"\1{DRAFT_SUFFIX}",
                                link["href"])}
        for link in document["links"]
        if f"/collections/{layer}" in link["href"] or "/collections/" not in link["href"]
    ]  # fmt: skip
    extent = {"spatial": document["extent"]["spatial"]}
    title = f"{document['title']} · 草稿 draft"
    return {**document, "id": shown.id, "title": title, "links": links, "extent": extent}
