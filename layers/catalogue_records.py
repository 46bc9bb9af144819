"""The catalogue as records: one for each plan, layer and edition, in the words of metadata.

A record holds what both forms (OGC API Records, ISO 19115) are made from. Only layers of the
given set are told of, in records of their own and in those of plans and editions: a plan without
such a layer has no record, and an edition says nothing of its other layers. Parameters of a
transformation are not told, only its name, accuracy and provenance: they are usually classified.
"""

import datetime
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from layers.catalog import Catalog, Contact, Layer, Maintenance, Plan, Secrecy
from layers.crs import Box
from layers.database import Connection, rows, statements
from layers.metadata import Approval, EditionMetadata
from layers.text import Text

Resource = Literal["plan", "layer", "edition"]

_SQL: Final = statements("layers", "metadata.sql")
_ACCEPTED: Final = {
    "accepted_blocking_issues": Text(
        zh="发布时接受了阻断性问题", en="Published in spite of blocking issues"
    ),
    "accepted_basis": Text(
        zh="发布时所依据的内容已不再生效",
        en="Published though what it was made against was not in force any more",
    ),
}
"""By the name under which an edition keeps the reason."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the lineage."""

    text: Text
    at: datetime.datetime | None = None


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Stated positional accuracy of a layer: standard deviation in plan, metres."""

    layer_id: str
    value_m: float
    statement: Text | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """One record; ``layer_ids`` are the visible layers that it speaks of.

    ``begins`` and ``ends`` (exclusive) are the days it is in force; ``extent`` is lon/lat.
    """

    id: str
    resource: Resource
    plan_id: str
    title: Text
    description: Text
    contact: Contact
    keywords: tuple[Text, ...]
    classification: Secrecy
    layer_ids: tuple[str, ...]
    licence: Text | None = None
    parent: str | None = None
    created: datetime.datetime | None = None
    updated: datetime.datetime | None = None
    begins: datetime.date | None = None
    ends: datetime.date | None = None
    extent: Box | None = None
    accuracies: tuple[Accuracy, ...] = ()
    lineage: Text | None = None
    steps: tuple[Step, ...] = ()
    approval: Approval = field(default_factory=Approval)
    maintenance: Maintenance = "unknown"
    edition_id: int | None = None
    state: str | None = None
    synthetic: bool = False


def catalogue_records(
    connection: Connection,
    catalog: Catalog,
    visible: Collection[str],
    today: datetime.date,
    *,
    tell_reasons: bool = True,
) -> tuple[Record, ...]:
    """All records: each plan by rank, with its layers and then its editions.

    Why blocking issues were accepted is told of editions whose layers are all visible; with
    ``tell_reasons`` false of none, for callers who cannot know whether there are others.
    """
    by_edition: dict[int, list[Mapping[str, Any]]] = {}
    for found in rows(connection, _SQL["editions_with_contents"], today=today):
        if found["layer_id"] in visible:
            by_edition.setdefault(found["id"], []).append(found)
    return tuple(_records(catalog, visible, list(by_edition.values()), tell_reasons))


def _records(
    catalog: Catalog,
    visible: Collection[str],
    editions: Sequence[Sequence[Mapping[str, Any]]],
    tell_reasons: bool,
) -> Iterator[Record]:
    for plan in catalog.plans:
        layers = [layer for layer in plan.layers if layer.id in visible]
        if not layers:
            continue
        own = [one for one in editions if one[0]["plan_id"] == plan.id]
        current = [one for one in own if one[0]["holds"]]
        yield _plan_record(plan, layers, own, current)
        for layer in layers:
            yield _layer_record(plan, layer, own, current)
        for one in own:
            whole = tell_reasons and len(layers) == len(plan.layers)
            yield _edition_record(plan, one, layers, whole=whole)


def _plan_record(
    plan: Plan,
    layers: Sequence[Layer],
    editions: Sequence[Sequence[Mapping[str, Any]]],
    current: Sequence[Sequence[Mapping[str, Any]]],
) -> Record:
    every = [row for one in editions for row in one]
    shown = [row for one in current for row in one]
    return Record(
        id=f"plan.{plan.id}",
        resource="plan",
        plan_id=plan.id,
        title=plan.title,
        description=plan.description or plan.title,
        contact=contact_of(plan),
        keywords=(*plan.keywords, *(layer.title for layer in layers)),
        classification=_strictest(layers),
        layer_ids=tuple(layer.id for layer in layers),
        licence=plan.licence,
        maintenance=plan.maintenance or "unknown",
        lineage=plan.lineage,
        synthetic=any(row["synthetic"] for row in shown),
        **_times(every, shown),
    )


def _layer_record(
    plan: Plan,
    layer: Layer,
    editions: Sequence[Sequence[Mapping[str, Any]]],
    current: Sequence[Sequence[Mapping[str, Any]]],
) -> Record:
    every = [row for one in editions for row in one if row["layer_id"] == layer.id]
    shown = [row for one in current for row in one if row["layer_id"] == layer.id]
    stated = shown[-1]["accuracy_m"] if shown else layer.accuracy_m
    return Record(
        id=f"layer.{layer.id}",
        resource="layer",
        plan_id=plan.id,
        parent=f"plan.{plan.id}",
        title=layer.title,
        description=layer.description or layer.title,
        contact=contact_of(plan, layer),
        keywords=(*layer.keywords, *plan.keywords, plan.title, layer.title),
        classification=layer.classification,
        layer_ids=(layer.id,),
        licence=layer.licence or plan.licence,
        accuracies=(Accuracy(layer.id, stated, layer.accuracy_statement),),
        lineage=layer.lineage or plan.lineage,
        steps=tuple(_steps(row, layer.title) for row in shown),
        maintenance=layer.maintenance or plan.maintenance or "unknown",
        edition_id=shown[-1]["id"] if shown else None,
        synthetic=any(row["synthetic"] for row in shown),
        **_times(every, shown),
    )


def _edition_record(
    plan: Plan, edition: Sequence[Mapping[str, Any]], layers: Sequence[Layer], *, whole: bool
) -> Record:
    first = edition[0]
    said = EditionMetadata.from_stored(first["title"], first["metadata"])
    by_id = {layer.id: layer for layer in layers}
    held = [by_id[row["layer_id"]] for row in edition]
    steps = [_steps(row, by_id[row["layer_id"]].title) for row in edition]
    steps += _acceptance(first, whole=whole)
    return Record(
        id=f"edition.{first['id']}",
        resource="edition",
        plan_id=plan.id,
        parent=f"plan.{plan.id}",
        title=_joined(plan.title, said.title),
        description=said.description or plan.description or plan.title,
        contact=contact_of(plan),
        keywords=(*said.keywords, *plan.keywords, plan.title, *(layer.title for layer in held)),
        classification=_strictest(held),
        layer_ids=tuple(layer.id for layer in held),
        licence=plan.licence,
        accuracies=tuple(
            Accuracy(row["layer_id"], row["accuracy_m"], by_id[row["layer_id"]].accuracy_statement)
            for row in edition
        ),
        lineage=said.lineage or plan.lineage,
        steps=tuple(steps),
        approval=said.approval,
        maintenance="notPlanned",  # an edition is never changed, the next one replaces it
        edition_id=first["id"],
        state=first["state"],
        synthetic=first["synthetic"],
        **{**_times(edition, edition), "ends": first["ends"]},
    )


def _joined(plan: Text, edition: Text | None) -> Text:
    if edition is None:
        return plan
    return Text(zh=f"{plan.zh}（{edition.zh}）", en=f"{plan.en} ({edition.en})")


def contact_of(plan: Plan, layer: Layer | None = None) -> Contact:
    """Whom to ask: the layer's contact, the plan's, or the authority by its name."""
    own = layer.contact if layer is not None else None
    return own or plan.contact or Contact(organisation=plan.authority)


_ORDER: Final[tuple[Secrecy, ...]] = (
    "unclassified", "restricted", "confidential", "secret", "topSecret",
)  # fmt: skip


def _strictest(layers: Sequence[Layer]) -> Secrecy:
    return max((layer.classification for layer in layers), key=_ORDER.index)


def _times(
    every: Sequence[Mapping[str, Any]], shown: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Dates of a record and where it lies: of all editions, and of those in force."""
    boxes = [row["extent"] for row in shown if row["extent"] and row["extent"][0] is not None]
    return {
        "created": min((row["created"] for row in every), default=None),
        "updated": max((row["published"] or row["created"] for row in every), default=None),
        "begins": min((row["valid_from"] for row in shown), default=None),
        "extent": _around(boxes),
    }


def _around(boxes: Sequence[Sequence[float]]) -> Box | None:
    if not boxes:
        return None
    west, south, east, north = zip(*boxes, strict=True)
    return min(west), min(south), max(east), max(north)


def _steps(row: Mapping[str, Any], layer: Text) -> Step:
    """Where the content of a layer in an edition comes from."""
    source = row["source"]
    zh, en = [f"{layer.zh}：{_origin(source).zh}"], [f"{layer.en}: {_origin(source).en}"]
    conversion = _conversion(source)
    if conversion is not None:
        zh.append(conversion.zh)
        en.append(conversion.en)
    if row["carried_over"]:
        zh.append("沿用前一版本的内容")
        en.append("carried over from the edition before")
    return Step(Text(zh="；".join(zh) + "。", en="; ".join(en) + "."), row["imported"])


def _origin(source: Mapping[str, Any]) -> Text:
    if not source.get("sha256"):
        return Text(zh="由程序生成，非导入文件", en="made by a program, not imported from a file")
    name, digest = source.get("file", ""), source["sha256"]
    form, crs = source.get("format", ""), source.get("crs", "")
    return Text(
        zh=f"由文件 {name} 导入（{form}，SHA-256 {digest}），坐标系 {crs}",
        en=f"imported from the file {name} ({form}, SHA-256 {digest}), CRS {crs}",
    )


def _conversion(source: Mapping[str, Any]) -> Text | None:
    """The change of datum, without its parameters."""
    kind = source.get("conversion")
    if kind == "stated-identity":
        return Text(zh="WGS 84 坐标按 CGCS2000 使用", en="WGS 84 coordinates taken as CGCS2000")
    if kind == "iterative-inverse":
        name = str(source.get("derived_from", "")).upper()
        return Text(
            zh=f"由 {name} 加偏坐标反算，精度约 {source.get('accuracy_m')} 米，不得作为法定依据",
            en=f"computed back from obfuscated {name} coordinates, accurate to about "
            f"{source.get('accuracy_m')} m, not for statutory use",
        )
    stated = source.get("transformation")
    if kind == "stated-transformation" and stated:
        title, origin = Text.model_validate(stated["title"]), stated["provenance"]
        return Text(
            zh=f"按坐标转换“{title.zh}”（{stated['id']}）转至 CGCS2000，精度 "
            f"{stated['accuracy_m']} 米，来源：{origin['zh']}",
            en=f"brought to CGCS2000 by the transformation {stated['id']} ({title.en}), accuracy "
            f"{stated['accuracy_m']} m, provenance: {origin['en']}",
        )
    return None


def _acceptance(row: Mapping[str, Any], *, whole: bool) -> Iterator[Step]:
    """What somebody accepted at the publish; the reason only where all layers are visible."""
    for name, text in _ACCEPTED.items():
        reason = row["metadata"].get(name)
        if not reason:
            continue
        zh, en = (f"，理由：{reason}", f": {reason}") if whole else ("", "")
        yield Step(Text(zh=f"{text.zh}{zh}。", en=f"{text.en}{en}."), row["published"])
