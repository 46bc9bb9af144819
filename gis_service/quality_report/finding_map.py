"""The map of the page: the layers' outlines and the findings on them, as one SVG, north up."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import orjson
import shapely
from markupsafe import Markup
from shapely.geometry.base import BaseGeometry

from gis_service.quality_report.document import Document

WIDTH: Final = 860
_MARGIN: Final = 16.0
_HIGHEST: Final = 760
_MOST_MARKS: Final = 1_500
_LEAST_PIXELS: Final = 6.0
_METRES_PER_DEG: Final = 111_320.0


def finding_map(
    drawings: Mapping[str, BaseGeometry], findings: Sequence[Document]
) -> Markup | None:
    """The picture, or None when nothing has a place. Marks link to the rows of the list.

    Only numbers and words of closed lists stand in the text; it needs no escaping.
    """
    places = [one for one in findings if one["place"] is not None]
    if not drawings and not places:
        return None
    frame = _Frame.around([*drawings.values(), *(shapely.Point(p["place"]) for p in places)])
    body = [
        f'<path class="land l{number}" d="{frame.path(shape)}"/>'
        for number, shape in enumerate(drawings.values())
    ]
    # What blocks lies on top.
    body += [_mark(frame, one) for one in reversed(places[:_MOST_MARKS])]
    body.append(_bar(frame))
    return Markup(
        f'<svg viewBox="0 0 {WIDTH} {frame.height:.0f}" role="img" '
        f'xmlns="http://www.w3.org/2000/svg">{"".join(body)}</svg>'
    )


def _mark(frame: "_Frame", one: Document) -> str:
    x, y = frame.place(one["place"])
    shape = ""
    if one["geometry"] is not None:
        geometry = shapely.from_geojson(orjson.dumps(one["geometry"]))
        if frame.pixels(geometry) >= _LEAST_PIXELS:
            shape = f'<path class="area" d="{frame.path(geometry)}"/>'
    if one["severity"] == "blocking":
        mark = f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.4"/>'
    else:
        mark = f'<rect x="{x - 2.8:.1f}" y="{y - 2.8:.1f}" width="5.6" height="5.6"/>'
    number = int(one["number"])
    return (
        f'<a href="#f{number}" class="m {one["severity"]}"><title>{number}</title>{shape}{mark}</a>'
    )


def _bar(frame: "_Frame") -> str:
    length_m, pixels = frame.scale_bar()
    label = f"{length_m:g} m" if length_m < 1000 else f"{length_m / 1000:g} km"
    low = frame.height - 10
    return (
        f'<path class="bar" d="M{_MARGIN} {low - 4:.0f}v4h{pixels:.1f}v-4"/>'
        f'<text x="{_MARGIN + pixels + 6:.1f}" y="{low:.0f}">{label}</text>'
    )


class _Frame:
    """From degrees to pixels: equirectangular around the middle, equal scale in both axes."""

    def __init__(self, bounds: tuple[float, float, float, float]) -> None:
        west, south, east, north = bounds
        self._west, self._north = west, north
        self._stretch = math.cos(math.radians((south + north) / 2))
        across = max((east - west) * self._stretch, 2e-4)
        along = max(north - south, 2e-4)
        inner = WIDTH - 2 * _MARGIN
        self.scale = min(inner / across, (_HIGHEST - 2 * _MARGIN - 20) / along)
        self.height = along * self.scale + 2 * _MARGIN + 20
        self._dx = (WIDTH - (east - west) * self._stretch * self.scale) / 2

    @classmethod
    def around(cls, shapes: Iterable[BaseGeometry]) -> "_Frame":
        west, south, east, north = shapely.total_bounds(list(shapes)).tolist()
        return cls((west, south, east, north))

    def place(self, point: Sequence[float]) -> tuple[float, float]:
        x = (point[0] - self._west) * self._stretch * self.scale + self._dx
        return x, (self._north - point[1]) * self.scale + _MARGIN

    def pixels(self, shape: BaseGeometry) -> float:
        """The larger side of a shape's box."""
        west, south, east, north = shape.bounds
        return max((east - west) * self._stretch, north - south) * self.scale

    def path(self, shape: BaseGeometry) -> str:
        simple = shapely.simplify(shape, 0.4 / self.scale)
        lines: list[str] = []
        for part in shapely.get_parts(shapely.get_parts(simple)):
            if part.is_empty:
                continue
            if part.geom_type == "Point":
                x, y = self.place(part.coords[0])
                lines.append(f"M{x - 1:.1f} {y - 1:.1f}h2v2h-2Z")
            elif part.geom_type == "Polygon":
                rings = (part.exterior, *part.interiors)
                lines += [self._line(ring.coords) + "Z" for ring in rings]
            else:
                lines.append(self._line(part.coords))
        return "".join(lines)

    def _line(self, coordinates: Any) -> str:
        places = (self.place(point) for point in coordinates)
        return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in places)

    def scale_bar(self) -> tuple[float, float]:
        """A round length in metres that fills up to a quarter of the width, and its pixels."""
        per_m = self.scale / _METRES_PER_DEG
        longest = WIDTH / 4 / per_m
        power = 10 ** math.floor(math.log10(longest))
        length_m = max(step * power for step in (1, 2, 5) if step * power <= longest)
        return length_m, length_m * per_m
