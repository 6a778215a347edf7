"""AttentionXML's and LightXML's layout: `train_raw_texts.txt` (or `train_texts.txt`), a document a line, and
`train_labels.txt`, its labels as words separated by blanks; likewise `test_…`.

A label's index is its place among the words of train and test together, sorted; the store keeps the words, so that an
index can be read back.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from xmcbench.data.corpus import Document
from xmcbench.data.formats.folder import Folder, label_indices, paired, row_id


class RawTexts:
    """A corpus in AttentionXML's layout."""

    splits = ("train", "test")

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._texts = {s: folder.file(f"{s}_raw_texts.txt", f"{s}_texts.txt") for s in self.splits}
        self._labels = {s: folder.file(f"{s}_labels.txt") for s in self.splits}
        self._ids: list[str] | None = None

    def label_ids(self) -> Sequence[str]:
        if self._ids is None:
            words: set[str] = set()
            for path in self._labels.values():
                for _, line in self._folder.lines(path):
                    words.update(line.split())
            self._ids = sorted(words)
        return self._ids

    def label_texts(self) -> Iterator[str] | None:
        return None

    def documents(self, split: str) -> Iterator[Document]:
        texts, labels = self._texts[split], self._labels[split]
        index = {word: i for i, word in enumerate(self.label_ids())}
        lines = paired(self._folder.lines(texts), self._folder.lines(labels), texts, labels)
        for row, (number, text, words) in enumerate(lines):
            its = [index[word] for word in words.split()]
            distinct, repeated = label_indices(its, len(index), f"{labels}, line {number}")
            yield Document(row_id(row), text, distinct, repeated)

    def filter_pairs(self, split: str) -> np.ndarray | None:
        return None
