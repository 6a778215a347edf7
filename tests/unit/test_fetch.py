"""From a list of sources to a data set's files in their folder: whole, checked, recorded, and never fetched in vain."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from xmcbench.cli import main
from xmcbench.data.fetch.record import read_record
from xmcbench.errors import DataError, FetchError

from .archives import tar_of, zip_of
from .fetch_place import PECOS, RAW, TARBALL, TEXTS, Place, sha256
from .misbehaving_server import Fault, MisbehavingServer


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with MisbehavingServer() as server:
        yield Place(tmp_path, server)


def test_an_archive_of_the_public_layout_comes_into_place(place: Place) -> None:
    url = place.server.put("/set.tar.gz", TARBALL, [Fault("cut", after=50)])
    place.list(("archive", "pecos", "set.tar.gz", url, sha256(TARBALL)))
    record = place.fetch()
    assert place.files() == PECOS
    assert read_record(place.folder) == record
    assert (record.format, record.bundle) == ("pecos", "archive")
    (source,) = record.sources
    assert (source.url, source.size, source.trust) == (url, len(TARBALL), "declared")
    assert {f.name: (f.size, "sha256:" + f.sha256) for f in record.files} == {
        name: (len(data), sha256(data)) for name, data in PECOS.items()
    }
    assert not place.lock.exists()


def test_what_is_there_is_not_fetched_again(place: Place) -> None:
    url = place.server.put("/set.tar.gz", TARBALL)
    place.list(("archive", "pecos", "set.tar.gz", url, ""))
    first = place.fetch()
    asked = len(place.server.requests)
    assert place.fetch() == first and len(place.server.requests) == asked


@pytest.mark.parametrize("damage", [b"", b"x" * len(PECOS["X.trn.txt"]), None])
def test_a_damaged_file_is_fetched_again(damage: bytes | None, place: Place) -> None:
    url = place.server.put("/set.tar.gz", TARBALL)
    place.list(("archive", "pecos", "set.tar.gz", url, ""))
    place.fetch()
    victim = place.folder / "X.trn.txt"
    victim.unlink()
    if damage is not None:
        victim.write_bytes(damage)
    place.fetch()
    assert place.files() == PECOS


def test_of_several_files_only_the_missing_ones_are_fetched(place: Place) -> None:
    rows = [("git", "sparse_texts", n, place.server.put(f"/{n}", d), sha256(d)) for n, d in TEXTS.items()]
    place.list(*rows)
    place.fetch()
    (place.folder / "tst_X.txt").write_bytes(b"damaged")
    place.server.requests.clear()
    record = place.fetch()
    assert place.server.requests == [("/tst_X.txt", None)]
    assert place.files() == TEXTS and len(record.sources) == 4


def test_mirrors_come_in_order_and_must_have_the_same_bytes(place: Place) -> None:
    gone = place.server.url("/gone")
    wrong = place.server.put("/wrong", tar_of(PECOS | {"X.trn.txt": b"other"}, "gz"))
    page = place.server.put("/page", b"<html>", content_type="text/html")
    right = place.server.put("/right", TARBALL)
    never = place.server.put("/never", TARBALL)
    rows = [("a", "pecos", "set.tar.gz", url, "") for url in (gone, wrong, page, right)]
    # Only the last row knows the hash; it holds for its mirrors too.
    place.list(*rows, ("a", "pecos", "set.tar.gz", never, sha256(TARBALL)))
    record = place.fetch()
    assert [path for path, _ in place.server.requests] == ["/gone", "/wrong", "/page", "/right"]
    assert record.sources[0].url == right and record.sources[0].trust == "declared"
    assert place.files() == PECOS


def test_another_bundle_may_hold_another_format(place: Place) -> None:
    gone = place.server.url("/gone")
    other = place.server.put(
        "/raw.zip", zip_of({f"Set/{n}": d for n, d in RAW.items()} | {"__MACOSX/._x": b""})
    )
    place.list(("a", "pecos", "a.tar.gz", gone, ""), ("b", "raw_texts", "b.zip", other, ""))
    record = place.fetch()
    assert (record.bundle, record.format) == ("b", "raw_texts") and place.files() == RAW
    # The first bundle is back, the folder is damaged: files of the format that was there before go.
    place.list(("a", "pecos", "a.tar.gz", place.server.put("/back", TARBALL), ""))
    assert place.fetch().format == "pecos" and place.files() == PECOS


def test_when_nothing_helps_every_reason_is_said(place: Place) -> None:
    wrong = place.server.put("/wrong.zip", zip_of({"X.trn.txt": b"1", "readme": b"2"}))
    bad = place.server.put("/bad.zip", b"PK\3\4 not a zip")
    place.list(
        ("a", "pecos", "a.tar.gz", place.server.url("/gone"), ""),
        ("b", "pecos", "b.zip", wrong, ""),
        ("c", "pecos", "c.zip", bad, ""),
    )
    with pytest.raises(FetchError) as caught:
        place.fetch()
    message = str(caught.value)
    for reason in (
        "/gone: HTTP 404",
        "needed: X.trn.txt, X.tst.txt",
        "found: X.trn.txt, readme",
        "c.zip: not an arch",
    ):
        assert reason in message
    assert "\n" not in message and place.files() == {} and not place.lock.exists()


@pytest.mark.parametrize("name", ["fetched.json", "downloads/a", ".unpacked/a"])
def test_an_archive_may_not_use_names_that_are_kept(name: str, place: Place) -> None:
    url = place.server.put("/set.zip", zip_of(PECOS | {name: b"{}"}))
    place.list(("a", "pecos", "set.zip", url, ""))
    with pytest.raises(FetchError, match="a name that xmcbench keeps for itself"):
        place.fetch()
    assert place.files() == {} and not (place.folder / "fetched.json").exists()


def test_a_file_placed_by_hand_is_taken_if_it_is_right(place: Place) -> None:
    gone = place.server.url("/gone")
    place.list(("a", "pecos", "set.tar.gz", gone, sha256(TARBALL)))
    (place.folder / "downloads").mkdir(parents=True)
    by_hand = place.folder / "downloads/set.tar.gz"
    by_hand.write_bytes(TARBALL + b"x")
    with pytest.raises(FetchError, match=r"placed by hand, has sha256:.*; allowed: sha256:"):
        place.fetch()
    by_hand.write_bytes(TARBALL)
    record = place.fetch()
    assert (record.sources[0].url, record.sources[0].trust) == (None, "declared")
    assert by_hand.exists() and place.server.requests == []
    assert {n: d for n, d in place.files().items() if n in PECOS} == PECOS
    place.list(("a", "pecos", "set.tar.gz", gone, ""))
    assert place.fetch() == record
    (place.folder / "fetched.json").unlink()
    assert place.fetch().sources[0].trust == "by hand" and not place.lock.exists()


def test_a_fetch_that_was_killed_goes_on_from_its_downloads(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = place.server.put("/set.tar.gz", TARBALL)
    place.list(("a", "pecos", "set.tar.gz", url, ""))

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("xmcbench.data.fetch.fetch.write_record", killed)
        with pytest.raises(KeyboardInterrupt):
            place.fetch()
    assert not (place.folder / "fetched.json").exists()
    record = place.fetch()
    assert len(place.server.requests) == 1 and place.files() == PECOS
    assert (record.sources[0].url, record.sources[0].trust) == (url, "lock")


def test_two_processes_fetch_once(place: Place) -> None:
    url = place.server.put("/set.tar.gz", TARBALL)
    place.list(("a", "pecos", "set.tar.gz", url, ""))
    threads = [threading.Thread(target=place.fetch) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(place.server.requests) == 1 and place.files() == PECOS


def test_the_command_line_fetches_and_explains(
    place: Place, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    url = place.server.put("/set.tar.gz", TARBALL)
    place.list(("a", "pecos", "set.tar.gz", url, ""))
    monkeypatch.chdir(place.root)
    out = ["--out", "raw/fetched.json", "--sources", "sources.tsv"]
    assert main(["fetch", "--dataset", "other", *out]) == 2
    assert "no source of data set 'other'; allowed: set" in capsys.readouterr().err
    assert main(["fetch", "--dataset", "set", "--out", "raw/other.json", "--sources", "sources.tsv"]) == 2
    assert "allowed: a path that ends in fetched.json" in capsys.readouterr().err
    assert main(["fetch", "--dataset", "set", *out]) == 0
    assert "trust on first use" in capsys.readouterr().err
    assert place.files() == PECOS and place.lock.exists()


def test_a_folder_without_record_is_said_to_be_unfetched(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"fetched\.json: missing; fetch the data set first"):
        read_record(tmp_path)
    (tmp_path / "fetched.json").write_text('{"version": 1}')
    with pytest.raises(DataError, match="key 'dataset' is missing; fetch the data set again"):
        read_record(tmp_path)
