"""The register of sources: what an entry may say, and where a mistake is named."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from gis_service.harvesting.sources import RegisteredSource, load_sources, source_named
from layers.catalog import Catalog
from layers.errors import BadConfiguration, NotFound

PROJECT = Path(__file__).resolve().parents[3]

FOLDER: dict[str, Any] = {
    "id": "forestry-folder",
    "title": {"zh": "林业", "en": "Forestry"},
    "plan": "forest-plan",
    "layer": "forest_land",
    "kind": "folder",
    "location": "/srv/exchange",
    "schedule": "30 2 * * *",
}
WEB = {**FOLDER, "kind": "ogc-features", "location": "https://data.example.cn/ogc/collections/a"}
TABLE = {**FOLDER, "kind": "postgis", "location": "public.a", "credentials": {"dsn": "HARVEST_A"}}


def load(tmp_path: Path, catalog: Catalog, *entries: dict[str, Any]) -> tuple[Any, ...]:
    text = yaml.safe_dump({"sources": list(entries)}, allow_unicode=True)
    (tmp_path / "sources.yml").write_text(text, "utf-8")
    return load_sources(tmp_path, catalog)


def test_the_shipped_file_is_empty_and_its_examples_are_valid(
    catalog: Catalog, tmp_path: Path
) -> None:
    assert load_sources(PROJECT / "config", catalog) == ()
    text = (PROJECT / "config" / "sources.yml").read_text("utf-8")
    examples = "\n".join(
        line.removeprefix("# ")
        for line in text[text.index("# sources:") :].splitlines()
        if line.startswith("#") and line != "#"
    )
    (tmp_path / "sources.yml").write_text(examples, "utf-8")
    kinds = [source.kind for source in load_sources(tmp_path, catalog)]
    assert kinds == ["folder", "ogc-features", "postgis"]


def test_no_file_is_no_source(catalog: Catalog, tmp_path: Path) -> None:
    assert load_sources(tmp_path, catalog) == ()


def test_all_three_kinds_are_read(catalog: Catalog, tmp_path: Path) -> None:
    found = load(tmp_path, catalog, FOLDER, {**WEB, "id": "w-a"}, {**TABLE, "id": "t-a"})
    assert [source.id for source in found] == ["forestry-folder", "w-a", "t-a"]
    assert source_named(found, "w-a").kind == "ogc-features"
    with pytest.raises(NotFound, match="forestry-folder, w-a, t-a"):
        source_named(found, "other")


@pytest.mark.parametrize(
    ("entry", "named"),
    [
        ({**FOLDER, "schedule": "nightly"}, "schedule"),
        ({**FOLDER, "schedule": "0 30 2 * * *"}, "schedule"),
        ({**FOLDER, "location": "exchange/forest"}, "absolute"),
        ({**FOLDER, "location": "/srv/../etc"}, "'..'"),
        ({**FOLDER, "glob": "../*.gpkg"}, "glob"),
        ({**FOLDER, "layer": "no_such_layer"}, "no_such_layer"),
        ({**FOLDER, "plan": "marine-plan"}, "belongs to forest-plan"),
        ({**FOLDER, "password": "x"}, "password"),
        ({**WEB, "location": "ftp://data.example.cn/ogc/collections/a"}, "http"),
        ({**WEB, "location": "https://u:p@data.example.cn/ogc/collections/a"}, "password"),
        ({**WEB, "location": "https://data.example.cn/ogc/collections/a?x=1"}, "query"),
        ({**WEB, "location": "https://data.example.cn/ogc"}, "collections"),
        ({**WEB, "networks": ["10.0.0.0/40"]}, "networks"),
        ({**WEB, "credentials": {"bearer": "DATABASE_URL"}}, "bearer"),
        ({**WEB, "credentials": {"bearer": "HARVEST_A", "basic": "HARVEST_B"}}, "one of"),
        ({**WEB, "credentials": {"header": "X-Key"}}, "one of"),
        ({**WEB, "credentials": {"dsn": "HARVEST_A"}}, "dsn"),
        ({**TABLE, "credentials": None}, "dsn"),
        ({**TABLE, "location": "parcels"}, "schema.table"),
    ],
)
def test_a_wrong_entry_is_named(
    catalog: Catalog, tmp_path: Path, entry: dict[str, Any], named: str
) -> None:
    with pytest.raises(BadConfiguration, match=r"sources\.yml") as caught:
        load(tmp_path, catalog, entry)
    assert named in str(caught.value)


def test_an_id_stands_once(catalog: Catalog, tmp_path: Path) -> None:
    with pytest.raises(BadConfiguration, match="twice"):
        load(tmp_path, catalog, FOLDER, FOLDER)


def test_the_definition_changes_with_what_changes_the_content_only(catalog: Catalog) -> None:
    layer = catalog.layer("forest_land")

    def digest(**changes: Any) -> str:
        source = RegisteredSource.model_validate({**FOLDER, **changes})
        return source.definition_sha256(layer)

    assert digest() == digest(schedule="0 4 * * *", publish="when-clean", enabled=False)
    assert digest() != digest(field_map="redline-stbhhx")
    assert digest() != digest(coverage="features")
    attributes = layer.model_copy(update={"attributes": layer.attributes[:2]})
    source = RegisteredSource.model_validate(FOLDER)
    assert source.definition_sha256(layer) != source.definition_sha256(attributes)
