"""Label groups at scale: threads, precision, centroids by hand, features, order, and what is said of them."""

import json
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from xmcbench.cli import main
from xmcbench.data import label_centroids as centroids
from xmcbench.data import label_groups as groups_module
from xmcbench.data.label_centroids import feature_centroids, heaviest, label_centroids, load_features
from xmcbench.data.label_groups import balanced_groups, label_order, random_groups, write_groups
from xmcbench.data.store import PreparedStore, Split
from xmcbench.data.store_writer import Rows, write_store
from xmcbench.errors import DataError

from ..conftest import SmokeData


def split_of(tmp_path: Path, labels: list[list[int]], width: int) -> Split:
    rows = Rows([f"d{i}" for i in range(len(labels))], ["text"] * len(labels), labels)
    write_store(tmp_path, "tiny", [f"l{i}" for i in range(width)], {"train": rows}, {})
    return PreparedStore.open(tmp_path).split("train")


def clusters(labels: int, width: int, seed: int) -> sp.csr_matrix:
    """Unit rows around `labels / 8` directions."""
    rng = np.random.default_rng(seed)
    rows = rng.random((labels // 8 + 1, width))[np.arange(labels) // 8] + 0.1 * rng.random((labels, width))
    return sp.csr_matrix(rows / np.linalg.norm(rows, axis=1)[:, None])


def test_a_centroid_by_hand(tmp_path: Path) -> None:
    # Documents: 0 = token 1 twice, 1 = token 2; label 0 has both, label 1 only document 1, label 2 none.
    split = split_of(tmp_path, [[0], [0, 1]], 3)
    tokens = (np.array([1, 1, 2], dtype=np.uint16), np.array([0, 2, 3]))
    centroid = label_centroids([split], [tokens], 3, 4)
    half = np.sqrt(0.5)
    assert centroid.toarray() == pytest.approx(np.array([[0, half, half, 0], [0, 0, 1, 0], [0, 0, 0, 0]]))
    # One term of two equal ones: the first; it has length 1 again.
    assert label_centroids([split], [tokens], 3, 4, terms=1).toarray()[0] == pytest.approx([0, 1, 0, 0])


@given(seed=st.integers(0, 50), block=st.integers(1, 60))
@settings(max_examples=12, deadline=None)
def test_centroids_do_not_depend_on_the_blocks(
    tmp_path_factory: pytest.TempPathFactory, seed: int, block: int
) -> None:
    rng = np.random.default_rng(seed)
    truth = [sorted(rng.choice(9, rng.integers(1, 5), replace=False).tolist()) for _ in range(12)]
    split = split_of(tmp_path_factory.mktemp("blocks"), truth, 9)
    offsets = np.concatenate([[0], np.cumsum(rng.integers(0, 6, 12))])
    flat = rng.integers(0, 20, int(offsets[-1])).astype(np.uint16)
    whole = label_centroids([split], [(flat, offsets)], 9, 20).toarray()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(centroids, "BLOCK", block)
        parts = label_centroids([split], [(flat, offsets)], 9, 20).toarray()
    assert parts == pytest.approx(whole)
    # The slow truth: a document's counts by idf, at length 1; their sum for each label, at length 1.
    count = np.zeros((12, 20))
    np.add.at(count, (np.repeat(np.arange(12), np.diff(offsets)), flat), 1)
    weight = count * (np.log(13 / (1 + (count > 0).sum(axis=0))) + 1)
    unit = weight / np.maximum(np.linalg.norm(weight, axis=1), 1e-30)[:, None]
    total = np.array(
        [sum((unit[d] for d in range(12) if label in truth[d]), np.zeros(20)) for label in range(9)]
    )
    assert whole == pytest.approx(total / np.maximum(np.linalg.norm(total, axis=1), 1e-30)[:, None], abs=1e-6)


def test_large_centroids_are_single_precision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    split = split_of(tmp_path, [[0], [1]], 2)
    tokens = (np.array([1, 2, 3], dtype=np.uint16), np.array([0, 2, 3]))
    double = label_centroids([split], [tokens], 2, 4)
    monkeypatch.setattr(centroids, "DOUBLE", 2)
    single = label_centroids([split], [tokens], 2, 4)
    assert (double.dtype, single.dtype) == (np.float64, np.float32)
    assert single.toarray() == pytest.approx(double.toarray())


def test_the_heaviest_terms_stay() -> None:
    matrix = sp.csr_matrix(np.array([[5.0, 1, 3, 0], [0, 2, 0, 0], [1, 1, 1, 1]]))
    assert heaviest(matrix, 2).toarray().tolist() == [[5, 0, 3, 0], [0, 2, 0, 0], [1, 1, 0, 0]]
    assert heaviest(matrix, 9) is matrix


@pytest.mark.parametrize("dense", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_threads_and_subtrees_change_nothing(
    dense: bool, dtype: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    matrix = clusters(700, 30, 0).astype(dtype)
    rows = matrix.toarray() if dense else matrix
    one = balanced_groups(rows, 37, seed=5)
    monkeypatch.setattr(groups_module, "SUBTREE", 60)
    assert (balanced_groups(rows, 37, seed=5, threads=3) == one).all()
    # Blocks of rows change the order of sums, so the last bits, but not with the number of threads.
    monkeypatch.setattr(groups_module, "ROWS", 64)
    several = [balanced_groups(rows, 37, seed=5, threads=threads) for threads in (1, 2, 4)]
    assert (several[0] == several[1]).all() and (several[0] == several[2]).all()
    sizes = np.bincount(several[0], minlength=37)
    assert sizes.max() - sizes.min() <= 1
    assert len(np.unique(balanced_groups(rows, 37, seed=6) == one)) == 2


def test_clusters_come_out_together() -> None:
    group_L = balanced_groups(clusters(256, 64, 1), 32, seed=0)
    of_cluster = [len(set(group_L[i : i + 8])) for i in range(0, 256, 8)]
    at_random = [len(set(random_groups(256, 32, 0)[i : i + 8])) for i in range(0, 256, 8)]
    assert np.mean(of_cluster) < 2 < 6 < np.mean(at_random)


@given(group=st.lists(st.integers(0, 6), min_size=1, max_size=60))
@settings(max_examples=60, deadline=None)
def test_label_order_puts_groups_side_by_side(group: list[int]) -> None:
    order = label_order(np.array(group))
    assert sorted(order.tolist()) == list(range(len(group)))
    assert order.tolist() == [i for g in range(7) for i, its in enumerate(group) if its == g]


def test_statistics_by_hand(tmp_path: Path) -> None:
    # Groups {0, 1} and {2, 3}. Documents: {0, 1} one group, {0, 2, 3} two, {3} one; pairs together: 01 and 23, of 4.
    split = split_of(tmp_path / "store", [[0, 1], [0, 2, 3], [3]], 4)
    write_groups(tmp_path / "groups.npy", np.array([0, 0, 1, 1], dtype=np.int32), [split], seed=0)
    said = json.loads((tmp_path / "groups.json").read_text())
    assert (said["labels"], said["groups"], said["smallest group"], said["largest group"]) == (4, 2, 2, 2)
    assert said["groups per document"] == pytest.approx(4 / 3, abs=1e-4)
    assert said["share of co-occurring label pairs in one group"] == 0.5
    assert said["share of co-occurring label pairs in one group, random"] == pytest.approx(1 / 3, abs=1e-6)
    assert not {"seconds", "memory"} & set(" ".join(said).split())


def test_statistics_do_not_depend_on_the_blocks(smoke: SmokeData, tmp_path: Path) -> None:
    split = PreparedStore.open(smoke.sample).split("train")
    group_L = np.load(smoke.groups)
    said = []
    for pairs in (1, 500, 2**22):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(groups_module, "PAIRS", pairs)
            write_groups(tmp_path / "groups.npy", group_L, [split], seed=1)
        said.append((tmp_path / "groups.json").read_text())
    assert said[0] == said[1] == said[2]


def test_feature_centroids_by_hand(tmp_path: Path) -> None:
    split = split_of(tmp_path, [[0], [0, 1], [1]], 3)
    features = np.array([[3, 0], [0, 2], [0, 0]], dtype=np.float16)
    half = np.sqrt(0.5)
    assert feature_centroids([split], features, 3) == pytest.approx(np.array([[half, half], [0, 1], [0, 0]]))
    features[1, 0] = np.nan
    with pytest.raises(DataError, match="NaN or infinity"):
        feature_centroids([split], features, 3)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((4, 2), np.float32), r"shape \(4, 2\); allowed: floats, 3 rows \(the labels\)"),
        (np.zeros((3, 2), np.int64), "int64 of shape"),
        (np.zeros(3, np.float32), r"shape \(3,\)"),
        (np.array([{}], dtype=object), "cannot be read as an array"),
    ],
)
def test_unfit_features_are_refused(tmp_path: Path, array: np.ndarray, message: str) -> None:
    np.save(tmp_path / "x.npy", array, allow_pickle=True)
    with pytest.raises(DataError, match=message):
        load_features(tmp_path / "x.npy", 3, "labels")


def test_the_command_groups_by_features(smoke: SmokeData, tmp_path: Path) -> None:
    store = PreparedStore.open(smoke.sample)
    rng = np.random.default_rng(0)
    arguments = [
        "group",
        "--sample",
        str(smoke.sample),
        "--grouping",
        "semantic",
        "--groups",
        "16",
        "--seed",
        "1",
    ]
    for of, rows in (("labels", store.labels), ("documents", store.split("train").documents)):
        np.save(tmp_path / f"{of}.npy", rng.standard_normal((rows, 8)).astype(np.float32))
        out = tmp_path / f"by-{of}.npy"
        features = ["--features", str(tmp_path / f"{of}.npy"), "--feature-rows", of, "--out", str(out)]
        assert main([*arguments, *features]) == 0
        sizes = np.bincount(np.load(out), minlength=16)
        assert sizes.sum() == store.labels and sizes.max() - sizes.min() <= 1
    # Rows of the other kind are refused, and so is nothing at all.
    swapped = ["--features", str(tmp_path / "labels.npy"), "--out", str(tmp_path / "no.npy")]
    assert main([*arguments, *swapped]) == 2
    assert main([*arguments, "--out", str(tmp_path / "no.npy")]) == 2
    assert not (tmp_path / "no.npy").exists()
