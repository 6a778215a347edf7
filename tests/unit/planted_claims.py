"""A world in which each claim is true, and one in which it is false: `method:metric` → value, or (end, first epoch)."""

from collections.abc import Mapping

import pandas as pd

from xmcbench.reporting.claims.statement import Claim
from xmcbench.reporting.experiment_rows import ExperimentRows
from xmcbench.reporting.ledger import COLUMNS

Value = float | tuple[float, float]
World = Mapping[str, Value]

LABELS = {"labels_eighth": 900, "labels_quarter": 1800, "labels_half": 3600, "quick": 7200, "small": 1700}


def planted(claim: Claim, world: World) -> ExperimentRows:
    """Return rows of the world on every data set and budget that a claim asks for, with curves over ten epochs.

    A key may begin with `budget/`, or with `budget/dataset/`; else it holds for all of them. The first that fits counts.
    """
    datasets = {d for t in claim.tests for d in t.datasets}
    budgets = {
        b
        for t in claim.tests
        for b in (t.along.label_spaces if t.along and t.along.label_spaces else [t.budget])
    }
    rows: list[dict[str, object]] = []
    for dataset in sorted(datasets):
        for budget in sorted(budgets):
            for key, value in world.items():
                where, _, name = key.rpartition("/")
                if where not in {"", budget, f"{budget}/{dataset}"}:
                    continue
                method, _, metric = name.partition(":")
                metric, _, band = (metric or "P").partition(" ")
                end, early = value if isinstance(value, tuple) else (value, value)
                run = {"dataset": dataset, "method": method, "seed": 1, "budget": budget, "metric": metric}
                k = 1 if metric in {"P", "PSP", "macro-P"} else None
                rows.append({**run, "k": k, "split": "test", "band": band, "value": end})
                rows.append(
                    {**run, "k": None, "split": "test", "metric": "labels", "value": LABELS.get(budget, 7200)}
                )
                rows += [
                    {**run, "k": k, "split": "validation" if k else "train", "epoch": e, "value": early if e <= 1 else end}
                    for e in (0.5, 1.0, 2.0, 6.0, 10.0)
                ]  # fmt: skip
    frame = pd.DataFrame(rows, columns=[*COLUMNS, "written"])
    # A run has one number of labels, however many metrics were planted.
    return ExperimentRows(
        frame.drop_duplicates(["dataset", "method", "budget", "metric", "k", "split", "band", "epoch"]), {}
    )


def sweep(method: str, points: list[float | int], values: list[float], metric: str = "P") -> World:
    return {f"{method.replace('{}', str(p))}:{metric}": v for p, v in zip(points, values, strict=True)}


FAN_IN: list[float | int] = [192, 128, 64, 32, 16]
CUTOFF: list[float | int] = [1.0, 2.0, 4.0, 6.0, 8.0, 1000.0]
INTERVAL: list[float | int] = [10, 25, 50, 100, 200, 400]
WIDTH: list[float | int] = [256, 512, 1024, 2048, 4096]
PLAIN, AUX, INTER = "fixed_fan_in_set", "fixed_fan_in_set_aux", "fixed_fan_in_set_intermediate"
COSINE = ":probe_cosine"
NORM, MEMORY, SECONDS = ":encoder_gradient_norm", ":memory_classifier", ":epoch_seconds"
RATE = ":predict_documents_per_second"


def peaks(dense: float, aux: float, all_scores: float) -> World:
    """GiB."""
    named = {"dense": dense, AUX: aux, f"{PLAIN}_materialised": all_scores}
    return {f"{method}:peak_device": value * 2**30 for method, value in named.items()}


def rigl(value: float) -> World:
    """SET's numbers are 10."""
    kinds = (MEMORY, SECONDS)
    world = {f"{m}{k}": v for k in kinds for m, v in (("fixed_fan_in_rigl", value), (PLAIN, 10.0))}
    return {**world, "masked_rigl:rewire_peak_device": value, f"{PLAIN}:rewire_peak_device": 10.0}


def lead(eighth: float, quarter: float, half: float, whole: float) -> World:
    spaces = {"labels_eighth": eighth, "labels_quarter": quarter, "labels_half": half, "quick": whole}
    return {
        f"{b}/{m}": 50.0 - (0 if m == "dense" else v)
        for b, v in spaces.items()
        for m in ("dense", PLAIN, AUX)
    }


def cutoffs(first: list[float], plain: float) -> World:
    found: dict[str, Value] = {}
    for fan_in in (64, 16):
        found |= sweep(f"{AUX}@fan_in={fan_in},cutoff={{}}", CUTOFF, first)
        found[f"{PLAIN}@fan_in={fan_in}"] = plain
    return found


def gains(at: Mapping[int, float]) -> World:
    return {f"{m}@fan_in={k}": 40.0 + (g if m == AUX else 0) for k, g in at.items() for m in (PLAIN, AUX)}


def swept(memory: list[float], seconds: list[float], rate: list[float], precision: list[float]) -> World:
    name = f"{PLAIN}@fan_in={{}}"
    kinds = {MEMORY: memory, SECONDS: seconds, RATE: rate, ":P": precision}
    return {
        k: v for metric, values in kinds.items() for k, v in sweep(name, FAN_IN, values, metric[1:]).items()
    }


def bytes_of(index: float, materialised: float) -> World:
    other = f"{PLAIN}_materialised:memory_"
    return {
        f"{PLAIN}:memory_index": index,
        f"{PLAIN}:memory_weight": 100.0,
        f"{other}index": materialised,
        **{f"{other}{kind}": n * 100.0 for kind, n in (("weight", 1), ("gradient", 1), ("optimizer", 2))},
    }


def costs(masked: float, true: float) -> World:
    return {f"{m}{kind}": v for kind in (MEMORY, SECONDS) for m, v in (("dense", 100.0), ("masked_set", masked), (PLAIN, true))}  # fmt: skip


def tail(plain: float, bottleneck: float) -> World:
    methods = {"dense": 30.0, PLAIN: plain, "dense_bottleneck": bottleneck}
    return {f"{m}:PSP{band}": v for band in ("", " tail") for m, v in methods.items()}


def more_steps(dense: float, sparse: float) -> World:
    gain = {"dense": dense, PLAIN: sparse, "dense_bottleneck": sparse}
    return {**{m: 40.0 for m in gain}, **{f"{m}@epochs=20": 40.0 + g for m, g in gain.items()}}


def widths(precision: list[float], macro: list[float]) -> World:
    return {
        **sweep(f"{INTER}@width={{}}", WIDTH, precision),
        **sweep(f"{INTER}@width={{}}", WIDTH, macro, "macro-P"),
    }


def intervals(precision: list[float], psp: list[float]) -> World:
    name = f"{PLAIN}@fraction=0.15,interval={{}}"
    return {**sweep(name, INTERVAL, precision), **sweep(name, INTERVAL, psp, "PSP")}


UP, DOWN = [1.0, 2.0, 3.0, 4.0, 5.0], [5.0, 4.0, 3.0, 2.0, 1.0]
TRUE: dict[str, World] = {
    "C1": {"dense": 50.0, PLAIN: 40.0},
    "C2": lead(1, 2, 3, 4),
    "C3": {
        f"dense{NORM}": 2.0,
        f"{PLAIN}{NORM}": 1.0,
        f"{AUX}{NORM}": 3.0,
        f"dense@probe=0.001{COSINE}": 0.9,
        f"{PLAIN}@probe=0.001{COSINE}": 0.5,
    },
    "C4": {f"full/wordnet-114k/{INTER}": 45.0, "dense": 50.0, PLAIN: 40.0, INTER: 49.5},
    "C5": {
        "dense": 50.0,
        PLAIN: 40.0,
        AUX: 48.0,
        "dense_aux": 50.0,
        f"{AUX}@fan_in=64": 49.0,
        f"{PLAIN}@fan_in=64": 42.0,
    },
    "C6": gains({16: 5.0, 32: 3.0, 128: 0.0, 192: -1.0}),
    "C7": cutoffs([40, 41, 42, 43, 42, 38], 39.0),
    "C8": {f"{AUX}@grouping=random": (47.0, 20.0), f"{AUX}@grouping=semantic": (47.5, 25.0)},
    "C9": {f"{m}:{k}": v for k in ("P", "PSP") for m, v in ((PLAIN, 45.0), ("dense_bottleneck", 40.0))},
    "C10": swept(DOWN, DOWN, UP, DOWN),
    "C11": peaks(46.3, 13.5, 13.5),
    "C12": bytes_of(50.0, 50.0),
    "C13": costs(110.0, 20.0),
    "C14": {f"{PLAIN}_hinge:zero_share": 0.97, f"{PLAIN}_hinge{SECONDS}": 1.0, f"{PLAIN}{SECONDS}": 2.0},
    "C15": intervals([1, 2, 3, 4, 3, 2], [1, 2, 3, 4, 5, 6]),
    "C16": tail(30.0, 20.0),
    "C17": {"dense": 30.0, PLAIN: 31.0, INTER: 32.0},
    "C18": {f"{PLAIN}_minilm": 50.0, f"{PLAIN}_frozen": 45.0},
    "C19": widths([1, 3, 4, 3, 2], UP),
    "C20": more_steps(0.0, 3.0),
    "C21": rigl(30.0),
    "H1": {"group_fan_in_set": 46.0, PLAIN: 46.5},
    "H2": {"haste": 48.0, "haste_no_head": 45.0, AUX: 47.0},
    "H3": {"haste": 48.0, "haste_random": 45.0},
    "E1": {
        "dense_bf16_chunked": 50.0,
        "dense": 50.0,
        f"dense_bf16_chunked{MEMORY}": 1.0,
        f"dense{MEMORY}": 5.0,
    },
    "E2": {
        "dense_bf16_chunked": 50.0,
        AUX: 48.0,
        f"dense_bf16_chunked{MEMORY}": 1.0,
        f"{PLAIN}{MEMORY}": 2.0,
    },
}
FALSE: dict[str, World] = {
    "C1": {"dense": 50.0, PLAIN: 50.0},
    "C2": lead(4, 3, 2, 1),
    "C3": {
        f"dense{NORM}": 1.0,
        f"{PLAIN}{NORM}": 1.0,
        f"{AUX}{NORM}": 1.0,
        f"dense@probe=0.001{COSINE}": 0.9,
        f"{PLAIN}@probe=0.001{COSINE}": 0.9,
    },
    "C4": {f"full/wordnet-114k/{INTER}": 49.5, "dense": 50.0, PLAIN: 40.0, INTER: 42.0},
    "C5": {"dense": 50.0, PLAIN: 40.0, AUX: 41.0, "dense_aux": 52.0, f"{AUX}@fan_in=64": 42.5, f"{PLAIN}@fan_in=64": 42.0},
    "C6": gains({16: 0.0, 32: 0.5, 128: 2.0, 192: 3.0}),
    "C7": cutoffs([38, 39, 40, 41, 42, 43], 39.0),
    "C8": {f"{AUX}@grouping=random": (44.0, 25.0), f"{AUX}@grouping=semantic": (47.5, 25.0)},
    "C9": {f"{m}:{k}": v for k in ("P", "PSP") for m, v in ((PLAIN, 39.0), ("dense_bottleneck", 40.0))},
    "C10": swept(UP, [1, 1.5, 1.4, 1.6, 1.3], DOWN, UP),
    "C11": peaks(40.0, 16.0, 20.0),
    "C12": bytes_of(30.0, 60.0),
    "C13": costs(50.0, 95.0),
    "C14": {f"{PLAIN}_hinge:zero_share": 0.5, f"{PLAIN}_hinge{SECONDS}": 2.0, f"{PLAIN}{SECONDS}": 2.0},
    "C15": intervals([1, 2, 3, 4, 5, 6], [6, 5, 4, 3, 2, 1]),
    "C16": tail(20.0, 25.0),
    "C17": {"dense": 33.0, PLAIN: 31.0, INTER: 32.0},
    "C18": {f"{PLAIN}_minilm": 45.0, f"{PLAIN}_frozen": 45.0},
    "C19": widths(UP, DOWN),
    "C20": more_steps(3.0, 3.0),
    "C21": rigl(11.0),
    "H1": {"group_fan_in_set": 40.0, PLAIN: 46.5},
    "H2": {"haste": 45.0, "haste_no_head": 45.0, AUX: 47.0},
    "H3": {"haste": 45.0, "haste_random": 45.0},
    "E1": {"dense_bf16_chunked": 45.0, "dense": 50.0, f"dense_bf16_chunked{MEMORY}": 2.0, f"dense{MEMORY}": 5.0},
    "E2": {"dense_bf16_chunked": 45.0, AUX: 48.0, f"dense_bf16_chunked{MEMORY}": 3.0, f"{PLAIN}{MEMORY}": 2.0},
}  # fmt: skip
