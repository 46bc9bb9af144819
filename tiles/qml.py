"""A layer's look as QML, the layer style of QGIS (3.22 and later): rules, and labels by rules.

Rules stand in a tree: style layer, then conditions from the general to the particular, so that QGIS
asks a feature for its code in its own scheme only. Style layers lie over each other by symbol
levels. Sizes are pixels.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from xml.etree import ElementTree as ET

from layers.catalog import Catalog, Layer
from layers.errors import BadConfiguration
from layers.text import Text
from tiles.expression import is_expression, rgba
from tiles.sprite import Hatch, hatches
from tiles.style_classes import ClassedLayer, Condition, classed_layers

MEDIA_TYPE: Final = "application/vnd.qgis.style+xml"
_VERSION: Final = "3.22.0"
_SYMBOL_KINDS: Final = {"polygon": "fill", "line": "line", "point": "marker"}
_QGIS_CAPS: Final = {"butt": "flat", "round": "round", "square": "square"}
_QUADRANTS: Final = {"center": "4", "top": "7", "bottom": "1", "left": "5", "right": "3"}
"""Where a label lies beside its point; an anchor at its top puts it below."""

Options = Mapping[str, str]


def qml(catalog: Catalog, layer: Layer, language: str = "zh") -> bytes:
    """The document; the same look gives the same bytes."""
    root = ET.Element("qgis", {"version": _VERSION, "styleCategories": "Symbology|Labeling"})
    drawn = classed_layers(catalog, layer, language)
    writer = _Writer(layer, {hatch.name: hatch for hatch in hatches(layer)}, language)
    writer.renderer(root, [one for one in drawn if one.kind != "symbol"])
    writer.labels(root, [one for one in drawn if one.kind == "symbol"])
    ET.indent(root)
    document: bytes = b"<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n"
    document += ET.tostring(root, encoding="utf-8")
    return document


@dataclass(slots=True)
class _Writer:
    layer: Layer
    patterns: Mapping[str, Hatch]
    language: str
    symbols: list[ET.Element] = field(default_factory=list)

    def renderer(self, root: ET.Element, drawn: list[ClassedLayer]) -> None:
        element = ET.SubElement(
            root, "renderer-v2", {"type": "RuleRenderer", "symbollevels": "1", "enableorderby": "0"}
        )
        rules = ET.SubElement(element, "rules", {"key": "all"})
        for depth, classed in enumerate(drawn):
            group = ET.SubElement(rules, "rule", {
                "key": f"layer-{depth}", "label": self.layer.title.in_language(self.language),
                **_scales(classed),
            })  # fmt: skip
            nodes: dict[tuple[str, ...], ET.Element] = {}
            for number, one in enumerate(classed.classes):
                key = f"{depth}-{number}"
                self._rule(group, nodes, one.conditions, one.title, key)
                self.symbols.append(self._symbol(classed.kind, one.paint, depth))
        written = ET.SubElement(element, "symbols")
        for number, symbol in enumerate(self.symbols):
            symbol.set("name", str(number))
            written.append(symbol)

    def _rule(
        self,
        group: ET.Element,
        nodes: dict[tuple[str, ...], ET.Element],
        conditions: tuple[Condition, ...],
        title: Text,
        key: str,
    ) -> None:
        """Hang a rule under those of its more general conditions, made once."""
        parent = group
        path: tuple[str, ...] = ()
        for one in conditions[:-1]:
            path = (*path, json.dumps(one))
            if path not in nodes:
                nodes[path] = ET.SubElement(
                    parent, "rule", {"key": f"{key}-{len(path)}", "filter": condition_text(one)}
                )
            parent = nodes[path]
        last = {"filter": condition_text(conditions[-1])} if conditions else {}
        ET.SubElement(parent, "rule", {
            "key": f"class-{key}", "symbol": str(len(self.symbols)),
            "label": title.in_language(self.language), **last,
        })  # fmt: skip

    def _symbol(self, kind: str, paint: Mapping[str, Any], depth: int) -> ET.Element:
        symbol = ET.Element("symbol", {
            "type": _SYMBOL_KINDS[self.layer.geometry], "alpha": "1", "clip_to_extent": "1",
            "force_rhr": "0",
        })  # fmt: skip
        if kind == "fill":
            self._fill(symbol, paint, depth)
        elif kind == "line":
            _symbol_layer(symbol, "SimpleLine", _line_options(paint), depth)
        else:
            _symbol_layer(symbol, "SimpleMarker", _circle_options(paint), depth)
        return symbol

    def _fill(self, symbol: ET.Element, paint: Mapping[str, Any], depth: int) -> None:
        opacity = float(paint.get("fill-opacity", 1))
        if "fill-pattern" in paint:
            hatch = self.patterns[paint["fill-pattern"]]
            options = {
                "angle": str(hatch.angle), "distance": f"{hatch.spacing_px:g}",
                "distance_unit": "Pixel", "line_width": f"{hatch.width_px:g}",
                "line_width_unit": "Pixel", "color": _colour(hatch.colour, opacity),
            }  # fmt: skip
            pattern = _symbol_layer(symbol, "LinePatternFill", options, depth)
            line = {"line-color": hatch.colour, "line-width": hatch.width_px,
                    "line-opacity": opacity}  # fmt: skip
            inner = ET.SubElement(pattern, "symbol", {"type": "line", "alpha": "1", "name": "@0@0"})
            _symbol_layer(inner, "SimpleLine", _line_options(line), 0)
            return
        options = {"color": _colour(paint["fill-color"], opacity), "style": "solid",
                   "outline_style": "no"}  # fmt: skip
        if "fill-outline-color" in paint:
            options |= {
                "outline_style": "solid", "outline_width": "1", "outline_width_unit": "Pixel",
                "outline_color": _colour(paint["fill-outline-color"], opacity),
            }  # fmt: skip
        _symbol_layer(symbol, "SimpleFill", options, depth)

    def labels(self, root: ET.Element, drawn: list[ClassedLayer]) -> None:
        if not drawn:
            return
        labeling = ET.SubElement(root, "labeling", {"type": "rule-based"})
        rules = ET.SubElement(labeling, "rules", {"key": "labels"})
        for depth, classed in enumerate(drawn):
            for number, one in enumerate(classed.classes):
                filters = {}
                if one.conditions:
                    filters["filter"] = " AND ".join(map(condition_text, one.conditions))
                rule = ET.SubElement(rules, "rule", {
                    "key": f"label-{depth}-{number}",
                    "description": one.title.in_language(self.language),
                    **filters, **_scales(classed),
                })  # fmt: skip
                self._settings(rule, one.paint, expression_text(classed.text_field))

    def _settings(self, rule: ET.Element, paint: Mapping[str, Any], text: str) -> None:
        settings = ET.SubElement(rule, "settings", {"calloutType": "simple"})
        size = float(paint.get("text-size", 16))
        opacity = float(paint.get("text-opacity", 1))
        style = ET.SubElement(settings, "text-style", {
            "fieldName": text, "isExpression": "1", "fontFamily": "Noto Sans CJK SC",
            "fontSize": f"{size:g}", "fontSizeUnit": "Pixel", "textOpacity": f"{opacity:g}",
            "textColor": _colour(paint.get("text-color", "#000000"), 1),
            "fontLetterSpacing": f"{float(paint.get('text-letter-spacing', 0)) * size:g}",
        })  # fmt: skip
        halo = float(paint.get("text-halo-width", 0))
        ET.SubElement(style, "text-buffer", {
            "bufferDraw": "1" if halo else "0", "bufferSize": f"{halo:g}",
            "bufferSizeUnits": "Pixel", "bufferNoFill": "1",
            "bufferColor": _colour(paint.get("text-halo-color", "#FFFFFF"), 1),
        })  # fmt: skip
        right, down = paint.get("text-offset", [0, 0])
        ET.SubElement(settings, "placement", {
            "placement": "1" if self.layer.geometry == "point" else "0",
            "quadOffset": _QUADRANTS[paint.get("text-anchor", "center")],
            "xOffset": f"{float(right) * size:g}", "yOffset": f"{float(down) * size:g}",
            "offsetUnits": "Pixel", "offsetType": "0", "dist": "0", "distUnits": "Pixel",
            "centroidInside": "1", "centroidWhole": "0",
        })  # fmt: skip


def _scales(classed: ClassedLayer) -> dict[str, str]:
    scales = {}
    if classed.largest_scale is not None:
        scales["scalemindenom"] = f"{classed.largest_scale:.0f}"
    if classed.smallest_scale is not None:
        scales["scalemaxdenom"] = f"{classed.smallest_scale:.0f}"
    return scales


def _symbol_layer(symbol: ET.Element, kind: str, options: Options, depth: int) -> ET.Element:
    element = ET.SubElement(
        symbol, "layer", {"class": kind, "enabled": "1", "locked": "0", "pass": str(depth)}
    )
    written = ET.SubElement(element, "Option", {"type": "Map"})
    for name, value in options.items():
        ET.SubElement(written, "Option", {"name": name, "type": "QString", "value": value})
    return element


def _line_options(paint: Mapping[str, Any]) -> Options:
    width = float(paint.get("line-width", 1))
    opacity = float(paint.get("line-opacity", 1))
    options = {
        "line_color": _colour(paint.get("line-color", "#000000"), opacity),
        "line_width": f"{width:g}", "line_width_unit": "Pixel", "line_style": "solid",
        "capstyle": _QGIS_CAPS[paint.get("line-cap", "butt")],
        "joinstyle": paint.get("line-join", "miter"),
    }  # fmt: skip
    if "line-dasharray" in paint:
        options |= {
            "customdash": ";".join(f"{length * width:g}" for length in paint["line-dasharray"]),
            "customdash_unit": "Pixel", "use_custom_dash": "1",
        }  # fmt: skip
    return options


def _circle_options(paint: Mapping[str, Any]) -> Options:
    stroke = float(paint.get("circle-stroke-width", 0))
    opacity = float(paint.get("circle-opacity", 1))
    return {
        "name": "circle", "color": _colour(paint.get("circle-color", "#000000"), opacity),
        "size": f"{2 * float(paint.get('circle-radius', 5)) + stroke:g}", "size_unit": "Pixel",
        "outline_style": "solid" if stroke else "no", "outline_width": f"{stroke:g}",
        "outline_width_unit": "Pixel",
        "outline_color": _colour(paint.get("circle-stroke-color", "#000000"), 1),
    }  # fmt: skip


def _colour(colour: str, opacity: float) -> str:
    red, green, blue, own = rgba(colour)
    return f"{red:.0f},{green:.0f},{blue:.0f},{round(own * opacity * 255)}"


# --- QGIS expressions -----------------------------------------------------------------------


def condition_text(condition: Condition) -> str:
    """A condition as a QGIS expression; NULL is false, as in MapLibre."""
    operator, *parts = condition
    if operator in ("all", "any"):
        word = " AND " if operator == "all" else " OR "
        return "(" + word.join(map(condition_text, parts)) + ")"
    if operator == "!":
        return f"(NOT coalesce({condition_text(parts[0])}, 0))"
    if operator == "match" and parts[2:] == [True, False]:
        labels = parts[1] if isinstance(parts[1], list) else [parts[1]]
        return f"({expression_text(parts[0])} IN ({', '.join(map(expression_text, labels))}))"
    if operator == "has":
        return f'("{parts[0]}" IS NOT NULL)'
    if operator in ("==", "!="):
        word = "IS" if operator == "==" else "IS NOT"
        return f"({expression_text(parts[0])} {word} {expression_text(parts[1])})"
    if operator in ("<", "<=", ">", ">="):
        return f"({expression_text(parts[0])} {operator} {expression_text(parts[1])})"
    raise _not_said(operator)


def expression_text(value: Any) -> str:
    """A value as a QGIS expression."""
    if not is_expression(value):
        if isinstance(value, str):
            return "'" + value.replace("'", "''") + "'"
        return str(value).lower() if isinstance(value, bool) else str(value)
    operator, *parts = value
    if operator == "get":
        return f'"{parts[0]}"'
    if operator in ("coalesce", "concat"):
        return f"{operator}({', '.join(map(expression_text, parts))})"
    if operator == "to-string":
        return f"coalesce(to_string({expression_text(parts[0])}), '')"
    if operator == "to-number":
        return f"coalesce(to_real({expression_text(parts[0])}), 0)"
    if operator == "literal":
        return expression_text(parts[0])
    raise _not_said(operator)


def _not_said(operator: str) -> BadConfiguration:
    return BadConfiguration(
        f"QML has no word for {operator} here; write the style with match or case.",
        f"QML 无法在此表达运算 {operator}；请改用 match 或 case。",
    )
