"""TF-IDF of word pieces, the features of every linear reference. Shapes: N documents, V vocabulary, L labels."""

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from xmcbench.data.store import PreparedStore
from xmcbench.data.tokens import TokenStore
from xmcbench.data.training_documents import TrainingDocuments


@dataclass(frozen=True)
class Tfidf:
    """Rows of length 1 (sublinear counts): train_NV and test_NV, and the training documents' labels truth_NL (CSR)."""

    train_NV: sp.csr_matrix
    truth_NL: sp.csr_matrix
    test_NV: sp.csr_matrix


def tfidf_of(store: PreparedStore, tokens: TokenStore, documents: TrainingDocuments) -> Tfidf:
    """Fit on the training documents and transform both splits."""
    from sklearn.feature_extraction.text import TfidfTransformer

    tfidf = TfidfTransformer(sublinear_tf=True)
    train_NV = tfidf.fit_transform(
        sp.vstack([_counts(*its, tokens.vocabulary) for its in documents.tokens]).tocsr()
    )
    truth_NL = sp.vstack(
        [
            sp.csr_matrix(
                (np.ones(len(s.indices), np.int8), np.asarray(s.indices), np.asarray(s.indptr)),
                shape=(s.documents, store.labels),
            )
            for s in documents.splits
        ]
    ).tocsr()
    test_NV = tfidf.transform(_counts(*tokens.split("test"), tokens.vocabulary)).astype(np.float32)
    return Tfidf(train_NV, truth_NL, test_NV)


def _counts(flat_T: np.ndarray, offset_N1: np.ndarray, vocabulary: int) -> sp.csr_matrix:
    """Return token counts as N×V."""
    matrix = sp.csr_matrix(
        (np.ones(len(flat_T), np.float64), np.asarray(flat_T).astype(np.int32), np.asarray(offset_N1)),
        shape=(len(offset_N1) - 1, vocabulary),
    )
    matrix.sum_duplicates()
    return matrix
