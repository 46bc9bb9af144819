"""FlatGeobuf: one layer a file; GDAL verifies its buffers."""

from pathlib import Path

from layers.readers.geopackage import choose_layer
from layers.readers.source import Source, describe


def open_flatgeobuf(path: Path, job_dir: Path, layer: str | None) -> Source:
    """The one layer of the file; ``job_dir`` is not needed."""
    source = describe("FlatGeobuf", "FlatGeobuf", path, None)
    choose_layer("FlatGeobuf", [source.layer or ""], layer)
    return source
