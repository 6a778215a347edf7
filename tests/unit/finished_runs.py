"""What finished runs leave, with made-up numbers: the hand-made results of the reporting tests."""

import csv
import json
from pathlib import Path

from xmcbench.atomic import write_json, write_text
from xmcbench.plan import Run


def finish(root: Path, run: Run, value: float) -> None:
    """Write what a finished run leaves, with made-up numbers."""
    folder = root / run.folder
    # A band and a ruler of their own numbers: what shows those of all labels must not take these.
    records = [
        {"metric": metric, "k": k, "band": band, "ruler": ruler, "value": value + k + add, "unit": "%"}
        for metric in ("P", "nDCG", "PSP")
        for k in (1, 3, 5)
        for band, ruler, add in (("all", "all", 0), ("tail", "all", 0.5), ("all", "new_links", 0.25))
    ]
    records += [
        {"metric": "scored_documents", "k": None, "band": band, "ruler": "all", "value": n, "unit": "1"}
        for band, n in (("all", 900), ("tail", 30))
    ]
    write_json(folder / "recipe.json", json.loads(run.canonical_recipe))
    write_json(folder / "metrics.json", {"split": "test", "records": records})
    timing = {
        "parameters": {"classifier": 1000, "encoder": 2000},
        "memory_bytes": {"weight": 2**20, "optimizer": 2**21},
        "peak_rss_bytes": 2**29,
        "train_seconds": 12.0,
        "epoch_seconds": [3.0, 1.0, 2.0],
        "predict_seconds": 0.5,
        "predict_documents": 100,
    }
    write_json(folder / "timing.json", timing)
    write_json(folder / "env.json", {"hardware": "some-cpu-2-cores", "torch": "2.13", "finished": "now"})
    score = [{"metric": "P", "k": 1, "value": value}]
    steps = [
        {
            "kind": "step",
            "step": s,
            "epoch": 0,
            "loss": 9.0 - s,
            "encoder_gradient_norm": 1.0 + s,
            "feature_variance": 0.1,
        }
        for s in range(4)
    ]
    epochs = [{"kind": "epoch", "step": 4, "epoch": e, "loss": 1.0, "validation": score} for e in (1, 2)]
    write_text(folder / "history.jsonl", "".join(json.dumps(row) + "\n" for row in [*steps, *epochs]))


def rows_of(file: Path) -> list[dict[str, str]]:
    with file.open(newline="") as stream:
        return list(csv.DictReader(stream))
