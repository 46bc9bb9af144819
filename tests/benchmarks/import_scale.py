"""An import to published and tile-ready beside plain ogr2ogr: time by stage and peak memory.

    make bench ARGS='import --rows 1500000'

Both read the same GeoPackage on the same machine in the same run: synthetic parcels that share
their edges, 17 vertices each, coordinates off the storage grid, as multipolygons. The peer is
``ogr2ogr`` into a table with a spatial index. Memory is the sum of RSS over all processes of ours,
the reading child with them (shared pages count several times), and of PSS over the database's, its
shared buffers with them. Processor time counts the programs' and
the database's together: it is what compares on a machine that others use as well.

Then an edition of which one row in a hundred differs: as a whole new file, and as a file of the
changed rows alone (``--changes``).
"""

import argparse
import datetime
import json
import math
import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import psycopg
import pyogrio
import shapely

from gis_service.local_postgis import running_cluster
from gis_service.settings import Settings
from layers.catalog import load_catalog
from layers.catalog_sync import sync_catalog
from layers.database import connect, migrate

PLAN, LAYER = "overall-plan", "planned_landuse"
WEST, SOUTH, EAST, NORTH = 108.70, 18.20, 110.90, 20.05
CODES = ("0101", "0103", "0201", "0301", "0401", "0701", "0703", "1001", "1202", "1701")
CHUNK_LINES = 50
Row = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Run:
    """One program: seconds and peak memory of its processes; the database's beside it."""

    seconds: float
    cpu_s: float
    peak_mb: float
    database_mb: float
    output: str


def write_parcels(file: Path, rows: int, changed: int = 0) -> int:
    """A GeoPackage of a jittered lattice; ``changed`` parcels have another name and a new corner.

    Gives the number of parcels (a whole lattice, so about ``rows``).
    """
    width = max(2, round(math.sqrt(rows * 1.2)))
    height = max(2, round(rows / width))
    made = 0
    for first in range(0, height, CHUNK_LINES):
        lines = min(CHUNK_LINES, height - first)
        shapes = _parcels(width, height, first, lines)
        numbers = np.arange(first * width, (first + lines) * width)
        names = np.array([f"图斑 {n}" for n in numbers], dtype=object)
        for n in _changed(width * height, changed):
            if first * width <= n < (first + lines) * width:
                names[n - first * width] += " 调整"
                shapes[n - first * width] = _without_a_vertex(shapes[n - first * width])
        pyogrio.raw.write(
            str(file),
            shapely.to_wkb(shapely.multipolygons([[shape] for shape in shapes])),
            [
                np.array([f"4600{n:014d}" for n in numbers], dtype=object),
                np.array([CODES[n % len(CODES)] for n in numbers], dtype=object),
                names,
                np.full(len(numbers), "460105", dtype=object),
                shapely.area(shapes) * 1.17e10,
            ],
            ["BSM", "YDYHFLDM", "YDYHFLMC", "XZQDM", "TBMJ"],
            geometry_type="MultiPolygon",
            crs="EPSG:4490",
            layer="landuse",
            append=first > 0,
        )
        made += len(numbers)
    return made


def _changed(total: int, changed: int) -> list[int]:
    return list(range(0, total, max(1, total // changed)))[:changed] if changed else []


def _without_a_vertex(shape: shapely.Polygon) -> shapely.Polygon:
    points = shapely.get_coordinates(shape)
    return shapely.Polygon(np.delete(points, 2, axis=0))


def _parcels(width: int, height: int, first: int, lines: int) -> npt.NDArray[np.object_]:
    """Cells of some lines of a lattice over the province."""
    scale = (EAST - WEST) / (width + 1), (NORTH - SOUTH) / (height + 1)
    return parcels(width, first, lines, (WEST, SOUTH), scale)


def parcels(
    width: int, first: int, lines: int, origin: tuple[float, float], scale: tuple[float, float]
) -> npt.NDArray[np.object_]:
    """Cells of some lines of the lattice: 4 edges of 4 segments, edges shared by neighbours.

    ``scale`` is the size of a cell in degrees of longitude and latitude.
    """
    x, y = np.meshgrid(np.arange(width + 1), np.arange(first, first + lines + 1))
    corners = np.stack((x, y), axis=-1) + 0.2 * _jitter(x, y, 1)
    shares = np.array([0.25, 0.5, 0.75])[:, None]

    def edges(
        a: npt.NDArray[np.float64],
        b: npt.NDArray[np.float64],
        salt: int,
        ij: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]],
    ) -> npt.NDArray[np.float64]:
        mid = a[:, :, None, :] + shares * (b - a)[:, :, None, :]
        wobble = np.stack([_jitter(*ij, salt + k) for k in range(3)], axis=2)
        return mid + 0.08 * wobble

    east = edges(corners[:, :-1], corners[:, 1:], 10, (x[:, :-1], y[:, :-1]))
    north = edges(corners[:-1], corners[1:], 20, (x[:-1], y[:-1]))
    c = corners[:, :, None, :]
    ring = np.concatenate(
        (
            c[:-1, :-1], east[:-1], c[:-1, 1:], north[:, 1:], c[1:, 1:],
            east[1:, :, ::-1], c[1:, :-1], north[:, :-1, ::-1], c[:-1, :-1],
        ),
        axis=2,
    )  # fmt: skip
    points = np.array(origin) + (ring.reshape(-1, 17, 2) + 0.5) * np.array(scale)
    found: npt.NDArray[np.object_] = shapely.polygons(points)
    return found


def _jitter(
    x: npt.NDArray[np.int64], y: npt.NDArray[np.int64], salt: int
) -> npt.NDArray[np.float64]:
    """Two numbers in -1..1 for each lattice point, the same wherever they are asked for."""
    seed = x.astype(float) * 12.9898 + y.astype(float) * 78.233 + salt * 37.719
    first = np.sin(seed) * 43758.5453
    second = np.sin(seed * 1.7 + 0.5) * 24634.6345
    return np.stack((first - np.floor(first), second - np.floor(second)), axis=-1) * 2 - 1


def run(command: list[str], environment: dict[str, str], postmaster: int) -> Run:
    """Run a program to its end; exit codes 0 and 1 are results."""
    began, used = time.perf_counter(), _cpu_s(postmaster)
    process = subprocess.Popen(
        command, env={**os.environ, **environment}, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    peak = [0.0, 0.0]
    beside: dict[int, float] = {}
    watcher = threading.Thread(target=_watch, args=(process, postmaster, peak, beside), daemon=True)
    watcher.start()
    output, errors = process.communicate()
    seconds = time.perf_counter() - began
    if process.returncode not in (0, 1) or (not output.strip() and "--json" in command):
        raise RuntimeError(f"{command[:3]}: {errors[-800:]}")
    time.sleep(0.3)  # until the server has seen its processes end
    spent = _cpu_s(postmaster) - used + sum(beside.values())
    return Run(seconds, spent, peak[0], peak[1], output)


def _cpu_s(postmaster: int) -> float:
    """Processor time of our ended children and of the database with its ended processes."""
    ours = resource.getrusage(resource.RUSAGE_CHILDREN)
    return ours.ru_utime + ours.ru_stime + _ticks_s(postmaster, 4)


def _ticks_s(pid: int, counters: int) -> float:
    """Processor time of a process (2 counters), with that of its ended children (4)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(int(field) for field in fields[11 : 11 + counters]) / os.sysconf("SC_CLK_TCK")


def _watch(
    process: "subprocess.Popen[str]", postmaster: int, peak: list[float], beside: dict[int, float]
) -> None:
    """Peaks of the sums: RSS of our processes, and PSS of the database's (shared pages once).

    ``beside`` gets the processor time of processes that the program leaves to a fork server: the
    program does not wait for them, so nobody else counts them.
    """
    while process.poll() is None:
        children = _children()
        family = list(_family(process.pid, children))
        for pid in family[1:]:
            with suppress(OSError):
                beside[pid] = _ticks_s(pid, 2)
        ours = sum(_mb(pid, "status", "VmRSS") for pid in family)
        base = sum(_mb(pid, "smaps_rollup", "Pss") for pid in _family(postmaster, children))
        peak[:] = [max(peak[0], ours), max(peak[1], base)]
        time.sleep(0.5)


def _children() -> dict[int, list[int]]:
    """Who is whose child now, the fork server's among them."""
    found: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        found.setdefault(parent, []).append(int(stat.parent.name))
    return found


def _family(pid: int, children: dict[int, list[int]]) -> Iterator[int]:
    yield pid
    for child in children.get(pid, ()):
        yield from _family(child, children)


def _mb(pid: int, file: str, key: str) -> float:
    try:
        lines = Path(f"/proc/{pid}/{file}").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(x.split()[1]) / 1e3 for x in lines if x.startswith(f"{key}:")), 0.0)


def peer(dsn: str, file: Path, postmaster: int) -> Run:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("DROP SCHEMA IF EXISTS bench_ogr CASCADE")
        connection.execute("CREATE SCHEMA bench_ogr")
    found = run(
        ["ogr2ogr", "-f", "PostgreSQL", f"PG:{psycopg.conninfo.make_conninfo(dsn)}", str(file),
         "-nln", "bench_ogr.landuse", "--config", "PG_USE_COPY", "YES"], {}, postmaster,
    )  # fmt: skip
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("DROP SCHEMA bench_ogr CASCADE")
    return found


@contextmanager
def library(settings: Settings) -> Iterator[tuple[str, int]]:
    """An own cluster with the settings of the service, its library emptied; DSN and process."""
    with running_cluster(settings.data_dir, say=print) as cluster:
        with psycopg.connect(cluster.dsn("postgres"), autocommit=True) as server:
            server.execute("DROP DATABASE IF EXISTS bench_import WITH (FORCE)")
            server.execute("CREATE DATABASE bench_import")
        dsn = cluster.dsn("bench_import")
        with connect(dsn) as connection:
            migrate(connection)
            sync_catalog(connection, load_catalog(settings.config_dir))
        lines = (cluster.data_dir / "postmaster.pid").read_text().splitlines()
        yield dsn, int(lines[0])


@dataclass(frozen=True, slots=True)
class Bench:
    """The library measured on, and the peer's figures to compare with."""

    dsn: str
    postmaster: int
    count: int
    plain: Run
    table: list[Row]

    def program(self, *arguments: str) -> Run:
        name = str(Path(sys.executable).with_name("gis-service"))
        environment = {"DATABASE_URL": self.dsn}
        return run([name, *arguments, "--json"], environment, self.postmaster)

    def published(self, what: str, *arguments: str) -> tuple[float, dict[str, Any]]:
        """Import and publish; give the seconds of both and the import's report."""
        load = self.program("import", *arguments, "--plan", PLAN, "--layer", LAYER)
        report: dict[str, Any] = json.loads(load.output)
        put = self.program("publish", PLAN)
        for name, step in ((f"{what}: `import`", load), (f"{what}: `publish`", put)):
            spent = f"{step.seconds:.1f} s, {step.cpu_s:.1f} s CPU"
            peak = f"peak {step.peak_mb:,.0f} MB RSS; database {step.database_mb:,.0f} MB PSS"
            print(name, spent, peak, flush=True)  # noqa: T201 - a long run says where it is
            self.table.append((name, spent, peak))
        whole, cpu = load.seconds + put.seconds, load.cpu_s + put.cpu_s
        self.table.append(
            (f"{what}: to published and tile-ready", f"{self.count / whole:,.0f} rows/s",
             f"{whole:.1f} s, **{whole / self.plain.seconds:.2f}× ogr2ogr**"
             f" (CPU {cpu / self.plain.cpu_s:.2f}×)")
        )  # fmt: skip
        return whole, report


def measure(settings: Settings, rows: int) -> tuple[int, list[Row]]:
    """The table of one run."""
    folder = settings.data_dir
    folder.mkdir(parents=True, exist_ok=True)
    file, next_file, few = (folder / f"parcels-{rows}{end}.gpkg" for end in ("", "-next", "-few"))
    count = _made(file, lambda new: write_parcels(new, rows))
    _made(next_file, lambda new: write_parcels(new, rows, count // 100))
    _made(few, lambda new: _only_changed(next_file, new))
    table: list[Row] = []
    with library(settings) as (dsn, postmaster):
        plain = peer(dsn, file, postmaster)
        table.append(("ogr2ogr to table and index", f"{count / plain.seconds:,.0f} rows/s",
                      f"{plain.seconds:.1f} s, {plain.cpu_s:.1f} s CPU"))  # fmt: skip
        bench = Bench(dsn, postmaster, count, plain, table)
        whole_s, report = bench.published("whole", str(file))
        if report["accepted"] != count:
            raise RuntimeError(f"rows were refused: {report['issue_counts']}")
        for what, arguments in (
            ("1 % differs, whole file", [str(next_file)]),
            ("1 % differs, `--changes`", [str(few), "--changes"]),
        ):
            spent_s, report = bench.published(what, *arguments)
            table.append((f"{what}: {report['changes']}", f"{spent_s / whole_s:.1%} of the whole",
                          ""))  # fmt: skip
    return count, table


def _only_changed(whole: Path, new: Path) -> int:
    subprocess.run(
        ["ogr2ogr", "-f", "GPKG", str(new), str(whole), "-where", "YDYHFLMC LIKE '% 调整'"],
        check=True, capture_output=True,
    )  # fmt: skip
    return 0


def _made(file: Path, write: Callable[[Path], int]) -> int:
    if not file.exists():
        new = file.with_suffix(".new.gpkg")
        new.unlink(missing_ok=True)
        write(new)
        new.rename(file)
    return int(pyogrio.read_info(file)["features"])


def main(arguments: list[str], data_dir: Path, results: Path) -> None:
    """Measure and print; with ``--write`` the table goes into the results as well."""
    parser = argparse.ArgumentParser(prog="import", description="import beside ogr2ogr")
    parser.add_argument("--rows", type=int, default=300_000)
    parser.add_argument("--write", action="store_true", help="append to RESULTS.md")
    asked = parser.parse_args(arguments)
    settings = Settings().model_copy(update={"data_dir": data_dir / "import"})
    count, table = measure(settings, asked.rows)
    day = datetime.datetime.now(datetime.UTC).date()
    title = f"import of {count:,} polygons"
    load = f"load average {os.getloadavg()[2]:.1f} (others use the machine)"
    lines = [f"## {title}", "", f"{day}, {os.cpu_count()} cores, {load}", "",
             "| what | figure | beside |", "|---|---|---|"]  # fmt: skip
    lines += [f"| {what} | {figure} | {beside} |" for what, figure, beside in table]
    print("\n".join(lines))  # noqa: T201 - the table is what this program is for
    if asked.write:
        kept = [p for p in results.read_text("utf-8").split("\n## ") if not p.startswith(title)]
        results.write_text("\n## ".join([*kept, "\n".join(lines)[3:]]).rstrip() + "\n", "utf-8")


if __name__ == "__main__":
    here = Path(__file__)
    main(sys.argv[1:], here.resolve().parents[2] / ".data" / "bench", here.with_name("RESULTS.md"))
