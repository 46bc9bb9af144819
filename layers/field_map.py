"""Which field of a file becomes which attribute of a layer.

Without a map the catalogue decides: an attribute's name or one of its aliases, in that order,
whatever the case. A field map (``config/field_maps/<name>.yml``) says it explicitly and may add
constants and translate values::

    title: {zh: 三调地类图斑, en: Land parcels of the third survey}
    fields: {BSM: parcel_id, DLBM: landuse_code}
    constants: {code_scheme: sandiao}
    values: {landuse_code: {"0101K": "0101"}}

Personal fields are dropped by the catalogue's ``personal`` mark and by the names below, which
land databases use; a map cannot bring them back.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from layers.catalog import Attribute, Layer
from layers.errors import BadConfiguration, BadInput, NotFound
from layers.text import Text

PERSONAL_FIELDS: Final = frozenset(
    {"cfzr", "zmc", "zzrr", "zrrzjhm", "zrrmc", "lxdh", "jzdz", "sfzh", "sfzhm", "zjhm", "sjhm"}
)
"""Responsible persons, their numbers, telephones and addresses in basic farmland and ownership
layers (field lists of planning databases); compared without regard to case."""


class FieldMap(BaseModel):
    """An explicit map, checked against the layer when it is used."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: Text | None = None
    fields: dict[str, str] = {}
    constants: dict[str, str | int | float | bool] = {}
    values: dict[str, dict[str, str]] = {}


@dataclass(frozen=True, slots=True)
class FieldPlan:
    """The decision for one file: (field, attribute) pairs, and what happens to the rest."""

    pairs: tuple[tuple[str, Attribute], ...]
    constants: Mapping[str, Any]
    values: Mapping[str, Mapping[str, str]]
    personal: tuple[str, ...]
    ignored: tuple[str, ...]
    missing: tuple[Attribute, ...]
    """Required attributes that the file has no field for."""


def load_field_map(name: str | Path, folder: Path | None = None) -> FieldMap:
    """Read a map by its path or by its name in ``folder``; ``BadConfiguration`` names the key."""
    path = Path(name)
    if not path.is_file() and folder is not None:
        path = folder / f"{path.stem}.yml"
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in folder.glob("*.yml"))) if folder else ""
        raise NotFound(
            f"There is no field map '{name}'. Field maps: {known or 'none'}.",
            f"没有字段映射“{name}”。现有映射：{known or '无'}。",
        )
    try:
        return FieldMap.model_validate(yaml.safe_load(path.read_text("utf-8")))
    except (ValidationError, yaml.YAMLError, UnicodeDecodeError) as error:
        first = " ".join(str(error).split())[:300]
        raise BadConfiguration(
            f"{path.name}: {first}", f"字段映射 {path.name} 有误：{first}"
        ) from error


def plan_fields(
    fields: Sequence[str],
    layer: Layer,
    field_map: FieldMap | None,
    alternative_names: Mapping[str, str] = MappingProxyType({}),
) -> FieldPlan:
    """Decide for a file with these fields; a map that names unknown ones is refused.

    ``alternative_names`` (field to what the database calls it for people) count where no field
    has the name itself.
    """
    chosen = (
        _by_map(fields, layer, field_map)
        if field_map
        else _by_catalogue(fields, layer, alternative_names)
    )
    constants = dict(field_map.constants) if field_map else {}
    forbidden = PERSONAL_FIELDS | _personal_names(layer)
    personal = [
        name
        for name in fields
        if {name.lower(), alternative_names.get(name, "").lower()} & forbidden
        or (name in chosen and chosen[name].personal)
    ]
    pairs = tuple((name, chosen[name]) for name in fields if name in chosen)
    kept = tuple((name, attribute) for name, attribute in pairs if name not in personal)
    filled = {attribute.name for _, attribute in kept} | set(constants)
    return FieldPlan(
        pairs=kept,
        constants=constants,
        values=field_map.values if field_map else {},
        personal=tuple(personal),
        ignored=tuple(n for n in fields if n not in chosen and n not in personal),
        missing=tuple(a for a in layer.attributes if a.required and a.name not in filled),
    )


def _personal_names(layer: Layer) -> frozenset[str]:
    """Names of the layer's personal attributes: a map cannot give such a field another name."""
    names = (n for a in layer.attributes if a.personal for n in (a.name, *a.aliases))
    return frozenset(name.lower() for name in names)


def _by_catalogue(
    fields: Sequence[str], layer: Layer, alternative_names: Mapping[str, str]
) -> dict[str, Attribute]:
    by_lower: dict[str, str] = {}
    for name in fields:
        by_lower.setdefault(name.lower(), name)
    for name in fields:
        if alternative := alternative_names.get(name, "").lower():
            by_lower.setdefault(alternative, name)
    chosen: dict[str, Attribute] = {}
    for attribute in layer.attributes:
        candidates = (attribute.name, *attribute.aliases)
        field = next((by_lower[c.lower()] for c in candidates if c.lower() in by_lower), None)
        if field is not None and field not in chosen:
            chosen[field] = attribute
    return chosen


def _by_map(fields: Sequence[str], layer: Layer, field_map: FieldMap) -> dict[str, Attribute]:
    by_lower = {name.lower(): name for name in fields}
    wrong_fields = [name for name in field_map.fields if name.lower() not in by_lower]
    targets = {*field_map.fields.values(), *field_map.constants, *field_map.values}
    wrong_targets = sorted(name for name in targets if layer.attribute(name) is None)
    if wrong_fields or wrong_targets:
        names = ", ".join([*wrong_fields, *wrong_targets])
        raise BadInput(
            f"The field map names what the file or the layer {layer.id} does not have: {names}.",
            f"字段映射中的名称在文件或图层 {layer.id} 中不存在：{names}。",
            code="field-map-mismatch",
        )
    return {
        by_lower[name.lower()]: attribute
        for name, target in field_map.fields.items()
        if (attribute := layer.attribute(target)) is not None
    }
