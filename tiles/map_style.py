"""The one place where a layer's look becomes a map style.

``Layer.style`` holds fragments of MapLibre layers, bottom first::

    - type: fill | line | circle | symbol
      minzoom, maxzoom, filter            as in MapLibre
      draw_order: 0                       optional: another place than the layer's own
      paint: {...}
      layout: {...}

Admitted are the properties of ``PROPERTIES`` and the operators of ``OPERATORS`` only (``tiles.
style_subset``), so that every renderer gives the same look (map tiles, SLD, QML, legends); all is
checked at start. Four words are ours:

* ``{by_code: ATTRIBUTE}``: the colours of the attribute's code list, a code without its own
  colour takes its parent's.
* ``{by_code: ATTRIBUTE, scheme: ATTRIBUTE}``: each feature says which classification its code
  belongs to, for the same digits mean other things in another scheme.
* ``{hatch: {...}}`` as ``fill-pattern``: see ``tiles.sprite``.
* ``{label: ATTRIBUTE}`` as ``text-field``: the text in the reader's language where the layer
  has an attribute of that name with the ending ``_en``.

Symbols are drawn above all areas and lines.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from typing import Any, Final

from layers.catalog import Attribute, Catalog, CodeList, Layer, Plan
from layers.errors import BadConfiguration
from tiles.expression import OPERATORS
from tiles.sprite import hatch_of, hatches, sprite
from tiles.style_subset import PROPERTIES, check_fragment, check_style_layer, fault_of

__all__ = [
    "OPERATORS",
    "PROPERTIES",
    "check_styles",
    "drawn_fragment",
    "map_style",
    "sprite",
    "style_digest",
]

BACKGROUND: Final = "#E4EBF0"
UNKNOWN_CODE: Final = "#CFCFCF"
"""Fill of a code that its list does not have: visible, but no class of the guide's."""
OVERZOOM_FROM: Final = 15
"""Tiles deeper than this are made by the client from the tile above."""
_FONT: Final = ["Noto Sans SC Regular"]
_SYMBOL_LAYOUT: Final = {"text-font": _FONT, "text-max-width": 10, "text-padding": 3}
_SYMBOL_PAINT: Final = {"text-halo-color": "rgba(255, 255, 255, 0.92)", "text-halo-width": 1.5}


def map_style(
    catalog: Catalog,
    base_url: str,
    layers: Iterable[str] | None = None,
    language: str = "zh",
    *,
    all_visible: bool = False,
) -> dict[str, Any]:
    """The MapLibre style of some layers, or of all; a source a layer, with the layer's id.

    ``base_url`` is the public address of the service without a slash at its end; MapLibre and
    QGIS ask for absolute addresses. Layers that are off at first stand in the style with
    ``visibility: none`` unless ``all_visible``. ``NotFound`` for an unknown layer,
    ``BadConfiguration`` for a fragment outside the documented subset.
    """
    wanted = None if layers is None else {catalog.layer(layer_id).id for layer_id in layers}
    chosen = [pair for pair in catalog.layers() if wanted is None or pair[1].id in wanted]
    drawn: list[tuple[bool, int, dict[str, Any]]] = []
    for plan, layer in chosen:
        hidden = not (layer.visible or all_visible)
        drawn += _drawn(catalog, plan, layer, language, hidden=hidden)
    # The sort is stable: fragments of one layer keep the order they are written in.
    drawn.sort(key=lambda item: item[:2])
    style: dict[str, Any] = {
        "version": 8,
        "name": "multi-plan" if wanted is None else ",".join(sorted(wanted)),
        "sources": {layer.id: _source(plan, layer, base_url, language) for plan, layer in chosen},
        "layers": [
            {"id": "background", "type": "background", "paint": {"background-color": BACKGROUND}},
            *(item[2] for item in drawn),
        ],
    }
    if any(True for _, layer in chosen for _ in hatches(layer)):
        style["sprite"] = f"{base_url}/sprites/map"
    return style


def check_styles(catalog: Catalog) -> None:
    """Refuse a catalogue with a look outside the subset (``BadConfiguration``), at start."""
    for language in ("zh", "en"):
        map_style(catalog, "", language=language)


def style_digest(
    catalog: Catalog, layers: Iterable[str] | None = None, language: str = "zh"
) -> str:
    """SHA-256 of the look, wherever it is served: for entity tags and cache keys."""
    style = map_style(catalog, "", layers, language)
    text = json.dumps(style, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _source(plan: Plan, layer: Layer, base_url: str, language: str) -> dict[str, Any]:
    source: dict[str, Any] = {
        "type": "vector",
        # TileJSON names the tiles with their edition, so that they can be held for ever; tile
        # addresses written here as well would win over it in MapLibre. QGIS follows it too.
        "url": f"{base_url}/tiles/{layer.id}.json",
        "minzoom": layer.min_zoom,
        "maxzoom": max(OVERZOOM_FROM, layer.min_zoom),
    }
    if plan.licence is not None:
        source["attribution"] = plan.licence.in_language(language)
    return source


def _drawn(
    catalog: Catalog, plan: Plan, layer: Layer, language: str, *, hidden: bool
) -> Iterator[tuple[bool, int, dict[str, Any]]]:
    """The layer's style layers, each with what it is sorted by: symbol or not, draw order."""
    seen: dict[str, int] = {}
    for fragment in layer.style:
        style_layer = drawn_fragment(catalog, layer, fragment, language)
        kind = fragment["type"]
        seen[kind] = seen.get(kind, 0) + 1
        number = f"-{seen[kind]}" if seen[kind] > 1 else ""
        style_layer["id"] = f"{layer.id}-{kind}{number}"
        style_layer["metadata"]["gis:plan"] = plan.id
        if hidden:
            style_layer.setdefault("layout", {})["visibility"] = "none"
        yield kind == "symbol", fragment.get("draw_order", layer.draw_order), style_layer


def drawn_fragment(
    catalog: Catalog, layer: Layer, fragment: dict[str, Any], language: str
) -> dict[str, Any]:
    """One fragment as a style layer of MapLibre's; ``BadConfiguration`` outside the subset."""
    check_fragment(layer, fragment)
    kind = fragment["type"]
    paint = dict(_SYMBOL_PAINT) if kind == "symbol" else {}
    layout: dict[str, Any] = dict(_SYMBOL_LAYOUT) if kind == "symbol" else {}
    for key, value in fragment.get("paint", {}).items():
        paint[key] = _expand(catalog, layer, value, language)
    for key, value in fragment.get("layout", {}).items():
        layout[key] = _expand(catalog, layer, value, language)
    style_layer: dict[str, Any] = {
        "id": f"{layer.id}-{kind}",
        "type": kind,
        "source": layer.id,
        "source-layer": layer.id,
        "metadata": {"gis:layer": layer.id},
        **{key: fragment[key] for key in ("minzoom", "maxzoom", "filter") if key in fragment},
        **({"layout": layout} if layout else {}),
        "paint": paint,
    }
    check_style_layer(layer, style_layer)
    return style_layer


def _expand(catalog: Catalog, layer: Layer, value: Any, language: str) -> Any:
    if not isinstance(value, dict):
        return value
    if "hatch" in value:
        return hatch_of(layer, value).name
    if "label" in value:
        return _label(layer, value["label"], language)
    return by_code(catalog, layer, value)


def _label(layer: Layer, name: str, language: str) -> list[Any]:
    translated = layer.attribute(f"{name}_en")
    if translated is None or language.lower().startswith("zh"):
        return ["get", name]
    return ["coalesce", ["get", translated.name], ["get", name]]


def by_code(catalog: Catalog, layer: Layer, value: dict[str, str]) -> list[Any]:
    """The ``match`` expression from code to colour, by scheme where the features name theirs."""
    attribute = _coded(layer, value["by_code"])
    own = colours_by_code(catalog.code_list(str(attribute.codes)), attribute)
    if "scheme" not in value:
        return own
    scheme = _coded(layer, value["scheme"])
    branches: list[Any] = []
    for code in catalog.code_list(str(scheme.codes)).codes:
        code_list = catalog.code_list_of_scheme(code.code)
        if code_list is not None:
            branches += [code.code, colours_by_code(code_list, attribute)]
    return ["match", ["get", scheme.name], *branches, own]


def colours_by_code(code_list: CodeList, attribute: Attribute) -> list[Any]:
    """``match`` over all codes of a list; codes of one colour share a branch."""
    groups: dict[str, list[str | int]] = {}
    for code in code_list.codes:
        colour = code_list.colour(code.code)
        if colour is not None:
            number = attribute.type == "integer"
            groups.setdefault(colour, []).append(int(code.code) if number else code.code)
    if not groups:
        raise BadConfiguration(
            f"The code list {code_list.id} has no colours.", f"代码表 {code_list.id} 没有颜色。"
        )
    branches = [part for colour, codes in groups.items() for part in (codes, colour)]
    return ["match", ["get", attribute.name], *branches, UNKNOWN_CODE]


def _coded(layer: Layer, name: str) -> Attribute:
    attribute = layer.attribute(name)
    if attribute is None or attribute.codes is None:
        raise fault_of(layer, f"by_code needs an attribute with a code list, not {name}")
    return attribute
