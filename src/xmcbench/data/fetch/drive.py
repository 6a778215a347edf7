"""Google Drive: its confirmation pages are `gdown`'s to follow, its refusals are ours to explain."""

import sys
from collections.abc import Callable
from pathlib import Path

from xmcbench.data.fetch.download import check_bytes
from xmcbench.data.fetch.part_file import PartFile
from xmcbench.data.fetch.patience import Patience
from xmcbench.errors import FetchError


def download_from_drive(
    url: str, target: Path, *, check: Callable[[Path], None], pinned: bool, patience: Patience
) -> None:
    """Bring a file of Google Drive to `target`, which appears only after `check` passed its bytes.

    pinned: whether `check` knows a hash; only then does it go on from what an earlier process left, because gdown does
    not ask whether the file is still the same one. Raises FetchError of one line that says what a person can do: Drive
    often refuses programs, seldom browsers.
    """
    by_hand = f"download it in a browser, put it at {target} and start again"
    try:
        import gdown
    except ImportError as error:
        raise FetchError(
            f"Google Drive needs the package gdown, which is not installed; or {by_hand}"
        ) from error
    part = PartFile(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    part.drop()
    if not pinned:
        _drop_pieces(part)
    part.state(url, None, None)

    def limited(taken: int, total: int | None) -> None:
        if max(taken, total or 0) > patience.largest_bytes:
            raise FetchError(f"more than {patience.largest_bytes} bytes")

    try:
        done = gdown.download(
            url,
            output=str(part.path),
            quiet=not sys.stderr.isatty(),
            use_cookies=False,
            resume=pinned,
            retries=patience.attempts - 1,
            timeout=(patience.connect_seconds, patience.stall_seconds),
            progress=limited,
        )
        if done is None or not part.path.is_file():
            raise FetchError("no file came")
        check_bytes(part, check)
    except (
        Exception
    ) as error:  # Drive's answers reach us as many kinds of error, also of libraries below gdown
        part.drop()
        if isinstance(error, FetchError) or not pinned:
            _drop_pieces(part)
        raise FetchError(f"Google Drive: {_first_line(error)}; {by_hand}") from error
    _drop_pieces(part)
    part.finish()


def _drop_pieces(part: PartFile) -> None:
    """Remove what gdown keeps of a transfer that was cut."""
    for piece in part.target.parent.glob(f"{part.path.name}*.part"):
        piece.unlink(missing_ok=True)


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
