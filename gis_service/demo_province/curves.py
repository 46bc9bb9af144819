"""Drawing with lines: smooth corners, winding courses, irregular round shapes."""

import numpy as np
from shapely import Polygon

from gis_service.demo_province.drawing_plane import FloatArray
from gis_service.demo_province.noise import fractal_noise, generator


def smooth(points: FloatArray, rounds: int = 3) -> FloatArray:
    """Cut the corners (Chaikin); both ends stay."""
    for _ in range(rounds):
        if len(points) < 3:
            break
        near, far = points[:-1] * 0.75 + points[1:] * 0.25, points[:-1] * 0.25 + points[1:] * 0.75
        cut = np.stack([near, far], axis=1).reshape(-1, 2)[1:-1]
        points = np.concatenate([points[:1], cut, points[-1:]])
    return points


def even(points: FloatArray, step_m: float) -> FloatArray:
    """The same line with a vertex about every ``step_m``; both ends stay."""
    along = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(points, axis=0).T))])
    count = max(round(float(along[-1]) / step_m), 1) + 1
    where = np.linspace(0.0, along[-1], count)
    columns = [np.interp(where, along, points[:, axis]) for axis in (0, 1)]
    line = np.stack(columns, axis=1)
    line[0], line[-1] = points[0], points[-1]
    return line


def winding(
    points: FloatArray, step_m: float, reach_m: float, wave_m: float, seed: int
) -> FloatArray:
    """Let a line wander by up to about ``reach_m``; its ends stay where they are."""
    line = even(points, step_m)
    count = len(line)
    if count < 3:
        return line
    ends = np.arange(count) * step_m
    calm = np.clip(np.minimum(ends, ends[::-1]) / (2 * wave_m), 0, 1)
    east = fractal_noise(line[:, 0], line[:, 1], wave_m, seed, 3)
    north = fractal_noise(line[:, 0], line[:, 1], wave_m, seed + 77, 3)
    shifted: FloatArray = line + np.stack([east, north], axis=1) * (reach_m * calm)[:, None]
    return shifted


def blob(
    x: float,
    y: float,
    radius_m: float,
    seed: int,
    key: int,
    *,
    unevenness: float = 0.22,
    points: int = 64,
) -> Polygon:
    """An irregular round polygon; never crosses itself, being star-shaped."""
    chance = generator(seed, 31, key)
    turn = np.linspace(0, 2 * np.pi, points, endpoint=False)
    radius = np.ones(points)
    for wave in range(2, 9):
        size = unevenness / wave * chance.standard_normal()
        radius += size * np.sin(wave * turn + chance.uniform(0, 2 * np.pi))
    radius = np.clip(radius, 0.35, 1.7) * radius_m
    ring = np.stack([x + radius * np.cos(turn), y + radius * np.sin(turn)], axis=1)
    return Polygon(ring)


def turned_box(x: float, y: float, length_m: float, width_m: float, angle_deg: float) -> Polygon:
    """A rectangle about its middle, its length along ``angle_deg`` from east."""
    along = np.radians(angle_deg)
    axis = np.array([np.cos(along), np.sin(along)])
    across = np.array([-axis[1], axis[0]])
    signs = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)])
    middle = np.array([x, y])
    corners = middle + signs[:, :1] * axis * length_m / 2 + signs[:, 1:] * across * width_m / 2
    return Polygon(corners)
