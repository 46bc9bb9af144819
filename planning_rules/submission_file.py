"""A submission from a file of any admitted format; runs in a child of ``layers.sandbox`` only.

Every row is a parcel of one submission. Attributes are taken by the names that the rules ask for,
whatever the case, also where a format cut them to ten bytes; what a file cannot say by type (a
DBF has no truth values) is read by the type of the attribute. An empty text is no answer: it
becomes unknown, never a value.
"""

import hashlib
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import shapely

from layers.crs import Box
from layers.errors import BadInput, CrsRefused, InvalidGeometry, LimitExceeded, Place
from layers.geometry_faults import REASONS
from layers.readers import Batch, Source, open_source, stream
from layers.text import Text
from planning_rules.remark import Remark
from planning_rules.rule_set import AttributeField
from planning_rules.submission import Received, Submission, read_submission

MOST_PARCELS: Final = 10_000
_CUT_NAME_BYTES: Final = 10
_PLAIN_NUMBER: Final = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_TRUE: Final = frozenset({"true", "t", "yes", "y", "1", "是", "1.0"})
_FALSE: Final = frozenset({"false", "f", "no", "n", "0", "否", "0.0"})


@dataclass(frozen=True, slots=True)
class FileRequest:
    """A file and what its sender says beside it.

    ``attributes`` hold for every parcel and go before those of the file; ``layer`` names the
    layer inside the file where there are several; ``source_crs`` goes before the file's own.
    """

    path: Path
    job_dir: Path
    region: Box
    fields: tuple[AttributeField, ...]
    layer: str | None = None
    source_crs: str | None = None
    attributes: Mapping[str, Any] | None = None
    name: str | None = None


def read_submission_file(request: FileRequest) -> Submission:
    """Read the file; ``UnreadableFile``, ``CrsRefused``, ``InvalidGeometry`` with the row."""
    source = open_source(request.path, request.job_dir, request.layer)
    crs_text = request.source_crs or source.crs_text
    if not crs_text:
        raise CrsRefused(
            "The file does not say its coordinate reference system; state it (--source-crs, over "
            "HTTP: source_crs).",
            "文件未说明坐标系；请指定坐标系（--source-crs，HTTP 为 source_crs）。",
            code="no-crs",
        )
    features = list(_features(source, request))
    submission = read_submission(
        {"type": "FeatureCollection", "features": features},
        source_crs=crs_text,
        region_bbox=request.region,
    )
    notes = tuple(Remark(note.code, note.reason) for note in source.notes)
    return replace(
        submission,
        notes=(*notes, *submission.notes),
        received=_received(source.format, request.path),
    )


def _received(format_name: str, path: Path) -> Received:
    """Size and digest of a file, or of a folder's files one after the other by name."""
    files = sorted(p for p in path.iterdir() if p.is_file()) if path.is_dir() else [path]
    digest, size = hashlib.sha256(), 0
    for file in files:
        content = file.read_bytes()
        digest.update(content)
        size += len(content)
    return Received(format_name, size, digest.hexdigest())


def _features(source: Source, request: FileRequest) -> Iterator[dict[str, Any]]:
    names = _names(source.fields, request.fields)
    count = 0
    for batch in stream(source, None):
        count += len(batch)
        if count > MOST_PARCELS:
            raise LimitExceeded(
                f"The file has more than {MOST_PARCELS:,} parcels.",
                f"文件的地块超过 {MOST_PARCELS:,} 个。",
            )
        columns = {name: batch.columns[name].to_pylist() for name in names if name in batch.columns}
        for index in range(len(batch)):
            _refuse_fault(batch, index)
            given = {
                names[field].name: _read(values[index], names[field])
                for field, values in columns.items()
            }
            declared = batch.declared_areas.get(index)
            if declared is not None and declared.unit is not None:
                given.setdefault("declared_area_m2", declared.in_m2(declared.unit))
            properties = {**given, **(request.attributes or {})}
            if request.name is not None and properties.get("name") is None:
                properties["name"] = request.name
            yield {
                "type": "Feature",
                "geometry": json.loads(shapely.to_geojson(batch.geometries[index])),
                "properties": properties,
            }


def _refuse_fault(batch: Batch, index: int) -> None:
    fault = batch.faults.get(index)
    if fault is None and batch.geometries[index] is not None:
        return
    reason = REASONS[fault or "geometry-missing"]
    line = batch.fault_lines.get(index)
    at = f"line {line}" if line is not None else f"row {batch.first_row + index}"
    at_zh = f"第 {line} 行" if line is not None else f"第 {batch.first_row + index} 个地块"
    raise InvalidGeometry(
        f"{at}: {reason.en}.", f"{at_zh}：{reason.zh}。", places=(Place(at, reason),)
    )


def _names(fields: Sequence[str], wanted: Sequence[AttributeField]) -> dict[str, AttributeField]:
    """Which field of the file is which attribute; one that fits two attributes is none.

    Two fields that are one attribute are refused: whichever was taken, the other says otherwise.
    """
    found: dict[str, AttributeField] = {}
    for field in fields:
        lower = field.lower()
        fitting = [one for one in wanted if one.name == lower]
        if not fitting and len(field.encode()) == _CUT_NAME_BYTES:
            fitting = [one for one in wanted if one.name.startswith(lower)]
        if len(fitting) == 1:
            found[field] = fitting[0]
    for field, attribute in found.items():
        twins = [other for other, same in found.items() if same is attribute]
        if len(twins) > 1:
            raise _twice(field, twins, attribute.name)
    return found


def _twice(field: str, twins: Sequence[str], name: str) -> BadInput:
    names = ", ".join(twins)
    place = Place(f"field {field}", Text(zh=f"重复：{names}", en=f"one of {names}"))
    return BadInput(
        f"The fields {names} are all the attribute '{name}'; leave one of them.",
        f"字段 {names} 都对应属性“{name}”，请只保留一个。",
        code="attribute-twice",
        places=(place,),
    )


def _read(value: Any, field: AttributeField) -> Any:
    """The value by the attribute's type; what cannot be read so stays as it is (and unknown)."""
    if isinstance(value, str):
        value = value.strip()
        if value == "":
            return None
    if isinstance(value, bytes):
        return None
    if hasattr(value, "isoformat"):
        return value.isoformat()[:10]
    if field.type == "boolean":
        return _truth(value)
    if field.type in ("number", "integer") and isinstance(value, str):
        return _number(value)
    if field.type == "documents" and isinstance(value, str):
        return _documents(value)
    if field.type == "string" and isinstance(value, float) and value.is_integer():
        return str(int(value))
    return value


def _truth(value: Any) -> Any:
    text = str(value).lower()
    return True if text in _TRUE else False if text in _FALSE else value


def _number(text: str) -> Any:
    """A plain decimal number; Python would also read '１２', '1_000' and 'nan'."""
    if not _PLAIN_NUMBER.fullmatch(text):
        return text
    number = float(text)
    if not math.isfinite(number):
        return text
    return int(number) if number.is_integer() and abs(number) < 2**53 else number


def _documents(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text
