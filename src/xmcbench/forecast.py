"""What a run will need, from its recipe and its data set's numbers alone: for schedulers, and before any memory is asked for.

The arithmetic of the output layer (L labels, D features it reads, K fan-in or rank, B documents a step; 4-byte floats):

| part | dense | masked | low rank (K) | fixed fan-in |
|---|---|---|---|---|
| weights | 4·L·D + 4·L | the same | 4·K·(L + D) + 4·L | 4·L·K + 4·L |
| index or mask | – | L·D | – | 2·L·K (4·L·K if D > 65,536) |
| gradient | as the weights | as the weights | as the weights | – (streamed), as the weights (materialised) |
| optimiser | twice the weights (AdamW), once (SGD with momentum), none (SGD) | | | |
| scores and their gradient | 8·B·L | 8·B·L | 8·B·L | – (streamed), 8·B·L (materialised) |
"""

from xmcbench.recipe import Recipe, TrainRecipe

MB = 10**6
#: A process with torch, a tokenised data set in memory maps, and an encoder of BERT's size with its optimiser.
BASE_MB = 6000
#: Minutes where nothing is known of a data set.
DEFAULT_MINUTES = 240


def classifier_bytes(recipe: TrainRecipe, labels: int) -> dict[str, int]:
    """Return bytes by kind that training the output layer holds; other kinds of layer count as dense, which is an upper bound."""
    width = recipe.intermediate.width if recipe.intermediate is not None else recipe.encoder.features
    output, batch = recipe.output, recipe.training.batch_size * recipe.training.accumulation
    narrow = {"float32": 4, "bfloat16": 2, "float8_e4m3fn": 1}[output.weight_dtype]
    sparse = output.kind == "fixed_fan_in" and output.fan_in is not None
    streams = sparse and output.scores == "stream"
    if sparse:
        weight = labels * (output.fan_in or 0)
    elif output.kind == "low_rank" and output.rank is not None:
        weight = output.rank * (labels + width)
    else:
        weight = labels * width
    bytes_of = {"weight": narrow * weight + 4 * labels}
    moments = {"adamw": 2, "sgd": 1 if recipe.output_optimizer.momentum else 0}[recipe.output_optimizer.kind]
    bytes_of["optimizer"] = moments * (narrow * weight + 4 * labels)
    if sparse:
        bytes_of["index"] = (2 if width <= 65_536 else 4) * labels * (output.fan_in or 0)
    if output.kind.startswith("masked"):
        bytes_of["mask"] = labels * width
        bytes_of["scratch"] = 4 * weight
    if not streams and output.kind != "dense_chunked":
        bytes_of["gradient"] = bytes_of["weight"]
        bytes_of["scores"] = 8 * batch * labels
    return bytes_of


def host_mb(recipe: Recipe, labels: int) -> int:
    """Return the main memory of a run in MB (10⁶ bytes): on a GPU what a checkpoint brings to the host, else all of it."""
    if not isinstance(recipe, TrainRecipe):
        return BASE_MB
    kinds = classifier_bytes(recipe, labels)
    if recipe.training.device == "cuda":
        # Weights, index and moments once as they are, once as the file that is written.
        kinds = {k: 2 * v for k, v in kinds.items() if k in ("weight", "index", "mask", "optimizer")}
    return BASE_MB + -(-sum(kinds.values()) // MB)


def minutes(hours: float | None, paper: bool) -> int:
    """Return the time to ask for: twice what the paper's run took, where the paper's recipe runs and its hours are known."""
    return round(120 * hours) if paper and hours else DEFAULT_MINUTES
