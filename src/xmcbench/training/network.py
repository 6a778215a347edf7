"""The network of a run: encoder → dropout → (intermediate) → output layer, and for a while the auxiliary head.

Shapes: B documents, D encoder features, I intermediate width, L labels.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from xmcbench import encoder as encoders
from xmcbench import output as outputs
from xmcbench.output.ordered import Ordered
from xmcbench.recipe import Auxiliary, TrainRecipe
from xmcbench.seeds import derive
from xmcbench.training.auxiliary import AuxiliaryHead

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": torch.relu,
    "gelu": nn.functional.gelu,
    "none": lambda x: x,
}


class IntermediateLayer(nn.Module):
    """Linear + activation. Without one (`none`, the official code) two linear maps are one of rank ≤ D."""

    def __init__(self, features: int, width: int, activation: str) -> None:
        super().__init__()
        self.linear = nn.Linear(features, width)
        self._activation = ACTIVATIONS[activation]

    def forward(self, x_BD: Tensor) -> Tensor:
        return self._activation(self.linear(x_BD))


class Network(nn.Module):
    """The parts of a run. The output layer is trained by its own `train_step`, everything before it by autograd."""

    def __init__(
        self,
        recipe: TrainRecipe,
        labels: int,
        vocabulary: int,
        pad_id: int,
        inverse_frequency: Callable[[], np.ndarray],
        group_L: Tensor | None,
        order_L: Tensor | None = None,
        drawn_on: str = "cpu",
    ) -> None:
        """drawn_on: device that draws the output layer's beginning. On the CPU it is the same for runs on any device."""
        super().__init__()
        # Layers of torch and transformers draw from the global generator.
        torch.manual_seed(derive(recipe.seed, "network"))
        self.encoder = encoders.build(recipe.encoder, vocabulary, pad_id, inverse_frequency)
        self.dropout = nn.Dropout(recipe.encoder.dropout)
        width = recipe.encoder.features
        self.intermediate: IntermediateLayer | None = None
        if recipe.intermediate is not None:
            width = recipe.intermediate.width
            self.intermediate = IntermediateLayer(
                recipe.encoder.features, width, recipe.intermediate.activation
            )
        generator = torch.Generator(drawn_on).manual_seed(derive(recipe.seed, "output"))
        with torch.device(drawn_on):
            self.output = outputs.build(width, labels, recipe.output_for(labels), generator, recipe.topology)
        if order_L is not None:
            self.output = Ordered(self.output, order_L)
        #: The dense layer of a gradient probe, which the trainer puts here: part of every checkpoint, of no model file.
        self.probe: nn.Module | None = None
        self.auxiliary: AuxiliaryHead | None = None
        if group_L is not None:
            its = recipe.auxiliary or Auxiliary()
            self.auxiliary = AuxiliaryHead(
                recipe.encoder.features, group_L, recipe.seed, its.reduction, its.expected_groups
            )

    def features(self, token_T: Tensor, offset_B: Tensor) -> Tensor:
        """Return what the output layer reads, x_BD or x_BI, with dropout off in evaluation mode."""
        x_BD: Tensor = self.dropout(self.encoder(token_T, offset_B))
        return x_BD if self.intermediate is None else self.intermediate(x_BD)

    def parameter_counts(self) -> dict[str, int]:
        """Count the weights of classifier (output and intermediate layer) and encoder."""
        intermediate = sum(p.numel() for p in self.intermediate.parameters()) if self.intermediate else 0
        return {
            "classifier": self.output.effective_parameters() + intermediate,
            "encoder": sum(p.numel() for p in self.encoder.parameters()),
        }
