"""Tables 8 and 9: hyper-parameters, from the recipes themselves."""

from collections.abc import Sequence

import pandas as pd

from xmcbench.plan import Project, Run

TITLE = "Tables 8 and 9: hyper-parameters"
CAPTION = "What the recipes of the paper's data sets and of the main methods on embedded data say; empty: no such part."
KEYS = {
    "encoder": "encoder.pretrained",
    "pooling": "encoder.pooling",
    "length": "data.max_length",
    "batch": "training.batch_size",
    "accumulation": "training.accumulation",
    "epochs": "training.epochs",
    "dropout": "encoder.dropout",
    "autocast": "encoder.autocast",
    "encoder optimiser": "encoder.optimizer.kind",
    "encoder rate": "encoder.optimizer.learning_rate",
    "encoder decay": "encoder.optimizer.weight_decay",
    "output optimiser": "output_optimizer.kind",
    "output rate": "output_optimizer.learning_rate",
    "output decay": "output_optimizer.weight_decay",
    "warm-up steps": "training.warmup_steps",
    "loss": "training.loss",
    "output layer": "output.kind",
    "fan-in": "output.fan_in",
    "rank": "output.rank",
    "intermediate width": "intermediate.width",
    "prune by": "topology.amount",
    "share": "topology.fraction",
    "threshold": "topology.threshold",
    "rewire interval": "topology.interval_steps",
    "rewires end at": "topology.end_share",
    "label groups": "auxiliary.groups",
    "auxiliary weight": "auxiliary.weight",
    "auxiliary cut-off": "auxiliary.cutoff_epochs",
}


def table_of_recipes(
    project: Project, grids: Sequence[str] = ("paper", "t2_methods")
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return (numbers, text): a column a run of the grids (first seed, without swept values), a row a hyper-parameter."""
    runs: dict[str, Run] = {}
    for grid in grids:
        for run in project.runs(grid):
            if run.recipe.runner == "train" and run.method == run.base_method:
                runs.setdefault(f"{run.dataset}, {run.budget}: {run.method}", run)
    raw = pd.DataFrame(
        [
            {
                "hyper-parameter": name,
                "key": key,
                **{column: run.value_of(key) for column, run in runs.items()},
            }
            for name, key in KEYS.items()
        ],
        dtype=object,
    )
    text = raw.drop(columns="key").map(
        lambda v: "" if v is None else f"{v:g}" if isinstance(v, float) else str(v)
    )
    return raw, text
