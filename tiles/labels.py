"""Which labels a picture shows, and where: the same on every picture that shows the place.

Labels compete for room. If the winner of a place hung on what else is in the picture, a label
would end at the edge of a tile. So anchors belong to the data, not to the picture, and a label
wins over its neighbours by rank alone: after ``ROUNDS`` rounds its fate hangs on nothing that is
further away than ``REACH_PX``, and candidates are gathered that far around the picture.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import shapely

from layers.database import Connection, rows, statements
from tiles.expression import evaluate, folded
from tiles.fonts import font
from tiles.map_frame import MapFrame
from tiles.mapnik_style import StyledSource, is_drawn

_SQL: Final = statements("tiles", "map_drawing.sql")
ROUNDS: Final = 2
APART_PX: Final = 220
"""Between two labels of the same text."""
REACH_PX: Final = 900
"""Two rounds reach three times as far as two labels can be in each other's way."""
_LINE: Final = 1.2
"""Height of a line, in sizes of the text."""


@dataclass(frozen=True, slots=True)
class TextLook:
    """How texts are drawn; lengths in CSS pixels."""

    size: float
    colour: str
    halo_colour: str
    halo_width: float
    opacity: float
    spacing: float


@dataclass(frozen=True, slots=True)
class Label:
    """A label at its place; ``x`` and ``y`` are the middle of its box in CSS pixels."""

    text: str
    x: float
    y: float
    width: float
    height: float
    look: TextLook


@dataclass(frozen=True, slots=True)
class _Candidate:
    label: Label
    rank: tuple[Any, ...]
    """Smaller wins; the same whatever the picture."""


def chosen_labels(
    connection: Connection,
    style_layers: Sequence[Mapping[str, Any]],
    sources: Mapping[str, StyledSource],
    frame: MapFrame,
    base_zoom: int,
) -> list[Label]:
    """The labels that a picture shows a part of, by rank."""
    candidates: list[_Candidate] = []
    for depth, part in enumerate(reversed(style_layers)):
        if part["type"] == "symbol" and is_drawn(part, frame.zoom) and part["source"] in sources:
            source = sources[part["source"]]
            candidates += _candidates(connection, part, source, frame, base_zoom, depth)
    candidates.sort(key=lambda one: one.rank)
    width, height = frame.width_px / frame.scale, frame.height_px / frame.scale
    return [
        label
        for label in _winners([one.label for one in candidates])
        if abs(label.x - width / 2) * 2 < width + label.width
        and abs(label.y - height / 2) * 2 < height + label.height
    ]


def _candidates(
    connection: Connection,
    part: Mapping[str, Any],
    source: StyledSource,
    frame: MapFrame,
    base_zoom: int,
    depth: int,
) -> Iterator[_Candidate]:
    written = {**_TEXT, **part.get("layout", {}), **part["paint"]}
    at_zoom = {key: folded(value, frame.zoom) for key, value in written.items() if key in _TEXT}
    condition = folded(part["filter"], frame.zoom) if "filter" in part else True
    anchors = _anchors(connection, source, frame, base_zoom)
    if not anchors:
        return
    metres = np.array([[anchor["x"], anchor["y"]] for anchor in anchors])
    places = frame.to_pixels(frame.from_mercator(metres)) / frame.scale
    for anchor, place in zip(anchors, places.tolist(), strict=True):
        properties = anchor["properties"]
        if evaluate(condition, properties, frame.zoom) is not True:
            continue
        text = evaluate(at_zoom["text-field"], properties, frame.zoom)
        if not text:
            continue
        values = {key: evaluate(value, properties, frame.zoom)
                  for key, value in at_zoom.items() if key != "text-field"}  # fmt: skip
        label = _placed(str(text), values, place)
        key = (values["symbol-sort-key"], -round(anchor["size_m2"], 2), anchor["fid"])
        yield _Candidate(label, (depth, *key, anchor["x"], anchor["y"]))


_TEXT: Final[dict[str, Any]] = {
    "text-size": 16, "text-color": "#000000", "text-halo-color": "rgba(0, 0, 0, 0)",
    "text-halo-width": 0, "text-opacity": 1, "text-anchor": "center", "text-offset": [0, 0],
    "text-letter-spacing": 0, "text-max-width": 10, "text-padding": 2, "symbol-sort-key": 0,
    "text-field": "",
}  # fmt: skip
"""MapLibre's defaults."""


def _anchors(
    connection: Connection, source: StyledSource, frame: MapFrame, base_zoom: int
) -> list[dict[str, Any]]:
    reach = frame.grown(round(REACH_PX * frame.scale))
    zoom = max(base_zoom, int(frame.zoom))
    columns, lines = reach.tile_range(zoom)
    tiles = [(x, y) for y in lines for x in columns]
    statement = source.parts.on(_SQL["labels_of_areas"])
    return rows(
        connection, statement, content=source.content_id, parts=source.parts.parts,
        base_zoom=base_zoom, zoom=zoom, up=zoom - base_zoom,
        x=[x for x, _ in tiles], y=[y for _, y in tiles],
    )  # fmt: skip


def _placed(text: str, values: Mapping[str, Any], place: Sequence[float]) -> Label:
    size = float(values["text-size"])
    spacing = float(values["text-letter-spacing"]) * size
    lines = _lines(text, size, spacing, float(values["text-max-width"]) * size)
    wide = max(_width(line, size, spacing) for line in lines)
    high = len(lines) * size * _LINE
    right, down = (float(one) * size for one in values["text-offset"])
    anchor = values["text-anchor"]
    right += {"left": wide / 2, "right": -wide / 2}.get(anchor, 0.0)
    down += {"top": high / 2, "bottom": -high / 2}.get(anchor, 0.0)
    padding = 2 * (float(values["text-padding"]) + float(values["text-halo-width"]))
    width, height = wide + padding, high + padding
    look = TextLook(
        size,
        values["text-color"],
        values["text-halo-color"],
        float(values["text-halo-width"]),
        float(values["text-opacity"]),
        spacing,
    )
    return Label("\n".join(lines), place[0] + right, place[1] + down, width, height, look)


def _width(text: str, size: float, spacing: float) -> float:
    # Measured at one size: a size of its own for every zoom would fill the memory with fonts.
    return float(font(20).getlength(text)) * size / 20 + spacing * max(0, len(text) - 1)


_UNITS: Final = re.compile(r"[（(][^（()）]*[)）]|[^\s]")
"""What is not broken where a text has no spaces: a remark in brackets, a character."""


def _lines(text: str, size: float, spacing: float, widest: float) -> list[str]:
    """Broken at spaces, or between any two characters where there are none."""
    lines: list[str] = []
    for paragraph in text.split("\n"):
        words = paragraph.split(" ") if " " in paragraph else _UNITS.findall(paragraph)
        glue = " " if " " in paragraph else ""
        line = ""
        for word in words:
            longer = f"{line}{glue}{word}" if line else word
            if line and _width(longer, size, spacing) > widest:
                lines.append(line)
                line = word
            else:
                line = longer
        lines.append(line)
    return lines


def _winners(labels: Sequence[Label]) -> list[Label]:
    """Those that no better one forbids; the order is the rank."""
    if not labels:
        return []
    one, other = _in_the_way(labels)
    undecided = np.ones(len(labels), bool)
    won = np.zeros(len(labels), bool)
    for _ in range(ROUNDS):
        # The smaller number has the better rank.
        open_pair = undecided[one] & undecided[other]
        beaten = np.zeros(len(labels), bool)
        beaten[np.maximum(one, other)[open_pair]] = True
        new = undecided & ~beaten
        won |= new
        undecided &= ~new
        lost = np.zeros(len(labels), bool)
        lost[other[new[one]]] = True
        lost[one[new[other]]] = True
        undecided &= ~lost
    return [label for label, wins in zip(labels, won.tolist(), strict=True) if wins]


def _in_the_way(labels: Sequence[Label]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Pairs of labels of which only one can be there."""
    middle = np.array([[label.x, label.y] for label in labels])
    half = np.array([[label.width / 2, label.height / 2] for label in labels])
    boxes: Any = shapely.box(*(middle - half).T, *(middle + half).T)
    first, second = shapely.STRtree(boxes).query(boxes, predicate="intersects")
    texts = np.unique([label.text for label in labels], return_inverse=True)[1]
    around: Any = shapely.box(*(middle - APART_PX / 2).T, *(middle + APART_PX / 2).T)
    near, far = shapely.STRtree(around).query(around, predicate="intersects")
    alike = texts[near] == texts[far]
    one = np.concatenate((first, near[alike]))
    other = np.concatenate((second, far[alike]))
    pair = one < other
    return one[pair], other[pair]
