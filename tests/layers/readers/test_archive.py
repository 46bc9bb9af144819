"""Archives are hostile until unpacked; what is written stays within the limits."""

import stat
import time
import zipfile
from pathlib import Path

import pytest

from layers.errors import BadInput, LimitExceeded, UnreadableFile
from layers.readers.archive import ArchiveLimits, unpack


def archive(path: Path, members: dict[str, bytes], **info: int) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in members.items():
            member = zipfile.ZipInfo(name)
            member.compress_type = zipfile.ZIP_DEFLATED
            for key, value in info.items():
                setattr(member, key, value)
            packed.writestr(member, content)
    return path


def written(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


@pytest.mark.parametrize(
    "name",
    [
        "../x.shp",
        "a/../../x.shp",
        "/tmp/x.shp",
        "..\\x.shp",
        "C:\\x.shp",
        "a/" + "b" * 300 + ".shp",
    ],
)
def test_names_that_leave_the_folder_are_refused(tmp_path: Path, name: str) -> None:
    path = archive(tmp_path / "a.zip", {"ok.shp": b"1", name: b"2"})

    with pytest.raises(UnreadableFile) as caught:
        unpack(path, tmp_path / "out")

    assert caught.value.code == "hostile-archive"
    assert not (tmp_path / "x.shp").exists()


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFIFO])
def test_links_and_devices_are_refused(tmp_path: Path, kind: int) -> None:
    path = archive(
        tmp_path / "a.zip", {"x.shp": b"/etc/passwd"}, external_attr=(kind | 0o777) << 16
    )

    with pytest.raises(UnreadableFile) as caught:
        unpack(path, tmp_path / "out")

    assert caught.value.code == "hostile-archive"


def test_a_bomb_is_stopped_while_unpacking(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.zip", {"x.geojson": b" " * 300_000_000})
    assert path.stat().st_size * 100 < 300_000_000
    begin = time.monotonic()

    with pytest.raises(LimitExceeded) as caught:
        unpack(path, tmp_path / "out")

    assert caught.value.code == "archive-bomb"
    assert written(tmp_path / "out") <= 1.1 * 100 * path.stat().st_size
    assert time.monotonic() - begin < 5


def test_a_size_that_lies_changes_nothing(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.zip", {"x.geojson": b"0123456789" * 1000})
    body = bytearray(path.read_bytes())
    size = (10_000).to_bytes(4, "little")
    for place in (body.find(size), body.rfind(size)):
        body[place : place + 4] = (10).to_bytes(4, "little")
    path.write_bytes(body)

    with pytest.raises(BadInput):
        unpack(path, tmp_path / "out")


def test_members_are_counted(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.zip", {f"{n}.shp": b"" for n in range(11)})

    with pytest.raises(LimitExceeded):
        unpack(path, tmp_path / "out", ArchiveLimits(members=10))
    assert len(unpack(path, tmp_path / "out2", ArchiveLimits(members=11))) == 11


def test_nested_archives_are_refused_with_advice(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.zip", {"inner.zip": b"PK"})

    with pytest.raises(UnreadableFile) as caught:
        unpack(path, tmp_path / "out")

    assert caught.value.code == "nested-archive"


def test_only_the_admitted_suffixes_are_unpacked(tmp_path: Path) -> None:
    path = archive(
        tmp_path / "a.zip", {"x.shp": b"1", "x.vrt": b"2", "run.sh": b"3", "licence.pdf": b"4"}
    )

    assert [p.name for p in unpack(path, tmp_path / "out")] == ["x.shp"]
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["x.shp"]


def test_names_in_gbk_are_read(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.zip", {"0123456789.shp": b"1"})
    name = "永久农田".encode("gbk") + b"12"
    path.write_bytes(path.read_bytes().replace(b"0123456789", name))

    assert [p.name for p in unpack(path, tmp_path / "out")] == ["永久农田12.shp"]


def test_the_same_name_twice_is_refused(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.zip", {"a.shp": b"1", "b.shp": b"2"})
    path.write_bytes(path.read_bytes().replace(b"b.shp", b"a.shp"))

    with pytest.raises(UnreadableFile):
        unpack(path, tmp_path / "out")


@pytest.mark.parametrize("keep", [10, 100, 400, -30])
def test_a_truncated_archive_is_refused(tmp_path: Path, keep: int) -> None:
    import os

    path = archive(tmp_path / "a.zip", {"x.shp": os.urandom(600)})
    path.write_bytes(path.read_bytes()[:keep])

    with pytest.raises(UnreadableFile) as caught:
        unpack(path, tmp_path / "out")

    assert caught.value.code == "damaged-file"


def test_an_encrypted_member_is_refused_with_advice(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.zip", {"x.shp": b"1"})
    body = bytearray(path.read_bytes())
    central = body.find(b"PK\x01\x02")
    body[6] |= 1
    body[central + 8] |= 1
    path.write_bytes(body)

    with pytest.raises(UnreadableFile) as caught:
        unpack(path, tmp_path / "out")

    assert caught.value.code == "encrypted-archive"
