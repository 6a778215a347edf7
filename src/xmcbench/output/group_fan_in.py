"""Group-shared fixed fan-in: G neighbouring labels read the same K inputs, each with weights of its own.

After HASTE (arXiv 2606.01117): the rows of a group are gathered once and the rest is small dense products, and the index
costs 1/G of that of fixed fan-in. Which labels are neighbours is their order; grouping alike labels is up to the data set.
"""

import torch
from torch import Tensor

from xmcbench.output.fixed_fan_in import FixedFanIn
from xmcbench.output.layer import GrowthBatch, required
from xmcbench.recipe import Output


class GroupFanIn(FixedFanIn):
    """z_l = b_l + Σ_j w_lj · x[index_gj], g = ⌊l/G⌋, K distinct rising inputs a group."""

    #: Its kernels copy the rows that a group reads, and would gain nothing by narrow ones.
    reads = FixedFanIn.reads - {"feature_dtype"} | {"group"}
    index_buffers = ("index_HK",)
    index_name = "index_HK"

    def labels_a_row(self, recipe: Output) -> int:
        return required(recipe.group, "output.group", recipe.kind)

    def _row_weights(self) -> Tensor:
        """Return the mean |w| of each input over the labels of its group (HASTE's score of a connection)."""
        group_L = torch.arange(self.labels, device=self.weight_LK.device) // self.group
        total_HK = torch.zeros(self.index.shape, dtype=torch.float32, device=self.weight_LK.device)
        total_HK.index_add_(0, group_L, self.weight_LK.detach().float().abs())
        return total_HK / torch.bincount(group_L)[:, None]

    def _row_gradient(self, batch: GrowthBatch, first: int, last: int) -> Tensor:
        """Return the mean |∂loss/∂w| over the labels of each group, as the score that they are pruned by."""
        labels = slice(first * self.group, min(last * self.group, self.labels))
        gradient_lD = self.connection_gradient(batch, labels.start, labels.stop).abs()
        group_l = torch.arange(len(gradient_lD), device=gradient_lD.device) // self.group
        total_hD = gradient_lD.new_zeros(last - first, self.features).index_add_(0, group_l, gradient_lD)
        return total_hD / torch.bincount(group_l)[:, None]


LAYER = GroupFanIn
