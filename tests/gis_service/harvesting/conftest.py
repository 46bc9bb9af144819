"""Sources of one's own: a scripted web server, a second PostGIS database, forest parcels."""

import datetime
import json
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest

from gis_service.harvesting.fetched import FetchRoom
from gis_service.harvesting.sources import RegisteredSource
from gis_service.jobs.schema import install_queue
from gis_service.settings import ServiceConfig
from layers.catalog import Catalog
from layers.database import connect, create_database
from layers.sandbox import Sandbox

if TYPE_CHECKING:
    from gis_service.harvesting.harvest import HarvestHouse

PROJECT = Path(__file__).resolve().parents[3]
DAY = datetime.date(2026, 1, 1)
SECRETS = {"HARVEST_TOKEN": "s3cret-canary-token"}


def forest(numbers: Sequence[int], *, grade: str = "I", shift: float = 0.0) -> list[dict[str, Any]]:
    """Forest parcels as GeoJSON features, side by side on a grid in the region."""
    features = []
    for number in numbers:
        west, south = 109.5 + (number % 50) * 0.002 + shift, 19.0 + (number // 50) * 0.002
        ring = [[west, south], [west + 0.001, south], [west + 0.001, south + 0.001],
                [west, south + 0.001], [west, south]]  # fmt: skip
        features.append(
            {
                "type": "Feature",
                "id": f"F{number}",
                "properties": {"forest_id": f"F{number}", "protection_grade": grade},
                "geometry": {"type": "Polygon", "coordinates": [ring]},
            }
        )
    return features


def write_forest(path: Path, numbers: Sequence[int], **options: Any) -> Path:
    collection = {"type": "FeatureCollection", "features": forest(numbers, **options)}
    path.write_text(json.dumps(collection), "utf-8")
    return path


def make_source(kind: str, location: str, **more: Any) -> RegisteredSource:
    entry: dict[str, Any] = {
        "id": "forestry",
        "title": {"zh": "林业", "en": "Forestry"},
        "plan": "forest-plan",
        "layer": "forest_land",
        "kind": kind,
        "location": location,
        "schedule": "30 2 * * *",
        "settle_s": 0,
        "glob": "*.geojson",
        **more,
    }
    return RegisteredSource.model_validate(entry)


@pytest.fixture
def room(tmp_path: Path) -> FetchRoom:
    folder = tmp_path / "room"
    folder.mkdir()
    return FetchRoom(folder, 50_000_000, secret=SECRETS.__getitem__, sleep=lambda _s: None)


@pytest.fixture
def library_dsn(database: str) -> str:
    with connect(database) as connection:
        install_queue(connection)
    return database


@pytest.fixture
def house(
    library_dsn: str, catalog: Catalog, service_config: ServiceConfig, sandbox: Sandbox
) -> "HarvestHouse":
    from gis_service.harvesting.harvest import HarvestHouse

    return HarvestHouse(
        dsn=library_dsn,
        catalog=catalog,
        config=service_config,
        field_maps_dir=PROJECT / "config" / "field_maps",
        sandbox=sandbox,
        today=lambda: DAY,
        secret=SECRETS.__getitem__,
    )


@pytest.fixture
def foreign_dsn(cluster: Any) -> Iterator[str]:
    """Another department's database, with a table of forest parcels in 4490."""
    name = "foreign_department"
    create_database(cluster.dsn(), name)
    with psycopg.connect(cluster.dsn(name), autocommit=True) as connection:
        connection.execute("CREATE EXTENSION postgis")
        connection.execute(
            "CREATE TABLE public.parcels (forest_id text PRIMARY KEY, protection_grade text,"
            " height numeric, seen date, geom geometry(MultiPolygon, 4490))"
        )
    yield cluster.dsn(name)
    with psycopg.connect(cluster.dsn(), autocommit=True) as server:
        server.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


Respond = Callable[[BaseHTTPRequestHandler], None]


@dataclass
class Web:
    """A server on the loopback address that answers as it is told and remembers the requests."""

    address: str
    respond: Respond | None = None
    seen: list[tuple[str, dict[str, str]]] = field(default_factory=list)


def send(handler: BaseHTTPRequestHandler, body: bytes, status: int = 200, **headers: str) -> None:
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


@pytest.fixture
def web() -> Iterator[Web]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 20

        def do_GET(self) -> None:
            found.seen.append((self.path, dict(self.headers.items())))
            try:
                if found.respond is not None:
                    found.respond(self)
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    found = Web(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield found
    server.shutdown()
    server.server_close()
    thread.join()


@dataclass
class Collection:
    """A paged collection below ``/ogc/collections/forest``; the fields make it misbehave."""

    web: Web
    features: list[dict[str, Any]]
    matched: int | str | None = "true"
    next_of: Callable[[int, str], str | None] | None = None
    etags: bool = False
    crs: tuple[str, ...] = ()
    page_hook: Callable[[int], None] | None = None

    @property
    def location(self) -> str:
        return f"{self.web.address}/ogc/collections/forest"

    def respond(self, handler: BaseHTTPRequestHandler) -> None:
        parts = urlsplit(handler.path)
        if not parts.path.endswith("/items"):
            document = {"id": "forest", "links": [], "crs": list(self.crs)}
            return send(handler, json.dumps(document).encode(), Content_Type="application/json")
        query = parse_qs(parts.query)
        limit, offset = int(query["limit"][0]), int(query.get("offset", ["0"])[0])
        if self.page_hook is not None:
            self.page_hook(offset)
        return self._page(handler, query, limit, offset)

    def _page(
        self, handler: BaseHTTPRequestHandler, query: dict[str, list[str]], limit: int, offset: int
    ) -> None:
        chosen = self.features[offset : offset + limit]
        page: dict[str, Any] = {"type": "FeatureCollection", "features": chosen, "links": []}
        if self.matched is not None:
            page["numberMatched"] = len(self.features) if self.matched == "true" else self.matched
        following: str | None = None
        if offset + limit < len(self.features):
            crs = f"&crs={query['crs'][0]}" if "crs" in query else ""
            following = f"{self.location}/items?limit={limit}&offset={offset + limit}{crs}"
        if self.next_of is not None:
            following = self.next_of(offset, self.location)
        if following:
            page["links"] = [{"rel": "next", "href": following}]
        body = json.dumps(page).encode()
        headers = {"Content_Type": "application/geo+json"}
        if self.etags:
            headers["ETag"] = f'"{hash(body)}"'
            if handler.headers.get("If-None-Match") == headers["ETag"]:
                return send(handler, b"", 304, **headers)
        return send(handler, body, **headers)


@pytest.fixture
def collection(web: Web) -> Collection:
    made = Collection(web, forest(range(25)))
    web.respond = made.respond
    return made
