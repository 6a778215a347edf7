"""Unpack public archives without trusting them: names, kinds of members, their number and their size are limited."""

import bz2
import gzip
import io
import lzma
import shutil
import stat
import struct
import tarfile
import zipfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO, cast

from xmcbench.errors import FetchError

CHUNK = 1 << 20

#: Suffixes of what is unpacked; a file with another suffix stays as it is.
SUFFIXES = (".tar", ".tgz", ".zip", ".gz", ".bz2", ".xz")

_GZIP, _BZIP2, _XZ = b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0"


@dataclass(frozen=True)
class Limits:
    """What an archive may hold. `ratio` is far beyond what text shrinks to."""

    members: int = 10_000
    #: Bytes of all members together.
    total_bytes: int = 512 << 30
    #: Unpacked bytes for each packed one, looked at beyond `free_bytes`.
    ratio: float = 200.0
    free_bytes: int = 64 << 20
    name_length: int = 255


@dataclass
class _Budget:
    """Counts what an archive gives, and stops it at the limits."""

    archive: Path
    limits: Limits
    packed: int
    members: int = 0
    unpacked: int = 0
    streamed: int = 0
    names: set[str] = field(default_factory=set)

    def member(self, name: str) -> PurePosixPath:
        """Admit a member's name; raises FetchError."""
        self.members += 1
        if self.members > self.limits.members:
            raise FetchError(f"{self.archive.name}: more than {self.limits.members} members")
        path = PurePosixPath(name)
        unsafe = path.is_absolute() or ".." in path.parts or any(c in name for c in "\\:\0")
        if unsafe or not path.parts or not _writable(path, self.limits.name_length):
            raise FetchError(
                f"{self.archive.name}: member {name!r}; allowed: names inside the archive's folder"
            )
        if str(path) in self.names:
            raise FetchError(f"{self.archive.name}: member {name!r} occurs a second time")
        self.names.add(str(path))
        return path

    def take(self, count: int) -> None:
        """Admit bytes of members; raises FetchError."""
        self.unpacked += count
        self._judge(self.unpacked)

    def stream(self, count: int) -> None:
        """Admit bytes of a decompressed tar, members or not; raises FetchError."""
        self.streamed += count
        self._judge(self.streamed)

    def _judge(self, count: int) -> None:
        if count > self.limits.total_bytes:
            raise FetchError(f"{self.archive.name}: more than {self.limits.total_bytes} bytes when unpacked")
        if count > self.limits.free_bytes and count > self.limits.ratio * self.packed:
            raise FetchError(
                f"{self.archive.name}: unpacks to over {self.limits.ratio:g} times its {self.packed} bytes"
            )


def is_archive(name: str) -> bool:
    """Tell by its name whether a file is unpacked."""
    return name.endswith(SUFFIXES)


def unpack(archive: Path, folder: Path, limits: Limits) -> None:
    """Unpack into `folder`, which appears whole or not at all (an older one is replaced).

    What kind of archive it is, its first bytes say: public names are not always right. Raises FetchError for a damaged
    archive, a name that leaves the folder, a link or device, and more than the limits.
    """
    beside = folder.with_name(f".{folder.name}.unpacking")
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(parents=True)
    budget = _Budget(archive, limits, archive.stat().st_size)
    try:
        with open(archive, "rb") as handle:
            head = handle.read(6)
        if head.startswith((b"PK\3\4", b"PK\5\6")):
            _unpack_zip(archive, beside, budget)
        elif _is_tar(archive, head):
            _unpack_tar(archive, head, beside, budget)
        else:
            if not head.startswith((_GZIP, _BZIP2, _XZ)):
                raise FetchError(f"{archive.name}: not an archive; allowed: tar, zip, gzip, bzip2, xz")
            with _decompressed(archive, head) as stream:
                _write(stream, beside / budget.member(Path(archive.name).stem), budget)
        if budget.members == 0:
            raise FetchError(f"{archive.name}: an empty archive")
        shutil.rmtree(folder, ignore_errors=True)
        beside.rename(folder)
    except (EOFError, ValueError, struct.error, zlib.error, lzma.LZMAError) as error:
        raise FetchError(f"{archive.name}: a damaged archive ({error})") from error
    except (tarfile.TarError, zipfile.BadZipFile, NotImplementedError) as error:
        raise FetchError(f"{archive.name}: not an archive that can be read ({error})") from error
    except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
        name = Path(str(error.filename)).name
        raise FetchError(f"{archive.name}: member {name!r} is both a file and a folder") from error
    except OSError as error:
        if error.errno is not None:
            raise  # the disk, not the archive: gzip and bz2 raise theirs without a number
        raise FetchError(f"{archive.name}: a damaged archive ({error})") from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _is_tar(archive: Path, head: bytes) -> bool:
    """Tell by the mark in its first header (all but tars of the eighties have it)."""
    with _decompressed(archive, head) as stream:
        return stream.read(512)[257:262] == b"ustar"


def _unpack_tar(archive: Path, head: bytes, folder: Path, budget: _Budget) -> None:
    with _decompressed(archive, head) as stream:
        counted = _Counted(stream, budget)
        with tarfile.open(fileobj=counted, mode="r|") as tar:
            for member in tar:
                if member.isdir():
                    continue
                path = budget.member(member.name)
                source = tar.extractfile(member) if member.isreg() else None
                if source is None:
                    raise FetchError(
                        f"{archive.name}: member {member.name!r} is a link or a device; allowed: files"
                    )
                if _write(source, folder / path, budget) != member.size:
                    raise FetchError(f"{archive.name}: a damaged archive (member {member.name!r} is cut off)")
        # The check sum stands behind everything: a reader that stops at the last member never sees it.
        while counted.read(CHUNK):
            pass


def _unpack_zip(archive: Path, folder: Path, budget: _Budget) -> None:
    with zipfile.ZipFile(archive) as file:
        for member in file.infolist():
            if member.is_dir():
                continue
            path = budget.member(member.filename)
            kind = stat.S_IFMT(member.external_attr >> 16)
            if kind not in (0, stat.S_IFREG):
                raise FetchError(
                    f"{archive.name}: member {member.filename!r} is a link or a device; allowed: files"
                )
            if member.flag_bits & 1:
                raise FetchError(f"{archive.name}: member {member.filename!r} is encrypted")
            with file.open(member) as source:
                _write(source, folder / path, budget)


def _write(source: IO[bytes], path: Path, budget: _Budget) -> int:
    """Copy a member; return its bytes."""
    written = 0
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "xb") as handle:
        while chunk := source.read(CHUNK):
            budget.take(len(chunk))
            written += handle.write(chunk)
    return written


def _decompressed(archive: Path, head: bytes) -> IO[bytes]:
    """Open an archive below its compression, which its first bytes name."""
    if head.startswith(_GZIP):
        return cast(IO[bytes], gzip.open(archive, "rb"))
    if head.startswith(_BZIP2):
        return bz2.open(archive, "rb")
    if head.startswith(_XZ):
        return lzma.open(archive, "rb")
    return open(archive, "rb")


class _Counted(io.RawIOBase):
    """A stream whose reader is stopped at the limits, whatever it makes of the bytes."""

    def __init__(self, stream: IO[bytes], budget: _Budget) -> None:
        self._stream = stream
        self._budget = budget

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(size)
        self._budget.stream(len(data))
        return data


def _writable(path: PurePosixPath, longest: int) -> bool:
    """Tell whether every part of a name can be a file's name on any system that we know."""
    try:
        return all(len(part.encode("utf-8")) <= longest for part in path.parts)
    except UnicodeEncodeError:
        return False
