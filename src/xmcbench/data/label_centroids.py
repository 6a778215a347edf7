"""Label centroids: the L2-normalised sum of the L2-normalised vectors of each label's documents.

Shapes: N documents, L labels, V vocabulary, D features, R documents of a block.

A block of labels is finished before the next begins, its documents' vectors are made from their tokens when it needs
them, and so nothing but the result and the transposed label matrix (5 bytes a pair) grows with the data set.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import scipy.sparse as sp

from xmcbench.data.inverse_frequency import inverse_document_frequency
from xmcbench.data.store import Split, Tokens
from xmcbench.errors import DataError

#: Entries (tokens or features) of documents gathered at a time: about 0.2 GiB with their temporaries.
BLOCK = 2**22
#: Result entries up to which centroids are float64 (0.75 GiB with their columns), as the reference results were
#: made; larger ones are float32, because at Amazon-670K's shape every byte an entry is 0.2 GiB, twice.
DOUBLE = 2**26

#: csr_matrix or ndarray: scipy has no types.
Matrix: TypeAlias = Any


def label_centroids(
    splits: Sequence[Split],
    tokens: Sequence[Tokens],
    labels: int,
    vocabulary: int,
    terms: int | None = None,
) -> sp.csr_matrix:
    """Return L×V TF-IDF centroids; terms: keep only the heaviest of each label, before the last normalisation."""
    idf = sp.diags(inverse_document_frequency(tokens, vocabulary).astype(np.float64))
    length_N = np.concatenate([np.diff(offsets) for _, offsets in tokens])

    def vectors(document_R: np.ndarray) -> sp.csr_matrix:
        flat, indptr = _gathered(tokens, document_R, length_N[document_R])
        shape = (len(document_R), vocabulary)
        count_RV = sp.csr_matrix((np.ones(len(flat)), flat, indptr), shape=shape)
        count_RV.sum_duplicates()
        return normalised(count_RV @ idf)

    truth_LN = _documents_of_labels(splits, labels)
    most_L = _entries(truth_LN, length_N)
    most_L = np.minimum(most_L, vocabulary if terms is None else min(terms, vocabulary))
    dtype = np.float64 if int(most_L.sum()) <= DOUBLE else np.float32
    blocks = []
    for _, block_lV in _blocks(truth_LN, length_N, vectors):
        kept = block_lV if terms is None else heaviest(block_lV, terms)
        blocks.append(normalised(kept).astype(dtype, copy=False))
    return _stacked(blocks, vocabulary)


def feature_centroids(splits: Sequence[Split], features_ND: np.ndarray, labels: int) -> np.ndarray:
    """Return L×D (float32) centroids of document features; rows of the array are the splits' documents in order."""
    documents, width = features_ND.shape
    centroid_LD = np.zeros((labels, width), dtype=np.float32)
    length_N = np.full(documents, width, dtype=np.int64)
    truth_LN = _documents_of_labels(splits, labels)
    for first, block_lD in _blocks(truth_LN, length_N, lambda r: unit_rows(features_ND[r])):
        centroid_LD[first : first + len(block_lD)] = unit_rows(block_lD)
    return centroid_LD


def load_features(path: Path, rows: int, of: str) -> np.ndarray:
    """Open a feature array (.npy, rows × D, memory-mapped); raises DataError if its shape or type does not fit."""
    try:
        array: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read as an array ({str(error).splitlines()[0]})") from error
    if array.ndim != 2 or array.dtype.kind != "f" or len(array) != rows or array.shape[1] == 0:
        raise DataError(
            f"{path}: {array.dtype} of shape {array.shape}; allowed: floats, {rows} rows (the {of}), any width"
        )
    return array


def unit_rows(rows_RD: np.ndarray) -> np.ndarray:
    """Return rows (float32) of length 1, zero rows as they are; raises DataError if one is not finite."""
    rows_RD = np.asarray(rows_RD, dtype=np.float32)
    norm_R = np.sqrt(np.einsum("rd,rd->r", rows_RD, rows_RD, dtype=np.float64))
    if not np.isfinite(norm_R).all():
        row = int(np.flatnonzero(~np.isfinite(norm_R))[0])
        raise DataError(f"features: a row holds NaN or infinity (row {row} of {len(norm_R)} read together)")
    return rows_RD / np.where(norm_R > 0, norm_R, 1)[:, None].astype(np.float32)


def normalised(matrix: sp.csr_matrix) -> sp.csr_matrix:
    """Return the matrix with rows of length 1, empty rows as they are."""
    norm = np.sqrt(np.asarray(matrix.multiply(matrix).sum(axis=1)).ravel())
    return sp.csr_matrix(sp.diags(1 / np.where(norm > 0, norm, 1)) @ matrix)


def heaviest(matrix: sp.csr_matrix, terms: int) -> sp.csr_matrix:
    """Keep the `terms` largest entries of each row (of equal ones, those in the first columns)."""
    size_R = np.diff(matrix.indptr)
    if int(size_R.max(initial=0)) <= terms:
        return matrix
    row = np.repeat(np.arange(len(size_R)), size_R)
    order = np.lexsort((matrix.indices, -matrix.data, row))
    place = np.arange(len(order)) - np.repeat(matrix.indptr[:-1], size_R)
    kept = np.sort(order[place < terms])
    indptr = np.concatenate([[0], np.cumsum(np.minimum(size_R, terms))])
    return sp.csr_matrix((matrix.data[kept], matrix.indices[kept], indptr), shape=matrix.shape)


def _blocks(
    truth_LN: sp.csr_matrix, length_N: np.ndarray, vectors: Callable[[np.ndarray], Matrix]
) -> Iterator[tuple[int, Matrix]]:
    """Yield (first label, sums of its documents' vectors) for blocks of labels in order."""
    end_L = np.cumsum(_entries(truth_LN, length_N))
    first, labels = 0, len(end_L)
    while first < labels:
        done = int(end_L[first - 1]) if first else 0
        last = max(first + 1, int(np.searchsorted(end_L, done + BLOCK, side="right")))
        start, stop = truth_LN.indptr[first], truth_LN.indptr[last]
        document_R, column = np.unique(truth_LN.indices[start:stop], return_inverse=True)
        shape = (last - first, len(document_R))
        truth_lR = sp.csr_matrix(
            (np.ones(stop - start), column, truth_LN.indptr[first : last + 1] - start), shape=shape
        )
        # A frequent label alone may have more documents than fit: they come in parts.
        part_R = np.cumsum(length_N[document_R]) // (4 * BLOCK)
        bounds = [0, *(np.flatnonzero(np.diff(part_R)) + 1).tolist(), len(document_R)]
        total: Matrix = None
        for a, b in pairwise(bounds):
            its = truth_lR if (a, b) == (0, len(document_R)) else truth_lR[:, a:b]
            product = its @ vectors(document_R[a:b])
            total = product if total is None else total + product
        if sp.issparse(total):
            total.sort_indices()
        yield first, total
        first = last


def _documents_of_labels(splits: Sequence[Split], labels: int) -> sp.csr_matrix:
    """Return L×N, the documents of each label rising; documents of all splits are numbered on."""
    parts = [
        sp.csr_matrix(
            (np.ones(len(s.indices), np.int8), np.asarray(s.indices), np.asarray(s.indptr)),
            shape=(s.documents, labels),
        )
        for s in splits
    ]
    return sp.vstack(parts, format="csr").T.tocsr()


def _entries(truth_LN: sp.csr_matrix, length_N: np.ndarray) -> np.ndarray:
    """Count the entries of all documents of each label (int64, L)."""
    running = np.concatenate([[0], np.cumsum(length_N[truth_LN.indices], dtype=np.int64)])
    return np.diff(running[truth_LN.indptr])


def _gathered(
    tokens: Sequence[Tokens], document_R: np.ndarray, length_R: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return (tokens end to end (int32), R+1 offsets) of some documents, rising."""
    indptr = np.concatenate([[0], np.cumsum(length_R)])
    flat, base, at = np.empty(int(indptr[-1]), dtype=np.int32), 0, 0
    for ids, offsets in tokens:
        documents = len(offsets) - 1
        end = int(np.searchsorted(document_R, base + documents))
        start = np.asarray(offsets)[document_R[at:end] - base]
        place = np.repeat(start - indptr[at:end], length_R[at:end]) + np.arange(indptr[at], indptr[end])
        flat[indptr[at] : indptr[end]] = ids[place]
        base, at = base + documents, end
    return flat, indptr


def _stacked(blocks: list[sp.csr_matrix], width: int) -> sp.csr_matrix:
    """Put blocks of rows on top of each other, freeing each once it is copied: the peak is one matrix, not two."""
    entries = sum(b.nnz for b in blocks)
    rows = sum(b.shape[0] for b in blocks)
    dtype = blocks[0].dtype if blocks else np.float64
    index = np.int64 if entries > np.iinfo(np.int32).max else np.int32
    data, indices = np.empty(entries, dtype), np.empty(entries, index)
    indptr, at, row = np.zeros(rows + 1, index), 0, 0
    blocks.reverse()
    while blocks:
        block = blocks.pop()
        data[at : at + block.nnz], indices[at : at + block.nnz] = block.data, block.indices
        indptr[row + 1 : row + 1 + block.shape[0]] = block.indptr[1:] + at
        at, row = at + block.nnz, row + block.shape[0]
    return sp.csr_matrix((data, indices, indptr), shape=(rows, width))
