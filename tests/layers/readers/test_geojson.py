"""GeoJSON: a crs member never reaches GDAL, whatever its spelling and place."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pyogrio
import pytest

from layers.errors import CrsRefused, UnreadableFile
from layers.readers import open_source, stream
from layers.readers.geojson import _depth, _object_at

FEATURE = {
    "type": "Feature",
    "properties": {"名称": "农田"},
    "geometry": {"type": "Point", "coordinates": [110.0, 19.0]},
}


@pytest.fixture
def listener() -> Iterator[tuple[int, list[bytes]]]:
    seen: list[bytes] = []
    stop = threading.Event()
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        server.settimeout(0.1)

        def serve() -> None:
            while not stop.is_set():
                try:
                    connection, _ = server.accept()
                except TimeoutError:
                    continue
                with connection:
                    seen.append(connection.recv(200))
                    connection.sendall(b"HTTP/1.0 404 Not Found\r\nContent-Length: 0\r\n\r\n")

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield server.getsockname()[1], seen
        finally:
            stop.set()
            thread.join()


def collection(crs: str, *, key: str = '"crs"', last: bool = False) -> str:
    member = f"{key}: {crs}" if crs else ""
    parts = ['"type": "FeatureCollection"', f'"features": [{json.dumps(FEATURE)}]']
    parts.insert(len(parts) if last else 1, member)
    return "{" + ", ".join(part for part in parts if part) + "}"


def read(path: Path, job: Path) -> tuple[str | None, list[str]]:
    job.mkdir(exist_ok=True)
    source = open_source(path, job)
    names = [name for batch in stream(source) for name in batch.columns["名称"].to_pylist()]
    return source.crs_text, names


@pytest.mark.parametrize("key", ['"crs"', '"\\u0063rs"', '"c\\u0072\\u0073"', '"CRS"'])
@pytest.mark.parametrize("place", ["top", "end", "feature", "geometry"])
def test_a_link_is_never_followed(
    tmp_path: Path, listener: tuple[int, list[bytes]], key: str, place: str
) -> None:
    port, seen = listener
    link = json.dumps(
        {"type": "link", "properties": {"href": f"http://127.0.0.1:{port}/x", "type": "proj4"}}
    )
    text = collection("")
    if place == "geometry":
        text = text.replace('"type": "Point"', f'{key}: {link}, "type": "Point"')
    elif place == "feature":
        text = text.replace('"properties"', f'{key}: {link}, "properties"')
    else:
        text = collection(link, key=key, last=place == "end")
    path = tmp_path / "plan.geojson"
    path.write_text(text, "utf-8")

    if place in ("top", "end"):
        with pytest.raises(CrsRefused) as caught:
            read(path, tmp_path / "job")
        assert caught.value.code == "crs-link"
    else:
        assert read(path, tmp_path / "job") == ("OGC:CRS84", ["农田"])

    assert seen == []


def test_gdal_alone_would_follow_it(tmp_path: Path, listener: tuple[int, list[bytes]]) -> None:
    port, seen = listener
    link = {"type": "link", "properties": {"href": f"http://127.0.0.1:{port}/x", "type": "proj4"}}
    path = tmp_path / "plan.geojson"
    path.write_text(collection(json.dumps(link)), "utf-8")

    pyogrio.read_info(path)

    assert seen, "GDAL follows no links any more: this defence may be a relic"


@pytest.mark.parametrize(
    "name",
    ["urn:ogc:def:crs:EPSG::4490", "EPSG:4526", "urn:ogc:def:crs:OGC:1.3:CRS84"],
)
@pytest.mark.parametrize("last", [False, True])
def test_a_named_crs_is_honoured_by_us(tmp_path: Path, name: str, *, last: bool) -> None:
    crs = json.dumps({"type": "name", "properties": {"name": name}})
    path = tmp_path / "plan.geojson"
    path.write_text(collection(crs, last=last), "utf-8")

    assert read(path, tmp_path / "job") == (name, ["农田"])


def test_a_crs_null_or_a_property_of_that_name_does_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "plan.geojson"
    path.write_text(
        collection("null").replace('"properties": {', '"properties": {"crs": "x", '), "utf-8"
    )

    assert read(path, tmp_path / "job")[0] == "OGC:CRS84"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "utf-16"])
def test_encodings_other_than_utf_8_are_read_and_noted(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "plan.geojson"
    text = json.dumps({"type": "FeatureCollection", "features": [FEATURE]}, ensure_ascii=False)
    path.write_text(text, encoding)
    job = tmp_path / "job"

    assert read(path, job)[1] == ["农田"]

    fresh = tmp_path / "fresh"
    fresh.mkdir()
    noted = [note.code for note in open_source(path, fresh).notes]
    assert noted == ([] if encoding.startswith("utf-8") else ["encoding-assumed"])


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9, 0.995])
def test_a_file_cut_short_is_refused(tmp_path: Path, share: float) -> None:
    path = tmp_path / "plan.geojson"
    text = json.dumps({"type": "FeatureCollection", "features": [FEATURE] * 100})
    path.write_text(text[: int(len(text) * share)], "utf-8")

    with pytest.raises(UnreadableFile):
        read(path, tmp_path / "job")


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        '{"type": "FeatureCollection", "features": []}',
        '{"type": "FeatureCollection", "features": ' + "[" * 5000 + "]" * 5000 + "}",
        '{"a": 1}',
    ],
)
def test_nothing_to_read_is_an_error(tmp_path: Path, text: str) -> None:
    path = tmp_path / "plan.geojson"
    path.write_text(text, "utf-8")

    with pytest.raises(UnreadableFile):
        read(path, tmp_path / "job")


ENDLESS = b'"' + b'\\"' * 100_000


def test_a_string_that_never_ends_is_read_once() -> None:
    """Tried again from each of its escaped quotes it took minutes."""
    begin = time.monotonic()

    assert _depth(b"{" + ENDLESS) == 1
    assert _depth(b"{" + ENDLESS + b"\\\n}") == 1
    with pytest.raises(UnreadableFile):
        _object_at(b"{" + ENDLESS, 0)

    assert time.monotonic() - begin < 1.0


def test_a_file_with_such_a_string_before_its_crs_is_judged_at_once(tmp_path: Path) -> None:
    crs = b'"crs": {"type": "name", "properties": {"name": "EPSG:4490"}}'
    path = tmp_path / "plan.geojson"
    path.write_bytes(b'{"a": ' + ENDLESS + b'\\\n", ' + crs + b"}")
    begin = time.monotonic()

    with pytest.raises(UnreadableFile):
        read(path, tmp_path / "job")

    assert time.monotonic() - begin < 1.0


def test_braces_and_quotes_in_strings_are_not_counted() -> None:
    raw = b'{"a": "}\\"}", "b": {"c": "\\\\"}}'

    assert _object_at(raw + b", {}", 0) == raw
    assert _depth(raw) == 0
    assert _depth(b'{"[\\"{": [') == 2
