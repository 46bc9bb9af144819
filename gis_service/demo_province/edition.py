"""What the generator gives: editions of plans with the content of their layers."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date

import numpy as np
from shapely.geometry.base import BaseGeometry

from gis_service.demo_province.drawing_plane import GeometryArray
from layers.text import Text

Columns = Mapping[str, list[str] | list[float] | list[int]]


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some features of a layer: lon/lat geometries on the storage grid, and their attributes."""

    geometries: GeometryArray
    attributes: Columns

    def __post_init__(self) -> None:
        """Refuse columns of another length than the geometries."""
        for name, column in self.attributes.items():
            if len(column) != len(self.geometries):
                raise ValueError(f"{name}: {len(column)} values, {len(self.geometries)} features")


@dataclass(frozen=True, slots=True)
class DemoLayer:
    """The content of one layer, made chunk by chunk so that a province fits into memory."""

    layer_id: str
    coverage: BaseGeometry | None
    """Where the layer speaks, lon/lat; None is the whole region."""
    make: Callable[[], Iterator[Chunk]]

    def chunks(self) -> Iterator[Chunk]:
        """Make the features; every call makes the same ones again."""
        for chunk in self.make():
            if len(chunk.geometries):
                yield chunk

    @property
    def geometries(self) -> GeometryArray:
        """All geometries at once; for small layers and tests."""
        parts = [chunk.geometries for chunk in self.chunks()]
        return np.concatenate(parts) if parts else np.zeros(0, dtype=object)

    @property
    def attributes(self) -> Columns:
        """All attributes at once; for small layers and tests."""
        columns: dict[str, list[object]] = {}
        for chunk in self.chunks():
            for name, column in chunk.attributes.items():
                columns.setdefault(name, []).extend(column)
        return columns  # type: ignore[return-value]


@dataclass(frozen=True, slots=True)
class DemoEdition:
    """One edition of a plan; ``publish`` is false for a draft that shows a fault."""

    plan_id: str
    title: Text
    valid_from: date
    layers: tuple[DemoLayer, ...]
    publish: bool
