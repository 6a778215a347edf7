"""Parsers of the public formats: what a writer wrote comes back, and every kind of damage is named with file and line."""

import gzip
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from xmcbench.data.corpus import Corpus
from xmcbench.data.dataset import Counts, DatasetSpec, PropensityConstants, Source
from xmcbench.data.formats import open_corpus
from xmcbench.data.formats.lines import lines
from xmcbench.data.prepare import prepare
from xmcbench.data.store import PreparedStore
from xmcbench.errors import DataError

from ..data.format_writers import (
    Split,
    write_pecos,
    write_raw_texts,
    write_repository_json,
    write_sparse_texts,
)

# U+2028 and U+0085 end lines for str.splitlines, not for a text file.
TEXTS = ["one two", "three\u2028four", "five\x85six seven", ""]
SPLITS = {
    "train": Split(TEXTS, [[0, 2], [], [1], [2]]),
    "test": Split(["eight nine", "ten"], [[3], [0, 1, 3]]),
}
LABELS = ["red", "green", "Grün", "3"]
FILTERS = {"train": [(0, 2), (3, 1)], "test": [(1, 0)]}


def write(kind: str, folder: Path) -> Corpus:
    if kind == "pecos":
        write_pecos(folder, SPLITS, LABELS)
    elif kind == "raw_texts":
        write_raw_texts(folder, SPLITS, LABELS)
    elif kind == "repository_json":
        write_repository_json(folder, SPLITS, LABELS, FILTERS)
    else:
        write_sparse_texts(folder, SPLITS, LABELS, FILTERS)
    return reopen(kind, folder)


def reopen(kind: str, folder: Path) -> Corpus:
    return open_corpus(Source.model_validate({"format": kind, "latin_1": ["Y.txt"]}), folder)


KINDS = ["pecos", "raw_texts", "repository_json", "sparse_texts"]


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_written_comes_back(kind: str, tmp_path: Path) -> None:
    # Nested as archives nest them, beside a file of no interest.
    (tmp_path / "readme.txt").write_text("hello")
    corpus = write(kind, tmp_path / "inner" / "set")
    corpus = reopen(kind, tmp_path)
    # raw_texts has no list of labels: the index is the place among the sorted words, and the words are kept.
    order = sorted(LABELS) if kind == "raw_texts" else LABELS
    index = [order.index(label) for label in LABELS]
    assert list(corpus.label_ids()) == (order if kind == "raw_texts" else ["0", "1", "2", "3"])
    texts = corpus.label_texts()
    assert texts is None if kind == "raw_texts" else list(texts or ()) == LABELS
    for name, split in SPLITS.items():
        found = list(corpus.documents(name))
        assert [d.text for d in found] == list(split.texts)
        assert [d.labels for d in found] == [tuple(sorted(index[i] for i in its)) for its in split.labels]
        assert [d.id for d in found] == sorted(d.id for d in found)
        pairs = corpus.filter_pairs(name)
        assert (
            pairs is None
            if kind in ("pecos", "raw_texts")
            else pairs.tolist() == [list(p) for p in FILTERS[name]]
        )  # type: ignore[union-attr]


@given(
    st.lists(
        st.tuples(
            st.text(st.characters(codec="utf-8", exclude_characters="\n\r\ufeff"), max_size=12),
            st.lists(st.integers(0, 6), unique=True, max_size=5),
        ),
        min_size=1,
        max_size=12,
    )
)
@settings(max_examples=25, deadline=None)
def test_any_text_survives_pecos_and_sparse_texts(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, list[int]]]
) -> None:
    folder = tmp_path_factory.mktemp("any")
    split = Split([text for text, _ in rows], [its for _, its in rows])
    labels = [f"l{i}" for i in range(7)]
    write_pecos(folder / "p", {"train": split, "test": split}, labels)
    write_sparse_texts(folder / "s", {"train": split, "test": split}, labels)
    for kind, name in (("pecos", "p"), ("sparse_texts", "s")):
        found = list(reopen(kind, folder / name).documents("test"))
        assert [(d.text, list(d.labels)) for d in found] == [(t, sorted(its)) for t, its in rows]


def edit(name: str, change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        path = folder / name
        raw = gzip.decompress(path.read_bytes()) if name.endswith(".gz") else path.read_bytes()
        raw = change(raw)
        path.write_bytes(gzip.compress(raw) if name.endswith(".gz") else raw)

    return apply


def replaced(old: bytes, new: bytes) -> Callable[[bytes], bytes]:
    def change(raw: bytes) -> bytes:
        assert old in raw
        return raw.replace(old, new, 1)

    return change


def matrix(**arrays: object) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        with np.load(folder / "Y.trn.npz") as found:
            np.savez_compressed(folder / "Y.trn.npz", **{**found, **arrays})  # type: ignore[arg-type]

    return apply


DAMAGE = [
    ("pecos", edit("X.trn.txt", lambda raw: raw + b"more\n"), r"X\.trn\.txt, line 5: .*Y\.trn\.npz has only 4 rows"),
    ("pecos", edit("X.trn.txt", lambda raw: raw.split(b"\n", 1)[1]), r"X\.trn\.txt: 3 lines, but .*Y\.trn\.npz has 4 rows"),
    ("pecos", edit("X.trn.txt", replaced(b"one two\n", b"one two\r\n")), r"X\.trn\.txt, line 1: ends in a carriage return"),
    ("pecos", edit("X.trn.txt", lambda raw: b"\xef\xbb\xbf" + raw), r"X\.trn\.txt, line 1: begins with a byte-order mark"),
    ("pecos", edit("X.trn.txt", replaced(b"one", b"\xff")), r"X\.trn\.txt, line 1: not UTF-8 \(byte 0\)"),
    ("pecos", edit("X.trn.txt", lambda raw: b""), r"X\.trn\.txt: the file is empty"),
    ("pecos", edit("output-items.txt", lambda raw: raw + b"x\n"), r"output-items\.txt: 5 lines; allowed: 4"),
    ("pecos", matrix(indices=np.array([0, 2, 1, 4], np.int32)), r"Y\.trn\.npz, row 3: label 4; allowed: 0 … 3"),
    ("pecos", matrix(indices=np.array([0, -2, 1, 2], np.int32)), r"Y\.trn\.npz, row 0: label -2; allowed: 0 … 3"),
    ("pecos", matrix(data=np.array([1, np.nan, 1, 1], np.float32)), r"Y\.trn\.npz, row 0: a value is not a finite"),
    ("pecos", matrix(indptr=np.array([0, 2, 1, 3, 4])), r"Y\.trn\.npz, row 1: indptr falls"),
    ("pecos", matrix(indptr=np.array([0, 2, 2, 3])), r"Y\.trn\.npz: indptr does not describe 4 rows"),
    ("pecos", matrix(shape=np.array([4, 9])), r"Y\.tst\.npz: 4 labels, but .*Y\.trn\.npz has 9"),
    ("pecos", edit("Y.trn.npz", lambda raw: raw[: len(raw) // 2]), r"Y\.trn\.npz: not a sparse matrix"),
    ("raw_texts", edit("train_labels.txt", lambda raw: raw + b"red\n"), r"train_labels\.txt, line 5: belongs to no line of .*train_raw_texts\.txt"),
    ("raw_texts", edit("train_labels.txt", replaced(b"red", b"red " * 100_001)), r"train_labels\.txt, line 1: 100002 labels of one document"),
    ("repository_json", edit("trn.json.gz", replaced(b"[0, 2]", b"[0, 4]")), r"trn\.json\.gz, line 1: label 4; allowed: 0 … 3"),
    ("repository_json", edit("trn.json.gz", replaced(b"[0, 2]", b"[0, -1]")), r"trn\.json\.gz, line 1: label -1"),
    ("repository_json", edit("trn.json.gz", replaced(b"[0, 2]", b"[0, 2.0]")), r"line 1: field 'target_ind' holds 2\.0; allowed: whole numbers"),
    ("repository_json", edit("trn.json.gz", replaced(b"[0, 2]", b"[0, true]")), r"line 1: field 'target_ind' holds True"),
    ("repository_json", edit("trn.json.gz", replaced(b"[1.0, 1.0]", b"[1.0, NaN]")), r"line 1: field 'target_rel' holds nan"),
    ("repository_json", edit("trn.json.gz", replaced(b"[1.0, 1.0]", b"[1.0]")), r"line 1: field 'target_rel' is not a list as long"),
    ("repository_json", edit("trn.json.gz", replaced(b'"title"', b'"name"')), r"line 1: field 'title' is missing"),
    ("repository_json", edit("trn.json.gz", replaced(b'{"uid"', b'{uid')), r"line 1: not JSON"),
    ("repository_json", edit("filter_labels_test.txt", replaced(b"1.0", b"1.5")), r"filter_labels_test\.txt, line 1: '1\.5.*' is no whole"),
    ("repository_json", edit("filter_labels_test.txt", replaced(b"1.0", b"9.0")), r"filter_labels_test\.txt, line 1: row 9; allowed: 0 … 1"),
    ("sparse_texts", edit("trn_X_Y.txt", replaced(b"4 4", b"5 4")), r"trn_X_Y\.txt, line 5: ends after 4 rows; the header says 5"),
    ("sparse_texts", edit("trn_X_Y.txt", replaced(b"4 4", b"3 4")), r"trn_X_Y\.txt, line 5: the header says 3 rows"),
    ("sparse_texts", edit("trn_X_Y.txt", replaced(b"4 4", b"4 3")), r"tst_X_Y\.txt, line 1: 4 labels, but .*trn_X_Y\.txt has 3"),
    ("sparse_texts", edit("trn_X_Y.txt", replaced(b"4 4\n", b"")), r"trn_X_Y\.txt, line 1: '0:1.* is no header"),
    ("sparse_texts", edit("trn_X_Y.txt", replaced(b"0:1.00000", b"4294967296:1.0")), r"trn_X_Y\.txt, line 2: label 4294967296"),
    ("sparse_texts", edit("trn_X_Y.txt", replaced(b"0:1.00000", b"0:nan")), r"trn_X_Y\.txt, line 2: '0:nan'; allowed: column:value with a finite"),
    ("sparse_texts", edit("trn_X_Y.txt", replaced(b"0:1.00000", b"zero")), r"trn_X_Y\.txt, line 2: 'zero'; allowed: column:value"),
    ("sparse_texts", edit("tst_filter_labels.txt", replaced(b"1 0", b"1 0 7")), r"tst_filter_labels\.txt, line 1: 3 fields"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "damage", "message"), DAMAGE)
def test_damage_is_named(kind: str, damage: Callable[[Path], None], message: str, tmp_path: Path) -> None:
    write(kind, tmp_path)
    damage(tmp_path)
    with pytest.raises(DataError, match=message):
        corpus = reopen(kind, tmp_path)
        corpus.label_ids()
        list(corpus.label_texts() or ())
        for split in corpus.splits:
            list(corpus.documents(split))
            corpus.filter_pairs(split)


def test_a_truncated_archive_is_named(tmp_path: Path) -> None:
    write("repository_json", tmp_path)
    raw = (tmp_path / "trn.json.gz").read_bytes()
    (tmp_path / "trn.json.gz").write_bytes(raw[: len(raw) // 2])
    with pytest.raises(DataError, match=r"trn\.json\.gz, after line \d+: truncated or damaged archive"):
        list(reopen("repository_json", tmp_path).documents("train"))


def test_a_missing_file_or_folder_and_two_of_a_name_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere: no such folder; fetch the data set, or name the folder"):
        reopen("pecos", tmp_path / "nowhere")
    write("pecos", tmp_path / "one")
    (tmp_path / "one" / "Y.tst.npz").unlink()
    with pytest.raises(DataError, match=r"holds no file named Y\.tst\.npz"):
        reopen("pecos", tmp_path)
    write("pecos", tmp_path / "one")
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    with pytest.raises(DataError, match=r"two files named Y\.trn\.npz"):
        reopen("pecos", tmp_path)


def test_announced_encodings_and_line_ends_pass(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes("Grün\r\nzwei\r\n".encode("latin-1"))
    assert [text for _, text in lines(path, latin_1=True, crlf=True)] == ["Grün", "zwei"]


def test_relevance_zero_is_no_label_and_repeats_are_counted(tmp_path: Path) -> None:
    write("repository_json", tmp_path)
    edit("trn.json.gz", replaced(b'"target_ind": [0, 2], "target_rel": [1.0, 1.0]', b'"target_ind": [0, 2, 2], "target_rel": [0, 1, 1]'))(tmp_path)  # fmt: skip
    document = next(iter(reopen("repository_json", tmp_path).documents("train")))
    assert document.labels == (2,) and document.repeated_labels == 1


def test_json_without_a_list_of_labels_counts_them(tmp_path: Path) -> None:
    write("repository_json", tmp_path)
    (tmp_path / "lbl.json.gz").unlink()
    corpus = reopen("repository_json", tmp_path)
    assert list(corpus.label_ids()) == ["0", "1", "2", "3"] and corpus.label_texts() is None
    assert [d.labels for d in corpus.documents("test")] == [(3,), (0, 1, 3)]


def test_large_sparse_matrices_are_streamed_in_blocks(tmp_path: Path) -> None:
    matrix = sp.random(3000, 500, density=0.1, random_state=0, format="csr")
    texts = [f"text {i}" for i in range(3000)]
    its = [matrix.indices[a:b].tolist() for a, b in zip(matrix.indptr, matrix.indptr[1:], strict=False)]
    split = Split(texts, its)
    write_pecos(tmp_path, {"train": split, "test": split}, [f"l{i}" for i in range(500)])
    assert matrix.nnz > 2 * 65_536
    assert [list(d.labels) for d in reopen("pecos", tmp_path).documents("train")] == [sorted(x) for x in its]


def spec(kind: str, folder: Path, **values: object) -> DatasetSpec:
    return DatasetSpec(
        name="tiny",
        label="tiny",
        source=Source.model_validate({"format": kind, "folder": str(folder), "latin_1": ["Y.txt"]}),
        max_length=8,
        propensity=PropensityConstants(a=0.5, b=0.4),
        **values,  # type: ignore[arg-type]
    )


@pytest.mark.parametrize("kind", KINDS)
def test_ones_own_folder_becomes_a_store(kind: str, tmp_path: Path) -> None:
    write(kind, tmp_path / "files")
    manifest = prepare(spec(kind, tmp_path / "files"), tmp_path / "store")
    store = PreparedStore.open(tmp_path / "store")
    assert manifest.documents["train"] + manifest.documents["validation"] == 4
    assert list(store.split("test").texts()) == ["eight nine", "ten"]
    assert manifest.statistics["documents without labels"] == 1, "kept: filter files name rows"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["files", "store"], "no temporary folder is left"
    if kind in ("repository_json", "sparse_texts"):
        found = set()
        for name in ("train", "validation"):
            for row, label in store.filter_pairs(name):  # type: ignore[union-attr]
                found.add((store.split(name).text(int(row)), int(label)))
        assert found == {(TEXTS[0], 2), (TEXTS[3], 1)}


def test_declared_counts_are_checked_and_leave_nothing_behind(tmp_path: Path) -> None:
    write("pecos", tmp_path / "files")
    wrong = spec("pecos", tmp_path / "files", counts={"full": Counts(documents_train=5)})
    with pytest.raises(DataError, match=r"tiny\.yaml: counts\.full\.documents_train: declared 5, found 4"):
        prepare(wrong, tmp_path / "store")
    assert not (tmp_path / "store" / "manifest.json").exists()


GENUINE = Path(__file__).parents[3] / "shared/data/fixtures/lf-amazontitles-131k"


@pytest.mark.skipif(not GENUINE.is_dir(), reason="the genuine files of LF-AmazonTitles-131K are not here")
def test_the_genuine_matrix_and_filters(tmp_path: Path) -> None:
    """134,835 × 131,073 with 284,746 positives; 79,663 and 75,144 filter pairs."""
    import lzma

    from xmcbench.data.formats.filters import read_filter
    from xmcbench.data.formats.folder import Folder
    from xmcbench.data.formats.sparse_texts import header, matrix_rows

    for file in GENUINE.glob("*.xz"):
        (tmp_path / file.stem).write_bytes(lzma.decompress(file.read_bytes()))
    folder = Folder(tmp_path)
    path = folder.file("tst_X_Y.txt")
    shape = header(folder, path)
    rows = [its for _, its in matrix_rows(folder, path, shape)]
    assert shape == (134_835, 131_073) and sum(map(len, rows)) == 284_746
    assert len({label for its in rows for label in its}) == 131_073
    test = read_filter(folder, "tst_filter_labels.txt", rows=134_835, labels=131_073)
    train = read_filter(folder, "trn_filter_labels.txt", rows=294_805, labels=131_073)
    assert test is not None and train is not None and (len(test), len(train)) == (79_663, 75_144)
    truth = {(row, label) for row, its in enumerate(rows) for label in its}
    assert not truth & set(map(tuple, test.tolist())), "no filter pair is a true pair"
