"""Downloads under a server that opens files by itself, after the application is done."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from starlette.types import Message

from gis_service.routes.downloads import Download


def _scope() -> dict[str, Any]:
    return {
        "type": "http",
        "method": "GET",
        "path": "/export/x.zip",
        "headers": [],
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "extensions": {"http.response.pathsend": {}},
    }


async def _receive() -> Message:
    return {"type": "http.request", "body": b"", "more_body": False}


def _download(tmp_path: Path) -> Download:
    path = tmp_path / "made" / "x.zip"
    path.parent.mkdir()
    path.write_bytes(b"content" * 50_000)
    return Download(path, media_type="application/zip", filename="x-1.zip")


def test_the_file_is_sent_whole_and_goes_with_its_folder(tmp_path: Path) -> None:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def served() -> bytes:
        await _download(tmp_path)(_scope(), _receive, send)
        # What a server does with a path: it opens it when the application has returned.
        return b"".join(
            Path(message["path"]).read_bytes()
            if message["type"] == "http.response.pathsend"
            else message.get("body", b"")
            for message in sent
        )

    assert asyncio.run(served()) == b"content" * 50_000
    assert not (tmp_path / "made").exists()


def test_nothing_stays_when_the_reader_goes_away(tmp_path: Path) -> None:
    async def send(message: Message) -> None:
        if message["type"] == "http.response.body":
            raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        asyncio.run(_download(tmp_path)(_scope(), _receive, send))
    assert not (tmp_path / "made").exists()
