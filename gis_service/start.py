"""Starting and stopping what a command or the service needs, in one place each way.

``serve`` needs the database here and the rest in its worker processes only; what those import
is imported where it is used.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from gis_service.jobs.schema import install_queue
from gis_service.local_postgis import running_cluster
from gis_service.settings import Settings, load_service_config
from layers.catalog import load_catalog
from layers.catalog_sync import sync_catalog
from layers.database import Access, connect, migrate, open_pool

if TYPE_CHECKING:
    from gis_service.library import Library

COAST_FILE: Final = Path("node_modules") / "world-atlas" / "land-10m.json"
"""Natural Earth's land at 1:10 million (public domain), in the web client's packages."""


@contextmanager
def database(settings: Settings, say: Callable[[str], None]) -> Iterator[str]:
    """The address of a migrated database: ``DATABASE_URL`` or the embedded cluster's.

    The catalogue is in the database when the block begins; the embedded cluster runs for the
    length of the block, or longer if another process uses it.
    """
    with ExitStack() as stack:
        if settings.database_url:
            dsn = settings.database_url
        else:
            dsn = stack.enter_context(running_cluster(settings.data_dir, say=say)).dsn()
        with connect(dsn) as connection:
            for name in migrate(connection):
                say(f"migration {name}")
            install_queue(connection)
            sync_catalog(connection, load_catalog(settings.config_dir))
        yield dsn


@contextmanager
def library(settings: Settings, dsn: str, *, access: Access | None = None) -> Iterator["Library"]:
    """A library on a migrated database; pool and child processes end with the block.

    It knows layers up to ``access`` (the settings' if not given) and no others: what is above is
    not in its catalogue, and not in the views that its connections read.
    """
    from gis_service.library import Library
    from gis_service.rule_shelf import RuleShelf
    from gis_service.signing import load_keys
    from layers.sandbox import Sandbox
    from tiles.base_map import Products, load_base_maps
    from tiles.imagery import load_rasters
    from tiles.map_drawing import Address
    from tiles.map_style import check_styles
    from tiles.raster_tile import MapPainter

    config = load_service_config(settings.config_dir)
    reads = access or settings.reads
    known = load_catalog(settings.config_dir)
    keepers = {one.id: plan.authority for plan, one in known.layers() if one.access != "open"}
    shelf = RuleShelf(settings.config_dir / "rules", known)
    pool = open_pool(
        dsn,
        size=settings.pool_size,
        statement_timeout_ms=int(config.limits.statement_deadline_s * 1000),
        access=reads,
    )
    check_styles(known)
    products = Products(known.up_to(reads), load_base_maps(settings.config_dir, known))
    rasters = load_rasters(settings.config_dir, settings.data_dir)
    timeout_ms = int(config.limits.statement_deadline_s * 1000)
    with (
        pool,
        Sandbox(workers=settings.check_processes) as sandbox,
        Sandbox(workers=settings.map_processes, keeps_network=True) as drawing,
    ):
        keys = load_keys(settings.data_dir / "signing-keys", settings.signing_key_file)
        painter = MapPainter(products, Address(dsn, reads, timeout_ms), drawing, rasters)
        yield Library(
            settings, config, known.up_to(reads), shelf.current(), pool, sandbox, keys, keepers,
            painter=painter, shelf=shelf,
        )  # fmt: skip


def is_empty(dsn: str) -> bool:
    """Whether the library holds no edition at all."""
    with connect(dsn) as connection:
        found = connection.execute("SELECT NOT EXISTS (SELECT FROM library.edition)").fetchone()
    return bool(found and found[0])


def coast_file(settings: Settings) -> Path | None:
    """The coast for the demo, or None (then the demo's own synthetic coast is used)."""
    path = settings.web_dir / COAST_FILE
    return path if path.is_file() else None


def hand_down(settings: Settings, dsn: str) -> None:
    """Tell the server's worker processes where the database is; they read the environment.

    ``dsn`` is the address for their class (``gis_service.service_login``), not the owner's.
    """
    os.environ["DATABASE_URL"] = dsn
    os.environ["ACCESS"] = settings.access
    os.environ.pop("PUBLIC_DATABASE_URL", None)
    os.environ["PORT"] = str(settings.port)
    os.environ["HOST"] = settings.host
