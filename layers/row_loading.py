"""Rows go from the child that reads a file into the database while it is still reading.

The child writes a COPY stream into a named pipe; a thread here passes it on, so that reading,
checking and loading overlap. The transaction of the load ends only when the child's own result is
there and its number of rows is the one that arrived: a child that dies leaves nothing but a
content in the state 'loading', which nobody sees and the next import sweeps.
"""

import fcntl
import os
import select
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import Final, Protocol

from layers import contents
from layers.database import Connection
from layers.errors import GaveUp

_BLOCK_BYTES: Final = 1 << 20
_PIPE_BYTES: Final = 1 << 20
_TRAILER: Final = b"\xff\xff"
_LOOK_S: Final = 0.05


class _Broken(Exception):
    """The stream ended without its trailer: its writer died."""


class Load(Protocol):
    """Stores a COPY stream of a content and gives its rows."""

    def __call__(self, connection: Connection, content_id: int, blocks: Iterable[bytes], /) -> int:
        """In one transaction."""


class RowLoader:
    """Loads one stream into one content; use as a context manager around the child's run."""

    def __init__(
        self,
        connection: Connection,
        content_id: int,
        pipe: Path,
        load: Load | None = None,
    ) -> None:
        """Make the pipe and wait for rows; the connection is the loader's until the end."""
        os.mkfifo(pipe, 0o600)
        self._connection, self._content_id = connection, content_id
        self._store = load or partial(contents.load_stream, known_valid=True)
        # Without waiting for a writer, which may never come.
        self._fd = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
        _widen(self._fd)
        self._expected: Future[int | None] = Future()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="row-loader", daemon=True)
        self._thread.start()

    def __enter__(self) -> "RowLoader":
        """Give the loader."""
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        """Undo the load if it was not finished; the connection is free again afterwards."""
        if not self._expected.done():
            self._expected.set_exception(error or GaveUp("No rows came.", "没有收到数据。"))
        self._thread.join()
        os.close(self._fd)

    def look(self) -> None:
        """Raise what made the loader give up, so that the child does not write in vain."""
        if self._failure is not None:
            raise self._failure

    def finish(self, expected: int | None) -> None:
        """The child is done and says how many rows it wrote; returns when they are stored.

        None: nobody counted, the stream only has to be whole.
        """
        self._expected.set_result(expected)
        self._thread.join()
        self.look()

    def _run(self) -> None:
        try:
            while not self._load():
                pass
        except BaseException as error:
            self._failure = error

    def _load(self) -> bool:
        """One transaction; False if the writer died and may be started once more."""
        try:
            with self._connection.transaction():
                loaded = self._store(self._connection, self._content_id, self._blocks())
                if self._expected.result() not in (loaded, None):
                    raise GaveUp(
                        "Rows were lost on their way into the database; nothing was stored.",
                        "数据在入库途中丢失，未存储任何内容。",
                        code="rows-lost",
                    )
        except _Broken:
            if self._expected.done():
                self._expected.result()
                raise GaveUp(
                    "The stream of rows broke off; nothing was stored.",
                    "数据流中断，未存储任何内容。",
                    code="crashed",
                ) from None
            return False
        return True

    def _blocks(self) -> Iterator[bytes]:
        end = b""
        poll = select.poll()
        poll.register(self._fd, select.POLLIN)
        while True:
            # Looked at before the read: what was written before the child ended is still read.
            over = self._expected.done()
            try:
                block = os.read(self._fd, _BLOCK_BYTES)
            except BlockingIOError:
                poll.poll(_LOOK_S * 1000)
                continue
            if block:
                end = (end + block)[-2:]
                yield block
            elif end == _TRAILER and over:
                return
            elif over or (end and end != _TRAILER):
                raise _Broken
            else:
                threading.Event().wait(_LOOK_S)


def _widen(fd: int) -> None:
    """A pipe holds 64 KiB unless told otherwise; with more the writer waits less."""
    try:
        fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
    except (OSError, AttributeError):
        return
