"""Names and codes in matrices between plans, and words of rules that this engine does not apply."""

from collections.abc import Iterator
from typing import Final

from layers.catalog import Catalog, Layer
from layers.errors import NotFound
from layers.text import Text
from planning_rules.plan_matrix import LayerClasses, PlanMatrix
from planning_rules.rule import Rule
from planning_rules.rule_names import Misnamed
from planning_rules.rule_set import RuleSet

_GRID_M: Final = 0.001
"""The storage grid of 1e-8 degrees, as rules write it."""


def misnamed_classes(rule: Rule, rule_set: RuleSet, catalog: Catalog) -> Iterator[Misnamed]:
    """Layers, attributes and codes of the rule's matrix that do not exist."""
    asked = rule.test.compatibility
    matrix = None if asked is None else rule_set.plan_matrix(asked.matrix)
    if matrix is None:
        return
    for name, says in sorted(matrix.layers.items()):
        try:
            layer = catalog.layer(name)
        except NotFound as error:
            yield "unknown-layer", error.text
        else:
            yield from _layer(layer, says, catalog)
    yield from _codes(matrix, catalog)
    yield from _crosswalks(matrix, catalog)
    levels = {plan.kind for plan, layer in catalog.layers() if layer.id in matrix.layers}
    level = rule.subject.plan_level
    if level is not None and level not in levels:
        yield (
            "wrong-plan-level",
            Text(
                zh=f"矩阵 {matrix.id} 中没有 {level} 级规划的图层。",
                en=f"{matrix.id} holds no layer of a plan of the level '{level}'.",
            ),
        )


def _layer(layer: Layer, says: LayerClasses, catalog: Catalog) -> Iterator[Misnamed]:
    if layer.geometry != "polygon":
        text = Text(zh=f"图层 {layer.id} 不是面状。", en=f"The layer {layer.id} holds no areas.")
        yield "not-applied", text
    kept = {attribute.name: attribute for attribute in layer.kept_attributes}
    for name in filter(None, (says.property, says.scheme_property)):
        if name not in kept:
            yield (
                "unknown-layer-attribute",
                Text(
                    zh=f"图层 {layer.id} 没有属性 {name}。",
                    en=f"The layer {layer.id} has no attribute '{name}'.",
                ),
            )
    codes = kept[says.property].codes if says.property in kept else None
    for code in sorted(says.map) if codes else ():
        if catalog.code_list(codes or "").find(code) is None:
            yield _no_code(codes or "", code)


def _codes(matrix: PlanMatrix, catalog: Catalog) -> Iterator[Misnamed]:
    """Classes of the rows that no layer can have: a row that is never read."""
    listed = catalog.code_list_of_scheme(matrix.scheme)
    words = {says.whole for says in matrix.layers.values()}
    words |= {word for says in matrix.layers.values() for word in says.map.values()}
    named = {*matrix.rows, *(code for row in matrix.rows.values() for code in row)}
    for code in sorted({*named, *(word for word in words if word)} - {"*"}):
        if code[:2].isdigit():
            if listed is None or listed.find(code) is None:
                yield _no_code(matrix.scheme, code)
        elif code not in words:
            yield (
                "unknown-class",
                Text(
                    zh=f"矩阵 {matrix.id} 中没有图层属于类别 {code}。",
                    en=f"No layer of {matrix.id} is of the class '{code}'.",
                ),
            )


def _crosswalks(matrix: PlanMatrix, catalog: Catalog) -> Iterator[Misnamed]:
    into = catalog.code_list_of_scheme(matrix.scheme)
    for walk in matrix.crosswalks:
        source = catalog.code_list_of_scheme(walk.scheme)
        for code, other in sorted(walk.codes.items()):
            if source is not None and source.find(code) is None:
                yield _no_code(walk.scheme, code)
            if into is not None and into.find(other) is None:
                yield _no_code(matrix.scheme, other)


def _no_code(code_list: str, code: str) -> Misnamed:
    text = Text(
        zh=f"代码表 {code_list} 中没有 {code}。", en=f"The code list {code_list} has no '{code}'."
    )
    return "unknown-code", text


def not_applied(rule: Rule, rule_set: RuleSet, catalog: Catalog) -> Iterator[Misnamed]:
    """What a rule says and this engine would pass over in silence, with what to write instead."""
    plan = next((p for p, layer in catalog.layers() if layer.id == rule.target.layer), None)
    level = rule.target.plan_level
    if plan is not None and level is not None and plan.kind != level:
        yield (
            "wrong-plan-level",
            Text(
                zh=f"图层 {rule.target.layer} 属于 {plan.kind} 级的 {plan.id}，"
                f"规则写的是 {level}。",
                en=f"{rule.target.layer} is a layer of {plan.id}, a plan of the level "
                f"'{plan.kind}', not '{level}'.",
            ),
        )
    if rule.subject.kind == "project" and rule.subject.plan_level is not None:
        yield "not-applied", _PROJECTS_HAVE_NO_LEVEL
    if rule.test.distance is not None and rule.test.distance.measure == "planar":
        yield "not-applied", _PLANAR
    for tolerance in (rule.tolerance, rule_set.defaults.tolerance):
        if tolerance.grid_size is not None and tolerance.grid_size.value != _GRID_M:
            yield "not-applied", _OTHER_GRID


_PROJECTS_HAVE_NO_LEVEL: Final = Text(
    zh="subject.plan_level 只用于规划之间的比对；项目没有规划层级。",
    en="subject.plan_level belongs to rules between plans; a project has no level.",
)
_PLANAR: Final = Text(
    zh="距离一律按椭球面测地线量算（平面距离在三度带边缘相差 310 ppm）；请写 measure: geodesic。",
    en="Distances are measured on the ellipsoid (a plane of three degrees is off by 310 ppm at its "
    "edge); write measure: geodesic.",
)
_OTHER_GRID: Final = Text(
    zh="数据在入库时已落在 1e-8 度（约 1 毫米）的格网上，叠加时不再另取格网；"
    "请写 grid_size: 0.001 m 或不写。",
    en="Data lie on the storage grid of 1e-8 degrees (1 mm) since their import, and no other grid "
    "is applied; write grid_size: 0.001 m, or nothing.",
)
