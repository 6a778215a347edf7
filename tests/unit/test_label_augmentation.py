"""Label texts as training documents: each is a document whose only label it is, in training and nowhere else."""

import logging
from pathlib import Path

import numpy as np
import pytest

from xmcbench.data.batches import Batches
from xmcbench.data.store import PreparedStore
from xmcbench.data.store_writer import Rows, write_store
from xmcbench.data.tokens import TokenStore, load_tokenizer, tokenise
from xmcbench.data.training_documents import label_split, training_documents
from xmcbench.errors import ConfigError, DataError
from xmcbench.recipe import Data, ReferenceRecipe, TrainRecipe
from xmcbench.training.reference import reference_run
from xmcbench.training.run import train_run

LABEL_TEXTS = ["animal", "zebra", "fruit"]
MINILM = "packaged/minilm-l6"


def write_label_texts(folder: Path, texts: list[str]) -> None:
    encoded = [t.encode() for t in texts]
    np.save(folder / "label_texts.npy", np.frombuffer(b"".join(encoded), np.uint8))
    np.save(folder / "label_texts_offsets.npy", np.cumsum([0, *map(len, encoded)]).astype(np.int64))


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Three labels, of which `zebra` has a text but no training document; the test document is about zebras."""
    store, tokens = tmp_path / "store", tmp_path / "tokens"
    train = Rows(["a", "b", "c"], ["a dog and a cat", "an apple", "a cat, a pear"], [[0], [2], [0, 2]])
    splits = {
        "train": train,
        "validation": Rows(["v"], ["a pear"], [[2]]),
        "test": Rows(["t"], ["zebra"], [[1]]),
    }
    write_store(store, "tiny", ["l0", "l1", "l2"], splits, {})
    write_label_texts(store, LABEL_TEXTS)
    tokenise(store, tokens, MINILM, 16, special=False)
    return store, tokens


def test_every_label_is_one_more_document(folders: tuple[Path, Path]) -> None:
    store, tokens = PreparedStore.open(folders[0]), TokenStore.open(folders[1])
    found = training_documents(store, tokens, hold_out_validation=False, label_augmentation=True)
    assert [split.documents for split in found.splits] == [3, 1, 3]
    assert found.splits[-1].text(1) == "zebra" and found.splits[-1].ids()[1] == "l1"
    batch = Batches(found.splits, found.tokens, 16, seed=0).at(0)
    encoder = load_tokenizer(MINILM)
    encoder.no_padding()
    bounds = [*batch.offset_B.tolist(), batch.token_T.numel()]
    seen = {
        tuple(batch.token_T[bounds[row] : bounds[row + 1]].tolist()): batch.positives.label_P[
            batch.positives.row_P == row
        ].tolist()
        for row in range(batch.documents)
    }
    assert len(seen) == 7
    texts = {"a dog and a cat": [0], "an apple": [2], "a cat, a pear": [0, 2], "a pear": [2]}
    texts |= {text: [i] for i, text in enumerate(LABEL_TEXTS)}
    assert seen == {
        tuple(encoder.encode(text, add_special_tokens=False).ids): labels for text, labels in texts.items()
    }
    # What propensities and statistics count has not changed.
    assert store.label_counts("train", "validation").tolist() == [2, 0, 3]
    without = training_documents(store, tokens, hold_out_validation=True, label_augmentation=False)
    assert [split.documents for split in without.splits] == [3]


def first_label(folder: Path) -> int:
    with np.load(folder / "topk.npz") as arrays:
        return int(arrays["label"][0, 0])


@pytest.mark.parametrize("runner", ["train", "linear_ovr"])
def test_a_label_without_documents_is_learnt_from_its_text(
    runner: str, folders: tuple[Path, Path], tmp_path: Path
) -> None:
    found = {}
    for augmentation in (False, True):
        identity = {
            "dataset": "tiny",
            "method": "m",
            "budget": "b",
            "data": Data(label_augmentation=augmentation),
        }
        out, log = tmp_path / f"run{augmentation}", logging.getLogger("test")
        if runner == "train":
            recipe = TrainRecipe.model_validate(
                {
                    **identity,
                    "encoder": {"hidden": 16},
                    "training": {"epochs": 40, "loss": "bce", "threads": 1},
                }
            )
            train_run(recipe, out, *folders, None, 100.0, log)
        else:
            reference = ReferenceRecipe.model_validate({**identity, "runner": "linear_ovr", "threads": 1})
            reference_run(reference, out, *folders, log)
        found[augmentation] = first_label(out)
    assert found[True] == 1 and found[False] != 1


def test_a_data_set_without_label_texts_is_refused(folders: tuple[Path, Path]) -> None:
    (folders[0] / "label_texts.npy").unlink()
    store, tokens = PreparedStore.open(folders[0]), TokenStore.open(folders[1])
    with pytest.raises(ConfigError, match=r"data\.label_augmentation: .*tiny have no texts; allowed: false"):
        training_documents(store, tokens, hold_out_validation=True, label_augmentation=True)
    with pytest.raises(ConfigError, match=r"data\.label_augmentation"):
        label_split(store)


def test_tokens_of_an_earlier_state_are_refused(folders: tuple[Path, Path]) -> None:
    store_folder, tokens_folder = folders
    splits = {"train": Rows(["a"], ["a dog"], [[0]])}
    write_store(store_folder, "tiny", ["l0", "l1", "l2"], splits, {}, ["cat", "dog", "cow"])
    store, tokens = PreparedStore.open(store_folder), TokenStore.open(tokens_folder)
    with pytest.raises(DataError, match=r"tokens of 3 documents, .* has 1; tokenise the data set again"):
        training_documents(store, tokens, hold_out_validation=True, label_augmentation=False)
    (tokens_folder / "labels.npy").unlink()
    with pytest.raises(DataError, match=r"labels\.npy: missing; tokenise the data set again"):
        training_documents(store, tokens, hold_out_validation=True, label_augmentation=True)
