"""One address → one file, over a real connection: the right bytes under the final name, or nothing under it."""

import hashlib
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from xmcbench.data.fetch.digest import digest
from xmcbench.data.fetch.download import download
from xmcbench.data.fetch.part_file import PartFile
from xmcbench.data.fetch.patience import Patience
from xmcbench.errors import FetchError

from .misbehaving_server import Fault, MisbehavingServer

QUICK = Patience(
    connect_seconds=2, stall_seconds=0.15, attempts=4, first_wait_seconds=0.001, longest_wait_seconds=0.002
)
DATA = bytes(range(256)) * 40
OTHER = bytes(reversed(DATA))


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[MisbehavingServer]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with MisbehavingServer() as running:
        yield running


def expect(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def get(
    url: str,
    target: Path,
    *,
    known: bytes | None = DATA,
    size: int | None = None,
    patience: Patience = QUICK,
) -> None:
    def check(file: Path) -> None:
        if known is not None and digest(file).sha256 != expect(known):
            raise FetchError("wrong bytes")

    log = logging.getLogger("test")
    download(url, target, check=check, size=size, pinned=known is not None, patience=patience, log=log)


def files(folder: Path) -> set[str]:
    return {f.name for f in folder.iterdir()}


@pytest.mark.parametrize("known", [DATA, None], ids=["hash known", "hash unknown"])
@pytest.mark.parametrize("kind", ["cut", "reset", "stall"])
def test_a_broken_transfer_goes_on_where_it_broke(
    kind: str, known: bytes | None, server: MisbehavingServer, tmp_path: Path
) -> None:
    url = server.put("/a", DATA, [Fault(kind, after=3000)])  # type: ignore[arg-type]
    get(url, tmp_path / "a", known=known)
    assert (tmp_path / "a").read_bytes() == DATA
    first, second = server.requests
    assert first == ("/a", None)
    # A reset may throw away bytes that the system had already received.
    asked = int((second[1] or "bytes=0-").removeprefix("bytes=").removesuffix("-"))
    assert asked == 3000 or (kind == "reset" and asked < 3000)


def test_a_stopped_download_goes_on_in_the_next_process(server: MisbehavingServer, tmp_path: Path) -> None:
    url = server.put("/a", DATA, [Fault("cut", after=4000)])
    with pytest.raises(FetchError, match=r"cut off.* \(1 attempts\)"):
        get(url, tmp_path / "a", patience=Patience(attempts=1))
    assert "a" not in files(tmp_path) and PartFile(tmp_path / "a").size() == 4000
    get(url, tmp_path / "a")
    assert server.requests[-1] == ("/a", "bytes=4000-")
    assert (tmp_path / "a").read_bytes() == DATA


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("etag", ['"two"', None])
def test_pieces_of_two_versions_are_never_joined(
    etag: str | None, known: bool, server: MisbehavingServer, tmp_path: Path
) -> None:
    url = server.put("/a", OTHER, [Fault("cut", after=4000)], etag='"one"' if etag else None)
    with pytest.raises(FetchError, match="cut off"):
        get(url, tmp_path / "a", known=DATA if known else None, patience=Patience(attempts=1))
    server.put("/a", DATA, etag=etag)
    get(url, tmp_path / "a", known=DATA if known else None)
    assert (tmp_path / "a").read_bytes() == DATA


def test_another_address_does_not_go_on_with_the_part_of_the_first(
    server: MisbehavingServer, tmp_path: Path
) -> None:
    first = server.put("/a", OTHER, [Fault("cut", after=4000)])
    with pytest.raises(FetchError):
        get(first, tmp_path / "a", known=None, patience=Patience(attempts=1))
    get(server.put("/b", DATA), tmp_path / "a", known=None)
    assert (tmp_path / "a").read_bytes() == DATA


def test_a_server_without_ranges_is_asked_again_from_the_start(
    server: MisbehavingServer, tmp_path: Path
) -> None:
    url = server.put("/a", DATA, [Fault("cut", after=3000)], ranges=False)
    get(url, tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == DATA


def test_a_range_that_was_not_asked_for_is_not_taken(server: MisbehavingServer, tmp_path: Path) -> None:
    wrong = (("Content-Range", f"bytes 10-{len(DATA) - 1}/{len(DATA)}"),)
    faults = [Fault("cut", after=3000), Fault("status", status=206, headers=wrong, body=DATA[10:])]
    get(server.put("/a", DATA, faults), tmp_path / "a", known=None)
    assert (tmp_path / "a").read_bytes() == DATA


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_passing_refusal_is_tried_again(status: int, server: MisbehavingServer, tmp_path: Path) -> None:
    faults = [
        Fault("status", status=status, headers=(("Retry-After", "9999"),)),
        Fault("status", status=status),
    ]
    get(server.put("/a", DATA, faults), tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == DATA and len(server.requests) == 3


def test_a_server_that_never_recovers_is_given_up(server: MisbehavingServer, tmp_path: Path) -> None:
    url = server.put("/a", DATA, [Fault("status", status=503)] * 99)
    with pytest.raises(FetchError, match=r"HTTP 503 .*\(4 attempts\)"):
        get(url, tmp_path / "a")
    assert len(server.requests) == 4 and "a" not in files(tmp_path)


@pytest.mark.parametrize(
    ("page", "size", "reason"),
    [
        ({"faults": [Fault("status", status=404)]}, None, "HTTP 404"),
        ({"faults": [Fault("status", status=403)]}, None, "HTTP 403"),
        ({"faults": [Fault("status", status=410)]}, None, "HTTP 410"),
        ({"content_type": "text/html; charset=utf-8"}, None, "a web page, not the file"),
        ({"data": b"\n<!DOCTYPE html><p>quota", "content_type": None}, None, "a web page, not the file"),
        ({"data": b"version https://git-lfs.github.com/spec/v1\n"}, None, "a Git LFS pointer"),
        ({}, 99, f"states {len(DATA)} bytes; declared: 99"),
        ({"length": "none"}, None, "states no length"),
        ({"length": "chunked"}, 99, "more than 99 bytes"),
    ],
)
def test_what_is_not_the_file_is_refused_at_once(
    page: dict[str, object], size: int | None, reason: str, server: MisbehavingServer, tmp_path: Path
) -> None:
    url = server.put("/a", **{"data": DATA, **page})  # type: ignore[arg-type]
    with pytest.raises(FetchError, match=reason):
        get(url, tmp_path / "a", known=None, size=size)
    assert len(server.requests) == 1 and "a" not in files(tmp_path)


def test_a_body_without_end_is_cut_off_at_the_limit(server: MisbehavingServer, tmp_path: Path) -> None:
    url = server.put("/a", DATA, length="chunked")
    with pytest.raises(FetchError, match="more than 5000 bytes"):
        get(url, tmp_path / "a", known=None, patience=Patience(largest_bytes=5000))
    assert files(tmp_path) == set()


def test_redirects_are_followed_but_not_in_circles(server: MisbehavingServer, tmp_path: Path) -> None:
    to_b = Fault("status", status=302, headers=(("Location", server.url("/b")),))
    to_a = Fault("status", status=302, headers=(("Location", server.url("/a")),))
    url = server.put("/a", DATA, [to_b])
    server.put("/b", DATA)
    get(url, tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == DATA
    server.put("/a", DATA, [to_b] * 99)
    server.put("/b", DATA, [to_a] * 99)
    with pytest.raises(FetchError, match="redirects in a loop"):
        get(url, tmp_path / "c")
    assert "c" not in files(tmp_path)


@pytest.mark.parametrize("length", ["stated", "chunked"])
def test_a_cut_body_of_unknown_hash_never_passes(
    length: str, server: MisbehavingServer, tmp_path: Path
) -> None:
    url = server.put("/a", DATA, [Fault("cut", after=500)] * 99, length=length, ranges=False)
    with pytest.raises(FetchError, match="cut off"):
        get(url, tmp_path / "a", known=None)
    assert "a" not in files(tmp_path)


def test_an_address_where_nobody_answers_is_given_up(tmp_path: Path) -> None:
    with MisbehavingServer() as gone:
        url = gone.url("/a")
    with pytest.raises(FetchError, match="no connection"):
        get(url, tmp_path / "a")


def test_a_disk_without_room_is_said_before_the_first_byte(
    server: MisbehavingServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil

    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=100))
    with pytest.raises(FetchError, match=f"{len(DATA)} bytes are to come, 100 are free"):
        get(server.put("/a", DATA), tmp_path / "a")


FAULTS = st.one_of(
    st.builds(Fault, st.sampled_from(["cut", "reset"]), after=st.integers(0, len(DATA) - 1)),
    st.builds(Fault, st.just("status"), status=st.sampled_from([404, 416, 500, 503]), body=st.just(OTHER)),
    st.just(Fault("other_bytes", body=OTHER)),
    st.just(Fault("other_bytes", body=DATA[:-1])),
    st.just(Fault("status", status=200, headers=(("Content-Type", "text/html"),), body=OTHER)),
)


@given(
    faults=st.lists(FAULTS, max_size=5),
    ranges=st.booleans(),
    etag=st.sampled_from(['"one"', 'W/"one"', None]),
    length=st.sampled_from(["stated", "chunked", "none"]),
    calls=st.integers(1, 3),
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_happens_no_wrong_file_is_in_place(
    faults: list[Fault],
    ranges: bool,
    etag: str | None,
    length: str,
    calls: int,
    server: MisbehavingServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    target = tmp_path_factory.mktemp("any") / "a"
    url = server.put("/a", DATA, faults, ranges=ranges, etag=etag, length=length)
    for _ in range(calls):
        try:
            get(url, target)
        except FetchError:
            assert not target.exists()
        else:
            assert target.read_bytes() == DATA
            return
    # With nothing left that goes wrong, the file comes.
    server.put("/a", DATA, ranges=ranges, etag=etag, length=length)
    get(url, target)
    assert target.read_bytes() == DATA


def test_a_redirect_that_leaves_https_is_refused(
    server: MisbehavingServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import requests

    plain = requests.Session.get

    def redirected(session: requests.Session, url: str, **named: object) -> requests.Response:
        return plain(session, url.replace("https:", "http:"), **named)  # type: ignore[arg-type]

    monkeypatch.setattr(requests.Session, "get", redirected)
    url = server.put("/a", DATA).replace("http:", "https:")
    with pytest.raises(FetchError, match="redirects to an address without https"):
        get(url, tmp_path / "a")
    assert files(tmp_path) == set()


def test_waits_double_up_to_the_longest_and_heed_the_server_within_it() -> None:
    patience = Patience(first_wait_seconds=2, longest_wait_seconds=10)
    for attempt, longest in ((1, 2), (2, 4), (3, 8), (4, 10), (50, 10)):
        assert all(longest / 2 <= patience.wait(attempt, None) <= longest for _ in range(20))
    assert (patience.wait(1, 7), patience.wait(1, 9999)) == (7, 10)
