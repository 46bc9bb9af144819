"""The small province, drawn once a run, on the invented coast: no file beside the checkout."""

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from shapely.geometry.base import BaseGeometry

from gis_service.demo_province import build


@dataclass(frozen=True)
class Content:
    plan_id: str
    layer_id: str
    publish: bool
    geometries: npt.NDArray[np.object_]
    attributes: dict[str, list[Any]]
    coverage: BaseGeometry | None


@dataclass(frozen=True)
class SmallProvince:
    contents: tuple[Content, ...]
    steps: tuple[tuple[str, float], ...]
    cpu_seconds: float

    def layer(self, layer_id: str, *, publish: bool = True) -> Content:
        """The newest content of a layer."""
        return [c for c in self.contents if c.layer_id == layer_id and c.publish == publish][-1]


@pytest.fixture(scope="session")
def small() -> SmallProvince:
    steps: list[tuple[str, float]] = []
    start = time.process_time()
    contents = []
    for edition in build("small", progress=lambda step, share: steps.append((step, share))):
        for layer in edition.layers:
            chunks = list(layer.chunks())
            columns = {
                name: [value for chunk in chunks for value in chunk.attributes[name]]
                for name in chunks[0].attributes
            }
            geometries = np.concatenate([chunk.geometries for chunk in chunks])
            contents.append(
                Content(
                    edition.plan_id,
                    layer.layer_id,
                    edition.publish,
                    geometries,
                    columns,
                    layer.coverage,
                )
            )
    return SmallProvince(tuple(contents), tuple(steps), time.process_time() - start)
