"""GML 3.2 feature collections, read by ourselves: schemas and links are never looked up.

Axis order follows the form of ``srsName``: a URN or an OGC URI means the order of the authority
(latitude first for EPSG:4490) and is swapped; ``EPSG:4490`` and ``epsg.xml#4490`` are read as
east, north, which is how most programs write them; a note says so, and the diagnosis against the
region finds the others. Several coordinate systems in one file are refused.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final
from xml.etree.ElementTree import Element

import numpy as np
import shapely

from layers.crs import parse_crs, swap_axes
from layers.errors import CrsRefused
from layers.readers.geopackage import choose_layer
from layers.readers.gml_geometry import is_geometry, read_shape
from layers.readers.source import Batch, Note, Source
from layers.readers.text_rows import TextRow, collect_field, text_batches
from layers.readers.xml_text import attribute, elements, forget, local, prepare_xml, text_of
from layers.text import Text

_MEMBERS: Final = frozenset({"member", "featureMember", "featureMembers"})
_NO_PROPERTY: Final = frozenset({"boundedBy", "metaDataProperty", "location"})
_SHORT: Final = re.compile(r"^(?:.*epsg\.xml#|EPSG:{1,2})(\d+)$", re.IGNORECASE)
_AUTHORITY: Final = re.compile(r"^(?:urn:|https?://www\.opengis\.net/def/crs/)", re.IGNORECASE)
_EPSG_CODE: Final = re.compile(r"EPSG[:/](?:[\d.]*[:/])?(\d+)$", re.IGNORECASE)
_DEEPEST_PROPERTY: Final = 6
_ID: Final = "gml_id"


@dataclass(slots=True)
class _Outline:
    """What the first walk through a file finds."""

    counts: dict[str, int] = field(default_factory=dict)
    fields: dict[str, dict[str, None]] = field(default_factory=dict)
    crs_names: dict[str, None] = field(default_factory=dict)
    links: int = 0
    surplus_geometries: int = 0


def open_gml(path: Path, job_dir: Path, layer: str | None) -> Source:
    """The features of one type; several types need a name."""
    notes: list[Note] = []
    path = prepare_xml(path, job_dir, "GML", notes)
    outline = _outline_of(path)
    chosen = choose_layer("GML", list(outline.counts), layer)
    crs_text, swapped = _crs(list(outline.crs_names), notes)
    _note_rest(outline, notes)
    fields = tuple(outline.fields[chosen])
    return Source(
        format="GML",
        driver="own",
        path=path,
        layer=chosen,
        crs_text=crs_text,
        fields=fields,
        feature_count=outline.counts[chosen],
        notes=tuple(notes),
        batches=partial(_batches, path, chosen, fields, swapped),
    )


def _outline_of(path: Path) -> _Outline:
    outline = _Outline()
    for feature in _features(path, outline):
        name = local(feature)
        outline.counts[name] = outline.counts.get(name, 0) + 1
        fields = outline.fields.setdefault(name, {})
        for key in _values(feature):
            collect_field(fields, key)
        geometries = list(_geometries(feature))
        outline.surplus_geometries += max(0, len(geometries) - 1)
    return outline


def _features(path: Path, outline: _Outline) -> Iterator[Element]:
    """Every feature: a child of a member of a collection that is no collection itself."""
    feature: Element | None = None
    for event, element, ancestors in elements(path, "GML"):
        if event == "start":
            _note_references(element, outline)
            if feature is None and ancestors and local(ancestors[-1]) in _MEMBERS:
                feature = element if not local(element).endswith("FeatureCollection") else None
        elif element is feature:
            yield element
            feature = None
            forget(element, ancestors)
        elif feature is None:
            forget(element, ancestors)


def _note_references(element: Element, outline: _Outline) -> None:
    """srsName of any element, and links; the attributes are there when an element begins."""
    name = element.get("srsName")
    if name is not None:
        outline.crs_names[name.strip()] = None
    if attribute(element, "href") is not None:
        outline.links += 1


def _batches(path: Path, chosen: str, fields: tuple[str, ...], swapped: bool) -> Iterator[Batch]:
    rows = (_row(f, swapped) for f in _features(path, _Outline()) if local(f) == chosen)
    return text_batches(rows, fields)


def _row(feature: Element, swapped: bool) -> TextRow:
    values = _values(feature)
    shape = next(_geometries(feature), None)
    if shape is None:
        linked = any(attribute(one, "href") is not None for one in feature)
        return TextRow(None, values, "geometry-unreadable" if linked else "geometry-missing")
    try:
        found = read_shape(shape)
    except (ValueError, TypeError, shapely.GEOSException):
        return TextRow(None, values, "geometry-unreadable")
    geometry = found.geometry
    if swapped:
        (geometry,) = swap_axes(np.array([geometry], dtype=object))
    return TextRow(geometry, values, linearised=found.linearised)


def _geometries(feature: Element) -> Iterator[Element]:
    for prop in feature:
        if local(prop) in _NO_PROPERTY:
            continue
        yield from (one for one in prop if is_geometry(one))


def _values(feature: Element) -> dict[str, str]:
    """Texts of the properties; a nested one is named by its path (owner.name)."""
    values: dict[str, str] = {}
    if identifier := attribute(feature, "id"):
        values[_ID] = identifier
    for prop in feature:
        if local(prop) not in _NO_PROPERTY:
            _collect(prop, local(prop), values, 0)
    return values


def _collect(prop: Element, name: str, values: dict[str, str], depth: int) -> None:
    children = [one for one in prop if local(one)]
    if any(is_geometry(one) for one in children) or attribute(prop, "nil") in ("true", "1"):
        return
    if not children:
        if attribute(prop, "href") is None:
            values.setdefault(name, text_of(prop))
        return
    if depth < _DEEPEST_PROPERTY:
        for one in children:
            _collect(one, f"{name}.{local(one)}", values, depth + 1)


def _crs(names: list[str], notes: list[Note]) -> tuple[str | None, bool]:
    """The CRS for ``parse_crs`` and whether x and y stand exchanged in the file."""
    if not names:
        return None, False
    read = {_reading(name) for name in names}
    if len(read) > 1:
        listing = ", ".join(name[:60] for name in names[:5])
        raise CrsRefused(
            f"The GML names several coordinate systems or orders of axes: {listing}. Send one "
            "file for each.",
            f"GML 中出现多个坐标系或坐标轴顺序：{listing}。请按坐标系分文件提供。",
            code="several-crs",
        )
    ((code, by_authority),) = read
    try:
        swapped = parse_crs(code).swapped
    except CrsRefused:
        return code, False  # refused later, unless the caller states another one
    if swapped and not by_authority:
        notes.append(
            Note(
                "axis-order-assumed",
                Text(
                    zh=f"srsName“{names[0][:60]}”未规定坐标轴顺序，按东、北（经度、纬度）读取。",
                    en=f"srsName '{names[0][:60]}' leaves the order of axes open; read as east, "
                    "north (longitude, latitude).",
                ),
            )
        )
    return code, swapped and by_authority


def _reading(name: str) -> tuple[str, bool]:
    """A code for ``parse_crs``, and whether the form means the authority's order of axes."""
    if short := _SHORT.match(name):
        return f"EPSG:{short[1]}", False
    if _AUTHORITY.match(name):
        epsg = _EPSG_CODE.search(name)
        return (f"EPSG:{epsg[1]}" if epsg else name), True
    return name, False


def _note_rest(outline: _Outline, notes: list[Note]) -> None:
    if outline.links:
        notes.append(
            Note(
                "gml-links-not-followed",
                Text(
                    zh=f"{outline.links} 处 xlink:href 引用未解析；链接一律不访问。",
                    en=f"{outline.links} xlink:href references were not resolved; links are never "
                    "followed.",
                ),
            )
        )
    if outline.surplus_geometries:
        notes.append(
            Note(
                "several-geometries",
                Text(
                    zh="要素含多个图形属性，只读取第一个。",
                    en="Features have several geometry properties; the first of each was read.",
                ),
            )
        )
