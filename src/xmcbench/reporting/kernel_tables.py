"""The README's tables of the kernels, from kernels.csv: what is claimed, and where sparse does not win."""

from pathlib import Path

import pandas as pd

from xmcbench.reporting.tables import markdown

LABELS, FEATURES = 131_072, 768


def kernel_tables(source: Path) -> str:
    """Return Markdown: the training step beside dense ones, then every other comparison."""
    rows = pd.read_csv(source, dtype={c: "Int64" for c in ("L", "D", "B", "K", "G", "threads")})
    plain = rows[
        rows["operator"].str.endswith("fan_in.train_step")
        & (rows["L"] == LABELS)
        & (rows["D"] == FEATURES)
        & (rows["optimizer"] == "sgd")
        & (rows["loss"] == "bce")
        & (rows["dtype"] == "float32")
    ]
    hardware = ", ".join(sorted(rows["hardware"].unique()))
    return (
        f"One training step over L = {LABELS:,} labels, D = {FEATURES}: BCE, plain SGD, float32, bias, 2 threads. `dense` is what people\n"
        "write (autograd, all scores formed), `dense, chunked` the best chunk size of the strongest dense step there is; a ratio\n"
        "above 1 is ours being faster. Share: of the rate of the best square matrix product of the same run (6·B·L·K operations).\n\n"
        + markdown(_steps(plain))
        + "\n"
        + markdown(_others(rows))
        + f"\nMedians of alternating runs on {hardware}; every row is in results/reference/kernels.csv.\n"
    )


def _steps(plain: pd.DataFrame) -> pd.DataFrame:
    table = []
    for (batch, fan_in, _), its in plain.groupby(["B", "K", "G"], dropna=False, sort=False):
        peers = its.set_index("peer")["ratio"]
        if not {"dense.train_step", "fixed_fan_in.train_step"} & set(peers.index):
            continue
        row = {
            "Step": f"groups of {int(its['G'].iloc[0])}" if its["G"].notna().any() else "fixed fan-in",
            "B": str(batch),
            "K": str(fan_in),
            "ms": f"{its['seconds'].iloc[0] * 1e3:.1f}",
            "Share": f"{its['share_of_sgemm'].iloc[0]:.2f}",
        }
        for heading, peer in (
            ("× dense", "dense.train_step"),
            ("× dense, chunked", "dense_chunked.train_step"),
            ("× fixed fan-in", "fixed_fan_in.train_step"),
        ):
            row[heading] = f"{peers[peer]:.1f}" if peer in peers.index else ""
        table.append(row)
    return pd.DataFrame(table).sort_values("Step", kind="stable")


def _others(rows: pd.DataFrame) -> pd.DataFrame:
    """What is no plain step at the main shape: forward, top-k, threads, variants."""
    table = []
    for row in rows[rows["peer"].notna()].to_dict("records"):
        step = row["operator"].endswith("train_step")
        if step and (row["peer"].startswith("dense") or row["operator"].startswith("group")):
            continue
        variant = [row["dtype"], *([row["loss"], row["optimizer"]] if step else [])]
        if step and row["zero_share"] > 0:
            variant.append(f"{row['zero_share']:.1%} of the gradients zero")
        table.append(
            {
                "Operator": row["operator"],
                "B": str(row["B"]),
                "L": f"{row['L']:,}",
                "K": str(row["K"]),
                "Variant": ", ".join(variant),
                "Peer": row["peer"],
                "Ratio": f"{row['ratio']:.2f}",
            }
        )
    return pd.DataFrame(table)
