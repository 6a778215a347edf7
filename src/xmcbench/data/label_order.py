"""The order in which an output layer holds its labels: which are neighbours decides what they share.

Shapes: L labels.
"""

import numpy as np

from xmcbench.data.label_groups import label_order
from xmcbench.errors import ConfigError


def order_of(kind: str, count_L: np.ndarray, group_L: np.ndarray | None, head: int = 0) -> np.ndarray:
    """Return order_L (int64): the label at each place of the layer.

    kind: `frequency` (training documents, most first, ties by id), or `semantic` and `random`, whose groups stand one
    after another. count_L: training documents of each label. group_L: the groups, for the kinds that need them.
    head: so many of the most frequent labels come first whatever the kind. Raises ConfigError.
    """
    by_frequency = np.argsort(-count_L, kind="stable")
    if kind == "frequency":
        return by_frequency
    if group_L is None or len(group_L) != len(count_L):
        raise ConfigError(f"output.label_order: {kind} needs the group of each of {len(count_L)} labels")
    in_head = np.zeros(len(count_L), dtype=bool)
    in_head[by_frequency[:head]] = True
    grouped = label_order(group_L)
    return np.concatenate([by_frequency[:head], grouped[~in_head[grouped]]])
