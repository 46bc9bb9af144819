"""The same seed gives the same bytes, in another process and under another string hash."""

import hashlib
import os
import subprocess
import sys

import shapely

_OTHER = """
import hashlib, shapely
from gis_service.demo_province import build
for edition in build("small"):
    for layer in edition.layers:
        digest = hashlib.sha256()
        chunks = list(layer.chunks())
        for chunk in chunks:
            for wkb in shapely.to_wkb(chunk.geometries):
                digest.update(wkb)
        for name in sorted(chunks[0].attributes):
            column = [value for chunk in chunks for value in chunk.attributes[name]]
            digest.update(f"{name}{column}".encode())
        print(layer.layer_id, digest.hexdigest(), layer.coverage and layer.coverage.wkt)
"""


def _line(content) -> str:
    digest = hashlib.sha256()
    for wkb in shapely.to_wkb(content.geometries):
        digest.update(wkb)
    for name, column in sorted(content.attributes.items()):
        digest.update(f"{name}{list(column)}".encode())
    return f"{content.layer_id} {digest.hexdigest()} {content.coverage and content.coverage.wkt}"


def test_another_process_draws_the_same_province(small):
    other = subprocess.run(
        [sys.executable, "-c", _OTHER],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONHASHSEED": "4711"},
        timeout=240,
    )
    assert other.stdout.splitlines() == [_line(content) for content in small.contents]
