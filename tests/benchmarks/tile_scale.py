"""Tiles of a published layer: how long its archive takes, and stored tiles beside martin's.

    make bench ARGS='tiles'                       225,000 polygons
    make bench ARGS='tiles --polygons 20000'      a quick look
    make bench ARGS='tiles --write'               and put it into RESULTS.md

Stored tiles are asked for by wrk with `Accept-Encoding: gzip`, as browsers do, over 200 tiles from
z10 to z14: from the service, from the shipped nginx before it, and from martin with its memory
cache on a table in web mercator, after one round that fills each. martin is used if it is on the
PATH (`cargo install martin --locked`, a quarter of an hour on 2 cores); what is not there is named.
"""

import argparse
import datetime
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

import numpy as np
import psycopg
from import_scale import parcels
from peers import free_port, server

from gis_service import start, tile_archives
from gis_service.local_postgis import running_cluster
from gis_service.settings import Settings
from layers.catalog import load_catalog
from layers.contents import create_content, finish_content, load_arrays
from layers.database import Connection, connect
from layers.editions import open_draft, publish, put_layer
from tiles.pmtiles import Archive, tile_of_id

Row = tuple[str, str]
LAYER: Final = "planned_landuse"
TODAY: Final = datetime.date(2024, 1, 1)
ORIGIN: Final = (108.7, 18.3)
CELL_DEG: Final = 0.004
CODES: Final = ("0101", "0103", "0201", "0301", "0307", "0401", "0601", "0701", "1202", "1701")
NGINX: Final = shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin")


def load(connection: Connection, polygons: int) -> None:
    """A coverage of parcels with 17 vertices each, published."""
    width = round(polygons**0.5)
    plan, _ = load_catalog(Settings().config_dir).layer_with_plan(LAYER)
    content = create_content(connection, LAYER)
    first = 1
    for line in range(0, width, 100):
        shapes = parcels(width, line, min(100, width - line), ORIGIN, (CELL_DEG, CELL_DEG))
        codes = np.random.default_rng(line).choice(CODES, len(shapes)).tolist()
        columns = {"landuse_code": codes, "code_scheme": ["landuse-2023"] * len(shapes)}
        first += load_arrays(connection, content, shapes, columns, first)
    finish_content(connection, content)
    with connection.transaction():
        edition = open_draft(connection, plan.id, valid_from=datetime.date(2021, 1, 1))
        put_layer(connection, edition, LAYER, content)
    publish(connection, plan.id, edition)


def archive(connection: Connection, folder: Path) -> tuple[Archive, list[Row]]:
    """Write the archive as the worker does, with what it cost."""
    catalog = load_catalog(Settings().config_dir)
    contents = tile_archives.contents_of(connection, catalog, [LAYER], TODAY)
    began = time.perf_counter()
    (path,) = tile_archives.write(connection, folder, contents)
    seconds = time.perf_counter() - began
    written = Archive(path)
    size = path.stat().st_size / 1e6
    return written, [
        ("archive z5–14 written", f"{seconds:.1f} s, {written.tile_count / seconds:,.0f} tiles/s"),
        ("its size", f"{size:.1f} MB, {written.tile_count:,} tiles"),
    ]


def wrk(port: int, paths: Sequence[str], folder: Path, connections: int) -> str:
    """Requests a second over the paths, and the errors if there are any."""
    script = folder / "paths.lua"
    listed = ",".join(f'"{path}"' for path in paths)
    script.write_text(
        f"local paths = {{{listed}}}\nlocal n = 0\nrequest = function()\n"
        'n = n % #paths + 1\nreturn wrk.format("GET", paths[n], {["Accept-Encoding"] = "gzip"})\n'
        "end\n"
    )
    found = ""
    for seconds in (2, 5):  # the first round fills the caches
        command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", str(script),
                   f"http://localhost:{port}"]  # fmt: skip
        found = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    rate = re.search(r"Requests/sec:\s+([\d.]+)", found)
    failed = re.search(r"Non-2xx or 3xx responses: (\d+)", found)
    return f"{float(rate[1]) if rate else 0:,.0f}/s" + (f", {failed[1]} refused" if failed else "")


@contextmanager
def ours(dsn: str, data_dir: Path) -> Iterator[int]:
    """The service on a library, with its archives."""
    port = free_port()
    program = str(Path(sys.executable).with_name("gis-service"))
    environment = {"DATABASE_URL": dsn, "DATA_DIR": str(data_dir), "PORT": str(port)}
    with server([program, "serve"], environment, f"http://localhost:{port}/readyz"):
        yield port


@contextmanager
def behind_nginx(upstream: int, folder: Path) -> Iterator[int]:
    """The shipped configuration before the service."""
    port = free_port()
    text = (Settings().config_dir / "nginx.conf.template").read_text("utf-8")
    for name, value in (
        ("LISTEN", f"127.0.0.1:{port}"), ("UPSTREAM", f"127.0.0.1:{upstream}"),
        ("CACHE_DIR", str(folder / "cache")),
    ):  # fmt: skip
        text = text.replace("${" + name + "}", value)
    user = "user root;" if os.geteuid() == 0 else ""
    (folder / "nginx.conf").write_text(
        f"daemon off; {user} pid {folder}/pid; events {{}} http {{ access_log off;\n{text}\n}}\n"
    )
    command = [str(NGINX), "-c", str(folder / "nginx.conf"), "-e", str(folder / "errors")]
    with server(command, {}, f"http://localhost:{port}/readyz"):
        yield port


@contextmanager
def martin(dsn: str, content_id: int) -> Iterator[int]:
    """martin on the layer in web mercator, a table of its own with an index."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS public.bench_tiles")
        connection.execute(
            "CREATE TABLE public.bench_tiles AS SELECT f.fid, f.attributes ->> 'landuse_code' AS"
            " landuse_code, ST_Transform(f.geom, 3857)::geometry(Geometry, 3857) AS geom"
            " FROM library.feature AS f WHERE f.content_id = %s",
            (content_id,),
        )
        connection.execute("CREATE INDEX ON public.bench_tiles USING gist (geom)")
        connection.execute("ANALYZE public.bench_tiles")
    port = free_port()
    command = [str(shutil.which("martin")), "-l", f"127.0.0.1:{port}", "--pool-size", "4", dsn]
    with server(command, {}, f"http://localhost:{port}/health"):
        yield port


def measure(data_dir: Path, polygons: int) -> list[Row]:
    """The table of one size."""
    settings = Settings().model_copy(update={"data_dir": data_dir})
    with ExitStack() as stack:
        cluster = stack.enter_context(running_cluster(data_dir / "cluster", say=print))
        with psycopg.connect(cluster.dsn("postgres"), autocommit=True) as own:
            own.execute("DROP DATABASE IF EXISTS bench_tiles WITH (FORCE)")
            own.execute("CREATE DATABASE bench_tiles")
        dsn = stack.enter_context(
            start.database(
                settings.model_copy(update={"database_url": cluster.dsn("bench_tiles")}), print
            )
        )
        shutil.rmtree(settings.tiles_dir, ignore_errors=True)
        with connect(dsn) as connection:
            load(connection, polygons)
            written, rows = archive(connection, settings.tiles_dir)
        numbers = [n for n, _ in written.tiles()]
        tiles = [tile_of_id(n) for n in numbers[-1 :: -max(1, len(numbers) // 300)]]
        tiles = [tile for tile in tiles if tile.z >= 10][:200]
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gis-bench-")))
        content = int(written.path.name.split("-")[0])
        paths = [f"/tiles/{LAYER}/{z}/{x}/{y}.mvt?v={content}" for z, x, y in tiles]
        port = stack.enter_context(ours(dsn, data_dir))
        for connections in (8, 64):
            rate = wrk(port, paths, folder, connections)
            rows.append((f"stored tiles, gzip, {connections} connections: this service", rate))
        rows += _nginx(port, paths, folder, stack)
        rows += _martin(dsn, content, tiles, folder, stack)
    return rows


def _nginx(port: int, paths: Sequence[str], folder: Path, stack: ExitStack) -> list[Row]:
    if NGINX is None:
        return [("the same behind nginx", "no nginx here")]
    front = stack.enter_context(behind_nginx(port, folder))
    return [
        (f"the same behind nginx, {n} connections", wrk(front, paths, folder, n)) for n in (8, 64)
    ]


def _martin(
    dsn: str, content: int, tiles: Sequence[tuple[int, int, int]], folder: Path, stack: ExitStack
) -> list[Row]:
    if shutil.which("martin") is None:
        return [("martin, memory cache", "no martin on the PATH: cargo install martin --locked")]
    port = stack.enter_context(martin(dsn, content))
    paths = [f"/bench_tiles/{z}/{x}/{y}" for z, x, y in tiles]
    return [
        (f"martin, memory cache, {n} connections", wrk(port, paths, folder, n)) for n in (8, 64)
    ]


def main(arguments: list[str], data_dir: Path, results: Path) -> None:
    """Measure and print; with ``--write`` the table goes into the results as well."""
    parser = argparse.ArgumentParser(prog="tiles", description="stored tiles")
    parser.add_argument("--polygons", type=int, default=225_000)
    parser.add_argument("--write", action="store_true", help="append to RESULTS.md")
    asked = parser.parse_args(arguments)
    folder = data_dir / "tiles-bench"
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o711)  # the database's own user must be able to reach its files in it
    title = "stored tiles"
    day = datetime.datetime.now(datetime.UTC).date()
    lines = [f"## {title}", "", f"{day}, {os.cpu_count()} cores, load average "
             f"{os.getloadavg()[2]:.1f} (others use the machine), {asked.polygons:,} polygons", "",
             "| what | figure |", "|---|---|"]  # fmt: skip
    lines += [f"| {what} | {figure} |" for what, figure in measure(folder, asked.polygons)]
    print("\n".join(lines))  # noqa: T201 - the table is what this program is for
    if asked.write:
        kept = [x for x in results.read_text("utf-8").split("\n## ") if not x.startswith(title)]
        results.write_text("\n## ".join([*kept, "\n".join(lines)[3:]]).rstrip() + "\n", "utf-8")
