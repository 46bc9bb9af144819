"""What a style fragment may hold; anything else is an error that names layer and place.

Checked when the service starts, for all layers and base maps: no renderer ever meets a value that
it would have to pass over in silence.
"""

from collections.abc import Callable
from typing import Any, Final

from psycopg import sql

from layers.catalog import Layer
from layers.errors import BadConfiguration
from tiles.expression import OPERATORS, folded, reads_feature, rgba, with_results
from tiles.expression_sql import sql_of

_SHARE: Final = (0.0, 1.0)
_LENGTH: Final = (0.0, 1000.0)
_CHOICES: Final[dict[str, tuple[str, ...]]] = {
    "line-cap": ("butt", "round", "square"),
    "line-join": ("miter", "round", "bevel"),
    "text-anchor": ("center", "left", "right", "top", "bottom"),
    "symbol-placement": ("point",),
}
_NUMBERS: Final[dict[str, tuple[float, float]]] = {
    "fill-opacity": _SHARE, "line-opacity": _SHARE, "circle-opacity": _SHARE,
    "text-opacity": _SHARE, "line-width": _LENGTH, "circle-radius": _LENGTH,
    "circle-stroke-width": _LENGTH, "text-size": _LENGTH, "text-halo-width": _LENGTH,
    "text-letter-spacing": _LENGTH, "text-max-width": _LENGTH, "text-padding": _LENGTH,
    "symbol-sort-key": (-1e9, 1e9),
}  # fmt: skip
_COLOURS: Final = frozenset(
    {"fill-color", "fill-outline-color", "line-color", "circle-color", "circle-stroke-color",
     "text-color", "text-halo-color"}
)  # fmt: skip
_PER_FEATURE: Final = _COLOURS | {
    "fill-opacity", "line-opacity", "circle-opacity", "line-width", "text-field", "symbol-sort-key",
}  # fmt: skip
"""Properties that may differ from feature to feature; the others hang on the zoom at most."""
PROPERTIES: Final[dict[str, frozenset[str]]] = {
    "fill": frozenset(
        {"fill-color", "fill-opacity", "fill-outline-color", "fill-pattern", "fill-antialias"}
    ),
    "line": frozenset(
        {"line-color", "line-width", "line-opacity", "line-dasharray", "line-cap", "line-join"}
    ),
    "circle": frozenset(
        {"circle-color", "circle-radius", "circle-opacity", "circle-stroke-color",
         "circle-stroke-width"}
    ),
    "symbol": frozenset(
        {"text-field", "text-size", "text-color", "text-halo-color", "text-halo-width",
         "text-opacity", "text-anchor", "text-offset", "text-letter-spacing", "text-max-width",
         "text-padding", "symbol-placement", "symbol-sort-key"}
    ),
}  # fmt: skip
LAYOUT: Final = frozenset(
    {"line-cap", "line-join", "text-field", "text-size", "text-anchor", "text-offset",
     "text-letter-spacing", "text-max-width", "text-padding", "symbol-placement",
     "symbol-sort-key"}
)  # fmt: skip
"""What stands under ``layout``; all other properties stand under ``paint``."""
_KEYS: Final = frozenset({"type", "paint", "layout", "minzoom", "maxzoom", "filter", "draw_order"})
_WORDS: Final = (("by_code",), ("by_code", "scheme"), ("hatch",), ("label",))
_ZOOMS: Final = (0.0, 5.0, 8.5, 12.0, 15.5, 22.0)


def check_fragment(layer: Layer, fragment: dict[str, Any]) -> None:
    """Refuse what is outside the documented subset or asks for what the tiles do not carry."""
    kind = fragment.get("type")
    if kind not in PROPERTIES:
        raise fault_of(layer, f"type {kind} is none of {', '.join(PROPERTIES)}")
    unknown = fragment.keys() - _KEYS
    properties = fragment.get("paint", {}).keys() | fragment.get("layout", {}).keys()
    unknown |= properties - PROPERTIES[kind]
    if unknown:
        raise fault_of(layer, f"not in the documented subset: {', '.join(sorted(unknown))}")
    misplaced = (
        LAYOUT & fragment.get("paint", {}).keys() | fragment.get("layout", {}).keys() - LAYOUT
    )
    if misplaced:
        raise fault_of(layer, f"under paint or layout by mistake: {', '.join(sorted(misplaced))}")
    for part in ("paint", "layout"):
        for value in fragment.get(part, {}).values():
            _check_words(layer, value)
    _check_words(layer, fragment.get("filter"))


def check_style_layer(layer: Layer, style_layer: dict[str, Any]) -> None:
    """Refuse values that are no such property's, at any zoom; words of ours are expanded."""
    for part in ("paint", "layout"):
        for name, value in style_layer.get(part, {}).items():
            if name not in PROPERTIES[style_layer["type"]]:
                continue  # put in by us: the font, the visibility
            for zoom in _ZOOMS:
                try:
                    _check_value(name, folded(value, zoom))
                except BadConfiguration as error:
                    raise fault_of(layer, f"{name}: {error.text.en}") from error
                except (TypeError, ValueError, LookupError) as error:
                    raise fault_of(layer, f"{name}: {value!r} cannot be computed") from error
    if "filter" in style_layer:
        try:
            sql_of(folded(style_layer["filter"], _ZOOMS[0]), sql.SQL("p"))
        except (TypeError, ValueError, LookupError) as error:
            raise fault_of(layer, f"filter {style_layer['filter']!r} cannot be computed") from error


def _check_value(name: str, value: Any) -> None:
    if reads_feature(value):
        if name not in _PER_FEATURE:
            raise _wrong("hangs on the zoom only, not on the feature")
        if name in _COLOURS or (name in _NUMBERS and name != "symbol-sort-key"):
            sql_of(value, sql.SQL("p"))
            for result in _results(value):
                _check_value(name, result)
        return
    if name in _COLOURS:
        rgba(value)
    elif name in _NUMBERS:
        low, high = _NUMBERS[name]
        if isinstance(value, bool) or not low <= float(value) <= high:
            raise _wrong(f"{value} is not between {low:g} and {high:g}")
    elif name in _CHOICES and value not in _CHOICES[name]:
        raise _wrong(f"{value} is none of {', '.join(_CHOICES[name])}")
    elif name in _LISTS:
        _LISTS[name](value)


def _results(value: Any) -> list[Any]:
    """The constants that a choice may give."""
    found: list[Any] = []
    with_results(value, found.append)
    return found


def _check_dashes(value: Any) -> None:
    lengths = [float(one) for one in value]
    if not lengths or min(lengths) < 0 or sum(lengths) <= 0:
        raise _wrong("dashes are lengths above 0, in widths of the line")


def _check_offset(value: Any) -> None:
    right, down = value
    float(right), float(down)


def _check_boolean(value: Any) -> None:
    if not isinstance(value, bool):
        raise _wrong(f"{value!r} is neither true nor false")


_LISTS: Final[dict[str, Callable[[Any], None]]] = {
    "line-dasharray": _check_dashes,
    "text-offset": _check_offset,
    "fill-antialias": _check_boolean,
}


def _check_words(layer: Layer, value: Any) -> None:
    if isinstance(value, dict):
        words = value.keys()
        if not any(words == set(form) for form in _WORDS):
            raise fault_of(layer, f"unknown words {sorted(words)}")
        for word in words - {"hatch"}:
            _check_in_tiles(layer, value[word])
    elif isinstance(value, list) and value and isinstance(value[0], str):
        if value[0] not in OPERATORS:
            raise fault_of(layer, f"operator {value[0]} is not in the documented subset")
        if value[0] in ("get", "has"):
            _check_in_tiles(layer, value[1])
        if value[0] != "literal":
            # The labels of a match may be a list of strings, which is no expression.
            labels = range(2, len(value) - 1, 2) if value[0] == "match" else ()
            for place, part in enumerate(value):
                if place not in labels:
                    _check_words(layer, part)


def _check_in_tiles(layer: Layer, name: str) -> None:
    if name not in layer.tile_attributes:
        raise fault_of(layer, f"attribute {name} is not carried into tiles (in_tiles)")


def _wrong(fault: str) -> BadConfiguration:
    return BadConfiguration(fault, fault)


def fault_of(layer: Layer, fault: str) -> BadConfiguration:
    """What is wrong with the style of a layer."""
    return BadConfiguration(
        f"Style of layer {layer.id}: {fault}.", f"图层 {layer.id} 的样式有误：{fault}。"
    )
