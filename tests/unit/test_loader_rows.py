"""The loader's benchmark as CSV: rates and ratios by hand."""

import csv
import json
from pathlib import Path

import pytest

from xmcbench.errors import DataError
from xmcbench.reporting.loader_rows import write_loader_rows

INFO = {
    "operator": "loader.flat",
    "dataset": "d",
    "budget": "quick",
    "batch_size": 128,
    "length_bucket": 0,
    "padding_share": None,
    "documents": 1000,
    "seconds": 0.5,
    "peers": {"usual": 2.0, "step": 4.0},
    "peer_documents": {"step": 100},
}


def test_rates_are_documents_a_second(tmp_path: Path) -> None:
    (tmp_path / "in.json").write_text(json.dumps({"benchmarks": [{"extra_info": INFO}, {"extra_info": {}}]}))
    write_loader_rows(tmp_path / "in.json", {"hardware": "slug"}, tmp_path / "out.csv")
    with (tmp_path / "out.csv").open() as file:
        usual, step = csv.DictReader(file)
    assert (usual["documents_per_second"], usual["peer_documents_per_second"]) == ("2000.0", "500.0")
    assert usual["ratio"] == "4.0" and usual["hardware"] == "slug" and usual["padding_share"] == ""
    # The step took 4 s for 100 documents of its own: 25 a second.
    assert (step["peer"], step["peer_documents"], step["ratio"]) == ("step", "100", "80.0")


@pytest.mark.parametrize(
    ("text", "message"),
    [("{", "not a pytest-benchmark JSON"), ('{"benchmarks": []}', "holds no measurement")],
)
def test_what_measured_nothing_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "in.json").write_text(text)
    with pytest.raises(DataError, match=message):
        write_loader_rows(tmp_path / "in.json", {"hardware": "slug"}, tmp_path / "out.csv")
    assert not (tmp_path / "out.csv").exists()
