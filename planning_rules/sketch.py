"""Small SVG drawings of a site and its patches, straight from the report's coordinates."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import shapely
from markupsafe import Markup
from shapely.geometry.base import BaseGeometry

_MARGIN: Final = 14.0
_FINEST: Final = 0.4
"""Detail below this many pixels is dropped from the drawing."""

# Inside the drawing: on paper (WeasyPrint) the page's own style does not reach into it.
_STYLE: Final = (
    "text{font-size:10px;fill:#57606a}.bar{stroke:#57606a;stroke-width:2;fill:none}"
    ".site{fill:#2f6f9f;fill-opacity:.13;stroke:#1f4e79;stroke-width:1.6;fill-rule:evenodd}"
    ".patch{stroke-width:1.2;fill-rule:evenodd}"
    ".conflict{fill:#d1242f;fill-opacity:.33;stroke:#a3161b}"
    ".accuracy-difference{fill:#8250df;fill-opacity:.27;stroke:#6b3fa0;stroke-dasharray:4 2}"
    ".sliver{fill:none;stroke:#9a6700;stroke-dasharray:2 2}"
    ".touch{fill:none;stroke:#57606a;stroke-width:2.4}"
)


def sketch(
    site: Mapping[str, Any], patches: Sequence[Mapping[str, Any]], width: int, height: int
) -> Markup:
    """An SVG of the site (outline) with patches (by kind), north up, with a scale bar.

    The extent is that of the site; a patch that reaches beyond it (a distance line) widens it.
    """
    outline = shapely.geometry.shape(dict(site))
    shapes = [(str(patch["kind"]), shapely.geometry.shape(patch["geometry"])) for patch in patches]
    frame = _Frame.around([outline, *(shape for _, shape in shapes)], width, height)
    drawn = [f'<path class="site" d="{frame.path(outline)}"/>']
    drawn += [
        f'<path class="patch {kind}" d="{frame.path(shape)}"/>'
        for kind, shape in shapes
        if not shape.is_empty
    ]
    length_m, pixels = frame.scale_bar()
    label = f"{length_m:g} m" if length_m < 1000 else f"{length_m / 1000:g} km"
    bar = (
        f'<path class="bar" d="M{_MARGIN} {height - 8}h{pixels:.1f}"/>'
        f'<text x="{_MARGIN}" y="{height - 12}">{label}</text>'
    )
    # Only numbers and our own words stand in this text; kinds come from a closed list.
    return Markup(
        f'<svg viewBox="0 0 {width} {height}" style="width:100%;max-width:{width}px" role="img">'
        f"<style>{_STYLE}</style>{''.join(drawn)}{bar}</svg>"
    )


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
    def around(cls, shapes: Iterable[BaseGeometry], width: int, height: int) -> "_Frame":
        west, south, east, north = shapely.total_bounds(list(shapes)).tolist()
        return cls((west, south, east, north), width, height)

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
