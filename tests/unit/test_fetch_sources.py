"""The list of sources says what it may say, and the published one is read."""

from pathlib import Path

import pytest

from xmcbench.data.fetch.digest import digest, tree_hash
from xmcbench.data.fetch.sources import COLUMNS, read_sources
from xmcbench.errors import ConfigError

from ..conftest import ROOT

ROW = {
    "dataset": "set",
    "bundle": "first",
    "format": "pecos",
    "file": "a.tar.gz",
    "kind": "primary",
    "url": "https://example.org/a.tar.gz",
    "size": "10",
    "hash": "sha256:" + "0" * 64,
    "licence": "CC0-1.0",
    "added": "2026-01-31",
    "note": "",
}


def table(path: Path, *rows: dict[str, str]) -> Path:
    lines = ["\t".join(COLUMNS), *("\t".join({**ROW, **row}.values()) for row in rows)]
    path.write_text("\n".join(lines) + "\n")
    return path


def test_the_published_list_has_every_data_set() -> None:
    found = read_sources(ROOT / "config/sources.tsv")
    assert {name: bundles[0].format for name, bundles in found.items()} == {
        "wiki10": "pecos",
        "amazoncat13k": "pecos",
        "eurlex4k": "pecos",
        "wiki500k": "pecos",
        "amazon670k": "pecos",
        "amazon3m": "pecos",
        "amazontitles670k": "repository_json",
        "lf-amazontitles131k": "sparse_texts",
        "lf-wikiseealso320k": "repository_json",
        "lf-amazontitles1.3m": "repository_json",
        "lf-paper2keywords8.6m": "repository_json",
    }
    titles, drive, folder = found["lf-amazontitles131k"]
    assert len(titles.files) == 7
    assert all(row.hash for rows in titles.files.values() for row in rows)
    assert drive.files["LF-Amazon-131K.raw.zip"][0].host == "drive"
    assert folder.files["LF-AmazonTitles-131K-folder.zip"][0].host == "folder"


def test_rows_become_bundles_with_mirrors_in_order(tmp_path: Path) -> None:
    path = table(
        tmp_path / "sources.tsv",
        {},
        {"bundle": "second", "format": "raw_texts", "url": "https://example.org/other"},
        {"url": "https://mirror.example.org/a.tar.gz", "size": "", "hash": ""},
        {"file": "b.txt", "url": "https://example.org/b.txt"},
    )
    first, second = read_sources(path)["set"]
    assert (first.name, second.name) == ("first", "second")
    assert list(first.files) == ["a.tar.gz", "b.txt"]
    mirror = first.files["a.tar.gz"][1]
    assert (mirror.url, mirror.size, mirror.hash) == ("https://mirror.example.org/a.tar.gz", None, None)


def test_a_dropbox_folder_is_asked_for_as_a_zip(tmp_path: Path) -> None:
    url = "https://www.dropbox.com/scl/fo/x/h?rlkey=abc&dl=0"
    path = table(tmp_path / "sources.tsv", {"url": url, "file": "a.zip", "hash": ""})
    row = read_sources(path)["set"][0].files["a.zip"][0]
    assert row.download_url == "https://www.dropbox.com/scl/fo/x/h?rlkey=abc&dl=1"
    assert not row.stable


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"kind": "copy"},
            "line 3: key 'kind': input should be 'primary', 'mirror' or 'archive', found 'copy'",
        ),
        (
            {"format": "csv"},
            "line 3: key 'format': .*'pecos', 'raw_texts', 'repository_json' or 'sparse_texts'",
        ),
        ({"url": "http://example.org/a"}, "line 3: key 'url': .*allowed: https://"),
        ({"url": "ftp://example.org/a"}, "line 3: key 'url': .*allowed: https://"),
        ({"hash": "md5:" + "0" * 32}, "line 3: key 'hash': .*sha256:<64 hex digits>, git:<40 hex digits>"),
        ({"hash": "sha256:" + "0" * 63}, "line 3: key 'hash': .*allowed: empty, sha256"),
        ({"size": "10 MB"}, "line 3: key 'size': '10 MB'; allowed: bytes as digits, or empty"),
        ({"size": "0"}, "line 3: key 'size': input should be greater than 0"),
        ({"added": "31.1.2026"}, "line 3: key 'added': .*allowed: a date, YYYY-MM-DD"),
        ({"file": "../a"}, "line 3: key 'file': '../a' is not a name; allowed"),
        ({"dataset": ""}, "line 3: key 'dataset': '' is not a name; allowed"),
        ({"format": "raw_texts"}, "line 3: key 'format': bundle 'first' of set is 'pecos'"),
        ({"url": ROW["url"]}, "line 3: key 'url': .* is in line 2 already"),
        ({"note": "a\tb"}, "line 3: 12 columns; allowed: 11, parted by tabs"),
        ({"url": "https://www.dropbox.com/scl/fo/x/h"}, "ends in .zip"),
    ],
)
def test_mistakes_are_named_with_line_key_and_what_is_allowed(
    change: dict[str, str], message: str, tmp_path: Path
) -> None:
    row = {"url": "https://example.org/second", **change}
    if "dropbox" in row["url"]:
        row |= {"file": "a.txt", "hash": ""}
    with pytest.raises(ConfigError, match=message) as caught:
        read_sources(table(tmp_path / "sources.tsv", {}, row))
    assert str(caught.value).startswith(f"{tmp_path / 'sources.tsv'}, line 3: ")


def test_a_missing_list_and_wrong_columns_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "sources.tsv"
    with pytest.raises(ConfigError, match="no such file"):
        read_sources(path)
    path.write_text("dataset\turl\n")
    with pytest.raises(ConfigError, match="line 1: columns are dataset, url; allowed: dataset, bundle"):
        read_sources(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="not UTF-8"):
        read_sources(path)


def test_hashes_are_those_of_sha256sum_and_git_hash_object(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_bytes(b"hello\n")
    found = digest(file)
    assert found.matches("git:ce013625030ba8dba906f756967f9e9ca394464a")
    assert found.matches("sha256:5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03")
    assert found.size == 6
    assert not found.matches("sha256:ce013625030ba8dba906f756967f9e9ca394464a")
    assert not found.matches("tree:" + found.sha256)


def test_a_tree_hash_names_files_not_their_order(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"1")
    (tmp_path / "b").write_bytes(b"2")
    a, b = digest(tmp_path / "a"), digest(tmp_path / "b")
    assert tree_hash([("a", a), ("b", b)]) == tree_hash([("b", b), ("a", a)])
    assert len({tree_hash(t) for t in ([("a", a), ("b", b)], [("a", b), ("b", a)], [("a", a)])}) == 3
