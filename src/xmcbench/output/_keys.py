"""Which keys of a recipe a layer reads: one that would change nothing is refused (`xmcbench.unread_keys`)."""

from collections.abc import Set

from xmcbench.errors import ConfigError
from xmcbench.recipe import Output, Topology
from xmcbench.unread_keys import require_read

#: Keys of the output section that every layer reads, or the engine for it.
SHARED = frozenset(
    {
        "kind",
        "initial_range",
        "initial_bias",
        "expected_labels",
        "label_order",
        "order_groups",
    }
)
#: Keys of a topology that not every layer with connections reads. `moments` is none of them: a fidelity preset sets it for every
#: method, and where a mask stands for the topology a new connection finds the moments of its own place, which are zero.
SPECIAL = frozenset({"ablation", "removed_channels", "kept_channels"})


def require_output_keys(output: Output, reads: Set[str]) -> None:
    """Raise ConfigError if a key of the section is set that a layer, which reads `reads` beside the shared ones, does not read."""
    own = {key for key in reads if "." not in key}
    require_read(output, "output", SHARED | own, f"output.kind {output.kind}")


def require_topology_keys(topology: Topology, reads: Set[str], rewires: bool, kind: str) -> None:
    """Raise ConfigError if a layer has no connections to rewire, or a key is set that its rewiring does not read."""
    if not rewires:
        raise ConfigError(f"topology: output.kind {kind} has no connections to rewire; allowed: null")
    own = {key.removeprefix("topology.") for key in reads if key.startswith("topology.")}
    require_read(topology, "topology", (Topology.model_fields.keys() - SPECIAL) | own, f"output.kind {kind}")


def require_fan_in_kernel(recipe: Output) -> None:
    """Raise ConfigError if no kernel of fixed fan-in computes in the dtypes that are asked for."""
    if recipe.weight_dtype == "float8_e4m3fn":
        raise ConfigError(
            f"output.weight_dtype: {recipe.weight_dtype} has no fan-in kernel; allowed: float32, bfloat16"
        )
    for key in ("weight_dtype", "feature_dtype"):
        if getattr(recipe, key) == "bfloat16" and recipe.scores == "materialise":
            raise ConfigError(f"output.{key}: bfloat16 needs the streaming step; allowed: scores: stream")
