"""The data room: the split rule by hand, counts of the embedded sets, and what bad files are told."""

import json
import lzma
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from xmcbench.data.batches import Batches, sequential
from xmcbench.data.dataset import Counts, DatasetSpec, PropensityConstants, SampleSpec, Source
from xmcbench.data.formats import open_corpus
from xmcbench.data.inverse_frequency import inverse_document_frequency
from xmcbench.data.label_groups import balanced_groups, random_groups
from xmcbench.data.prepare import prepare
from xmcbench.data.sample import sample
from xmcbench.data.split import held_out, rank
from xmcbench.data.store import PreparedStore
from xmcbench.data.store_writer import Rows, write_store
from xmcbench.data.tokens import TokenStore, load_tokenizer
from xmcbench.errors import ConfigError, DataError

from ..conftest import SmokeData


def write_lines(path: Path, lines: list[bytes]) -> Source:
    path.write_bytes(lzma.compress(b"".join(line + b"\n" for line in lines)))
    return Source(format="jsonl_xz", file=str(path), label_field="labels")


def document(identity: str, text: str = "words", labels: list[str] | None = None) -> bytes:
    return json.dumps({"id": identity, "text": text, "labels": labels or []}).encode()


def hold_out(ids: list[str], labels: list[list[int]], salt: str, share: float) -> list[int]:
    indptr = np.cumsum([0, *map(len, labels)])
    indices = np.array([label for its in labels for label in its], dtype=np.int64)
    return np.flatnonzero(held_out(ids, indptr, indices, 20, salt, share)).tolist()


def parse(source: Source) -> list[object]:
    return list(open_corpus(source, Path()).documents("whole"))


def test_hash_is_the_first_eight_bytes_of_sha256() -> None:
    # sha256(b"xmc-v1\0n05207437") begins with these bytes; computed with coreutils.
    assert rank("", "") == 0x6E340B9CFFB37A98


@given(
    labels=st.lists(st.lists(st.integers(0, 8), min_size=1, max_size=4, unique=True), max_size=40),
    share=st.floats(0, 0.6),
)
@settings(max_examples=80, deadline=None)
def test_every_label_keeps_a_document(labels: list[list[int]], share: float) -> None:
    ids = [f"d{i}" for i in range(len(labels))]
    out = hold_out(ids, labels, "salt", share)
    assert len(out) <= round(share * len(ids))
    stay = Counter(label for i, its in enumerate(labels) if i not in set(out) for label in its)
    assert all(stay[label] >= 1 for its in labels for label in its)


def test_split_takes_documents_in_hash_order() -> None:
    ids = [f"d{i}" for i in range(10)]
    by_hash = sorted(range(10), key=lambda i: rank(ids[i], "s"))
    # The first in line is the only document of label 7: it can never be held out, and the next two are.
    labels = [[3] for _ in ids]
    labels[by_hash[0]] = [3, 7]
    assert hold_out(ids, labels, "s", 0.2) == sorted(by_hash[1:3])


def test_embedded_counts_are_asserted_and_a_wrong_one_stops(
    project, smoke: SmokeData, tmp_path: Path
) -> None:
    manifest = PreparedStore.open(smoke.prepared).manifest
    assert (sum(manifest.documents[s] for s in ("train", "validation")), manifest.documents["test"]) == (
        82_814,
        20_704,
    )
    assert manifest.labels == 33_259
    spec: DatasetSpec = project.datasets["wordnet-33k"]
    wrong = spec.counts["smoke"].model_copy(update={"labels": 1_717})
    spec = spec.model_copy(update={"counts": {"smoke": wrong}})
    with pytest.raises(
        DataError, match=r"wordnet-33k\.yaml: counts\.smoke\.labels: declared 1717, found 1716"
    ):
        sample(smoke.prepared, spec, "smoke", project.sample_rule("smoke"), tmp_path / "out")
    assert not (tmp_path / "out" / "manifest.json").exists()


@pytest.mark.parametrize("name", ["wordnet-114k", "debian-deps-42k"])
def test_the_larger_embedded_sets_have_their_counts(project, name: str, tmp_path: Path) -> None:
    manifest = prepare(project.datasets[name], tmp_path)
    expected = {"wordnet-114k": (93_429, 23_357, 113_730), "debian-deps-42k": (42_658, 14_220, 42_242)}[name]
    documents = manifest.documents
    assert (documents["train"] + documents["validation"], documents["test"], manifest.labels) == expected


def test_sample_rules_by_hand(tmp_path: Path) -> None:
    lines = [document(f"d{i}", labels=["a"] if i % 2 else ["a", "b"]) for i in range(8)]
    lines += [
        document("lonely", labels=["c"]),
        document("empty text", text="", labels=["a", "b"]),
        document("unlabelled"),
    ]
    spec = DatasetSpec(
        name="tiny",
        label="tiny",
        source=write_lines(tmp_path / "tiny.jsonl.xz", lines),
        max_length=8,
        propensity=PropensityConstants(a=0.5, b=0.4),
    )
    full = prepare(spec, tmp_path / "full")
    assert full.statistics["documents without labels"] == 1 and full.statistics["empty texts"] == 1
    assert sum(full.documents.values()) == 10
    small = sample(tmp_path / "full", spec, "two", SampleSpec(minimum_label_documents=2), tmp_path / "two")
    store = PreparedStore.open(tmp_path / "two")
    assert list(store.label_ids) == ["a", "b"], "label c has one document, too few"
    assert small.statistics["documents without kept labels, train"] == 1
    every = [i for name in ("train", "validation", "test") for i in store.split(name).ids()]
    assert "lonely" not in every and "empty text" in every


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([document("a"), b"{not json"], r"line 2: not JSON"),
        ([b'{"id": "a", "text": "x"}'], r"line 1: field 'labels' is missing"),
        ([b'{"id": 3, "text": "x", "labels": []}'], r"line 1: field 'id' is a int; allowed: str"),
        ([b'{"id": "a", "text": "x", "labels": [3]}'], r"line 1: field 'labels' holds a int; allowed: str"),
        ([document("a"), document("a")], r"line 2: id 'a' occurs a second time"),
        ([b'{"id": "\xff"}'], r"line 1: not UTF-8"),
        ([b"[1]"], r"line 1: expected an object, found list"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, lines: list[bytes], message: str) -> None:
    source = write_lines(tmp_path / "bad.jsonl.xz", lines)
    with pytest.raises(DataError, match=rf"bad\.jsonl\.xz, {message}"):
        parse(source)


def test_a_truncated_or_missing_archive_is_named(tmp_path: Path) -> None:
    source = write_lines(tmp_path / "cut.jsonl.xz", [document(f"d{i}", text="x" * 99) for i in range(500)])
    whole = (tmp_path / "cut.jsonl.xz").read_bytes()
    (tmp_path / "cut.jsonl.xz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"cut\.jsonl\.xz, after line \d+: truncated"):
        parse(source)
    with pytest.raises(DataError, match=r"nowhere\.xz: no such file; allowed: .*wordnet\.jsonl\.xz"):
        parse(source.model_copy(update={"file": "nowhere.xz"}))


def test_a_label_out_of_range_is_named_with_its_document(tmp_path: Path) -> None:
    rows = Rows(["x", "y"], ["a", "b"], [[0], [1]])
    write_store(tmp_path, "tiny", ["only"], {"train": rows}, {})
    with pytest.raises(DataError, match=r"train_indices\.npy: document 1 \(y\) has label 1; allowed: 0 … 0"):
        PreparedStore.open(tmp_path).split("train")


def test_a_store_without_manifest_or_of_another_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="prepare the data set first"):
        PreparedStore.open(tmp_path)
    write_store(tmp_path, "tiny", ["a"], {}, {})
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    (tmp_path / "manifest.json").write_text(json.dumps({**manifest, "format": 99}))
    with pytest.raises(DataError, match="format 99; allowed: 1"):
        PreparedStore.open(tmp_path)


def test_tokens_are_the_tokenizers_own(smoke: SmokeData) -> None:
    store, tokens = PreparedStore.open(smoke.sample), TokenStore.open(smoke.tokens)
    flat, offsets = tokens.split("test")
    encoder = load_tokenizer("packaged/minilm-l6")
    encoder.no_padding()
    encoder.enable_truncation(32)
    for i in (0, 17, 883):
        expected = encoder.encode(store.split("test").text(i), add_special_tokens=False).ids
        assert flat[offsets[i] : offsets[i + 1]].tolist() == expected
    assert flat.dtype == np.uint16 and np.diff(offsets).max() <= 32


def test_batches_cover_an_epoch_once_and_do_not_depend_on_what_came_before(smoke: SmokeData) -> None:
    store, tokens = PreparedStore.open(smoke.sample), TokenStore.open(smoke.tokens)
    split, its = store.split("train"), tokens.split("train")
    one, two = (Batches([split], [its], 100, seed=3) for _ in range(2))
    assert one.steps_per_epoch == 33
    seen = Counter[int]()
    for step in range(one.steps_per_epoch):
        batch = one.at(step)
        seen.update(batch.positives.label_P.tolist())
    assert seen == Counter(split.indices.tolist())
    late, again = one.at(40), two.at(40)
    assert late.token_T.equal(again.token_T) and late.positives.label_P.equal(again.positives.label_P)
    assert not late.token_T.equal(one.at(7).token_T)


def test_a_batch_holds_its_documents_tokens_and_labels(smoke: SmokeData) -> None:
    store, tokens = PreparedStore.open(smoke.sample), TokenStore.open(smoke.tokens)
    split, (flat, offsets) = store.split("test"), tokens.split("test")
    batch = list(sequential(split, (flat, offsets), 64))[2]
    for row in (0, 63):
        i = 128 + row
        end = batch.offset_B[row + 1] if row < 63 else batch.token_T.numel()
        assert batch.token_T[batch.offset_B[row] : end].tolist() == flat[offsets[i] : offsets[i + 1]].tolist()
        labels = batch.positives.label_P[batch.positives.row_P == row].tolist()
        assert labels == split.indices[split.indptr[i] : split.indptr[i + 1]].tolist()


def test_train_and_validation_join_end_to_end(smoke: SmokeData) -> None:
    store, tokens = PreparedStore.open(smoke.sample), TokenStore.open(smoke.tokens)
    names = ("train", "validation")
    both = Batches([store.split(n) for n in names], [tokens.split(n) for n in names], 128, seed=0)
    assert both.documents == 3_656
    pairs = sum(both.at(s).positives.label_P.numel() for s in range(both.steps_per_epoch))
    assert pairs == 9_509


def test_inverse_frequency_counts_documents() -> None:
    # Token 1 is in one of two documents (twice), token 2 in both.
    weights = inverse_document_frequency([(np.array([1, 1, 2, 2]), np.array([0, 3, 4]))], 4)
    assert weights == pytest.approx([np.log(3) + 1, np.log(3 / 2) + 1, 1.0, np.log(3) + 1])


@given(labels=st.integers(1, 60), seed=st.integers(0, 5), data=st.data())
@settings(max_examples=40, deadline=None)
def test_groups_hold_every_label_once_and_are_balanced(labels: int, seed: int, data: st.DataObject) -> None:
    groups = data.draw(st.integers(1, labels))
    centroid_LV = sp.random(labels, 12, density=0.4, random_state=seed, format="csr")
    for group_L in (balanced_groups(centroid_LV, groups, seed), random_groups(labels, groups, seed)):
        sizes = np.bincount(group_L, minlength=groups)
        assert len(group_L) == labels and len(sizes) == groups
        assert sizes.max() - sizes.min() <= 1
    assert (balanced_groups(centroid_LV, groups, seed) == balanced_groups(centroid_LV, groups, seed)).all()


def test_groups_follow_the_centroids() -> None:
    centroid_LV = sp.csr_matrix(np.array([[1, 0], [0, 1], [1, 0], [0, 1]], dtype=float))
    group_L = balanced_groups(centroid_LV, 2, seed=0)
    assert group_L[0] == group_L[2] != group_L[1] == group_L[3]
    with pytest.raises(ConfigError, match=r"auxiliary\.groups: 5 groups of 4 labels; allowed: 1 … 4"):
        balanced_groups(centroid_LV, 5, seed=0)


def test_a_store_that_cannot_be_finished_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(AttributeError):
        write_store(tmp_path, "tiny", ["a"], {"train": Rows(["x", "y"], ["a", None], [[0], [0]])}, {})  # type: ignore[list-item]
    assert list(tmp_path.iterdir()) == []


def test_a_sample_that_takes_everything_keeps_unlabelled_documents_filter_and_label_texts(
    tmp_path: Path,
) -> None:
    rows = Rows(
        [f"{i:03d}" for i in range(6)], [f"text {i}" for i in range(6)], [[0], [], [1], [0, 1], [2], [1]]
    )
    test = Rows(["000", "001"], ["one", "two"], [[2], []])
    pairs = {"train": np.array([[3, 1], [5, 2]]), "validation": np.zeros((0, 2)), "test": np.array([[1, 2]])}
    write_store(tmp_path / "full", "tiny", "abc", {"train": rows, "test": test}, {}, ["A", "B", "C"], pairs)
    spec = DatasetSpec(
        name="tiny",
        label="tiny",
        source=Source(format="pecos"),
        max_length=8,
        propensity=PropensityConstants(a=0.5, b=0.4),
        counts={"full": Counts(documents_train=6, labels=3)},
    )
    manifest = sample(tmp_path / "full", spec, "full", SampleSpec(), tmp_path / "out")
    store = PreparedStore.open(tmp_path / "out")
    assert manifest.documents["train"] + manifest.documents["validation"] == 6
    assert list(store.label_texts or ()) == ["A", "B", "C"] and store.labels == 3
    filtered = set()
    for name in ("train", "validation"):
        found = store.filter_pairs(name)
        assert found is not None
        filtered |= {(store.split(name).ids()[row], int(label)) for row, label in found}
    assert filtered == {("003", 1), ("005", 2)}
    assert store.filter_pairs("test").tolist() == [[1, 2]]  # type: ignore[union-attr]


def test_a_sample_that_drops_labels_moves_filter_pairs_with_rows_and_labels(tmp_path: Path) -> None:
    rows = Rows([f"{i}" for i in range(4)], ["text"] * 4, [[0, 2], [2], [1, 2], [2]])
    test = Rows(["0", "1", "2"], ["zero", "one", "two"], [[0], [2], [1, 2]])
    pairs = {"test": np.array([[1, 2], [2, 0], [2, 2]])}
    write_store(tmp_path / "full", "tiny", "abc", {"train": rows, "test": test}, {}, None, pairs)
    spec = DatasetSpec(
        name="tiny",
        label="tiny",
        source=Source(format="pecos"),
        max_length=8,
        propensity=PropensityConstants(a=0.5, b=0.4),
    )
    sample(tmp_path / "full", spec, "two", SampleSpec(minimum_label_documents=2), tmp_path / "out")
    store = PreparedStore.open(tmp_path / "out")
    # Label c alone has two documents; the test document without it goes, so rows 1 and 2 are now 0 and 1.
    assert list(store.label_ids) == ["c"] and list(store.split("test").texts()) == ["one", "two"]
    assert store.filter_pairs("test").tolist() == [[0, 0], [1, 0]]  # type: ignore[union-attr]
