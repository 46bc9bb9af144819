"""Legends: the map style evaluated class by class, so that a legend cannot differ from the map.

A layer that is coloured by code gives one entry for each first-level code of its list, or for the
codes asked for; any other layer gives one entry.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, Literal, TypedDict

from PIL import Image, ImageDraw

from layers.catalog import Catalog, Code, Layer
from tiles.expression import evaluate, rgb
from tiles.fonts import font
from tiles.map_style import map_style
from tiles.sprite import Hatch, hatches, png

LEGEND_ZOOM: Final = 13.0
"""The zoom a legend speaks for: deep enough that every class is drawn with its outline."""


class LegendEntry(TypedDict):
    """One line of a legend; colours are ``#RRGGBB`` as they appear on white paper.

    ``colour`` is the fill, the line or the hatch's lines; ``background`` is what lies under a
    hatch; ``outline`` runs around a fill, a hatch or a circle.
    """

    label: dict[str, str]
    symbol: Literal["fill", "line", "circle", "hatch"]
    colour: str
    outline: str | None
    code: str | None
    background: str | None
    dash: list[float] | None
    hatch: dict[str, Any] | None


def legend(
    catalog: Catalog,
    layer: Layer,
    codes: Iterable[str] | None = None,
    scheme: str | None = None,
) -> list[LegendEntry]:
    """The entries of a layer; ``codes`` restricts them to classes that are really there.

    ``scheme`` is the classification of the features where they bring their own (an older
    survey); without it the attribute's own list counts. Codes that the list does not have are
    passed over.
    """
    drawn = map_style(catalog, "", [layer.id], all_visible=True)["layers"][1:]
    entries = []
    for code, properties in _classes(catalog, layer, codes, scheme):
        entry = _entry(layer, drawn, code, properties)
        if entry is not None:
            entries.append(entry)
    return entries


def _classes(
    catalog: Catalog, layer: Layer, codes: Iterable[str] | None, scheme: str | None
) -> Iterator[tuple[Code | None, dict[str, Any]]]:
    """Each class of the layer with the properties that a feature of it would have."""
    word = next(
        (
            value
            for fragment in layer.style
            for value in fragment.get("paint", {}).values()
            if isinstance(value, dict) and "by_code" in value
        ),
        None,
    )
    attribute = layer.attribute(word["by_code"]) if word else None
    if word is None or attribute is None or attribute.codes is None:
        yield None, {}
        return
    named = catalog.code_list_of_scheme(scheme) if scheme and "scheme" in word else None
    code_list = named or catalog.code_list(attribute.codes)
    wanted = None if codes is None else set(codes)
    for code in code_list.codes:
        if code.parent is None if wanted is None else code.code in wanted:
            value = int(code.code) if attribute.type == "integer" else code.code
            properties: dict[str, Any] = {attribute.name: value}
            if "scheme" in word:
                properties[word["scheme"]] = code_list.scheme
            yield code, properties


def _entry(
    layer: Layer, drawn: list[dict[str, Any]], code: Code | None, properties: dict[str, Any]
) -> LegendEntry | None:
    shown = [
        (
            part["type"],
            {key: evaluate(value, properties, LEGEND_ZOOM) for key, value in part["paint"].items()},
        )
        for part in drawn
        if _is_shown(part, properties)
    ]
    fills = [paint for kind, paint in shown if kind == "fill" and "fill-color" in paint]
    lines = [paint for kind, paint in shown if kind == "line"]
    circle = next((paint for kind, paint in shown if kind == "circle"), None)
    names = [paint["fill-pattern"] for _, paint in shown if "fill-pattern" in paint]
    hatch = next((one for one in hatches(layer) if one.name in names), None)
    background = "#FFFFFF"
    for paint in fills:
        background = over(paint["fill-color"], paint.get("fill-opacity", 1), background)
    line = lines[-1] if lines else None
    outline = over(line["line-color"], line.get("line-opacity", 1), "#FFFFFF") if line else None
    entry = LegendEntry(
        label=(code.title if code else layer.title).model_dump(),
        symbol="fill",
        colour=background,
        outline=outline,
        code=code.code if code else None,
        background=None,
        dash=line.get("line-dasharray") if line else None,
        hatch=hatch.model_dump() if hatch else None,
    )
    if circle is not None:
        entry["symbol"], entry["dash"] = "circle", None
        entry["colour"] = circle["circle-color"]
        entry["outline"] = circle.get("circle-stroke-color")
    elif hatch is not None and code is None:
        entry["symbol"], entry["background"] = "hatch", background
        entry["colour"] = hatch.colour
    elif not fills and outline is not None:
        entry["symbol"], entry["outline"] = "line", None
        entry["colour"] = outline
    elif not fills:
        return None
    return entry


def _is_shown(part: Mapping[str, Any], properties: dict[str, Any]) -> bool:
    if not part.get("minzoom", 0) <= LEGEND_ZOOM < part.get("maxzoom", 24):
        return False
    return part["type"] != "symbol" and (
        "filter" not in part or bool(evaluate(part["filter"], properties, LEGEND_ZOOM))
    )


def over(colour: str, opacity: float, background: str) -> str:
    """The colour that is seen where one lies on another."""
    mixed = (
        round(top * opacity + under * (1 - opacity))
        for top, under in zip(rgb(colour), rgb(background), strict=True)
    )
    return "#" + "".join(f"{part:02X}" for part in mixed)


def legend_png(
    catalog: Catalog,
    layer: Layer,
    language: str = "zh",
    codes: Iterable[str] | None = None,
    ratio: int = 2,
) -> bytes:
    """The legend as a picture with the layer's title, ``ratio`` device pixels a CSS pixel."""
    entries = legend(catalog, layer, codes)
    title = layer.title.in_language(language)
    lang = "zh" if language.lower().startswith("zh") else "en"
    head, text = font(15 * ratio), font(13 * ratio)
    margin, row, swatch = 8 * ratio, 22 * ratio, 30 * ratio
    width = max(
        head.getlength(title),
        *(swatch + margin + text.getlength(entry["label"][lang]) for entry in entries),
        0,
    )
    size = (round(width) + 2 * margin, (len(entries) + 1) * row + 2 * margin)
    image = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(image)
    draw.text((margin, margin), title, fill="#26292E", font=head)
    for number, entry in enumerate(entries, start=1):
        top = margin + number * row
        box = (margin, top + 3 * ratio, margin + swatch, top + 19 * ratio)
        _draw_symbol(image, entry, box, ratio)
        middle = (box[1] + box[3]) / 2
        place = (margin + swatch + margin, middle)
        draw.text(place, entry["label"][lang], fill="#26292E", font=text, anchor="lm")
    return png(image)


def _draw_symbol(
    image: Image.Image, entry: LegendEntry, box: tuple[int, int, int, int], ratio: int
) -> None:
    draw = ImageDraw.Draw(image)
    left, top, right, bottom = box
    middle = (top + bottom) // 2
    if entry["symbol"] == "circle":
        centre, radius = (left + right) / 2, 4 * ratio
        draw.circle((centre, middle), radius, entry["colour"], entry["outline"], ratio)
        return
    if entry["symbol"] == "line":
        dash = entry["dash"] or [right - left, 0]
        x = float(left)
        while x < right:
            end = min(x + dash[0] * 2 * ratio, right)
            draw.line((x, middle, end, middle), entry["colour"], 2 * ratio)
            x += (dash[0] + dash[1]) * 2 * ratio
        return
    draw.rectangle(box, entry["background"] or entry["colour"])
    if entry["hatch"] is not None:
        _lay_hatch(image, Hatch.model_validate(entry["hatch"]), box, ratio)
    if entry["outline"] is not None:
        draw.rectangle(box, outline=entry["outline"], width=ratio)


def _lay_hatch(
    image: Image.Image, hatch: Hatch, box: tuple[int, int, int, int], ratio: int
) -> None:
    tile = Image.fromarray(hatch.pixels(ratio))
    left, top, right, bottom = box
    sheet = Image.new("RGBA", (right - left, bottom - top))
    for x in range(0, sheet.width, tile.width):
        for y in range(0, sheet.height, tile.height):
            sheet.paste(tile, (x, y))
    image.paste(sheet, (left, top), sheet)
