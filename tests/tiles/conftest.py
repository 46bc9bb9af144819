"""Pictures of a small library of its own: committed, since the drawing children connect to it."""

import datetime
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import shapely

from gis_service.local_postgis import LocalPostgis
from layers.catalog import Catalog
from layers.contents import create_content, finish_content, load_arrays
from layers.database import Connection, connect, create_database
from layers.editions import open_draft, publish, put_layer
from layers.sandbox import Sandbox
from tiles.base_map import Products, load_base_maps
from tiles.imagery import Rasters
from tiles.map_drawing import Address
from tiles.raster_tile import MapPainter

CONFIG = Path(__file__).resolve().parents[2] / "config"
REGION = shapely.box(107.9, 17.6, 111.9, 20.7)


class Drawn:
    """A library with what a test put into it, and a painter on it."""

    def __init__(self, dsn: str, catalog: Catalog, children: Sandbox, config: Path) -> None:
        self.dsn = dsn
        self.catalog = catalog
        self.children = children
        self.config = config
        self.contents: dict[str, int] = {}

    def put(self, layer_id: str, features: list[tuple[Any, dict[str, Any]]]) -> int:
        """Publish features of a layer; gives the content."""
        names = sorted({name for _, attributes in features for name in attributes})
        columns = {name: [attributes.get(name) for _, attributes in features] for name in names}
        with connect(self.dsn) as connection:
            content = _published(
                connection, self.catalog, layer_id, [shape for shape, _ in features], columns
            )
        self.contents[layer_id] = content
        return content

    def painter(self, deadline_s: float = 60.0, access: Any = "restricted") -> MapPainter:
        products = Products(self.catalog, load_base_maps(self.config, self.catalog))
        return MapPainter(
            products, Address(self.dsn, access, 20_000), self.children,
            Rasters({}, self.config), deadline_s=deadline_s,
        )  # fmt: skip


def _published(
    connection: Connection,
    catalog: Catalog,
    layer_id: str,
    shapes: list[Any],
    columns: Mapping[str, list[Any]],
) -> int:
    plan, _ = catalog.layer_with_plan(layer_id)
    content = create_content(connection, layer_id)
    load_arrays(connection, content, shapes, columns, 1)
    finish_content(connection, content, coverage=REGION)
    with connection.transaction():
        edition = open_draft(connection, plan.id, valid_from=datetime.date(2021, 1, 1))
        put_layer(connection, edition, layer_id, content)
    publish(connection, plan.id, edition)
    return content


@pytest.fixture(scope="module")
def drawing_children() -> Iterator[Sandbox]:
    with Sandbox(workers=1, keeps_network=True) as running:
        yield running


@pytest.fixture(scope="module")
def drawn_on(
    cluster: LocalPostgis, template: str, catalog: Catalog, drawing_children: Sandbox
) -> Iterator[Callable[[str], Drawn]]:
    """Makes libraries by name."""
    made: list[str] = []

    def make(name: str) -> Drawn:
        database = f"test_drawn_{name}"
        create_database(cluster.dsn(), database, template=template)
        made.append(database)
        return Drawn(cluster.dsn(database), catalog, drawing_children, CONFIG)

    yield make
    drawing_children.close()
    with connect(cluster.dsn()) as server:
        for database in made:
            server.execute(f'DROP DATABASE "{database}" WITH (FORCE)')  # type: ignore[call-overload]
