"""What can be drawn as a picture: base maps (``config/base_maps.yml``) and the plan layers.

A product is a base map's id (``vec``, ``cva``, ``img`` …) or the ids of plan layers, ``a,b``. A
base map takes its data from layers of the library, with a look of its own, or from a raster.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from layers.catalog import Catalog
from layers.errors import BadConfiguration, NotFound
from layers.text import Text
from tiles.map_style import drawn_fragment, map_style
from tiles.sprite import Hatch, hatches

_MOST_LAYERS: Final = 32


class BaseMap(BaseModel):
    """One base map."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(pattern=r"^[a-z][a-z0-9]*$")
    title: Text
    background: str | None = Field(default=None, pattern=r"^#[0-9A-Fa-f]{6}$")
    fragments: tuple[dict[str, Any], ...] = ()
    raster: str | None = None

    @model_validator(mode="after")
    def _one_kind_of_data(self) -> "BaseMap":
        if bool(self.fragments) == bool(self.raster):
            raise ValueError(f"{self.id}: either fragments or a raster")
        return self


@dataclass(frozen=True, slots=True)
class Product:
    """What is drawn, whatever the contents: style layers bottom first, or a raster source."""

    id: str
    title: Text
    style_layers: tuple[dict[str, Any], ...]
    layers: tuple[str, ...]
    """Ids of the layers that are asked for a content."""
    hatches: Mapping[str, Hatch]
    background: str | None
    raster: str | None
    digest: str
    """Of the look; the same look has the same digest in every process."""


def load_base_maps(config_dir: Path, catalog: Catalog) -> dict[str, BaseMap]:
    """Read and check ``base_maps.yml`` against the whole catalogue; none without the file."""
    path = config_dir / "base_maps.yml"
    if not path.exists():
        return {}
    try:
        content: Any = yaml.safe_load(path.read_text("utf-8"))
        found = [BaseMap.model_validate(entry) for entry in content["base_maps"]]
    except (yaml.YAMLError, ValidationError, LookupError, TypeError) as error:
        reason = "; ".join(str(error).splitlines()[:3])
        raise BadConfiguration(
            f"base_maps.yml: {reason}", f"配置文件 base_maps.yml 有误：{reason}"
        ) from error
    known = {layer.id for _, layer in catalog.layers()}
    for base_map in found:
        if base_map.id in known:
            raise _fault(base_map, "its name is a layer's")
        for fragment in base_map.fragments:
            if fragment.get("layer") not in known:
                raise _fault(base_map, f"there is no layer {fragment.get('layer')}")
        _fragments(catalog, base_map, "zh")
    return {base_map.id: base_map for base_map in found}


class Products:
    """The products of a process; layers above its access class are in none of them."""

    def __init__(self, catalog: Catalog, base_maps: Mapping[str, BaseMap]) -> None:
        """Make none yet; ``catalog`` is the process's own."""
        self._catalog = catalog
        self.base_maps = base_maps
        self._made: dict[tuple[str, str], Product] = {}

    def product(self, name: str, language: str = "zh") -> Product:
        """A base map or plan layers, ``a,b``; ``NotFound`` for a name that is neither."""
        key = (name, "zh" if language.lower().startswith("zh") else "en")
        made = self._made.get(key)
        if made is None:
            made = self._make(*key)
            # Names of several layers are many; base maps and layers are few.
            if "," not in name:
                self._made[key] = made
        return made

    def _make(self, name: str, language: str) -> Product:
        base_map = self.base_maps.get(name)
        if base_map is not None:
            drawn = _fragments(self._catalog, base_map, language)
            return _product(name, base_map.title, drawn, {}, base_map)
        ids = sorted(set(name.split(",")))
        if len(ids) > _MOST_LAYERS:
            raise NotFound(
                f"At most {_MOST_LAYERS} layers in one picture.",
                f"一幅图最多 {_MOST_LAYERS} 个图层。",
            )
        layers = [self._catalog.layer(one) for one in ids]
        style = map_style(self._catalog, "", ids, language, all_visible=True)
        title = Text(
            zh="、".join(layer.title.zh for layer in layers),
            en=", ".join(layer.title.en for layer in layers),
        )
        patterns = {hatch.name: hatch for layer in layers for hatch in hatches(layer)}
        return _product(name, title, tuple(style["layers"][1:]), patterns, None)


def _fragments(catalog: Catalog, base_map: BaseMap, language: str) -> tuple[dict[str, Any], ...]:
    """Style layers in the order they are written in; of layers of the catalogue only."""
    known = {layer.id: layer for _, layer in catalog.layers()}
    drawn = []
    for number, entry in enumerate(base_map.fragments):
        layer = known.get(entry["layer"])
        if layer is not None:
            fragment = {key: value for key, value in entry.items() if key != "layer"}
            style_layer = drawn_fragment(catalog, layer, fragment, language)
            if "fill-pattern" in style_layer["paint"]:
                raise _fault(base_map, "hatches belong to plan layers")
            drawn.append({**style_layer, "id": f"{base_map.id}-{number}"})
    return tuple(drawn)


def _product(
    name: str,
    title: Text,
    style_layers: tuple[dict[str, Any], ...],
    patterns: Mapping[str, Hatch],
    base_map: BaseMap | None,
) -> Product:
    background = base_map.background if base_map else None
    raster = base_map.raster if base_map else None
    look = json.dumps(
        [style_layers, background, raster], ensure_ascii=False, sort_keys=True,
        separators=(",", ":"),
    )  # fmt: skip
    return Product(
        name,
        title,
        style_layers,
        tuple(sorted({part["source"] for part in style_layers})),
        patterns,
        background,
        raster,
        hashlib.sha256(look.encode()).hexdigest(),
    )


def _fault(base_map: BaseMap, fault: str) -> BadConfiguration:
    return BadConfiguration(
        f"base_maps.yml, {base_map.id}: {fault}.", f"base_maps.yml 的 {base_map.id} 有误：{fault}。"
    )
