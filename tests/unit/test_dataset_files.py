"""The data-set files that are shipped: they declare what the published tables print, and every file has a source."""

import pandas as pd
import pytest

from xmcbench.data.dataset import Source
from xmcbench.data.fetch.sources import bundles_of
from xmcbench.plan import Project

from ..conftest import ROOT

PROJECT = Project(ROOT / "config")
PUBLIC = [name for name, spec in PROJECT.datasets.items() if spec.is_fetched()]


def test_the_public_sets_are_all_there() -> None:
    assert set(PUBLIC) == {
        *("wiki10", "amazoncat13k", "eurlex4k", "wiki500k", "amazontitles670k", "amazon670k", "amazon3m"),
        *("lf-amazontitles131k", "lf-wikiseealso320k", "lf-amazontitles1.3m", "lf-paper2keywords8.6m"),
    }


@pytest.mark.parametrize("name", PUBLIC)
def test_declared_counts_are_the_published_ones(name: str) -> None:
    spec = PROJECT.datasets[name]
    rows = pd.read_csv(ROOT / "results/published/datasets.csv")
    known = rows[rows["dataset"] == spec.label].set_index("quantity")["value"].to_dict()
    counts, printed = spec.counts["full"].model_dump(), spec.published
    for quantity in ("documents_train", "documents_test", "labels"):
        assert counts[quantity] == known.get(quantity), quantity
    assert printed.labels_per_document == known.get("labels_per_document")
    either = known.get("documents_per_label", known.get("documents_per_label_with_test"))
    assert printed.documents_per_label == either


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_set_has_sources_and_the_first_has_its_format(name: str) -> None:
    source = PROJECT.datasets[name].source
    bundles = bundles_of(ROOT / "config/sources.tsv", name)
    assert isinstance(source, Source) and bundles[0].format == source.format


def test_propensity_constants_name_their_source() -> None:
    for name, spec in PROJECT.datasets.items():
        assert spec.propensity.source, name
        if "amazon" in name:
            assert (spec.propensity.a, spec.propensity.b) == (0.6, 2.6)
