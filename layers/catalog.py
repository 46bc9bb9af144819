"""The catalogue: plans, layers, attributes and code lists, read from ``config/``.

A new layer needs data only: a file under ``config/layers/``, one for each plan, and code lists
as CSV under ``config/codes/``. Everything else (tables, typed views, tiles, styles, legends,
collections, queryables) follows from it. The models refuse unknown keys, so that a misspelt
word is an error with its place and not a silent default.
"""

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from layers.crs import check_transformation
from layers.datum import Transformation
from layers.errors import BadConfiguration, NotFound
from layers.text import Text

AccessClass = Literal["open", "internal", "restricted"]
AttributeType = Literal["string", "integer", "number", "boolean", "date"]
GeometryKind = Literal["polygon", "line", "point"]
AreaUnit = Literal["m2", "hectare", "mu"]
Secrecy = Literal["unclassified", "restricted", "confidential", "secret", "topSecret"]
"""Codes of ISO 19115 (MD_ClassificationCode): 公开, 内部, 秘密, 机密, 绝密."""
Maintenance = Literal[
    "continual", "daily", "weekly", "fortnightly", "monthly", "quarterly", "biannually",
    "annually", "asNeeded", "irregular", "notPlanned", "unknown",
]  # fmt: skip
"""Codes of ISO 19115 (MD_MaintenanceFrequencyCode)."""
PlanKind = Literal["overall", "detailed", "special", "survey", "administrative"]

_SAFE_LOADER: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_SECRECY_OF_ACCESS: Final[dict[AccessClass, Secrecy]] = {
    "open": "unclassified", "internal": "restricted", "restricted": "confidential",
}  # fmt: skip


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Code(_Model):
    """One code of a code list, with the fill colour of the official legend where there is one."""

    code: str
    parent: str | None = None
    title: Text
    colour: str | None = None


class CodeList(_Model):
    """A classification; the same digits mean other things in another scheme (see ``scheme``)."""

    id: str
    scheme: str
    title: Text
    source: str
    codes: tuple[Code, ...]

    def find(self, code: str) -> Code | None:
        """The code itself; never a substring match."""
        return self._by_code.get(code)

    def lineage(self, code: str) -> Iterator[Code]:
        """The code, then its parents up to the first level, inside this scheme only."""
        current = self.find(code)
        while current is not None:
            yield current
            current = self.find(current.parent) if current.parent else None

    def colour(self, code: str) -> str | None:
        """Fill colour of the code or of its nearest ancestor that has one."""
        return next((c.colour for c in self.lineage(code) if c.colour), None)

    @property
    def _by_code(self) -> Mapping[str, Code]:
        index = self.__dict__.get("_index")
        if index is None:
            index = {code.code: code for code in self.codes}
            self.__dict__["_index"] = index
        return index


class Attribute(_Model):
    """One attribute of a layer.

    ``codes`` names a code list; ``aliases`` are the field names departments send (BSM, DLBM);
    ``in_tiles`` carries it into vector tiles; ``personal`` fields are dropped at import.
    ``declared_area`` says that the value is the feature's area in that unit, as the department
    computed it; the quality report holds it against ours.
    """

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    type: AttributeType
    title: Text
    unit: str | None = None
    codes: str | None = None
    required: bool = False
    aliases: tuple[str, ...] = ()
    in_tiles: bool = False
    personal: bool = False
    declared_area: AreaUnit | None = None

    @model_validator(mode="after")
    def _declared_area_is_a_number(self) -> "Attribute":
        if self.declared_area and self.type not in ("number", "integer"):
            raise ValueError(f"{self.name} is a declared area and no number")
        return self

    @model_validator(mode="after")
    def _personal_data_stay_out(self) -> "Attribute":
        if self.personal and (self.in_tiles or self.required):
            raise ValueError(f"{self.name} is personal: it is neither kept nor drawn")
        return self


class Contact(_Model):
    """Whom to ask: an office, never a person."""

    organisation: Text
    email: str | None = Field(default=None, pattern=r"^[^@\s]+@[^@\s]+$")
    telephone: str | None = None
    address: Text | None = None
    url: str | None = Field(default=None, pattern=r"^https?://")


class Layer(_Model):
    """One layer of a plan, as served, styled and judged.

    ``accuracy_m`` is the stated positional accuracy (standard deviation, metres); a strip
    narrower than the combined accuracy of two data sets is an accuracy difference, not a
    conflict. ``coverage`` says what the absence of a feature means: with ``region`` the layer
    speaks for the whole region (no feature = not concerned); with ``features`` only for the
    places it covers; with ``declared`` the import must state it.
    """

    id: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    title: Text
    description: Text | None = None
    geometry: GeometryKind
    access: AccessClass = "open"
    accuracy_m: float = Field(gt=0)
    coverage: Literal["region", "features", "declared"] = "region"
    tessellation: bool = False
    """True when features must cover their area without gaps or overlaps (land use, parcels)."""
    id_attribute: str | None = None
    label: str | None = None
    attributes: tuple[Attribute, ...] = ()
    keywords: tuple[Text, ...] = ()
    contact: Contact | None = None
    """Who answers for this layer, if not the plan's contact."""
    licence: Text | None = None
    secrecy: Secrecy | None = None
    """Stated secrecy class; None = as the access class says (``classification``)."""
    accuracy_statement: Text | None = None
    lineage: Text | None = None
    """How the layer comes about, beside what each import records of itself."""
    maintenance: Maintenance | None = None
    style: tuple[dict[str, Any], ...] = ()
    """Fragments of MapLibre layers (type, paint, layout, filter); see ``tiles.map_style``."""
    draw_order: int = 100
    """Small numbers are drawn first (at the bottom)."""
    visible: bool = True
    min_zoom: int = Field(default=5, ge=0, le=22)

    def attribute(self, name: str) -> Attribute | None:
        """The attribute of that name."""
        return next((a for a in self.attributes if a.name == name), None)

    @property
    def classification(self) -> Secrecy:
        """The secrecy class, as stated or as the access class implies."""
        return self.secrecy or _SECRECY_OF_ACCESS[self.access]

    @property
    def kept_attributes(self) -> tuple[Attribute, ...]:
        """All attributes that are stored and served; personal ones never are."""
        return tuple(a for a in self.attributes if not a.personal)

    @property
    def tile_attributes(self) -> tuple[str, ...]:
        """Names of the attributes that go into vector tiles, in catalogue order."""
        return tuple(a.name for a in self.attributes if a.in_tiles)


class Plan(_Model):
    """A plan with its layers; each of its editions holds all of them together."""

    id: str = Field(pattern=r"^[a-z][a-z0-9-]*$")
    kind: PlanKind
    rank: int = 50
    """Hierarchy when plans contradict: the smaller number prevails (overall before special)."""
    title: Text
    authority: Text
    description: Text | None = None
    licence: Text | None = None
    contact: Contact | None = None
    """Whom to ask; None = the authority."""
    keywords: tuple[Text, ...] = ()
    lineage: Text | None = None
    maintenance: Maintenance | None = None
    layers: tuple[Layer, ...] = Field(min_length=1)


class Catalog(_Model):
    """Everything under ``config/layers`` and ``config/codes``."""

    plans: tuple[Plan, ...]
    code_lists: tuple[CodeList, ...]
    transformations: tuple[Transformation, ...] = ()
    """Stated changes of datum (``config/transformations``); an import names one of them."""

    @model_validator(mode="after")
    def _open_layers_are_not_secret(self) -> "Catalog":
        for _, layer in self.layers():
            if layer.access == "open" and layer.classification != "unclassified":
                raise ValueError(f"layer {layer.id} is {layer.secrecy} and cannot be open")
        return self

    @model_validator(mode="after")
    def _names_are_unique_and_known(self) -> "Catalog":
        seen: dict[str, str] = {}
        known_lists = {code_list.id for code_list in self.code_lists}
        for plan in self.plans:
            for layer in plan.layers:
                if layer.id in seen:
                    raise ValueError(f"layer {layer.id} stands in {seen[layer.id]} and {plan.id}")
                seen[layer.id] = plan.id
                names = [a.name for a in layer.attributes]
                if len(names) != len(set(names)):
                    raise ValueError(f"layer {layer.id}: an attribute stands twice")
                for name in filter(None, (layer.id_attribute, layer.label)):
                    if name not in names:
                        raise ValueError(f"layer {layer.id}: no attribute {name}")
                for attribute in layer.attributes:
                    if attribute.codes and attribute.codes not in known_lists:
                        raise ValueError(f"layer {layer.id}: no code list {attribute.codes}")
        return self

    def layers(self) -> Iterator[tuple[Plan, Layer]]:
        """All layers with their plans, the plans by rank."""
        for plan in self.plans:
            for layer in plan.layers:
                yield plan, layer

    def plan(self, plan_id: str) -> Plan:
        """The plan, or ``NotFound`` with the names there are."""
        for plan in self.plans:
            if plan.id == plan_id:
                return plan
        names = ", ".join(plan.id for plan in self.plans)
        raise NotFound(
            f"There is no plan '{plan_id}'. Plans: {names}.",
            f"没有规划“{plan_id}”。现有规划：{names}。",
        )

    def layer(self, layer_id: str) -> Layer:
        """The layer, or ``NotFound``."""
        return self.layer_with_plan(layer_id)[1]

    def up_to(self, access: AccessClass) -> "Catalog":
        """Without the layers above an access class, and the plans of which nothing is left."""
        order: tuple[AccessClass, ...] = ("open", "internal", "restricted")
        shown = order[: order.index(access) + 1]
        plans = []
        for plan in self.plans:
            layers = tuple(layer for layer in plan.layers if layer.access in shown)
            if layers:
                plans.append(plan.model_copy(update={"layers": layers}))
        return self.model_copy(update={"plans": tuple(plans)})

    def layer_with_plan(self, layer_id: str) -> tuple[Plan, Layer]:
        """The layer and its plan, or ``NotFound``."""
        for plan, layer in self.layers():
            if layer.id == layer_id:
                return plan, layer
        raise NotFound(f"There is no layer '{layer_id}'.", f"没有图层“{layer_id}”。")

    def code_list(self, list_id: str) -> CodeList:
        """The code list of that id."""
        return next(code_list for code_list in self.code_lists if code_list.id == list_id)

    def transformation(self, transformation_id: str) -> Transformation:
        """The stated transformation of that id, or ``NotFound`` with those there are."""
        for one in self.transformations:
            if one.id == transformation_id:
                return one
        names = ", ".join(one.id for one in self.transformations if one.enabled)
        raise NotFound(
            f"There is no transformation '{transformation_id}'. Registered: {names or 'none'}.",
            f"没有登记坐标转换“{transformation_id}”。已登记：{names or '无'}。",
            code="unknown-transformation",
        )

    def code_list_of_scheme(self, scheme: str) -> CodeList | None:
        """The code list that a feature's ``code_scheme`` names, if it is here."""
        return next((one for one in self.code_lists if one.scheme == scheme), None)


def load_catalog(config_dir: Path) -> Catalog:
    """Read ``layers``, ``codes`` and ``transformations``; ``BadConfiguration`` names the key."""
    plans = []
    for path in sorted((config_dir / "layers").glob("*.yml")):
        plans.append(_read(path, Plan, _yaml(path)))
    plans.sort(key=lambda plan: (plan.rank, plan.id))
    code_lists = [_read_code_list(path) for path in sorted((config_dir / "codes").glob("*.csv"))]
    try:
        return Catalog(
            plans=tuple(plans),
            code_lists=tuple(code_lists),
            transformations=_read_transformations(config_dir / "transformations"),
        )
    except ValidationError as error:
        raise _configuration_error(config_dir / "layers", error) from error


def _yaml(path: Path) -> Any:
    """Read by libyaml where it is there: thirty files take 0.05 s instead of half a second."""
    return yaml.load(path.read_text("utf-8"), Loader=_SAFE_LOADER)


def _read_transformations(folder: Path) -> tuple[Transformation, ...]:
    found: list[Transformation] = []
    for path in sorted(folder.glob("*.yml")):
        one = check_transformation(_read(path, Transformation, _yaml(path)))
        if any(other.id == one.id for other in found):
            raise BadConfiguration(
                f"{path.name}: the transformation {one.id} is registered twice.",
                f"{path.name}：坐标转换 {one.id} 重复登记。",
            )
        found.append(one)
    return tuple(found)


def _read_code_list(path: Path) -> CodeList:
    """Read a CSV whose first lines are ``# key: value`` (scheme, zh, en, source)."""
    lines = path.read_text("utf-8").splitlines()
    head = dict(
        line[1:].strip().split(": ", 1) for line in lines if line.startswith("#") and ": " in line
    )
    rows = csv.DictReader(line for line in lines if not line.startswith("#"))
    return _read(
        path,
        CodeList,
        {
            "id": path.stem,
            "scheme": head.get("scheme", path.stem),
            "title": {"zh": head.get("zh"), "en": head.get("en")},
            "source": head.get("source", ""),
            "codes": [
                {
                    "code": row["code"],
                    "parent": row.get("parent") or None,
                    "title": {"zh": row["name_zh"], "en": row["name_en"]},
                    "colour": row.get("colour") or None,
                }
                for row in rows
            ],
        },
    )


def _read[M: BaseModel](path: Path, model: type[M], value: Any) -> M:
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise _configuration_error(path, error) from error


def _configuration_error(path: Path, error: ValidationError) -> BadConfiguration:
    faults = "; ".join(
        f"{'.'.join(str(step) for step in fault['loc']) or 'file'}: {fault['msg']}"
        for fault in error.errors()[:5]
    )
    return BadConfiguration(f"{path.name}: {faults}", f"配置文件 {path.name} 有误：{faults}")
