"""One file of a bundle: from the disk if it is there, else from its sources in order; checked, and opened if packed."""

import logging
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from xmcbench.data.fetch.archive import Limits, is_archive, unpack
from xmcbench.data.fetch.digest import Digest, digest, tree_hash
from xmcbench.data.fetch.download import download
from xmcbench.data.fetch.drive import download_from_drive
from xmcbench.data.fetch.layout import is_litter
from xmcbench.data.fetch.lock import LockFile, Seen
from xmcbench.data.fetch.part_file import PartFile
from xmcbench.data.fetch.patience import Patience
from xmcbench.data.fetch.record import FetchedSource, Trust
from xmcbench.data.fetch.sources import Source
from xmcbench.errors import FetchError

Contents = dict[str, tuple[Path, Digest]]


@dataclass(frozen=True)
class Obtained:
    """A checked download: how it is recorded, its files (name → path and digest), and what is left to do with it."""

    record: FetchedSource
    contents: Contents
    #: The source whose hash is to be kept, if nothing pinned it.
    first_use: Source | None
    #: The download that may be removed in the end; None if a user placed it or it lies in place.
    download: Path | None


@dataclass(frozen=True)
class Expected:
    """The hash that bytes must have (None: not known), and where it stands."""

    hash: str | None
    trust: Trust
    seen: Seen | None = None


@dataclass(frozen=True)
class Obtainer:
    """Folders and rules by which the files of a data set are had.

    folder: where they end. Downloads lie in `downloads/` inside it, where a user may put one by hand; unpacked
    archives in `.unpacked/`.
    """

    folder: Path
    lock: LockFile
    patience: Patience
    limits: Limits
    log: logging.Logger

    @property
    def downloads(self) -> Path:
        """Where downloads lie until their files are in place."""
        return self.folder / "downloads"

    @property
    def unpacked(self) -> Path:
        """Where archives are opened."""
        return self.folder / ".unpacked"

    def expected(self, source: Source, mirrors: Sequence[Source]) -> Expected:
        """Return what pins a source's bytes: its own hash or, because mirrors have the same bytes, one of theirs."""
        known = self.lock.read()
        equal = [source, *(m for m in mirrors if m is not source and m.stable and source.stable)]
        for row in equal:
            if row.hash is not None:
                return Expected(row.hash, "declared")
        for row in equal:
            if row.url in known:
                return Expected(known[row.url].hash, "lock", known[row.url])
        return Expected(None, "first use")

    def obtain(self, file: str, sources: Sequence[Source]) -> Obtained:
        """Have a file, from wherever it is first found right. Raises FetchError with the reason of every source."""
        found = self._in_place(file, sources) or self._downloaded(file, sources)
        if found is not None:
            return found
        reasons = []
        for source in sources:
            try:
                return self._from_source(source, self.expected(source, sources))
            except FetchError as error:
                self.log.warning("%s: %s", source.url, error)
                reasons.append(f"{source.url}: {error}")
        raise FetchError(f"{file}: {'; '.join(reasons)}")

    def _in_place(self, file: str, sources: Sequence[Source]) -> Obtained | None:
        """Return a plain file that lies at its final name with a hash that is known."""
        path = self.folder / file
        if is_archive(file) or not path.is_file():
            return None
        found = digest(path)
        for source in sources:
            expected = self.expected(source, sources)
            if expected.hash is not None and found.matches(expected.hash):
                self.log.info("%s: already there", path)
                return _obtained(source, source.url, expected.trust, found, None, {file: (path, found)}, None)
        return None

    def _downloaded(self, file: str, sources: Sequence[Source]) -> Obtained | None:
        """Return a download that an interrupted fetch left, or that a user placed by hand.

        A user's own file that cannot be right is refused, not replaced.
        """
        path = self.downloads / file
        if not path.is_file():
            return None
        url = PartFile(path).stated().get("url")
        found = digest(path)
        hashes = set()
        for source in sources:
            if url not in (None, source.url, source.download_url):
                continue
            expected = self.expected(source, sources)
            hashes.add(expected.hash)
            if expected.hash is None or not source.stable or found.matches(expected.hash):
                self.log.info("%s: already downloaded", path)
                try:
                    return self._open(source, expected, found, by_hand=url is None)
                except FetchError as error:
                    if url is None:
                        raise
                    self.log.warning("%s: %s", path, error)
                    return None
        if url is None:
            allowed = ", ".join(sorted(filter(None, hashes)))
            raise FetchError(f"{path}: placed by hand, has {found.spelled('sha256')}; allowed: {allowed}")
        forget(path)
        return None

    def _from_source(self, source: Source, expected: Expected) -> Obtained:
        path = self.downloads / source.file
        found: list[Digest] = []

        def check(file: Path) -> None:
            found[:] = [digest(file)]
            self._check(source, expected, found[0])

        pinned = expected.hash is not None and source.stable
        self.log.info("%s: from %s", source.file, source.url)
        if source.host == "drive":
            download_from_drive(source.url, path, check=check, pinned=pinned, patience=self.patience)
        else:
            download(
                source.download_url,
                path,
                check=check,
                size=source.size if source.stable else None,
                pinned=pinned,
                patience=self.patience,
                log=self.log,
            )
        return self._open(source, expected, found[0], by_hand=False)

    def _check(self, source: Source, expected: Expected, found: Digest) -> None:
        """Compare a download with what is known of it; raises FetchError."""
        if not source.stable:
            return
        if source.size is not None and found.size != source.size:
            raise FetchError(f"has {found.size} bytes; declared: {source.size}")
        if expected.hash is not None and not found.matches(expected.hash):
            self._refuse(expected, found.spelled(expected.hash.partition(":")[0]))

    def _refuse(self, expected: Expected, found: str) -> None:
        if expected.seen is not None:
            raise FetchError(self.lock.mismatch(expected.seen, found))
        raise FetchError(f"wrong bytes: {found}; declared: {expected.hash}")

    def _open(self, source: Source, expected: Expected, found: Digest, *, by_hand: bool) -> Obtained:
        """Unpack a download if it is packed; one that cannot be used is removed, unless a user placed it."""
        path, folder = self.downloads / source.file, self.unpacked / source.file
        tree = None
        contents: Contents = {source.file: (path, found)}
        try:
            if is_archive(source.file):
                unpack(path, folder, self.limits)
                names = {f.relative_to(folder).as_posix(): f for f in folder.rglob("*") if f.is_file()}
                contents = {name: (f, digest(f)) for name, f in sorted(names.items()) if not is_litter(name)}
                tree = tree_hash((name, inside) for name, (_, inside) in contents.items())
                if not source.stable and expected.hash not in (None, tree):
                    self._refuse(expected, tree)
        except FetchError:
            shutil.rmtree(folder, ignore_errors=True)
            if not by_hand:
                forget(path)
            raise
        trust: Trust = "by hand" if by_hand and expected.hash is None else expected.trust
        url = None if by_hand else source.url
        return _obtained(source, url, trust, found, tree, contents, None if by_hand else path)


def _obtained(
    source: Source,
    url: str | None,
    trust: Trust,
    found: Digest,
    tree: str | None,
    contents: Contents,
    download: Path | None,
) -> Obtained:
    record = FetchedSource(
        file=source.file,
        url=url,
        size=found.size,
        sha256=found.sha256,
        git=found.git,
        tree=tree,
        trust=trust,
    )
    return Obtained(record, contents, source if trust == "first use" else None, download)


def forget(download: Path) -> None:
    """Remove a download and what was kept of its source."""
    download.unlink(missing_ok=True)
    PartFile(download).drop()
