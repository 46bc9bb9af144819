"""Benchmarks: this service beside the peers that are installed, in one run, on one table.

    make bench                      small demo (loaded if the library is empty)
    make bench ARGS='--scale province'
    make bench ARGS='import --rows 1500000'   an import beside ogr2ogr, see import_scale.py
    make bench ARGS='items'         features beside stock pygeoapi and tipg, see items_scale.py
    make bench ARGS='check'                   checks against millions, see check_scale.py
    make bench ARGS='map'                     map tiles beside MapServer and QGIS Server
    make bench ARGS='tiles'                   archives and stored tiles, see tile_scale.py

Writes tests/benchmarks/RESULTS.md. Figures of one run compare with each other, not with those of
another machine. Peers: stock pygeoapi (PostgreSQL provider), tipg, ogr2ogr.
"""

import argparse
import datetime
import http.client
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.parse
from pathlib import Path

import check_scale
import httpx2
import import_scale
import items_scale
import map_scale
import numpy as np
import psycopg
import pyogrio
import shapely
import tile_scale
from peers import free_port, median_of, peer_python, server, stock_pygeoapi, timed_ms, tipg

from gis_service import start
from gis_service.checking import CheckRequest, check
from gis_service.demo_load import load_demo
from gis_service.demo_province import sample_sites
from gis_service.local_postgis import running_cluster
from gis_service.settings import Settings, load_service_config
from layers.catalog import load_catalog
from layers.catalog_sync import sync_catalog
from layers.database import connect, migrate

PROJECT = Path(__file__).resolve().parents[2]
LAYER = "planned_landuse"
Row = tuple[str, str, str]


def p(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def content_of(dsn: str) -> int:
    with psycopg.connect(dsn) as connection:
        found = connection.execute(
            "SELECT content_id FROM library.layer_in_force WHERE layer_id = %s", (LAYER,)
        ).fetchone()
    assert found
    return int(found[0])


def bench_checks(settings: Settings, dsn: str, base: str) -> list[Row]:
    rows: list[Row] = []
    sites = [(site.id, site.feature) for site in sample_sites()]
    one = settings.model_copy(update={"check_processes": 1})
    with start.library(one, dsn) as library:
        for site_id, feature in sites:
            check(library, CheckRequest(feature))
            found = timed_ms(lambda feature=feature: check(library, CheckRequest(feature)), 60)
            rows.append(
                (f"check `{site_id}`, in process, report stored", f"p50 {p(found, 0.5):.1f} ms",
                 f"p95 {p(found, 0.95):.1f} ms")
            )  # fmt: skip
    url = f"{base}/ogc/processes/conflict-check/execution"
    with httpx2.Client(timeout=60) as client:
        for site_id, feature in sites[:1]:
            body = {"inputs": {"submission": feature}}
            found = timed_ms(lambda body=body: client.post(url, json=body).raise_for_status(), 60)
            rows.append(
                (f"check `{site_id}`, over HTTP", f"p50 {p(found, 0.5):.1f} ms",
                 f"p95 {p(found, 0.95):.1f} ms")
            )  # fmt: skip
    return rows


def bench_items(dsn: str, base: str) -> list[Row]:
    """More of it, in turns and with pages far in: items_scale.py."""
    ours = median_of(f"{base}/ogc/collections/{LAYER}/items?limit=1000")
    table = f"feature_c{content_of(dsn)}"
    rows: list[Row] = [("1,000 items (GeoJSON, CRS84), ours", f"{ours:.1f} ms", "1×")]
    with peer_python() as python:
        for name, peer in (("stock pygeoapi 0.24", stock_pygeoapi), ("tipg", tipg)):
            try:
                with peer(python, dsn, table) as address:
                    theirs = median_of(f"{address}&limit=1000", 10)
                rows.append((f"1,000 items, {name}", f"{theirs:.1f} ms", f"{theirs / ours:.1f}×"))
            except Exception as error:  # a peer that cannot be had is named, not hidden
                said = str(error).splitlines()[0][:80]
                rows.append((f"1,000 items, {name}", "not measured", said))
    return rows


def bench_tiles(base: str) -> list[Row]:
    """With http.client: httpx2 costs five times what a stored tile does."""
    place = urllib.parse.urlsplit(base)
    client = http.client.HTTPConnection(place.hostname or "localhost", place.port)
    template = httpx2.get(f"{base}/tiles/{LAYER}.json").json()["tiles"][0].removeprefix(base)
    cold, warm, sizes = [], [], []

    def fetch(path: str) -> int:
        client.request("GET", path, headers={"Accept-Encoding": "gzip"})
        return len(client.getresponse().read())

    for step in range(40):
        x, y = _tile_of(110.28 + step * 0.003, 19.90 + step * 0.002, 14)
        path = template.format(z=14, x=x, y=y)
        began = time.perf_counter()
        sizes.append(fetch(path))
        cold.append((time.perf_counter() - began) * 1000)
        warm += timed_ms(lambda path=path: fetch(path), 5)
    return [
        ("z14 tile, first request", f"p50 {p(cold, 0.5):.1f} ms", f"p95 {p(cold, 0.95):.1f} ms"),
        ("z14 tile, again", f"p50 {p(warm, 0.5):.2f} ms", f"p95 {p(warm, 0.95):.2f} ms"),
        ("z14 tile, gzip", f"median {statistics.median(sizes):,.0f} B", f"max {max(sizes):,} B"),
    ]


def _tile_of(lon: float, lat: float, z: int) -> tuple[int, int]:
    import math

    x = int((lon + 180) / 360 * 2**z)
    y = int((1 - math.asinh(math.tan(math.radians(lat))) / math.pi) / 2 * 2**z)
    return x, y


def bench_import(dsn: str, settings: Settings) -> list[Row]:
    if shutil.which("ogr2ogr") is None:
        return [("import beside ogr2ogr", "not measured", "apt-get install gdal-bin")]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "landuse.gpkg"
        count = _export(dsn, file)
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute("DROP SCHEMA IF EXISTS bench_ogr CASCADE")
            connection.execute("CREATE SCHEMA bench_ogr")
        began = time.perf_counter()
        subprocess.run(
            ["ogr2ogr", "-f", "PostgreSQL", f"PG:{_key_value(dsn)}", str(file), "-nln",
             "bench_ogr.landuse", "-nlt", "PROMOTE_TO_MULTI", "--config", "PG_USE_COPY", "YES"],
            check=True, capture_output=True,
        )  # fmt: skip
        plain_s = time.perf_counter() - began
        program = str(Path(sys.executable).with_name("gis-service"))
        environment = {**os.environ, "DATABASE_URL": dsn}
        began = time.perf_counter()
        done = subprocess.run(
            [program, "import", str(file), "--plan", "overall-plan", "--layer", LAYER, "--json"],
            env=environment, capture_output=True, check=False,
        )  # fmt: skip
        ours_s = time.perf_counter() - began
        report = json.loads(done.stdout)
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute("DROP SCHEMA bench_ogr CASCADE")
    note = f"{ours_s / plain_s:.1f}× its time"
    return [
        (f"ogr2ogr, {count:,} polygons to table and index", f"{count / plain_s:,.0f} rows/s",
         f"{plain_s:.1f} s"),
        (f"import, {report['accepted']:,} accepted (checked, measured, digest)",
         f"{count / ours_s:,.0f} rows/s", f"{ours_s:.1f} s, {note}"),
    ]  # fmt: skip


def _export(dsn: str, file: Path) -> int:
    with psycopg.connect(dsn) as connection:
        found = connection.execute(
            "SELECT feature_id, attributes ->> 'landuse_code', ST_AsBinary(geom)"
            " FROM library.feature WHERE content_id = %s LIMIT 300000",
            (content_of(dsn),),
        ).fetchall()
    ids, codes, shapes = zip(*found, strict=True)
    pyogrio.raw.write(
        str(file), shapely.to_wkb(shapely.multipolygons(
            [list(shapely.get_parts(shapely.from_wkb(s))) for s in shapes])),
        [np.array(ids, dtype=object), np.array(codes, dtype=object)], ["parcel_id", "landuse_code"],
        geometry_type="MultiPolygon", crs="EPSG:4490", layer="landuse",
    )  # fmt: skip
    return len(found)


def _key_value(dsn: str) -> str:
    return psycopg.conninfo.make_conninfo(dsn)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    arguments.add_argument("--scale", default="small", choices=("small", "province"))
    arguments.add_argument("--data-dir", type=Path, default=PROJECT / ".data" / "bench")
    asked = arguments.parse_args()
    settings = Settings().model_copy(update={"data_dir": asked.data_dir / asked.scale})
    with running_cluster(settings.data_dir, say=print) as cluster:
        dsn = cluster.dsn()
        catalog = load_catalog(settings.config_dir)
        with connect(dsn) as connection:
            migrate(connection)
            sync_catalog(connection, catalog)
        load_note = ""
        if start.is_empty(dsn):
            began = time.perf_counter()
            with connect(dsn) as connection:
                config = load_service_config(settings.config_dir)
                load_demo(connection, catalog, config, asked.scale, start.coast_file(settings))
            load_note = f"; demo built and published in {time.perf_counter() - began:.0f} s"
        with psycopg.connect(dsn) as connection:
            (total,) = connection.execute(
                "SELECT sum(c.feature_count) FROM library.layer_in_force AS l"
                " INNER JOIN library.layer_content AS c ON c.id = l.content_id"
            ).fetchone() or (0,)
        port = free_port()
        base = f"http://localhost:{port}"
        program = str(Path(sys.executable).with_name("gis-service"))
        environment = {"DATABASE_URL": dsn, "PORT": str(port)}
        rows: list[Row] = []
        with server([program, "serve"], environment, f"{base}/readyz"):
            rows += bench_tiles(base)
            rows += bench_items(dsn, base)
            rows += bench_checks(settings, dsn, base)
        rows += bench_import(dsn, settings)
    write(asked.scale, int(total), load_note, rows)


def write(scale: str, total: int, load_note: str, rows: list[Row]) -> None:
    day = datetime.datetime.now(datetime.UTC).date()
    lines = [
        f"## {scale}: {total:,} features in force{load_note}",
        "",
        f"{day}, {os.cpu_count()} cores, {platform.python_implementation()} "
        f"{platform.python_version()}",
        "",
        "| what | figure | beside |",
        "|---|---|---|",
        *(f"| {what} | {figure} | {beside} |" for what, figure, beside in rows),
        "",
    ]
    file = Path(__file__).with_name("RESULTS.md")
    old = file.read_text("utf-8") if file.is_file() else "# Results\n\nWritten by `make bench`.\n"
    kept = [part for part in old.split("\n## ") if not part.startswith(f"{scale}:")]
    file.write_text("\n## ".join([*kept, "\n".join(lines).removeprefix("## ")]).rstrip() + "\n")
    print("\n".join(lines))  # noqa: T201 - the table is what this program is for


if __name__ == "__main__":
    parts = {"import": import_scale.main, "check": check_scale.main, "items": items_scale.main,
             "map": map_scale.main, "tiles": tile_scale.main}  # fmt: skip
    part = parts.get("".join(sys.argv[1:2]))
    if part is not None:
        part(sys.argv[2:], PROJECT / ".data" / "bench", Path(__file__).with_name("RESULTS.md"))
    else:
        main()
