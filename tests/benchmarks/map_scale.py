"""Map tiles beside MapServer and QGIS Server: one table, one look, a client that pans.

    make bench ARGS='map'                 on the library of .data/bench (the demo if it is empty)
    make bench ARGS='map --write'         and put it into RESULTS.md

The client looks at 4 x 3 tiles of 256 pixels and moves east, a column a step, at z11 to z15;
each tile is asked for once, one request at a time. Ours go over HTTP, from a service that has drawn
nothing yet. The peers run as FastCGI programs, asked directly on their sockets without any HTTP
before them, on a table prepared in web mercator with the colour as a column. What apt does not have
is named in the table.
"""

import argparse
import datetime
import math
import os
import re
import shutil
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlencode

import psycopg
from psycopg.conninfo import conninfo_to_dict

from gis_service import start
from gis_service.demo_load import load_demo
from gis_service.settings import Settings, load_service_config
from layers.catalog import load_catalog
from layers.database import connect
from tiles.expression_sql import sql_of
from tiles.map_style import map_style

Tile = tuple[int, int, int]
Fetch = Callable[[Tile], bytes]
LAYERS = ("planned_landuse", "current_landuse")
ZOOMS = range(11, 16)
STEPS = 6
WORLD_M = 20037508.342789244
MAPSERV = Path("/usr/lib/cgi-bin/mapserv")
QGIS = Path("/usr/lib/cgi-bin/qgis_mapserv.fcgi")
OUTLINE_DENOMINATOR = 559082264.028 / 2**12.5
"""The outline of parcels begins at level 13."""


def walk(lon: float, lat: float) -> list[Tile]:
    """The tiles in the order in which the client needs them, around a place."""
    asked: dict[Tile, None] = {}
    for z in ZOOMS:
        x = int((lon + 180) / 360 * 2**z)
        y = int((1 - math.asinh(math.tan(math.radians(lat))) / math.pi) / 2 * 2**z)
        for step in range(STEPS + 1):
            for column in range(4):
                for row in range(3):
                    asked[(z, x - 2 - STEPS // 2 + step + column, y - 1 + row)] = None
    return list(asked)


def box_of(tile: Tile) -> tuple[float, float, float, float]:
    z, x, y = tile
    side = 2 * WORLD_M / 2**z
    return (
        -WORLD_M + x * side,
        WORLD_M - (y + 1) * side,
        -WORLD_M + (x + 1) * side,
        WORLD_M - y * side,
    )


def side_by_side(
    makers: dict[str, Callable[[], object]], tiles: list[Tile], folder: Path
) -> dict[str, tuple[list[float], int]]:
    """Milliseconds of each tile and bytes in all, by server; each tile is asked of all in turn.

    So what else the machine does falls on all alike.
    """
    for left in folder.glob("*.socket"):
        left.unlink()
    found: dict[str, tuple[list[float], int]] = {}
    with ExitStack() as stack:
        fetches = {name: stack.enter_context(make()) for name, make in makers.items()}  # type: ignore[arg-type]
        for name, fetch in fetches.items():
            fetch((9, 410, 226))  # what a program reads at its first request is read
            found[name] = ([], 0)
        for tile in tiles:
            for name, fetch in fetches.items():
                began = time.perf_counter()
                body = fetch(tile)
                times, size = found[name]
                times.append((time.perf_counter() - began) * 1000)
                found[name] = (times, size + len(body))
    return found


# --- Peers ----------------------------------------------------------------------------------


@contextmanager
def fastcgi(command: list[str], environment: dict[str, str], folder: Path) -> Iterator[Fetch]:
    """A FastCGI program on a socket of its own, and what asks it with a query string."""
    path = folder / f"{Path(command[0]).name}.socket"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen(8)
        process = subprocess.Popen(
            command, stdin=listening.fileno(), env={**os.environ, **environment},
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
    try:
        yield lambda query: ask(path, query)  # type: ignore[arg-type,return-value]
    finally:
        process.kill()
        process.wait()


def ask(path: Path, query: str) -> bytes:
    """One FastCGI request (responder); gives the body, or fails with what the program said."""
    names = {"REQUEST_METHOD": "GET", "QUERY_STRING": query, "SERVER_NAME": "localhost",
             "SERVER_PORT": "80", "SCRIPT_NAME": "/", "SERVER_PROTOCOL": "HTTP/1.1"}  # fmt: skip
    pairs = b"".join(
        struct.pack("!II", len(key) | 1 << 31, len(value) | 1 << 31) + key.encode() + value.encode()
        for key, value in names.items()
    )
    with socket.socket(socket.AF_UNIX) as opened:
        opened.connect(str(path))
        opened.sendall(
            _record(1, struct.pack("!HB5x", 1, 0)) + _record(4, pairs) + _record(4, b"")
            + _record(5, b"")
        )  # fmt: skip
        said = b""
        with opened.makefile("rb") as stream:
            while head := stream.read(8):
                _, kind, _, length, padding = struct.unpack("!BBHHBx", head)
                content = stream.read(length + padding)[:length]
                if kind == 6:
                    said += content
                elif kind == 3:
                    break
    head_text, body = re.split(rb"\r?\n\r?\n", said, maxsplit=1)
    if b"image/" not in head_text:
        raise RuntimeError(said[-600:].decode("utf-8", "replace"))
    return body


def _record(kind: int, content: bytes) -> bytes:
    return struct.pack("!BBHHBx", 1, kind, 1, len(content), 0) + content


def prepare(dsn: str, layer_id: str, content_id: int) -> int:
    """The peers' table: web mercator, the colour as a column, a spatial index, in its order."""
    catalog = load_catalog(Settings().config_dir)
    (fill, *_) = [
        part for part in map_style(catalog, "", [layer_id], all_visible=True)["layers"]
        if part["type"] == "fill"
    ]  # fmt: skip
    colour = sql_of(fill["paint"]["fill-color"], psycopg.sql.SQL("f.attributes"))
    with connect(dsn) as connection:
        connection.execute("DROP SCHEMA IF EXISTS bench CASCADE")
        connection.execute("CREATE SCHEMA bench")
        connection.execute(
            psycopg.sql.SQL(
                "CREATE TABLE bench.landuse AS SELECT f.fid, {colour} #>> '{{}}' AS fill,"
                " ST_Transform(ST_SetSRID(f.geom, 4326), 3857)::geometry(Geometry, 3857) AS geom"
                " FROM reading.feature AS f WHERE f.content_id = %s ORDER BY ST_GeoHash("
                "ST_SetSRID(ST_Centroid(f.geom), 4326))"
            ).format(colour=colour),
            (content_id,),
        )
        connection.execute("ALTER TABLE bench.landuse ADD PRIMARY KEY (fid)")
        connection.execute("CREATE INDEX ON bench.landuse USING gist (geom)")
        connection.execute("ANALYZE bench.landuse")
        found = connection.execute("SELECT count(*) FROM bench.landuse").fetchone()
    return int(found[0]) if found else 0


def mapfile(dsn: str) -> str:
    address = " ".join(f"{key}={value}" for key, value in conninfo_to_dict(dsn).items())
    return f"""MAP
  NAME bench
  SIZE 256 256
  EXTENT {-WORLD_M} {-WORLD_M} {WORLD_M} {WORLD_M}
  MAXSIZE 4096
  IMAGETYPE png8
  PROJECTION "init=epsg:3857" END
  OUTPUTFORMAT NAME png8 DRIVER AGG/PNG8 MIMETYPE "image/png" IMAGEMODE RGB TRANSPARENT ON
    FORMATOPTION "QUANTIZE_FORCE=ON" END
  WEB METADATA "ows_enable_request" "*" "ows_srs" "EPSG:3857" "ows_title" "bench"
    "ows_onlineresource" "http://localhost/" END END
  LAYER
    NAME landuse TYPE POLYGON STATUS ON
    CONNECTIONTYPE POSTGIS CONNECTION "{address}"
    PROCESSING "CLOSE_CONNECTION=DEFER"
    DATA "geom from bench.landuse using unique fid using srid=3857"
    PROJECTION "init=epsg:3857" END
    COMPOSITE OPACITY 60 END
    CLASS
      MAXSCALEDENOM {OUTLINE_DENOMINATOR:.0f}
      STYLE COLOR [fill] END
      STYLE OUTLINECOLOR "#6B6B6B" WIDTH 0.4 END
    END
    CLASS STYLE COLOR [fill] END END
  END
END
"""


QGIS_PROJECT = """
import os, sys
os.environ["QT_QPA_PLATFORM"] = "offscreen"
from qgis.core import *
from qgis.PyQt.QtGui import QColor
path, host, port, name, user = sys.argv[1:6]
application = QgsApplication([], False); application.initQgis()
uri = QgsDataSourceUri()
uri.setConnection(host, port, name, user, "", QgsDataSourceUri.SslDisable)
uri.setDataSource("bench", "landuse", "geom", "", "fid"); uri.setSrid("3857")
layer = QgsVectorLayer(uri.uri(False), "landuse", "postgres")
assert layer.isValid()
categories = []
for value in layer.uniqueValues(layer.fields().indexOf("fill")):
    fill = QgsSimpleFillSymbolLayer(QColor(value)); fill.setStrokeStyle(0)
    line = QgsSimpleLineSymbolLayer(QColor("#6B6B6B"), 0.1)
    line.setDataDefinedProperty(QgsSymbolLayer.PropertyLayerEnabled,
        QgsProperty.fromExpression("@map_scale < %s"))
    symbol = QgsFillSymbol(); symbol.changeSymbolLayer(0, fill)
    symbol.appendSymbolLayer(line); symbol.setOpacity(0.6)
    categories.append(QgsRendererCategory(value, symbol, value))
layer.setRenderer(QgsCategorizedSymbolRenderer("fill", categories))
project = QgsProject.instance()
project.setCrs(QgsCoordinateReferenceSystem("EPSG:3857")); project.addMapLayer(layer)
project.writeEntry("WMSCrsList", "/", ["EPSG:3857"])
assert project.write(path)
os._exit(0)
"""


def wms(layer: str, tile: Tile, **more: str) -> str:
    return urlencode({
        "SERVICE": "WMS", "VERSION": "1.1.1", "REQUEST": "GetMap", "LAYERS": layer, "STYLES": "",
        "SRS": "EPSG:3857", "WIDTH": 256, "HEIGHT": 256, "FORMAT": "image/png",
        "TRANSPARENT": "TRUE", "BBOX": ",".join(f"{side:.6f}" for side in box_of(tile)), **more,
    })  # fmt: skip


@contextmanager
def mapserver(dsn: str, folder: Path) -> Iterator[Fetch]:
    (folder / "bench.map").write_text(mapfile(dsn), "utf-8")
    (folder / "mapserver.conf").write_text(
        'CONFIG\n  ENV\n    MS_MAP_PATTERN "."\n  END\nEND\n', "utf-8"
    )
    environment = {"MAPSERVER_CONFIG_FILE": str(folder / "mapserver.conf")}
    with fastcgi([str(MAPSERV)], environment, folder) as send:
        yield lambda tile: send(wms("landuse", tile, map=str(folder / "bench.map")))  # type: ignore[arg-type]


@contextmanager
def qgis_server(dsn: str, folder: Path) -> Iterator[Fetch]:
    known = conninfo_to_dict(dsn)
    project = folder / "bench.qgs"
    subprocess.run(
        ["/usr/bin/python3", "-c", QGIS_PROJECT % f"{OUTLINE_DENOMINATOR:.0f}", str(project),
         *(str(known[name]) for name in ("host", "port", "dbname", "user"))],
        check=True, capture_output=True, timeout=120,
    )  # fmt: skip
    environment = {"QGIS_PROJECT_FILE": str(project), "QT_QPA_PLATFORM": "offscreen",
                   "QGIS_SERVER_PARALLEL_RENDERING": "1", "HOME": str(folder)}  # fmt: skip
    with fastcgi([str(QGIS)], environment, folder) as send:
        yield lambda tile: send(wms("landuse", tile))  # type: ignore[arg-type]


# --- Ours -----------------------------------------------------------------------------------


@contextmanager
def ours(data_dir: Path, layer_id: str) -> Iterator[Fetch]:
    """A service that has just been started, over HTTP with one connection a request."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    program = Path(sys.executable).with_name("gis-service")
    environment = {**os.environ, "DATA_DIR": str(data_dir), "PORT": str(port)}
    with subprocess.Popen(
        [str(program), "serve", "--no-worker", "--no-demo"], env=environment,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        base = f"http://localhost:{port}"
        try:
            for _ in range(600):
                try:
                    urllib.request.urlopen(f"{base}/readyz", timeout=5).read()
                    break
                except OSError:
                    time.sleep(0.2)

            def fetch(tile: Tile) -> bytes:
                z, x, y = tile
                address = f"{base}/DataServer?T={layer_id}_w&x={x}&y={y}&l={z}"
                with urllib.request.urlopen(address, timeout=60) as answer:
                    body: bytes = answer.read()
                return body

            fetch((9, 412, 227))  # the children are there
            yield fetch
        finally:
            process.terminate()


def figures(times: list[float]) -> str:
    ordered = sorted(times)
    p95 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.95))]
    return (
        f"mean {statistics.mean(times):.1f} ms, p50 {statistics.median(times):.1f}, p95 {p95:.0f}"
    )


def run(data_dir: Path, repeats: int) -> tuple[str, list[tuple[str, str, str]]]:
    settings = Settings(data_dir=data_dir)
    with start.database(settings, lambda _: None) as dsn, ExitStack() as stack:
        with connect(dsn) as connection:
            if start.is_empty(dsn):
                load_demo(connection, load_catalog(settings.config_dir),
                          load_service_config(settings.config_dir), "small",
                          start.coast_file(settings))  # fmt: skip
            found = dict(
                connection.execute(
                    "SELECT layer_id, content_id FROM library.layer_in_force"
                    " WHERE layer_id = ANY(%s)", (list(LAYERS),)
                ).fetchall()
            )  # fmt: skip
        layer_id = next(one for one in LAYERS if one in found)
        count = prepare(dsn, layer_id, found[layer_id])
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gis-map-bench-")))
        with connect(dsn) as connection:
            (lon, lat), = connection.execute(
                "SELECT ST_X(c), ST_Y(c) FROM (SELECT ST_Centroid(extent) AS c"
                " FROM library.layer_content WHERE id = %s) AS q", (found[layer_id],)
            ).fetchall()  # fmt: skip
        tiles = walk(lon, lat)
        makers: dict[str, Callable[[], object]] = {"this service, over HTTP": lambda: ours(
            data_dir, layer_id)}  # fmt: skip
        missing = []
        for name, program, make in (
            ("MapServer 8.0, FastCGI", MAPSERV, mapserver),
            ("QGIS Server 3.22, FastCGI", QGIS, qgis_server),
        ):
            if program.exists() and (name[0] == "M" or shutil.which("python3")):
                makers[name] = lambda make=make: make(dsn, folder)
            else:
                missing.append((name, "not installed (apt: cgi-mapserver, qgis-server)", "—"))
        passes = [side_by_side(makers, tiles, folder) for _ in range(repeats)]
        means: dict[str, float] = {}
        rows = []
        for name in makers:
            times, size = min((one[name] for one in passes), key=lambda one: sum(one[0]))
            means[name] = statistics.mean(times)
            rows.append((name, figures(times), f"{size / len(tiles) / 1000:.1f} kB a tile"))
            for z in ZOOMS:
                at = [one for one, tile in zip(times, tiles, strict=True) if tile[0] == z]
                rows.append((f"– z{z}", f"mean {statistics.mean(at):.1f} ms", ""))
        own = means["this service, over HTTP"]
        for name, mean in means.items():
            if mean != own:
                rows.append((f"{name}, times ours", f"{mean / own:.1f}×", "goal 3×"))
    title = f"map tiles of {count:,} polygons ({layer_id}), {len(tiles)} tiles of a panning client"
    return title, rows + missing


def main(arguments: list[str], data_dir: Path, results: Path) -> None:
    """Run, print the table, put it into the results with ``--write``."""
    parser = argparse.ArgumentParser(prog="map", description="map tiles beside other servers")
    parser.add_argument("--data-dir", type=Path, default=data_dir)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--write", action="store_true", help="put it into RESULTS.md")
    chosen = parser.parse_args(arguments)
    before = os.getloadavg()[0]
    title, rows = run(chosen.data_dir, chosen.repeats)
    load = f"load average {before:.1f} to {os.getloadavg()[0]:.1f}"
    day = datetime.datetime.now(datetime.UTC).date()
    text = (
        f"\n## {title}\n\n{day}, {os.cpu_count()} cores, {load} (others use the machine); each tile"
        f" asked of all in turn, the better of {chosen.repeats} runs.\n\n"
        "| what | figure | beside |\n|---|---|---|\n"
    )
    text += "".join(f"| {' | '.join(row)} |\n" for row in rows)
    sys.stdout.write(text)
    if chosen.write:
        parts = results.read_text("utf-8").split("\n## ")
        kept = [part for part in parts if not part.startswith("map tiles of")]
        results.write_text("\n## ".join([*kept, text.strip()[3:]]).rstrip() + "\n", "utf-8")


if __name__ == "__main__":
    here = Path(__file__)
    main(sys.argv[1:], here.resolve().parents[2] / ".data" / "bench", here.with_name("RESULTS.md"))
