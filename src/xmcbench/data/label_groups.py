"""Balanced groups of labels: recursive balanced 2-means on label centroids, after LightXML's and AttentionXML's trees.

Shapes: L labels, M labels of a node, X columns of the centroids (terms or features), G groups.

A node's matrix is freed once its two children have theirs, so that the tree needs the centroids twice at its top and
little more than once below. Large nodes are scored a block of rows at a time by all threads, small subtrees one a
thread. What is drawn and what is added up in which order follows from the number of labels and groups alone: the
groups do not depend on the number of threads.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy.sparse as sp

from xmcbench.atomic import replacing, write_json
from xmcbench.data.label_centroids import Matrix
from xmcbench.data.store import Split
from xmcbench.errors import ConfigError

ROUNDS = 50
GAIN = 1e-4
#: Rows summed in the matrix's own precision; sums of blocks are added in float64.
ROWS = 2**17
#: Labels of a node up to which its whole subtree is one thread's.
SUBTREE = 2**14
#: Pairs counted at a time.
PAIRS = 2**22

Pair = tuple[Matrix, np.ndarray]


@dataclass
class _Node:
    """Labels of a subtree, their centroids, and its groups: first … first+count−1."""

    label_M: np.ndarray
    centroid_MX: Matrix
    first: int
    count: int


def balanced_groups(centroid_LX: Matrix, groups: int, seed: int, threads: int = 1) -> np.ndarray:
    """Return the group of every label (int32): G groups whose sizes differ by at most one.

    centroid_LX: sparse or dense, rows of length 1. A caller that keeps no name for it lets it go after the first
    split. Raises ConfigError if there are more groups than labels.
    """
    labels = centroid_LX.shape[0]
    _require(groups, labels)
    start = _starts(labels, groups, seed)
    group_L = np.empty(labels, dtype=np.int32)
    stack = [_Node(np.arange(labels), centroid_LX, 0, groups)]
    del centroid_LX
    with ThreadPoolExecutor(threads) as pool:
        jobs = []
        while stack:
            node = stack.pop()
            if len(node.label_M) > SUBTREE and node.count > 1:
                stack += _halves(node, labels, groups, start, pool)
            else:
                jobs.append(pool.submit(_grow, node, group_L, groups, start))
            del node
        for job in jobs:
            job.result()
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


def label_order(group_L: np.ndarray) -> np.ndarray:
    """Return the labels (int64, L) group by group, within a group in their own order.

    Neighbouring groups are neighbours in the tree, so labels that share a row of inputs (`group_fan_in`) are alike
    even where a group is larger or smaller than a row's share.
    """
    return np.argsort(group_L, kind="stable")


def write_groups(path: Path, group_L: np.ndarray, splits: Sequence[Split], seed: int) -> None:
    """Write the groups (.npy) and beside them their statistics (.json).

    Purity, each against the same figure of a random partition: `groups per document` (fewer: labels of a document
    lie together), and the share of the label pairs of a document that share a group.
    """
    labels, groups = len(group_L), int(group_L.max()) + 1
    sizes = np.bincount(group_L, minlength=groups)
    shuffled = random_groups(labels, groups, seed)
    by_chance = float((sizes * (sizes - 1.0)).sum()) / max(1.0, labels * (labels - 1.0))
    per_document, share = _purity(group_L, splits)
    with replacing(path) as tmp:
        np.save(tmp, group_L)
    statistics = {
        "labels": labels,
        "groups": groups,
        "smallest group": int(sizes.min()),
        "largest group": int(sizes.max()),
        "groups per document": round(per_document, 4),
        "groups per document, random": round(_purity(shuffled, splits)[0], 4),
        "share of co-occurring label pairs in one group": round(share, 6),
        "share of co-occurring label pairs in one group, random": round(by_chance, 6),
    }
    write_json(path.with_suffix(".json"), statistics)


def _starts(labels: int, groups: int, seed: int) -> dict[tuple[int, int], np.ndarray]:
    """Draw the two labels whose centroids each node (first group, groups) starts from, left subtrees first.

    The sizes of all nodes follow from L and G, so the draws need no data and no order of computation.
    """
    rng, start = np.random.default_rng(seed), {}
    stack = [(0, groups)]
    while stack:
        first, count = stack.pop()
        if count > 1:
            size = _size(labels, groups, first, first + count)
            start[first, count] = np.sort(rng.choice(size, size=2, replace=False))
            stack += [(first + count // 2, count - count // 2), (first, count // 2)]
    return start


def _grow(root: _Node, group_L: np.ndarray, groups: int, start: dict[tuple[int, int], np.ndarray]) -> None:
    """Split a subtree down to its groups and write them."""
    stack = [root]
    while stack:
        node = stack.pop()
        if node.count == 1:
            group_L[node.label_M] = node.first
        else:
            stack += _halves(node, len(group_L), groups, start, None)


def _halves(
    node: _Node,
    labels: int,
    groups: int,
    start: dict[tuple[int, int], np.ndarray],
    pool: ThreadPoolExecutor | None,
) -> list[_Node]:
    left = node.count // 2
    # Sizes follow from the groups, not from halving, so that any G is balanced.
    left_size = _size(labels, groups, node.first, node.first + left)
    order = _order_by_side(node.centroid_MX, left_size, start[node.first, node.count], pool)
    parts = ((order[left_size:], node.first + left, node.count - left), (order[:left_size], node.first, left))
    return [
        # A single group is never split: it needs no matrix.
        _Node(node.label_M[its], node.centroid_MX[its if count > 1 else its[:0]], first, count)
        for its, first, count in parts
    ]


def _order_by_side(
    centroid_MX: Matrix, left_size: int, start: np.ndarray, pool: ThreadPoolExecutor | None
) -> np.ndarray:
    """Order a node's labels so that the first `left_size` are the left side of a balanced 2-means split."""
    labels = centroid_MX.shape[0]
    centre_2X = _dense(centroid_MX[start])
    blocks = [centroid_MX[i : i + ROWS] for i in range(0, labels, ROWS)] if labels > ROWS else [centroid_MX]
    best, order = -np.inf, np.arange(labels)
    for _ in range(ROUNDS):
        parts = _over(pool, [(block, centre_2X) for block in blocks], _similarity)
        similarity_M2 = np.concatenate(list(parts))
        order = np.argsort(similarity_M2[:, 1] - similarity_M2[:, 0], kind="stable")
        left, right = order[:left_size], order[left_size:]
        total = similarity_M2[left, 0].sum(dtype=float) + similarity_M2[right, 1].sum(dtype=float)
        mean = float(total / labels)
        if mean - best < GAIN:
            break
        best = mean
        side_M2 = np.zeros((labels, 2), dtype=centroid_MX.dtype)
        side_M2[left, 0] = side_M2[right, 1] = 1
        ends = range(0, labels, ROWS) if len(blocks) > 1 else (0,)
        pairs = [(block, side_M2[i : i + block.shape[0]]) for i, block in zip(ends, blocks, strict=True)]
        sums_2X = np.zeros(centre_2X.shape)
        for part in _over(pool, pairs, _sums):
            sums_2X += part
        # Not BLAS, here and below: its sums depend on its number of threads.
        norm_2 = np.sqrt((sums_2X * sums_2X).sum(axis=1))
        norm_2[norm_2 == 0] = 1
        centre_2X = (sums_2X / norm_2[:, None]).astype(centroid_MX.dtype)
    return order


def _over(
    pool: ThreadPoolExecutor | None, pairs: list[Pair], function: Callable[[Pair], np.ndarray]
) -> Iterator[np.ndarray]:
    """Apply a function to blocks of a node, by all threads if there is a pool; results come in order."""
    return map(function, pairs) if pool is None else pool.map(function, pairs)


def _similarity(pair: Pair) -> np.ndarray:
    rows_RX, centre_2X = pair
    if sp.issparse(rows_RX):
        return np.asarray(rows_RX @ np.ascontiguousarray(centre_2X.T))
    return np.asarray(np.einsum("rx,cx->rc", rows_RX, centre_2X))


def _sums(pair: Pair) -> np.ndarray:
    rows_RX, side_R2 = pair
    if sp.issparse(rows_RX):
        return np.asarray(rows_RX.T @ side_R2).T
    return np.asarray(np.einsum("rx,rc->cx", rows_RX, side_R2))


def _dense(rows: Matrix) -> np.ndarray:
    return np.asarray(rows.toarray() if sp.issparse(rows) else rows)


def _size(labels: int, groups: int, first: int, end: int) -> int:
    """Count the labels of groups first … end−1 in a partition whose sizes differ by at most one."""
    return labels * end // groups - labels * first // groups


def _require(groups: int, labels: int) -> None:
    if not 1 <= groups <= labels:
        raise ConfigError(f"auxiliary.groups: {groups} groups of {labels} labels; allowed: 1 … {labels}")


def _purity(group_L: np.ndarray, splits: Sequence[Split]) -> tuple[float, float]:
    """Return (groups per document, share of the label pairs of a document that share a group)."""
    groups = int(group_L.max()) + 1
    cells = documents = together = pairs = 0
    for key, count in _cells(group_L, groups, splits):
        cells += len(key)
        together += int((count * (count - 1) // 2).sum())
    for split in splits:
        documents += split.documents
        its = np.diff(split.indptr)
        pairs += int((its * (its - 1) // 2).sum())
    return cells / max(1, documents), together / max(1, pairs)


def _cells(
    group_L: np.ndarray, groups: int, splits: Sequence[Split]
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield ((document, group) keys, labels of each) for blocks of documents."""
    for split in splits:
        first = 0
        while first < split.documents:
            last = int(np.searchsorted(split.indptr, split.indptr[first] + PAIRS, side="right")) - 1
            last = min(max(last, first + 1), split.documents)
            its = np.diff(split.indptr[first : last + 1])
            document = np.repeat(np.arange(last - first, dtype=np.int64), its)
            label = split.indices[split.indptr[first] : split.indptr[last]]
            yield np.unique(document * groups + group_L[label], return_counts=True)
            first = last
