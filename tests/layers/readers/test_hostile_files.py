"""Files that point outside: nothing they name is opened, nobody they name is visited.

Opening is seen by the kernel's own notification (inotify) on a canary file, from whatever process
it comes; visits by a listener on the loopback interface. Both have a control that GDAL as it comes
does open and visit. GDAL is also let loose on the raw files inside the sandbox, past our readers.
"""

import ctypes
import datetime
import json
import os
import random
import sqlite3
import stat
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyogrio
import pyogrio.raw
import pytest
import shapely

from layers.catalog import Catalog
from layers.database import Connection
from layers.errors import GaveUp, GisError
from layers.plan_import import ImportReport, import_file
from layers.sandbox import Sandbox

REGION = (107.9, 17.6, 111.9, 20.7)
SQUARE = shapely.box(110.0, 19.0, 110.01, 19.01)
SUFFIXES: Final = (
    ".geojson", ".json", ".kml", ".gml", ".shp", ".gpkg", ".dxf", ".fgb", ".txt", ".csv", ".gdb",
    "",
)  # fmt: skip
_IN_ACCESS, _IN_OPEN = 0x1, 0x20

Import = Callable[[Path], ImportReport]


class Canary:
    """A readable file; ``opened`` says whether anybody opened it since the last question."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.write_text("x,y,secret\n110,19,canary\n")
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._fd = self._libc.inotify_init1(os.O_NONBLOCK)
        watch = self._libc.inotify_add_watch(
            self._fd, os.fsencode(path), ctypes.c_uint32(_IN_OPEN | _IN_ACCESS)
        )
        assert self._fd >= 0
        assert watch >= 0

    def opened(self) -> bool:
        try:
            return bool(os.read(self._fd, 65_536))
        except BlockingIOError:
            return False

    def close(self) -> None:
        os.close(self._fd)


@pytest.fixture
def canary(tmp_path: Path) -> Iterator[Canary]:
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    made = Canary(folder / "canary.csv")
    yield made
    made.close()


@pytest.fixture
def take(connection: Connection, sandbox: Sandbox, catalog: Catalog) -> Import:
    def call(path: Path) -> ImportReport:
        return import_file(
            connection, sandbox, catalog, path,
            plan_id="overall-plan", layer_id="ecological_redline", region_bbox=REGION,
            valid_from=datetime.date(2026, 1, 1), source_crs=None, deadline_s=30,
        )  # fmt: skip

    return call


def tried(take: Import, path: Path) -> str:
    """The code of the refusal, or ``read``; anything but an error of ours fails the test."""
    try:
        take(path)
    except GisError as error:
        return error.code
    return "read"


def gdal_alone(sandbox: Sandbox, path: Path) -> None:
    """GDAL on the raw file in the child; a refusal is welcome, a crash is not."""
    try:
        sandbox.run(pyogrio.read_info, path, deadline_s=20)
    except GaveUp:
        raise
    except Exception:
        return


def vrt(canary: Path) -> str:
    return (
        f'<OGRVRTDataSource><OGRVRTLayer name="canary"><SrcDataSource>{canary}</SrcDataSource>'
        "</OGRVRTLayer></OGRVRTDataSource>"
    )


def zipped(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


# --- controls: what GDAL as it comes would do -------------------------------------------------


def test_gdal_as_it_comes_opens_the_canary(tmp_path: Path, canary: Canary) -> None:
    path = tmp_path / "plan.geojson"
    path.write_text(vrt(canary.path))
    assert not canary.opened()

    pyogrio.read_info(path)

    assert canary.opened()


def linked_geojson(port: int) -> str:
    link = {"type": "link", "properties": {"href": f"http://127.0.0.1:{port}/x", "type": "proj4"}}
    feature = {"type": "Feature", "properties": {"HXBM": "R1"},
               "geometry": shapely.geometry.mapping(SQUARE)}  # fmt: skip
    return json.dumps({"type": "FeatureCollection", "crs": link, "features": [feature]})


def test_gdal_as_it_comes_visits_the_listener_and_in_the_sandbox_cannot(
    tmp_path: Path, visited: Any, sandbox: Sandbox
) -> None:
    """Red with the isolation off: here no reader of ours stands before GDAL."""
    path = tmp_path / "plan.geojson"
    path.write_text(linked_geojson(visited.port))

    sandbox.run(pyogrio.read_info, path, deadline_s=20)
    with pytest.raises(Exception):  # noqa: B017, PT011 (which one is GDAL's business)
        sandbox.run(pyogrio.read_info, f"/vsicurl/http://127.0.0.1:{visited.port}/x.geojson",
                    deadline_s=20)  # fmt: skip
    assert visited.seen == []

    pyogrio.read_info(path)
    assert visited.seen


# --- C1: VRT in disguise ----------------------------------------------------------------------


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("form", ["bare", "comment", "declared", "in zip", "pieces"])
def test_a_vrt_under_any_name_reads_nothing(
    tmp_path: Path, canary: Canary, take: Import, suffix: str, form: str
) -> None:
    text = vrt(canary.path)
    if form == "comment":
        text = f"<!-- <kml> {{ -->\n{text}"
    elif form == "declared":
        text = f'<?xml version="1.0"?>\n{text}'
    elif form == "pieces":
        text = text.replace("><SrcData", ">\n<!-- <wfs:FeatureCollection> -->\n<SrcData")
    if form == "in zip":
        path = zipped(tmp_path / "plan.zip", {f"plan{suffix}": text.encode()})
    else:
        path = tmp_path / f"plan{suffix}"
        path.write_text(text)

    assert tried(take, path) != "read"
    assert not canary.opened()


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_gdal_alone_in_the_sandbox_reads_no_vrt(
    tmp_path: Path, canary: Canary, sandbox: Sandbox, suffix: str
) -> None:
    path = tmp_path / f"plan{suffix}"
    path.write_text(vrt(canary.path))

    with pytest.raises(Exception):  # noqa: B017, PT011 (which one is GDAL's business)
        sandbox.run(pyogrio.read_info, path, deadline_s=20)
    assert not canary.opened()


# --- C2: everything that can point outside ----------------------------------------------------

RING = "110,19 110.01,19 110.01,19.01 110,19.01 110,19"
GML_RING = "19 110 19 110.01 19.01 110.01 19.01 110 19 110"


def kml_variants(outside: str) -> dict[str, str]:
    area = (
        f"<Polygon><outerBoundaryIs><LinearRing><coordinates>{RING}</coordinates></LinearRing>"
        "</outerBoundaryIs></Polygon>"
    )
    mark = (
        f"<Placemark><styleUrl>{outside}#s</styleUrl><ExtendedData><SchemaData "
        f'schemaUrl="{outside}#t"><SimpleData name="HXBM">R1</SimpleData></SchemaData>'
        f"</ExtendedData>{area}</Placemark>"
    )
    parts = {
        "network link": f"<NetworkLink><Link><href>{outside}</href></Link></NetworkLink>",
        "old link": f"<NetworkLink><Url><href>{outside}</href></Url></NetworkLink>",
        "icon": f"<Style><IconStyle><Icon><href>{outside}</href></Icon></IconStyle></Style>",
        "overlay": f"<GroundOverlay><Icon><href>{outside}</href></Icon></GroundOverlay>",
        "model": f"<Placemark><Model><Link><href>{outside}</href></Link></Model></Placemark>",
        "schema": f'<kml:x xmlns:kml="k" xsi:schemaLocation="k {outside}" '
        'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"/>',
        "include": f'<xi:include xmlns:xi="http://www.w3.org/2001/XInclude" href="{outside}"/>',
    }
    head = '<kml xmlns="http://www.opengis.net/kml/2.2">'
    found = {name: f"{head}<Document>{part}{mark}</Document></kml>" for name, part in parts.items()}
    found["update"] = (
        f"{head}<NetworkLinkControl><Update><targetHref>{outside}</targetHref></Update>"
        f"</NetworkLinkControl><Document>{mark}</Document></kml>"
    )
    found["stylesheet"] = f'<?xml-stylesheet href="{outside}"?>' + found["icon"]
    found["entity"] = f'<!DOCTYPE kml [<!ENTITY x SYSTEM "{outside}">]>' + found["icon"].replace(
        ">R1<", ">&x;<"
    )
    found["subset"] = f'<!DOCTYPE kml SYSTEM "{outside}">' + found["icon"]
    found["parameter entity"] = (
        f'<!DOCTYPE kml [<!ENTITY % x SYSTEM "{outside}"> %x;]>' + found["icon"]
    )
    return found


def gml_variants(outside: str) -> dict[str, str]:
    def text(location: str = "", srs: str = "urn:ogc:def:crs:EPSG::4490", more: str = "") -> str:
        return (
            '<gml:FeatureCollection xmlns:gml="http://www.opengis.net/gml/3.2" xmlns:n="n" '
            'xmlns:xlink="http://www.w3.org/1999/xlink" '
            f'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" {location}>'
            f"<gml:featureMember><n:p><n:HXBM>R1</n:HXBM>{more}<n:g><gml:Polygon "
            f'srsName="{srs}"><gml:exterior><gml:LinearRing><gml:posList>{GML_RING}'
            "</gml:posList></gml:LinearRing></gml:exterior></gml:Polygon></n:g></n:p>"
            "</gml:featureMember></gml:FeatureCollection>"
        )

    plain = text()
    return {
        "schema": text(f'xsi:schemaLocation="n {outside}"'),
        "wfs schema": text(
            f'xsi:schemaLocation="http://www.opengis.net/wfs {outside}?SERVICE=WFS&amp;'
            'REQUEST=DescribeFeatureType"'
        ),
        "no namespace": text(f'xsi:noNamespaceSchemaLocation="{outside}"'),
        "srs": text(srs=outside),
        "link": text(more=f'<n:ref xlink:href="{outside}"/>'),
        "geometry link": plain.replace("<n:g>", f'<n:g xlink:href="{outside}#g"/><n:g>'),
        "entity": f'<!DOCTYPE x [<!ENTITY x SYSTEM "{outside}">]>' + plain.replace(">R1", ">&x;"),
        "subset": f'<!DOCTYPE x SYSTEM "{outside}">' + plain,
    }


def dxf(outside: str) -> str:
    pairs = [0, "SECTION", 2, "BLOCKS", 0, "BLOCK", 2, "X", 70, 4, 10, 0, 20, 0, 3, "X",
             1, outside, 0, "ENDBLK", 0, "ENDSEC", 0, "SECTION", 2, "ENTITIES",
             0, "INSERT", 2, "X", 8, "0", 10, 0, 20, 0, 0, "IMAGE", 8, "0", 340, "A", 1, outside,
             0, "LWPOLYLINE", 8, "0", 90, 3, 70, 1, 10, 1, 20, 1, 10, 2, 20, 1, 10, 2, 20, 2,
             0, "ENDSEC", 0, "EOF"]  # fmt: skip
    return "".join(f"{value}\n" for value in pairs)


def shapefile(folder: Path, outside: str) -> Path:
    folder.mkdir()
    path = folder / "plan.shp"
    pyogrio.raw.write(
        path, np.array([SQUARE.wkb]), [np.array(["R1"], dtype=object)], ["HXBM"],
        geometry_type="Polygon", crs="EPSG:4490", driver="ESRI Shapefile",
    )  # fmt: skip
    path.with_suffix(".prj").write_text(outside)
    return path


def pointing_files(folder: Path, outside: str, port: int) -> dict[str, Path]:
    """Files of every kind that point to an address or path."""
    folder.mkdir()
    files: dict[str, Path] = {}
    texts = {f"kml {name}": ("kml", text) for name, text in kml_variants(outside).items()}
    texts |= {f"gml {name}": ("gml", text) for name, text in gml_variants(outside).items()}
    texts["dxf"] = ("dxf", dxf(outside))
    texts["geojson"] = ("geojson", linked_geojson(port))
    texts["geojson name"] = (
        "geojson",
        linked_geojson(port).replace('"link"', '"name"').replace('"href"', '"name"'),
    )
    for number, (name, (suffix, text)) in enumerate(texts.items()):
        files[name] = folder / f"{number}.{suffix}"
        files[name].write_text(text, "utf-8")
        if suffix in ("kml", "gml"):
            zipped(folder / f"{number}.zip", {f"x.{suffix}": text.encode()})
            files[f"{name} in zip"] = folder / f"{number}.zip"
        if suffix == "kml":
            files[f"{name} in kmz"] = zipped(folder / f"{number}.kmz", {"doc.kml": text.encode()})
    files["prj"] = shapefile(folder / "shape", outside)
    return files


READABLE: Final = {
    "kml network link", "kml icon", "kml overlay", "kml stylesheet", "gml schema", "gml link",
    "gml wfs schema",
}  # fmt: skip


@pytest.mark.parametrize("target", ["listener", "file"])
def test_nothing_that_a_file_names_is_opened_or_visited(
    tmp_path: Path, canary: Canary, visited: Any, take: Import, sandbox: Sandbox, target: str
) -> None:
    address = f"http://127.0.0.1:{visited.port}/x"
    outside = address if target == "listener" else canary.path.as_uri()
    outcomes = {}
    for name, path in pointing_files(tmp_path / "files", outside, visited.port).items():
        outcomes[name] = tried(take, path)
        # And past our readers: GDAL alone, with its drivers and its network taken away.
        gdal_alone(sandbox, path)

    assert visited.seen == []
    assert not canary.opened()
    assert len(outcomes) > 50
    assert {name for name in READABLE if outcomes[name] != "read"} == set()
    assert {outcomes[name] for name in outcomes if "entity" in name or "subset" in name} == {
        "xml-dtd"
    }
    assert outcomes["geojson"] == "crs-link"


def test_files_beside_a_gml_are_not_looked_at(tmp_path: Path, take: Import) -> None:
    """GDAL's own driver reads .gfs and .xsd beside the file and writes a .gfs there."""
    path = tmp_path / "plan.gml"
    path.write_text(gml_variants("urn:x")["schema"])
    beside = [Canary(path.with_suffix(suffix)) for suffix in (".gfs", ".xsd")]
    try:
        assert tried(take, path) == "read"
        assert [one.opened() for one in beside] == [False, False]
    finally:
        for one in beside:
            one.close()


# --- C4, C6: archives and databases -----------------------------------------------------------


@pytest.mark.parametrize("name", ["plan.shp", "plan.kml", "x.gdb/a00000001.gdbtable", "plan.dxf"])
def test_links_in_archives_are_refused(
    tmp_path: Path, canary: Canary, take: Import, name: str
) -> None:
    path = tmp_path / "plan.zip"
    with zipfile.ZipFile(path, "w") as archive:
        link = zipfile.ZipInfo(name)
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, str(canary.path))

    assert tried(take, path) == "hostile-archive"
    assert not canary.opened()


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE VIEW plan AS SELECT 1 AS fid, load_extension('{canary}') AS geom",
        "CREATE VIEW plan AS SELECT 1 AS fid, readfile('{canary}') AS geom",
        "CREATE VIRTUAL TABLE plan USING fts4(a)",
        "CREATE TABLE plan (fid INTEGER PRIMARY KEY, geom BLOB);"
        "CREATE TRIGGER t AFTER INSERT ON plan BEGIN SELECT writefile('{canary}', 'x'); END",
    ],
)
def test_a_hostile_database_does_nothing(
    tmp_path: Path, canary: Canary, take: Import, sandbox: Sandbox, statement: str
) -> None:
    path = tmp_path / "plan.gpkg"
    pyogrio.raw.write(
        path, np.array([SQUARE.wkb]), [], [], geometry_type="Polygon", crs="EPSG:4490",
        driver="GPKG", layer="plan",
    )  # fmt: skip
    with sqlite3.connect(path) as database:
        for trigger in database.execute("SELECT name FROM sqlite_master WHERE type='trigger'"):
            database.execute(f'DROP TRIGGER "{trigger[0]}"')
        database.execute("DROP TABLE plan")
        database.executescript(statement.format(canary=canary.path))
    database.close()
    before = canary.path.read_bytes()
    canary.opened()

    assert tried(take, path) != "read"
    gdal_alone(sandbox, path)

    assert not canary.opened()
    assert canary.path.read_bytes() == before


# --- C5: mutated bytes ------------------------------------------------------------------------


def sound_files(folder: Path) -> dict[str, Path]:
    folder.mkdir()
    shapes = np.array([shapely.box(110 + n / 100, 19, 110.005 + n / 100, 19.005).wkb
                       for n in range(20)])  # fmt: skip
    names = np.array([f"R{n}" for n in range(20)], dtype=object)
    files = {}
    for driver, name in (
        ("GPKG", "a.gpkg"), ("ESRI Shapefile", "b.shp"), ("FlatGeobuf", "c.fgb"),
    ):  # fmt: skip
        pyogrio.raw.write(
            folder / name, shapes, [names], ["HXBM"], geometry_type="Polygon", crs="EPSG:4490",
            driver=driver,
        )  # fmt: skip
        files[driver] = folder / name
    files["DBF"] = files["ESRI Shapefile"]
    for suffix, text in (
        ("kml", kml_variants("x")["icon"]), ("gml", gml_variants("x")["link"]), ("dxf", dxf("x")),
    ):  # fmt: skip
        files[suffix] = folder / f"d.{suffix}"
        files[suffix].write_text(text, "utf-8")
    return files


def mutated(content: bytes, seed: random.Random) -> bytes:
    changed = bytearray(content)
    if seed.random() < 0.3:
        return bytes(changed[: seed.randrange(len(changed))])
    for _ in range(seed.choice((1, 3, 20))):
        changed[seed.randrange(len(changed))] = seed.choice((0, 0xFF, seed.randrange(256)))
    if seed.random() < 0.2:
        at = seed.randrange(len(changed))
        changed[at:at] = changed[max(0, at - 40) : at] * seed.choice((1, 50))
    return bytes(changed)


@pytest.mark.slow
def test_mutated_files_are_refused_or_read_and_never_more(
    tmp_path: Path, connection: Connection, take: Import, sandbox: Sandbox
) -> None:
    """700 files (seeds are fixed): errors are ours, and leave not one row behind."""
    files = sound_files(tmp_path / "sound")
    refused = 0
    for number in range(700):
        seed = random.Random(number)
        kind = list(files)[number % len(files)]
        folder = tmp_path / "mutants"
        folder.mkdir()
        for part in files[kind].parent.glob(f"{files[kind].stem}.*"):
            (folder / part.name).write_bytes(part.read_bytes())
        target = folder / files[kind].name
        if kind == "DBF":
            target = target.with_suffix(seed.choice((".dbf", ".shx", ".prj", ".cpg")))
        target.write_bytes(mutated(target.read_bytes(), seed))
        before = contents_with_rows(connection)
        try:
            take(folder / files[kind].name)
        except GisError:
            refused += 1
            assert contents_with_rows(connection) <= before, f"seed {number} ({kind})"
        for left in folder.iterdir():
            left.unlink()
        folder.rmdir()

    assert refused > 200
    assert sandbox.run(abs, -3, deadline_s=20) == 3


def contents_with_rows(connection: Connection) -> set[int]:
    """Numbers only grow; contents that a later import replaced are swept meanwhile."""
    found = connection.execute(
        "SELECT content_id FROM library.feature UNION SELECT id FROM library.layer_content"
    )
    return {content for (content,) in found}
