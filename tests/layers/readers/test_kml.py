"""KML and KMZ; GDAL's own KML drivers and hand-made files are the oracles."""

import subprocess
import zipfile
from pathlib import Path

import pyogrio
import pytest
import shapely

from layers.errors import BadParameter, LimitExceeded, UnreadableFile
from layers.readers import Source, open_source, stream

RING = "110,19,0 110.1,19,0 110.1,19.1,0 110,19.1,0 110,19,0"
HOLE = "110.02,19.02 110.04,19.02 110.04,19.04 110.02,19.04 110.02,19.02"
POLYGON = (
    f"<Polygon><outerBoundaryIs><LinearRing><coordinates>{RING}</coordinates></LinearRing>"
    "</outerBoundaryIs></Polygon>"
)


def kml(body: str, head: str = '<?xml version="1.0" encoding="UTF-8"?>') -> str:
    return (
        f'{head}\n<kml xmlns="http://www.opengis.net/kml/2.2" '
        f'xmlns:gx="http://www.google.com/kml/ext/2.2"><Document>{body}</Document></kml>'
    )


def placemark(geometry: str, rest: str = "") -> str:
    return f"<Placemark><name>地块</name>{rest}{geometry}</Placemark>"


def opened(path: Path, layer: str | None = None) -> Source:
    job = path.parent / f"job-{layer}-{path.name}"
    job.mkdir()
    return open_source(path, job, layer)


def rows(source: Source) -> list[tuple[object, dict[str, object]]]:
    return [
        (
            batch.geometries[i] if i not in batch.faults else batch.faults[i],
            {name: column[i].as_py() for name, column in batch.columns.items()},
        )
        for batch in stream(source)
        for i in range(len(batch))
    ]


def read(
    tmp_path: Path, text: str, encoding: str = "utf-8"
) -> list[tuple[object, dict[str, object]]]:
    path = tmp_path / "plan.kml"
    path.write_bytes(text.encode(encoding))
    return rows(opened(path))


def test_a_polygon_with_a_hole_and_its_data(tmp_path: Path) -> None:
    hole = POLYGON.replace(
        "</Polygon>",
        f"<innerBoundaryIs><LinearRing><coordinates>{HOLE}</coordinates></LinearRing>"
        "</innerBoundaryIs></Polygon>",
    )
    data = (
        '<ExtendedData><Data name="HXBM"><value>R001</value></Data>'
        '<SchemaData schemaUrl="#x"><SimpleData name="DLBM">0101</SimpleData></SchemaData>'
        "</ExtendedData>"
    )
    ((geometry, values),) = read(tmp_path, kml(placemark(hole, data)))

    expected = shapely.box(110, 19, 110.1, 19.1) - shapely.box(110.02, 19.02, 110.04, 19.04)
    assert isinstance(geometry, shapely.Polygon)
    assert geometry.equals(expected)
    assert not geometry.has_z  # heights of 0 are no heights
    assert values == {"name": "地块", "HXBM": "R001", "DLBM": "0101"}


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("<Point><coordinates>110,19</coordinates></Point>", "POINT (110 19)"),
        (
            "<LineString><coordinates>110,19 111,19</coordinates></LineString>",
            "LINESTRING (110 19, 111 19)",
        ),
        (
            "<Point><coordinates> 110.5 , 19.25 , 12 </coordinates></Point>",
            "POINT Z (110.5 19.25 12)",
        ),
        (
            "<MultiGeometry><Point><coordinates>1,2</coordinates></Point>"
            "<Point><coordinates>3,4</coordinates></Point></MultiGeometry>",
            "MULTIPOINT ((1 2), (3 4))",
        ),
    ],
)
def test_geometries_as_written(tmp_path: Path, text: str, kind: str) -> None:
    ((geometry, _),) = read(tmp_path, kml(placemark(text)))

    assert isinstance(geometry, shapely.Geometry)
    assert geometry.wkt == kind


@pytest.mark.parametrize(
    "geometry",
    [
        POLYGON.replace("110,19.1,0 110,19,0", "110,19.1,0"),  # open: Shapely would close it
        POLYGON.replace("110.1,19,0", "110.1"),
        POLYGON.replace("110.1,19,0", "east,19,0"),
        POLYGON.replace("<coordinates>", "<coordinate>").replace("</coordinates>", "</coordinate>"),
        "<Polygon/>",
        "<LineString><coordinates>110,19</coordinates></LineString>",
        "<gx:Track><gx:coord>110 19 0</gx:coord></gx:Track>",
        f"<MultiGeometry>{POLYGON}<Model/></MultiGeometry>",  # in part is not read
    ],
)
def test_what_cannot_be_read_whole_is_a_fault(tmp_path: Path, geometry: str) -> None:
    ((found, values),) = read(tmp_path, kml(placemark(geometry)))

    assert found == "geometry-unreadable"
    assert values == {"name": "地块"}


def test_a_placemark_without_geometry_is_a_missing_one(tmp_path: Path) -> None:
    assert read(tmp_path, kml("<Placemark><name>x</name></Placemark>"))[0][0] == "geometry-missing"


def test_several_folders_need_a_name_and_same_titles_their_path(tmp_path: Path) -> None:
    folder = "<Folder><name>{}</name>{}</Folder>"
    text = kml(
        folder.format("农田", placemark(POLYGON) * 2)
        + folder.format("甲", folder.format("红线", placemark(POLYGON)))
        + folder.format("乙", folder.format("红线", placemark(POLYGON) * 3))
    )
    path = tmp_path / "plan.kml"
    path.write_text(text, "utf-8")

    with pytest.raises(BadParameter) as caught:
        opened(path)
    assert caught.value.code == "several-layers"
    assert "农田" in str(caught.value)
    names = str(caught.value).split("(--source-layer): ")[1].rstrip(".").split(", ")
    job = tmp_path / "job"
    job.mkdir()
    second = next(name for name in names if "乙" in name)
    assert len(rows(open_source(path, job, second))) == 3


def test_the_sender_is_asked_about_gcj_02_and_links_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "plan.kml"
    link = "<NetworkLink><Link><href>http://192.0.2.1/x.kml</href></Link></NetworkLink>"
    path.write_text(kml(placemark(POLYGON) + link), "utf-8")

    source = opened(path)

    assert source.crs_text == "OGC:CRS84"
    codes = [note.code for note in source.notes]
    assert codes == ["kml-coordinates-unconfirmed", "kml-links-not-followed"]
    assert "GCJ-02" in source.notes[0].reason.zh


@pytest.mark.parametrize(
    ("encoding", "stated", "noted"),
    [
        ("gbk", "GB2312", False),
        ("gb18030", "gb18030", False),
        ("gbk", "UTF-8", True),
        ("utf-16", "UTF-16", False),
        ("utf-8-sig", "UTF-8", False),
    ],
)
def test_encodings(tmp_path: Path, encoding: str, stated: str, *, noted: bool) -> None:
    path = tmp_path / "plan.kml"
    head = f'<?xml version="1.0" encoding="{stated}"?>'
    path.write_bytes(kml(placemark(POLYGON), head).encode(encoding))

    source = opened(path)

    assert rows(source)[0][1] == {"name": "地块"}
    assert ("encoding-assumed" in [note.code for note in source.notes]) is noted


@pytest.mark.parametrize(
    "doctype",
    [
        '<!DOCTYPE kml [<!ENTITY x SYSTEM "file:///etc/hostname">]>',
        '<!DOCTYPE kml SYSTEM "http://192.0.2.1/x.dtd">',
        "<!DOCTYPE kml ["
        + '<!ENTITY a0 "lol">'
        + "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 12))
        + "]>",
        "<!DOCTYPE kml>",
    ],
    ids=["external entity", "external subset", "billion laughs", "bare"],
)
def test_a_document_type_is_refused(tmp_path: Path, doctype: str) -> None:
    with pytest.raises(UnreadableFile) as caught:
        read(tmp_path, kml(placemark(POLYGON, "<description>&x;</description>"), doctype))

    assert caught.value.code == "xml-dtd"


def test_nesting_is_bounded(tmp_path: Path) -> None:
    deep = "<Folder>" * 200_000

    with pytest.raises(LimitExceeded) as caught:
        read(tmp_path, kml(deep))

    assert caught.value.code == "nested-too-deep"


@pytest.mark.parametrize("share", [0.5, 0.9, 0.99])
def test_a_file_cut_short_is_refused(tmp_path: Path, share: float) -> None:
    text = kml(placemark(POLYGON) * 50)

    with pytest.raises(UnreadableFile) as caught:
        read(tmp_path, text[: int(len(text) * share)])

    assert caught.value.code == "damaged-file"


@pytest.mark.parametrize(
    ("driver", "name"), [("KML", "a.kml"), ("LIBKML", "b.kml"), ("LIBKML", "c.kmz")]
)
def test_files_of_gdal_are_read_as_gdal_reads_them(
    tmp_path: Path, shared_data: Path, driver: str, name: str
) -> None:
    original = shared_data / "natural-earth-hainan" / "ne_10m_land_hainan.geojson"
    path = tmp_path / name
    subprocess.run(["ogr2ogr", "-f", driver, path, original], check=True)

    found = rows(opened(path))

    oracle = shapely.from_wkb(pyogrio.raw.read(path, columns=[])[2])
    assert len(found) == len(oracle) == 6
    for (geometry, values), other in zip(found, oracle, strict=True):
        assert shapely.equals_exact(geometry, shapely.force_2d(other), 1e-12)  # type: ignore[call-overload]
        assert values["featurecla"] == "Land"


def test_an_archive_may_hold_a_kml(tmp_path: Path) -> None:
    path = tmp_path / "plan.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("文件/plan.kml", kml(placemark(POLYGON)))

    assert len(rows(opened(path))) == 1


def test_a_kmz_without_kml_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "plan.kmz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("picture.png", b"\x89PNG")

    with pytest.raises(UnreadableFile) as caught:
        opened(path)
    assert caught.value.code == "no-geometry"
