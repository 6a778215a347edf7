"""What gradient would a dense layer give the encoder here? A dense layer that learns beside the run's own, unseen by the encoder.

The paper's diagnosis (§2.3) is that a sparse layer sends the encoder a poor gradient. Its size alone does not say so: a
probe of the same features and documents says what a dense layer would have sent, and the cosine how near the run's is.

Shapes: B documents, D features read, L labels.
"""

import torch
from torch import Tensor, nn

from xmcbench import output as outputs
from xmcbench.kernels.blocks import Loss
from xmcbench.output import OutputLayer
from xmcbench.positives import Positives
from xmcbench.recipe import Output, OutputOptimizer, TrainRecipe
from xmcbench.seeds import derive
from xmcbench.training.gradients import Gradients
from xmcbench.training.optimizers import output_optimizer


class GradientProbe:
    """The dense layer, its optimiser, and the gradient of the encoder that it would give."""

    def __init__(self, recipe: TrainRecipe, features: int, labels: int, loss: Loss) -> None:
        """features: D. labels: L. Raises nothing: the recipe has been checked."""
        assert recipe.gradient_probe is not None
        own = recipe.output_for(labels)
        its = Output(initial_range=own.initial_range, initial_bias=own.initial_bias)
        generator = torch.Generator().manual_seed(derive(recipe.seed, "gradient probe"))
        self.layer: OutputLayer = outputs.build(features, labels, its, generator)
        rate = OutputOptimizer(learning_rate=recipe.gradient_probe.learning_rate)
        self.layer.to(recipe.training.device)
        self.optimizer = output_optimizer(self.layer, rate)
        self._loss = loss

    def step(self, encoder: nn.Module, x_BD: Tensor, positives: Positives, wanted: bool) -> Gradients:
        """Train the dense layer on features x_BD and return the encoder's gradient by its loss, if wanted.

        x_BD still has its graph, which stays whole; the encoder's own `.grad` are not touched.
        """
        result = self.layer.train_step(
            x_BD.detach(), positives, loss=self._loss, optimizer=self.optimizer, scale=1.0
        )
        if not wanted:
            return []
        trained = [p for p in encoder.parameters() if p.requires_grad]
        found = iter(
            torch.autograd.grad(x_BD, trained, result.grad_x_BD, retain_graph=True, allow_unused=True)
        )
        return [next(found) if p.requires_grad else None for p in encoder.parameters()]
