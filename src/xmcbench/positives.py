"""The positive labels of one batch, the only form in which labels reach a loss.

Shapes: B documents of the batch, L labels, P positive (document, label) pairs.
"""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Positives:
    """Positive pairs in coordinate form, sorted by document; a pair occurs once.

    documents: B.  row_P: int64, document of each pair within the batch.  label_P: int64, its label.
    """

    documents: int
    row_P: Tensor
    label_P: Tensor

    def multi_hot(self, labels: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """Return the dense target matrix y_BL (0/1); for small L, tests and label groups only."""
        y_BL = torch.zeros(self.documents, labels, dtype=dtype, device=self.row_P.device)
        y_BL[self.row_P, self.label_P] = 1
        return y_BL

    def grouped(self, group_L: Tensor) -> "Positives":
        """Map labels to their groups: a document is positive for each group that holds one of its labels."""
        groups = int(group_L.max()) + 1 if group_L.numel() else 1
        key = torch.unique(self.row_P * groups + group_L[self.label_P])
        return Positives(self.documents, key // groups, key % groups)

    def by_label(self) -> tuple[Tensor, Tensor]:
        """Return (label_P, row_P) sorted by label, then document."""
        order = torch.argsort(self.label_P * self.documents + self.row_P)
        return self.label_P[order], self.row_P[order]

    def to(self, device: torch.device) -> "Positives":
        """Return the same positives on another device."""
        return Positives(self.documents, self.row_P.to(device), self.label_P.to(device))
