"""Table of what training an output layer holds, kind by kind: declared by the layer and measured in a step."""

import pandas as pd

from xmcbench.reporting.collected import Collected
from xmcbench.reporting.number_format import mean

MIB = 2**20
#: Kinds of the output layer; intermediate layer and auxiliary head are autograd's, and stand in the main table.
KINDS = ["weight", "index", "mask", "buffer", "gradient", "optimizer", "scores", "scratch"]


def memory_table(collected: Collected) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return (numbers, text): methods × kinds, MiB declared | measured, and how far the declared total is off (%).

    Runs that measured nothing (references, a run of one step) have no row.
    """
    finished = collected.run[collected.run["status"] == "ok"]
    raw_rows, text_rows = [], []
    for (dataset, budget), cell in finished.groupby(["dataset", "budget"], sort=True):
        for method in collected.methods["method"]:
            its = cell[cell["method"] == method]
            values = {
                (side, kind): mean(its[its["metric"] == f"{prefix}_{kind}"]["value"].astype(float) / MIB)
                for side, prefix in (("declared", "memory"), ("measured", "measured"))
                for kind in KINDS
            }
            totals = {
                side: sum(v for (s, _), v in values.items() if s == side and v is not None)
                for side in ("declared", "measured")
            }
            if not totals["measured"]:
                continue
            off = 100 * (totals["declared"] / totals["measured"] - 1)
            raw = {"dataset": dataset, "budget": budget, "method": method}
            text = {"Method": collected.label(method)}
            for kind in KINDS:
                pair = [values[side, kind] for side in ("declared", "measured")]
                raw |= {
                    f"{kind}, {side} (MiB)": v for side, v in zip(("declared", "measured"), pair, strict=True)
                }
                text[kind] = "" if all(v is None for v in pair) else " \\| ".join(_shown(v) for v in pair)
            raw |= {f"total, {side} (MiB)": totals[side] for side in totals} | {"difference (%)": off}
            text |= {
                "total": f"{totals['declared']:.2f} \\| {totals['measured']:.2f}",
                "difference": f"{off:+.1f} %",
            }
            raw_rows.append(raw)
            text_rows.append(text)
    columns = ["dataset", "budget", "method"] if not raw_rows else None
    return pd.DataFrame(raw_rows, columns=columns), pd.DataFrame(text_rows).fillna("")


def _shown(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"
