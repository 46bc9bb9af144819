"""Idempotency keys: one check a key, however often and however many at once ask for it.

After draft-ietf-httpapi-idempotency-key-header: the same key with the same content gives the first
answer again, with other content 422, while the first is still at work 409. Keys are a sender's
own; only digests of them are kept.
"""

import hashlib
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from gis_service.library import Library
from layers.database import Connection, row, statements
from layers.errors import BadInput, BadParameter, Conflict

_SQL: Final = statements("gis_service.submissions", "submissions.sql")
_FORM: Final = re.compile(r"[\x21-\x7e]{1,255}")
_HOLD_FACTOR: Final = 3
"""Reading and judging each have the deadline of a check; a claim outlives both."""


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """A key as digests: of the sender with his key, and of what he sent with it."""

    key_sha256: str
    request_sha256: str


@dataclass(slots=True)
class Claim:
    """The right to do the work of a key; ``answer`` is there when it was done before."""

    key: IdempotencyKey
    token: str
    answer: bytes | None = None

    def end(self, connection: Connection) -> bool:
        """Give the claim up; False where somebody took it over meanwhile."""
        values = {"key_sha256": self.key.key_sha256, "token": self.token}
        return row(connection, _SQL["end_claim"], **values) is not None


def key_of(text: str, sender: str, request_sha256: str) -> IdempotencyKey:
    """A key from its header, with the quotation marks of a structured field or without them."""
    bare = text[1:-1] if len(text) > 1 and text[0] == text[-1] == '"' else text
    if not _FORM.fullmatch(bare):
        raise BadParameter(
            "Idempotency-Key must be 1 to 255 visible ASCII characters, for example a UUID.",
            "Idempotency-Key 应为 1～255 个可见 ASCII 字符，例如 UUID。",
            code="bad-idempotency-key",
        )
    digest = hashlib.sha256(f"{sender}\n{bare}".encode()).hexdigest()
    return IdempotencyKey(digest, request_sha256)


@contextmanager
def claimed(library: Library, key: IdempotencyKey | None) -> Iterator[Claim | None]:
    """Hold the claim of a key for the length of the block; an error in it frees the key."""
    if key is None:
        yield None
        return
    with library.pool.connection() as connection:
        claim = _claim(connection, key, library.config.limits.check_deadline_s * _HOLD_FACTOR)
    try:
        yield claim
    except BaseException:
        if claim.answer is None:
            with library.pool.connection() as connection:
                claim.end(connection)
        raise


def _claim(connection: Connection, key: IdempotencyKey, hold_s: float) -> Claim:
    token = secrets.token_hex(16)
    values: dict[str, Any] = {
        "key_sha256": key.key_sha256, "request_sha256": key.request_sha256,
        "token": token, "hold_s": hold_s,
    }  # fmt: skip
    if row(connection, _SQL["claim"], **values) is None:
        _refuse_other(row(connection, _SQL["claimed_for"], key_sha256=key.key_sha256), key)
        raise Conflict(
            "A request with this Idempotency-Key is still at work; ask again in some seconds.",
            "使用该 Idempotency-Key 的请求仍在处理；请几秒后再试。",
            code="request-at-work",
        )
    claim = Claim(key, token)
    # Who finished before this claim put the answer there in the transaction that freed the key.
    found = row(connection, _SQL["answered"], key_sha256=key.key_sha256)
    if found is not None:
        claim.end(connection)
        _refuse_other(found, key)
        claim.answer = bytes(found["answer"])
    return claim


def _refuse_other(found: dict[str, Any] | None, key: IdempotencyKey) -> None:
    if found is not None and found["request_sha256"] != key.request_sha256:
        raise BadInput(
            "This Idempotency-Key was used with other content; take a new key for a new request.",
            "该 Idempotency-Key 已用于其他内容；新的请求请使用新的 Key。",
            code="idempotency-key-reused",
        )
