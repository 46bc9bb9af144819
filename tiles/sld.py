"""A layer's look as SLD 1.1 (OGC Styled Layer Descriptor with Symbology Encoding 1.1).

Sizes are pixels; hatches are turned ``horline`` marks, as QGIS has them (SLD itself has no word
for a hatch); scales are OGC's, on pixels of 0.28 mm.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final
from xml.etree import ElementTree as ET

from layers.catalog import Catalog, Layer
from layers.errors import BadConfiguration
from tiles.expression import is_expression, rgba
from tiles.sprite import Hatch, hatches
from tiles.style_classes import ClassedLayer, Condition, classed_layers, joined

_SLD: Final = "http://www.opengis.net/sld"
_SE: Final = "http://www.opengis.net/se"
_OGC: Final = "http://www.opengis.net/ogc"
_XLINK: Final = "http://www.w3.org/1999/xlink"
MEDIA_TYPE: Final = "application/vnd.ogc.sld+xml;version=1.1"
_COMPARISONS: Final = {
    "==": "PropertyIsEqualTo", "!=": "PropertyIsNotEqualTo", "<": "PropertyIsLessThan",
    "<=": "PropertyIsLessThanOrEqualTo", ">": "PropertyIsGreaterThan",
    ">=": "PropertyIsGreaterThanOrEqualTo",
}  # fmt: skip


def sld(catalog: Catalog, layer: Layer, language: str = "zh") -> bytes:
    """The document; the same look gives the same bytes."""
    for prefix, space in (("sld", _SLD), ("se", _SE), ("ogc", _OGC), ("xlink", _XLINK)):
        ET.register_namespace(prefix, space)
    root = ET.Element(f"{{{_SLD}}}StyledLayerDescriptor", {"version": "1.1.0"})
    named = ET.SubElement(root, f"{{{_SLD}}}NamedLayer")
    _se(named, "Name", layer.id)
    style = ET.SubElement(named, f"{{{_SLD}}}UserStyle")
    _se(style, "Name", layer.id)
    _description(style, layer.title.in_language(language))
    patterns = {hatch.name: hatch for hatch in hatches(layer)}
    for classed in classed_layers(catalog, layer, language):
        _feature_type_style(style, classed, patterns, language)
    ET.indent(root)
    document: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return document


def _feature_type_style(
    style: ET.Element, classed: ClassedLayer, patterns: Mapping[str, Hatch], language: str
) -> None:
    element = _se(style, "FeatureTypeStyle")
    for number, (title, condition, paint) in enumerate(joined(classed.classes), start=1):
        rule = _se(element, "Rule")
        _se(rule, "Name", f"{classed.kind}-{number}")
        _description(rule, title.in_language(language))
        if condition is not None:
            _condition(ET.SubElement(rule, f"{{{_OGC}}}Filter"), condition)
        if classed.largest_scale is not None:
            _se(rule, "MinScaleDenominator", f"{classed.largest_scale:.2f}")
        if classed.smallest_scale is not None:
            _se(rule, "MaxScaleDenominator", f"{classed.smallest_scale:.2f}")
        if classed.kind == "symbol":
            _text(rule, classed, paint)
        else:
            {"fill": _fill, "line": _line, "circle": _circle}[classed.kind](rule, paint, patterns)


def _se(parent: ET.Element, name: str, text: str | None = None) -> ET.Element:
    element = ET.SubElement(parent, f"{{{_SE}}}{name}")
    element.text = text
    return element


def _description(parent: ET.Element, title: str) -> None:
    _se(_se(parent, "Description"), "Title", title)


def _parameter(parent: ET.Element, name: str, value: str) -> None:
    _se(parent, "SvgParameter", value).set("name", name)


def _colour(value: str, opacity: float) -> tuple[str, str]:
    red, green, blue, own = rgba(value)
    return f"#{red:02x}{green:02x}{blue:02x}", f"{own * opacity:g}"


def _fill(rule: ET.Element, paint: Mapping[str, Any], patterns: Mapping[str, Hatch]) -> None:
    symbolizer = _se(rule, "PolygonSymbolizer")
    opacity = float(paint.get("fill-opacity", 1))
    fill = _se(symbolizer, "Fill")
    if "fill-pattern" in paint:
        _hatch(fill, patterns[paint["fill-pattern"]], opacity)
        return
    colour, seen = _colour(paint["fill-color"], opacity)
    _parameter(fill, "fill", colour)
    _parameter(fill, "fill-opacity", seen)
    if "fill-outline-color" in paint:
        stroke = _se(symbolizer, "Stroke")
        colour, seen = _colour(paint["fill-outline-color"], opacity)
        _parameter(stroke, "stroke", colour)
        _parameter(stroke, "stroke-opacity", seen)
        _parameter(stroke, "stroke-width", "1")


def _hatch(fill: ET.Element, hatch: Hatch, opacity: float) -> None:
    graphic = _se(_se(fill, "GraphicFill"), "Graphic")
    mark = _se(graphic, "Mark")
    _se(mark, "WellKnownName", "horline")
    stroke = _se(mark, "Stroke")
    _parameter(stroke, "stroke", hatch.colour.lower())
    _parameter(stroke, "stroke-opacity", f"{opacity:g}")
    _parameter(stroke, "stroke-width", f"{hatch.width_px:g}")
    _se(graphic, "Size", f"{hatch.spacing_px:g}")
    _ogc(_se(graphic, "Rotation"), "Literal").text = str(hatch.angle)


def _line(rule: ET.Element, paint: Mapping[str, Any], _: Mapping[str, Hatch]) -> None:
    _stroke(_se(rule, "LineSymbolizer"), paint)


def _stroke(symbolizer: ET.Element, paint: Mapping[str, Any]) -> None:
    stroke = _se(symbolizer, "Stroke")
    width = float(paint.get("line-width", 1))
    colour, seen = _colour(paint.get("line-color", "#000000"), float(paint.get("line-opacity", 1)))
    _parameter(stroke, "stroke", colour)
    _parameter(stroke, "stroke-opacity", seen)
    _parameter(stroke, "stroke-width", f"{width:g}")
    join = paint.get("line-join", "miter")
    _parameter(stroke, "stroke-linejoin", "mitre" if join == "miter" else join)
    _parameter(stroke, "stroke-linecap", paint.get("line-cap", "butt"))
    if "line-dasharray" in paint:
        dashes = " ".join(f"{length * width:g}" for length in paint["line-dasharray"])
        _parameter(stroke, "stroke-dasharray", dashes)


def _circle(rule: ET.Element, paint: Mapping[str, Any], _: Mapping[str, Hatch]) -> None:
    graphic = _se(_se(rule, "PointSymbolizer"), "Graphic")
    mark = _se(graphic, "Mark")
    _se(mark, "WellKnownName", "circle")
    fill = _se(mark, "Fill")
    opacity = float(paint.get("circle-opacity", 1))
    colour, seen = _colour(paint.get("circle-color", "#000000"), opacity)
    _parameter(fill, "fill", colour)
    _parameter(fill, "fill-opacity", seen)
    width = float(paint.get("circle-stroke-width", 0))
    if width:
        stroke = _se(mark, "Stroke")
        colour, seen = _colour(paint.get("circle-stroke-color", "#000000"), 1)
        _parameter(stroke, "stroke", colour)
        _parameter(stroke, "stroke-opacity", seen)
        _parameter(stroke, "stroke-width", f"{width:g}")
    _se(graphic, "Size", f"{2 * float(paint.get('circle-radius', 5)) + width:g}")


def _text(rule: ET.Element, classed: ClassedLayer, paint: Mapping[str, Any]) -> None:
    symbolizer = _se(rule, "TextSymbolizer")
    _expression(_se(symbolizer, "Label"), classed.text_field)
    font = _se(symbolizer, "Font")
    _parameter(font, "font-family", "Noto Sans CJK SC")
    _parameter(font, "font-size", f"{float(paint.get('text-size', 16)):g}")
    right, down = paint.get("text-offset", [0, 0])
    point = _se(_se(symbolizer, "LabelPlacement"), "PointPlacement")
    anchor = _se(point, "AnchorPoint")
    across, up = _ANCHORS[paint.get("text-anchor", "center")]
    _se(anchor, "AnchorPointX", across)
    _se(anchor, "AnchorPointY", up)
    size = float(paint.get("text-size", 16))
    moved = _se(point, "Displacement")
    _se(moved, "DisplacementX", f"{float(right) * size:g}")
    _se(moved, "DisplacementY", f"{-float(down) * size:g}")
    if float(paint.get("text-halo-width", 0)):
        halo = _se(symbolizer, "Halo")
        _se(halo, "Radius", f"{float(paint['text-halo-width']):g}")
        colour, seen = _colour(paint.get("text-halo-color", "#FFFFFF"), 1)
        fill = _se(halo, "Fill")
        _parameter(fill, "fill", colour)
        _parameter(fill, "fill-opacity", seen)
    fill = _se(symbolizer, "Fill")
    colour, seen = _colour(paint.get("text-color", "#000000"), float(paint.get("text-opacity", 1)))
    _parameter(fill, "fill", colour)
    _parameter(fill, "fill-opacity", seen)


_ANCHORS: Final = {"center": ("0.5", "0.5"), "top": ("0.5", "1"), "bottom": ("0.5", "0"),
                   "left": ("0", "0.5"), "right": ("1", "0.5")}  # fmt: skip


# --- Conditions -----------------------------------------------------------------------------


def _condition(parent: ET.Element, condition: Condition) -> None:
    operator, *parts = condition
    if operator in ("all", "any"):
        _joined(parent, "And" if operator == "all" else "Or", parts)
    elif operator == "!":
        _negated(parent, parts[0])
    elif operator == "match" and parts[2:] == [True, False]:
        labels = parts[1] if isinstance(parts[1], list) else [parts[1]]
        _joined(parent, "Or", [["==", parts[0], label] for label in labels])
    elif operator == "has":
        _null(_ogc(parent, "Not"), parts[0])
    elif operator in _COMPARISONS:
        compared = _ogc(parent, _COMPARISONS[operator])
        for part in parts:
            _expression(compared, part)
    else:
        raise _not_said(operator)


def _negated(parent: ET.Element, condition: Condition) -> None:
    """What does not hold; also where a property is NULL, of which OGC filters know nothing."""
    operator, *parts = condition
    if operator in ("all", "any"):
        _joined(parent, "Or" if operator == "all" else "And", [["!", part] for part in parts])
    elif operator == "!":
        _condition(parent, parts[0])
    elif operator == "has":
        _null(parent, parts[0])
    else:
        either = _ogc(parent, "Or")
        _condition(_ogc(either, "Not"), condition)
        for part in parts:
            if is_expression(part) and part[0] == "get":
                _null(either, part[1])


def _ogc(parent: ET.Element, name: str) -> ET.Element:
    return ET.SubElement(parent, f"{{{_OGC}}}{name}")


def _null(parent: ET.Element, name: str) -> None:
    _ogc(_ogc(parent, "PropertyIsNull"), "PropertyName").text = name


def _joined(parent: ET.Element, word: str, parts: Sequence[Condition]) -> None:
    if len(parts) == 1:
        _condition(parent, parts[0])
        return
    element = ET.SubElement(parent, f"{{{_OGC}}}{word}")
    for part in parts:
        _condition(element, part)


def _expression(parent: ET.Element, value: Any) -> None:
    """A property or a constant; of several texts to choose from, the first that SLD can name."""
    if not is_expression(value):
        ET.SubElement(parent, f"{{{_OGC}}}Literal").text = (
            str(value).lower() if isinstance(value, bool) else str(value)
        )
        return
    operator, *parts = value
    if operator == "get":
        ET.SubElement(parent, f"{{{_OGC}}}PropertyName").text = parts[0]
    elif operator in ("coalesce", "to-string", "to-number"):
        _expression(parent, parts[0])
    elif operator == "concat":
        for part in parts:
            _expression(parent, part)
    else:
        raise _not_said(operator)


def _not_said(operator: str) -> BadConfiguration:
    return BadConfiguration(
        f"SLD has no word for {operator}; write the style with match or case.",
        f"SLD 无法表达运算 {operator}；请改用 match 或 case。",
    )
