"""Archives are unpacked whole, inside their folder and within limits, or not at all."""

import bz2
import gzip
import io
import lzma
import stat
import tarfile
import warnings
import zipfile
from pathlib import Path

import pytest

from xmcbench.data.fetch.archive import Limits, is_archive, unpack
from xmcbench.errors import FetchError

from .archives import tar_of, zip_of

FILES = {"set/a.txt": b"first\n" * 50, "set/deep/b.npz": bytes(range(256)), "c": b""}


def unpacked(folder: Path) -> dict[str, bytes]:
    return {f.relative_to(folder).as_posix(): f.read_bytes() for f in folder.rglob("*") if f.is_file()}


def write(tmp_path: Path, name: str, data: bytes) -> Path:
    (tmp_path / name).write_bytes(data)
    return tmp_path / name


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> bytes:
    """Return a tar of one member of any kind."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        info = tarfile.TarInfo(name)
        info.type, info.linkname = kind, link
        tar.addfile(info)
    return out.getvalue()


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.tar.gz", tar_of(FILES, "gz")),
        ("a.tgz", tar_of(FILES, "gz")),
        ("a.tar.xz", tar_of(FILES, "xz")),
        ("a.tar", tar_of(FILES, "")),
        ("a.zip", zip_of(FILES)),
        ("misnamed.zip", tar_of(FILES, "bz2")),
        ("misnamed.tar.gz", zip_of(FILES)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_every_kind_of_archive_gives_its_files_back(name: str, data: bytes, tmp_path: Path) -> None:
    archive = write(tmp_path, name, data)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "older").touch()
    assert is_archive(name)
    unpack(archive, tmp_path / "out", Limits())
    assert unpacked(tmp_path / "out") == FILES


@pytest.mark.parametrize(
    ("suffix", "packed"), [("gz", gzip.compress), ("bz2", bz2.compress), ("xz", lzma.compress)]
)
def test_a_packed_file_loses_its_suffix(suffix: str, packed: object, tmp_path: Path) -> None:
    archive = write(tmp_path, f"trn.json.{suffix}", packed(b"{}\n"))  # type: ignore[operator]
    unpack(archive, tmp_path / "out", Limits())
    assert unpacked(tmp_path / "out") == {"trn.json": b"{}\n"}


@pytest.mark.parametrize("name", ["../a", "/a", "a/../../b", "a\\b", "C:a", "x" * 300])
@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_names_that_leave_the_folder_are_refused(kind: str, name: str, tmp_path: Path) -> None:
    files = {"right.txt": b"1", name: b"2"}
    archive = write(tmp_path, f"a.{kind}", tar_of(files, "") if kind == "tar" else zip_of(files))
    with pytest.raises(FetchError, match="allowed: names inside the archive's folder"):
        unpack(archive, tmp_path / "in" / "out", Limits())
    assert [f.name for f in tmp_path.rglob("*")] in (["in", archive.name], [archive.name, "in"])


@pytest.mark.parametrize(
    ("kind", "link"),
    [
        (tarfile.SYMTYPE, "/etc/passwd"),
        (tarfile.SYMTYPE, "a.txt"),
        (tarfile.LNKTYPE, "../../secret"),
        (tarfile.CHRTYPE, ""),
        (tarfile.BLKTYPE, ""),
        (tarfile.FIFOTYPE, ""),
    ],
)
def test_links_and_devices_in_a_tar_are_refused(kind: bytes, link: str, tmp_path: Path) -> None:
    archive = write(tmp_path, "a.tar.gz", member("a.txt", kind, link))
    with pytest.raises(FetchError, match=r"'a.txt' is a link or a device"):
        unpack(archive, tmp_path / "out", Limits())
    assert not (tmp_path / "out").exists()


def test_a_link_in_a_zip_is_refused(tmp_path: Path) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        info = zipfile.ZipInfo("link")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        file.writestr(info, "/etc/passwd")
    with pytest.raises(FetchError, match="'link' is a link or a device"):
        unpack(write(tmp_path, "a.zip", out.getvalue()), tmp_path / "out", Limits())


ZEROS = {"zeros": bytes(3_000_000)}
TIGHT = Limits(ratio=100, free_bytes=100_000)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.tar.gz", tar_of(ZEROS, "gz")),
        ("a.zip", zip_of(ZEROS)),
        ("a.gz", gzip.compress(ZEROS["zeros"])),
        ("a.tar.xz", tar_of(ZEROS, "xz")),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_bomb_is_stopped_by_ratio_and_by_size(name: str, data: bytes, tmp_path: Path) -> None:
    archive = write(tmp_path, name, data)
    with pytest.raises(FetchError, match=f"over 100 times its {len(data)} bytes"):
        unpack(archive, tmp_path / "out", TIGHT)
    with pytest.raises(FetchError, match="more than 2000000 bytes"):
        unpack(archive, tmp_path / "out", Limits(total_bytes=2_000_000))
    assert [f.name for f in tmp_path.iterdir()] == [name]
    unpack(archive, tmp_path / "out", Limits())


def test_a_bomb_hidden_from_the_member_list_is_stopped(tmp_path: Path) -> None:
    # After the end mark of a tar its reader looks at nothing more, yet the stream may go on for ever.
    archive = write(tmp_path, "a.tar.gz", gzip.compress(tar_of({"a": b"1"}, "") + bytes(3_000_000)))
    with pytest.raises(FetchError, match="over 100 times"):
        unpack(archive, tmp_path / "out", TIGHT)


def test_members_are_counted(tmp_path: Path) -> None:
    archive = write(tmp_path, "a.zip", zip_of({str(i): b"" for i in range(6)}))
    with pytest.raises(FetchError, match="more than 5 members"):
        unpack(archive, tmp_path / "out", Limits(members=5))


def test_a_name_twice_is_refused(tmp_path: Path) -> None:
    out = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(out, "w") as file:
        warnings.simplefilter("ignore")
        file.writestr("a", "1")
        file.writestr("a", "2")
    with pytest.raises(FetchError, match="'a' occurs a second time"):
        unpack(write(tmp_path, "a.zip", out.getvalue()), tmp_path / "out", Limits())
    with pytest.raises(FetchError, match="both a file and a folder"):
        unpack(write(tmp_path, "b.zip", zip_of({"a": b"", "a/b": b""})), tmp_path / "out", Limits())


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.tar.gz", tar_of(FILES, "gz")),
        ("a.zip", zip_of(FILES)),
        ("a.gz", gzip.compress(FILES["set/a.txt"])),
        ("a.bz2", bz2.compress(FILES["set/a.txt"])),
        ("a.xz", lzma.compress(FILES["set/a.txt"])),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_damage_anywhere_leaves_nothing(name: str, data: bytes, tmp_path: Path) -> None:
    # Cut at any place, the check sum at the very end included.
    for keep in {0, 1, 5, len(data) // 3, len(data) // 2, len(data) - 9, len(data) - 4, len(data) - 1}:
        with pytest.raises(FetchError, match=name):
            unpack(write(tmp_path, name, data[:keep]), tmp_path / "out", Limits())
    middle = len(data) // 3
    flipped = data[:middle] + bytes([data[middle] ^ 0xFF]) + data[middle + 1 :]
    with pytest.raises(FetchError, match=name):
        unpack(write(tmp_path, name, flipped), tmp_path / "out", Limits())
    assert [f.name for f in tmp_path.iterdir()] == [name]
