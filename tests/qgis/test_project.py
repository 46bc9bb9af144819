"""The ready-made project, opened by QGIS."""

import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2

from layers.catalog import Catalog

A_TOWN = [109.4, 19.4, 109.8, 19.7]


def test_the_project_opens_with_every_layer_valid_in_groups_by_plan(
    live_service: str, in_qgis: Callable[..., Any], catalog: Catalog, tmp_path: Path
) -> None:
    answer = httpx2.get(f"{live_service}/qgis/project.qgz", timeout=60)
    path = tmp_path / "project.qgz"
    path.write_bytes(answer.content)

    opened = in_qgis("project", path=str(path), extent=A_TOWN)

    open_plans = catalog.up_to("open").plans
    layers = {layer.id: layer for plan in open_plans for layer in plan.layers}
    assert set(opened["layers"]) == {*(f"collection-{name}" for name in layers), "base-map-vec"}
    assert [key for key, one in opened["layers"].items() if not one["valid"]] == []
    assert opened["crs"] == "EPSG:4490"
    for name, layer in layers.items():
        found = opened["layers"][f"collection-{name}"]
        assert found["title"] == layer.title.zh
        assert found["provider"] == "OAPIF"
        assert found["renderer"] == "QgsRuleBasedRenderer"
        assert f"url='{live_service}/ogc'" in found["source"]
    for plan in open_plans:
        top_first = sorted(plan.layers, key=lambda one: one.draw_order, reverse=True)
        names = [f"collection-{layer.id}" for layer in top_first]
        assert opened["groups"][plan.title.zh] == names
    orders = [layers[name.removeprefix("collection-")].draw_order for name in opened["order"][:-1]]
    assert orders == sorted(orders, reverse=True)
    # The ground of the counties and the base map have a colour each; plans have many.
    assert opened["colours"] > 5


def test_the_key_of_the_caller_stays_out_of_the_project(
    live_service: str,
) -> None:
    answer = httpx2.get(f"{live_service}/qgis/project.qgz?tk=secret-key", timeout=60)
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        text = archive.read("project.qgs").decode()
    assert f"{live_service}/ogc" in text
    assert "secret-key" not in text
