"""Run by the system's Python with QGIS: what a renderer made of a style is, as JSON.

Arguments: style file, kind of geometry, comma-separated fields. Reads features (JSON list of
attributes) from standard input; prints, for each, the labels and colours of the rules that hold.
"""

import json
import os
import sys

os.environ["QT_QPA_PLATFORM"] = "offscreen"

from qgis.core import (  # type: ignore[import-not-found]
    QgsApplication,
    QgsExpressionContext,
    QgsFeature,
    QgsVectorLayer,
)


def main() -> None:
    path, geometry, fields = sys.argv[1:4]
    application = QgsApplication([], False)
    application.initQgis()
    columns = "".join(f"&field={name}" for name in fields.split(","))
    layer = QgsVectorLayer(f"{geometry}?crs=EPSG:4490{columns}", "layer", "memory")
    load = layer.loadSldStyle if path.endswith(".sld") else layer.loadNamedStyle
    message, done = load(path)
    assert done, message
    renderer = layer.renderer()
    found = []
    for attributes in json.load(sys.stdin):
        feature = QgsFeature(layer.fields())
        for name, value in attributes.items():
            feature[name] = value
        context = QgsExpressionContext()
        context.setFeature(feature)
        context.setFields(layer.fields())
        found.append(list(_holding(renderer.rootRule(), feature, context)))
    sys.stdout.write(json.dumps({
        "renderer": type(renderer).__name__,
        "features": found,
        "labels": type(layer.labeling()).__name__ if layer.labelsEnabled() else None,
    }) + "\n")  # fmt: skip
    sys.stdout.flush()
    os._exit(0)  # QGIS without a screen does not always come down in order


def _holding(rule, feature, context):  # type: ignore[no-untyped-def]
    for child in rule.children():
        expression = child.filter()
        if expression is not None and child.filterExpression():
            expression.prepare(context)
            if not expression.evaluate(context):
                continue
        if child.symbol() is not None:
            layer = child.symbol().symbolLayer(0)
            yield {
                "label": child.label(),
                "kind": type(layer).__name__,
                "colour": list(layer.color().getRgb()),
                "angle": layer.lineAngle() if hasattr(layer, "lineAngle") else None,
            }
        yield from _holding(child, feature, context)


main()
