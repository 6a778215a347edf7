"""The host's side of the streaming top-k.

Shapes: as in `operators`. Tensors lie on one CUDA device, or on the CPU under TRITON_INTERPRET=1.
"""

import torch
from torch import Tensor

from xmcbench.errors import KernelError
from xmcbench.kernels.triton import shapes, top_k
from xmcbench.kernels.triton.launch import bits, check, is_narrow, run

#: The upper half of a key that no label has taken.
LOWEST = -(1 << 31)


def best(
    x_DB: Tensor, weight_LK: Tensor, index_HK: Tensor, bias_L: Tensor, labels_a_row: int, k: int
) -> tuple[Tensor, Tensor]:
    """Return the k best scores of each document and their labels; surplus places hold −inf and −1."""
    check(x_DB)
    if k > shapes.MOST_PLACES:
        raise KernelError(f"backend triton: k = {k}; allowed: up to {shapes.MOST_PLACES}")
    (labels, K), documents = weight_LK.shape, x_DB.shape[1]
    size = shapes.top_k_blocks(K, documents, labels_a_row)
    by_products = labels_a_row >= shapes.ENOUGH_LABELS
    blocks = -(-labels // size.labels)
    if by_products:
        blocks = len(index_HK) * -(-labels_a_row // size.labels)
    tiles = -(-documents // size.documents)
    each = -(-blocks // shapes.top_k_parts(blocks, tiles))
    parts = -(-blocks // each)
    key_PBk = torch.empty(parts, documents, k, dtype=torch.int64, device=x_DB.device)
    run(
        top_k.top_k,
        (parts, tiles),
        size,
        x_DB.device,
        x_ptr=x_DB,
        weight_ptr=bits(weight_LK),
        index_ptr=index_HK,
        bias_ptr=bias_L,
        key_ptr=key_PBk,
        labels=labels,
        documents=documents,
        blocks=each,
        k=k,
        K=K,
        GROUP=labels_a_row,
        BF16=weight_LK.dtype == torch.bfloat16,
        NARROW=is_narrow(weight_LK),
        DOT=by_products,
        PLACES=shapes.power_of_two(k),
        BLOCK_L=size.labels,
        BLOCK_K=size.slots,
        BLOCK_B=size.documents,
    )
    key_Bk = key_PBk.transpose(0, 1).flatten(1).sort(dim=1, descending=True).values[:, :k]
    upper = (key_Bk >> 32).to(torch.int32)
    score_Bk = (upper ^ ((upper >> 31) & 0x7FFFFFFF)).view(torch.float32)
    empty = upper == LOWEST
    label_Bk = 0x7FFFFFFF - (key_Bk & 0xFFFFFFFF)
    return score_Bk.masked_fill(empty, float("-inf")), label_Bk.masked_fill(empty, -1)
