"""What it costs to come near a dense layer: seconds and memory to 95 % of its precision."""

import pandas as pd

from xmcbench.reporting.experiment_rows import ExperimentRows
from xmcbench.reporting.experiments._table import EPOCH, MEMORY, Place, Table, value
from xmcbench.reporting.experiments.t2 import table_lines

TITLE = "Cost to accuracy"
CAPTION = (
    "Seconds of training until validation P@1 first reaches 95 % of what dense ends with on the same data (whole epochs, seeds "
    "averaged), and the memory that training the classifier holds meanwhile."
)
SHARE = 0.95


def make_table(rows: ExperimentRows) -> Table:
    """Return (numbers, text)."""
    raw, text = [], []
    for head, place in table_lines(rows):
        goal = _curve(rows, Place(place.dataset, place.budget, "dense"))
        mine = _curve(rows, place)
        seconds, memory = value(rows, place, EPOCH), value(rows, place, MEMORY)
        reached = mine[mine >= SHARE * goal.iloc[-1]].index if len(goal) and len(mine) else []
        epochs = float(reached[0]) if len(reached) else None
        cost = None if epochs is None or seconds is None else epochs * seconds
        raw.append({**place.__dict__, "epochs": epochs, "seconds": cost, "classifier_mib": memory})
        text.append(
            {
                **head,
                "Epochs": "not reached" if epochs is None else f"{epochs:g}",
                "Seconds": "" if cost is None else f"{cost:.1f}",
                "Classifier (MiB)": "" if memory is None else f"{memory:,.1f}",
            }
        )
    return pd.DataFrame(raw), pd.DataFrame(text)


def _curve(rows: ExperimentRows, place: Place) -> pd.Series:
    wanted = {"dataset": place.dataset, "budget": place.budget, "method": place.method}
    found = rows.curve("P", 1, axes=None, split="validation", **wanted)
    return found.groupby("epoch")["value"].mean()
