"""What the answer of a source means: which faults pass by, and its body unpacked in bounds."""

import re
import zlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Final
from urllib.parse import urlsplit

import httpcore

from layers.errors import BadInput, GisError, LimitExceeded, NotFound, Unavailable

_BLOCK_BYTES: Final = 1 << 20


class TryAgain(Exception):
    """A fault that may pass by; ``final`` is what is said when it does not."""

    def __init__(self, final: GisError, wait_s: float | None = None) -> None:
        """Keep the error to raise at last, and how long the source asks to wait."""
        super().__init__(str(final))
        self.final, self.wait_s = final, wait_s


def unpacked(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Gzip, unpacked in pieces of at most 1 MiB, so that the caller can stop at its bound.

    One that breaks off is an error, not a shorter text.
    """
    unpacker = zlib.decompressobj(wbits=31)
    try:
        for chunk in chunks:
            while chunk and not unpacker.eof:
                yield unpacker.decompress(chunk, _BLOCK_BYTES)
                chunk = unpacker.unconsumed_tail
    except zlib.error as error:
        raise httpcore.RemoteProtocolError("damaged gzip") from error
    if not unpacker.eof:
        raise httpcore.RemoteProtocolError("gzip breaks off")


def too_large(largest: int) -> LimitExceeded:
    """The error for a source that sends more than it may."""
    return LimitExceeded(
        f"The source sends more than {largest:,} bytes; nothing was changed.",
        f"数据源发送的数据超过 {largest:,} 字节，未作任何更改。",
        code="source-too-large",
    )


def no_answer(url: str, error: Exception) -> Unavailable:
    """The error for a connection that failed, timed out or broke off."""
    kind = re.sub(r"(?<!^)([A-Z])", r" \1", type(error).__name__).lower()
    return Unavailable(
        f"The source does not answer properly ({kind}): {shown(url)}",
        f"数据源未能正常应答（{kind}）：{shown(url)}",
        code="source-unavailable",
    )


def refuse_status(url: str, status: int, headers: Mapping[str, str]) -> None:
    """Raise what a status other than 200 and 304 means; redirects are never followed."""
    if status in (200, 304):
        return
    place = shown(url)
    if status == 429 or status >= 500:
        wait = headers.get("retry-after", "")
        fault = Unavailable(
            f"The source answers {status}: {place}",
            f"数据源返回 {status}：{place}",
            code="source-unavailable",
        )
        raise TryAgain(fault, float(wait) if wait.isdigit() else None)
    if 300 <= status < 400:
        raise BadInput(
            f"The source redirects ({status}), which is not followed: {place} Register the new "
            "address if it is right.",
            f"数据源要求重定向（{status}），不予跟随：{place} 如新地址正确，请重新登记。",
            code="redirect-refused",
        )
    if status in (401, 403):
        raise BadInput(
            f"The source refuses our credentials ({status}): {place}",
            f"数据源拒绝了访问凭据（{status}）：{place}",
            code="credentials-refused",
        )
    if status in (404, 410):
        raise NotFound(f"The source has nothing at {place}", f"数据源没有该内容：{place}")
    raise BadInput(
        f"The source answers {status}: {place}",
        f"数据源返回 {status}：{place}",
        code="source-status",
    )


def shown(url: str) -> str:
    """An address for people and logs: without user, password and query."""
    parts = urlsplit(url)
    host = (parts.netloc.rpartition("@")[2])[:200]
    return f"{parts.scheme}://{host}{parts.path}"[:300]
