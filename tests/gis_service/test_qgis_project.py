"""The QGIS project as a document; what QGIS makes of it is tested in ``tests/qgis``."""

import io
import zipfile
from xml.etree import ElementTree as ET

from gis_service.qgis_project import ProjectAsked, project_archive, project_document
from layers.catalog import Catalog
from layers.text import Text

HIDDEN = "forest_land"


def asked(catalog: Catalog, language: str = "zh") -> ProjectAsked:
    return ProjectAsked(
        catalog, "https://plans.example/gis", Text(zh="规划", en="Plans"), (108, 18, 111, 20),
        language,
    )  # fmt: skip


def test_a_layer_above_the_class_of_the_process_is_nowhere_in_the_project(
    catalog: Catalog,
) -> None:
    plans = tuple(
        plan.model_copy(update={"layers": tuple(
            layer.model_copy(update={"access": "restricted"}) if layer.id == HIDDEN else layer
            for layer in plan.layers
        )})
        for plan in catalog.plans
    )  # fmt: skip
    classed = catalog.model_copy(update={"plans": plans})
    assert HIDDEN.encode() in project_document(asked(classed))
    assert HIDDEN.encode() not in project_document(asked(classed.up_to("open")))


def test_every_address_is_the_given_one(catalog: Catalog) -> None:
    root = ET.fromstring(project_document(asked(catalog)))
    sources = [one.text or "" for one in root.iter("datasource")]
    assert len(sources) == len(list(catalog.layers())) + 1
    for source in sources:
        assert source.count("://") == 1
        assert "https://plans.example/gis/" in source


def test_the_same_layers_give_the_same_bytes_and_other_words_in_english(catalog: Catalog) -> None:
    archive = project_archive(asked(catalog))
    assert archive == project_archive(asked(catalog))
    with zipfile.ZipFile(io.BytesIO(archive)) as packed:
        assert packed.namelist() == ["project.qgs"]
    english = project_document(asked(catalog, "en"))
    for _, layer in catalog.layers():
        assert f"<layername>{layer.title.en}<".encode() in english
