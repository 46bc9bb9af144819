"""KML and KMZ: placemarks of one folder, read by ourselves; nothing they point to is fetched.

KML is longitude, latitude on WGS 84 by definition. Network links, overlays, icons, models and
external styles are counted and left alone. Files from phone apps in China often hold GCJ-02
coordinates in spite of the definition, which nobody can see in the numbers; a note asks.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final
from xml.etree.ElementTree import Element

import numpy as np
import numpy.typing as npt
import shapely
from shapely.geometry.base import BaseGeometry

from layers.errors import UnreadableFile
from layers.readers.archive import unpack
from layers.readers.geopackage import choose_layer
from layers.readers.source import Batch, Note, Source
from layers.readers.text_rows import (
    TextRow,
    closed_ring,
    collect_field,
    collected,
    text_batches,
)
from layers.readers.xml_text import child, elements, forget, local, prepare_xml, text_of
from layers.text import Text

FloatArray = npt.NDArray[np.float64]

_CONTAINERS: Final = frozenset({"kml", "Document", "Folder"})
_OUTSIDE: Final = frozenset({"NetworkLink", "GroundOverlay", "PhotoOverlay", "ScreenOverlay"})
_SIMPLE: Final = ("Point", "LineString", "LinearRing", "Polygon", "MultiGeometry")
_NOT_READ: Final = ("Model", "Track", "MultiTrack")
_SHAPES: Final = frozenset({*_SIMPLE, *_NOT_READ})
_BLANK_AROUND_COMMA: Final = re.compile(r"\s*,\s*")

_CONFIRM: Final = Note(
    "kml-coordinates-unconfirmed",
    Text(
        zh="KML 按定义为 WGS 84 经纬度；国内手机应用导出的 KML 常为 GCJ-02（偏移约 500 米），"
        "数值上无法分辨。请与提供方确认；必要时用 --source-crs 指定。",
        en="KML is WGS 84 by definition, but files from phone apps in China often hold GCJ-02 "
        "(about 500 m off), which the numbers do not show. Confirm it with the sender; state "
        "--source-crs where it is otherwise.",
    ),
)


@dataclass(slots=True)
class _Folder:
    """A Document or Folder that may hold placemarks of its own."""

    kind: str
    parent: int | None
    title: str = ""
    placemarks: int = 0
    fields: dict[str, None] = field(default_factory=dict)


@dataclass(slots=True)
class _Outline:
    """The folders of a file in order, and how much it points outside."""

    folders: list[_Folder] = field(default_factory=list)
    outside: int = 0

    def names(self) -> dict[str, int]:
        """Folders with placemarks by their title, by their path where titles repeat."""
        with_rows = [n for n, folder in enumerate(self.folders) if folder.placemarks]
        titles = [self._title(n) for n in with_rows]
        found: dict[str, int] = {}
        for number, title in zip(with_rows, titles, strict=True):
            name = title if titles.count(title) == 1 else self._path(number)
            found[name if name not in found else f"{name} #{number}"] = number
        return found

    def _title(self, number: int) -> str:
        return self.folders[number].title or f"{self.folders[number].kind} {number}"

    def _path(self, number: int) -> str:
        parts: list[str] = []
        at: int | None = number
        while at is not None and self.folders[at].kind != "kml":
            parts.insert(0, self._title(at))
            at = self.folders[at].parent
        return " / ".join(parts) or self._title(number)


def open_kml(path: Path, job_dir: Path, layer: str | None) -> Source:
    """The placemarks of one folder; several folders with placemarks need a name."""
    return _open([path], path, job_dir, layer)


def open_kmz(path: Path, job_dir: Path, layer: str | None) -> Source:
    """The same for all KML documents in the archive together; links among them say nothing new."""
    found = [p for p in unpack(path, job_dir / "unpacked") if p.suffix.lower() == ".kml"]
    if not found:
        raise UnreadableFile(
            "The KMZ holds no KML document.", "KMZ 中没有 KML 文档。", code="no-geometry"
        )
    return _open(found, path, job_dir, layer)


def _open(documents: list[Path], path: Path, job_dir: Path, layer: str | None) -> Source:
    notes: list[Note] = []
    documents = [_prepared(document, n, job_dir, notes) for n, document in enumerate(documents)]
    outline = _Outline()
    for number, placemark in _placemarks(documents, outline):
        folder = outline.folders[number]
        folder.placemarks += 1
        for name in _values(placemark):
            collect_field(folder.fields, name)
    names = outline.names()
    chosen = names[choose_layer("KML", list(names), layer)]
    notes.append(_CONFIRM)
    if outline.outside:
        notes.append(_links_note(outline.outside))
    fields = tuple(outline.folders[chosen].fields)
    return Source(
        format="KML",
        driver="own",
        path=path,
        layer=next(name for name, number in names.items() if number == chosen),
        crs_text="OGC:CRS84",
        fields=fields,
        feature_count=outline.folders[chosen].placemarks,
        notes=tuple(notes),
        batches=partial(_batches, documents, chosen, fields),
    )


def _prepared(document: Path, number: int, job_dir: Path, notes: list[Note]) -> Path:
    folder = job_dir / f"document-{number}"
    folder.mkdir()
    return prepare_xml(document, folder, "KML", notes)


def _links_note(count: int) -> Note:
    return Note(
        "kml-links-not-followed",
        Text(
            zh=f"{count} 个网络链接或叠加图未读取；链接一律不访问。",
            en=f"{count} network links or overlays were not read; links are never followed.",
        ),
    )


def _batches(documents: list[Path], chosen: int, fields: tuple[str, ...]) -> Iterator[Batch]:
    rows = (
        _row(placemark)
        for number, placemark in _placemarks(documents, _Outline())
        if number == chosen
    )
    return text_batches(rows, fields)


def _placemarks(documents: list[Path], outline: _Outline) -> Iterator[tuple[int, Element]]:
    for document in documents:
        yield from _placemarks_of(document, outline)


def _placemarks_of(path: Path, outline: _Outline) -> Iterator[tuple[int, Element]]:
    """Every placemark with the number of its folder; fills the outline on the way."""
    open_folders: list[int] = []
    placemark: Element | None = None
    for event, element, ancestors in elements(path, "KML"):
        name = local(element)
        if event == "start":
            if placemark is None and name in _CONTAINERS:
                parent = open_folders[-1] if open_folders else None
                outline.folders.append(_Folder(name, parent))
                open_folders.append(len(outline.folders) - 1)
            elif placemark is None and name == "Placemark" and open_folders:
                placemark = element
        elif element is placemark:
            yield open_folders[-1], element
            placemark = None
            forget(element, ancestors)
        elif placemark is None:
            _leave(element, name, ancestors, open_folders, outline)


def _leave(
    element: Element,
    name: str,
    ancestors: list[Element],
    open_folders: list[int],
    outline: _Outline,
) -> None:
    if name in _CONTAINERS:
        open_folders.pop()
    elif name in _OUTSIDE:
        outline.outside += 1
    elif name == "name" and ancestors and local(ancestors[-1]) in _CONTAINERS:
        outline.folders[open_folders[-1]].title = text_of(element)[:200]
    forget(element, ancestors)


def _row(placemark: Element) -> TextRow:
    shape = child(placemark, *_SHAPES)
    if shape is None:
        return TextRow(None, _values(placemark), "geometry-missing")
    try:
        return TextRow(_geometry(shape), _values(placemark))
    except (ValueError, shapely.GEOSException):
        return TextRow(None, _values(placemark), "geometry-unreadable")


def _values(placemark: Element) -> dict[str, str]:
    """ExtendedData wins over the placemark's own name and description."""
    values: dict[str, str] = {}
    for name in ("name", "description"):
        if text := text_of(child(placemark, name)):
            values[name] = text
    extended = child(placemark, "ExtendedData")
    for element in extended.iter() if extended is not None else ():
        key = element.get("name")
        if key and local(element) == "SimpleData":
            values[key] = text_of(element)
        elif key and local(element) == "Data":
            values[key] = text_of(child(element, "value"))
    return values


def _geometry(element: Element) -> BaseGeometry:
    """A geometry; ``ValueError`` where it cannot be read."""
    match local(element):
        case "Point":
            return shapely.Point(_coordinates(element)[0])
        case "LineString":
            return shapely.LineString(_coordinates(element))
        case "LinearRing":
            return shapely.LineString(_ring(element))
        case "Polygon":
            return _polygon(element)
        case "MultiGeometry":
            return collected([_geometry(one) for one in element if local(one) in _SHAPES])
    raise ValueError(local(element))


def _polygon(element: Element) -> BaseGeometry:
    shells = [_ring(one) for one in element if local(one) == "outerBoundaryIs"]
    holes = [
        _ring_of(ring)
        for one in element
        if local(one) == "innerBoundaryIs"
        for ring in one
        if local(ring) == "LinearRing"
    ]
    if len(shells) != 1:
        raise ValueError("outerBoundaryIs")
    return shapely.Polygon(shells[0], holes)


def _ring(element: Element) -> FloatArray:
    ring = element if local(element) == "LinearRing" else child(element, "LinearRing")
    if ring is None:
        raise ValueError("LinearRing")
    return _ring_of(ring)


def _ring_of(ring: Element) -> FloatArray:
    return closed_ring(_coordinates(ring))


def _coordinates(element: Element) -> FloatArray:
    """Longitude, latitude and, where any is not 0, height; at least one point."""
    text = text_of(child(element, "coordinates"))
    if " ," in text or ", " in text:
        text = _BLANK_AROUND_COMMA.sub(",", text)
    points = [[float(number) for number in word.split(",")] for word in text.split()]
    if not points or any(len(point) not in (2, 3) for point in points):
        raise ValueError("coordinates")
    if any(len(point) == 3 and point[2] != 0.0 for point in points):
        return np.array([[*point, 0.0][:3] for point in points])
    return np.array([point[:2] for point in points])
