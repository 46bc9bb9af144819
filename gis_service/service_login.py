"""The address by which the processes that answer requests read the database.

They never get the owner's: each access class has a role that can read its layers and no others
(``layers.roles``). The service makes a login of its own in that role; its password is drawn at
random and kept in the data folder, readable for its user only. Where the given ``DATABASE_URL``
may not make roles, an administrator does and gives ``PUBLIC_DATABASE_URL``; without either a
service starts only while there is nothing to hide: every layer is open.
"""

import json
import os
from pathlib import Path
from typing import Final

import psycopg
from psycopg import errors as pg

from gis_service.settings import Settings
from layers.catalog import Catalog, load_catalog
from layers.database import Connection, connect
from layers.errors import Unavailable
from layers.roles import Login, Roles, address_of, grant_reading, make_groups, make_login

_ABOVE: Final = {"open": "library_internal", "internal": "library_restricted"}
"""The schema that a class must not be able to use."""


def service_address(settings: Settings, owner_dsn: str) -> str:
    """The address for the processes of the settings' access class; refuses one that reads more."""
    catalog = load_catalog(settings.config_dir)
    roles = Roles(settings.role_prefix)
    given = settings.public_database_url if settings.access == "public" else None
    with connect(owner_dsn) as connection:
        allowed = _prepare(connection, roles, catalog)
        if given is None and allowed:
            login = _login(settings, roles)
            make_login(connection, roles, settings.reads, login)
            given = address_of(owner_dsn, login)
    if given is None:
        return _owner_where_all_is_open(catalog, owner_dsn)
    _refuse_more(given, settings)
    return given


def _prepare(connection: Connection, roles: Roles, catalog: Catalog) -> bool:
    """Groups and their rights; False where roles may not be made by this address."""
    try:
        make_groups(connection, roles)
        may_create = connection.execute(
            "SELECT rolsuper OR rolcreaterole FROM pg_roles WHERE rolname = current_user"
        ).fetchone()
    except pg.InsufficientPrivilege:
        return False
    grant_reading(connection, roles, catalog)
    return bool(may_create and may_create[0])


def _login(settings: Settings, roles: Roles) -> Login:
    """The login that this data folder keeps for the class; made at the first start."""
    path = settings.data_dir / f"database-login-{settings.access}.json"
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    login = Login.new(roles, settings.reads)
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump({"role": login.role, "password": login.password}, file)
    try:
        path.hardlink_to(fresh)
    except FileExistsError:
        return _kept(path)
    finally:
        fresh.unlink()
    return login


def _kept(path: Path) -> Login:
    try:
        kept = json.loads(path.read_text("utf-8"))
        return Login(str(kept["role"]), str(kept["password"]))
    except (ValueError, KeyError) as error:
        raise Unavailable(
            f"{path} is damaged; remove it, the next start makes a new login.",
            f"{path} 已损坏；请删除该文件，下次启动时将新建数据库登录。",
        ) from error


def _owner_where_all_is_open(catalog: Catalog, owner_dsn: str) -> str:
    if all(layer.access == "open" for _, layer in catalog.layers()):
        return owner_dsn
    raise Unavailable(
        "Some layers are not open, and DATABASE_URL may not make database roles. Let an "
        "administrator make a login in the role gis_public and give it as PUBLIC_DATABASE_URL "
        "(see layers/roles.py), or give DATABASE_URL the right CREATEROLE.",
        "存在非公开图层，而 DATABASE_URL 无权创建数据库角色。"
        "请由管理员在 gis_public 角色下建立登录，"
        "并通过 PUBLIC_DATABASE_URL 提供；或授予 DATABASE_URL 的用户 CREATEROLE 权限。",
        code="no-database-roles",
    )


def _refuse_more(address: str, settings: Settings) -> None:
    """A public process on the owner's login would be no wall at all."""
    above = _ABOVE.get(settings.reads)
    with connect(address, access=settings.reads) as connection:
        found = connection.execute(
            "SELECT rolsuper OR has_schema_privilege(%s, 'USAGE') OR"
            " has_table_privilege('library.feature', 'INSERT')"
            " FROM pg_roles WHERE rolname = current_user",
            (above or "public",),
        ).fetchone()
    if above is not None and (found is None or found[0]):
        user = psycopg.conninfo.conninfo_to_dict(address).get("user")
        raise Unavailable(
            f"The database user {user} may read more than {settings.access} layers; give another "
            "PUBLIC_DATABASE_URL.",
            f"数据库用户 {user} 的权限超出 {settings.access} 图层；"
            "请提供其他 PUBLIC_DATABASE_URL。",
            code="too-many-rights",
        )
