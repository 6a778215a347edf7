"""The positive labels of one batch, the only form in which labels reach a loss.

Shapes: B documents of the batch, L labels, P positive (document, label) pairs.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from xmcbench.errors import ShapeError


@dataclass(frozen=True)
class Positives:
    """Positive pairs in coordinate form, sorted by document; a pair occurs once.

    documents: B.  row_P: int64, document of each pair within the batch.  label_P: int64, its label.
    """

    documents: int
    row_P: Tensor
    label_P: Tensor

    def require_documents(self, documents: int) -> None:
        """Raise ShapeError unless these are the positives of so many documents, of one at least."""
        if self.documents != documents:
            raise ShapeError(f"positives: of {self.documents} documents; allowed: {documents}, as in x_BD")
        if not documents:
            raise ShapeError("positives: of no documents; allowed: a batch of 1 or more")
        if self.row_P.shape != self.label_P.shape:
            raise ShapeError(
                f"positives: row_P has shape {tuple(self.row_P.shape)}, label_P {tuple(self.label_P.shape)}; "
                "allowed: P elements each"
            )

    def require_within(self, documents: int, labels: int) -> None:
        """Raise ShapeError if a pair lies outside documents × labels: kernels would read and write elsewhere."""
        self.require_documents(documents)
        if not self.row_P.numel():
            return
        # One transfer from a GPU, not four.
        bounds = torch.stack([self.row_P.min(), self.row_P.max(), self.label_P.min(), self.label_P.max()])
        for name, low, high, size in zip(
            ("row_P", "label_P"),
            bounds[::2].tolist(),
            bounds[1::2].tolist(),
            (documents, labels),
            strict=True,
        ):
            if low < 0 or high >= size:
                wrong = low if low < 0 else high
                raise ShapeError(f"positives: {name} holds {wrong}; allowed: 0 … {size - 1}")

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
