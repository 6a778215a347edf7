"""Writers of the public formats: what the parsers must read back, laid out as the archives are."""

import gzip
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy.sparse as sp


@dataclass(frozen=True)
class Split:
    """Texts and labels of one published split."""

    texts: Sequence[str]
    labels: Sequence[Sequence[int]]


Splits = dict[str, Split]
SHORT = {"train": "trn", "test": "tst"}


def write_pecos(folder: Path, splits: Splits, label_texts: Sequence[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, split in splits.items():
        (folder / f"X.{SHORT[name]}.txt").write_text("".join(f"{t}\n" for t in split.texts))
        indptr = np.cumsum([0, *(len(its) for its in split.labels)])
        indices = np.array([label for its in split.labels for label in its], dtype=np.int32)
        shape = (len(split.texts), len(label_texts))
        matrix = sp.csr_matrix((np.ones(len(indices), np.float32), indices, indptr), shape=shape)
        sp.save_npz(folder / f"Y.{SHORT[name]}.npz", matrix)
    (folder / "output-items.txt").write_text("".join(f"{t}\n" for t in label_texts))


def write_raw_texts(
    folder: Path, splits: Splits, label_words: Sequence[str], stem: str = "raw_texts"
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, split in splits.items():
        (folder / f"{name}_{stem}.txt").write_text("".join(f"{t}\n" for t in split.texts))
        lines = (" ".join(label_words[i] for i in its) for its in split.labels)
        (folder / f"{name}_labels.txt").write_text("".join(f"{line}\n" for line in lines))


def write_repository_json(
    folder: Path,
    splits: Splits,
    label_texts: Sequence[str],
    filters: dict[str, Sequence[tuple[int, int]]] | None = None,
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, split in splits.items():
        with gzip.open(folder / f"{SHORT[name]}.json.gz", "wt", encoding="utf-8") as handle:
            for row, (text, its) in enumerate(zip(split.texts, split.labels, strict=True)):
                title, _, content = text.partition(" ")
                value = {"uid": f"u{row}", "title": title, "content": content}
                handle.write(
                    json.dumps({**value, "target_ind": list(its), "target_rel": [1.0] * len(its)}) + "\n"
                )
    with gzip.open(folder / "lbl.json.gz", "wt", encoding="utf-8") as handle:
        for row, text in enumerate(label_texts):
            handle.write(json.dumps({"uid": f"l{row}", "title": text}) + "\n")
    for name, pairs in (filters or {}).items():
        # numpy's default float format, as the repository writes them
        np.savetxt(folder / f"filter_labels_{name}.txt", np.array(pairs, dtype=float).reshape(-1, 2))


def write_sparse_texts(
    folder: Path,
    splits: Splits,
    label_texts: Sequence[str],
    filters: dict[str, Sequence[tuple[int, int]]] | None = None,
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, split in splits.items():
        (folder / f"{SHORT[name]}_X.txt").write_text("".join(f"{t}\n" for t in split.texts))
        rows = (" ".join(f"{i}:1.00000" for i in its) for its in split.labels)
        (folder / f"{SHORT[name]}_X_Y.txt").write_text(
            f"{len(split.texts)} {len(label_texts)}\n" + "".join(f"{row}\n" for row in rows)
        )
    (folder / "Y.txt").write_bytes("".join(f"{t}\n" for t in label_texts).encode("latin-1"))
    for name, pairs in (filters or {}).items():
        np.savetxt(folder / f"{SHORT[name]}_filter_labels.txt", np.array(pairs).reshape(-1, 2), fmt="%d")
