"""A layer's look as classes: what desktop GIS and their legends are made of.

A style layer whose paint differs from feature to feature becomes a list of classes, each with a
condition and with paint that is the same for all its features; no feature is of two. Codes make a
class each, named as in their list. Desktop programs know no zoom: widths are those of ``AT_ZOOM``,
or of the nearest zoom at which the style layer shows, and that range of zooms becomes scales.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Final

from layers.catalog import Catalog, Layer
from layers.text import Text
from tiles.expression import folded, is_expression, reads_feature
from tiles.legend import LEGEND_ZOOM
from tiles.map_style import map_style

AT_ZOOM: Final = LEGEND_ZOOM
_SCALE_OF_ZOOM_0: Final = 559_082_264.028 / 2
"""Scale denominator of MapLibre's zoom 0 (tiles of 512 pixels of 0.28 mm) on the equator."""

Condition = Any
"""An expression of ``tiles.expression``; None = all features."""


@dataclass(frozen=True, slots=True)
class StyleClass:
    """Features that look alike."""

    title: Text
    conditions: tuple[Condition, ...]
    """All of them hold; the general ones (the scheme of a code) come first."""
    paint: Mapping[str, Any]
    """Constants: colours, lengths in pixels, opacities."""


@dataclass(frozen=True, slots=True)
class ClassedLayer:
    """One style layer; the lists of a look are drawn one over the other, bottom first."""

    kind: str
    classes: tuple[StyleClass, ...]
    text_field: Any
    """The label's expression; None where there is none."""
    smallest_scale: float | None
    """The largest denominator at which it shows; None = always."""
    largest_scale: float | None


def classed_layers(catalog: Catalog, layer: Layer, language: str = "zh") -> list[ClassedLayer]:
    """The look of a layer as classes, bottom first."""
    drawn = map_style(catalog, "", [layer.id], language, all_visible=True)["layers"][1:]
    return [_classed(catalog, layer, part) for part in drawn]


def _classed(catalog: Catalog, layer: Layer, part: Mapping[str, Any]) -> ClassedLayer:
    low, high = part.get("minzoom"), part.get("maxzoom")
    zoom = max(AT_ZOOM, low or 0)
    if high is not None and zoom >= high:
        zoom = high - 0.01
    values = {
        key: folded(value, zoom)
        for key, value in {**part.get("layout", {}), **part["paint"]}.items()
        if key != "text-font"
    }
    text_field = values.pop("text-field", None)
    condition = folded(part["filter"], zoom) if "filter" in part else None
    return ClassedLayer(
        part["type"],
        tuple(_classes(catalog, layer, values, condition)),
        text_field,
        _SCALE_OF_ZOOM_0 / 2**low if low is not None else None,
        _SCALE_OF_ZOOM_0 / 2**high if high is not None else None,
    )


def _classes(
    catalog: Catalog, layer: Layer, values: Mapping[str, Any], shown: Condition
) -> Iterator[StyleClass]:
    varied = {key: list(_choices(value)) for key, value in values.items() if reads_feature(value)}
    constant = {key: value for key, value in values.items() if key not in varied}
    first = [shown] if shown is not None else []
    for choice in product(*varied.values()):
        conditions = _consistent([one for condition, _ in choice for one in condition])
        if conditions is None:
            continue
        paint = {**constant, **{key: one for key, (_, one) in zip(varied, choice, strict=True)}}
        yield StyleClass(_title(catalog, layer, conditions), (*first, *conditions), paint)


def _consistent(conditions: Sequence[Condition]) -> list[Condition] | None:
    """Each once; None where two properties would need the attribute to be two things at once."""
    once: list[Condition] = []
    for one in conditions:
        if one not in once:
            once.append(one)
    equal = [(one[1], one[2]) for one in once if one[0] == "=="]
    for subject, label in equal:
        if any(other == subject and that != label for other, that in equal):
            return None
        if any(one[0] == "!" and one[1][:2] == ["match", subject] and label in one[1][2]
               for one in once):  # fmt: skip
            return None
    return once


def joined(classes: Sequence[StyleClass]) -> list[tuple[Text, Condition, Mapping[str, Any]]]:
    """With one condition each; classes that look alike under one title are one."""
    found: dict[str, tuple[Text, Condition, Mapping[str, Any]]] = {}
    for one in classes:
        condition: Condition = None
        if one.conditions:
            condition = one.conditions[0] if len(one.conditions) == 1 else ["all", *one.conditions]
        key = repr((one.title, sorted(one.paint.items())))
        held = found.get(key)
        if held is not None:
            condition = ["any", held[1], condition]
        found[key] = (one.title, condition, one.paint)
    return list(found.values())


Choice = tuple[list[Condition], Any]


def _choices(value: Any) -> Iterator[Choice]:
    """What a value may be, each with the conditions that must all hold; they exclude each other."""
    if not is_expression(value) or not reads_feature(value):
        yield [], value
        return
    operator, *parts = value
    yield from {"match": _of_match, "case": _of_case, "step": _of_step}[operator](parts)


def _of_match(parts: Sequence[Any]) -> Iterator[Choice]:
    subject, everything = parts[0], []
    for labels, result in zip(parts[1:-1:2], parts[2:-1:2], strict=True):
        for label in labels if isinstance(labels, list) else [labels]:
            everything.append(label)
            for conditions, constant in _choices(result):
                yield [["==", subject, label], *conditions], constant
    for conditions, constant in _choices(parts[-1]):
        yield [["!", ["match", subject, everything, True, False]], *conditions], constant


def _of_case(parts: Sequence[Any]) -> Iterator[Choice]:
    earlier: list[Condition] = []
    for test, result in zip(parts[:-1:2], parts[1:-1:2], strict=True):
        for conditions, constant in _choices(result):
            yield [*earlier, test, *conditions], constant
        earlier.append(["!", test])
    for conditions, constant in _choices(parts[-1]):
        yield [*earlier, *conditions], constant


def _of_step(parts: Sequence[Any]) -> Iterator[Choice]:
    subject, starts = parts[0], parts[2::2]
    yield [["<", subject, starts[0]]], parts[1]
    for place, (start, result) in enumerate(zip(starts, parts[3::2], strict=True)):
        above = [[">=", subject, start]]
        below = [["<", subject, starts[place + 1]]] if place + 1 < len(starts) else []
        yield above + below, result


def _title(catalog: Catalog, layer: Layer, conditions: Sequence[Condition]) -> Text:
    """The title of the code that the class is of; with its scheme, if that is another."""
    named: list[Text] = []
    scheme = None
    for one in conditions:
        if not (isinstance(one, list) and one[0] == "==" and one[1][0] == "get"):
            continue
        attribute = layer.attribute(one[1][1])
        if attribute is None or attribute.codes is None:
            continue
        by_scheme = catalog.code_list_of_scheme(str(one[2]))
        if by_scheme is not None:
            scheme = by_scheme
            continue
        own = catalog.code_list(attribute.codes)
        scheme = None if scheme is own else scheme
        code_list = scheme or own
        code = code_list.find(str(one[2]))
        if code is not None:
            mark = "" if scheme is None else f" ({scheme.scheme})"
            named.append(Text(zh=f"{code.code} {code.title.zh}{mark}",
                              en=f"{code.code} {code.title.en}{mark}"))  # fmt: skip
    if named:
        return Text(zh="，".join(one.zh for one in named), en=", ".join(one.en for one in named))
    if conditions and conditions[-1][0] == "!":
        return Text(zh="其他", en="Other")
    return layer.title
