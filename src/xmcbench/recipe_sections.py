"""The sections of a recipe: typed, frozen, unknown keys refused. `recipe.py` puts them together."""

import functools
import pkgutil
from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, Field, field_validator, model_validator

from xmcbench.yaml_config import STRICT

PositiveInt = Annotated[int, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]
NonNegative = Annotated[float, Field(ge=0)]


@functools.cache
def modules_of(room: str) -> tuple[str, ...]:
    """Name the modules of a room of the package without importing them (a new file is a new allowed value)."""
    folder = Path(__file__).parent / room
    return tuple(sorted(m.name for m in pkgutil.iter_modules([str(folder)]) if not m.name.startswith("_")))


def output_kinds() -> list[str]:
    """Name the kinds of output layer: every module of their room but the contract and what stands in front of a layer."""
    return [name for name in modules_of("output") if name not in {"layer", "ordered"}]


def encoder_kinds() -> list[str]:
    """Name the kinds of encoder: every module of their room but the contract and what compresses layers."""
    return [name for name in modules_of("encoder") if name not in {"encoder", "velora"}]


class Section(BaseModel):
    """A part of the recipe: unknown keys and wrong types are refused, values never change."""

    model_config = STRICT


class EncoderOptimizer(Section):
    """AdamW for the encoder's dense weights, SparseAdam for its token embedding; cosine with warm-up for both."""

    #: `adam` adds the decay to the gradient (the paper's LF-AmazonTitles-131K), `adamw` takes it from the weights.
    kind: Literal["adamw", "adam"] = "adamw"
    learning_rate: NonNegative = 1e-3
    embedding_learning_rate: NonNegative = 3e-3
    weight_decay: NonNegative = 0.01


class Velora(Section):
    """Saved activations of linear layers, one number a sub-token (Miles et al. 2024)."""

    #: Sub-tokens that an input row is cut into.
    sub_tokens: PositiveInt = 32
    #: Ends of the names of the linear layers to compress.
    layers: Annotated[tuple[str, ...], Field(min_length=1)]

    @field_validator("layers", mode="before")
    @classmethod
    def _as_tuple(cls, value: object) -> object:
        return tuple(value) if isinstance(value, list) else value


class Encoder(Section):
    """Text to features x_BD."""

    kind: str = "bag"
    #: `packaged/minilm-l6`, a local folder, or a hub id.
    pretrained: str = "packaged/minilm-l6"
    features: PositiveInt = 384
    #: Width of the bag encoder's residual layer.
    hidden: PositiveInt = 768
    #: The bag encoder multiplies the pretrained word embeddings by this before training.
    embedding_scale: NonNegative = 5.0
    #: Share of a document's tokens that the bag encoder leaves out of a training step.
    token_dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    pooling: Literal["mean", "cls"] = "mean"
    #: The backward pass computes activations again in place of keeping them.
    activation_checkpointing: bool = False
    velora: Velora | None = None
    #: The encoder computes in this type (autocast); its weights and what follows it stay float32. With float16 its
    #: gradients are scaled, and a step whose gradients overflow is left out.
    autocast: Literal["bfloat16", "float16"] | None = None
    dropout: Share = 0.3
    optimizer: EncoderOptimizer = EncoderOptimizer()

    @field_validator("kind")
    @classmethod
    def _known(cls, value: str) -> str:
        return one_of(value, encoder_kinds(), but=set())


class Intermediate(Section):
    """Linear + activation between encoder and output layer (paper §2.3: it widens, it is no bottleneck)."""

    width: PositiveInt
    activation: Literal["relu", "gelu", "none"] = "relu"
    learning_rate: NonNegative = 1e-3
    weight_decay: NonNegative = 0.01


class Svd(Section):
    """SVD training (low_rank_svd): weights of its two regularisers, and the one cut of the rank."""

    orthogonality: NonNegative = 1.0
    sparsity: NonNegative = 1e-3
    #: Share of Σσ² that the singular values which stay must hold.
    energy: Annotated[float, Field(gt=0, le=1)] = 0.9
    #: Share of all steps after which the rank is cut.
    cut_share: Share = 0.5


class Output(Section):
    """The output layer; `kind` is the name of a module of `xmcbench.output`."""

    kind: str = "dense"
    #: Inputs a label reads (sparse layers), K.
    fan_in: PositiveInt | None = None
    #: Neighbouring labels that share one row of inputs (group-shared layers), G.
    group: PositiveInt | None = None
    #: Share of the labels, the most frequent, that a dense head takes (head_tail).
    head_share: Share = 0.0
    #: The tail reads the first half of the features and the head the second (head_tail).
    private_features: bool = False
    #: Order in which the layer holds its labels; null: that of their ids.
    label_order: Literal["semantic", "frequency", "random"] | None = None
    #: Groups that a semantic or random order lays one after another.
    order_groups: PositiveInt = 512
    #: Width of the narrow factor (low-rank layers; at the start of SVD training), rank of a block tensor train.
    rank: PositiveInt | None = None
    svd: Svd | None = None
    #: Initial weights are uniform in ± this value.
    initial_range: NonNegative = 0.02
    initial_bias: float = 0.0
    #: Labels that a document is expected to have, n: under cross-entropy biases start at the logit of n / L (at most ½), which
    #: suits any number of labels, and not at `initial_bias`. Too high a start teaches the encoder how to say no to all of them.
    expected_labels: Annotated[float, Field(gt=0)] | None = None
    #: `stream`: a block of labels at a time, weights updated in place, where the layer can; `materialise`: all scores
    #: are formed and trained by autograd, the way of the paper's own memory figures.
    scores: Literal["stream", "materialise"] = "stream"
    #: Narrow floats are written back with stochastic rounding, a streaming layer's alone; E4M3 a chunked dense layer's.
    weight_dtype: Literal["float32", "bfloat16", "float8_e4m3fn"] = "float32"
    #: Features as a streaming layer of fixed fan-in reads them, rounded to nearest; their gradient is float32 as ever.
    feature_dtype: Literal["float32", "bfloat16"] = "float32"
    #: What computes a streaming layer: a name of `kernels.dispatch.BACKENDS`.
    backend: Literal["auto", "cpu", "triton", "torch"] = "auto"
    #: Labels a chunked layer scores at a time on a CPU; on a GPU as many as `kernels.blocks.CHUNK_BYTES` allow.
    chunk: PositiveInt = 4096
    #: Keys of a layer that is not ours; its class checks them.
    options: dict[str, bool | int | float | str] = {}

    @field_validator("kind")
    @classmethod
    def _known(cls, value: str) -> str:
        return one_of(value, output_kinds(), but=set())


class Topology(Section):
    """Dynamic sparse training: when × how many × which drop × which grow. A null section keeps the topology static."""

    interval_steps: PositiveInt = 100
    #: Share of all steps after which the topology is frozen (paper App. C: 0.66).
    end_share: Share = 0.66
    #: Share of a label's (or of all) connections that a rewire replaces.
    fraction: Share = 0.25
    fraction_decay: Literal["constant", "cosine"] = "constant"
    #: `fraction` of the connections, or all whose |w| is below a threshold that falls with a half cosine (paper §2.1).
    amount: Literal["fraction", "threshold"] = "fraction"
    threshold: NonNegative = 0.01
    threshold_end: NonNegative = 1e-4
    #: Rank weights within each label, or over the whole layer.
    scope: Literal["label", "global"] = "label"
    drop: str = "magnitude_drop"
    grow: str = "random_growth"
    #: Optimiser state of a new connection: zero, or (true fixed fan-in, the official code) that of the one it replaces.
    moments: Literal["reset", "inherit"] = "reset"
    #: SRigL's γ: a label with fewer than γ·K salient connections gives all of its own to the others. Null: never, as an
    #: output layer must keep its labels.
    ablation: Share | None = None
    #: Chase: the share of input features that no label reads any more at the end, and the share that must be kept.
    removed_channels: Share = 0.0
    kept_channels: Share = 0.2

    @field_validator("drop")
    @classmethod
    def _known_drop(cls, value: str) -> str:
        return one_of(value, [m for m in modules_of("topology") if m.endswith("_drop")], but=set())

    @field_validator("grow")
    @classmethod
    def _known_growth(cls, value: str) -> str:
        return one_of(value, [m for m in modules_of("topology") if m.endswith("_growth")], but=set())


class Auxiliary(Section):
    """The auxiliary objective over label groups (paper §2.3): BCE on multi-hot groups, fading out with a cosine."""

    groups: PositiveInt = 256
    grouping: Literal["semantic", "random"] = "semantic"
    #: λ₀, the weight of the auxiliary term at the first step; the main term gets 1 − λ.
    weight: Share = 0.4
    #: `sum` over groups, the main loss's own scale; `mean` over them, the official code's, is as many times smaller.
    reduction: Literal["sum", "mean"] = "sum"
    cutoff_epochs: Annotated[float, Field(gt=0)] = 5.0
    #: Groups that a document is expected to have, n: the head's bias starts at the logit of n / groups (at most ½). Without,
    #: it starts at 0, every group looks as likely as not, and what reaches the encoder first is how to say no to all of them.
    expected_groups: Annotated[float, Field(gt=0)] | None = None
    learning_rate: NonNegative = 1e-3
    weight_decay: NonNegative = 0.01


class GradientProbe(Section):
    """A dense layer that learns beside the run's own, only to say what gradient it would give the encoder (paper §2.3)."""

    #: That of a dense layer: the run's own rate is a sparse layer's.
    learning_rate: NonNegative = 1e-3


class OutputOptimizer(Section):
    """The output layer's optimiser (decoupled weight decay for all)."""

    kind: Literal["adamw", "sgd"] = "adamw"
    learning_rate: NonNegative = 2e-3
    momentum: Share = 0.0
    weight_decay: NonNegative = 1e-4

    @model_validator(mode="after")
    def _has_momentum(self) -> "OutputOptimizer":
        if self.momentum and self.kind != "sgd":
            raise ValueError(
                f"momentum: {self.momentum} is for sgd, {self.kind} has moments of its own; allowed: 0"
            )
        return self


class Training(Section):
    """Steps, batches and the machine settings that change bits."""

    epochs: PositiveInt = 15
    #: Documents of an encoder pass; an optimiser step takes `accumulation` of them.
    batch_size: PositiveInt = 128
    #: Micro-batches a step. Their features go through one step of the output layer; encoder passes are then repeated
    #: for their backward pass, so that activations of one micro-batch exist at a time.
    accumulation: PositiveInt = 1
    warmup_share: Share = 0.05
    #: Warm-up in steps, in place of the share.
    warmup_steps: PositiveInt | None = None
    loss: Literal["squared_hinge", "bce"] = "squared_hinge"
    device: Literal["cpu", "cuda"] = "cpu"
    #: Threads change the order of sums and so the bits: they are part of the recipe.
    threads: PositiveInt = 2
    #: Keep the validation documents out of training; learning curves and all choices are read from them.
    hold_out_validation: bool = True
    log_every_steps: PositiveInt = 10


class Propensity(Section):
    """Constants A and B of the propensity model (Jain et al. 2016)."""

    a: NonNegative = 0.55
    b: NonNegative = 1.5


class Evaluation(Section):
    """What is asked of the predictions."""

    k: PositiveInt = 10
    #: Which documents are predicted and scored; choices are made on `validation` alone.
    split: Literal["test", "validation"] = "test"
    propensity: Propensity = Propensity()
    #: Rulers beside `all` by which the test predictions are scored: names of `evaluation.rulers.RULERS`.
    rulers: tuple[Literal["new_links"], ...] = ()

    @field_validator("rulers", mode="before")
    @classmethod
    def _known(cls, value: object) -> object:
        """Refuse here, not by element, so that a mistake is told of the key that holds it."""
        if not isinstance(value, (list, tuple)) or len(set(map(str, value))) < len(value):
            raise ValueError(f"{value!r} is not a list of distinct names; allowed: new_links")
        return tuple(one_of(str(name), ["new_links"], but=set()) for name in value)

    @model_validator(mode="after")
    def _of_test(self) -> "Evaluation":
        if self.rulers and self.split != "test":
            raise ValueError(
                f"evaluation.rulers {', '.join(self.rulers)} score the test split; allowed: none"
            )
        return self


class Data(Section):
    """What the encoder reads of each document, and which documents it reads together."""

    max_length: PositiveInt = 32
    validation_documents: PositiveInt = 4096
    #: Shuffled batches that are sorted by length together, so that one batch needs little padding; 0: a plain shuffle.
    #: Reference predictors read no batches.
    length_bucket: Annotated[int, Field(ge=0)] = 0
    #: Train on the text of every label too, as a document whose only label it is (data sets with label texts).
    label_augmentation: bool = False


def one_of(value: str, names: Collection[str], but: set[str]) -> str:
    choices = [n for n in names if n not in but]
    if value not in choices:
        raise ValueError(f"unknown value {value!r}; allowed: {', '.join(choices)}")
    return value
