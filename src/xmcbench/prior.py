"""The bias with which a classifier begins when it is to say how rare its classes are, and no more."""

import math


def prior_bias(expected: float, classes: int) -> float:
    """Return the logit of a class's share of the documents, expected / classes, at most ½.

    expected: classes that a document is expected to have (> 0). Source: Lin et al. (2017), focal loss, §3.3.
    """
    share = min(0.5, expected / classes)
    return math.log(share / (1 - share))
