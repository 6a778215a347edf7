"""How well the auxiliary head ranks the label groups of held-out documents (paper App. E, Fig. 6 and 7, lower panels).

Shapes: N documents, B of a batch, G groups, k predictions.
"""

from typing import Any

import numpy as np
import torch

from xmcbench.data.batches import sequential
from xmcbench.data.store import Split
from xmcbench.training.network import Network


@torch.no_grad()
def group_precision(
    network: Network,
    split: Split,
    tokens: tuple[np.ndarray, np.ndarray],
    ks: tuple[int, ...],
    batch_size: int,
) -> list[dict[str, Any]]:
    """Return rows of group-P@k in percent: of the k groups ranked first, those that hold a label of the document.

    The mean is over documents that have a label, as of P@k. Without a head (none was asked for, or it has faded out): no rows.
    """
    head = network.auxiliary
    scored = int(np.count_nonzero(np.diff(split.indptr)))
    if head is None or scored == 0:
        return []
    network.eval()
    device = next(network.parameters()).device
    kept = tuple(k for k in ks if k <= head.linear.out_features)
    hits_k = np.zeros(len(kept))
    for batch in sequential(split, tokens, batch_size):
        batch = batch.to(device)
        z_BG = head.linear(network.encoder(batch.token_T, batch.offset_B))
        truth_BG = batch.positives.grouped(head.group_L).multi_hot(z_BG.shape[1], torch.bool)
        best_Bk = z_BG.topk(max(kept), dim=1).indices
        hit_Bk = truth_BG.gather(1, best_Bk).cpu().numpy()
        hits_k += [hit_Bk[:, :k].sum() for k in kept]
    return [
        {"metric": "group-P", "k": k, "value": float(100 * hits / (k * scored))}
        for k, hits in zip(kept, hits_k, strict=True)
    ]
