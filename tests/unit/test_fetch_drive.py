"""Google Drive. gdown's download is replaced: Google cannot be reached from a test."""

import sys
import types
from collections.abc import Iterator
from pathlib import Path

import pytest

from xmcbench.data.fetch import drive
from xmcbench.data.fetch.patience import Patience
from xmcbench.errors import FetchError

from .fetch_place import PECOS, QUICK, TARBALL, Place, sha256
from .misbehaving_server import Fault, MisbehavingServer


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with MisbehavingServer() as server:
        yield Place(tmp_path, server)


def have(monkeypatch: pytest.MonkeyPatch, download: object) -> None:
    monkeypatch.setitem(sys.modules, "gdown", types.SimpleNamespace(download=download))


def test_its_bytes_are_checked_like_any_other(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def gives(url: str, output: str, **_: object) -> str:
        Path(output).write_bytes(TARBALL)
        return output

    have(monkeypatch, gives)
    url = "https://drive.google.com/uc?id=1"
    place.list(("a", "pecos", "set.tar.gz", url, sha256(b"other")))
    with pytest.raises(FetchError, match="wrong bytes"):
        place.fetch()
    assert place.nothing_in_place()
    place.list(("a", "pecos", "set.tar.gz", url, ""))
    assert place.fetch().sources[0].url == url and place.files() == PECOS


@pytest.mark.parametrize("answer", ["raises", "none", "page"])
def test_a_refusal_says_what_a_person_can_do(
    answer: str, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(url: str, output: str, **_: object) -> None:
        Path(output).write_bytes(b"<!doctype html>quota exceeded")
        if answer == "raises":
            raise RuntimeError("\n\tToo many users have viewed this file\n\nmore")
        if answer == "none":
            Path(output).unlink()

    have(monkeypatch, refuses)
    place.list(("a", "pecos", "set.tar.gz", "https://drive.google.com/uc?id=1", ""))
    with pytest.raises(FetchError, match=r"downloads/set\.tar\.gz and start again"):
        place.fetch()
    assert place.files() == {}


def test_our_call_is_one_that_gdown_understands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import inspect

    import gdown

    signature = inspect.signature(gdown.download)
    calls = []

    def bound(*values: object, **named: object) -> None:
        calls.append(signature.bind(*values, **named))

    monkeypatch.setattr(gdown, "download", bound)
    with pytest.raises(FetchError, match="no file came"):
        drive.download_from_drive(
            "https://drive.google.com/uc?id=1", tmp_path / "a", check=print, pinned=False, patience=QUICK
        )
    assert calls[0].arguments["timeout"] == (2, 0.15)


@pytest.mark.parametrize("pinned", [False, True])
def test_a_cut_transfer_of_gdown_ends_in_the_right_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pinned: bool
) -> None:
    # gdown takes plain addresses too: so its own part can be tried, and that nothing of it stays behind.
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with MisbehavingServer() as server:
        url = server.put("/set.tar.gz", TARBALL, [Fault("cut", after=90)])
        drive.download_from_drive(url, tmp_path / "a", check=lambda _: None, pinned=pinned, patience=QUICK)
        # Whether it asks for the rest or for all depends on how much reached gdown before the cut.
        assert len(server.requests) == 2
        assert (tmp_path / "a").read_bytes() == TARBALL
        server.put("/set.tar.gz", TARBALL, [Fault("cut", after=90)] * 9, ranges=False)
        with pytest.raises(FetchError, match=r"Google Drive: .* start again"):
            drive.download_from_drive(url, tmp_path / "b", check=print, pinned=False, patience=QUICK)
        server.put("/set.tar.gz", TARBALL)
        with pytest.raises(FetchError, match="more than 99 bytes"):
            tight = Patience(largest_bytes=99)
            drive.download_from_drive(url, tmp_path / "b", check=print, pinned=False, patience=tight)
    assert {f.name for f in tmp_path.iterdir()} == {"a", "a.source.json"}
