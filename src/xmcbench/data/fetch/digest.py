"""What pins the bytes of a file: a size and a hash in one of three spellings."""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

CHUNK = 1 << 20

#: Spelling → its pattern. `git` is the blob id under which a public git repository keeps a file; `tree` pins the files
#: inside an archive that its host packs anew at each download.
HASHES = {
    "sha256": re.compile(r"[0-9a-f]{64}"),
    "git": re.compile(r"[0-9a-f]{40}"),
    "tree": re.compile(r"[0-9a-f]{64}"),
}


@dataclass(frozen=True)
class Digest:
    """Size (bytes) and hashes of one file, computed from its bytes."""

    size: int
    sha256: str
    git: str

    def spelled(self, kind: str) -> str:
        """Return the hash in one spelling, `sha256` or `git`."""
        return f"{kind}:{self.git if kind == 'git' else self.sha256}"

    def matches(self, hash: str) -> bool:
        """Tell whether the bytes have a `sha256:` or `git:` hash."""
        kind = hash.partition(":")[0]
        return kind in ("sha256", "git") and hash == self.spelled(kind)


def digest(path: Path) -> Digest:
    """Read a file once and return its size, sha256 and git blob id (sha1 of `blob <size>\\0` and the bytes)."""
    size = path.stat().st_size
    sha256, git = hashlib.sha256(), hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
    with open(path, "rb") as handle:
        while chunk := handle.read(CHUNK):
            sha256.update(chunk)
            git.update(chunk)
    return Digest(size, sha256.hexdigest(), git.hexdigest())


def tree_hash(files: Iterable[tuple[str, Digest]]) -> str:
    """Return `tree:` and the sha256 of the sorted lines `name, size, sha256` of an archive's files.

    Dropbox zips a folder anew for every visitor: the zip's bytes differ each time, those of the files inside do not.
    """
    lines = sorted(f"{name}\t{found.size}\t{found.sha256}\n" for name, found in files)
    return "tree:" + hashlib.sha256("".join(lines).encode()).hexdigest()


def is_hash(text: str) -> bool:
    """Tell whether a text is a well-formed hash with its spelling in front."""
    kind, _, value = text.partition(":")
    return kind in HASHES and HASHES[kind].fullmatch(value) is not None
