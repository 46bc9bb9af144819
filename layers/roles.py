"""Database roles of the access classes: who connects as one reads what that class may, no more.

Roles belong to the whole cluster: several libraries on it share the group roles, whose names begin
with a configurable prefix (``gis_public``, ``gis_internal``, ``gis_restricted``). Rights are given
to the groups in each database; the services log in as members of them.

============ ============================================================================
class        reads
============ ============================================================================
open         ``reading_open`` and the parents in ``library``; rows of small tables that speak of
             open layers only (row security); reports of open layers
internal     the same with ``reading_internal``, ``library_internal``
restricted   the same with ``reading``, ``library_restricted``
============ ============================================================================

Each may add reports of its class. Nobody but the owner reads the rows as they came
(``source_*``), import issues, or writes anything else.
"""

import secrets
from dataclasses import dataclass
from typing import Final, Literal

import psycopg
from psycopg import errors as pg
from psycopg import sql

from layers.catalog import Catalog
from layers.database import READING, Access, Connection

CLASSES: Final[tuple[Access, ...]] = ("open", "internal", "restricted")
_WORDS: Final[dict[Access, str]] = {
    "open": "public",
    "internal": "internal",
    "restricted": "restricted",
}
Right = Literal["SELECT", "INSERT", "UPDATE", "DELETE"]
_LOCK: Final = 7_361_530_450
_PARENTS: Final[dict[Access, str]] = {
    "open": "library",
    "internal": "library_internal",
    "restricted": "library_restricted",
}
_PARENT_TABLES: Final = ("feature", "overlay_piece", "tile_piece", "coverage_piece")
_VIEWS: Final = (
    *_PARENT_TABLES, "stored_feature", "stored_overlay_piece", "stored_tile_piece", "content_part",
)  # fmt: skip
_OF_LAYER: Final = "EXISTS (SELECT FROM library.layer AS l WHERE l.id = {column})"
_OF_PLAN: Final = "EXISTS (SELECT FROM library.layer AS l WHERE l.plan_id = {column})"
_OF_EDITION: Final = (
    "EXISTS (SELECT FROM library.edition_layer AS el WHERE el.edition_id = {column})"
)
_OF_LAYERS: Final = (
    "NOT EXISTS (SELECT FROM jsonb_object_keys({column} || quality_run.counterparts) AS k (id)"
    " WHERE NOT EXISTS (SELECT FROM library.layer AS l WHERE l.id = k.id))"
)
_OF_TWO: Final = (
    f"{_OF_LAYER} AND (quality_finding.other_layer_id IS NULL OR EXISTS"
    " (SELECT FROM library.layer AS l WHERE l.id = quality_finding.other_layer_id))"
)
_OF_SUBMISSION: Final = "EXISTS (SELECT FROM library.submission AS s WHERE s.id = {column})"
_ONLY_CHECKED: Final = "submission_event.state IN ('received', 'checked')"
_OF_CONTENT: Final = "EXISTS (SELECT FROM library.layer_content AS c WHERE c.id = {column})"
# What row security asks of a row; the tables named in it are under row security themselves.
_ROWS: Final[dict[str, tuple[str, str]]] = {
    "plan": (_OF_PLAN, "id"),
    "edition": (_OF_EDITION, "id"),
    "in_force": (_OF_EDITION, "edition_id"),
    "edition_layer": (_OF_LAYER, "layer_id"),
    "layer_content": (_OF_LAYER, "layer_id"),
    "hidden_feature": (_OF_CONTENT, "content_id"),
    "quality_run": (_OF_LAYERS, "contents"),
    "quality_finding": (_OF_TWO, "layer_id"),
    "quality_outline": (_OF_LAYER, "layer_id"),
    "submission_event": (_OF_SUBMISSION, "submission_id"),
}
_FREE: Final = ("rule_set",)
"""Tables that speak of no layer."""
_CLASSED: Final = ("report", "submission", "process_job")
"""Tables whose rows say their class."""
_ALSO_WRITTEN: Final[dict[str, tuple[Right, ...]]] = {
    "submission_event": ("INSERT",),
    "submission_original": ("INSERT",),
    # The claims of requests at work are no record: they come and go.
    "submission_claim": ("SELECT", "INSERT", "UPDATE", "DELETE"),
    "quota": ("SELECT",),
}
_OF_OFFICERS: Final[dict[str, tuple[Right, ...]]] = {
    "submission_original": ("SELECT",),
    "quota": ("INSERT",),
    "quota_entry": ("SELECT", "INSERT"),
}
"""Rights of the restricted class alone: decisions, and who made them."""


@dataclass(frozen=True, slots=True)
class Roles:
    """Names of the group roles."""

    prefix: str = "gis"

    def group(self, access: Access) -> str:
        """The role that has the rights of a class."""
        return f"{self.prefix}_{_WORDS[access]}"


@dataclass(frozen=True, slots=True)
class Login:
    """A member of a group, with the password that it logs in with."""

    role: str
    password: str

    @classmethod
    def new(cls, roles: Roles, access: Access) -> "Login":
        """With a name of its own: two services on one cluster keep out of each other's way."""
        return cls(f"{roles.group(access)}_{secrets.token_hex(4)}", secrets.token_urlsafe(24))


def up_to(access: Access) -> tuple[Access, ...]:
    """The classes that one may read."""
    return CLASSES[: CLASSES.index(access) + 1]


def make_groups(connection: Connection, roles: Roles) -> None:
    """Create the group roles that are missing; ``InsufficientPrivilege`` if that is not allowed."""
    for access in CLASSES:
        _create(connection, roles.group(access), sql.SQL("NOLOGIN"))


def make_login(connection: Connection, roles: Roles, access: Access, login: Login) -> None:
    """Create a login of a class, or give it the password again. The server sees its hash only."""
    hashed = connection.pgconn.encrypt_password(
        login.password.encode(), login.role.encode(), b"scram-sha-256"
    ).decode()
    options = sql.SQL("LOGIN INHERIT PASSWORD {}").format(sql.Literal(hashed))
    name = sql.Identifier(login.role)
    if not _create(connection, login.role, options):
        connection.execute(sql.SQL("ALTER ROLE {} {}").format(name, options))
    connection.execute(sql.SQL("GRANT {} TO {}").format(sql.Identifier(roles.group(access)), name))


def _create(connection: Connection, role: str, options: sql.Composable) -> bool:
    """False if the role is there; also when another library of the cluster was faster."""
    if connection.execute("SELECT FROM pg_roles WHERE rolname = %s", (role,)).fetchone():
        return False
    try:
        with connection.transaction():
            connection.execute(
                sql.SQL("CREATE ROLE {} NOSUPERUSER NOCREATEDB NOCREATEROLE {}").format(
                    sql.Identifier(role), options
                )
            )
    except (pg.DuplicateObject, pg.UniqueViolation):
        return False
    return True


def grant_reading(connection: Connection, roles: Roles, catalog: Catalog) -> None:
    """Give the groups their rights in this database, and nothing else; as often as one likes."""
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
        for access in CLASSES:
            _withdraw(connection, roles.group(access))
            _grant(connection, roles.group(access), access)
            _policies(connection, roles.group(access), access)
        for _, layer in catalog.layers():
            for access in CLASSES:
                if layer.access in up_to(access):
                    _give(
                        connection, "SELECT", sql.Identifier("layer_view", layer.id),
                        roles.group(access),
                    )  # fmt: skip


def _withdraw(connection: Connection, group: str) -> None:
    """Take back what an older version gave: rights that are not listed here do not stay."""
    schemas = [
        name
        for (name,) in connection.execute(
            "SELECT nspname FROM pg_namespace WHERE nspname !~ '^(pg_|information_schema$)'"
        )
    ]
    for schema in schemas:
        for statement in (
            "REVOKE ALL ON ALL TABLES IN SCHEMA {} FROM {}",
            "REVOKE ALL ON SCHEMA {} FROM {}",
        ):
            connection.execute(
                sql.SQL(statement).format(sql.Identifier(schema), sql.Identifier(group))
            )


def _grant(connection: Connection, group: str, access: Access) -> None:
    role = sql.Identifier(group)
    schemas = ["library", "layer_view", READING[access], *(_PARENTS[one] for one in up_to(access))]
    if access == "restricted":
        schemas.append("harvest")
    for schema in dict.fromkeys(schemas):
        connection.execute(
            sql.SQL("GRANT USAGE ON SCHEMA {} TO {}").format(sql.Identifier(schema), role)
        )
    readable = [("library", table) for table in ("layer", *_CLASSED, *_ROWS, *_FREE)]
    readable += [(_PARENTS[one], table) for one in up_to(access) for table in _PARENT_TABLES]
    readable += [(READING[access], view) for view in _VIEWS]
    readable.append(("public", "migration"))
    if access == "restricted":  # reports of harvests may hold values of any layer
        readable += [("harvest", "source"), ("harvest", "run")]
    for schema, table in readable:
        _give(connection, "SELECT", sql.Identifier(schema, table), group)
    for table in (*_CLASSED, *_FREE):
        _give(connection, "INSERT", sql.Identifier("library", table), group)
    also = (_ALSO_WRITTEN, _OF_OFFICERS) if access == "restricted" else (_ALSO_WRITTEN,)
    for table, right in ((t, r) for rights in also for t, given in rights.items() for r in given):
        _give(connection, right, sql.Identifier("library", table), group)


def _give(connection: Connection, right: Right, table: sql.Identifier, group: str) -> None:
    connection.execute(
        sql.SQL("GRANT {} ON {} TO {}").format(sql.SQL(right), table, sql.Identifier(group))
    )


def _policies(connection: Connection, group: str, access: Access) -> None:
    classes = sql.SQL("access_class = ANY({})").format(sql.Literal(list(up_to(access))))
    _policy(connection, "layer", group, "SELECT", classes)
    for table in _CLASSED:
        _policy(connection, table, group, "SELECT", classes)
        _policy(connection, table, group, "INSERT", classes)
    event, original = (
        sql.SQL(_OF_SUBMISSION).format(column=sql.Identifier(table, "submission_id"))
        for table in ("submission_event", "submission_original")
    )
    if access == "restricted":
        _policy(connection, "submission_original", group, "SELECT", original)
    else:  # decisions are an officer's
        event = sql.SQL("{} AND {}").format(event, sql.SQL(_ONLY_CHECKED))
    _policy(connection, "submission_event", group, "INSERT", event)
    _policy(connection, "submission_original", group, "INSERT", original)
    for table, (condition, column) in _ROWS.items():
        asked = sql.SQL(condition).format(column=sql.Identifier(table, column))
        _policy(connection, table, group, "SELECT", asked)


def _policy(
    connection: Connection, table: str, group: str, verb: str, condition: sql.Composable
) -> None:
    name = sql.Identifier(f"{group}_{verb.lower()}")
    on = sql.Identifier("library", table)
    connection.execute(sql.SQL("DROP POLICY IF EXISTS {} ON {}").format(name, on))
    template = (
        "CREATE POLICY {} ON {} FOR INSERT TO {} WITH CHECK ({})"
        if verb == "INSERT"
        else "CREATE POLICY {} ON {} FOR SELECT TO {} USING ({})"
    )
    connection.execute(sql.SQL(template).format(name, on, sql.Identifier(group), condition))


def address_of(dsn: str, login: Login) -> str:
    """The address of the same database for a login."""
    return psycopg.conninfo.make_conninfo(dsn, user=login.role, password=login.password)
