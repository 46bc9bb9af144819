"""The checks of edited features: those of an import, at the edit and again before a publish.

Edits that come by plain SQL or by QGIS meet only what the database can hold them to. Each leaves
a blocking note; ``check_draft`` holds all edited features against types, code lists, region and
validity, measures their areas, compares the layer with what is in force, and takes the note away
or puts what it found in its place. An edition with such issues is not published.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import shapely
from psycopg import sql
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from layers import contents, partitions
from layers.attribute_checks import is_personal
from layers.attribute_values import CONVERTERS, TYPE_NAMES, Unreadable
from layers.catalog import Attribute, Catalog, Layer
from layers.crs import STORAGE_SRID, Box, parse_crs
from layers.database import Connection, row, rows, statements
from layers.edition_diff import Comparable, LayerVersion, all_rows, compare, edition_version
from layers.editions import contents_in_force
from layers.errors import BadInput, Place
from layers.geometry_checks import GeometryRules, check_geometries
from layers.import_issues import Issue, IssueLog
from layers.import_report import Comparison, shrunk_issue
from layers.readers.source import Batch
from layers.sandbox import Sandbox
from layers.text import Text

_SQL: Final = statements("layers", "draft_edits.sql")
_LARGE_VERTICES: Final = 2_000
"""From here on a geometry is judged in the child, which can be killed."""
_DEADLINE_S: Final = 20.0
_BATCH: Final = 500
_OWN_CRS: Final = f"EPSG:{STORAGE_SRID}"

Checked = tuple[list[bytes | None], list[float], list[Issue]]
"""WKB as stored (None = refused), areas in m2 (NaN = none), issues with ``row`` = index."""


def checked_feature(
    sandbox: Sandbox,
    catalog: Catalog,
    layer: Layer,
    attributes: Mapping[str, Any],
    geometry: shapely.Geometry,
    region: Box | None,
    source_crs: str | None = None,
) -> tuple[dict[str, Any], shapely.Geometry]:
    """Attributes and geometry as they are stored; ``BadInput`` with all places otherwise."""
    values, issues = check_values(catalog, layer, attributes)
    wkb = shapely.to_wkb(geometry)
    stored, _, found = judge(sandbox, layer, [wkb], region, source_crs or _OWN_CRS)
    blocking = [issue for issue in (*issues, *found) if issue.severity == "blocking"]
    if blocking or stored[0] is None:
        raise BadInput(
            f"The feature was refused: {'; '.join(issue.reason.en for issue in blocking[:3])}",
            f"要素被拒绝：{'；'.join(issue.reason.zh for issue in blocking[:3])}",
            code=blocking[0].code if blocking else "geometry-refused",
            places=tuple(Place(issue.field or "geometry", issue.reason) for issue in blocking),
        )
    return values, shapely.from_wkb(stored[0])


def judge(
    sandbox: Sandbox, layer: Layer, wkbs: Sequence[bytes], region: Box | None, source_crs: str
) -> Checked:
    """The import's checks of geometries, in the child when one is large."""
    small = all(len(wkb) <= 16 * _LARGE_VERTICES for wkb in wkbs)
    if small:
        return judge_here(layer, wkbs, region, source_crs)
    return sandbox.run(judge_here, layer, wkbs, region, source_crs, deadline_s=_DEADLINE_S)


def judge_here(layer: Layer, wkbs: Sequence[bytes], region: Box | None, source_crs: str) -> Checked:
    """The same in this process."""
    log = IssueLog()
    batch = Batch(0, np.asarray(shapely.from_wkb(list(wkbs)), dtype=object), {})
    rules = GeometryRules(layer.geometry, parse_crs(source_crs), region, repair=False)
    result = check_geometries(batch, rules, log)
    stored = [None if shape is None else shapely.to_wkb(shape) for shape in result.stored]
    return stored, result.areas_m2.tolist(), log.kept


def check_values(
    catalog: Catalog, layer: Layer, attributes: Mapping[str, Any]
) -> tuple[dict[str, Any], list[Issue]]:
    """Attributes with the layer's types, and what is wrong with them."""
    kept = {attribute.name: attribute for attribute in layer.kept_attributes}
    values: dict[str, Any] = {}
    issues: list[Issue] = []
    for name, raw in attributes.items():
        if raw is None:
            continue
        attribute = kept.get(name)
        if attribute is None:
            issues.append(_issue("unknown-attribute", name, raw, _NO_ATTRIBUTE))
        elif isinstance(raw, str) and is_personal(raw):
            issues.append(_issue("personal-value", name, None, _PERSONAL))
        else:
            _take(attribute, raw, values, issues)
    for attribute in layer.kept_attributes:
        if attribute.required and values.get(attribute.name) is None:
            issues.append(_issue("required-value-missing", attribute.name, None, _MISSING))
    issues += _code_issues(catalog, layer, values)
    return values, issues


def _take(attribute: Attribute, raw: Any, values: dict[str, Any], issues: list[Issue]) -> None:
    try:
        value = CONVERTERS[attribute.type](raw)
    except Unreadable:
        name = TYPE_NAMES[attribute.type]
        reason = Text(zh=f"值无法读作{name.zh}", en=f"the value is no {name.en}")
        issues.append(_issue("bad-value", attribute.name, raw, reason))
        return
    if value is not None:
        values[attribute.name] = value


def _code_issues(catalog: Catalog, layer: Layer, values: Mapping[str, Any]) -> list[Issue]:
    issues = []
    for attribute in layer.kept_attributes:
        value = values.get(attribute.name)
        if attribute.codes is None or value is None:
            continue
        code_list = catalog.code_list(attribute.codes)
        scheme = values.get("code_scheme")
        if scheme is not None and attribute.name != "code_scheme":
            code_list = catalog.code_list_of_scheme(str(scheme)) or code_list
        if code_list.find(str(value)) is None:
            reason = Text(
                zh=f"代码不在“{code_list.title.zh}”中",
                en=f"the code is not in '{code_list.title.en}'",
            )
            issues.append(_issue("unknown-code", attribute.name, value, reason))
    return issues


_NO_ATTRIBUTE: Final = Text(zh="图层没有该属性", en="the layer has no such attribute")
_PERSONAL: Final = Text(
    zh="值疑似身份证号或手机号，不得入库",
    en="the value looks like an identity or mobile number and is not stored",
)
_MISSING: Final = Text(zh="缺少必填属性", en="a required attribute is missing")


def _issue(code: str, field: str, value: object, reason: Text) -> Issue:
    return Issue(code, "blocking", reason, field=field, value=None if value is None else str(value))


def check_draft(
    connection: Connection, sandbox: Sandbox, catalog: Catalog, edition_id: int
) -> list[dict[str, Any]]:
    """Check all edited layers of a draft; give the issues that now stand on them.

    Layers that were opened and not edited leave the draft again: publishing carries them over.
    """
    found: list[dict[str, Any]] = []
    with connection.transaction():
        for one in rows(connection, _SQL["contents_of_draft"], edition_id=edition_id):
            if one["edited"]:
                found += _check_content(connection, sandbox, catalog, edition_id, one)
            elif one["base_id"] is not None and not one["shared"] and _is_opened(connection, one):
                _close_untouched(connection, edition_id, one)
    return found


def draw_draft(connection: Connection, edition_id: int) -> None:
    """Make the pieces of a draft now, so that a map can show it; a publish then finds them made."""
    for one in rows(connection, _SQL["contents_of_draft"], edition_id=edition_id):
        contents.build_pieces(connection, one["content_id"])


def _is_opened(connection: Connection, one: Mapping[str, Any]) -> bool:
    found = row(
        connection,
        "SELECT c.source @> '{\"edited\": true}' AS opened FROM library.layer_content AS c"
        " WHERE c.id = %(content_id)s",
        content_id=one["content_id"],
    )
    return bool(found and found["opened"])


def _close_untouched(connection: Connection, edition_id: int, one: Mapping[str, Any]) -> None:
    values = {"edition_id": edition_id, "layer_id": one["layer_id"]}
    connection.execute(_SQL["remove_layer"], values)
    contents.drop_content(connection, one["content_id"])


def _check_content(
    connection: Connection,
    sandbox: Sandbox,
    catalog: Catalog,
    edition_id: int,
    one: Mapping[str, Any],
) -> list[dict[str, Any]]:
    content_id, layer = one["content_id"], catalog.layer(one["layer_id"])
    row(connection, _SQL["lock_content"], content_id=content_id)
    issues: list[tuple[str, Issue]] = []
    after: str | None = None
    while batch := rows(
        connection, _SQL["edited_rows"], content_id=content_id, after=after, most=_BATCH
    ):
        after = batch[-1]["feature_id"]
        issues += _check_rows(connection, sandbox, catalog, layer, content_id, batch)
    shrunk = _against_force(connection, edition_id, layer)
    if shrunk is not None:
        issues.append(("", shrunk))
    _keep(connection, content_id, issues)
    return [
        {"layer": layer.id, "feature_id": name or None, **issue.to_json()} for name, issue in issues
    ]


def _check_rows(
    connection: Connection,
    sandbox: Sandbox,
    catalog: Catalog,
    layer: Layer,
    content_id: int,
    batch: Sequence[Mapping[str, Any]],
) -> list[tuple[str, Issue]]:
    found = row(connection, _SQL["region"])
    region = (found["west"], found["south"], found["east"], found["north"]) if found else None
    issues = [
        (one["feature_id"], issue)
        for one in batch
        for issue in check_values(catalog, layer, one["attributes"])[1]
    ]
    wkbs = [bytes(one["geometry"]) for one in batch]
    stored, areas, geometry_issues = judge(sandbox, layer, wkbs, region, _OWN_CRS)
    issues += [(batch[issue.row or 0]["feature_id"], issue) for issue in geometry_issues]
    for one, before, after in zip(batch, wkbs, stored, strict=True):
        if after is not None and not _same(before, after):
            issues.append((one["feature_id"], _NOT_ON_GRID))
    measured = [(o["fid"], a) for o, a in zip(batch, areas, strict=True) if not np.isnan(a)]
    connection.execute(
        sql.SQL(_SQL["set_areas"]).format(features=partitions.partition("feature", content_id)),
        {
            "content_id": content_id,
            "fids": [fid for fid, _ in measured],
            "areas": [area for _, area in measured],
        },
    )
    return issues


def _same(before: bytes, after: bytes) -> bool:
    one, other = shapely.from_wkb([before, after])
    return bool(shapely.equals_exact(one, other, tolerance=0.0))


_NOT_ON_GRID: Final = Issue(
    "not-on-grid",
    "blocking",
    Text(zh="坐标不在存储网格（1e-8 度）上", en="coordinates are not on the storage grid (1e-8)"),
    field="geometry",
)


def _against_force(connection: Connection, edition_id: int, layer: Layer) -> Issue | None:
    """A blocking issue where more than a fifth of what is in force is gone."""
    draft = edition_version(connection, edition_id)
    held = contents_in_force(connection, [layer.id], draft.valid_from).get(layer.id)
    if held is None:
        return None
    before = edition_version(connection, held.edition_id).layers[layer.id]
    after = draft.layers[layer.id]
    # Ids of edited features are names, wherever those of the base came from.
    totals = compare(
        connection, Comparable(layer.id, before, after, "feature_id", ()), kept=0
    ).totals
    sides = [_sums(connection, side) for side in (before, after)]
    length = sides[0]["length_deg"]
    return shrunk_issue(
        Comparison(
            features_before=sides[0]["features"],
            features_after=sides[1]["features"],
            area_m2_before=sides[0]["area_m2"],
            area_m2_after=sides[1]["area_m2"],
            ids_vanished=totals["removed"],
            length_lost=1 - sides[1]["length_deg"] / length if length else None,
            extent_lost=None,
        )
    )


def _sums(connection: Connection, version: LayerVersion) -> dict[str, Any]:
    statement = sql.SQL(_SQL["sums"]).format(rows=all_rows(version))
    with connection.cursor(row_factory=dict_row) as cursor:
        (found,) = cursor.execute(statement).fetchall()
    return found


def _keep(connection: Connection, content_id: int, issues: Sequence[tuple[str, Issue]]) -> None:
    """Put what was found in the place of the note "not checked" and of earlier findings."""
    earlier = row(connection, _SQL["blocking_edit_issues"], content_id=content_id)
    connection.execute(_SQL["drop_edit_issues"], {"content_id": content_id})
    for name, issue in issues:
        connection.execute(
            _SQL["add_issue"],
            {
                "content_id": content_id,
                "field": issue.field,
                "value": f"{name}: {issue.value}" if issue.value else name,
                "code": f"edit-{issue.code}",
                "severity": issue.severity,
                "reason": Jsonb(issue.reason.model_dump()),
            },
        )
    blocking = sum(issue.severity == "blocking" for _, issue in issues)
    change = blocking - (int(earlier["found"]) if earlier else 0)
    connection.execute(_SQL["change_blocking"], {"content_id": content_id, "change": change})
