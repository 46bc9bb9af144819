"""What writers are given: frozen values of one layer, longitude and latitude on EPSG:4490."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import orjson
import pyarrow as pa  # type: ignore[import-untyped]
import shapely

from layers.catalog import Attribute, GeometryKind, Layer
from layers.crs import GeometryArray
from layers.text import Text

FileFormat = Literal[
    "geopackage", "geojson", "shapefile", "dxf", "boundary-txt", "flatgeobuf", "geoparquet", "csv"
]
SUFFIXES: Final[dict[FileFormat, str]] = {
    "geopackage": ".gpkg",
    "geojson": ".geojson",
    "shapefile": ".zip",
    "dxf": ".dxf",
    "boundary-txt": ".txt",
    "flatgeobuf": ".fgb",
    "geoparquet": ".parquet",
    "csv": ".csv",
}
ID_COLUMN: Final = "feature_id"
_SCHEMA: Final = pa.schema(
    [("feature_id", pa.string()), ("attributes", pa.binary()), ("geometry", pa.binary())]
)


@dataclass(frozen=True, slots=True)
class FeatureBatch:
    """Some features: their ids, attributes by name, and geometries."""

    feature_ids: Sequence[str]
    attributes: Sequence[Mapping[str, Any]]
    geometries: GeometryArray


@dataclass(frozen=True, slots=True)
class TableHead:
    """What the features are: name of the layer, its title, kind of geometry, attributes."""

    name: str
    title: Text
    geometry: GeometryKind
    attributes: tuple[Attribute, ...]
    label: str | None = None
    id_attribute: str | None = None

    @classmethod
    def of_layer(cls, layer: Layer) -> "TableHead":
        """The head of a catalogue layer; personal attributes are not in it."""
        return cls(
            layer.id, layer.title, layer.geometry, layer.kept_attributes, layer.label,
            layer.id_attribute,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class FeatureTable:
    """A head and its features, which are read once."""

    head: TableHead
    batches: Iterable[FeatureBatch]


@dataclass(frozen=True, slots=True)
class Written:
    """The file, how many features it holds, and what the format could not hold."""

    path: Path
    features: int
    notes: tuple[Text, ...] = field(default=())


def save_batches(batches: Iterable[FeatureBatch], path: Path) -> int:
    """Put features into a file for the child that writes; gives their number."""
    count = 0
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, _SCHEMA) as out:
        for batch in batches:
            count += len(batch.feature_ids)
            encoded = shapely.to_wkb(batch.geometries, output_dimension=2, byte_order=1)
            out.write_batch(
                pa.record_batch(
                    [
                        pa.array(list(batch.feature_ids), pa.string()),
                        pa.array([orjson.dumps(dict(a)) for a in batch.attributes], pa.binary()),
                        pa.array(encoded.tolist(), pa.binary()),
                    ],
                    schema=_SCHEMA,
                )
            )
    return count


def load_batches(path: Path) -> Iterator[FeatureBatch]:
    """Read what ``save_batches`` wrote, batch by batch."""
    with pa.OSFile(str(path), "rb") as source, pa.ipc.open_stream(source) as stream:
        for record in stream:
            yield FeatureBatch(
                record.column("feature_id").to_pylist(),
                [orjson.loads(text) for text in record.column("attributes").to_pylist()],
                np.asarray(
                    shapely.from_wkb(record.column("geometry").to_pylist()), dtype=object
                ).reshape(-1),
            )
