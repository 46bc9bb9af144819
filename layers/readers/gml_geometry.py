"""Geometries of GML 3.2 (and the older forms that still come), in the order of axes they have.

Arcs are turned into segments of 4 degrees. What is not known here, and what stands elsewhere
(xlink:href), is a ``ValueError``: the row is refused, never read in part.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final
from xml.etree.ElementTree import Element

import numpy as np
import numpy.typing as npt
import shapely
from shapely.geometry.base import BaseGeometry

from layers.readers.text_rows import closed_ring, collected
from layers.readers.xml_text import attribute, local, text_of

FloatArray = npt.NDArray[np.float64]

_ARC_STEP_DEG: Final = 4.0
_MEMBERS: Final = frozenset(
    {
        "pointMember", "pointMembers", "curveMember", "curveMembers", "lineStringMember",
        "surfaceMember", "surfaceMembers", "polygonMember", "geometryMember", "geometryMembers",
    }
)  # fmt: skip
_DESCRIPTIVE: Final = frozenset({"metaDataProperty", "description", "descriptionReference",
                                 "identifier", "name"})  # fmt: skip
_STRAIGHT: Final = frozenset({"LineStringSegment", "GeodesicString", "Geodesic"})


@dataclass(slots=True)
class Shape:
    """A geometry with whether it had arcs."""

    geometry: BaseGeometry
    linearised: bool


def read_shape(element: Element) -> Shape:
    """The geometry of an element such as gml:Polygon; ``ValueError`` where it cannot be read."""
    reader = _ShapeReader(_dimension(element, 2))
    return Shape(reader.geometry(element), reader.linearised)


def is_geometry(element: Element) -> bool:
    """Whether the element is a geometry (known here or not) and not some other property."""
    return local(element) in _READERS or local(element) in (
        "Solid", "MultiSolid", "CompositeSolid", "GeometricComplex", "Grid", "RectifiedGrid", "Tin",
        "TriangulatedSurface",
    )  # fmt: skip


def _dimension(element: Element, inherited: int) -> int:
    stated = attribute(element, "srsDimension") or attribute(element, "dimension")
    if stated is None:
        return inherited
    if stated not in ("2", "3"):
        raise ValueError("srsDimension")
    return int(stated)


def _children(element: Element) -> list[Element]:
    """The parts that matter; one that only points elsewhere cannot be read."""
    parts = [one for one in element if local(one) and local(one) not in _DESCRIPTIVE]
    if any(attribute(part, "href") is not None for part in parts):
        raise ValueError("xlink:href")
    return parts


class _ShapeReader:
    """One geometry; the dimension of its coordinates is handed down from element to element."""

    def __init__(self, dimension: int) -> None:
        self.dimension = dimension
        self.linearised = False

    def geometry(self, element: Element) -> BaseGeometry:
        reader = _READERS.get(local(element))
        if reader is None:
            raise ValueError(local(element))
        outer, self.dimension = self.dimension, _dimension(element, self.dimension)
        found = reader(self, element)
        self.dimension = outer
        return found

    def point(self, element: Element) -> BaseGeometry:
        (position,) = self.points(element)
        return shapely.Point(position)

    def line(self, element: Element) -> BaseGeometry:
        return shapely.LineString(self.points(element))

    def ring(self, element: Element) -> FloatArray:
        """A closed ring from a LinearRing, or from the curves of a Ring."""
        if local(element) == "LinearRing":
            points = self.points(element)
        elif local(element) == "Ring":
            points = self._joined(
                [shapely.get_coordinates(self.geometry(one), include_z=self.dimension == 3)
                 for one in self._members(element)]
            )  # fmt: skip
        else:
            raise ValueError(local(element))
        return closed_ring(points)

    def polygon(self, element: Element) -> BaseGeometry:
        shells: list[FloatArray] = []
        holes: list[FloatArray] = []
        for boundary in _children(element):
            kind = local(boundary)
            rings = [self.ring(one) for one in _children(boundary)]
            if kind in ("exterior", "outerBoundaryIs"):
                shells += rings
            elif kind in ("interior", "innerBoundaryIs"):
                holes += rings
            else:
                raise ValueError(kind)
        if len(shells) != 1:
            raise ValueError("exterior")
        return shapely.Polygon(shells[0], holes)

    def curve(self, element: Element) -> BaseGeometry:
        (segments,) = _children(element)
        parts = [self._segment(one) for one in _children(segments)]
        return shapely.LineString(self._joined(parts))

    def composite_curve(self, element: Element) -> BaseGeometry:
        parts = [
            shapely.get_coordinates(self.geometry(one), include_z=self.dimension == 3)
            for one in self._members(element)
        ]
        return shapely.LineString(self._joined(parts))

    def orientable_curve(self, element: Element) -> BaseGeometry:
        (base,) = _children(element)
        (curve,) = _children(base)
        found = self.geometry(curve)
        return shapely.reverse(found) if element.get("orientation") == "-" else found

    def surface(self, element: Element) -> BaseGeometry:
        """The patches of a surface lie side by side and make one area together."""
        (patches,) = _children(element)
        return self._merged([self.geometry(one) for one in _children(patches)])

    def composite_surface(self, element: Element) -> BaseGeometry:
        return self._merged([self.geometry(one) for one in self._members(element)])

    def orientable_surface(self, element: Element) -> BaseGeometry:
        (base,) = _children(element)
        (surface,) = _children(base)
        return self.geometry(surface)

    def collection(self, element: Element) -> BaseGeometry:
        return collected([self.geometry(one) for one in self._members(element)])

    def points(self, element: Element) -> FloatArray:
        """The coordinates of an element: posList, pos, pointProperty or the old coordinates."""
        parts = [self._positions(one) for one in _children(element)]
        if not parts:
            raise ValueError("no coordinates")
        return np.vstack(parts)

    def _positions(self, element: Element) -> FloatArray:
        kind = local(element)
        if kind in ("pointProperty", "pointRep"):
            return np.vstack([self.points(one) for one in _children(element)])
        if kind == "coordinates":
            return _old_coordinates(element)
        if kind not in ("pos", "posList"):
            raise ValueError(kind)
        numbers = np.array([float(word) for word in text_of(element).split()])
        stated = attribute(element, "srsDimension") or attribute(element, "dimension")
        dimension = _dimension(element, self.dimension)
        if kind == "pos" and stated is None and len(numbers) in (2, 3):
            dimension = len(numbers)
        if len(numbers) == 0 or len(numbers) % dimension:
            raise ValueError("count of numbers")
        self.dimension = max(self.dimension, dimension)
        return numbers.reshape(-1, dimension)

    def _segment(self, element: Element) -> FloatArray:
        kind = local(element)
        outer, self.dimension = self.dimension, _dimension(element, self.dimension)
        points = self.points(element)
        self.dimension = max(outer, self.dimension)
        if kind in _STRAIGHT:
            return points
        self.linearised = True
        if kind == "Circle" and len(points) == 3:
            return _circle(*points)
        if kind in ("Arc", "ArcString") and len(points) >= 3 and len(points) % 2 == 1:
            arcs = [_arc(*points[at : at + 3]) for at in range(0, len(points) - 2, 2)]
            return self._joined(arcs)
        raise ValueError(kind)

    def _members(self, element: Element) -> Iterator[Element]:
        for member in _children(element):
            if local(member) not in _MEMBERS:
                raise ValueError(local(member))
            yield from _children(member)

    @staticmethod
    def _joined(parts: list[FloatArray]) -> FloatArray:
        """Curves one behind the other; each has to begin where the last one ended."""
        if not parts:
            raise ValueError("no segments")
        joined = [parts[0]]
        for part in parts[1:]:
            if not np.allclose(joined[-1][-1][:2], part[0][:2], rtol=0, atol=1e-9):
                raise ValueError("segments do not meet")
            joined.append(part[1:])
        return np.vstack(joined)

    @staticmethod
    def _merged(parts: list[BaseGeometry]) -> BaseGeometry:
        if not parts:
            raise ValueError("no patches")
        return parts[0] if len(parts) == 1 else shapely.union_all(parts)


def _old_coordinates(element: Element) -> FloatArray:
    """GML 2: x,y x,y with separators that the element may state."""
    between = element.get("cs", ",")
    tuples = element.get("ts", " ")
    decimal = element.get("decimal", ".")
    text = text_of(element)
    words = text.split() if tuples.isspace() else [w for w in text.split(tuples) if w.strip()]
    rows = [[float(n.replace(decimal, ".")) for n in word.split(between)] for word in words]
    if not rows or len({len(row) for row in rows}) != 1 or len(rows[0]) not in (2, 3):
        raise ValueError("coordinates")
    return np.array(rows)


def _centre(first: FloatArray, middle: FloatArray, last: FloatArray) -> tuple[float, float] | None:
    """The centre of the circle through three points, None when they lie on one line."""
    (bx, by), (cx, cy) = middle[:2] - first[:2], last[:2] - first[:2]
    twice = 2.0 * (bx * cy - by * cx)
    if abs(twice) < 1e-12 * max(1e-300, math.hypot(bx, by) * math.hypot(cx, cy)):
        return None
    b2, c2 = bx * bx + by * by, cx * cx + cy * cy
    return (
        float(first[0] + (cy * b2 - by * c2) / twice),
        float(first[1] + (bx * c2 - cx * b2) / twice),
    )


def _arc(first: FloatArray, middle: FloatArray, last: FloatArray) -> FloatArray:
    """Points on the arc from the first over the middle to the last, ends exact, 4 degrees apart."""
    centre = _centre(first, middle, last)
    if centre is None:
        return np.array([first, middle, last])
    angles = [math.atan2(p[1] - centre[1], p[0] - centre[0]) for p in (first, middle, last)]
    turn = (angles[2] - angles[0]) % (2 * math.pi)
    if (angles[1] - angles[0]) % (2 * math.pi) > turn:
        turn -= 2 * math.pi
    return _sweep(first, last, centre, turn)


def _circle(first: FloatArray, middle: FloatArray, last: FloatArray) -> FloatArray:
    centre = _centre(first, middle, last)
    if centre is None:
        raise ValueError("Circle")
    return _sweep(first, first, centre, 2 * math.pi)


def _sweep(
    first: FloatArray, last: FloatArray, centre: tuple[float, float], turn: float
) -> FloatArray:
    radius = math.hypot(first[0] - centre[0], first[1] - centre[1])
    start = math.atan2(first[1] - centre[1], first[0] - centre[0])
    steps = max(2, math.ceil(abs(math.degrees(turn)) / _ARC_STEP_DEG))
    between = [start + turn * n / steps for n in range(1, steps)]
    inner = [
        [centre[0] + radius * math.cos(a), centre[1] + radius * math.sin(a), *first[2:]]
        for a in between
    ]
    return np.array([list(first), *inner, list(last)])


_READERS: Final[dict[str, Callable[[_ShapeReader, Element], BaseGeometry]]] = {
    "Point": _ShapeReader.point,
    "LineString": _ShapeReader.line,
    "LinearRing": _ShapeReader.line,
    "Curve": _ShapeReader.curve,
    "CompositeCurve": _ShapeReader.composite_curve,
    "OrientableCurve": _ShapeReader.orientable_curve,
    "Polygon": _ShapeReader.polygon,
    "PolygonPatch": _ShapeReader.polygon,
    "Surface": _ShapeReader.surface,
    "PolyhedralSurface": _ShapeReader.surface,
    "CompositeSurface": _ShapeReader.composite_surface,
    "OrientableSurface": _ShapeReader.orientable_surface,
    **dict.fromkeys(
        (
            "MultiPoint", "MultiCurve", "MultiLineString", "MultiSurface", "MultiPolygon",
            "MultiGeometry",
        ),
        _ShapeReader.collection,
    ),
}  # fmt: skip
