"""The only place of the project that opens connections to other machines.

Reached is what an administrator has registered and nothing else: one scheme, host, port and path
prefix for each source. Names are resolved once, every address is checked, and the connection
goes to a checked address, so a name that changes its mind between check and use changes nothing.
Redirects are not followed, proxies and other variables of the environment are not looked at.
Sizes and times are bounded, also against a server that drips single bytes.
"""

import logging
import posixpath
import ssl
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import unquote, urljoin, urlsplit

import httpcore
import psycopg
from psycopg import conninfo

from gis_service.harvesting.addresses import Reach
from gis_service.harvesting.answers import (
    TryAgain,
    no_answer,
    refuse_status,
    shown,
    too_large,
    unpacked,
)
from layers.errors import BadInput, Unavailable

_log = logging.getLogger(__name__)

_CONNECT_S: Final = 10.0
_READ_S: Final = 30.0
_TRIES: Final = 3
_LONGEST_WAIT_S: Final = 30.0
_READ_ONLY: Final = {
    "connect_timeout": int(_CONNECT_S),
    "options": "-c default_transaction_read_only=on -c lock_timeout=30s -c jit=off",
    "application_name": "gis-service harvest",
}


class _Stream(httpcore.NetworkStream):
    """A stream whose every read ends with the deadline of its request."""

    def __init__(self, inner: httpcore.NetworkStream, left_s: Callable[[], float]) -> None:
        self._inner, self._left_s = inner, left_s

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, self._bounded(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, self._bounded(timeout))

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        inner = self._inner.start_tls(ssl_context, server_hostname, self._bounded(timeout))
        return _Stream(inner, self._left_s)

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)

    def _bounded(self, timeout: float | None) -> float:
        left = self._left_s()
        if left <= 0:
            raise httpcore.ReadTimeout("deadline of the request")
        return min(left, timeout if timeout is not None else left)


class _Pinned(httpcore.NetworkBackend):
    """Connects to the checked addresses of one host and port, whatever it is asked for."""

    def __init__(self, reach: Reach, addresses: Sequence[str]) -> None:
        self._reach, self._addresses = reach, addresses
        self._inner = httpcore.SyncBackend()
        self.deadline = 0.0

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        if (host, port) != (self._reach.host, self._reach.port):
            raise httpcore.ConnectError("not the registered host")
        fault: Exception = httpcore.ConnectError("no address")
        for address in self._addresses:
            try:
                stream = self._inner.connect_tcp(
                    address, port, timeout, local_address, socket_options
                )
                return _Stream(stream, self.left_s)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                fault = error
        raise fault

    def left_s(self) -> float:
        return self.deadline - time.monotonic()


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer: status 200 or 304, lower-case header names, the unpacked body."""

    url: str
    status: int
    headers: Mapping[str, str]
    body: bytes


class WebSource:
    """Gets documents below one registered address.

    ``secret_headers`` go to the registered host only and into no message. ``body_bytes`` bounds
    one unpacked answer, ``deadline_s`` one request. ``sleep`` waits between tries.
    """

    def __init__(
        self,
        location: str,
        *,
        networks: tuple[str, ...] = (),
        secret_headers: Mapping[str, str] | None = None,
        ca_file: str | None = None,
        body_bytes: int = 256 << 20,
        deadline_s: float = 120.0,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Resolve and check the host; connect at the first request."""
        self._prefix = urlsplit(location)
        default = 443 if self._prefix.scheme == "https" else 80
        host = self._prefix.hostname or ""
        reach = Reach(host, self._prefix.port or default, networks)
        self._port = reach.port
        self._backend = _Pinned(reach, reach.addresses())
        context = ssl.create_default_context(cafile=ca_file)
        self._pool = httpcore.ConnectionPool(
            ssl_context=context, network_backend=self._backend, max_connections=1, retries=0
        )
        self._secret_headers = dict(secret_headers or {})
        self._body_bytes, self._deadline_s, self._sleep = body_bytes, deadline_s, sleep

    def __enter__(self) -> Self:
        """Give the source."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the connection."""
        self._pool.close()

    def admitted(self, base: str, href: str) -> str:
        """The address that a link of a document leads to, if it lies below the registered one."""
        url = urljoin(base, href)
        parts = urlsplit(url)
        own = self._prefix
        path = posixpath.normpath(unquote(parts.path))
        prefix = posixpath.normpath(unquote(own.path))
        try:
            port = parts.port or (443 if parts.scheme == "https" else 80)
        except ValueError:
            port = -1
        inside = path == prefix or path.startswith(prefix.rstrip("/") + "/")
        same = (parts.scheme, parts.hostname, port) == (own.scheme, own.hostname, self._port)
        if not (same and inside) or parts.username or parts.password or "\\" in url:
            raise BadInput(
                f"A link of the source leads away from its registered address: {shown(url)}",
                f"数据源中的链接离开了登记的地址：{shown(url)}",
                code="link-leads-away",
            )
        return url

    def get(self, url: str, *, accept: str, conditions: Mapping[str, str] | None = None) -> Answer:
        """Get one document; faults that pass by are tried again, at most three times."""
        url = self.admitted(url, url)
        headers = {"Accept": accept, "Accept-Encoding": "gzip", "User-Agent": "gis-service",
                   **(conditions or {}), **self._secret_headers}  # fmt: skip
        return self._tried(url, headers, None)

    def post(self, url: str, body: bytes, *, media_type: str) -> Answer:
        """Send one document; tried again as ``get`` is, so the other side may see it twice."""
        url = self.admitted(url, url)
        headers = {"Content-Type": media_type, "Content-Length": str(len(body)),
                   "User-Agent": "gis-service", **self._secret_headers}  # fmt: skip
        return self._tried(url, headers, body)

    def _tried(self, url: str, headers: Mapping[str, str], body: bytes | None) -> Answer:
        for attempt in range(1, _TRIES + 1):
            try:
                return self._once(url, headers, body)
            except TryAgain as fault:
                if attempt == _TRIES:
                    raise fault.final from fault
                _log.info("%s: %s", shown(url), fault.final)
                self._sleep(min(_LONGEST_WAIT_S, fault.wait_s or 2.0 ** (attempt - 1)))
        raise AssertionError("unreachable")

    def _once(self, url: str, headers: Mapping[str, str], content: bytes | None) -> Answer:
        self._backend.deadline = time.monotonic() + self._deadline_s
        timeouts = {"connect": _CONNECT_S, "read": _READ_S, "write": _READ_S, "pool": 5.0}
        try:
            with self._pool.stream(
                "GET" if content is None else "POST",
                url,
                headers=list(headers.items()),
                content=content,
                extensions={"timeout": timeouts},
            ) as response:
                names = {k.decode("latin-1").lower(): v.decode("latin-1")
                         for k, v in response.headers}  # fmt: skip
                # What a POST made (201, 202, 204) is as good as 200 to who only tells.
                told = content is not None and 200 <= response.status < 300
                refuse_status(url, 200 if told else response.status, names)
                chunks = response.iter_stream()
                body = b"" if response.status == 304 else self._body(chunks, names)
                return Answer(url, response.status, names, body)
        except (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError) as error:
            raise TryAgain(no_answer(url, error)) from error

    def _body(self, chunks: Iterable[bytes], headers: Mapping[str, str]) -> bytes:
        encoding = headers.get("content-encoding", "identity").strip().lower()
        if encoding not in ("identity", "", "gzip", "x-gzip"):
            raise BadInput(
                f"The answer is packed as '{encoding[:40]}', which was not asked for.",
                f"应答采用了未请求的压缩方式“{encoding[:40]}”。",
                code="unknown-encoding",
            )
        parts = unpacked(chunks) if "gzip" in encoding else iter(chunks)
        body = bytearray()
        for part in parts:
            if self._backend.left_s() <= 0:
                raise httpcore.ReadTimeout("deadline of the request")
            body += part
            if len(body) > self._body_bytes:
                raise too_large(self._body_bytes)
        return bytes(body)


@contextmanager
def open_postgres(dsn: str, networks: tuple[str, ...]) -> Iterator[psycopg.Connection[Any]]:
    """A read-only connection in one repeatable-read snapshot, to a checked address.

    ``dsn`` is a secret: no message holds a part of it but the host.
    """
    address = _checked_dsn(dsn, networks)
    try:
        connection = psycopg.connect(**{**address, **_READ_ONLY})
    except psycopg.Error as error:
        raise _database_away(address.get("host", ""), error) from None
    try:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.read_only = True
        yield connection
    except psycopg.OperationalError as error:
        raise _database_away(address.get("host", ""), error) from None
    finally:
        connection.close()


def _checked_dsn(dsn: str, networks: tuple[str, ...]) -> dict[str, Any]:
    try:
        address: dict[str, Any] = dict(conninfo.conninfo_to_dict(dsn))
    except psycopg.Error:
        raise BadInput(
            "The address of the source's database cannot be read; see its environment variable.",
            "无法解析数据源的数据库地址；请检查对应的环境变量。",
            code="bad-dsn",
        ) from None
    host = str(address.get("host") or "")
    port = str(address.get("port") or "5432")
    if (
        "," in host
        or "hostaddr" in address
        or "service" in address
        or not host
        or not port.isdigit()
    ):
        raise BadInput(
            "The address of the source's database must name one host and nothing that replaces it.",
            "数据源的数据库地址必须只写明一个主机。",
            code="bad-dsn",
        )
    if host.startswith("/"):  # a socket of this machine, which no name leads to
        return address
    return {**address, "hostaddr": Reach(host, int(port), networks).addresses()[0]}


def _database_away(host: str, error: psycopg.Error) -> Unavailable:
    state = error.sqlstate or "no answer"
    return Unavailable(
        f"The source's database on {host} does not answer ({state}).",
        f"数据源位于 {host} 的数据库没有应答（{state}）。",
        code="source-unavailable",
    )
