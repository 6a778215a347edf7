"""The synthetic data set: exact counts, any document at once, learnable from text, impossible settings refused."""

import itertools
from collections import Counter

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from xmcbench.data.corpus import Corpus, Document
from xmcbench.data.label_centroids import normalised
from xmcbench.data.label_frequency import label_counts, proportional_counts, tail_share_bounds
from xmcbench.data.published_shapes import SHAPES
from xmcbench.data.synthetic import SyntheticCorpus, SyntheticSource
from xmcbench.errors import ConfigError, DataError
from xmcbench.yaml_config import validated


def source(**values: object) -> SyntheticSource:
    small = {"documents_train": 3000, "documents_test": 600, "labels": 2500, "labels_per_document": 4.0}
    return SyntheticSource.model_validate({**small, "words_per_document": 30, **values})


@given(
    documents=st.integers(20, 3000),
    mean=st.floats(1.0, 40.0),
    labels=st.integers(1, 2000),
    share=st.floats(0, 1),
)
@settings(max_examples=150, deadline=None)
def test_label_counts_add_up_fall_and_meet_the_tail(
    documents: int, mean: float, labels: int, share: float
) -> None:
    pairs = round(documents * min(mean, labels))
    low, high = tail_share_bounds(documents, pairs, labels)
    try:
        counts = label_counts(documents, pairs, labels, share)
    except ConfigError:
        # Refused only outside what is possible, up to one label.
        assert not low + 1.5 / labels < share < high - 1.5 / labels
        return
    assert counts.sum() == pairs and (np.diff(counts) <= 0).all()
    if pairs < labels:
        assert set(counts.tolist()) <= {0, 1}
        return
    assert counts.min() >= 1 and counts.max() <= documents
    assert (counts <= 5).sum() == np.ceil(share * labels - 1e-9)


def test_the_head_is_a_power_law() -> None:
    counts = label_counts(490_449, 2_672_947, 670_091, 0.8)
    ranks = np.unique(np.geomspace(10, 100_000, 30).astype(int))
    slope, residual, *_ = np.polyfit(np.log(ranks), np.log(counts[ranks]), 1, full=True)
    assert -1 < slope[0] < -0.3
    assert np.sqrt(residual[0] / len(ranks)) < 0.05


def test_proportional_counts_by_hand() -> None:
    assert proportional_counts(np.array([4, 4, 2]), 5).tolist() == [2, 2, 1]
    assert proportional_counts(np.array([1, 1, 1, 1]), 2).tolist() == [0, 1, 0, 1]
    assert proportional_counts(np.array([0, 0]), 0).tolist() == [0, 0]


def test_it_is_a_corpus_with_the_numbers_it_declares() -> None:
    corpus: Corpus = SyntheticCorpus(source())
    assert corpus.splits == ("train", "test")
    train, test = list(corpus.documents("train")), list(corpus.documents("test"))
    assert (len(train), len(test), len(corpus.label_ids())) == (3000, 600, 2500)
    assert len({d.id for d in (*train, *test)}) == 3600 and train[0].id == "train-0000"
    for document in (*train, *test):
        assert document.labels and list(document.labels) == sorted(set(document.labels))
        assert 15 <= len(document.text.split()) <= 45
    counts = Counter(itertools.chain.from_iterable(d.labels for d in train))
    # A run that goes round a thin layer costs a pair: none or next to none.
    assert 0.995 * 12_000 <= sum(counts.values()) <= 12_000
    assert set(counts) == set(range(2500))
    assert sum(n <= 5 for n in counts.values()) / 2500 == pytest.approx(0.8, abs=0.01)
    assert sum(len(d.labels) for d in test) / 600 == pytest.approx(4.0, rel=0.02)
    assert np.mean([len(d.text.split()) for d in train]) == pytest.approx(30, rel=0.03)
    ids, texts = list(corpus.label_ids()), list(corpus.label_texts() or ())
    assert ids == sorted(set(ids)) and len(texts) == 2500 and all(len(t.split()) == 3 for t in texts)
    assert corpus.label_ids()[-1] == ids[-1] and list(corpus.label_ids()[3:9:2]) == ids[3:9:2]
    assert corpus.filter_pairs("train") is None and corpus.filter_pairs("test") is None
    with pytest.raises(DataError, match="unknown value 'validation'; allowed: train, test"):
        next(iter(corpus.documents("validation")))


def test_the_same_settings_give_the_same_documents_and_others_do_not() -> None:
    one, two, other = (list(SyntheticCorpus(source(seed=s)).documents("test")) for s in (1, 1, 2))
    assert one == two
    assert sum(a.text == b.text or a.labels == b.labels for a, b in zip(one, other, strict=True)) < 30


@given(numbers=st.lists(st.integers(0, 2999), min_size=1, max_size=40))
@settings(max_examples=20, deadline=None)
def test_a_document_does_not_depend_on_those_before_it(numbers: list[int]) -> None:
    its = list(CORPUS.documents_at("train", np.array(numbers)))
    assert its == [DOCUMENTS[number] for number in numbers]


CORPUS = SyntheticCorpus(source())
DOCUMENTS = list(CORPUS.documents("train"))


def test_counting_labels_alone_gives_the_same() -> None:
    counts = np.bincount([label for d in DOCUMENTS for label in d.labels], minlength=2500)
    assert (CORPUS.label_counts("train") == counts).all()


@pytest.mark.parametrize(
    ("values", "mean"),
    [
        ({"labels": 7, "labels_per_document": 2.0}, 2.0),
        ({"labels": 1, "labels_per_document": 1.0, "documents_test": 0}, 1.0),
        ({"labels": 30, "labels_per_document": 20.0}, 20.0),
        ({"labels_per_document": 1.0}, 1.0),
        ({"labels_per_document": 1.3, "labels": 400, "tail_share": 0.6}, 1.3),
        ({"labels_per_document": 60.0}, 60.0),
        ({"documents_train": 40, "documents_test": 3, "labels": 1000, "labels_per_document": 4.0}, 4.0),
    ],
)
def test_every_document_has_a_label_at_any_shape(values: dict[str, object], mean: float) -> None:
    corpus = SyntheticCorpus(source(**values))
    sizes = [len(d.labels) for d in corpus.documents("train")]
    assert min(sizes) >= 1
    assert np.mean(sizes) == pytest.approx(mean, rel=0.06)
    counts, pairs = corpus.label_counts("train"), corpus.settings.pairs(corpus.settings.documents_train)
    assert (counts > 0).sum() == min(len(counts), pairs)


def bags(documents: list[Document], vocabulary: dict[str, int]) -> sp.csr_matrix:
    """Count words; unknown ones get the next column, of 20,000."""
    ids = [vocabulary.setdefault(word, len(vocabulary)) for d in documents for word in d.text.split()]
    indptr = np.cumsum([0, *(len(d.text.split()) for d in documents)])
    return sp.csr_matrix((np.ones(len(ids)), ids, indptr), shape=(len(documents), 20_000))


@pytest.mark.parametrize(("words", "times"), [(12, 3), (60, 6)])
def test_nearest_centroids_beat_the_most_frequent_label(words: int, times: int) -> None:
    corpus = SyntheticCorpus(source(words_per_document=words))
    train, test = list(corpus.documents("train")), list(corpus.documents("test"))
    vocabulary: dict[str, int] = {}
    count_NV, test_NV = bags(train, vocabulary), bags(test, vocabulary)
    idf = sp.diags(np.log(len(train) / np.maximum(1, np.bincount(count_NV.indices, minlength=20_000))))
    truth_NL = sp.csr_matrix(
        (
            np.ones(sum(len(d.labels) for d in train)),
            [label for d in train for label in d.labels],
            np.cumsum([0, *(len(d.labels) for d in train)]),
        ),
        shape=(3000, 2500),
    )
    centroid_LV = normalised(sp.csr_matrix(truth_NL.T @ normalised(count_NV @ idf)))
    best = np.argmax((test_NV @ idf @ centroid_LV.T).toarray(), axis=1)
    popular = int(np.argmax(truth_NL.sum(axis=0)))
    hits = np.mean([label in d.labels for label, d in zip(best.tolist(), test, strict=True)])
    floor = np.mean([popular in d.labels for d in test])
    assert hits > times * floor > 0


@pytest.mark.parametrize("like", sorted(SHAPES))
def test_like_fills_what_is_not_given(like: str) -> None:
    settings = SyntheticSource.model_validate({"like": like, "documents_test": 5})
    shape = SHAPES[like]
    assert (settings.documents_train, settings.documents_test) == (shape.documents_train, 5)
    assert (settings.labels, settings.labels_per_document) == (shape.labels, shape.labels_per_document)
    counts = label_counts(
        settings.documents_train,
        settings.pairs(settings.documents_train),
        settings.labels,
        settings.tail_share,
    )
    assert counts.min() == 1 and (counts <= 5).mean() == pytest.approx(settings.tail_share, abs=1e-3)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"like": "wiki11"}, "unknown value 'wiki11'; allowed: eurlex4k, wiki10"),
        ({"labels": 3}, r"labels_per_document: 4\.0 of 3 labels; allowed: 1 … 3"),
        ({"labels_per_document": 0.5}, "labels_per_document"),
        ({"tail_share": 1.5}, "tail_share"),
        ({"labels": 0}, "labels"),
        ({"labls": 3}, "unknown key 'labls'"),
    ],
)
def test_impossible_settings_are_named(values: dict[str, object], message: str) -> None:
    small = {"documents_train": 100, "documents_test": 0, "labels": 50, "labels_per_document": 4.0}
    with pytest.raises(ConfigError, match=message):
        validated("config/datasets/synthetic.yaml", SyntheticSource, {**small, **values})


def test_a_tail_that_the_mean_forbids_is_refused_with_what_is_possible() -> None:
    with pytest.raises(
        ConfigError, match=r"tail_share: 0\.1 of 2500 labels with 4\.80 .* allowed: about 0\.24 … "
    ):
        SyntheticCorpus(source(tail_share=0.1))
    with pytest.raises(ValidationError, match="documents_train"):
        SyntheticSource.model_validate({"labels": 5})
