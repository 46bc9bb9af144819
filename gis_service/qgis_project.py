"""A ready-made QGIS project (3.22 and later) of the layers of a catalogue, as ``.qgz``.

Per layer an OGC API Features source with the layer's own look; below them the base map as XYZ
tiles. The project is in EPSG:4490. It holds addresses only: no data, and never an access key.
"""

import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote
from xml.etree import ElementTree as ET

from layers.catalog import Catalog, Layer
from layers.text import Text
from tiles.qml import qml

MEDIA_TYPE: Final = "application/x-qgis-project"
_VERSION: Final = "3.22.0"
_PROJECT_CRS: Final = "EPSG:4490"
_ITEMS_CRS: Final = "OGC:CRS84"
"""What items come in when nothing is asked: QGIS 3.22 knows no other."""
_TILES_CRS: Final = "EPSG:3857"
_GEOMETRIES: Final = {
    "polygon": ("Polygon", "MultiPolygon"),
    "line": ("Line", "MultiLineString"),
    "point": ("Point", "Point"),
}
_BASE_MAP: Final = "base-map-vec"
_BASE_TITLE: Final = Text(zh="底图", en="Base map")
_SAME_DAY: Final = (1980, 1, 1, 0, 0, 0)
"""The time in the archive: the same project gives the same bytes."""


@dataclass(frozen=True, slots=True)
class ProjectAsked:
    """What a project is made of; ``address`` is where the service is reached, without a slash.

    ``bbox`` is what is seen first: west, south, east, north in degrees.
    """

    catalog: Catalog
    address: str
    title: Text
    bbox: tuple[float, float, float, float]
    language: str = "zh"


def project_archive(asked: ProjectAsked) -> bytes:
    """The project as the ``.qgz`` that QGIS opens; the same layers give the same bytes."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo("project.qgs", _SAME_DAY), project_document(asked),
                         zipfile.ZIP_DEFLATED)  # fmt: skip
    return packed.getvalue()


def project_document(asked: ProjectAsked) -> bytes:
    """The project as XML (``.qgs``)."""
    title = asked.title.in_language(asked.language)
    root = ET.Element("qgis", {"version": _VERSION, "projectname": title})
    ET.SubElement(root, "title").text = title
    _crs(ET.SubElement(root, "projectCrs"), _PROJECT_CRS)
    shown = [layer for _, layer in asked.catalog.layers()]
    _tree(root, asked, shown)
    layers = ET.SubElement(root, "projectlayers")
    for layer in shown:
        layers.append(_items_layer(asked, layer))
    layers.append(_base_map(asked))
    _first_view(root, asked.bbox)
    switch = ET.SubElement(ET.SubElement(root, "properties"), "SpatialRefSys")
    # Without it QGIS reads no CRS of the project.
    ET.SubElement(switch, "ProjectionsEnabled", {"type": "int"}).text = "1"
    ET.indent(root)
    document: bytes = b"<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n"
    document += ET.tostring(root, encoding="utf-8")
    return document


def _tree(root: ET.Element, asked: ProjectAsked, shown: Sequence[Layer]) -> None:
    """Groups by plan; drawing in the order of our own map, whatever the groups say."""
    tree = ET.SubElement(root, "layer-tree-group")
    for plan in asked.catalog.plans:
        group = ET.SubElement(tree, "layer-tree-group", {
            "name": plan.title.in_language(asked.language), "checked": "Qt::Checked",
            "expanded": "1",
        })  # fmt: skip
        for layer in _top_first(plan.layers):
            _leaf(group, _layer_id(layer), layer.title.in_language(asked.language), layer.visible)
    _leaf(tree, _BASE_MAP, _BASE_TITLE.in_language(asked.language), visible=True)
    order = ET.SubElement(tree, "custom-order", {"enabled": "1"})
    for layer in _top_first(shown):
        ET.SubElement(order, "item").text = _layer_id(layer)
    ET.SubElement(order, "item").text = _BASE_MAP


def _top_first(layers: Sequence[Layer]) -> list[Layer]:
    return sorted(layers, key=lambda layer: layer.draw_order, reverse=True)


def _layer_id(layer: Layer) -> str:
    """The layer's name in the project; QGIS gives those of ten characters and fewer a new one."""
    return f"collection-{layer.id}"


def _leaf(group: ET.Element, layer_id: str, title: str, visible: bool) -> None:
    ET.SubElement(group, "layer-tree-layer", {
        "id": layer_id, "name": title, "expanded": "0",
        "checked": "Qt::Checked" if visible else "Qt::Unchecked",
    })  # fmt: skip


def _items_layer(asked: ProjectAsked, layer: Layer) -> ET.Element:
    """A layer by OGC API Features; QGIS asks for what is in view, page by page."""
    geometry, wkb_type = _GEOMETRIES[layer.geometry]
    source = (
        f" pagingEnabled='true' restrictToRequestBBOX='1' srsname='{_ITEMS_CRS}'"
        f" typename='{layer.id}' url='{asked.address}/ogc' version='OGC_API_FEATURES'"
    )
    title = layer.title.in_language(asked.language)
    element = _maplayer("vector", _layer_id(layer), title, source, _ITEMS_CRS)
    element.attrib |= {"geometry": geometry, "wkbType": wkb_type}
    ET.SubElement(element, "provider", {"encoding": "UTF-8"}).text = "OAPIF"
    own = _without_ground(layer)
    look = ET.fromstring(qml(_catalog_with(asked.catalog, own), own, asked.language))
    element.extend(look)
    if look.find("labeling") is not None:
        element.set("labelsEnabled", "1")
    return element


def _without_ground(layer: Layer) -> Layer:
    """The layer without the parts of its look that our map draws deeper down than the layer.

    QGIS draws a layer in one place: the ground of the counties would cover the plans.
    """
    own = tuple(
        part for part in layer.style if part.get("draw_order", layer.draw_order) >= layer.draw_order
    )
    return layer.model_copy(update={"style": own}) if own else layer


def _catalog_with(catalog: Catalog, changed: Layer) -> Catalog:
    """The catalogue with a layer in the place of the one of its name: looks are read from it."""
    plan, _ = catalog.layer_with_plan(changed.id)
    layers = tuple(changed if one.id == changed.id else one for one in plan.layers)
    plans = (plan.model_copy(update={"layers": layers}),)
    return catalog.model_copy(update={"plans": plans})


def _base_map(asked: ProjectAsked) -> ET.Element:
    template = quote(f"{asked.address}/tiles/vec/{{z}}/{{x}}/{{y}}.png", safe="/:")
    title = _BASE_TITLE.in_language(asked.language)
    source = f"type=xyz&url={template}&zmin=0&zmax=18"
    element = _maplayer("raster", _BASE_MAP, title, source, _TILES_CRS)
    ET.SubElement(element, "provider").text = "wms"
    pipe = ET.SubElement(element, "pipe")
    ET.SubElement(pipe, "rasterrenderer", {
        "type": "singlebandcolordata", "band": "1", "alphaBand": "-1", "opacity": "1",
    })  # fmt: skip
    return element


def _maplayer(kind: str, layer_id: str, title: str, source: str, crs: str) -> ET.Element:
    element = ET.Element("maplayer", {"type": kind})
    ET.SubElement(element, "id").text = layer_id
    ET.SubElement(element, "datasource").text = source
    ET.SubElement(element, "layername").text = title
    _crs(ET.SubElement(element, "srs"), crs)
    return element


def _crs(parent: ET.Element, name: str) -> None:
    """A CRS by its name; QGIS takes the rest from its own database.

    It looks at the name only where a number of that database (any that is not a user's) stands.
    """
    system = ET.SubElement(parent, "spatialrefsys")
    ET.SubElement(system, "srsid").text = "1"
    ET.SubElement(system, "authid").text = name


def _first_view(root: ET.Element, bbox: tuple[float, float, float, float]) -> None:
    view = ET.SubElement(root, "ProjectViewSettings", {"UseProjectScales": "0"})
    extent = ET.SubElement(view, "DefaultViewExtent")
    for name, value in zip(("xmin", "ymin", "xmax", "ymax"), bbox, strict=True):
        extent.set(name, f"{value:g}")
    _crs(extent, _PROJECT_CRS)
