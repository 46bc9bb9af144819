"""A check of a site against 20 layers with millions of polygons.

    make bench ARGS='check --polygons 2000000 --batch 2000 --write'

The library is synthetic and made here: two layers that leave no gap, 14 that cover a sixth of the
ground in clusters, all of jittered parcels of 10 ha with 17 vertices; and few but large ones (the
redline, reserves, counties) with ten thousand vertices a polygon. The site and its surroundings are
alike for every size, a larger library reaches further. The rules are those that are shipped; they
read 19 of the 20 layers. Times are inside the service (``gis_service.checking``), report stored.
"""

import argparse
import datetime
import math
import os
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np
import psycopg
import shapely
from import_scale import Row, parcels

from gis_service import checking, start
from gis_service.library import Library, today
from gis_service.local_postgis import running_cluster
from gis_service.settings import Settings
from layers import contents, editions, partitions
from layers.catalog import Layer, load_catalog
from layers.catalog_sync import sync_catalog
from layers.crs import snap
from layers.database import Connection, connect, migrate, row
from layers.pieces import prepare_overlay_pieces
from planning_rules.corridor import ATTRIBUTE
from planning_rules.engine import Bench

WEST, SOUTH, CELL_DEG = 108.70, 18.20, 0.003
FULL: Final = ("planned_landuse", "current_landuse")
LARGE: Final = {"ecological_redline": 0.05, "nature_reserve": 0.08, "county": 0.2}
"""Layers of large polygons, with the distance of their centres in degrees of the lattice."""
SHARE: Final = 1 / 6
CLUSTER: Final = 12
SITE_HA: Final = 10.0
REGION: Final = shapely.box(105, 15, 118, 27)


def load(connection: Connection, polygons: int) -> int:
    """Fill an empty library; give the number of polygons."""
    catalog = load_catalog(Settings().config_dir)
    layers = [(plan.id, layer) for plan, layer in catalog.layers()]
    some = [one for _, one in layers if one.geometry == "polygon"]
    clustered = len([one for one in some if one.id not in (*FULL, *LARGE)])
    side = round(math.sqrt(polygons / (len(FULL) + SHARE * clustered)))
    made = 0
    for number, (plan, layer) in enumerate(layers):
        content_id = contents.create_content(connection, layer.id)
        count = 0
        for shapes in map(np.asarray, _shapes(layer, side, number)):
            columns = _attributes(layer, catalog.code_lists, count, len(shapes))
            ids = columns.get(layer.id_attribute or "")
            contents.load_arrays(
                connection, content_id, snap(shapes), columns, count + 1, feature_ids=ids
            )
            count += len(shapes)
        _publish(connection, plan, layer.id, content_id)
        made += count if layer.geometry == "polygon" else 0
        print(f"{layer.id}: {count:,}", flush=True)  # noqa: T201 - a long run says where it is
    for plan in catalog.plans:
        editions.publish(connection, plan.id)
    connection.execute("ANALYZE")
    return made


def _publish(connection: Connection, plan: str, layer: str, content_id: int) -> None:
    """Ready for checks; what only maps read is not made."""
    digest = f"{content_id:064x}"
    contents.finish_content(connection, content_id, content_sha256=digest, coverage=REGION)
    with connection.transaction():
        prepare_overlay_pieces(connection, content_id)
        partitions.attach(connection, "overlay_piece", content_id)
        connection.execute(
            "UPDATE library.layer_content SET state = 'ready' WHERE id = %s", (content_id,)
        )
        edition = editions.open_draft(connection, plan, valid_from=datetime.date(2024, 1, 1))
        editions.put_layer(connection, edition, layer, content_id)
    contents.release_content(connection, content_id)


def _shapes(layer: Layer, side: int, salt: int) -> Iterator[Any]:
    """The geometries of a layer on a lattice of ``side`` cells, some thousand at a time."""
    extent = side * CELL_DEG
    if layer.geometry == "line":
        x = np.linspace(WEST, WEST + extent, 20_000)
        yield shapely.linestrings([np.column_stack((x, SOUTH + extent / 2 + 0.01 * np.sin(x * 9)))])
    elif layer.geometry == "point":
        yield shapely.points(WEST + np.arange(0, extent, 0.05), SOUTH + extent / 3)
    elif layer.id in LARGE:
        yield from _large(extent, LARGE[layer.id])
    else:
        for first in range(0, side, 40):
            lines = min(40, side - first)
            found = parcels(side, first, lines, (WEST, SOUTH), (CELL_DEG, CELL_DEG))
            yield found if layer.id in FULL else found[_in_clusters(side, first, len(found), salt)]


def _large(extent: float, step: float) -> Iterator[Any]:
    """Wavy discs of ten thousand vertices, which touch no neighbour."""
    angle = np.linspace(0, 2 * math.pi, 10_000, endpoint=False)
    radius = step * (0.42 + 0.05 * np.sin(11 * angle) + 0.01 * np.sin(301 * angle))
    ring = np.column_stack((np.cos(angle), np.sin(angle))) * radius[:, None]
    steps = range(min(max(1, int(extent / step)), 20))
    for line in steps:
        centres = [(WEST + (c + 0.5) * step, SOUTH + (line + 0.5) * step) for c in steps]
        yield shapely.polygons([ring + centre for centre in centres])


def _in_clusters(side: int, first: int, count: int, salt: int) -> Any:
    """Which cells of some lines are there: clusters of 12 by 12, other ones for each layer."""
    line, column = np.divmod(np.arange(count), side)
    block = ((line + first) // CLUSTER) * 92_821 + (column // CLUSTER) * 68_917 + salt * 31_337
    return (np.sin(block.astype(float)) * 43_758.5453) % 1 < SHARE


def _attributes(layer: Layer, lists: Any, first: int, count: int) -> dict[str, Any]:
    """Values for all attributes that are no personal data; codes in turn."""
    codes = {one.id: [code.code for code in one.codes] for one in lists}
    numbers = np.arange(first, first + count)
    columns: dict[str, Any] = {}
    for one in layer.attributes:
        if one.personal:
            continue
        if one.codes:
            known = codes[one.codes]
            columns[one.name] = [known[n % len(known)] for n in (numbers // 7).tolist()]
        elif one.name == layer.id_attribute:
            columns[one.name] = [f"{n:010d}" for n in numbers.tolist()]
        elif one.type == "number":
            columns[one.name] = [10.0] * count
    return columns


def site(x: float, y: float, hectares: float = SITE_HA, vertices: int = 12) -> dict[str, Any]:
    """A GeoJSON feature: a ragged disc around a place (lon/lat)."""
    angle = np.linspace(0, 2 * math.pi, vertices, endpoint=False)
    radius_m = math.sqrt(hectares * 10_000 / math.pi) * (1 + 0.1 * np.sin(7 * angle))
    lon = x + radius_m * np.cos(angle) / (111_320 * math.cos(math.radians(y)))
    lat = y + radius_m * np.sin(angle) / 110_600
    ring = np.round(np.column_stack((lon, lat)), 9).tolist()
    body = {"type": "Polygon", "coordinates": [[*ring, ring[0]]]}
    return {"type": "Feature", "geometry": body, "properties": _project()}


def corridor() -> dict[str, Any]:
    """200 km by 60 m, bent."""
    x = np.linspace(WEST + 0.02, WEST + 0.95, 60)
    line = np.column_stack((x, SOUTH + 0.05 + (x - x[0]) * 1.7 + 0.01 * np.sin(9 * x)))
    body = {"type": "LineString", "coordinates": np.round(line, 9).tolist()}
    return {"type": "Feature", "geometry": body, "properties": {**_project(), ATTRIBUTE: 60}}


def _project() -> dict[str, Any]:
    return {"land_take": True, "landuse_code": "0901", "construction_type": "industrial-park"}


def sites(side_deg: float, count: int) -> list[dict[str, Any]]:
    """Sites in turn over the part of the ground that every size of library has."""
    places = np.random.default_rng(7).uniform(0.05, side_deg - 0.05, (count, 2))
    return [site(WEST + x, SOUTH + y) for x, y in places.tolist()]


def p(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def timed_ms(work: Callable[[], Any]) -> float:
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) * 1000


def _figure(found: list[float]) -> tuple[str, str]:
    return f"p50 {p(found, 0.5):.1f} ms", f"p95 {p(found, 0.95):.1f} ms"


def bench_sites(library: Library, asked: list[dict[str, Any]]) -> list[Row]:
    for feature in asked[:12]:
        checking.check(library, checking.CheckRequest(feature))
    whole = [
        timed_ms(lambda one=one: checking.check(library, checking.CheckRequest(one)))
        for one in asked
    ]
    reads, overlays, naive, features = [], [], [], []
    for one in asked:
        targets, read_ms = _targets(library, one)
        reads.append(read_ms)
        features.append(sum(len(target.features) for target in targets.values()))
        submission = checking.read_request(library, checking.CheckRequest(one))
        overlays.append(timed_ms(lambda s=submission, t=targets: _overlay(s, t)))
    for one in asked[: max(10, len(asked) // 10)]:
        naive.append(timed_ms(lambda one=one: _whole_polygons(library, one)))
    gain = statistics.median(naive) / statistics.median(overlays)
    return [
        (f"site of 10 ha, {statistics.median(features):.0f} features near: check", *_figure(whole)),
        ("the reading of it (contents, candidates, coverage)", *_figure(reads)),
        ("the overlay alone, all layers", *_figure(overlays)),
        ("ST_Intersection of whole polygons, same layers", _figure(naive)[0], f"{gain:.0f}×"),
    ]


def _targets(library: Library, feature: Mapping[str, Any]) -> tuple[Any, float]:
    submission = checking.read_request(library, checking.CheckRequest(feature))
    boxes = checking.search_boxes(submission, library.rule_set)
    began = time.perf_counter()
    with library.pool.connection() as connection:
        found = checking.read_evidence(
            connection, boxes, library.rule_set, today(), library.config.region.bbox,
            library.keepers, None,
        )  # fmt: skip
    return found.targets, (time.perf_counter() - began) * 1000


def _overlay(submission: Any, targets: Any) -> None:
    bench = Bench(submission, targets)
    for layer in targets:
        bench.overlay(layer)


def _whole_polygons(library: Library, feature: Mapping[str, Any]) -> None:
    """What a service without pieces would ask of PostGIS, index and all."""
    wkb = shapely.to_wkb(shapely.geometry.shape(feature["geometry"]))
    with library.pool.connection() as connection:
        connection.execute(
            "SELECT f.content_id, f.fid, ST_Area(ST_Intersection(f.geom, s.geom))"
            " FROM library.feature AS f, (SELECT ST_GeomFromWKB(%s, 4490) AS geom) AS s"
            " WHERE f.geom && s.geom AND ST_Intersects(f.geom, s.geom)",
            (wkb,),
        ).fetchall()


def bench_large(library: Library, middle: tuple[float, float]) -> list[Row]:
    asked = {
        "corridor of 200 km × 60 m": corridor(),
        "site of 50,000 vertices (1,000 ha)": site(*middle, 1000, 50_000),
    }
    rows: list[Row] = []
    for name, feature in asked.items():
        found = [
            timed_ms(lambda one=feature: checking.check(library, checking.CheckRequest(one)))
            for _ in range(4)
        ]
        patches = checking.check(library, checking.CheckRequest(feature))["findings"]
        count = sum(len(finding["patches"]) for finding in patches)
        rows.append((f"{name}: check", f"{min(found) / 1000:.2f} s", f"{count:,} patches"))
    return rows


def bench_batch(library: Library, asked: list[dict[str, Any]], cores: int) -> list[Row]:
    began = time.perf_counter()
    with ThreadPoolExecutor(2 * cores) as pool:
        done = list(
            pool.map(lambda one: checking.check(library, checking.CheckRequest(one)), asked)
        )
    spent = time.perf_counter() - began
    outcomes = sorted({report["outcome"] for report in done})
    return [
        (f"batch of {len(asked):,} submissions, {cores} cores",
         f"{len(asked) / spent:.0f} a second", f"{len(asked) / spent / cores:.0f} a second and core"
         f" ({', '.join(outcomes)})")
    ]  # fmt: skip


@contextmanager
def filled(settings: Settings, polygons: int) -> Iterator[tuple[str, int]]:
    """A library of a size, made if it is not there; its address and number of polygons."""
    with running_cluster(settings.data_dir, say=print) as cluster:
        name = f"bench_check_{polygons}"
        with psycopg.connect(cluster.dsn("postgres"), autocommit=True) as server:
            known = server.execute("SELECT FROM pg_database WHERE datname = %s", (name,)).fetchone()
            if known is None:
                server.execute(f"CREATE DATABASE {name}".encode())
        dsn = cluster.dsn(name)
        with connect(dsn) as connection:
            migrate(connection)
            sync_catalog(connection, load_catalog(settings.config_dir))
            if start.is_empty(dsn):
                load(connection, polygons)
            found = row(
                connection,
                "SELECT sum(c.feature_count) AS polygons FROM library.layer_content AS c"
                " INNER JOIN library.layer AS l ON l.id = c.layer_id"
                " WHERE c.state = 'ready' AND l.definition ->> 'geometry' = 'polygon'",
            )
        yield dsn, int(found["polygons"]) if found else 0


def measure(settings: Settings, sizes: list[int], batch: int) -> list[tuple[int, list[Row]]]:
    """The table of each size; the last one has the large submissions and the batch."""
    tables = []
    for size in sizes:
        side_deg = min(0.6, math.sqrt(min(sizes) / 5) * CELL_DEG)
        with filled(settings, size) as (dsn, count):
            one = settings.model_copy(update={"check_processes": 1, "pool_size": 4})
            with start.library(one, dsn, access="restricted") as library:
                rows = bench_sites(library, sites(side_deg, 100))
                if size == sizes[-1]:
                    rows += bench_large(library, (WEST + side_deg / 2, SOUTH + side_deg / 2))
            cores = os.cpu_count() or 1
            many = settings.model_copy(update={"check_processes": cores, "pool_size": 2 * cores})
            if size == sizes[-1] and batch:
                with start.library(many, dsn, access="restricted") as library:
                    rows += bench_batch(library, sites(side_deg, batch), cores)
        tables.append((count, rows))
    return tables


def main(arguments: list[str], data_dir: Path, results: Path) -> None:
    """Measure and print; with ``--write`` the table goes into the results as well."""
    parser = argparse.ArgumentParser(prog="check", description="checks against millions")
    parser.add_argument("--polygons", type=int, nargs="+", default=[100_000, 2_000_000])
    parser.add_argument("--batch", type=int, default=1000)
    parser.add_argument("--write", action="store_true", help="append to RESULTS.md")
    asked = parser.parse_args(arguments)
    settings = Settings().model_copy(update={"data_dir": data_dir / "check"})
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    day = datetime.datetime.now(datetime.UTC).date()
    title = "checks against 20 layers"
    load_average = f"load average {os.getloadavg()[2]:.1f} (others use the machine)"
    lines = [f"## {title}", "", f"{day}, {os.cpu_count()} cores, {load_average}", ""]
    for count, rows in measure(settings, asked.polygons, asked.batch):
        lines += [f"| {count:,} polygons | figure | beside |", "|---|---|---|"]
        lines += [f"| {what} | {figure} | {beside} |" for what, figure, beside in rows] + [""]
    print("\n".join(lines))  # noqa: T201 - the table is what this program is for
    if asked.write:
        kept = [x for x in results.read_text("utf-8").split("\n## ") if not x.startswith(title)]
        results.write_text("\n## ".join([*kept, "\n".join(lines)[3:]]).rstrip() + "\n", "utf-8")
