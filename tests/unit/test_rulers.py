"""Filter pairs and rulers: what is removed before scoring, what is stored so that enough stays, and what is refused."""

import logging
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from xmcbench.atomic import read_json, write_json
from xmcbench.data.prepare import prepare
from xmcbench.data.store import PreparedStore
from xmcbench.data.store_writer import Rows, write_store
from xmcbench.errors import ConfigError, DataError
from xmcbench.evaluation.new_links import mirrored_pairs
from xmcbench.evaluation.pairs import Pairs
from xmcbench.evaluation.rulers import predictions_to_store, rulers_of
from xmcbench.evaluation.score import read_topk, score_run
from xmcbench.plan import Project, Run
from xmcbench.recipe import Evaluation, TrainRecipe
from xmcbench.training import validation as training_validation
from xmcbench.training.predict import Predictions
from xmcbench.training.reference import reference_run
from xmcbench.training.run import train_run

from ..conftest import ROOT, SmokeData

LOG = logging.getLogger("test")


def pairs(documents: int, labels: int, *its: tuple[int, int]) -> Pairs:
    return Pairs.of(np.array(its, dtype=np.int64).reshape(-1, 2), documents, labels)


def store_at(folder: Path) -> PreparedStore:
    """Four labels a, b, c, d that are documents too; test documents b, d and a stranger."""
    splits = {
        "train": Rows(["a", "x"], ["", ""], [[1, 3], [0]]),  # a → b, d; x → a
        "validation": Rows(["c"], [""], [[1]]),  # c → b
        # b → a (mirror of a → b), c (of c → b), d (new); d → c (new); y → a.
        "test": Rows(["b", "d", "y"], ["", "", ""], [[0, 2, 3], [2], [0]]),
    }
    write_store(folder, "hand", ["a", "b", "c", "d"], splits, {})
    return PreparedStore.open(folder)


def add_filter(folder: Path, split: str, *its: tuple[int, int]) -> None:
    np.save(folder / f"{split}_filter.npy", np.array(its, dtype=np.int64))


def run_at(folder: Path, top: list[list[int]], k: int = 2, rulers: tuple[str, ...] = ()) -> Path:
    evaluation = {"k": k, "propensity": {"a": 0.55, "b": 1.5}, "rulers": list(rulers)}
    write_json(
        folder / "recipe.json",
        {"dataset": "hand", "method": "m", "seed": 1, "budget": "b", "evaluation": evaluation},
    )
    np.savez(
        folder / "topk.npz", label=np.array(top, dtype=np.int32), score=np.zeros(np.shape(top), np.float32)
    )
    return folder


def values(folder: Path, ruler: str = "all") -> dict[tuple[str, int | None], float]:
    records = read_json(folder / "metrics.json")["records"]
    return {(r["metric"], r["k"]): r["value"] for r in records if (r["ruler"], r["band"]) == (ruler, "all")}


def test_predictions_move_up_where_pairs_are_removed() -> None:
    removed = pairs(9, 5, (7, 1), (7, 3), (8, 4), (6, 0))
    top = np.array([[1, 0, 3, 2], [4, 3, -1, -1], [0, 1, 2, 3]], dtype=np.int32)
    assert removed.out_of_predictions(top, first=7).tolist() == [
        [0, 2, -1, -1],
        [3, -1, -1, -1],
        [0, 1, 2, 3],
    ]
    assert removed.out_of_predictions(top, first=0).tolist() == top.tolist()
    assert (len(removed), removed.most_of_one_document) == (4, 2)
    # −1 of document 8 is not label 4 of document 7.
    assert not pairs(9, 5, (7, 4)).contain(np.array([8]), np.array([-1])).any()


def test_pairs_out_of_range_are_refused() -> None:
    with pytest.raises(
        DataError, match=r"pairs: pair 1 is document 3, label 0; allowed: documents 0 … 2, labels"
    ):
        pairs(3, 5, (0, 0), (3, 0))
    with pytest.raises(DataError, match=r"label 5; .*labels 0 … 4"):
        pairs(3, 5, (0, 5))
    with pytest.raises(DataError, match=r"float64 of shape .*; allowed: integers"):
        Pairs.of(np.zeros((1, 2)), 3, 5)


def test_the_filter_removes_predictions_and_the_truth_stays(tmp_path: Path) -> None:
    store_at(tmp_path / "sample")
    add_filter(tmp_path / "sample", "test", (0, 0), (2, 1), (1, 3))
    # Two of three documents lose their first prediction; document 0 loses one that is true.
    run = run_at(tmp_path / "run", [[0, 3, 1], [3, 2, 0], [1, 0, 2]])
    score_run(run, tmp_path / "sample")
    found = values(run)
    assert found["true_pairs", None] == 5 and found["scored_documents", None] == 3
    assert found["P", 1] == pytest.approx(100 * (1 + 1 + 1) / 3)
    assert found["R", 2] == pytest.approx(100 * (1 / 3 + 1 + 1) / 3)


def test_as_many_predictions_are_asked_for_as_leave_k(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    assert predictions_to_store(store, 10) == 10
    # Mirrored: (b, a), (b, c) and, true or not, (d, a).
    assert predictions_to_store(store, 10, ["new_links"]) == 12
    add_filter(tmp_path, "test", (0, 1), (0, 3), (0, 3), (1, 0))
    assert predictions_to_store(PreparedStore.open(tmp_path), 10) == 12
    assert predictions_to_store(PreparedStore.open(tmp_path), 10, ["new_links"]) == 14


def test_too_few_stored_predictions_are_refused(tmp_path: Path) -> None:
    store_at(tmp_path / "sample")
    add_filter(tmp_path / "sample", "test", (0, 0))
    run = run_at(tmp_path / "run", [[0, 3], [3, 2], [1, 0]])
    with pytest.raises(
        DataError, match=r"topk\.npz: 2 predictions a document; allowed: at least 3 .*up to 1 are"
    ):
        score_run(run, tmp_path / "sample")
    assert not (run / "metrics.json").exists()


def test_new_links_by_hand(tmp_path: Path) -> None:
    store = store_at(tmp_path / "sample")
    mirrored = mirrored_pairs(store)
    assert sorted(divmod(int(key), 4) for key in mirrored.key_F) == [(0, 0), (0, 2), (1, 0)]
    # Document b ranks its two mirrored labels first, then the new one; d ranks the untrue mirror a before c.
    run = run_at(tmp_path / "run", [[0, 2, 3, 1], [0, 2, 1, 3], [1, 0, 2, 3]], rulers=("new_links",))
    score_run(run, tmp_path / "sample")
    plain, new = values(run), values(run, "new_links")
    assert (plain["true_pairs", None], plain["P", 1]) == (5, pytest.approx(100 / 3))
    assert (new["true_pairs", None], new["scored_documents", None]) == (3, 3)
    assert new["P", 1] == pytest.approx(100 * 2 / 3) and new["R", 2] == pytest.approx(100)


def test_a_document_left_without_truth_is_not_scored(tmp_path: Path) -> None:
    splits = {
        "train": Rows(["a"], [""], [[1]]),
        "validation": Rows([], [], []),
        "test": Rows(["b", "y"], ["", ""], [[0], [1]]),
    }
    write_store(tmp_path / "sample", "hand", ["a", "b"], splits, {})
    run = run_at(tmp_path / "run", [[0, 1], [1, 0]], k=1, rulers=("new_links",))
    score_run(run, tmp_path / "sample")
    assert values(run)["scored_documents", None] == 2
    assert values(run, "new_links")["scored_documents", None] == 1
    assert values(run, "new_links")["P", 1] == 100.0


def test_a_ruler_that_does_not_fit_is_refused_before_training(
    tmp_path: Path, smoke: SmokeData, smoke_runs: dict[str, Run]
) -> None:
    splits = {name: Rows(["1"], [""], [[0]]) for name in ("train", "validation", "test")}
    write_store(tmp_path / "sample", "hand", ["a", "b"], splits, {})
    with pytest.raises(DataError, match=r"new_links needs documents that are labels.*; allowed here: \[\]"):
        rulers_of(PreparedStore.open(tmp_path / "sample"), ["new_links"])
    recipe = smoke_runs["dense"].recipe
    recipe = recipe.model_copy(update={"evaluation": Evaluation(rulers=("new_links",))})
    with pytest.raises(DataError, match="new_links needs documents"):
        train_run(recipe, tmp_path / "run", tmp_path / "sample", smoke.tokens, None, 1e9, LOG)


def test_wordnet_114k_is_scored_by_new_links_too_and_nothing_else_is(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "config", tmp_path / "config")
    grid = tmp_path / "config" / "grids" / "two.yaml"
    grid.write_text(
        "cells:\n- {budget: smoke, datasets: [wordnet-114k, wordnet-33k], methods: [dense, most_frequent]}\n"
    )
    runs = Project(tmp_path / "config").runs("two")
    assert [(r.dataset, r.recipe.evaluation.rulers) for r in runs] == [
        (dataset, rulers)
        for dataset, rulers in (("wordnet-114k", ("new_links",)), ("wordnet-33k", ()))
        for _ in range(2)
    ]
    file = tmp_path / "config" / "datasets" / "wordnet-114k.yaml"
    text = file.read_text()
    for wrong, said in (("[old_links]", "unknown value 'old_links'"), ("new_links", "not a list"), ("[new_links, new_links]", "distinct")):  # fmt: skip
        file.write_text(text.replace("[new_links]", wrong))
        with pytest.raises(
            ConfigError,
            match=rf"wordnet-114k\.yaml: recipe: key 'evaluation\.rulers': .*{said}.*allowed: new_links",
        ):
            Project(tmp_path / "config").check()


def test_new_links_of_wordnet_114k_are_those_of_its_description(project: Project, tmp_path: Path) -> None:
    prepare(project.datasets["wordnet-114k"], tmp_path)
    store = PreparedStore.open(tmp_path)
    test = store.split("test")
    row_P = np.repeat(np.arange(test.documents), np.diff(test.indptr))
    row_P, _ = mirrored_pairs(store).out_of_truth(row_P, np.asarray(test.indices, dtype=np.int64))
    assert (len(row_P), len(np.unique(row_P))) == (6611, 5216)


def test_learning_curves_are_scored_after_the_filter_too(
    tmp_path: Path, smoke_runs: dict[str, Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = store_at(tmp_path)
    add_filter(tmp_path, "validation", (0, 3), (0, 0))
    asked = []

    def predict(network: object, split: object, tokens: object, k: int, batch_size: int) -> Predictions:
        asked.append(k)
        return Predictions(np.array([[3, 0, 1]], dtype=np.int32), np.zeros((1, 3), np.float32), 0.0)

    monkeypatch.setattr(training_validation, "predict", predict)
    recipe = smoke_runs["dense"].recipe
    assert isinstance(recipe, TrainRecipe)
    nothing = np.zeros(0, np.int64)
    validate = training_validation.validation(recipe, store, (nothing, nothing))
    rows = validate(SimpleNamespace(auxiliary=None))  # type: ignore[arg-type]
    # The only validation document has label 1, third before the filter.
    assert rows[0] == {"metric": "P", "k": 1, "value": 100.0} and asked == [12]


@pytest.mark.parametrize("method", ["most_frequent", "fixed_fan_in_set"])
def test_runs_store_what_the_filter_needs_and_score_without_its_pairs(
    method: str, smoke: SmokeData, smoke_runs: dict[str, Run], tmp_path: Path
) -> None:
    run, sample, recipe = smoke_runs[method], tmp_path / "sample", smoke_runs[method].recipe
    shutil.copytree(smoke.sample, sample)
    counts = PreparedStore.open(sample).label_counts("train")
    frequent = np.argsort(-counts, kind="stable")
    # The three most frequent labels may not be predicted for the first document.
    add_filter(sample, "test", *((0, int(label)) for label in frequent[:3]))
    if isinstance(recipe, TrainRecipe):
        recipe = recipe.model_copy(update={"training": recipe.training.model_copy(update={"epochs": 1})})
        train_run(recipe, tmp_path / "run", sample, smoke.tokens, None, 1e9, LOG)
    else:
        reference_run(recipe, tmp_path / "run", sample, smoke.tokens, LOG)
    store = PreparedStore.open(sample)
    top = read_topk(tmp_path / "run" / "topk.npz", store.split("test").documents, store.labels)
    assert top.shape[1] == recipe.evaluation.k + 3 == 13
    score_run(tmp_path / "run", sample)
    found = values(tmp_path / "run")
    assert {k for metric, k in found if metric == "P"} == {1, 2, 3, 4, 5, 10}
    test = store.split("test")
    if method == "most_frequent":
        allowed = [frequent[3:4], *([frequent[:1]] * (test.documents - 1))]
        right = [
            int(its[0]) in test.indices[test.indptr[i] : test.indptr[i + 1]] for i, its in enumerate(allowed)
        ]
        assert found["P", 1] == pytest.approx(100 * np.mean(right))
    assert run.dataset == "wordnet-33k"
