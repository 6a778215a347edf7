"""A data set's public files: fetched, checked, unpacked, put in place, and recorded last."""

import logging
import os
import shutil
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

from xmcbench.atomic import sync_folder
from xmcbench.data.fetch.archive import Limits
from xmcbench.data.fetch.digest import Digest, digest
from xmcbench.data.fetch.layout import root_of
from xmcbench.data.fetch.lock import LockFile, Seen, folder_lock
from xmcbench.data.fetch.obtain import Obtained, Obtainer, forget
from xmcbench.data.fetch.patience import Patience
from xmcbench.data.fetch.record import RECORD, Fetched, FetchedFile, read_record, write_record
from xmcbench.data.fetch.sources import Bundle, bundles_of
from xmcbench.errors import DataError, FetchError


def fetch(
    dataset: str,
    sources_file: Path,
    lock_file: Path,
    folder: Path,
    *,
    patience: Patience | None = None,
    limits: Limits | None = None,
    log: logging.Logger | None = None,
) -> Fetched:
    """Have every file of a data set in a folder, from the first bundle that can be had whole; return its record.

    Files that are there and right are not fetched again. Nothing gets its final name before its hash, its archive and
    the layout of its format were checked; `fetched.json` is written last. A second process waits for the first.
    Raises ConfigError for a faulty list or lock file, and FetchError with every source's reason.
    """
    log = log or logging.getLogger("xmcbench")
    bundles = bundles_of(sources_file, dataset)
    lock = LockFile(lock_file)
    lock.read()  # a fault in it must not show after hours of downloading
    with folder_lock(folder):
        obtainer = Obtainer(folder, lock, patience or Patience(), limits or Limits(), log)
        record = _intact(obtainer, dataset, bundles)
        if record is not None:
            log.info("%s: all files are there", folder)
            return record
        reasons = []
        for bundle in bundles:
            try:
                return _fetch_bundle(obtainer, bundle)
            except FetchError as error:
                # Unpacked archives are the largest of all: they must not lie about until somebody starts again.
                shutil.rmtree(obtainer.unpacked, ignore_errors=True)
                log.warning("%s: bundle %s: %s", dataset, bundle.name, error)
                reasons.append(f"{bundle.name}: {error}")
        raise FetchError(f"{dataset}: no source gave all its files: {' | '.join(reasons)}")


def _fetch_bundle(obtainer: Obtainer, bundle: Bundle) -> Fetched:
    shutil.rmtree(obtainer.unpacked, ignore_errors=True)
    obtained = [obtainer.obtain(file, sources) for file, sources in bundle.files.items()]
    try:
        contents = _contents(obtained, bundle)
    except FetchError:
        for item in obtained:
            # Bytes that a hash declares stay: they are what was published, and would come again just so.
            if item.download is not None and item.record.trust == "first use":
                forget(item.download)
        raise
    for item in obtained:
        _trust(obtainer, item)
    return _put_in_place(obtainer, bundle, obtained, contents)


def _contents(obtained: Sequence[Obtained], bundle: Bundle) -> dict[str, tuple[Path, Digest]]:
    """Return the files below the root of the format: name → where it is now; raises FetchError."""
    found: dict[str, tuple[Path, Digest]] = {}
    for item in obtained:
        for name, place in item.contents.items():
            if name in found:
                raise FetchError(f"{item.record.file}: file {name!r} came with another download already")
            found[name] = place
    root = root_of(found, bundle.format)
    chosen = {
        PurePosixPath(name).relative_to(root).as_posix(): place
        for name, place in found.items()
        if PurePosixPath(name).is_relative_to(root)
    }
    for name in chosen:
        if PurePosixPath(name).parts[0] in (RECORD, "downloads", ".unpacked"):
            raise FetchError(f"an archive holds {name!r}, a name that xmcbench keeps for itself")
    return chosen


def _trust(obtainer: Obtainer, item: Obtained) -> None:
    """Keep the hash of what no public record pins, and say so."""
    source = item.first_use
    if source is None:
        return
    hash = f"sha256:{item.record.sha256}" if source.stable or item.record.tree is None else item.record.tree
    seen = Seen(
        source.url, source.dataset, source.file, item.record.size, hash, f"{datetime.now(UTC):%Y-%m-%d}"
    )
    obtainer.lock.record(seen)
    obtainer.log.info("trust on first use: %s is %s (kept in %s)", source.url, hash, obtainer.lock.path)


def _put_in_place(
    obtainer: Obtainer,
    bundle: Bundle,
    obtained: Sequence[Obtained],
    contents: dict[str, tuple[Path, Digest]],
) -> Fetched:
    folder = obtainer.folder
    _remove_earlier(folder, set(contents))
    for name, (path, _) in contents.items():
        final = folder / name
        final.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "rb+") as handle:
            os.fsync(handle.fileno())
        os.replace(path, final)
        sync_folder(final.parent)
    record = Fetched(
        version=1,
        dataset=bundle.dataset,
        bundle=bundle.name,
        format=bundle.format,
        date=f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        sources=tuple(item.record for item in obtained),
        files=tuple(
            FetchedFile(name=name, size=found.size, sha256=found.sha256)
            for name, (_, found) in sorted(contents.items())
        ),
    )
    write_record(folder, record)
    # Only now: until here a killed fetch goes on from them. What a user placed is not ours to remove.
    for item in obtained:
        if item.download is not None:
            forget(item.download)
    shutil.rmtree(obtainer.unpacked, ignore_errors=True)
    if obtainer.downloads.is_dir() and not any(obtainer.downloads.iterdir()):
        obtainer.downloads.rmdir()
    obtainer.log.info("%s: %d files, format %s", folder, len(record.files), record.format)
    return record


def _remove_earlier(folder: Path, keep: set[str]) -> None:
    """Take back an earlier fetch's record, and those of its files that the new one does not have."""
    try:
        earlier = read_record(folder)
    except DataError:
        earlier = None
    (folder / RECORD).unlink(missing_ok=True)
    for file in earlier.files if earlier is not None else ():
        if file.name not in keep:
            (folder / file.name).unlink(missing_ok=True)


def _intact(obtainer: Obtainer, dataset: str, bundles: Sequence[Bundle]) -> Fetched | None:
    """Return the folder's record if its files are as recorded, and the sources still say the same of them."""
    try:
        record = read_record(obtainer.folder)
    except DataError:
        return None
    bundle = next((b for b in bundles if (b.name, b.format) == (record.bundle, record.format)), None)
    if record.dataset != dataset or bundle is None or set(bundle.files) != {s.file for s in record.sources}:
        return None
    for source in record.sources:
        rows = bundle.files[source.file]
        same = tuple(row for row in rows if row.url == source.url) or rows
        hashes = [hash for row in same if (hash := obtainer.expected(row, rows).hash) is not None]
        if hashes and not any(source.matches(hash) for hash in hashes):
            obtainer.log.warning("%s: %s is no longer what its source declares", obtainer.folder, source.file)
            return None
    for file in record.files:
        path = obtainer.folder / file.name
        if not path.is_file() or path.stat().st_size != file.size or digest(path).sha256 != file.sha256:
            obtainer.log.warning("%s: missing or changed since it was fetched", path)
            return None
    return record
