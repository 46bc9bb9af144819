"""Run by the system's Python with QGIS: one task a run, words as JSON on standard input.

The answer is the last line of standard output, as JSON.
"""

# mypy: disable-error-code="no-untyped-def, no-untyped-call"

import json
import os
import sys
import traceback
from collections import Counter

from qgis.core import (  # type: ignore[import-not-found]
    Qgis,
    QgsApplication,
    QgsCoordinateReferenceSystem,
    QgsCoordinateTransform,
    QgsFeatureRequest,
    QgsMapRendererSequentialJob,
    QgsMapSettings,
    QgsProject,
    QgsRasterLayer,
    QgsRectangle,
    QgsSettings,
    QgsVectorLayer,
    QgsVectorTileLayer,
)
from qgis.PyQt.QtCore import QSize  # type: ignore[import-not-found]
from qgis.PyQt.QtGui import QColor  # type: ignore[import-not-found]


def project(path, extent):
    """Open a project and draw it; what became of its layers and groups."""
    opened = QgsProject.instance()
    assert opened.read(path), opened.error()
    tree = opened.layerTreeRoot()
    layers = {
        one.id(): {
            "title": one.name(), "valid": one.isValid(), "provider": one.providerType(),
            "crs": one.crs().authid(), "source": one.source(),
            "renderer": type(one.renderer()).__name__,
        }
        for one in opened.mapLayers().values()
    }  # fmt: skip
    view = opened.viewSettings().defaultViewExtent()
    return {
        "title": opened.title(), "crs": opened.crs().authid(), "layers": layers,
        "groups": {g.name(): [one.layerId() for one in g.findLayers()] for g in tree.findGroups()},
        "order": [one.id() for one in tree.layerOrder()],
        "view": [view.xMinimum(), view.yMinimum(), view.xMaximum(), view.yMaximum()],
        "colours": _colours(_shown(tree), opened.crs(), extent),
    }  # fmt: skip


def items(source, filter="", bbox=None, crs="", limit=-1):
    """Read a layer by OGC API Features, with a subset filter and a box in any CRS."""
    layer = QgsVectorLayer(source, "items", "OAPIF")
    assert layer.isValid(), layer.dataProvider() and layer.dataProvider().error().message()
    if filter:
        assert layer.setSubsetString(filter), filter
    request = QgsFeatureRequest()
    if bbox:
        box = QgsRectangle(*bbox)
        if crs:
            change = QgsCoordinateTransform(
                QgsCoordinateReferenceSystem(crs), layer.crs(), QgsProject.instance()
            )
            box = change.transformBoundingBox(box)
        request.setFilterRect(box)
    if limit > 0:
        request.setLimit(limit)
    found = [
        {"id": one["id"],
         "center": [one.geometry().boundingBox().center().x(),
                    one.geometry().boundingBox().center().y()]}
        for one in layer.getFeatures(request)
    ]  # fmt: skip
    return {"version": Qgis.QGIS_VERSION_INT, "features": found}


def collections(address):
    """The collections that the service lists, as the browser panel of QGIS shows them."""
    settings = QgsSettings()
    settings.setValue("qgis/connections-wfs/service/url", address)
    settings.setValue("qgis/connections-wfs/service/version", "OGC_API_FEATURES")
    settings.sync()
    for one in QgsApplication.dataItemProviderRegistry().providers():
        if one.name() == "WFS":
            root = one.createDataItem("", None)
            connection = next(child for child in root.createChildren())
            return [child.name() for child in connection.createChildren()]
    raise AssertionError("no WFS in the browser")


def draws(kind, source, crs, extent, size, pixels):
    """Draw one layer on magenta; the colours of some pixels and the share that was painted."""
    if kind == "vector-tile":
        layer = QgsVectorTileLayer(source, "tiles")
        if "styleUrl" in source:
            message, done = layer.loadDefaultStyle()
            assert done, message
    else:
        layer = QgsRasterLayer(source, "picture", "wms")
    assert layer.isValid(), layer.error().message()
    image = _image([layer], QgsCoordinateReferenceSystem(crs), extent, size)
    return {
        "crs": layer.crs().authid(),
        "pixels": [list(QColor(image.pixel(x, y)).getRgb()[:3]) for x, y in pixels],
        "painted": _painted(image),
    }


def typed_view(source, filter):
    """Read a view of the database directly, and try to write it."""
    layer = QgsVectorLayer(source, "view", "postgres")
    assert layer.isValid(), layer.dataProvider().error().message()
    assert layer.setSubsetString(filter), filter
    extent = layer.extent()
    return {
        "crs": layer.crs().authid(), "count": layer.featureCount(),
        "names": sorted(one["feature_id"] for one in layer.getFeatures()),
        "types": {one.name(): one.typeName() for one in layer.fields()},
        "extent": [extent.xMinimum(), extent.yMinimum(), extent.xMaximum(), extent.yMaximum()],
        "editable": layer.startEditing(),
    }  # fmt: skip


def _shown(tree):
    return [one for one in tree.layerOrder() if tree.findLayer(one.id()).isVisible()]


def _colours(layers, crs, extent):
    """How many colours cover more than a hundredth of the picture, labels left out."""
    image = _image(layers, crs, extent, [200, 200])
    found = Counter(image.pixel(x, y) for x in range(200) for y in range(200))
    return sum(count > 400 for count in found.values())


def _image(layers, crs, extent, size):
    settings = QgsMapSettings()
    settings.setLayers(layers)
    settings.setDestinationCrs(crs)
    settings.setExtent(QgsRectangle(*extent))
    settings.setOutputSize(QSize(*size))
    settings.setBackgroundColor(QColor(255, 0, 255))
    job = QgsMapRendererSequentialJob(settings)
    job.start()
    job.waitForFinished()
    return job.renderedImage()


def _painted(image):
    background = QColor(255, 0, 255).rgb()
    painted = sum(
        image.pixel(x, y) != background for x in range(image.width()) for y in range(image.height())
    )
    return painted / (image.width() * image.height())


TASKS = {one.__name__: one for one in (project, collections, items, draws, typed_view)}


def main() -> None:
    application = QgsApplication([], False)
    application.initQgis()
    code = 0
    try:
        answer = TASKS[sys.argv[1]](**json.load(sys.stdin))
        sys.stdout.write("\n" + json.dumps(answer) + "\n")
    except Exception:  # the other side shows it
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # QGIS without a screen does not always come down in order


main()
