"""What the tasks of one worker process share."""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gis_service.harvesting.sources import RegisteredSource, load_sources
from gis_service.settings import Settings, load_service_config
from layers.catalog import Catalog, load_catalog
from layers.database import Access, connect
from layers.sandbox import Sandbox

if TYPE_CHECKING:
    from gis_service.harvesting.harvest import HarvestHouse
    from gis_service.library import Library


@dataclass(slots=True)
class Workshop:
    """The owner's database, the configuration, and a sandbox that is made when it is needed.

    ``sources`` are read anew each time: an edited file holds from the next tick on.
    """

    settings: Settings
    dsn: str
    catalog: Catalog
    _stack: ExitStack
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _sandbox: Sandbox | None = None
    _libraries: dict[Access, "Library"] = field(default_factory=dict)

    def sources(self) -> tuple[RegisteredSource, ...]:
        """The registered sources as they stand in the file now."""
        return load_sources(self.settings.config_dir, self.catalog)

    def sandbox(self) -> Sandbox:
        """The children that read foreign files."""
        config = load_service_config(self.settings.config_dir)
        with self._lock:
            if self._sandbox is None:
                self._sandbox = self._stack.enter_context(
                    Sandbox(memory_bytes=config.limits.reader_memory_bytes, max_tasks=8)
                )
            return self._sandbox

    def library(self, access: Access) -> "Library":
        """The library as a serving process of that class sees it; opened at its first use."""
        from gis_service import start

        with self._lock:
            held = self._libraries.get(access)
            if held is None:
                one_child = self.settings.model_copy(update={"check_processes": 1})
                held = self._stack.enter_context(start.library(one_child, self.dsn, access=access))
                self._libraries[access] = held
            return held

    def harvest_house(self) -> "HarvestHouse":
        """What a harvest needs."""
        from gis_service.harvesting.harvest import HarvestHouse
        from gis_service.library import today

        return HarvestHouse(
            dsn=self.dsn,
            catalog=self.catalog,
            config=load_service_config(self.settings.config_dir),
            field_maps_dir=self.settings.config_dir / "field_maps",
            sandbox=self.sandbox(),
            today=today,
            publishing=frozenset(s.id for s in self.sources() if s.publish == "when-clean"),
        )


@contextmanager
def open_workshop(
    settings: Settings, dsn: str, say: Callable[[str], None] = lambda _text: None
) -> Iterator[Workshop]:
    """A workshop on a migrated database; its children end with the block."""
    catalog = load_catalog(settings.config_dir)
    with connect(dsn) as probe:
        probe.execute("SELECT 1")
    say("worker ready")
    with ExitStack() as stack:
        yield Workshop(settings, dsn, catalog, stack)
