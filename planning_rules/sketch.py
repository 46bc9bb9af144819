"""Small SVG drawings of a site and its patches, straight from the report's coordinates.

A ground, a picture of the plan layers under them, comes from the service; without one the drawing
stands on white and says so.
"""

import base64
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import shapely
from markupsafe import Markup, escape
from shapely.geometry.base import BaseGeometry

_MARGIN: Final = 14.0
_FINEST: Final = 0.4
"""Detail below this many pixels is dropped from the drawing."""

# Inside the drawing: on paper (WeasyPrint) the page's own style does not reach into it.
_STYLE: Final = (
    "text{font-size:10px;fill:#3d444d}.paper{fill:#fff;fill-opacity:.8}.north{fill:#3d444d}"
    ".bar{stroke:#3d444d;stroke-width:2;fill:none}"
    ".site{fill:#2f6f9f;fill-opacity:.13;stroke:#1f4e79;stroke-width:1.6;fill-rule:evenodd}"
    ".patch{stroke-width:1.2;fill-rule:evenodd}"
    ".conflict{fill:#d1242f;fill-opacity:.33;stroke:#a3161b}"
    ".accuracy-difference{fill:#8250df;fill-opacity:.27;stroke:#6b3fa0;stroke-dasharray:4 2}"
    ".sliver{fill:none;stroke:#9a6700;stroke-dasharray:2 2}"
    ".touch{fill:none;stroke:#57606a;stroke-width:2.4}"
)


Box = tuple[float, float, float, float]
"""West, south, east, north in degrees."""
_SURROUNDINGS: Final = 2.2
"""On a map one wants to see what lies beside the site."""
_ROW: Final = 15
_SWATCH: Final = 18


@dataclass(frozen=True, slots=True)
class KeyEntry:
    """A line of the legend of a ground; colours are ``#RRGGBB``."""

    label: str
    colour: str
    outline: str | None = None
    is_line: bool = False


@dataclass(frozen=True, slots=True)
class Ground:
    """What lies under a drawing: a PNG of exactly its box, or the reason why there is none."""

    png: bytes | None
    key: tuple[KeyEntry, ...] = ()
    note: str | None = None


def sketch_box(
    site: Mapping[str, Any], patches: Sequence[Mapping[str, Any]], width: int, height: int
) -> Box:
    """The place that a drawing of that size shows, for who draws its ground."""
    return _framed(*_shapes(site, patches), width, height, _SURROUNDINGS).box(width, height)


def sketch(
    site: Mapping[str, Any],
    patches: Sequence[Mapping[str, Any]],
    width: int,
    height: int,
    ground: Ground | None = None,
) -> Markup:
    """An SVG of the site (outline) with patches (by kind), north up, with scale bar and legend.

    The extent is that of the site; a patch that reaches beyond it (a distance line) widens it.
    """
    outline, shapes = _shapes(site, patches)
    around = _SURROUNDINGS if ground is not None and ground.png is not None else 1.0
    frame = _framed(outline, shapes, width, height, around)
    drawn = [_picture(ground, width, height)]
    drawn.append(f'<path class="site" d="{frame.path(outline)}"/>')
    drawn += [
        f'<path class="patch {kind}" d="{frame.path(shape)}"/>'
        for kind, shape in shapes
        if not shape.is_empty
    ]
    length_m, pixels = frame.scale_bar()
    label = f"{length_m:g} m" if length_m < 1000 else f"{length_m / 1000:g} km"
    drawn.append(
        f'<path class="paper" d="M4 {height - 24}h{pixels + 20:.1f}v20h-{pixels + 20:.1f}Z"/>'
        f'<path class="bar" d="M{_MARGIN} {height - 8}h{pixels:.1f}"/>'
        f'<text x="{_MARGIN}" y="{height - 12}">{label}</text>'
        f'<path class="paper" d="M{width - 24} 4h20v34h-20Z"/>'
        f'<path class="north" d="M{width - 14} 8l5 14l-5 -4l-5 4Z"/>'
        f'<text x="{width - 17.5}" y="34">N</text>'
    )
    rows, below = _legend(ground, width, height)
    # Labels are escaped; all else is numbers and our own words, kinds come from a closed list.
    return Markup(
        f'<svg viewBox="0 0 {width} {height + below}" style="width:100%;max-width:{width}px"'
        f' role="img"><style>{_STYLE}</style>{"".join(drawn)}{rows}</svg>'
    )


def _shapes(
    site: Mapping[str, Any], patches: Sequence[Mapping[str, Any]]
) -> tuple[BaseGeometry, list[tuple[str, BaseGeometry]]]:
    shapes = [(str(patch["kind"]), shapely.geometry.shape(patch["geometry"])) for patch in patches]
    return shapely.geometry.shape(dict(site)), shapes


def _framed(
    outline: BaseGeometry,
    shapes: Sequence[tuple[str, BaseGeometry]],
    width: int,
    height: int,
    around: float,
) -> "_Frame":
    """A frame that shows ``around`` times what the shapes cover."""
    return _Frame.around([outline, *(shape for _, shape in shapes)], width, height, around)


def _picture(ground: Ground | None, width: int, height: int) -> str:
    if ground is None or ground.png is None:
        return ""
    encoded = base64.b64encode(ground.png).decode()
    return (
        f'<image width="{width}" height="{height}" preserveAspectRatio="none"'
        f' href="data:image/png;base64,{encoded}"/>'
    )


def _legend(ground: Ground | None, width: int, height: int) -> tuple[str, int]:
    """The legend under the drawing in as many columns as there is room, and its height."""
    if ground is None:
        return "", 0
    if ground.note is not None:
        return f'<text x="4" y="{height + 11}">{escape(ground.note)}</text>', _ROW
    columns = max(1, width // 150)
    drawn = []
    for number, entry in enumerate(ground.key):
        x = 4 + number % columns * (width // columns)
        y = height + 4 + number // columns * _ROW
        # A line is a flat swatch.
        top, high = (y + 4, 3) if entry.is_line else (y, 10)
        edge = f' stroke="{entry.outline}"' if entry.outline else ""
        drawn.append(
            f'<rect x="{x}" y="{top}" width="{_SWATCH}" height="{high}"'
            f' fill="{entry.colour}"{edge}/>'
            f'<text x="{x + _SWATCH + 4}" y="{y + 9}">{escape(entry.label)}</text>'
        )
    return "".join(drawn), math.ceil(len(ground.key) / columns) * _ROW + 6


class _Frame:
    """From degrees to pixels: equirectangular around the middle, equal scale in both axes."""

    def __init__(self, bounds: tuple[float, float, float, float], width: int, height: int) -> None:
        west, south, east, north = bounds
        self._west, self._north = west, north
        self._stretch = math.cos(math.radians((south + north) / 2))
        across = max((east - west) * self._stretch, 1e-7)
        along = max(north - south, 1e-7)
        self.scale = min((width - 2 * _MARGIN) / across, (height - 2 * _MARGIN - 10) / along)
        self._dx = (width - across * self.scale) / 2
        self._dy = (height - 10 - along * self.scale) / 2
        self._width = width

    @classmethod
    def around(
        cls, shapes: Iterable[BaseGeometry], width: int, height: int, factor: float
    ) -> "_Frame":
        west, south, east, north = shapely.total_bounds(list(shapes)).tolist()
        across, along = (east - west) * (factor - 1) / 2, (north - south) * (factor - 1) / 2
        return cls((west - across, south - along, east + across, north + along), width, height)

    def box(self, width: int, height: int) -> Box:
        """The whole drawing's place in degrees."""
        x, y = self.scale * self._stretch, self.scale
        west, north = self._west - self._dx / x, self._north + self._dy / y
        return west, north - height / y, west + width / x, north

    def path(self, shape: BaseGeometry) -> str:
        """The ``d`` of a path; points become small squares."""
        simple = shapely.simplify(shape, _FINEST / self.scale)
        lines = []
        for part in shapely.get_parts(shapely.get_parts(simple)):
            if part.geom_type == "Point":
                x, y = self._place(part.coords[0])
                lines.append(f"M{x - 2:.1f} {y - 2:.1f}h4v4h-4Z")
            elif part.geom_type == "Polygon":
                rings = [part.exterior, *part.interiors]
                lines.extend(self._line(ring.coords) + "Z" for ring in rings)
            else:
                lines.append(self._line(part.coords))
        return "".join(lines)

    def _line(self, coordinates: Iterable[Sequence[float]]) -> str:
        places = [self._place(point) for point in coordinates]
        return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in places)

    def _place(self, point: Sequence[float]) -> tuple[float, float]:
        x = (point[0] - self._west) * self._stretch * self.scale + self._dx
        return x, (self._north - point[1]) * self.scale + self._dy

    def scale_bar(self) -> tuple[float, float]:
        """A round length in metres that fills up to a third of the width, and its pixels."""
        pixels_per_m = self.scale / 111_320
        longest = self._width / 3 / pixels_per_m
        power = 10 ** math.floor(math.log10(longest))
        length_m = max(step * power for step in (1, 2, 5) if step * power <= longest)
        return length_m, length_m * pixels_per_m
