"""Balanced groups of labels for the auxiliary objective: recursive balanced 2-means on label centroids.

Shapes: N documents, V vocabulary, L labels, G groups. After LightXML's and AttentionXML's label trees, seeded.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import scipy.sparse as sp

from xmcbench.atomic import replacing, write_json
from xmcbench.data.inverse_frequency import inverse_document_frequency
from xmcbench.data.store import Split
from xmcbench.errors import ConfigError

ROUNDS = 50
GAIN = 1e-4


def label_centroids(
    splits: Sequence[Split], tokens: Sequence[tuple[np.ndarray, np.ndarray]], labels: int, vocabulary: int
) -> sp.csr_matrix:
    """Return L×V: the L2-normalised sum of the L2-normalised TF-IDF vectors of each label's documents."""
    idf = sp.diags(inverse_document_frequency(tokens, vocabulary).astype(np.float64))
    total = sp.csr_matrix((labels, vocabulary))
    for split, (flat, offsets) in zip(splits, tokens, strict=True):
        shape = (split.documents, vocabulary)
        columns = np.asarray(flat).astype(np.int32)
        count_NV = sp.csr_matrix((np.ones(len(flat)), columns, np.asarray(offsets)), shape=shape)
        count_NV.sum_duplicates()
        ones = np.ones(len(split.indices))
        truth_NL = sp.csr_matrix((ones, split.indices, split.indptr), shape=(split.documents, labels))
        total = total + truth_NL.T @ _normalised(count_NV @ idf)
    return _normalised(total.tocsr())


def balanced_groups(centroid_LV: sp.csr_matrix, groups: int, seed: int) -> np.ndarray:
    """Return the group of every label (int32): G groups whose sizes differ by at most one.

    Raises ConfigError if there are more groups than labels.
    """
    labels = centroid_LV.shape[0]
    _require(groups, labels)
    rng = np.random.default_rng(seed)
    group_L = np.empty(labels, dtype=np.int32)
    # (labels of the node, its first group, its number of groups): sizes follow from the groups, not from halving,
    # so that any G is balanced.
    stack = [(np.arange(labels), 0, groups)]
    while stack:
        members, first, count = stack.pop()
        if count == 1:
            group_L[members] = first
            continue
        left_groups = count // 2
        left_size = _size(labels, groups, first, first + left_groups)
        order = _order_by_side(centroid_LV[members], left_size, rng)
        stack.append((members[order[left_size:]], first + left_groups, count - left_groups))
        stack.append((members[order[:left_size]], first, left_groups))
    return group_L


def random_groups(labels: int, groups: int, seed: int) -> np.ndarray:
    """Return a random balanced partition (int32, L): the paper's App. E asks how much the grouping matters."""
    _require(groups, labels)
    order = np.random.default_rng(seed).permutation(labels)
    group_L = np.empty(labels, dtype=np.int32)
    bounds = [_size(labels, groups, 0, g) for g in range(groups + 1)]
    for group in range(groups):
        group_L[order[bounds[group] : bounds[group + 1]]] = group
    return group_L


def write_groups(path: Path, group_L: np.ndarray, splits: Sequence[Split], seed: int) -> None:
    """Write the groups (.npy) and beside them their statistics (.json).

    `groups per document` against the same figure of a random partition says how far groups follow co-occurrence.
    """
    groups = int(group_L.max()) + 1
    sizes = np.bincount(group_L, minlength=groups)
    shuffled = random_groups(len(group_L), groups, seed)
    with replacing(path) as tmp:
        np.save(tmp, group_L)
    statistics = {
        "labels": len(group_L),
        "groups": groups,
        "smallest group": int(sizes.min()),
        "largest group": int(sizes.max()),
        "groups per document": round(_groups_per_document(group_L, splits), 4),
        "groups per document, random": round(_groups_per_document(shuffled, splits), 4),
    }
    write_json(path.with_suffix(".json"), statistics)


def _order_by_side(centroid_MV: sp.csr_matrix, left_size: int, rng: np.random.Generator) -> np.ndarray:
    """Order a node's labels so that the first `left_size` are the left side of a balanced 2-means split."""
    labels = centroid_MV.shape[0]
    centre = centroid_MV[np.sort(rng.choice(labels, size=2, replace=False))].toarray()
    best, order = -np.inf, np.arange(labels)
    for _ in range(ROUNDS):
        similarity_M2 = np.asarray(centroid_MV @ centre.T)
        order = np.argsort(similarity_M2[:, 1] - similarity_M2[:, 0], kind="stable")
        left, right = order[:left_size], order[left_size:]
        mean = float((similarity_M2[left, 0].sum() + similarity_M2[right, 1].sum()) / labels)
        if mean - best < GAIN:
            break
        best = mean
        sums = [np.asarray(centroid_MV[side].sum(axis=0)).ravel() for side in (left, right)]
        centre = np.stack([s / (np.linalg.norm(s) or 1.0) for s in sums])
    return order


def _size(labels: int, groups: int, first: int, end: int) -> int:
    """Count the labels of groups first … end−1 in a partition whose sizes differ by at most one."""
    return labels * end // groups - labels * first // groups


def _require(groups: int, labels: int) -> None:
    if not 1 <= groups <= labels:
        raise ConfigError(f"auxiliary.groups: {groups} groups of {labels} labels; allowed: 1 … {labels}")


def _normalised(matrix: sp.csr_matrix) -> sp.csr_matrix:
    norm = np.sqrt(np.asarray(matrix.multiply(matrix).sum(axis=1)).ravel())
    return sp.csr_matrix(sp.diags(1 / np.where(norm > 0, norm, 1)) @ matrix)


def _groups_per_document(group_L: np.ndarray, splits: Sequence[Split]) -> float:
    pairs, documents = 0, 0
    for split in splits:
        document = np.repeat(np.arange(split.documents), np.diff(split.indptr))
        pairs += len(np.unique(document * (int(group_L.max()) + 1) + group_L[split.indices]))
        documents += split.documents
    return pairs / max(1, documents)
