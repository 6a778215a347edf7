"""What was trusted once must come again, whoever serves it and however it is packed."""

import logging
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from xmcbench.data.fetch import sources
from xmcbench.data.fetch.lock import LockFile, Seen
from xmcbench.errors import ConfigError, FetchError

from .archives import tar_of, zip_of
from .fetch_place import PECOS, RAW, TARBALL, Place, sha256
from .misbehaving_server import MisbehavingServer


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with MisbehavingServer() as server:
        yield Place(tmp_path, server)


def test_the_first_download_is_trusted_and_later_ones_must_match(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    url = place.server.put("/set.tar.gz", TARBALL)
    place.list(("a", "pecos", "set.tar.gz", url, ""))
    with caplog.at_level(logging.INFO, "xmcbench"):
        assert place.fetch().sources[0].trust == "first use"
    assert f"trust on first use: {url} is {sha256(TARBALL)}" in caplog.text
    assert LockFile(place.lock).read()[url].hash == sha256(TARBALL)
    # A second machine, the same lock file, other bytes: refused; the right bytes: taken.
    place.server.put("/set.tar.gz", tar_of(PECOS | {"X.trn.txt": b"other"}, "gz"))
    elsewhere = Place(place.root, place.server)
    (place.folder / "X.trn.txt").unlink()
    with pytest.raises(FetchError, match=r"its first download .* remove its line from .*sources\.lock\.tsv"):
        elsewhere.fetch()
    assert place.files() == {n: d for n, d in PECOS.items() if n != "X.trn.txt"}
    place.server.put("/set.tar.gz", TARBALL)
    assert elsewhere.fetch().sources[0].trust == "lock"


def test_a_mirror_may_not_replace_what_was_trusted(place: Place) -> None:
    first = place.server.put("/first", TARBALL)
    place.list(("a", "pecos", "set.tar.gz", first, ""))
    place.fetch()
    (place.folder / "fetched.json").unlink()
    other = tar_of(PECOS | {"X.trn.txt": b"other"}, "gz")
    place.list(
        ("a", "pecos", "set.tar.gz", place.server.url("/gone"), ""),
        ("a", "pecos", "set.tar.gz", place.server.put("/second", other), ""),
        ("a", "pecos", "set.tar.gz", place.server.put("/first", other), ""),
    )
    with pytest.raises(FetchError, match=r"/second: .*its first download"):
        place.fetch()
    assert place.files() == PECOS


def test_files_that_the_lock_file_contradicts_are_not_kept(place: Place) -> None:
    url = place.server.put("/set.tar.gz", TARBALL)
    place.list(("a", "pecos", "set.tar.gz", url, ""))
    place.fetch()
    other = tar_of(PECOS | {"X.trn.txt": b"other"}, "gz")
    place.lock.write_text(place.lock.read_text().replace(sha256(TARBALL), sha256(other)))
    place.server.put("/set.tar.gz", other)
    place.fetch()
    assert place.files()["X.trn.txt"] == b"other"


def test_a_folder_zipped_anew_each_time_is_pinned_by_its_files(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources.Source, "host", property(lambda source: "folder"))
    url = place.server.put("/h?dl=1", zip_of(RAW, 2020)).removesuffix("?dl=1")
    place.list(("a", "raw_texts", "a.zip", url, ""))
    record = place.fetch()
    assert LockFile(place.lock).read()[url].hash == record.sources[0].tree
    (place.folder / "fetched.json").unlink()
    assert zip_of(RAW, 2021) != zip_of(RAW, 2020)
    place.server.put("/h?dl=1", zip_of(RAW, 2021))
    assert place.fetch().sources[0].trust == "lock"
    (place.folder / "fetched.json").unlink()
    place.server.put("/h?dl=1", zip_of(RAW | {"test_labels.txt": b"3\n"}, 2020))
    with pytest.raises(FetchError, match=r"its first download .* tree:"):
        place.fetch()


def test_the_lock_file_keeps_the_lines_of_all_writers(tmp_path: Path) -> None:
    lock = LockFile(tmp_path / "sources.lock.tsv")

    def seen(i: int, hash: str = "0" * 64) -> Seen:
        return Seen(f"https://example.org/{i}", "set", "a", 1, f"sha256:{hash}", "2026-01-31")

    threads = [threading.Thread(target=lock.record, args=[seen(i)]) for i in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(lock.read().values(), key=lambda s: s.url) == sorted(
        map(seen, range(20)), key=lambda s: s.url
    )
    assert [f.name for f in tmp_path.iterdir()] == ["sources.lock.tsv"]
    with pytest.raises(FetchError, match="remove its line"):
        lock.record(seen(3, "1" * 64))
    assert lock.read()[seen(3).url] == seen(3)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("url\n", "line 1: wrong columns"),
        ("url\tdataset\tfile\tsize\thash\tdate\nu\td\n", "line 2: 2 columns"),
        (
            "url\tdataset\tfile\tsize\thash\tdate\nu\td\tf\tmany\tsha256:0\tx\n",
            "line 2: size 'many', hash 'sha256:0'",
        ),
    ],
)
def test_a_faulty_lock_file_stops_before_any_download(text: str, message: str, place: Place) -> None:
    place.list(("a", "pecos", "set.tar.gz", place.server.put("/set.tar.gz", TARBALL), ""))
    place.lock.write_text(text)
    with pytest.raises(ConfigError, match=message):
        place.fetch()
    assert place.server.requests == []
