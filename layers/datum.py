"""Stated transformations: how coordinates of another datum come to CGCS2000, and who says so.

PROJ knows no transformation between the Chinese datums and would return Xi'an 1980 coordinates
unchanged. So the parameters are the authority's: a file under ``config/transformations`` states
them with sign convention, units, accuracy, provenance and area of use, and an import names the
file. Nothing here is ever chosen by itself.

Points are x = longitude/easting, y = latitude/northing. Heights are unknown and taken as 0 on the
source ellipsoid: at 1000 m above it the plan position differs by under 2 cm for shifts of 100 m.
"""

from typing import Annotated, Any, Final, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, model_validator

from layers.area import INVERSE_FLATTENING, SEMI_MAJOR_M
from layers.errors import CrsRefused
from layers.text import Text

FloatArray = npt.NDArray[np.float64]
SourceFamily = Literal["xian80", "beijing54", "local"]

_SMALLEST_LATITUDE_STEP: Final = 1e-14
_MOST_STEPS: Final = 20


class Ellipsoid(NamedTuple):
    """Semi-major axis in metres and inverse flattening."""

    semi_major_m: float
    inverse_flattening: float


CGCS2000_ELLIPSOID: Final = Ellipsoid(SEMI_MAJOR_M, INVERSE_FLATTENING)


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Helmert7(_Model):
    """Seven parameters (布尔莎七参数) between geocentric coordinates, in the stated convention.

    ``convention``: the same physical rotation has opposite signs as ``position_vector`` (EPSG
    9606, 布尔莎 as most Chinese software writes it) and ``coordinate_frame`` (EPSG 9607).
    """

    kind: Literal["helmert7"]
    convention: Literal["position_vector", "coordinate_frame"]
    dx_m: float
    dy_m: float
    dz_m: float
    rx_arcsec: float
    ry_arcsec: float
    rz_arcsec: float
    scale_ppm: float

    @model_validator(mode="after")
    def _small_enough_for_the_linear_form(self) -> "Helmert7":
        if max(abs(self.rx_arcsec), abs(self.ry_arcsec), abs(self.rz_arcsec)) > 60.0:
            raise ValueError("a rotation over 60 arc-seconds: are the units arc-seconds?")
        if max(abs(self.dx_m), abs(self.dy_m), abs(self.dz_m)) > 2_000.0:
            raise ValueError("a translation over 2000 m: are the units metres?")
        if abs(self.scale_ppm) > 200.0:
            raise ValueError("a scale over 200 ppm: is the unit parts per million?")
        return self


class Plane4(_Model):
    """Four parameters (平面四参数) between two planes: turn, scale, then shift.

    ``source_plane`` and ``target_plane`` are the projections for which the parameters were
    adjusted, as CRS codes or WKT; ``source_plane`` is left out for a local system, whose
    numbers are taken as they stand. ``rotation_sense`` as seen on a map with north up. Many
    Chinese programs give dX (north), dY (east) and an angle that turns north towards east:
    then ``north_m`` = dX, ``east_m`` = dY, ``rotation_sense: clockwise``.
    """

    kind: Literal["plane4"]
    source_plane: str | None = None
    target_plane: str
    east_m: float
    north_m: float
    rotation_arcsec: float
    rotation_sense: Literal["clockwise", "counterclockwise"]
    scale_ppm: float

    @model_validator(mode="after")
    def _a_similarity_of_maps(self) -> "Plane4":
        if abs(self.scale_ppm) > 1_000.0:
            raise ValueError("a scale over 1000 ppm: is the unit parts per million?")
        return self


class Transformation(_Model):
    """One registered transformation to CGCS2000, with its accuracy and where it comes from.

    ``accuracy_m`` is the standard deviation in plan; ``area_of_use`` is west, south, east, north
    in degrees; features outside it are refused. ``example`` marks made-up numbers: such an entry
    cannot be enabled. ``source_name`` names the local system, as a CRS in WKT is called.
    """

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    title: Text
    source: SourceFamily
    source_name: str | None = None
    method: Annotated[Helmert7 | Plane4, Field(discriminator="kind")]
    accuracy_m: float = Field(gt=0, le=1_000)
    provenance: Text
    area_of_use: tuple[float, float, float, float]
    enabled: bool = True
    example: bool = False

    @model_validator(mode="after")
    def _hangs_together(self) -> "Transformation":
        west, south, east, north = self.area_of_use
        if not (-180 <= west < east <= 180 and -90 <= south < north <= 90):
            raise ValueError("area_of_use is west, south, east, north in degrees")
        if self.example and self.enabled:
            raise ValueError("an example has made-up parameters and stays disabled")
        if self.source == "local" and not self.source_name:
            raise ValueError("a local system needs source_name, the name of its CRS")
        if isinstance(self.method, Plane4):
            plane = self.method.source_plane
            if (plane is None) != (self.source == "local"):
                raise ValueError("source_plane: needed, but for a local system left out")
        return self

    def statement(self) -> dict[str, Any]:
        """What is kept with every content that came through it."""
        return {
            "id": self.id,
            "title": self.title.model_dump(),
            "source": self.source_name or self.source,
            **self.method.model_dump(),
            "accuracy_m": self.accuracy_m,
            "provenance": self.provenance.model_dump(),
            "area_of_use": list(self.area_of_use),
        }


def geocentric_shift(points: FloatArray, method: Helmert7, source: Ellipsoid) -> FloatArray:
    """CGCS2000 longitude and latitude in degrees of those on the source ellipsoid (n x 2)."""
    return _geographic(_helmert(_geocentric(points, source), method), CGCS2000_ELLIPSOID)


def _geocentric(points: FloatArray, ellipsoid: Ellipsoid) -> FloatArray:
    e2 = _eccentricity2(ellipsoid)
    lon, lat = np.radians(points[:, 0]), np.radians(points[:, 1])
    prime_vertical = ellipsoid.semi_major_m / np.sqrt(1.0 - e2 * np.sin(lat) ** 2)
    return np.column_stack(
        (
            prime_vertical * np.cos(lat) * np.cos(lon),
            prime_vertical * np.cos(lat) * np.sin(lon),
            prime_vertical * (1.0 - e2) * np.sin(lat),
        )
    )


def _helmert(xyz: FloatArray, method: Helmert7) -> FloatArray:
    """The linear seven-parameter form of EPSG 9606 and 9607."""
    sense = 1.0 if method.convention == "position_vector" else -1.0
    rx, ry, rz = sense * np.radians(
        np.array([method.rx_arcsec, method.ry_arcsec, method.rz_arcsec]) / 3600.0
    )
    turn = np.array([[1.0, -rz, ry], [rz, 1.0, -rx], [-ry, rx, 1.0]])
    moved: FloatArray = (1.0 + method.scale_ppm * 1e-6) * (xyz @ turn.T) + np.array(
        [method.dx_m, method.dy_m, method.dz_m]
    )
    return moved


def _geographic(xyz: FloatArray, ellipsoid: Ellipsoid) -> FloatArray:
    """Longitude and latitude in degrees; the height is left behind."""
    e2 = _eccentricity2(ellipsoid)
    flat = np.hypot(xyz[:, 0], xyz[:, 1])
    lat = np.arctan2(xyz[:, 2], flat * (1.0 - e2))
    for _ in range(_MOST_STEPS):
        prime_vertical = ellipsoid.semi_major_m / np.sqrt(1.0 - e2 * np.sin(lat) ** 2)
        better = np.arctan2(xyz[:, 2] + e2 * prime_vertical * np.sin(lat), flat)
        step = np.abs(better - lat)
        lat = better
        if not (step > _SMALLEST_LATITUDE_STEP).any():
            break
    return np.degrees(np.column_stack((np.arctan2(xyz[:, 1], xyz[:, 0]), lat)))


def _eccentricity2(ellipsoid: Ellipsoid) -> float:
    flattening = 1.0 / ellipsoid.inverse_flattening
    return flattening * (2.0 - flattening)


def plane_shift(points: FloatArray, method: Plane4) -> FloatArray:
    """Easting and northing in the target plane of those in the source plane, metres (n x 2)."""
    angle = np.radians(method.rotation_arcsec / 3600.0)
    if method.rotation_sense == "clockwise":
        angle = -angle
    cosine, sine = np.cos(angle), np.sin(angle)
    turn = np.array([[cosine, -sine], [sine, cosine]])
    moved: FloatArray = (1.0 + method.scale_ppm * 1e-6) * (points @ turn.T) + np.array(
        [method.east_m, method.north_m]
    )
    return moved


def usable(transformation: Transformation) -> Transformation:
    """The transformation itself, or ``CrsRefused`` while it is switched off."""
    if not transformation.enabled:
        kind_en = "an example with made-up numbers" if transformation.example else "switched off"
        kind_zh = "参数为虚构的示例" if transformation.example else "已停用"
        raise CrsRefused(
            f"The transformation '{transformation.id}' is {kind_en}; register the authority's "
            "own parameters under config/transformations.",
            f"坐标转换“{transformation.id}”{kind_zh}；请在 config/transformations 中登记主管部门"
            "提供的参数。",
            code="transformation-disabled",
        )
    return transformation
