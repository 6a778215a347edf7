"""A list of sources, a lock file, a folder for the files and a server: what tests of fetching stand on."""

import hashlib
import logging
from dataclasses import dataclass
from pathlib import Path

from xmcbench.data.fetch import sources
from xmcbench.data.fetch.fetch import fetch
from xmcbench.data.fetch.patience import Patience
from xmcbench.data.fetch.record import Fetched

from .archives import tar_of
from .misbehaving_server import MisbehavingServer

QUICK = Patience(
    connect_seconds=2, stall_seconds=0.15, attempts=2, first_wait_seconds=0.001, longest_wait_seconds=0.002
)
PECOS = {name: name.encode() * 9 for name in ("X.trn.txt", "X.tst.txt", "Y.trn.npz", "Y.tst.npz")}
TARBALL = tar_of({f"xmc-base/set/{name}": data for name, data in PECOS.items()}, "gz")
RAW = {name: name.encode() for name in ("train_raw_texts.txt", "test_raw_texts.txt")}
RAW |= {"train_labels.txt": b"1 2\n", "test_labels.txt": b"2\n"}
TEXTS = {name: name.encode() for name in ("trn_X.txt", "tst_X.txt", "trn_X_Y.txt", "tst_X_Y.txt")}


def sha256(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


@dataclass
class Place:
    """A list of sources, its lock file, a folder for the files, and a server."""

    root: Path
    server: MisbehavingServer

    @property
    def folder(self) -> Path:
        return self.root / "raw"

    @property
    def lock(self) -> Path:
        return self.root / "sources.lock.tsv"

    def list(self, *rows: tuple[str, str, str, str, str]) -> None:
        """Write rows of bundle, format, file, url, hash."""
        lines = [
            "\t".join(["set", bundle, format, file, "primary", url, "", hash, "", "2026-01-31", ""])
            for bundle, format, file, url, hash in rows
        ]
        (self.root / "sources.tsv").write_text("\n".join(["\t".join(sources.COLUMNS), *lines]) + "\n")

    def fetch(self) -> Fetched:
        log = logging.getLogger("xmcbench")
        return fetch("set", self.root / "sources.tsv", self.lock, self.folder, patience=QUICK, log=log)

    def files(self) -> dict[str, bytes]:
        found = {p.relative_to(self.folder).as_posix(): p for p in self.folder.rglob("*") if p.is_file()}
        return {name: path.read_bytes() for name, path in found.items() if name != "fetched.json"}

    def nothing_in_place(self) -> bool:
        return not [n for n in self.files() if not n.startswith("downloads/")]
