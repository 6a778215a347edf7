"""What a reference predictor gives back. Shapes: N documents, k predictions a document."""

from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class Reference:
    """Ranked labels (−1: none), their scores, weights held, bytes of those weights, and seconds.

    Of a foreign program also the versions that were installed and its own peak of memory.
    """

    label_Nk: np.ndarray
    score_Nk: np.ndarray
    parameters: int
    weight_bytes: int
    train_seconds: float
    predict_seconds: float
    packages: dict[str, str] = field(default_factory=dict)
    peak_rss_bytes: int | None = None
