"""src/xmcbench/output/hashed.py: labels share buckets; a label's score is the mean of its buckets' scores (MACH)."""

import torch
from torch import Tensor, nn

from xmcbench.errors import ConfigError
from xmcbench.output.layer import OutputLayer, uniform
from xmcbench.recipe import Output


class Hashed(OutputLayer):
    """z_l = b_l + mean_t (x Wᵀ)[bucket_TL[t, l]], with T tables of M buckets: T·M·D weights and T·L indices."""

    index_buffers = ("bucket_TL",)

    def __init__(self, features: int, labels: int, recipe: Output, generator: torch.Generator) -> None:
        super().__init__(features, labels, recipe, generator)
        rows = self.tables * self.buckets
        self.weight_MD = uniform((rows, features), recipe.initial_range, generator)
        self.bias_L = nn.Parameter(torch.full((labels,), recipe.initial_bias))
        bucket_TL = torch.randint(self.buckets, (self.tables, labels), generator=generator)
        first_T1 = torch.arange(self.tables)[:, None] * self.buckets
        self.bucket_TL: Tensor
        self.register_buffer("bucket_TL", (bucket_TL + first_T1).to(torch.int32))

    def read_options(self, options: dict[str, object]) -> None:
        if set(options) != {"tables", "buckets"}:
            raise ConfigError("output.options: allowed: tables and buckets, both")
        self.tables, self.buckets = (int(str(options[name])) for name in ("tables", "buckets"))

    def forward(self, x_BD: Tensor) -> Tensor:
        score_BM = nn.functional.linear(x_BD, self.weight_MD)
        z_BL = self.bias_L.expand(len(x_BD), -1)
        for bucket_L in self.bucket_TL:
            z_BL = z_BL + score_BM[:, bucket_L] / self.tables
        return z_BL


LAYER = Hashed
