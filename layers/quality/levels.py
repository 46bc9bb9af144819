"""How severe each kind of finding is and from where on it counts: ``config/quality.yml``.

Every code has to stand in the file, and no other may: a misspelt one is an error with its place
and not a check that never runs.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from layers.catalog import Catalog
from layers.errors import BadConfiguration
from layers.quality.codes import TITLES

# YAML 1.1 reads a bare off as false.
Level = Annotated[
    Literal["blocking", "advisory", "off"],
    BeforeValidator(lambda value: "off" if value is False else value),
]

FILE_NAME: Final = "quality.yml"


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class DeclaredTolerance(_Model):
    """How far a declared area may be off, in m2: half a last digit is more in hectares."""

    m2: float = Field(gt=0)
    hectare: float = Field(gt=0)
    mu: float = Field(gt=0)


class Thresholds(_Model):
    """From where on something counts; lengths in metres, areas in square metres, angles in degrees.

    What is not wider than ``rounding_m`` is a crack of the storage grid (1e-8 degrees, 1.1 mm) and
    no finding. ``open_gap_width_m`` bounds the gaps that lead out of the coverage: a wider one is
    its outline.
    """

    rounding_m: float = Field(gt=0)
    open_gap_width_m: float = Field(gt=0)
    spike_angle_deg: float = Field(gt=0, lt=90)
    spike_length_m: float = Field(gt=0)
    sliver_width_m: float = Field(gt=0)
    sliver_thinness: float = Field(gt=0, lt=1)
    declared_area_share: float = Field(ge=0, lt=1)
    declared_area_m2: DeclaredTolerance


class LayerOverrides(_Model):
    """What is otherwise for one layer."""

    severities: dict[str, Level] = {}
    thresholds: dict[str, Any] = {}


class ControlLinePair(_Model):
    """Two layers that must not overlap, of one plan or of two."""

    layers: tuple[str, str]

    @model_validator(mode="after")
    def _of_two_layers(self) -> Self:
        if self.layers[0] == self.layers[1]:
            raise ValueError(f"{self.layers[0]} stands twice in a pair")
        return self


class Limits(_Model):
    """How much work is done at once, and how many findings of a kind are kept one by one."""

    cell_vertices: int = Field(ge=100)
    cell_deadline_s: float = Field(gt=0)
    kept_per_code: int = Field(ge=1)


class LayerLevels(_Model):
    """What holds for one layer; goes to the child with the work."""

    severities: dict[str, Level]
    thresholds: Thresholds

    def severity(self, code: str) -> Level:
        """The level of a code."""
        return self.severities[code]

    def asks(self, *codes: str) -> bool:
        """Whether any of the codes is not off: then its check has to run."""
        return any(self.severities[code] != "off" for code in codes)


class Levels(_Model):
    """The whole of ``config/quality.yml``."""

    severities: dict[str, Level]
    thresholds: Thresholds
    layers: dict[str, LayerOverrides] = {}
    control_lines: tuple[ControlLinePair, ...] = ()
    limits: Limits

    @model_validator(mode="after")
    def _codes_are_known_and_whole(self) -> Self:
        missing = set(TITLES) - set(self.severities)
        if missing:
            raise ValueError(f"no severity for {', '.join(sorted(missing))}")
        for place, codes in (("severities", self.severities), *self._overridden()):
            unknown = set(codes) - set(TITLES)
            if unknown:
                raise ValueError(f"{place}: unknown code {', '.join(sorted(unknown))}")
        for layer in self.layers:
            self.of_layer(layer)
        return self

    def _overridden(self) -> tuple[tuple[str, Mapping[str, Level]], ...]:
        return tuple((f"layers.{name}", one.severities) for name, one in self.layers.items())

    def of_layer(self, layer_id: str) -> LayerLevels:
        """The levels of one layer: the general ones with its own laid over."""
        own = self.layers.get(layer_id, LayerOverrides())
        return LayerLevels(
            severities={**self.severities, **own.severities},
            thresholds=Thresholds.model_validate(
                {**self.thresholds.model_dump(), **own.thresholds}
            ),
        )

    def refuse_unknown_layers(self, catalog: Catalog) -> None:
        """``BadConfiguration`` for a layer that the catalogue does not have."""
        known = {layer.id for _, layer in catalog.layers()}
        named = {*self.layers, *(name for pair in self.control_lines for name in pair.layers)}
        if unknown := sorted(named - known):
            raise _wrong(f"no layer {', '.join(unknown)} in the catalogue")


def load_levels(config_dir: Path, catalog: Catalog) -> Levels:
    """Read ``quality.yml``; ``BadConfiguration`` names the key."""
    try:
        content: Any = yaml.safe_load((config_dir / FILE_NAME).read_text("utf-8"))
        levels = Levels.model_validate(content)
    except ValidationError as error:
        fault = error.errors()[0]
        place = ".".join(str(step) for step in fault["loc"]) or "file"
        raise _wrong(f"{place}: {fault['msg']}") from error
    except (OSError, yaml.YAMLError) as error:
        raise _wrong(str(error).splitlines()[0]) from error
    levels.refuse_unknown_layers(catalog)
    return levels


def _wrong(fault: str) -> BadConfiguration:
    return BadConfiguration(f"{FILE_NAME}: {fault}", f"配置文件 {FILE_NAME} 有误：{fault}")
