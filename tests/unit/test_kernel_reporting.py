"""From the benchmarks' JSON to the kernels' rows, figures and the README's tables, with planted timings."""

import csv
import json
from pathlib import Path

import pandas as pd
import pytest

from xmcbench.cli import main
from xmcbench.errors import DataError
from xmcbench.reporting.benchmark_file import environment_of
from xmcbench.reporting.kernel_figures import crossover, draw_kernel_figures, label_costs, roofline
from xmcbench.reporting.kernel_rows import COLUMNS, write_kernel_rows
from xmcbench.reporting.kernel_tables import (
    NARROW_FEATURES,
    claimed_table,
    gpu_tables,
    kernel_tables,
    machine_tables,
    other_machines,
)
from xmcbench.reporting.outputs import kernel_figures
from xmcbench.reporting.report import drawn_kernels

WORK = 6 * 64 * 131_072 * 32
STEP = {
    "operator": "fixed_fan_in.train_step",
    "backend": "cpu",
    "dtype": "float32",
    "loss": "bce",
    "optimizer": "sgd",
    **{"L": 131_072, "D": 768, "B": 64, "K": 32, "G": None, "threads": 2},
    "zero_share": 0.0,
    "sgemm_rate": WORK / 0.01,  # of the step's own turns
}
MACHINE = pd.Series({"sgemm_rate": 1e11, "copy_rate": 1e10})
ENVIRONMENT = {
    "hardware": "a-machine",
    "cpu": "A Machine",
    "cores": 2,
    "platform": "here",
    "python": "3",
    "torch": "2",
    "xmcbench": "0",
    "finished": "now",
}


def benchmarks(folder: Path, *measured: dict[str, object]) -> Path:
    path = folder / "benchmarks.json"
    machine = {"machine": {"sgemm_rate": WORK / 0.005, "copy_rate": 1e10, "instruction_set": "avx2"}}
    path.write_text(json.dumps({"benchmarks": [{"extra_info": info} for info in (*measured, machine)]}))
    return path


def rows_of(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text().splitlines()))


def test_fan_ins_of_one_run_are_rows_against_the_same_rivals(tmp_path: Path) -> None:
    peers = {"dense.train_step": 0.4, "dense_chunked.train_step": 0.2}
    also = [{"K": 64, "seconds": 0.04}]
    source = benchmarks(tmp_path, {**STEP, "seconds": 0.02, "also": also, "peers": peers})
    write_kernel_rows(source, ENVIRONMENT, tmp_path / "collected" / "kernels.csv")
    rows = rows_of(tmp_path / "collected" / "kernels.csv")
    assert list(rows[0]) == COLUMNS
    found = {(row["K"], row["peer"]): float(row["ratio"]) for row in rows}
    assert found == {
        ("32", "dense.train_step"): 20,
        ("32", "dense_chunked.train_step"): 10,
        ("64", "dense.train_step"): 10,
        ("64", "dense_chunked.train_step"): 5,
    }
    # A step of 20 ms where the product, in the same turns, would take 10; twice the fan-in, twice the work.
    assert {(row["K"], float(row["share_of_sgemm"])) for row in rows} == {("32", 0.5), ("64", 0.5)}
    assert rows[0]["L"] == "131072" and rows[0]["G"] == "", "integers as integers, nothing as nothing"
    facts = {row["key"]: row["value"] for row in rows_of(tmp_path / "collected" / "kernels_machine.csv")}
    assert facts["torch"] == "2" and float(facts["copy_rate"]) == 1e10
    draw_kernel_figures(tmp_path / "collected", tmp_path / "figures")
    assert {p.stem for p in (tmp_path / "figures").iterdir()} == set(kernel_figures("kernels"))
    text = kernel_tables(tmp_path / "collected" / "kernels.csv")
    assert "| fixed fan-in | 64 | 32 | 20.0 | 0.50 | 20.0 | 10.0 |" in text
    assert "where the widest instructions are avx2 (A Machine, 2 cores" in text


def test_another_machine_has_tables_of_its_own(tmp_path: Path) -> None:
    forward = {**STEP, "operator": "fixed_fan_in.forward", "loss": None, "optimizer": None}
    forward |= {"seconds": 0.01, "peers": {"embedding_bag.forward": 0.02}, "sgemm_rate": None}
    step = {**STEP, "seconds": 0.02, "peers": {"dense.train_step": 0.4}}
    half = {**STEP, "dtype": "bfloat16", "seconds": 0.04, "peers": {"fixed_fan_in.train_step": 0.02}}
    source = benchmarks(tmp_path, step, half, forward)
    for name in ("kernels", "kernels_gpu", "kernels_old"):
        write_kernel_rows(source, ENVIRONMENT, tmp_path / f"{name}.csv")
    (found,) = others = other_machines(tmp_path)
    assert found.name == "kernels_old.csv"
    text = machine_tables(others)
    assert "widest instructions are avx2 (A Machine, 2 cores" in text
    assert "| fixed fan-in | 64 | 32 | 20.0 | 0.50 | 20.0 |" in text
    assert "| fixed_fan_in.forward | 64 | 131,072 | 32 | float32 | embedding_bag.forward | 2.00 |" in text
    assert "| bfloat16, bce, sgd | fixed_fan_in.train_step | 0.50 |" in text, "where ours loses is shown too"


def test_the_claim_is_a_row_a_machine_and_fan_in_beside_the_best_dense_step(tmp_path: Path) -> None:
    """Neither other batches, nor groups, nor narrow features, nor optimisers: the plain step alone."""
    peers = {"dense.train_step": 0.4, "dense_chunked.train_step": 0.2}
    step = {**STEP, "seconds": 0.02, "peers": peers}
    others = [step | {"B": 128}, step | {"G": 16}, step | {"optimizer": "adamw"}]
    others.append(
        {**STEP, "dtype": NARROW_FEATURES, "seconds": 0.016, "peers": {"fixed_fan_in.train_step": 0.02}}
    )
    source = benchmarks(tmp_path, {**step, "also": [{"K": 64, "seconds": 0.04}]}, *others)
    for name in ("kernels", "kernels_old"):
        write_kernel_rows(source, ENVIRONMENT, tmp_path / f"{name}.csv")
    ours = [line for line in claimed_table(tmp_path).splitlines() if "A Machine" in line]
    assert ours == 2 * [
        "| A Machine, avx2, 2 threads | 131,072 | 32 | 20.0 | 0.50 | 20.0 | 10.0 | now |",
        "| A Machine, avx2, 2 threads | 131,072 | 64 | 40.0 | 0.50 | 10.0 | 5.0 | now |",
    ]
    rounded = {**peers, "dense.train_step, TF32": 0.03}
    gpu = benchmarks(tmp_path, {**step, "L": 670_091, "peers": rounded})
    write_kernel_rows(gpu, {**ENVIRONMENT, "hardware": "a-gpu"}, tmp_path / "kernels_gpu.csv")
    assert "| a-gpu | 670,091 | 32 | 20.0 |" in claimed_table(tmp_path)
    assert claimed_table(tmp_path).count(" | 20.0 | 1.5 | now |") == 1, (
        "the best rival may round its products"
    )


def test_a_step_on_narrow_features_stands_beside_the_plain_one_and_claims_nothing_against_dense(
    tmp_path: Path,
) -> None:
    plain = {**STEP, "seconds": 0.02, "peers": {"dense.train_step": 0.4}}
    narrow = {**STEP, "dtype": NARROW_FEATURES, "seconds": 0.016, "peers": {"fixed_fan_in.train_step": 0.02}}
    write_kernel_rows(benchmarks(tmp_path, plain, narrow), ENVIRONMENT, tmp_path / "kernels.csv")
    text = kernel_tables(tmp_path / "kernels.csv")
    assert "| fixed fan-in | 64 | 32 | 20.0 | 0.50 | 20.0 |  |" in text
    assert "| fixed fan-in, bf16 features | 64 | 32 | 16.0 | 0.62 |  | 1.25 |" in text
    assert text.count("fixed_fan_in.train_step |") == 0, "and in no other table"
    rows = pd.read_csv(tmp_path / "kernels.csv", dtype={c: "Int64" for c in ("L", "D", "B", "K", "G")})
    (points,) = roofline(rows, MACHINE).axes[0].lines[1:]
    assert len(set(points.get_xdata())) == 1, "the same bytes of weights move"
    assert sorted(points.get_ydata()) == pytest.approx([WORK / 0.02 / 1e9, WORK / 0.016 / 1e9])


def test_where_gradients_were_skipped_no_share_of_the_product_is_claimed(tmp_path: Path) -> None:
    skipped = {**STEP, "loss": "squared_hinge", "zero_share": 0.99, "sgemm_rate": None}
    source = benchmarks(tmp_path, {**skipped, "seconds": 0.01, "peers": {"fixed_fan_in.train_step": 0.02}})
    write_kernel_rows(source, ENVIRONMENT, tmp_path / "kernels.csv")
    (row,) = rows_of(tmp_path / "kernels.csv")
    assert (row["share_of_sgemm"], row["zero_share"], float(row["ratio"])) == ("", "0.99", 2)


def test_a_run_that_measured_nothing_and_a_foreign_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"benchmarks\.json: holds no measurement"):
        write_kernel_rows(benchmarks(tmp_path), ENVIRONMENT, tmp_path / "kernels.csv")
    (tmp_path / "other.json").write_text("{}")
    with pytest.raises(DataError, match=r"other\.json: not a pytest-benchmark JSON file"):
        write_kernel_rows(tmp_path / "other.json", ENVIRONMENT, tmp_path / "kernels.csv")
    with pytest.raises(DataError, match=r"kernels\.csv: missing; run the kernels' benchmarks first"):
        draw_kernel_figures(tmp_path, tmp_path)


def test_the_best_square_product_of_a_machine_is_the_best_that_any_row_met(tmp_path: Path) -> None:
    fast = {**STEP, "seconds": 0.02, "peers": {}, "sgemm_rate": WORK / 0.004}
    write_kernel_rows(
        benchmarks(tmp_path, fast, {**STEP, "seconds": 0.02, "peers": {}}),
        ENVIRONMENT,
        tmp_path / "kernels.csv",
    )
    facts = {row["key"]: row["value"] for row in rows_of(tmp_path / "kernels_machine.csv")}
    assert float(facts["sgemm_rate"]) == WORK / 0.004, "met by a row, above what was measured alone"


def test_what_labels_cost_is_drawn_of_measured_points_alone(tmp_path: Path) -> None:
    """Bytes: 1,000 labels of 32 inputs hold 196,000 (weight, index, bias), of 768 dense ones 3,076,000."""
    ours = {**STEP, "L": 1_000, "seconds": 0.001, "extra_bytes": 4_000, "peers": {}}
    dense = {**ours, "operator": "dense.train_step", "K": 768, "seconds": 0.02, "extra_bytes": 24_000}
    unmeasured = {**ours, "operator": "dense_chunked.train_step", "K": 768, "extra_bytes": None}
    source = benchmarks(tmp_path, ours, {**ours, "L": 2_000}, dense, unmeasured)
    write_kernel_rows(source, ENVIRONMENT, tmp_path / "kernels.csv")
    rows = pd.read_csv(tmp_path / "kernels.csv", dtype={c: "Int64" for c in ("L", "D", "B", "K", "G")})
    left, right = label_costs(rows).axes
    assert [line.get_xdata().tolist() for line in left.lines] == [[1000], [1000, 2000]]
    held = [line.get_ydata()[0] * 2**30 for line in right.lines]
    assert held == pytest.approx([3_076_000 + 24_000, 196_000 + 4_000])
    assert {t.get_text() for t in right.texts} == {"dense, all scores", "fixed fan-in, fused"}
    (empty,) = label_costs(rows[rows["extra_bytes"].isna()]).axes
    assert [t.get_text() for t in empty.texts] == ["no runs yet"]
    # And dense products are no points of the fused step's roofline.
    assert all(len(line.get_xdata()) in {60, 2} for line in roofline(rows, MACHINE).axes[0].lines)


def test_label_counts_of_one_run_are_rows_and_a_table_of_the_time_a_label(tmp_path: Path) -> None:
    ours = {**STEP, "L": 1_000, "seconds": 0.0002, "extra_bytes": 4_000_000, "peers": {}}
    ours |= {"also": [{"L": 1_000_000, "seconds": 0.1, "extra_bytes": 5_500_000}]}
    beside = {**STEP, "seconds": 0.02, "peers": {"dense.train_step": 0.4}}
    write_kernel_rows(benchmarks(tmp_path, beside, ours), ENVIRONMENT, tmp_path / "kernels.csv")
    text = kernel_tables(tmp_path / "kernels.csv")
    # Nanoseconds a label: 0.2 ms over a thousand, 100 ms over a million.
    assert "| fixed_fan_in.train_step | 1,000 | 0.2 | 200 | 4.0 |" in text
    assert "| fixed_fan_in.train_step | 1,000,000 | 100.0 | 100 | 5.5 |" in text
    assert text.count("| fixed_fan_in.train_step | 131,072 |") == 0, (
        "what stands beside a peer is in the tables above"
    )


def test_the_page_takes_the_kernels_figures_where_they_were_drawn(tmp_path: Path) -> None:
    assert drawn_kernels(tmp_path) == []
    (tmp_path / "kernels_roofline.png").write_bytes(b"\x89PNG")
    (shown,) = drawn_kernels(tmp_path)
    assert shown["title"] == "Roofline of the fused step" and shown["data"] == "iVBORw=="


def test_a_gpus_best_dense_step_may_round_its_products(tmp_path: Path) -> None:
    peers = {
        "dense.train_step": 0.008,
        "dense.train_step, TF32": 0.003,
        "dense_chunked.train_step": 0.01,
    }
    step = {**STEP, "backend": "triton", "L": 670_091, "seconds": 0.002, "sgemm_rate": 5e13, "peers": peers}
    step |= {"also": [{"K": 64, "seconds": 0.004}]}
    path = benchmarks(tmp_path, step)
    machine = {"machine": {"gpu_sgemm_rate": 5e13, "gpu_copy_rate": 4e12}}
    path.write_text(json.dumps({"benchmarks": [{"extra_info": step}, {"extra_info": machine}]}))
    write_kernel_rows(path, ENVIRONMENT, tmp_path / "kernels_gpu.csv")
    text = gpu_tables(tmp_path / "kernels_gpu.csv")
    assert "× dense, TF32" in text and "× fixed fan-in" not in text
    assert "| fixed fan-in | 64 | 32 | 2.0 | 0.08 | 4.0 | 1.5 | 5.0 |" in text
    rows = pd.read_csv(tmp_path / "kernels_gpu.csv", dtype={c: "Int64" for c in ("L", "D", "B", "K", "G")})
    line = crossover(rows).axes[0].lines[0]
    assert line.get_ydata().tolist() == pytest.approx([1.5, 0.75]), "against the best rival, not the first"
    draw_kernel_figures(tmp_path, tmp_path / "figures", "kernels_gpu")
    assert {p.stem for p in (tmp_path / "figures").iterdir()} == set(kernel_figures("kernels_gpu"))


def test_rows_name_the_machine_that_measured_not_the_one_that_collects(tmp_path: Path) -> None:
    source = benchmarks(tmp_path, {**STEP, "seconds": 0.02, "peers": {"dense.train_step": 0.4}})
    with pytest.raises(DataError, match="no machine is described"):
        environment_of(source, "cpu")
    told = json.loads(source.read_text()) | {"machine_info": {"xmcbench": {"cuda": ENVIRONMENT}}}
    source.write_text(json.dumps(told))
    with pytest.raises(DataError, match="not measured on cpu; allowed: cuda"):
        environment_of(source, "cpu")
    out = tmp_path / "collected" / "kernels_gpu.csv"
    assert main(["kernels-collect", "--json", str(source), "--device", "cuda", "--out", str(out)]) == 0
    assert set(pd.read_csv(out)["hardware"]) == {ENVIRONMENT["hardware"]}
