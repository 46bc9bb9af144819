"""Content decides; a name or an extension proves nothing."""

import time
import zipfile
from pathlib import Path

import numpy as np
import pyogrio.raw
import pytest
import shapely

from layers.errors import BadInput, UnreadableFile
from layers.readers import open_source
from layers.readers.recognise import recognise

FOREIGN = {
    "AutoCAD DWG": b"AC1027\x00\x00\x00\x00\x00\x00 drawing",
    "MDB": b"\x00\x01\x00\x00Standard Jet DB\x00 more",
    "VCT": "HeadBegin\r\nDatamark:LANDUSE-VCT\r\nVersion:3.0\r\n".encode("gbk"),
    "GDAL VRT": b'<OGRVRTDataSource><OGRVRTLayer name="x"/></OGRVRTDataSource>',
    "XML": b'<?xml version="1.0"?>\n<gpx><wpt/></gpx>',
    "binary DXF": b"AutoCAD Binary DXF\r\n\x1a\x00\x00\x00SECTION\x00",
    "PDF": b"%PDF-1.7 \n",
    "TIFF": b"II*\x00\x08\x00\x00\x00",
    "RAR": b"Rar!\x1a\x07\x00 ",
    "7z": b"7z\xbc\xaf\x27\x1c  ",
    "gzip": b"\x1f\x8b\x08\x00 ",
    "TopoJSON": b'{"type": "Topology", "objects": {}}',
}


@pytest.mark.parametrize("name", FOREIGN)
@pytest.mark.parametrize("suffix", [".geojson", ".shp", ".gpkg", ".bin"])
def test_what_is_not_read_is_named_with_advice(tmp_path: Path, name: str, suffix: str) -> None:
    path = tmp_path / f"plan{suffix}"
    path.write_bytes(FOREIGN[name])

    with pytest.raises(UnreadableFile) as caught:
        recognise(path)

    assert name in str(caught.value)
    assert caught.value.code == "format-declined"
    assert any(letter >= "\u4e00" for letter in caught.value.text.zh)


ADMITTED = {
    "kml": [
        b'<?xml version="1.0"?>\n<!-- a <gml> --><kml xmlns="http://www.opengis.net/kml/2.2"/>',
        b'<!DOCTYPE kml [<!ENTITY a "]b>">]><k:kml/>',
        b"\xef\xbb\xbf<kml></kml>",
        "<kml/>".encode("utf-16"),
    ],
    "gml": [
        b'<?xml version="1.0"?>\n<wfs:FeatureCollection xmlns:wfs="w"/>',
        b"<gml:FeatureCollection><kml/></gml:FeatureCollection>",
    ],
    "dxf": [b"  0\nSECTION\n  2\nHEADER\n", b"999\r\nmade by hand\r\n0\r\nSECTION\r\n2\r\n"],
}


@pytest.mark.parametrize(
    ("name", "content"), [(name, one) for name, all_ in ADMITTED.items() for one in all_]
)
def test_text_formats_are_told_by_their_beginning(
    tmp_path: Path, name: str, content: bytes
) -> None:
    path = tmp_path / "upload"
    path.write_bytes(content)

    assert recognise(path) == name

    with pytest.raises(UnreadableFile) as caught:
        recognise(path.rename(tmp_path / "plan.gpkg"))
    assert caught.value.code == "wrong-extension"


def test_comments_before_the_root_cost_no_time(tmp_path: Path) -> None:
    path = tmp_path / "plan.kml"
    path.write_bytes(b"<!-- -->" * 8_000 + b"<nothing/>")
    begin = time.monotonic()

    with pytest.raises(UnreadableFile):
        recognise(path)

    assert time.monotonic() - begin < 1


@pytest.mark.parametrize("content", [b"", b"   \n", b"\x00\x00\x00\x00\xff\xfe\xfd", b"hello"])
def test_no_known_content_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "plan.gpkg"
    path.write_bytes(content)

    with pytest.raises(UnreadableFile) as caught:
        recognise(path)

    assert caught.value.code in ("empty-file", "unknown-format")


@pytest.mark.parametrize("wrong", [".shp", ".geojson", ".zip", ".fgb"])
def test_a_right_file_with_a_wrong_extension_says_what_it_is(tmp_path: Path, wrong: str) -> None:
    path = tmp_path / "plan.gpkg"
    pyogrio.raw.write(
        path, np.array([shapely.Point(110, 19).wkb]), [], [], geometry_type="Point",
        crs="EPSG:4490", driver="GPKG",
    )  # fmt: skip
    renamed = path.rename(path.with_suffix(wrong))

    with pytest.raises(UnreadableFile) as caught:
        open_source(renamed, tmp_path)

    assert caught.value.code == "wrong-extension"
    assert "geopackage" in str(caught.value)


def test_an_upload_without_extension_is_read_by_its_content(tmp_path: Path) -> None:
    path = tmp_path / "made.gpkg"
    pyogrio.raw.write(
        path, np.array([shapely.Point(110, 19).wkb]), [], [], geometry_type="Point",
        crs="EPSG:4490", driver="GPKG", layer="places",
    )  # fmt: skip
    job = tmp_path / "job"
    job.mkdir()

    source = open_source(path.rename(tmp_path / "a1b2c3"), job)

    assert (source.format, source.layer, source.crs_text) == ("GeoPackage", "places", "EPSG:4490")


def test_an_sqlite_database_is_no_geopackage(tmp_path: Path) -> None:
    import sqlite3

    path = tmp_path / "plan.gpkg"
    database = sqlite3.connect(path)
    database.execute("CREATE TABLE secrets (id integer)")
    database.commit()
    database.close()

    with pytest.raises(UnreadableFile, match="no GeoPackage"):
        open_source(path, tmp_path)


def test_several_layers_need_a_name_and_the_error_lists_them(tmp_path: Path) -> None:
    path = tmp_path / "plan.gpkg"
    for layer in ("redline", "farmland"):
        pyogrio.raw.write(
            path, np.array([shapely.Point(110, 19).wkb]), [], [], geometry_type="Point",
            crs="EPSG:4490", driver="GPKG", layer=layer, append=path.exists(),
        )  # fmt: skip

    with pytest.raises(BadInput, match="farmland, redline"):
        open_source(path, tmp_path)
    with pytest.raises(BadInput, match="no layer 'x'"):
        open_source(path, tmp_path, "x")
    assert open_source(path, tmp_path, "redline").layer == "redline"


@pytest.mark.parametrize("keep", [200, 4096, 20_000, 60_000])
def test_a_geopackage_cut_short_is_refused(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "plan.gpkg"
    pyogrio.raw.write(
        path, np.array([shapely.Point(110, 19).wkb] * 500), [], [], geometry_type="Point",
        crs="EPSG:4490", driver="GPKG",
    )  # fmt: skip
    whole = path.read_bytes()
    assert len(whole) > keep
    path.write_bytes(whole[:keep])

    with pytest.raises(UnreadableFile):
        _read_all(path, tmp_path)


def test_a_view_and_a_virtual_table_are_not_read(tmp_path: Path) -> None:
    import sqlite3

    path = tmp_path / "plan.gpkg"
    pyogrio.raw.write(
        path, np.array([shapely.Point(110, 19).wkb]), [], [], geometry_type="Point",
        crs="EPSG:4490", driver="GPKG", layer="real",
    )  # fmt: skip
    database = sqlite3.connect(path)
    database.execute("CREATE VIEW trap AS SELECT * FROM real")
    database.execute("UPDATE gpkg_contents SET table_name = 'trap', identifier = 'trap'")
    database.execute("PRAGMA foreign_keys = OFF")
    database.execute("UPDATE gpkg_geometry_columns SET table_name = 'trap'")
    database.commit()
    database.close()

    with pytest.raises(UnreadableFile) as caught:
        open_source(path, tmp_path)

    assert caught.value.code == "not-a-table"


def test_a_folder_and_an_archive_with_one_shapefile_are_the_same(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    pyogrio.raw.write(
        folder / "面.shp", np.array([shapely.box(110, 19, 111, 20).wkb]),
        [np.array(["农田"], dtype=object)], ["名称"], geometry_type="Polygon", crs="EPSG:4490",
        driver="ESRI Shapefile", encoding="UTF-8",
    )  # fmt: skip
    archive = tmp_path / "plan.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        for file in folder.iterdir():
            packed.write(file, f"计划/{file.name}")

    for number, path in enumerate((folder, archive, folder / "面.shp")):
        job = tmp_path / f"job{number}"
        job.mkdir()
        batch = _read_all(path, job)[0]
        assert batch.columns["名称"].to_pylist() == ["农田"]
        assert batch.geometries[0].equals(shapely.box(110, 19, 111, 20))


def _read_all(path: Path, job: Path):  # type: ignore[no-untyped-def]
    from layers.readers import stream

    return list(stream(open_source(path, job)))
