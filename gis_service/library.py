"""What a running service holds: settings, catalogue, rules, pool, sandbox, tile store."""

import datetime
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from psycopg_pool import ConnectionPool

from gis_service.rule_shelf import RuleShelf
from gis_service.settings import ServiceConfig, Settings
from gis_service.signing import ReportKeys
from layers.catalog import Catalog, Layer
from layers.database import rows, statements
from layers.errors import NotFound
from layers.features import library_version
from layers.sandbox import Sandbox
from layers.text import Text
from planning_rules.rule_set import RuleSet
from tiles.raster_tile import MapPainter
from tiles.tile_store import TileStore

_SQL: Final = statements("layers", "editions.sql")
_FRESH_S: Final = 1.0
"""How old the picture of what is in force may be for maps and lists; checks never use it."""

_CHINA: Final = datetime.timezone(datetime.timedelta(hours=8))


def today() -> datetime.date:
    """The legal day: in China, wherever the server stands."""
    return datetime.datetime.now(_CHINA).date()


@dataclass(frozen=True, slots=True)
class LayerInForce:
    """The content of a layer that maps and lists show today."""

    layer_id: str
    plan_id: str
    edition_id: int
    edition_title: Text
    edition_state: str
    valid_from: datetime.date
    synthetic: bool
    content_id: int
    feature_count: int
    extent: tuple[float, float, float, float] | None
    content_sha256: str


@dataclass(frozen=True, slots=True)
class InForce:
    """A picture of the library at one moment; ``version`` changes with every publish."""

    version: int
    as_of: datetime.date
    layers: Mapping[str, LayerInForce]


@dataclass(slots=True)
class Library:
    """Everything a request needs; made once by ``create_app``."""

    settings: Settings
    config: ServiceConfig
    catalog: Catalog
    """Layers up to the process's access class only."""
    rule_set: RuleSet
    pool: ConnectionPool
    sandbox: Sandbox
    keys: ReportKeys
    keepers: Mapping[str, Text] = field(default_factory=dict)
    """Layers that are not open, whoever may read them, with the authority that keeps each."""
    tiles: TileStore = field(default_factory=TileStore)
    painter: MapPainter | None = None
    """What draws maps as pictures; None in processes that show none."""
    shelf: RuleShelf | None = None
    """Follows the folder of rules; None = ``rule_set`` for good."""
    _picture: tuple[float, InForce] | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def rules_in_use(self) -> RuleSet:
        """The rule set of this moment; whoever works with it longer asks once and keeps it."""
        return self.rule_set if self.shelf is None else self.shelf.current()

    def in_force(self) -> InForce:
        """What is in force today, at most a second old."""
        if (held := self.held_picture()) is not None:
            return held
        with self._lock:
            if (held := self.held_picture()) is not None:
                return held
            picture = self.in_force_on(today())
            self._picture = (time.monotonic(), picture)
            return picture

    def held_picture(self) -> InForce | None:
        """What is in force today if that is known and at most a second old."""
        held = self._picture
        is_fresh = held is not None and time.monotonic() - held[0] < _FRESH_S
        return held[1] if held is not None and is_fresh else None

    def in_force_on(self, as_of: datetime.date) -> InForce:
        """What is in force on a day, asked now."""
        with self.pool.connection() as connection:
            version = library_version(connection)
            found = rows(connection, _SQL["summary_in_force"], as_of=as_of)
        return InForce(version, as_of, {row["layer_id"]: layer_in_force(row) for row in found})

    def visible_layer(self, layer_id: str) -> Layer:
        """A layer of the process's class; one above is not in its catalogue and thus unknown."""
        return self.catalog.layer(layer_id)

    def visible_layers(self) -> tuple[Layer, ...]:
        """All layers that this process shows, in catalogue order."""
        return tuple(layer for _, layer in self.catalog.layers())

    def content(self, layer_id: str, as_of: datetime.date | None = None) -> LayerInForce:
        """What is shown of a layer today or on a day; ``NotFound`` while it has no edition."""
        picture = self.in_force() if as_of is None else self.in_force_on(as_of)
        content = picture.layers.get(layer_id)
        if content is None:
            raise NotFound(
                f"Layer {layer_id} has no edition in force on {picture.as_of}.",
                f"图层 {layer_id} 在 {picture.as_of} 没有生效的版本。",
                code="no-edition",
            )
        return content


def layer_in_force(row: Mapping[str, Any]) -> LayerInForce:
    """A row of the statements ``summary_in_force`` and ``summary_of_edition`` as a value."""
    extent = row["extent"]
    return LayerInForce(
        layer_id=row["layer_id"],
        plan_id=row["plan_id"],
        edition_id=row["edition_id"],
        edition_title=Text.model_validate(row["title"]),
        edition_state=row["state"],
        valid_from=row["valid_from"],
        synthetic=row["synthetic"],
        content_id=row["content_id"],
        feature_count=row["feature_count"] or 0,
        extent=tuple(extent) if extent and extent[0] is not None else None,
        content_sha256=row["content_sha256"] or "",
    )
