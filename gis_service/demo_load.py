"""Loads the demo province into the library: the same contents and editions as an import."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

import shapely
from shapely.geometry.base import BaseGeometry

from gis_service.demo_province import SEED, DemoEdition, DemoLayer, build
from gis_service.demo_province.quotas import DAYS, LEDGER, PERIOD, demo_quotas
from gis_service.demo_province.scale import ScaleName
from gis_service.settings import ServiceConfig
from gis_service.submissions.ledger import Posting, QuotaName, set_quota
from layers.catalog import Catalog
from layers.contents import create_content, finish_content, load_arrays, release_content
from layers.crs import GRID_DEG
from layers.database import Connection
from layers.editions import open_draft, publish, put_layer
from layers.feature_rows import Fingerprint

_DRAWING_SHARE: Final = 0.3
_LAYERS: Final = 22
"""How much of the work is drawing the province, and how many layer contents follow."""

Progress = Callable[[str, float], None]
"""What is being done, and which share (0..1) of the whole is done."""


def load_demo(
    connection: Connection,
    catalog: Catalog,
    config: ServiceConfig,
    scale: ScaleName,
    coast: Path | None,
    progress: Progress = lambda _, __: None,
) -> dict[str, int]:
    """Generate, load and publish the demo; give the number of features by layer.

    Every edition is marked synthetic. Each is published as soon as it is whole, so a running
    service shows one after the other; a killed load leaves published editions whole and at most
    one draft, which the next load replaces.
    """
    counts: dict[str, int] = {}

    def drawing(what: str, share: float) -> None:
        progress(what, share * _DRAWING_SHARE)

    done = 0
    for edition in build(scale, SEED, coast, drawing):
        for layer in edition.layers:
            share = _DRAWING_SHARE + (1 - _DRAWING_SHARE) * min(done / _LAYERS, 1.0)
            progress(f"{edition.plan_id}: {layer.layer_id}", share)
            done += 1
        _load_edition(connection, catalog, config, edition, scale, counts)
    _grant_quotas(connection)
    return counts


def _grant_quotas(connection: Connection) -> None:
    """The ledger of the demo; a second load finds its quotas granted and adds nothing."""
    for quota in demo_quotas():
        set_quota(
            connection,
            QuotaName(LEDGER, quota.admin_code, PERIOD),
            DAYS,
            quota.granted_m2,
            Posting(actor="demo_province", reason="演示数据 / demo data"),
        )


def _load_edition(
    connection: Connection,
    catalog: Catalog,
    config: ServiceConfig,
    edition: DemoEdition,
    scale: ScaleName,
    counts: dict[str, int],
) -> None:
    contents: dict[str, int] = {}
    for layer in edition.layers:
        contents[layer.layer_id] = _load_layer(connection, catalog, config, layer, scale, counts)
    with connection.transaction():
        number = open_draft(
            connection,
            edition.plan_id,
            valid_from=edition.valid_from,
            title=edition.title,
            synthetic=True,
            metadata={"generator": "demo_province", "scale": scale, "seed": SEED},
        )
        for layer_id, content_id in contents.items():
            put_layer(connection, number, layer_id, content_id)
    for content_id in contents.values():
        release_content(connection, content_id)
    if edition.publish:
        publish(connection, edition.plan_id, number)


def _load_layer(
    connection: Connection,
    catalog: Catalog,
    config: ServiceConfig,
    layer: DemoLayer,
    scale: ScaleName,
    counts: dict[str, int],
) -> int:
    definition = catalog.layer(layer.layer_id)
    source = {"generator": "demo_province", "scale": scale, "seed": SEED, "synthetic": True}
    content_id = create_content(connection, layer.layer_id, source=source)
    fingerprint = Fingerprint()
    loaded = 0
    covered: list[BaseGeometry] = []
    for chunk in layer.chunks():
        ids = (
            [str(value) for value in chunk.attributes[definition.id_attribute]]
            if definition.id_attribute
            else None
        )
        loaded += load_arrays(
            connection,
            content_id,
            chunk.geometries,
            chunk.attributes,
            loaded + 1,
            feature_ids=ids,
            fingerprint=fingerprint,
        )
        if layer.coverage is None and definition.coverage == "features":
            covered.append(shapely.union_all(chunk.geometries, grid_size=GRID_DEG))
    region = shapely.union_all(covered) if covered else shapely.box(*config.region.bbox)
    finish_content(
        connection,
        content_id,
        content_sha256=fingerprint.hexdigest(),
        coverage=layer.coverage or region,
    )
    counts[layer.layer_id] = counts.get(layer.layer_id, 0) + loaded
    return content_id
