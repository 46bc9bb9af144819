"""Keys of callers: made, listed and revoked here; the secret is shown once and never kept.

A secret is 32 hexadecimal digits: what clients of tianditu take for a ``tk``.
"""

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal, get_args

from layers.database import Connection, row, rows, statements
from layers.errors import BadParameter, NotFound

Role = Literal["reader", "editor", "officer", "admin"]
ROLES: Final[tuple[Role, ...]] = get_args(Role)

_SQL: Final = statements("gis_service", "access_keys.sql")


@dataclass(frozen=True, slots=True)
class AccessKey:
    """A key without its secret. ``per_minute``: most requests; ``hosts``: pages that may use it."""

    id: int
    name: str
    role: Role
    per_minute: int | None = None
    hosts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ListedKey:
    """A key as administrators see it."""

    key: AccessKey
    created: datetime
    revoked: datetime | None


def create(
    connection: Connection,
    name: str,
    role: Role,
    *,
    per_minute: int | None = None,
    hosts: Sequence[str] = (),
) -> tuple[AccessKey, str]:
    """A new key and its secret."""
    if not name.strip():
        raise BadParameter("A key needs a name.", "密钥需要名称。")
    secret = secrets.token_hex(16)
    made = row(
        connection, _SQL["create"], name=name.strip(), role=role, digest=digest_of(secret),
        per_minute=per_minute, hosts=list(hosts),
    )  # fmt: skip
    number = int(made["id"]) if made else 0
    return AccessKey(number, name.strip(), role, per_minute, tuple(hosts)), secret


def listed(connection: Connection) -> list[ListedKey]:
    """All keys that were ever made, in order."""
    return [
        ListedKey(_key(found), found["created"], found["revoked"])
        for found in rows(connection, _SQL["list"])
    ]


def revoke(connection: Connection, key_id: int) -> str:
    """End a key for good; gives its name. Running services forget it within seconds."""
    found = row(connection, _SQL["revoke"], id=key_id)
    if found is None:
        raise NotFound(f"There is no key {key_id}.", f"没有密钥 {key_id}。", code="no-key")
    return str(found["name"])


def find(connection: Connection, secret: str) -> AccessKey | None:
    """The key with this secret, if it is not revoked."""
    found = row(connection, _SQL["find"], digest=digest_of(secret))
    return _key(found) if found else None


def _key(found: dict[str, Any]) -> AccessKey:
    return AccessKey(
        found["id"], found["name"], found["role"], found["per_minute"], tuple(found["hosts"])
    )


def digest_of(secret: str) -> bytes:
    """What the database knows of a secret."""
    return hashlib.sha256(secret.encode()).digest()
