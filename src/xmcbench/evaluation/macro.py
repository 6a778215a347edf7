"""Metrics that average over labels, from counts of each label that grow a chunk of documents at a time.

Of a label, over the scored documents: h hits in top-k, m predictions in top-k, t true documents.

- macro-P@k = mean of h/m, macro-R@k = mean of h/t, macro-F1@k = mean of 2h/(m + t), over all labels, 0 where undefined
  (paper, App. A). A label without a test document has 0 in all three, for every method alike.
- coverage@k = share of the labels with t > 0 that have h > 0.

A band averages the same values over its labels, so that the macro values of `all` are the bands' weighted mean.

Shapes: L labels, C cut-offs.
"""

import numpy as np

from xmcbench.evaluation.ranking import Chunk


class LabelSums:
    """Counts of every label at the cut-offs `ks` (rising): 8·C + 4 bytes a label."""

    def __init__(self, ks: tuple[int, ...], labels: int) -> None:
        self.ks = ks
        # int32: no label is counted more than once a document. Row c counts ranks after cut-off c − 1 up to cut-off c.
        self._hits_CL = np.zeros((len(ks), labels), dtype=np.int32)
        self._made_CL = np.zeros((len(ks), labels), dtype=np.int32)
        self._true_L = np.zeros(labels, dtype=np.int32)

    def add(self, chunk: Chunk) -> None:
        """Add the documents of a chunk; those without true labels are not scored, whatever was predicted for them."""
        np.add.at(self._true_L, chunk.label_P, 1)
        scored_B1 = np.zeros((len(chunk.label_Bk), 1), dtype=bool)
        scored_B1[chunk.row_P] = True
        below = 0
        for place, k in enumerate(self.ks):
            label, hit = chunk.label_Bk[:, below:k], chunk.hit_Bk[:, below:k]
            np.add.at(self._made_CL[place], label[(label >= 0) & scored_B1], 1)
            np.add.at(self._hits_CL[place], label[hit], 1)
            below = k

    def values(self, member_L: np.ndarray | None = None) -> dict[str, np.ndarray]:
        """Return metric → value_C in percent, over all labels or those of member_L; nothing if none has a test document."""

        def of_band(count_L: np.ndarray) -> np.ndarray:
            return count_L if member_L is None else count_L[member_L]

        true_L = of_band(self._true_L)
        if not true_L.any():
            return {}
        found: dict[str, list[float]] = {"macro-P": [], "macro-R": [], "macro-F1": [], "coverage": []}
        hit_L, made_L = np.zeros(len(true_L), np.int64), np.zeros(len(true_L), np.int64)
        for place in range(len(self.ks)):
            hit_L += of_band(self._hits_CL[place])
            made_L += of_band(self._made_CL[place])
            found["macro-P"].append(_mean_ratio(hit_L, made_L))
            found["macro-R"].append(_mean_ratio(hit_L, true_L))
            found["macro-F1"].append(_mean_ratio(2 * hit_L, made_L + true_L))
            found["coverage"].append(100.0 * int((hit_L > 0).sum()) / int((true_L > 0).sum()))
        return {metric: np.array(values) for metric, values in found.items()}


def _mean_ratio(part_L: np.ndarray, whole_L: np.ndarray) -> float:
    return 100.0 * float(np.mean(part_L / np.maximum(whole_L, 1)))
