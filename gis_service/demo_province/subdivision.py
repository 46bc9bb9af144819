"""Cutting rings into smaller ones until each is small enough, the way land is parcelled.

A cut runs across the longest direction from one vertex of the ring to another and brings new
vertices of its own; both sides carry them. A cut is kept only if both sides are simple and
counter-clockwise, which proves that it lies inside: so the pieces of a face fill it without gaps
or overlaps, vertex for vertex. All rings of one generation are cut together.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import shapely

from gis_service.demo_province.drawing_plane import BoolArray, FloatArray, IntArray, to_lonlat
from gis_service.demo_province.rings import Rings, Vertices, ranges

_GENERATIONS: Final = 60
_ATTEMPTS: Final = 5
_WAVES: Final = 5
_LEAST_SHARE: Final = 0.16
"""A cut that leaves less of the ring than this on one side is tried again elsewhere."""


@dataclass(frozen=True, slots=True)
class Manner:
    """How a piece is cut, by its place: arrays as long as the pieces asked about."""

    target_m2: FloatArray
    """Pieces up to about this area stay whole."""
    spacing_m: FloatArray
    """Distance between the new vertices of a cut."""
    roughness: FloatArray
    """How far a cut strays from straight, as a share of its length."""


MannerAt = Callable[[FloatArray, FloatArray], Manner]


@dataclass(frozen=True, slots=True)
class Shape:
    """Measures of each ring in the drawing plane."""

    area_m2: FloatArray
    x: FloatArray
    y: FloatArray
    axis: FloatArray
    """Unit vectors of the longest direction, shape (n, 2)."""
    spread_m: FloatArray
    """Standard deviation of the outline along the axis."""


def measure(rings: Rings, xy: FloatArray) -> Shape:
    """Area, centroid and longest direction of each ring."""
    points = xy[rings.vertex]
    first = rings.start[:-1]
    origin = np.repeat(points[first], rings.size, axis=0)
    here = points - origin
    there = here[rings.following]
    cross = here[:, 0] * there[:, 1] - there[:, 0] * here[:, 1]
    area = np.add.reduceat(cross, first) / 2
    safe = np.where(np.abs(area) < 1e-6, 1e-6, area)
    middle = (here + there) * cross[:, None]
    centroid = np.add.reduceat(middle, first, axis=0) / (6 * safe[:, None])
    edge = there - here
    length = np.hypot(edge[:, 0], edge[:, 1])
    off = (here + there) / 2 - np.repeat(centroid, rings.size, axis=0)
    total = np.maximum(np.add.reduceat(length, first), 1e-9)
    xx, yy, both = (
        np.add.reduceat(length * product, first) / total
        for product in (off[:, 0] ** 2, off[:, 1] ** 2, off[:, 0] * off[:, 1])
    )
    angle = 0.5 * np.arctan2(2 * both, xx - yy)
    root = np.sqrt((xx - yy) ** 2 / 4 + both**2)
    centroid = centroid + points[first]
    axis = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return Shape(area, centroid[:, 0], centroid[:, 1], axis, np.sqrt((xx + yy) / 2 + root))


def subdivide(
    rings: Rings, vertices: Vertices, manner_at: MannerAt, chance: np.random.Generator
) -> tuple[Rings, IntArray]:
    """Cut until small enough; the pieces in the order of their origins, and those origins."""
    origin = np.arange(len(rings))
    whole: list[Rings] = []
    whole_origin: list[IntArray] = []
    attempts = np.zeros(len(rings), dtype=np.int64)
    for _ in range(_GENERATIONS):
        if not len(rings):
            break
        shape = measure(rings, vertices.xy)
        manner = manner_at(shape.x, shape.y)
        limit = manner.target_m2 * chance.uniform(0.75, 1.6, len(rings))
        ready: BoolArray = (shape.area_m2 <= limit) | (attempts >= _ATTEMPTS) | (rings.size < 6)
        whole.append(rings.take(ready))
        whole_origin.append(origin[ready])
        rest = np.flatnonzero(~ready)
        if not len(rest):
            rings, origin = rings.take(rest), origin[rest]
            break
        rings, origin, attempts = _generation(
            rings.take(rest),
            origin[rest],
            attempts[rest],
            vertices,
            _taken(shape, rest),
            _taken_manner(manner, rest),
            chance,
        )
    whole.append(rings)
    whole_origin.append(origin)
    all_origins = np.concatenate(whole_origin)
    order = np.argsort(all_origins, kind="stable")
    return Rings.joined(whole).take(order), all_origins[order]


def _taken(shape: Shape, which: IntArray) -> Shape:
    return Shape(
        shape.area_m2[which],
        shape.x[which],
        shape.y[which],
        shape.axis[which],
        shape.spread_m[which],
    )


def _taken_manner(manner: Manner, which: IntArray) -> Manner:
    return Manner(manner.target_m2[which], manner.spacing_m[which], manner.roughness[which])


def _generation(
    rings: Rings,
    origin: IntArray,
    attempts: IntArray,
    vertices: Vertices,
    shape: Shape,
    manner: Manner,
    chance: np.random.Generator,
) -> tuple[Rings, IntArray, IntArray]:
    """Cut every ring once; a ring whose cut fails comes back whole with one attempt more."""
    first, second, found = _ends(rings, vertices.xy, shape, attempts, chance)
    cut = np.flatnonzero(found)
    one, other = _halves(
        rings.take(cut), first[cut], second[cut], vertices, manner, cut, attempts, chance
    )
    good = _sound(one, vertices) & _sound(other, vertices)
    small = np.minimum(measure(one, vertices.xy).area_m2, measure(other, vertices.xy).area_m2)
    # Late attempts take any cut that is sound.
    good &= small > shape.area_m2[cut] * np.where(attempts[cut] >= 3, 0.02, _LEAST_SHARE)
    failed = np.concatenate([np.flatnonzero(~found), cut[~good]])
    failed.sort()
    kept = cut[good]
    pieces = Rings.joined([one.take(good), other.take(good), rings.take(failed)])
    new_origin = np.concatenate([origin[kept], origin[kept], origin[failed]])
    new_attempts = np.concatenate([np.zeros(2 * len(kept), dtype=np.int64), attempts[failed] + 1])
    return pieces, new_origin, new_attempts


def _ends(
    rings: Rings, xy: FloatArray, shape: Shape, attempts: IntArray, chance: np.random.Generator
) -> tuple[IntArray, IntArray, BoolArray]:
    """Local places of the two vertices that a cut across the longest direction should join."""
    count = len(rings)
    tilt = chance.normal(0, 0.06, count) + np.where(attempts == 0, 0, chance.normal(0, 0.5, count))
    shift = chance.uniform(-0.3, 0.3, count) * shape.spread_m
    cosine, sine = np.cos(tilt), np.sin(tilt)
    along = np.stack(
        [
            shape.axis[:, 0] * cosine - shape.axis[:, 1] * sine,
            shape.axis[:, 0] * sine + shape.axis[:, 1] * cosine,
        ],
        axis=1,
    )
    owner, following = rings.owner, rings.following
    off = xy[rings.vertex] - np.stack([shape.x, shape.y], axis=1)[owner]
    ahead = (off * along[owner]).sum(axis=1) - shift[owner]
    aside = off[:, 1] * along[owner, 0] - off[:, 0] * along[owner, 1]
    crossing = np.flatnonzero((ahead > 0) != (ahead[following] > 0))
    after = following[crossing]
    part = ahead[crossing] / (ahead[crossing] - ahead[after])
    where = aside[crossing] + (aside[after] - aside[crossing]) * part
    order = np.lexsort((where, owner[crossing]))
    crossing, after, where = crossing[order], after[order], where[order]
    # Along the cut line the crossings alternate in and out: each even one opens a chord.
    entry, leave = slice(0, None, 2), slice(1, None, 2)
    chord_owner = owner[crossing[entry]]
    length = where[leave] - where[entry]
    holds_middle = (where[entry] <= 0) & (where[leave] >= 0)
    best = np.lexsort((length, holds_middle, chord_owner))
    last = np.flatnonzero(np.diff(chord_owner[best], append=-1) != 0)
    chord = best[last]
    nearest = np.where(np.abs(ahead[crossing]) <= np.abs(ahead[after]), crossing, after)
    begin = np.zeros(count, dtype=np.int64)
    end = np.zeros(count, dtype=np.int64)
    ring = chord_owner[chord]
    begin[ring] = nearest[entry][chord] - rings.start[ring]
    end[ring] = nearest[leave][chord] - rings.start[ring]
    first, second = np.minimum(begin, end), np.maximum(begin, end)
    gap = second - first
    return first, second, (gap >= 2) & (rings.size - gap >= 2)


def _halves(
    rings: Rings,
    first: IntArray,
    second: IntArray,
    vertices: Vertices,
    manner: Manner,
    cut: IntArray,
    attempts: IntArray,
    chance: np.random.Generator,
) -> tuple[Rings, Rings]:
    """Both sides of each cut, new vertices included."""
    xy = vertices.xy
    begin = xy[rings.vertex[rings.start[:-1] + first]]
    end = xy[rings.vertex[rings.start[:-1] + second]]
    roughness = np.where(attempts[cut] >= 2, 0.0, manner.roughness[cut])
    points, count = _course(begin, end, manner.spacing_m[cut], roughness, chance)
    start = vertices.add(points) + np.cumsum(count) - count
    inner = second - first + 1
    outer = rings.size - inner + 2
    one = _side(rings, first, inner, start, count, backwards=True)
    other = _side(rings, second, outer, start, count, backwards=False)
    return one, other


def _side(
    rings: Rings,
    begin: IntArray,
    along: IntArray,
    start: IntArray,
    count: IntArray,
    *,
    backwards: bool,
) -> Rings:
    """The ring from place ``begin`` over ``along`` vertices, closed by the cut."""
    size = along + count
    owner = np.repeat(np.arange(len(rings)), size)
    place = ranges(np.zeros(len(size), dtype=np.int64), size)
    on_ring = place < along[owner]
    local = (begin[owner] + place) % rings.size[owner]
    step = place - along[owner]
    on_cut = start[owner] + (count[owner] - 1 - step if backwards else step)
    vertex = np.where(on_ring, rings.vertex[rings.start[:-1][owner] + local], on_cut)
    return Rings.of_runs(vertex, size)


def _course(
    begin: FloatArray,
    end: FloatArray,
    spacing_m: FloatArray,
    roughness: FloatArray,
    chance: np.random.Generator,
) -> tuple[FloatArray, IntArray]:
    """New vertices of each cut from its begin to its end, and how many each has."""
    step = end - begin
    length = np.hypot(step[:, 0], step[:, 1])
    count = np.maximum(np.rint(length / spacing_m).astype(np.int64) - 1, 0)
    owner = np.repeat(np.arange(len(count)), count)
    place = ranges(np.ones(len(count), dtype=np.int64), count)
    share = place / (count[owner] + 1)
    waves = chance.standard_normal((len(count), _WAVES))
    stray = np.zeros(len(owner))
    for wave in range(1, _WAVES + 1):
        stray += waves[owner, wave - 1] * np.sin(np.pi * wave * share) / wave**1.15
    stray *= (roughness * length)[owner]
    stray += chance.uniform(-0.35, 0.35, len(owner)) * (roughness * spacing_m * 2)[owner]
    normal = np.stack([-step[:, 1], step[:, 0]], axis=1) / np.maximum(length, 1e-9)[:, None]
    points: FloatArray = (
        begin[owner] + step[owner] * share[:, None] + normal[owner] * stray[:, None]
    )
    return points, count


def _sound(rings: Rings, vertices: Vertices) -> BoolArray:
    """Simple and counter-clockwise, on the storage grid."""
    if not len(rings):
        return np.zeros(0, dtype=bool)
    lonlat = to_lonlat(vertices.xy[rings.vertex])
    own = Rings(np.arange(len(rings.vertex)), rings.start)
    polygons = own.polygons(lonlat)
    valid: BoolArray = shapely.is_valid(polygons)
    return valid & (measure(own, lonlat).area_m2 > 0)
