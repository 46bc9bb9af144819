"""The catalogue's mirror in the database and the typed views."""

from typing import Any

import shapely

from layers.catalog import Attribute, Catalog, Layer, Plan
from layers.catalog_sync import sync_catalog
from layers.database import Connection
from layers.text import Text

NAME = Text(zh="测试", en="test")


def _with_layer(catalog: Catalog, layer: Layer) -> Catalog:
    plan = Plan(id="test-plan", kind="special", title=NAME, authority=NAME, layers=(layer,))
    return Catalog(plans=(*catalog.plans, plan), code_lists=catalog.code_lists)


def test_typed_view_shows_what_is_in_force(connection: Connection, publish_layer: Any) -> None:
    publish_layer(
        "detailed_plan_parcel",
        [shapely.box(110, 19, 110.01, 19.01)],
        {"parcel_id": ["P1"], "far_max": [2.5], "height_max": [24]},
    )
    found = connection.execute(
        "SELECT parcel_id, far_max, height_max, pg_typeof(far_max)::text, ST_SRID(geom)"
        " FROM layer_view.detailed_plan_parcel"
    ).fetchall()
    assert found == [("P1", 2.5, 24, "double precision", 4490)]


def test_personal_attributes_are_in_no_view(connection: Connection, catalog: Catalog) -> None:
    farmland = catalog.layer("permanent_basic_farmland")
    personal = {a.name for a in farmland.attributes if a.personal}
    assert personal, "the case is a real one"
    columns = {
        name
        for (name,) in connection.execute(
            "SELECT attname FROM pg_attribute"
            " WHERE attrelid = 'layer_view.permanent_basic_farmland'::regclass AND attnum > 0"
        )
    }
    assert not personal & columns


def test_a_new_layer_needs_data_only_and_a_changed_one_follows(
    connection: Connection, catalog: Catalog
) -> None:
    layer = Layer(id="test_layer", title=NAME, geometry="polygon", accuracy_m=1)
    sync_catalog(connection, _with_layer(catalog, layer))
    assert connection.execute("SELECT count(*) FROM layer_view.test_layer").fetchone() == (0,)
    depth = Attribute(name="depth", type="number", title=NAME)
    wider = layer.model_copy(update={"attributes": (depth,), "accuracy_m": 3})
    sync_catalog(connection, _with_layer(catalog, wider))
    connection.execute("SELECT depth FROM layer_view.test_layer")
    stored = connection.execute(
        "SELECT accuracy_m FROM library.layer WHERE id = 'test_layer'"
    ).fetchone()
    assert stored == (3,)
    # Running it again changes nothing.
    sync_catalog(connection, _with_layer(catalog, wider))
