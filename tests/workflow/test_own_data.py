"""A user's own data set: one YAML beside a folder in a public format, and nothing edited."""

import tarfile
from pathlib import Path

import numpy as np
import pytest

from xmcbench.data.fetch.sources import COLUMNS
from xmcbench.data.store import PreparedStore

from ..data.format_writers import Split, write_pecos, write_repository_json
from ..unit.misbehaving_server import Fault, MisbehavingServer
from .conftest import Workflow

MINE = {
    "label": "Mine",
    "max_length": 16,
    "propensity": {"a": 0.55, "b": 1.5, "source": "default"},
}
WORDS = ["red", "green", "blue", "round", "square"]


def splits() -> dict[str, Split]:
    """Documents that name their labels."""
    rng = np.random.default_rng(0)
    its = [sorted(rng.choice(5, 2, replace=False).tolist()) for _ in range(80)]
    texts = [f"a {' '.join(WORDS[i] for i in labels)} thing {n}" for n, labels in enumerate(its)]
    return {"train": Split(texts[:60], its[:60]), "test": Split(texts[60:], its[60:])}


def test_one_yaml_trains_on_a_folder_of_ones_own(fresh: Workflow, tmp_path: Path) -> None:
    write_repository_json(tmp_path / "files", splits(), WORDS, {"test": [(0, 1)]})
    source = {"format": "repository_json", "folder": str(tmp_path / "files")}
    fresh.write("datasets/mine.yaml", {**MINE, "source": source})
    fresh.write(
        "grids/mine.yaml",
        {"cells": [{"budget": "full", "datasets": ["mine"], "methods": ["most_frequent", "linear_ovr"]}]},
    )
    assert fresh.planned("data_mine") == {"prepare": 1, "data_mine": 1}
    fresh.run("--config", "grid=mine", "--", "tables")
    store = PreparedStore.open(fresh.root / "resources/prepared/mine")
    assert list(store.label_texts or ()) == WORDS
    table = (fresh.root / "results/tables/run/main.md").read_text()
    assert "Most frequent labels" in table and "Linear one-vs-rest" in table
    assert not (fresh.root / "resources/raw").exists(), "nothing was fetched"


def test_files_that_are_there_already_are_not_fetched(fresh: Workflow, tmp_path: Path) -> None:
    write_pecos(tmp_path / "files", splits(), WORDS)
    fetched = fresh.planned("data_wiki10")
    assert fetched["fetch"] == 1
    own = f"raw={{wiki10: {tmp_path / 'files'}}}"
    assert fresh.planned("--config", own, "--", "data_wiki10") == {"prepare": 1, "data_wiki10": 1}
    # Wiki10 has other counts than these sixty documents: nothing is left behind.
    text = fresh.run("--config", own, "--", "data_wiki10", expect=1)
    assert "config/datasets/wiki10.yaml: counts.full.documents_train: declared 14146, found 60" in text
    assert not (fresh.root / "resources/prepared/wiki10/manifest.json").exists()


def test_an_unknown_data_set_in_raw_is_refused(fresh: Workflow) -> None:
    text = fresh.run("--config", "raw={wiki11: /x}", "--", "all", expect=1)
    assert "key 'raw': unknown value 'wiki11'; allowed: " in text


def test_a_data_set_is_fetched_from_a_mirror_that_works_unpacked_and_prepared(
    fresh: Workflow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    write_pecos(tmp_path / "xmc-base" / "mine", splits(), WORDS)
    with tarfile.open(tmp_path / "mine.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "xmc-base", arcname="xmc-base")
    with MisbehavingServer() as server:
        page = Fault(
            "status", status=200, headers=(("Content-Type", "text/html"),), body=b"<html>moved</html>"
        )
        first = server.put("/moved.tar.gz", b"", [page] * 9)
        second = server.put(
            "/mine.tar.gz", (tmp_path / "mine.tar.gz").read_bytes(), [Fault("cut", after=200)]
        )
        rows = [
            ["mine", "archive", "pecos", "mine.tar.gz", kind, url, "", "", "", "2026-11-25", ""]
            for kind, url in (("primary", first), ("mirror", second))
        ]
        lines = ["\t".join(row) for row in (list(COLUMNS), *rows)]
        (fresh.root / "config/sources.tsv").write_text("\n".join(lines) + "\n")
        fresh.write("datasets/mine.yaml", {**MINE, "source": {"format": "pecos"}})
        assert fresh.planned("data_mine") == {"fetch": 1, "prepare": 1, "data_mine": 1}
        text = fresh.run("data_mine")
    assert "trust on first use" in text
    assert second in (fresh.root / "config/sources.lock.tsv").read_text()
    store = PreparedStore.open(fresh.root / "resources/prepared/mine")
    assert store.split("test").documents == 20 and list(store.label_texts or ()) == WORDS
    assert fresh.planned("data_mine") == {}
