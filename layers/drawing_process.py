"""A process beside the reading one, in the same sandbox, that draws the rows it is handed.

Reading and drawing hold Python's lock for most of their time: as two threads they used one core.
The process is forked where the reading one has a single thread and no stream open yet; it inherits
its limits and the lost network, and dies with it.
"""

import ctypes
import os
import signal
import threading
from collections.abc import Mapping, Sequence
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from queue import Queue
from types import TracebackType
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt

from layers.catalog import Layer
from layers.errors import GaveUp, GisError

_PR_SET_PDEATHSIG: Final = 1
_READ_AHEAD: Final = 16
"""Batches of some thousand rows."""


class DrawingProcess:
    """Takes rows in the order of their fids; use as a context manager around the reading."""

    def __init__(self, layer: Layer, pipe: Path) -> None:
        """Start it; ``pipe`` takes the pieces (``layers.row_loading``)."""
        self.grids: list[dict[str, Any]] = []
        """After the block: what ``layers.tile_changes.save_grids`` keeps."""
        self._connection, theirs = Pipe()
        parent = os.getpid()
        self._pid = os.fork()
        if self._pid == 0:
            try:
                self._connection.close()
                _work(parent, layer, pipe, theirs)
            finally:
                os._exit(1)  # nothing of the reading process is to be cleaned up here
        theirs.close()

    def add(
        self,
        fids: npt.NDArray[np.int64],
        attributes: Mapping[str, Sequence[Any]],
        ewkb: Sequence[bytes],
    ) -> None:
        """Hand over rows: fids, attributes that are drawn (or all) and geometries."""
        try:
            self._connection.send((fids, attributes, ewkb))
        except OSError:
            raise self._reason() from None

    def __enter__(self) -> Self:
        """Give the process."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Wait until all is drawn; after an error the stream of pieces stays without its end."""
        try:
            if kind is None:
                self._finish()
        finally:
            self._connection.close()
            os.kill(self._pid, signal.SIGKILL)  # not yet waited for, so it is still ours
            os.waitpid(self._pid, 0)

    def _finish(self) -> None:
        try:
            self._connection.send(None)
            answer = self._connection.recv()
        except (OSError, EOFError):
            raise self._reason() from None
        if isinstance(answer, BaseException):
            raise answer
        self.grids = answer

    def _reason(self) -> BaseException:
        """Why it does not answer any more."""
        try:
            told = self._connection.recv()
        except (OSError, EOFError):
            told = None
        if isinstance(told, BaseException):
            return told
        return GaveUp(
            "The process that draws the rows crashed; nothing was stored.",
            "绘制数据的进程崩溃，未存储任何内容。",
            code="crashed",
        )


def _work(parent: int, layer: Layer, pipe: Path, connection: Connection) -> None:
    """The life of the process."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        return
    try:
        connection.send(_draw(layer, pipe, connection))
    except (GisError, MemoryError) as error:
        connection.send(error)
    except EOFError:
        return  # the reading process gave up
    except Exception as error:
        connection.send(RuntimeError(f"{type(error).__name__}: {error}"))
    signal.pause()  # the other side ends it once it has read the answer


def _draw(layer: Layer, pipe: Path, connection: Connection) -> list[dict[str, Any]]:
    from layers.row_drawing import RowDrawer  # loads rasterio, which the reading does without

    received: Queue[Any] = Queue(_READ_AHEAD)
    threading.Thread(target=_receive, args=(connection, received), daemon=True).start()
    with RowDrawer(layer, pipe) as drawer:
        while (rows := received.get()) is not None:
            if isinstance(rows, EOFError):
                raise rows
            drawer.add(*rows)
    return drawer.grids


def _receive(connection: Connection, received: "Queue[Any]") -> None:
    """Take rows while others are drawn, so that the reading process need not wait."""
    try:
        while (rows := connection.recv()) is not None:
            received.put(rows)
        received.put(None)
    except (EOFError, OSError):
        received.put(EOFError())
