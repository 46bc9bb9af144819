"""GML: order of axes by the form of srsName; ogr2ogr and formulas are the oracles."""

import math
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio
import pytest
import shapely

from layers.errors import BadParameter, CrsRefused, UnreadableFile

GML = "http://www.opengis.net/gml/3.2"
SQUARE = shapely.box(110.0, 19.0, 110.1, 19.1)
LAT_LON = "19 110 19 110.1 19.1 110.1 19.1 110 19 110"
LON_LAT = "110 19 110.1 19 110.1 19.1 110 19.1 110 19"


def collection(body: str, head: str = "") -> str:
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>{head}<gml:FeatureCollection xmlns:gml="{GML}" '
        f'xmlns:xlink="http://www.w3.org/1999/xlink" xmlns:n="urn:n">{body}</gml:FeatureCollection>'
    )


def member(geometry: str, rest: str = "<n:DLBM>0101</n:DLBM>", kind: str = "parcel") -> str:
    return (
        f'<gml:featureMember><n:{kind} gml:id="p1">{rest}<n:geom>{geometry}</n:geom></n:{kind}>'
        "</gml:featureMember>"
    )


def polygon(numbers: str, srs: str | None) -> str:
    name = f' srsName="{srs}"' if srs else ""
    return (
        f"<gml:Polygon{name}><gml:exterior><gml:LinearRing><gml:posList>{numbers}</gml:posList>"
        "</gml:LinearRing></gml:exterior></gml:Polygon>"
    )


def file_of(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "plan.gml"
    path.write_text(text, "utf-8")
    return path


@pytest.mark.parametrize(
    ("srs", "numbers", "code", "noted"),
    [
        ("urn:ogc:def:crs:EPSG::4490", LAT_LON, "EPSG:4490", False),
        ("urn:x-ogc:def:crs:EPSG:6.9:4490", LAT_LON, "EPSG:4490", False),
        ("http://www.opengis.net/def/crs/EPSG/0/4490", LAT_LON, "EPSG:4490", False),
        ("EPSG:4490", LON_LAT, "EPSG:4490", True),
        ("http://www.opengis.net/gml/srs/epsg.xml#4490", LON_LAT, "EPSG:4490", True),
        ("urn:ogc:def:crs:OGC:1.3:CRS84", LON_LAT, "urn:ogc:def:crs:OGC:1.3:CRS84", False),
        (None, LON_LAT, None, False),
    ],
)
def test_order_of_axes(
    tmp_path: Path, read_rows: Any, srs: str | None, numbers: str, code: str | None, *, noted: bool
) -> None:
    source, (row,) = read_rows(file_of(tmp_path, collection(member(polygon(numbers, srs)))))

    assert row.geometry.equals(SQUARE)
    assert source.crs_text == code
    assert ("axis-order-assumed" in [note.code for note in source.notes]) is noted


def test_northing_first_of_a_gauss_kruger_zone(tmp_path: Path, read_rows: Any) -> None:
    numbers = "2101000 37394000 2101000 37395000 2102000 37395000 2101000 37394000"
    srs = "urn:ogc:def:crs:EPSG::4525"

    source, (row,) = read_rows(file_of(tmp_path, collection(member(polygon(numbers, srs)))))

    assert source.crs_text == "EPSG:4525"
    assert row.geometry.bounds == (37394000, 2101000, 37395000, 2102000)


def test_several_coordinate_systems_are_refused(tmp_path: Path, read_rows: Any) -> None:
    text = collection(
        member(polygon(LAT_LON, "urn:ogc:def:crs:EPSG::4490"))
        + member(polygon(LON_LAT, "EPSG:4490"))  # the same code in another order
    )

    with pytest.raises(CrsRefused) as caught:
        read_rows(file_of(tmp_path, text))
    assert caught.value.code == "several-crs"


def test_codes_stay_text_and_ids_are_kept(tmp_path: Path, read_rows: Any) -> None:
    rest = "<n:DLBM>0101</n:DLBM><n:owner><n:Owner><n:name>甲</n:name></n:Owner></n:owner>"
    _, (row,) = read_rows(file_of(tmp_path, collection(member(polygon(LON_LAT, None), rest))))

    assert row.values == {"gml_id": "p1", "DLBM": "0101", "owner.Owner.name": "甲"}


def test_several_types_need_a_name(tmp_path: Path, read_rows: Any) -> None:
    path = file_of(
        tmp_path,
        collection(
            member(polygon(LON_LAT, None)) + member(polygon(LON_LAT, None), kind="road") * 2
        ),
    )

    with pytest.raises(BadParameter) as caught:
        read_rows(path)
    assert caught.value.code == "several-layers"
    assert len(read_rows(path, "road")[1]) == 2


def curve(segments: str) -> str:
    return f"<gml:Curve><gml:segments>{segments}</gml:segments></gml:Curve>"


def test_a_half_circle_becomes_segments(tmp_path: Path, read_rows: Any) -> None:
    arc = "<gml:Arc><gml:posList>0 0 1 1 2 0</gml:posList></gml:Arc>"
    _, (row,) = read_rows(file_of(tmp_path, collection(member(curve(arc)))))

    points = shapely.get_coordinates(row.geometry)
    assert row.linearised
    assert np.allclose(np.hypot(points[:, 0] - 1, points[:, 1]), 1.0, atol=1e-12)
    assert row.geometry.length == pytest.approx(math.pi, rel=1e-3)
    assert points[:, 1].min() > -1e-12  # the half that passes the middle point
    assert points[0].tolist() == [0, 0]
    assert points[-1].tolist() == [2, 0]


def test_a_circle_and_a_ring_of_curves(tmp_path: Path, read_rows: Any) -> None:
    circle = curve("<gml:Circle><gml:posList>0 0 1 1 2 0</gml:posList></gml:Circle>")
    ring = (
        "<gml:Polygon><gml:exterior><gml:Ring>"
        f"<gml:curveMember>{circle}</gml:curveMember></gml:Ring></gml:exterior></gml:Polygon>"
    )
    _, (row,) = read_rows(file_of(tmp_path, collection(member(ring))))

    assert row.linearised
    assert row.geometry.area == pytest.approx(math.pi, rel=2e-3)


def test_patches_of_a_surface_are_one_area(tmp_path: Path, read_rows: Any) -> None:
    patch = (
        "<gml:PolygonPatch><gml:exterior><gml:LinearRing><gml:posList>{}</gml:posList>"
        "</gml:LinearRing></gml:exterior></gml:PolygonPatch>"
    )
    text = "<gml:Surface><gml:patches>{}{}</gml:patches></gml:Surface>".format(
        patch.format("0 0 1 0 1 1 0 1 0 0"), patch.format("1 0 2 0 2 1 1 1 1 0")
    )
    _, (row,) = read_rows(file_of(tmp_path, collection(member(text))))

    assert row.geometry.equals(shapely.box(0, 0, 2, 1))


@pytest.mark.parametrize(
    "geometry",
    [
        polygon("110 19 110.1 19 110.1 19.1", None),
        polygon("110 19 110.1 19 110.1 19.1 110 19.1", None),  # open
        polygon("110 19 110.1 19 110.1", None),
        polygon("a b c d", None),
        "<gml:Solid/>",
        "<gml:MultiSurface><gml:surfaceMember xlink:href='#x'/></gml:MultiSurface>",
        curve(
            "<gml:LineStringSegment><gml:posList>0 0 1 1</gml:posList></gml:LineStringSegment>"
            "<gml:LineStringSegment><gml:posList>2 2 3 3</gml:posList></gml:LineStringSegment>"
        ),
        curve("<gml:BSpline><gml:posList>0 0 1 1 2 0</gml:posList></gml:BSpline>"),
    ],
)
def test_what_cannot_be_read_whole_is_a_fault(
    tmp_path: Path, read_rows: Any, geometry: str
) -> None:
    _, (row,) = read_rows(file_of(tmp_path, collection(member(geometry))))

    assert row.geometry == "geometry-unreadable"


def test_links_are_counted_and_their_rows_refused(tmp_path: Path, read_rows: Any) -> None:
    linked = (
        '<gml:featureMember><n:parcel><n:geom xlink:href="http://192.0.2.1/g"/></n:parcel>'
        "</gml:featureMember>"
    )
    source, rows = read_rows(file_of(tmp_path, collection(member(polygon(LON_LAT, None)) + linked)))

    assert [row.geometry for row in rows[1:]] == ["geometry-unreadable"]
    assert "gml-links-not-followed" in [note.code for note in source.notes]


@pytest.mark.parametrize(
    "head", ['<!DOCTYPE x SYSTEM "http://192.0.2.1/x.dtd">', "<!DOCTYPE x []>"]
)
def test_a_document_type_is_refused(tmp_path: Path, read_rows: Any, head: str) -> None:
    with pytest.raises(UnreadableFile) as caught:
        read_rows(file_of(tmp_path, collection(member(polygon(LON_LAT, None)), head)))
    assert caught.value.code == "xml-dtd"


@pytest.mark.parametrize(("version", "srs"), [
    ("GML3.2", "EPSG:4490"), ("GML3.2", "EPSG:4525"), ("GML3", "EPSG:4490"), ("GML2", "EPSG:4490"),
])  # fmt: skip
def test_files_of_ogr2ogr_come_back_in_place(
    tmp_path: Path, shared_data: Path, read_rows: Any, version: str, srs: str
) -> None:
    original = shared_data / "natural-earth-hainan" / "ne_10m_land_hainan.geojson"
    moved, path = tmp_path / "moved.gpkg", tmp_path / "made.gml"
    subprocess.run(
        ["ogr2ogr", "-a_srs" if srs == "EPSG:4490" else "-t_srs", srs, moved, original], check=True
    )
    subprocess.run(["ogr2ogr", "-f", "GML", "-dsco", f"FORMAT={version}", path, moved], check=True)

    source, rows = read_rows(path)

    oracle = shapely.from_wkb(pyogrio.raw.read(moved, columns=[])[2])
    assert source.crs_text == srs
    assert len(rows) == len(oracle) == 6
    for row, other in zip(rows, oracle, strict=True):
        assert shapely.equals_exact(row.geometry, other, 1e-3 if srs == "EPSG:4525" else 1e-9)
        assert row.values["featurecla"] == "Land"


@pytest.mark.parametrize("share", [0.4, 0.9, 0.99])
def test_a_file_cut_short_is_refused(tmp_path: Path, read_rows: Any, share: float) -> None:
    text = collection(member(polygon(LON_LAT, None)) * 40)

    with pytest.raises(UnreadableFile) as caught:
        read_rows(file_of(tmp_path, text[: int(len(text) * share)]))
    assert caught.value.code == "damaged-file"
