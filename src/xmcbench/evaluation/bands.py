"""Label-frequency bands: head, torso and tail, by how many training documents (validation included) a label has.

| band | training documents of a label | why |
|---|---|---|
| head | more than 100 | "many-shot" of long-tailed recognition (Liu et al., CVPR 2019) |
| torso | 6 … 100 | what is left |
| tail | at most 5, none included | the tail of the XMC literature, and of the data statistics shown beside it |

The limits are counts, not shares of the labels: a band means the same on every data set and budget, and may be empty.

A band restricts the truth and the hits to its labels and leaves the ranking alone: predictions of other labels keep
their ranks and are wrong. A document is scored in a band if it has a true label of the band.

Shapes: L labels.
"""

import numpy as np

ALL = "all"
BANDS = ("head", "torso", "tail")
TAIL_AT_MOST = 5
HEAD_MORE_THAN = 100
MEANING = (
    f"head: labels with more than {HEAD_MORE_THAN} training documents; tail: with at most {TAIL_AT_MOST}; "
    "torso: the labels between"
)


def members(counts_L: np.ndarray) -> dict[str, np.ndarray]:
    """Return band → mask_L (bool) from the training documents of every label; each label is in exactly one."""
    head_L, tail_L = counts_L > HEAD_MORE_THAN, counts_L <= TAIL_AT_MOST
    return {"head": head_L, "torso": ~(head_L | tail_L), "tail": tail_L}
