"""The step loop: encode → (intermediate) → output.train_step → auxiliary → backward → encoder step → rewire → log.

Shapes: B documents, D encoder features, L labels.
"""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from xmcbench.data.batches import Batch, Batches
from xmcbench.data.prefetch import ahead
from xmcbench.errors import NonFiniteError
from xmcbench.output.layer import GrowthBatch, StepResult
from xmcbench.positives import Positives
from xmcbench.recipe import TrainRecipe
from xmcbench.seeds import derive
from xmcbench.topology import Topology
from xmcbench.training import optimizers
from xmcbench.training.auxiliary import cutoff_step, fading_weight
from xmcbench.training.checkpoint import Checkpoint, optimizer_state, restore_optimizer
from xmcbench.training.device_meter import DeviceMeter
from xmcbench.training.gradient_probe import GradientProbe
from xmcbench.training.gradients import cosine, finite, gradients_of, norm
from xmcbench.training.hardware import peak_rss_bytes
from xmcbench.training.losses import LOSSES
from xmcbench.training.memory_meter import MemoryMeter, declared_memory, known_tensors, measured_memory
from xmcbench.training.network import Network
from xmcbench.training.seeding import seed_generators

Validate = Callable[[Network], list[dict[str, Any]]]


@dataclass(frozen=True)
class Features:
    """A pass of the encoder: its features, the same after dropout, and what the output layer reads."""

    x_BD: Tensor
    dropped_BD: Tensor
    read_BD: Tensor


class Trainer:
    """Everything that changes while a run trains; `step` counts finished optimiser steps."""

    def __init__(
        self,
        recipe: TrainRecipe,
        network: Network,
        batches: Batches,
        validate: Validate,
        loader_workers: int = 0,
    ) -> None:
        self.recipe, self.network, self.batches, self.validate = recipe, network, batches, validate
        self.loader_workers = loader_workers
        self.device = torch.device(recipe.training.device)
        self.meter = DeviceMeter(self.device)
        self.step = 0
        self.total = recipe.training.epochs * batches.steps_per_epoch
        share = round(recipe.training.warmup_share * self.total)
        self.warmup = recipe.training.warmup_steps or max(1, share)
        self.loss = LOSSES[recipe.training.loss]()
        self.optimizers = optimizers.encoder_optimizers(network.encoder, recipe)
        self.optimizers["output"] = optimizers.output_optimizer(network.output, recipe.output_optimizer)
        if network.intermediate is not None and recipe.intermediate is not None:
            self.optimizers["intermediate"] = optimizers.dense_optimizer(
                [network.intermediate], recipe.intermediate.learning_rate, recipe.intermediate.weight_decay
            )
        self.cutoff = 0
        if network.auxiliary is not None and recipe.auxiliary is not None:
            self.cutoff = cutoff_step(recipe.auxiliary, batches.steps_per_epoch)
            self.optimizers["auxiliary"] = optimizers.dense_optimizer(
                [network.auxiliary], recipe.auxiliary.learning_rate, recipe.auxiliary.weight_decay
            )
        self.probe: GradientProbe | None = None
        if recipe.gradient_probe is not None:
            self.probe = GradientProbe(recipe, network.output.features, network.output.labels, self.loss)
            network.probe, self.optimizers["probe"] = self.probe.layer, self.probe.optimizer
        # Only float16 needs it: small gradients of the encoder would be zero. 2¹² is where the official code starts.
        half = recipe.encoder.autocast == "float16"
        self.scaler = torch.amp.GradScaler(self.device.type, init_scale=2.0**12, enabled=half)
        self.topology: Topology | None = None
        if recipe.topology is not None:
            self.topology = Topology(recipe.topology, self.total, derive(recipe.seed, "rewire"))
        self.history: list[dict[str, Any]] = []
        self.epoch_loss = 0.0
        self.clocks: dict[str, Any] = {"epoch_seconds": [], "running": 0.0, "peak_rss_bytes": 0}
        #: Bytes by kind: `declared` by the layer, and `measured` in the second step (the first makes optimiser state).
        self.memory_bytes: dict[str, dict[str, int]] = {}

    def prepare(self, alive: Callable[[], None] | None = None) -> None:
        """Let the encoder compute ahead what it can; its time is the epoch's. alive: called now and then (may raise)."""
        began = time.perf_counter()
        self.network.encoder.prepare(self.batches.tokens, self.device, alive)
        self.clocks["running"] += time.perf_counter() - began

    def run(self) -> Iterator[int]:
        """Train to the end, yielding the step count after every step; the caller saves and stops in between."""
        self.network.train()
        self._drop_what_is_over()
        self.meter.start()
        with closing(ahead(self.batches, self.step, self.total, self.loader_workers)) as batches:
            while self.step < self.total:
                began = time.perf_counter()
                self.train_step(next(batches))
                if self.step % self.batches.steps_per_epoch == 0:
                    self.meter.wait()  # once an epoch: what one step leaves undone, the next one's clock counts
                self.clocks["running"] += time.perf_counter() - began
                if self.step % self.batches.steps_per_epoch == 0:
                    self._end_epoch()
                yield self.step

    def train_step(self, batch: Batch) -> None:
        """Take one optimiser step of every part and write what is due to the history."""
        recipe, network = self.recipe, self.network
        batch = batch.to(self.device)
        factor = optimizers.cosine_with_warmup(self.step, self.warmup, self.total)
        for optimizer in self.optimizers.values():
            optimizers.set_rate(optimizer, factor)
            optimizer.zero_grad(set_to_none=True)
        parts = batch.parts(recipe.training.accumulation)
        # With one micro-batch its graph is kept; of several only what the output layer reads.
        with torch.set_grad_enabled(len(parts) == 1):
            passes = [self._features(part, number) for number, part in enumerate(parts)]
        x_BD, read_BD = joined([p.x_BD for p in passes]), joined([p.read_BD for p in passes])
        self._require_finite(x_BD, "features x_BD")

        weight = 0.0
        if network.auxiliary is not None and recipe.auxiliary is not None:
            weight = fading_weight(recipe.auxiliary.weight, self.step, self.cutoff)
        result = self._output_step(read_BD.detach(), batch.positives, 1 - weight)
        self._require_finite(result.grad_x_BD, "feature gradient")
        log_due = self.step % recipe.training.log_every_steps == 0
        probed = self.probe.step(network.encoder, read_BD, batch.positives, log_due) if self.probe else []
        auxiliary: float | None = None
        first = 0
        for number, part in enumerate(parts):
            its = passes[0] if len(parts) == 1 else self._features(part, number)
            gradient_BD = result.grad_x_BD[first : first + part.documents]
            first += part.documents
            if network.auxiliary is not None:
                share = part.documents / batch.documents
                term = share * network.auxiliary.loss(its.dropped_BD, part.positives)
                auxiliary = (auxiliary or 0.0) + float(term.detach())
                self._backward([(its.read_BD, gradient_BD), (weight * term, None)])
            else:
                self._backward([(its.read_BD, gradient_BD)])

        # Their own steps were taken inside train_step.
        others = [o for name, o in self.optimizers.items() if name not in {"output", "probe"}]
        for optimizer in others:
            self.scaler.unscale_(optimizer)
        gradients = gradients_of(network.encoder) if log_due else []
        nearness: dict[str, float | None] = {}
        if probed:
            nearness = {"probe_gradient_norm": norm(probed), "probe_cosine": cosine(gradients, probed)}
        for optimizer in others:
            self.scaler.step(optimizer)  # which leaves out a step whose gradients overflowed
        if others:  # a frozen encoder may be all there is
            self.scaler.update()
        if self.step == 0:
            self.memory_bytes["declared"] = declared_memory(network, self.optimizers, batch.documents)
        self.step += 1
        self.epoch_loss += result.loss

        if log_due:
            self.history.append(
                {
                    "kind": "step",
                    "step": self.step,
                    "epoch": (self.step - 1) // self.batches.steps_per_epoch + 1,
                    "loss": result.loss,
                    "auxiliary_loss": auxiliary,
                    "auxiliary_weight": weight,
                    "encoder_gradient_norm": finite(norm(gradients)),
                    **nearness,
                    "feature_gradient_norm": float(result.grad_x_BD.norm()),
                    "feature_variance": float(x_BD.detach().var(dim=0).mean())
                    if batch.documents > 1
                    else 0.0,
                    "zero_share": result.zero_share,
                    "skipped_share": result.skipped_share,
                    "learning_rate": factor * recipe.output_optimizer.learning_rate,
                }
            )
        if self.topology is not None and self.topology.schedule.due(self.step):
            seen = GrowthBatch(read_BD.detach(), batch.positives, self.loss)
            report = network.output.rewire(self.topology, self.step, self.optimizers["output"], seen)
            epoch = (self.step - 1) // self.batches.steps_per_epoch + 1
            counts = {"pruned": report.pruned, "regrown": report.regrown}
            self.history.append({"kind": "rewire", "step": self.step, "epoch": epoch, **counts})
        network.output.after_step(self.step, self.total, self.optimizers["output"])
        self._drop_what_is_over()

    def _features(self, part: Batch, number: int) -> "Features":
        """Pass micro-batch `number` of the step through the encoder; equal numbers draw the same dropout."""
        recipe, network = self.recipe, self.network
        # Dropout is a function of (seed, step, micro-batch), so that a resumed run and a second pass repeat it.
        purpose = f"step, micro-batch {number}" if number else "step"
        seed_generators(self.device, derive(recipe.seed, purpose, self.step))
        with torch.autocast(
            part.token_T.device.type,
            getattr(torch, recipe.encoder.autocast or "bfloat16"),
            enabled=recipe.encoder.autocast is not None,
        ):
            x_BD = network.encoder(part.token_T, part.offset_B)
        x_BD = x_BD.float()
        dropped_BD = network.dropout(x_BD)
        read_BD = dropped_BD if network.intermediate is None else network.intermediate(dropped_BD)
        return Features(x_BD, dropped_BD, read_BD)

    def _output_step(self, x_BD: Tensor, positives: Positives, scale: float) -> StepResult:
        output, optimizer = self.network.output, self.optimizers["output"]

        def step() -> StepResult:
            return output.train_step(x_BD, positives, loss=self.loss, optimizer=optimizer, scale=scale)

        if self.step != 1:
            return step()
        given = (x_BD, positives.row_P, positives.label_P)
        self._keep_peak()
        with MemoryMeter(known_tensors(output, optimizer, *given), self.device) as meter:
            result = step()
        self.memory_bytes["measured"] = measured_memory(output, optimizer, meter, len(x_BD))
        return result

    def checkpoint(self) -> Checkpoint:
        """Return the whole state after `step` steps."""
        tensors = {f"network.{k}": v for k, v in self.network.state_dict().items()}
        values: dict[str, Any] = {}
        for name, optimizer in self.optimizers.items():
            its_tensors, its_values = optimizer_state(name, optimizer)
            tensors |= its_tensors
            values |= its_values
        self.clocks["peak_rss_bytes"] = max(self.clocks["peak_rss_bytes"], peak_rss_bytes())
        self._keep_peak()
        if self.scaler.is_enabled():
            values["gradient_scaler"] = self.scaler.state_dict()
        values |= {"epoch_loss": self.epoch_loss, "clocks": self.clocks, "memory_bytes": self.memory_bytes}
        return Checkpoint(self.step, tensors, values, self.history)

    def _keep_peak(self) -> None:
        """Write down a GPU's peak so far: a checkpoint wants it, and the meter of a step makes the GPU forget it."""
        if (peak := self.meter.peak_bytes()) is not None:
            self.clocks["peak_device_bytes"] = max(self.clocks.get("peak_device_bytes", 0), peak)

    def restore(self, checkpoint: Checkpoint) -> None:
        """Go back to a checkpoint's state; the next step is the one that would have followed."""
        self.step, self.history = checkpoint.step, list(checkpoint.history)
        values = dict(checkpoint.values)
        self.epoch_loss = values.pop("epoch_loss")
        self.clocks, self.memory_bytes = values.pop("clocks"), values.pop("memory_bytes")
        if self.scaler.is_enabled():
            self.scaler.load_state_dict(values.pop("gradient_scaler"))
        self._drop_what_is_over()
        prefix = "network."
        state = {k.removeprefix(prefix): v for k, v in checkpoint.tensors.items() if k.startswith(prefix)}
        self.network.load_state_dict(state)
        for name, optimizer in self.optimizers.items():
            restore_optimizer(name, optimizer, checkpoint.tensors, values)

    def _end_epoch(self) -> None:
        epoch = self.step // self.batches.steps_per_epoch
        validation = self.validate(self.network)
        self.network.train()
        mean = self.epoch_loss / self.batches.steps_per_epoch
        row = {"kind": "epoch", "epoch": epoch, "step": self.step, "loss": mean, "validation": validation}
        self.history.append(row)
        self.clocks["epoch_seconds"].append(self.clocks["running"])
        self.clocks["running"], self.epoch_loss = 0.0, 0.0

    def _drop_what_is_over(self) -> None:
        """After the cut-off the head computes nothing any more, so it and its optimiser leave memory; a probe at the end."""
        if self.probe is not None and self.step >= self.total:
            self.probe = self.network.probe = None
            del self.optimizers["probe"]
        if self.network.auxiliary is not None and self.step >= self.cutoff:
            self.network.auxiliary = None
            del self.optimizers["auxiliary"]

    def _backward(self, ends: list[tuple[Tensor, Tensor | None]]) -> None:
        """Go back from tensors with their gradients; what a frozen encoder gave has nothing behind it.

        A scalar has none: its gradient is 1. All of them are scaled alike where the encoder computes in float16.
        """
        trained = [(end, end.new_ones(()) if g is None else g) for end, g in ends if end.requires_grad]
        if trained:
            scaled = [self.scaler.scale(gradient) for _, gradient in trained]
            torch.autograd.backward([end for end, _ in trained], scaled)

    def _require_finite(self, tensor: Tensor, name: str) -> None:
        if not math.isfinite(float(tensor.detach().sum())):
            raise NonFiniteError(
                f"step {self.step + 1}: {name} is not finite; the last checkpoint is the good state"
            )


def joined(parts: list[Tensor]) -> Tensor:
    """Return tensors of micro-batches as one; a single one is not copied."""
    return parts[0] if len(parts) == 1 else torch.cat(parts)
