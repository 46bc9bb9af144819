"""A file that was made for one answer and goes with it."""

from pathlib import Path
from shutil import rmtree

from starlette.responses import FileResponse
from starlette.types import Receive, Scope, Send

_PATHSEND = "http.response.pathsend"


class Download(FileResponse):
    """Sends a file as attachment, then removes the folder that holds nothing else."""

    def __init__(self, path: Path, *, media_type: str, filename: str) -> None:
        """``path.parent`` is removed after the answer, also where the reader went away."""
        super().__init__(
            path,
            media_type=media_type,
            filename=filename,
            content_disposition_type="attachment",
            headers={"Cache-Control": "no-cache"},
        )
        self._folder = path.parent

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the bytes here: a server that is given the path opens it after the removal."""
        offered = scope.get("extensions") or {}
        kept = {name: value for name, value in offered.items() if name != _PATHSEND}
        try:
            await super().__call__({**scope, "extensions": kept}, receive, send)
        finally:
            rmtree(self._folder, ignore_errors=True)
