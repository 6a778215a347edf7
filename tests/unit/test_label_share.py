"""A budget may take a share of the labels: label spaces of several sizes from one data set."""

from pathlib import Path

import numpy as np

from xmcbench.data.sample import sample
from xmcbench.data.store import PreparedStore
from xmcbench.plan import Project

from ..conftest import SmokeData


def test_label_shares_are_nested_and_take_documents_along(
    smoke: SmokeData, tmp_path: Path, project: Project
) -> None:
    spec = project.datasets["wordnet-33k"].model_copy(update={"counts": {}})
    whole = PreparedStore.open(smoke.sample)
    ids = {"all": set(whole.label_ids or [])}
    rule = project.sample_rule("smoke")
    for share in (0.5, 0.25):
        folder = tmp_path / str(share)
        sample(smoke.prepared, spec, "smoke", rule.model_copy(update={"label_share": share}), folder)
        store = PreparedStore.open(folder)
        ids[str(share)] = set(store.label_ids or [])
        assert store.labels == round(share * whole.labels)
        for name in ("train", "validation", "test"):
            split = store.split(name)
            assert split.documents and (np.diff(split.indptr) > 0).all(), "no document without labels is left"
    assert ids["0.25"] < ids["0.5"] < ids["all"]
