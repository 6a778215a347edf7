"""`snakemake --report`: one file with every table and figure, each under its caption."""

import pytest

from xmcbench.reporting.captions import caption_files

from ..conftest import ROOT
from .conftest import Workflow


@pytest.mark.parametrize("name", sorted(caption_files()))
def test_captions_are_those_of_the_modules(name: str) -> None:
    assert (ROOT / "workflow" / "report" / name).read_text() == caption_files()[name], (
        "run: xmcbench captions --out workflow/report"
    )


def test_the_report_has_tables_figures_claims_and_their_captions(built: Workflow) -> None:
    built.run("--report", "page.html", "all")
    page = (built.root / "page.html").read_text()
    for name in ("accuracy_memory.png", "main.csv", "claims.csv"):
        assert name in page
    for category in ("Claims", "Tables", "Figures"):
        assert f'"{category}"' in page
    # Captions are stored as HTML with entities; their first words are plain.
    assert "Precision at 1 on the test documents against the memory" in page
    assert "kind by kind: declared by the layer" in page
