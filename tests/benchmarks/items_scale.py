"""Features beside stock pygeoapi and tipg in one run: 1,000 items, pages far in, filters.

    make bench ARGS='items'             the small demo
    make bench ARGS='items --scale province'

The goals: at least 30 times stock pygeoapi and 4 times tipg; a page far in costs what the first
does. Figures of one run compare with each other; the load of the machine stands beside them.
"""

import argparse
import base64
import datetime
import json
import os
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path

import httpx2
import psycopg
from peers import free_port, median_of, peer_python, server, stock_pygeoapi, timed_ms, tipg

from gis_service import start
from gis_service.demo_load import load_demo
from gis_service.local_postgis import running_cluster
from gis_service.settings import Settings, load_service_config
from layers.catalog import load_catalog
from layers.database import connect

LAYER = "planned_landuse"
SPATIAL = (
    "S_INTERSECTS(geometry, POLYGON((110.30 19.90, 110.34 19.90, 110.34 19.94, 110.30 19.94, "
    "110.30 19.90)))"
)
Row = tuple[str, str, str]


def main(arguments: Sequence[str], data_dir: Path, results: Path) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", default="small", choices=("small", "province"))
    scale = parser.parse_args(list(arguments)).scale
    settings = Settings().model_copy(update={"data_dir": data_dir / scale})
    before = os.getloadavg()[0]
    with running_cluster(settings.data_dir) as cluster:
        own = settings.model_copy(update={"database_url": cluster.dsn()})
        with start.database(own, str) as dsn:
            if start.is_empty(dsn):
                _load(dsn, settings, scale)
            rows = _measured(dsn)
    _write(results, scale, rows, f"{before:.1f} to {os.getloadavg()[0]:.1f}")


def _load(dsn: str, settings: Settings, scale: str) -> None:
    config = load_service_config(settings.config_dir)
    with connect(dsn) as connection:
        catalog = load_catalog(settings.config_dir)
        load_demo(connection, catalog, config, scale, start.coast_file(settings))


def _measured(dsn: str) -> list[Row]:
    with psycopg.connect(dsn) as connection:
        found = connection.execute(
            "SELECT l.content_id, c.feature_count FROM library.layer_in_force AS l"
            " INNER JOIN library.layer_content AS c ON c.id = l.content_id"
            " WHERE l.layer_id = %s", (LAYER,),
        ).fetchone()  # fmt: skip
    content, count = found or (0, 0)
    port = free_port()
    base = f"http://localhost:{port}/ogc/collections/{LAYER}/items"
    program = str(Path(sys.executable).with_name("gis-service"))
    environment = {"DATABASE_URL": dsn, "PORT": str(port)}
    with (
        peer_python() as python,
        server([program, "serve", "--no-worker"], environment, f"http://localhost:{port}/readyz"),
        stock_pygeoapi(python, dsn, f"feature_c{content}") as stock,
        tipg(python, dsn, f"feature_c{content}") as other,
    ):
        rows = _thousand(base, stock, other)
        return [*rows, *_deep(base, count), *_filtered(base)]


def _thousand(base: str, stock: str, other: str) -> list[Row]:
    """In turns, so that what else the machine does meets all three alike."""
    ours, theirs, tipgs = [], [], []
    for _ in range(5):
        ours.append(median_of(f"{base}?limit=1000", 10))
        theirs.append(median_of(f"{stock}&limit=1000", 3))
        tipgs.append(median_of(f"{other}&limit=1000", 3))
    mine = statistics.median(ours)
    rows: list[Row] = [("1,000 items (GeoJSON, CRS84), ours", f"{mine:.1f} ms", "1×")]
    for name, found in (("stock pygeoapi 0.24 (psycopg2)", theirs), ("tipg", tipgs)):
        peer = statistics.median(found)
        rows.append((f"1,000 items, {name}", f"{peer:.1f} ms", f"**{peer / mine:.1f}×**"))
    return rows


def _deep(base: str, count: int) -> list[Row]:
    """Pages of 100 at the beginning, in the middle and near the end, in turns."""
    shares = (0.0, 0.5, 0.95)
    found: dict[float, list[float]] = {share: [] for share in shares}
    for _ in range(8):
        for share in shares:
            # What a client that followed the links would have in its hand by then.
            place = json.dumps([count, int(count * share)]).encode()
            token = base64.urlsafe_b64encode(place).decode().rstrip("=")
            found[share].append(median_of(f"{base}?limit=100&skipGeometry=true&after={token}", 10))
    first = statistics.median(found[0.0])
    rows: list[Row] = []
    for share, times in found.items():
        skipped = int(count * share)
        far = median_of(f"{base}?limit=100&skipGeometry=true&offset={skipped}", 5)
        here = statistics.median(times)
        rows.append(
            (f"100 items without geometry behind {skipped:,} of {count:,}", f"{here:.1f} ms",
             f"{here / first:.2f}× the first page; by offset {far:.1f} ms")
        )  # fmt: skip
    return rows


def _filtered(base: str) -> list[Row]:
    rows: list[Row] = []
    with httpx2.Client(timeout=60) as client:
        for name, asked in (
            ("CQL2, a polygon", {"filter": SPATIAL}),
            ("CQL2, a polygon and a code", {"filter": f"{SPATIAL} AND landuse_code LIKE '07%'"}),
            ("sorted by an attribute", {"sortby": "landuse_code"}),
        ):

            def work(asked: dict[str, str] = asked) -> None:
                client.get(base, params={"limit": "100", **asked}).raise_for_status()

            work()
            found = statistics.median(timed_ms(work, 20))
            rows.append((f"100 items, {name}", f"{found:.1f} ms", ""))
    return rows


def _write(results: Path, scale: str, rows: list[Row], load: str) -> None:
    day = datetime.datetime.now(datetime.UTC).date()
    title = f"features, {scale}"
    lines = [
        title, "",
        f"{day}, {os.cpu_count()} cores, load average {load} (others use the machine). The goals "
        "are 30× of stock pygeoapi and 4× of tipg.", "",
        "| what | figure | beside |", "|---|---|---|",
        *(f"| {what} | {figure} | {beside} |" for what, figure, beside in rows), "",
    ]  # fmt: skip
    old = results.read_text("utf-8") if results.is_file() else "# Results\n"
    kept = [part for part in old.split("\n## ") if not part.startswith(title)]
    results.write_text("\n## ".join([*kept, "\n".join(lines)]).rstrip() + "\n", "utf-8")
    print("\n".join(lines))  # noqa: T201 - the table is what this program is for
