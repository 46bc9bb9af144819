"""Who calls: keys from ``Authorization: Bearer``, ``X-API-Key`` or ``tk``, their roles and limits.

``KeyGate`` stands before all routes and finds out; routes ask ``caller(request)``, which costs
nothing and never waits, or ``require(request, "editor")``. A process shows one access class to
whoever reaches it, so keys never open a layer: they add roles for writing, and limits.

============ =====================================================================================
reader       nothing more than anybody; for limits and for clients that must send a ``tk``
editor       edits drafts
officer      decides on submissions
admin        both, and whatever else asks for a role
============ =====================================================================================

A ``tk`` that is no key of ours is no error: a client that comes over from tianditu brings its own.
A wrong key in a header is one (401). A revoked key is forgotten within ``_REMEMBERED_S``.
"""

import re
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final, Literal
from urllib.parse import parse_qsl, urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from gis_service import access_keys
from gis_service.access_keys import AccessKey, Role
from gis_service.library import Library
from gis_service.problems import answer_gis_error
from layers.errors import GisError, NotAllowed, NotAuthenticated, TooManyRequests

_REMEMBERED_S: Final = 10.0
_REMEMBERED_KEYS: Final = 4096
_LONGEST_SECRET: Final = 256
_TK: Final = re.compile(r"[0-9a-f]{32}(?![0-9a-f])")
"""Our form; what follows was glued to it by ArcMap. Whatever has it not is asked of nobody."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody who asks: a key, or anybody (no key)."""

    key: AccessKey | None = None
    tk: Literal["none", "unknown", "other-page"] = "none"
    """Why a ``tk`` was shown in vain: it is none of ours, or not for the page that asks."""

    @property
    def name(self) -> str:
        """The name of the key, for histories and logs."""
        return self.key.name if self.key else "anonymous"

    @property
    def owner(self) -> str | None:
        """By what jobs know their caller: the number of the key (names may be given twice)."""
        return str(self.key.id) if self.key else None

    @property
    def role(self) -> Role | None:
        """The key's role; None for anybody."""
        return self.key.role if self.key else None

    def may(self, role: Role) -> bool:
        """Whether the caller has a role; an admin has all, a reader is everybody with a key."""
        return self.key is not None and (role == "reader" or self.key.role in (role, "admin"))


ANYBODY: Final = Caller()


def caller(request: Request) -> Caller:
    """Who sends the request."""
    found: Caller = getattr(request.state, "caller", ANYBODY)
    return found


def require(request: Request, role: Role) -> Caller:
    """The caller, who has the role; ``NotAuthenticated`` without a key, ``NotAllowed`` with."""
    found = caller(request)
    if found.key is None:
        raise NotAuthenticated(
            f"This needs a key with the role {role}: send it as 'Authorization: Bearer KEY' or "
            "'X-API-Key: KEY'.",
            f"此操作需要 {role} 角色的密钥：请以“Authorization: Bearer 密钥”或"
            "“X-API-Key: 密钥”发送。",
            code="key-needed",
        )
    if not found.may(role):
        raise NotAllowed(
            f"The key '{found.name}' has the role {found.role}; this needs {role}.",
            f"密钥“{found.name}”的角色是 {found.role}；此操作需要 {role}。",
            code="role-needed",
        )
    return found


class KeyRing:
    """Keys as the database has them, remembered for some seconds, with what they have used."""

    def __init__(self, library: Library) -> None:
        """Remember nothing yet."""
        self._library = library
        self._known: OrderedDict[str, tuple[float, AccessKey | None]] = OrderedDict()
        self._buckets: dict[int, tuple[float, float]] = {}
        self._lock = threading.Lock()

    def remembered(self, secret: str) -> tuple[AccessKey | None] | None:
        """What is known of a secret, in a tuple; None when the database must be asked."""
        with self._lock:
            held = self._known.get(secret)
        if held is None or time.monotonic() - held[0] > _REMEMBERED_S:
            return None
        return (held[1],)

    def ask(self, secret: str) -> AccessKey | None:
        """The key of a secret, from the database."""
        with self._library.pool.connection() as connection:
            found = access_keys.find(connection, secret)
        with self._lock:
            self._known[secret] = (time.monotonic(), found)
            self._known.move_to_end(secret)
            while len(self._known) > _REMEMBERED_KEYS:
                self._known.popitem(last=False)
        return found

    def count(self, key: AccessKey) -> float | None:
        """Count one request; seconds to wait if the key has used up its minute, else None.

        Each server process has its share of the limit; unused requests fill up again evenly.
        """
        if key.per_minute is None:
            return None
        most = max(1.0, key.per_minute / self._library.settings.workers)
        now = time.monotonic()
        with self._lock:
            left, counted = self._buckets.get(key.id, (most, now))
            left = min(most, left + (now - counted) * most / 60)
            if left < 1:
                self._buckets[key.id] = (left, now)
                return (1 - left) * 60 / most
            self._buckets[key.id] = (left - 1, now)
        return None


class KeyGate:
    """Finds out who calls before any route runs; refuses wrong keys and those past their limit."""

    def __init__(self, app: ASGIApp, ring: KeyRing) -> None:
        """Stand before an application."""
        self.app = app
        self.ring = ring

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] == "http":
            request = Request(scope)
            try:
                request.state.caller = await self._caller(request)
            except GisError as error:
                await answer_gis_error(request, error)(scope, receive, send)
                return
        await self.app(scope, receive, send)

    async def _caller(self, request: Request) -> Caller:
        secret, is_tk = shown_secret(request)
        if secret is None:
            return ANYBODY
        known = self.ring.remembered(secret)
        key = known[0] if known else await run_in_threadpool(self.ring.ask, secret)
        if is_tk and (key is None or not _may_use(request, key)):
            return Caller(tk="unknown" if key is None else "other-page")
        if key is None:
            raise NotAuthenticated(
                "The key is not valid (any more).", "密钥无效或已被撤销。", code="key-not-valid"
            )
        wait_s = self.ring.count(key)
        if wait_s is not None:
            raise TooManyRequests(
                f"The key may send {key.per_minute} requests a minute; wait {wait_s:.1f} s.",
                f"该密钥每分钟最多 {key.per_minute} 次请求；请等待 {wait_s:.1f} 秒。",
                retry_after_s=wait_s,
            )
        return Caller(key)


def shown_secret(request: Request) -> tuple[str | None, bool]:
    """The secret that a request shows, and whether as ``tk`` (whatever the case of the letters)."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    header = token.strip() if scheme.lower() == "bearer" else request.headers.get("x-api-key")
    if header:
        return header[:_LONGEST_SECRET], False
    query = request.scope["query_string"]
    if b"tk=" not in query.lower():
        return None, True
    for name, value in parse_qsl(query.decode("latin-1")):
        if name.lower() == "tk":
            found = _TK.match(value)
            return (found[0] if found else None), True
    return None, True


def page_host(request: Request) -> str | None:
    """The host of the page that asks, as its browser says."""
    page = request.headers.get("referer") or request.headers.get("origin") or ""
    return urlsplit(page).hostname


def _may_use(request: Request, key: AccessKey) -> bool:
    """Whether the page that asks is one of the key's; programs send no page and may."""
    host = page_host(request)
    return not key.hosts or host is None or host in key.hosts
