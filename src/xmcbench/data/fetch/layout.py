"""The files that make each public format: how an archive is known to be what it should be, and where its root is."""

from collections.abc import Iterable
from pathlib import PurePosixPath

from xmcbench.errors import FetchError

#: Format → files that must be there; of alternatives, one.
REQUIRED: dict[str, tuple[tuple[str, ...], ...]] = {
    "pecos": (("X.trn.txt",), ("X.tst.txt",), ("Y.trn.npz",), ("Y.tst.npz",)),
    "raw_texts": (
        ("train_raw_texts.txt", "train_texts.txt"),
        ("test_raw_texts.txt", "test_texts.txt"),
        ("train_labels.txt",),
        ("test_labels.txt",),
    ),
    "repository_json": (
        ("trn.json", "trn.json.gz", "trn.raw.json", "trn.raw.json.gz"),
        ("tst.json", "tst.json.gz", "tst.raw.json", "tst.raw.json.gz"),
    ),
    "sparse_texts": (("trn_X.txt",), ("tst_X.txt",), ("trn_X_Y.txt",), ("tst_X_Y.txt",)),
}


def is_litter(name: str) -> bool:
    """Tell whether a member is what file managers leave in archives."""
    parts = PurePosixPath(name).parts
    return "__MACOSX" in parts or parts[-1] in (".DS_Store", "Thumbs.db", "desktop.ini")


def root_of(names: Iterable[str], format: str) -> PurePosixPath:
    """Return the folder, nearest the top, in which a format's files lie together.

    Raises FetchError, with what is there, if no folder or more than one has them.
    """
    folders: dict[PurePosixPath, set[str]] = {}
    for name in names:
        path = PurePosixPath(name)
        folders.setdefault(path.parent, set()).add(path.name)
    whole = [f for f, found in folders.items() if all(found & set(either) for either in REQUIRED[format])]
    depth = min((len(f.parts) for f in whole), default=0)
    nearest = sorted(f for f in whole if len(f.parts) == depth)
    if len(nearest) == 1:
        return nearest[0]
    if nearest:
        raise FetchError(
            f"format {format}: more than one folder has its files: {', '.join(map(str, nearest))}"
        )
    needed = ", ".join(" or ".join(either) for either in REQUIRED[format])
    seen = sorted(str(f / n) for f, found in folders.items() for n in found)
    more = f" and {len(seen) - 12} more" if len(seen) > 12 else ""
    raise FetchError(
        f"format {format}: no folder has all its files (needed: {needed}; found: {', '.join(seen[:12])}{more})"
    )
