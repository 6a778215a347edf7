"""Tokens: what the tokenizer itself says, whatever the number of processes, and only once."""

import itertools
import json
import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers, processors

from xmcbench.data import token_parts
from xmcbench.data.store import Texts
from xmcbench.data.store_writer import Rows, write_store
from xmcbench.data.tokenizer import NO_PAD, DocumentTokenizer
from xmcbench.data.tokens import LABELS, TokenStore, load_tokenizer, tokenise
from xmcbench.errors import ConfigError, DataError

TEXTS = ["a cat sat", "", "the naïve coöperation of 猫 and 🐈", "cat " * 40, "\t tab\u00a0and\u200bmore\n"]
ARRAYS = [f"{split}{part}.npy" for split in ("train", "validation", "test") for part in ("", "_offsets")]


def texts_as_arrays(texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
    encoded = [t.encode() for t in texts]
    ends = np.cumsum([0, *map(len, encoded)]).astype(np.int64)
    return np.frombuffer(b"".join(encoded), np.uint8), ends


def store_of(folder: Path, texts: list[str], label_texts: list[str] | None = None) -> Path:
    rows = Rows([f"d{i}" for i in range(len(texts))], texts, [[0]] * len(texts))
    label_ids = [f"l{i}" for i in range(len(label_texts or ["only"]))]
    write_store(folder, "tiny", label_ids, {"train": rows, "test": Rows(["t"], ["test text"], [[0]])}, {})
    if label_texts is not None:
        for name, array in zip(
            ("label_texts", "label_texts_offsets"), texts_as_arrays(label_texts), strict=True
        ):
            np.save(folder / f"{name}.npy", array)
    return folder


@pytest.fixture(scope="module")
def roberta(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A byte-level BPE tokenizer with RoBERTa's ids: <s> = 0, <pad> = 1, </s> = 2; 0 pads nothing, 101 is no [CLS]."""
    folder = tmp_path_factory.mktemp("roberta")
    tokens = ["<s>", "<pad>", "</s>", "<unk>", *sorted(pre_tokenizers.ByteLevel.alphabet()), "ca", "cat"]
    vocabulary = {token: i for i, token in enumerate(tokens)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[("c", "a"), ("ca", "t")], unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in tokens[:4]])
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    tokenizer.save(str(folder / "tokenizer.json"))
    return str(folder)


def word_level(folder: Path, vocabulary: dict[str, int]) -> str:
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=next(iter(vocabulary))))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    folder.mkdir()
    tokenizer.save(str(folder / "tokenizer.json"))
    return str(folder)


def documents(tokens: TokenStore, split: str) -> list[list[int]]:
    flat, offsets = tokens.split(split)
    return [flat[a:b].tolist() for a, b in itertools.pairwise(offsets)]


def test_special_tokens_are_the_tokenizers(tmp_path: Path, roberta: str) -> None:
    store = store_of(tmp_path / "store", TEXTS)
    tokenise(store, tmp_path / "out", roberta, 8, special=True)
    tokens = TokenStore.open(tmp_path / "out")
    assert tokens.pad_id == 1
    found = documents(tokens, "train")
    cat = load_tokenizer(roberta).token_to_id("cat")
    assert all(ids[0] == 0 and ids[-1] == 2 and len(ids) <= 8 for ids in found)
    assert found[1] == [0, 2] and cat in found[0] and found[3].count(cat) >= 3

    tokenise(store, tmp_path / "bare", roberta, 8, special=False)
    bare = documents(TokenStore.open(tmp_path / "bare"), "train")
    assert bare[1] == [] and [ids[1:-1] for ids in found] == [ids[:6] for ids in bare]


def test_large_and_gappy_vocabularies_keep_their_ids(tmp_path: Path) -> None:
    store = store_of(tmp_path / "store", ["far near far"])
    name = word_level(tmp_path / "gappy", {"near": 3, "far": 70_000})
    tokenise(store, tmp_path / "out", name, 8, special=False)
    tokens = TokenStore.open(tmp_path / "out")
    assert documents(tokens, "train") == [[70_000, 3, 70_000]]
    assert tokens.vocabulary == 70_001 and tokens.split("train")[0].dtype == np.uint32
    name = word_level(tmp_path / "just", {"near": 3, "far": 65_535})
    tokenise(store, tmp_path / "narrow", name, 8, special=False)
    assert TokenStore.open(tmp_path / "narrow").split("train")[0].dtype == np.uint16


def test_a_tokenizer_that_cannot_pad_is_refused_where_padding_is_needed(tmp_path: Path) -> None:
    name = word_level(tmp_path / "padless", {"a": 0, "b": 1})
    assert DocumentTokenizer(name, 8, special=False).pad_id == NO_PAD
    with pytest.raises(DataError, match=r"encoder\.pretrained: .*padless.* has no padding token"):
        DocumentTokenizer(name, 8, special=True)
    with pytest.raises(DataError, match=r"encoder\.pretrained: no tokenizer for"):
        DocumentTokenizer(str(tmp_path / "nowhere" / "deep" / "x"), 8, special=False)


def test_a_length_of_special_tokens_alone_is_refused(roberta: str) -> None:
    with pytest.raises(ConfigError, match=r"data\.max_length: 2 leaves no token .*; allowed: more than 2"):
        DocumentTokenizer(roberta, 2, special=True)


@given(
    texts=st.lists(st.text(max_size=12), min_size=1, max_size=12),
    bounds=st.tuples(st.integers(0, 12), st.integers(0, 12)),
    budget=st.integers(1, 20),
)
@settings(max_examples=50, deadline=None)
def test_blocks_are_the_texts_of_the_part(texts: list[str], bounds: tuple[int, int], budget: int) -> None:
    texts = [t.encode("utf-8", "ignore").decode() for t in texts]
    start, end = sorted(min(b, len(texts)) for b in bounds)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(token_parts, "TEXT_BYTES", budget)
        blocks = list(token_parts._blocks(Texts(*texts_as_arrays(texts)), start, end))
    assert [t for block in blocks for t in block] == texts[start:end]
    assert all(len(block) == 1 or len("".join(block).encode()) <= budget for block in blocks)


def test_the_number_of_processes_and_parts_changes_no_byte(
    tmp_path: Path, roberta: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [f"{text} {i}" if i % 7 else "" for i in range(30) for text in TEXTS]
    store = store_of(tmp_path / "store", texts, ["first label", ""])
    tokenise(store, tmp_path / "whole", roberta, 16, special=True)
    monkeypatch.setattr(token_parts, "PART", 10)
    pools = []
    pool = token_parts.ProcessPoolExecutor
    monkeypatch.setattr(
        token_parts, "ProcessPoolExecutor", lambda n, *a, **k: pools.append(n) or pool(n, *a, **k)
    )
    for processes in (1, 2):
        tokenise(store, tmp_path / f"parts{processes}", roberta, 16, special=True, processes=processes)
    assert pools == [2], "the second try was meant to use processes"
    for name in (*ARRAYS, "labels.npy", "labels_offsets.npy", "tokens.json"):
        whole = (tmp_path / "whole" / name).read_bytes()
        assert [(tmp_path / f"parts{n}" / name).read_bytes() for n in (1, 2)] == [whole, whole], name

    encoder = load_tokenizer(roberta)
    encoder.enable_truncation(16)
    ids = [encoder.encode(text).ids for text in texts]
    np.save(tmp_path / "flat.npy", np.concatenate(ids).astype(np.uint16))
    np.save(tmp_path / "offsets.npy", np.cumsum([0, *map(len, ids)]).astype(np.int64))
    assert (tmp_path / "flat.npy").read_bytes() == (tmp_path / "whole" / "train.npy").read_bytes()
    assert (tmp_path / "offsets.npy").read_bytes() == (tmp_path / "whole" / "train_offsets.npy").read_bytes()
    np.save(tmp_path / "none.npy", np.zeros(0, np.uint16))
    assert (tmp_path / "none.npy").read_bytes() == (tmp_path / "whole" / "validation.npy").read_bytes()


def test_label_texts_are_tokenised_as_the_split_labels(tmp_path: Path, roberta: str) -> None:
    store = store_of(tmp_path / "store", TEXTS, ["cat", "", "dog"])
    tokenise(store, tmp_path / "out", roberta, 16, special=True)
    found = documents(TokenStore.open(tmp_path / "out"), LABELS)
    assert found == [load_tokenizer(roberta).encode(t).ids for t in ("cat", "", "dog")]
    tokenise(store_of(tmp_path / "bare", TEXTS), tmp_path / "without", roberta, 16, special=True)
    with pytest.raises(DataError, match=r"labels\.npy: missing; tokenise the data set again"):
        TokenStore.open(tmp_path / "without").split(LABELS)


@pytest.fixture
def stopped(tmp_path: Path, roberta: str, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path, list[str]]:
    """A store, and its tokens of which three of eight parts were made when the try ended; and what is encoded next."""
    store, out = store_of(tmp_path / "store", [f"text {i}" for i in range(70)]), tmp_path / "out"
    monkeypatch.setattr(token_parts, "PART", 10)
    encode, encoded = token_parts._encode, list[str]()

    def three(part: token_parts.Part) -> token_parts.Part:
        if part.number == 3:
            raise KeyboardInterrupt
        return encode(part)

    monkeypatch.setattr(token_parts, "_encode", three)
    with pytest.raises(KeyboardInterrupt):
        tokenise(store, out, roberta, 16, special=True)
    assert not (out / "tokens.json").exists()

    def noted(part: token_parts.Part) -> token_parts.Part:
        encoded.append(part.file)
        return encode(part)

    monkeypatch.setattr(token_parts, "_encode", noted)
    return store, out, encoded


EVERY = [*(f"train-{i:06d}.npz" for i in range(7)), "test-000000.npz"]


def test_finished_parts_are_kept(
    stopped: tuple[Path, Path, list[str]], roberta: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store, out, encoded = stopped
    with caplog.at_level(logging.INFO, "xmcbench"):
        tokenise(store, out, roberta, 16, special=True)
    assert encoded == EVERY[3:]
    assert "tokens: 3 of 8 parts are kept" in caplog.text
    assert not (out / ".parts").exists()
    tokenise(store, tmp_path / "whole", roberta, 16, special=True)
    assert [(out / n).read_bytes() for n in ARRAYS] == [(tmp_path / "whole" / n).read_bytes() for n in ARRAYS]


def test_a_damaged_part_is_made_again(stopped: tuple[Path, Path, list[str]], roberta: str) -> None:
    store, out, encoded = stopped
    part = out / ".parts" / "train-000001.npz"
    part.write_bytes(part.read_bytes()[:-40])
    tokenise(store, out, roberta, 16, special=True)
    assert encoded == [EVERY[1], *EVERY[3:]]


def test_parts_of_other_texts_or_settings_are_not_kept(
    stopped: tuple[Path, Path, list[str]], roberta: str
) -> None:
    store, out, encoded = stopped
    store_of(store, [f"other {i}" for i in range(70)])
    tokenise(store, out, roberta, 16, special=True)
    assert encoded == EVERY
    cat = load_tokenizer(roberta).encode("other 69").ids
    assert documents(TokenStore.open(out), "train")[69] == cat


def test_parts_of_another_length_are_not_kept(stopped: tuple[Path, Path, list[str]], roberta: str) -> None:
    store, out, encoded = stopped
    tokenise(store, out, roberta, 5, special=True)
    assert encoded == EVERY
    assert max(map(len, documents(TokenStore.open(out), "train"))) == 5


PROGRAM = """
import sys
from pathlib import Path
from xmcbench.data import token_parts
from xmcbench.data.tokens import tokenise
if __name__ == "__main__":
    token_parts.PART = 200
    tokenise(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], 128, special=True, processes=2)
"""


def children_of(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for task in tasks for child in task.read_text().split()]


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="reads process ids from /proc")
def test_kill_9_leaves_no_process_and_finished_parts_are_kept(
    tmp_path: Path, roberta: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = store_of(tmp_path / "store", [f"{TEXTS[2]} {TEXTS[3]} {i}" for i in range(16_000)])
    script, out = tmp_path / "program.py", tmp_path / "out"
    script.write_text(PROGRAM)
    process = subprocess.Popen([sys.executable, str(script), str(store), str(out), roberta])
    deadline = time.monotonic() + 60
    while len(list(out.glob(".parts/train-*.npz"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.005)
    children = children_of(process.pid)
    assert process.poll() is None and len(children) >= 2, "tokenising was too quick to be killed"
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    deadline = time.monotonic() + 20
    while any(map(is_running, children)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(is_running, children)), "an orphan would hold memory until the machine restarts"

    monkeypatch.setattr(token_parts, "PART", 200)
    kept, total = len(list(out.glob(".parts/train-*.npz"))), 80
    assert 2 <= kept < total
    encode, encoded = token_parts._encode, list[str]()

    def noted(part: token_parts.Part) -> token_parts.Part:
        encoded.append(part.file)
        return encode(part)

    monkeypatch.setattr(token_parts, "_encode", noted)
    tokenise(store, out, roberta, 128, special=True)
    assert len([name for name in encoded if name.startswith("train")]) == total - kept
    assert json.loads((out / "tokens.json").read_text())["documents"]["train"] == 16_000
    assert [p.name for p in out.glob(".*")] == []
