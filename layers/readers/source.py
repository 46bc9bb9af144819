"""What every reader gives: a ``Source`` that says what was found, and batches of its rows."""

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import pyogrio
import shapely
from pyogrio.errors import DataLayerError, DataSourceError
from pyogrio.raw import open_arrow
from pyogrio.raw import read as read_rows

from layers.crs import GeometryArray
from layers.declared_area import DeclaredArea
from layers.errors import UnreadableFile
from layers.text import Text

BATCH_ROWS: Final = 2000
"""Rows a batch; bounds the memory of an import together with the vertices of its polygons."""

_CURVES: Final = frozenset({8, 9, 10, 11, 12, 13, 14})
"""WKB types with arcs: circular string, compound curve, curve polygon, multi curve, ..."""


@dataclass(frozen=True, slots=True)
class Note:
    """Something about the file as a whole that the sender should know."""

    code: str
    reason: Text


@dataclass(frozen=True, slots=True)
class Source:
    """One layer of a file, ready to be streamed by one named GDAL driver or by its own reader.

    A format that GDAL does not read, or not rightly, brings ``batches``: a function that reads the
    file anew each time, and ``driver`` is then its own name.

    ``crs_text`` is what the file says (a code or WKT), None if it says nothing; it is read by
    ``layers.crs.parse_crs``, never by GDAL. ``feature_count`` is None where the file does not
    know it before it is read; ``fields`` are the attribute names as the file has them.
    """

    format: str
    driver: str
    path: Path
    layer: str | None
    crs_text: str | None
    fields: tuple[str, ...]
    feature_count: int | None = None
    encoding: str | None = None
    notes: tuple[Note, ...] = ()
    batches: "Callable[[], Iterator[Batch]] | None" = None
    alternative_names: Mapping[str, str] = field(default_factory=dict)
    """What a database calls its fields for people (标识码 for BSM), by field."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Some rows in file order.

    ``geometries`` holds None where the row has none or where ``faults`` (by index in the batch)
    says what was wrong with it; ``linearised`` are the indices of rows that had arcs.
    """

    first_row: int
    geometries: GeometryArray
    columns: dict[str, pa.Array]
    faults: dict[int, str] = field(default_factory=dict)
    linearised: tuple[int, ...] = ()
    fault_lines: dict[int, int] = field(default_factory=dict)
    """The line of the file that a fault stands in, for formats made of lines."""
    declared_areas: dict[int, DeclaredArea] = field(default_factory=dict)
    """Areas that the file itself declares, by index; held against the measured ones."""
    wkb: pa.Array | None = None
    """The geometries as the file has them; None where the format has no WKB."""
    left_out: int = 0
    """Rows among these that ``choose`` of ``stream`` did not want."""
    rows: tuple[int, ...] | None = None
    """The numbers of the rows in the file where some were left out; else counted on."""

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.geometries)


def damaged(what: str, detail: str = "") -> UnreadableFile:
    """The error for a file that begins as its format does and breaks off or contradicts itself."""
    tail = f" ({detail})" if detail else ""
    return UnreadableFile(
        f"The {what} is damaged or cut short{tail}; nothing was imported. Send it again.",
        f"{what} 文件已损坏或不完整{tail}，未导入任何内容；请重新提供。",
        code="damaged-file",
    )


def describe(
    format_name: str,
    driver: str,
    path: Path,
    layer: str | None,
    *,
    crs_text: str | None = None,
    encoding: str | None = None,
    notes: tuple[Note, ...] = (),
    feature_count: int | None = None,
) -> Source:
    """Open a file by GDAL for its field names; another driver than the expected is refused."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            info = pyogrio.read_info(path, layer=layer, encoding=encoding)
    except (DataSourceError, DataLayerError, ValueError, IndexError) as error:
        raise damaged(format_name, _first_line(error)) from error
    if info["driver"] != driver:
        raise UnreadableFile(
            f"The file was taken for {format_name} and read as {info['driver']}; it is refused.",
            f"文件被识别为 {format_name}，但按 {info['driver']} 解析，已拒绝。",
            code="format-mismatch",
        )
    if info["geometry_type"] is None:
        raise UnreadableFile(
            f"The {format_name} holds a table without geometry.",
            f"{format_name} 中只有属性表，没有图形。",
            code="no-geometry",
        )
    count = feature_count if feature_count is not None else int(info["features"])
    if count == 0:
        raise UnreadableFile(
            f"The {format_name} has a layer without rows; there is nothing to import.",
            f"{format_name} 图层没有任何记录，无可导入内容。",
            code="no-rows",
        )
    return Source(
        format=format_name,
        driver=driver,
        path=path,
        layer=layer if layer is not None else info["layer_name"],
        crs_text=crs_text if crs_text is not None else info["crs"],
        fields=tuple(str(name) for name in info["fields"]),
        feature_count=count if count > 0 else None,
        encoding=encoding,
        notes=notes,
    )


Choose = Callable[[int, list[bytes | None], dict[str, pa.Array]], list[int] | None]
"""Given the first row's number, WKB and fields of a batch: which indices are wanted; None = all."""


def stream(
    source: Source, columns: list[str] | None = None, choose: Choose | None = None
) -> Iterator[Batch]:
    """Read a source batch by batch (Arrow); fewer rows than announced is a damaged file.

    With ``choose`` only the wanted rows are decoded (a source with its own batches gives all).
    """
    if source.batches is not None:
        yield from source.batches()
        return
    row = 1
    try:
        with ExitStack() as stack:
            meta, reader = stack.enter_context(_open_quietly(source, columns))
            geometry_name = meta["geometry_name"] or "wkb_geometry"
            fid_name = meta["fid_column"] or "OGC_FID"
            for record in reader:
                if record.num_rows:
                    # Of damaged files GDAL has given offsets that run backwards.
                    record.column(geometry_name).validate(full=True)
                    yield _batch(source, record, row, geometry_name, fid_name, choose)
                    row += record.num_rows
    except (DataSourceError, DataLayerError, pa.ArrowException, RuntimeError, OSError) as error:
        raise damaged(source.format, _first_line(error)) from error
    if source.feature_count is not None and row - 1 < source.feature_count:
        raise damaged(source.format, f"{row - 1}/{source.feature_count}")


@contextmanager
def _open_quietly(source: Source, columns: list[str] | None) -> Iterator[tuple[Any, Any]]:
    """Open for Arrow; that GDAL drops M from a type's name is no news (the importer notes it)."""
    opened = open_arrow(
        source.path,
        layer=source.layer,
        encoding=source.encoding,
        columns=columns,
        batch_size=BATCH_ROWS,
        use_pyarrow=True,
        return_fids=True,
    )
    with ExitStack() as stack:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = stack.enter_context(opened)
        yield found


def _batch(
    source: Source,
    record: Any,
    first_row: int,
    geometry_name: str,
    fid_name: str,
    choose: Choose | None,
) -> Batch:
    wkb = record.column(geometry_name)
    encoded: list[bytes | None] = wkb.to_pylist()
    fids = record.column(fid_name).to_pylist() if fid_name in record.schema.names else []
    names = [name for name in record.schema.names if name not in (geometry_name, fid_name)]
    columns = {name: _readable(record.column(name)) for name in names}
    wanted = choose(first_row, encoded, columns) if choose is not None else None
    if wanted is not None:
        picked = pa.array(wanted, pa.int64())
        wkb, columns = wkb.take(picked), {n: column.take(picked) for n, column in columns.items()}
        encoded = [encoded[index] for index in wanted]
        fids = [fids[index] for index in wanted] if fids else []
    geometries, faults, curved = decode(encoded)
    linearised: list[int] = []
    for index in curved:
        straight = _linearise(source, fids[index]) if fids else None
        if straight is None:
            faults[index] = "geometry-unreadable"
        else:
            geometries[index] = straight
            linearised.append(index)
    return Batch(
        first_row=first_row,
        geometries=geometries,
        columns=columns,
        faults=faults,
        linearised=tuple(linearised),
        wkb=wkb,
        left_out=record.num_rows - len(encoded),
        rows=tuple(first_row + index for index in wanted) if wanted is not None else None,
    )


def _readable(column: pa.Array) -> pa.Array:
    """Text that is UTF-8 throughout: GDAL passes on values cut inside their last character."""
    if not pa.types.is_string(column.type):
        return column
    try:
        column.validate(full=True)
    except pa.ArrowInvalid:
        encoded = column.cast(pa.binary())
        encoded.validate(full=True)
        raw = encoded.to_pylist()
        return pa.array(
            [None if value is None else value.decode("utf-8", "ignore") for value in raw],
            pa.string(),
        )
    return column


def decode(encoded: list[bytes | None]) -> tuple[GeometryArray, dict[int, str], list[int]]:
    """WKB to geometries; gives them, the faults by index, and the indices that hold arcs."""
    heads = [wkb[:5] if wkb is not None else b"" for wkb in encoded]
    arcs = {head for head in set(heads) if _has_arcs(head)}
    curved = [i for i, head in enumerate(heads) if head in arcs] if arcs else []
    plain = np.array(encoded, dtype=object)
    plain[curved] = None
    faults = {i: "geometry-missing" for i, wkb in enumerate(encoded) if wkb is None}
    try:
        geometries: GeometryArray = shapely.from_wkb(plain, on_invalid="ignore")
    except NotImplementedError:
        # Arcs inside a collection: one row spoils the whole call, so go one by one.
        geometries = np.array([_decode_one(wkb) for wkb in plain], dtype=object)
    present = np.array([wkb is not None for wkb in plain], dtype=bool)
    unreadable = shapely.is_missing(geometries) & present
    for index in np.flatnonzero(unreadable):
        faults[int(index)] = "geometry-unreadable"
    return geometries, faults, curved


def _decode_one(wkb: bytes | None) -> Any:
    try:
        return shapely.from_wkb(wkb, on_invalid="ignore") if wkb is not None else None
    except NotImplementedError:
        return None


def _has_arcs(wkb: bytes) -> bool:
    if len(wkb) < 5:
        return False
    kind = int.from_bytes(wkb[1:5], "little" if wkb[0] == 1 else "big") & 0x0FFFFFFF
    return kind % 1000 in _CURVES


def _linearise(source: Source, fid: int) -> Any:
    """One row with its arcs turned into short straight segments by GDAL (4 degrees a step)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _, _, encoded, _ = read_rows(source.path, layer=source.layer, fids=[fid], columns=[])
    return _decode_one(encoded[0]) if len(encoded) else None


def _first_line(error: Exception) -> str:
    """The reason without paths: the name of a job's folder is nobody's business."""
    text = str(error).strip().splitlines()[0] if str(error).strip() else ""
    return " ".join(word for word in text.split() if "/" not in word)[:160]
