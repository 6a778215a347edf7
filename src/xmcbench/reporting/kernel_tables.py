"""Tables of the kernels, from kernels*.csv: the claim for the README, and every comparison for docs/kernels.md."""

from pathlib import Path

import pandas as pd

from xmcbench.reporting.outputs import KERNELS
from xmcbench.reporting.tables import markdown

LABELS, FEATURES, BATCH = 131_072, 768, 64
#: `dtype` of a step whose weights are float32 and whose features are not.
NARROW_FEATURES = "float32, features bfloat16"
#: Of the GPU's measurements; a dense layer of so many labels is 2 GB.
GPU_LABELS = 670_091
#: Heading → rival of a step.
RIVALS = {
    "× dense": "dense.train_step",
    "× dense, TF32": "dense.train_step, TF32",
    "× dense, chunked": "dense_chunked.train_step",
    "× dense, chunked, TF32": "dense_chunked.train_step, TF32",
    "× fixed fan-in": "fixed_fan_in.train_step",
}


def claimed_table(reference: Path) -> str:
    """Return Markdown: the plain step on every machine that was asked, beside what people write and the best dense step there is."""
    machines = [(f, LABELS) for f in (reference / "kernels.csv", *other_machines(reference))]
    gpu = reference / "kernels_gpu.csv"
    if gpu.is_file():
        machines.append((gpu, GPU_LABELS))
    table = [row for source, labels in machines for row in _claimed(source, labels)]
    return (
        f"A training step of fixed fan-in: BCE, plain SGD, float32, bias, D = {FEATURES}, {BATCH} documents. A ratio above 1 is ours being\n"
        "faster; `dense` is what people write (autograd, all scores formed), the best dense step works in place a chunk of labels at a time\n"
        "(on a GPU with products in TF32, which ours never uses).\n\n" + markdown(pd.DataFrame(table)) + "\n"
        "Medians of alternating runs in one process, K inputs a label. Share: of the rate of the best square matrix product of the same run.\n"
    )


def _claimed(source: Path, labels: int) -> list[dict[str, str]]:
    rows = _read(source)
    plain = _plain(rows, labels)
    plain = plain[(plain["B"] == BATCH) & plain["G"].isna() & (plain["dtype"] == "float32")]
    dense = plain[plain["peer"].str.startswith("dense")]
    facts = _facts(source)
    if labels == GPU_LABELS:
        machine = rows["hardware"].iloc[0]
    else:
        threads = ", ".join(str(n) for n in sorted(dense["threads"].dropna().unique()))
        machine = f"{facts['cpu']}, {facts['instruction_set']}, {threads} threads"
    return [
        {
            "Machine": machine,
            "L": f"{labels:,}",
            "K": str(fan_in),
            "ms": f"{its['seconds'].iloc[0] * 1e3:.1f}",
            "Share": f"{its['share_of_sgemm'].iloc[0]:.2f}",
            "× dense": f"{its.set_index('peer')['ratio']['dense.train_step']:.1f}",
            "× best dense": f"{its['ratio'].min():.1f}",
            "Measured": str(facts["finished"])[:10],
        }
        for fan_in, its in dense.groupby("K")
    ]


def kernel_tables(source: Path) -> str:
    """Return Markdown: the training step beside dense ones, then every other comparison."""
    rows = _read(source)
    plain = _plain(rows, LABELS)
    return (
        f"One training step over L = {LABELS:,} labels, D = {FEATURES}: BCE, plain SGD, float32, bias, 2 threads. `dense` is what people\n"
        "write (autograd, all scores formed), `dense, chunked` the best chunk size of the strongest dense step there is; a ratio\n"
        "above 1 is ours being faster. Share: of the rate of the best square matrix product of the same run (6·B·L·K operations).\n\n"
        + markdown(_steps(plain))
        + "\n"
        + markdown(_others(rows))
        + _growth(rows)
        + f"\nMedians of alternating runs {_where(source)}.\nEvery row is in results/reference/{source.name}.\n"
    )


def other_machines(reference: Path) -> list[Path]:
    """Return the files of other machines with CPUs, kernels_<name>.csv, each with its kernels_<name>_machine.csv."""
    files = sorted(reference.glob("kernels_*.csv"))
    return [f for f in files if f.stem not in KERNELS and not f.stem.endswith("_machine")]


def machine_tables(sources: list[Path]) -> str:
    """Return Markdown of other machines' steps and every other comparison, one after another."""
    parts = []
    for source in sources:
        rows = _read(source)
        parts.append(
            f"The same {_where(source)}:\n\n"
            f"{markdown(_steps(_plain(rows, LABELS)))}\n{markdown(_others(rows))}{_growth(rows)}\n"
            f"Every row is in results/reference/{source.name}.\n"
        )
    return "\n".join(parts)


def gpu_tables(source: Path) -> str:
    """Return Markdown of the GPU's measurements: the step beside dense ones, then every other comparison."""
    rows = _read(source)
    hardware = ", ".join(sorted(rows["hardware"].unique()))
    return (
        f"The same on a GPU ({hardware}), L = {GPU_LABELS:,}, float32. TF32: the dense rival's products may round their factors to 10 bits,\n"
        "as people allow who want it fast; ours never does. Below 1 dense is faster: many inputs a label, large batches.\n\n"
        + markdown(_steps(_plain(rows, GPU_LABELS)))
        + "\n"
        + markdown(_others(rows))
        + _growth(rows)
        + "\nMedians of alternating runs; every row is in results/reference/kernels_gpu.csv.\n"
    )


def _where(source: Path) -> str:
    """Return in words what machine the rows are of."""
    facts = _facts(source)
    return (
        f"where the widest instructions are {facts['instruction_set']} ({facts['cpu']}, {facts['cores']} cores, best square matrix\n"
        f"product {float(facts['sgemm_rate']) / 1e9:.0f} GFLOP/s, torch {facts['torch']}, {str(facts['finished'])[:10]})"
    )


def _facts(source: Path) -> pd.Series:
    return pd.read_csv(source.with_name(f"{source.stem}_machine.csv")).set_index("key")["value"]


def _read(source: Path) -> pd.DataFrame:
    return pd.read_csv(source, dtype={c: "Int64" for c in ("L", "D", "B", "K", "G", "threads")})


def _plain(rows: pd.DataFrame, labels: int) -> pd.DataFrame:
    """Return the rows of the plain step at the main shape."""
    return rows[
        rows["operator"].str.endswith("fan_in.train_step")
        & (rows["L"] == labels)
        & (rows["D"] == FEATURES)
        & (rows["optimizer"] == "sgd")
        & (rows["loss"] == "bce")
        & rows["dtype"].isin(["float32", NARROW_FEATURES])
    ]


def _steps(plain: pd.DataFrame) -> pd.DataFrame:
    table = []
    for (batch, fan_in, _, dtype), its in plain.groupby(["B", "K", "G", "dtype"], dropna=False, sort=False):
        peers = its.set_index("peer")["ratio"]
        if not {"dense.train_step", "fixed_fan_in.train_step"} & set(peers.index):
            continue
        step = f"groups of {int(its['G'].iloc[0])}" if its["G"].notna().any() else "fixed fan-in"
        row = {
            "Step": f"{step}, bf16 features" if dtype == NARROW_FEATURES else step,
            "B": str(batch),
            "K": str(fan_in),
            "ms": f"{its['seconds'].iloc[0] * 1e3:.1f}",
            "Share": f"{its['share_of_sgemm'].iloc[0]:.2f}",
        }
        for heading, peer in RIVALS.items():
            if peer in set(plain["peer"]):
                digits = 2 if peer.startswith("fixed") else 1  # of a step of ours, which is near
                row[heading] = f"{peers[peer]:.{digits}f}" if peer in peers.index else ""
        table.append(row)
    return pd.DataFrame(table).sort_values("Step", kind="stable")


def _others(rows: pd.DataFrame) -> pd.DataFrame:
    """What is no plain step at the main shape: forward, top-k, threads, variants."""
    table = []
    for row in rows[rows["peer"].notna()].to_dict("records"):
        step = row["operator"].endswith("train_step")
        grouped = row["operator"].startswith("group") and row["optimizer"] == "sgd"
        if step and (row["peer"].startswith("dense") or grouped or row["dtype"] == NARROW_FEATURES):
            continue
        variant = [row["dtype"], *([row["loss"], row["optimizer"]] if step else [])]
        if step and not pd.isna(row["G"]) and row["G"] > 1:
            variant.append(f"groups of {row['G']}")
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


def _growth(rows: pd.DataFrame) -> str:
    """Return Markdown, if there is any, of steps over label counts, beside no peer: time, a label's, and bytes beyond the layer's own."""
    alone = rows[rows["peer"].isna() & rows["extra_bytes"].notna()].sort_values(["operator", "L"])
    if alone.empty:
        return ""
    return f"\nAs labels grow, B = {alone['B'].iloc[0]}:\n\n" + markdown(
        pd.DataFrame(
            {
                "Operator": row["operator"],
                "L": f"{row['L']:,}",
                "ms": f"{row['seconds'] * 1e3:.1f}",
                "ns a label": f"{row['seconds'] * 1e9 / row['L']:.0f}",
                "Extra MB": f"{row['extra_bytes'] / 1e6:.1f}",
            }
            for row in alone.to_dict("records")
        )
    )
