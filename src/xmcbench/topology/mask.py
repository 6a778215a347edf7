"""One rewire of an unstructured mask: the number of connections of the whole layer is constant.

Shapes: L labels, D features.
"""

import torch
from torch import Tensor

from xmcbench.topology.candidates import Gradient
from xmcbench.topology.topology import RewireReport, Topology


def rewire_mask(
    topology: Topology, weight_LD: Tensor, mask_LD: Tensor, step: int, gradient: Gradient | None = None
) -> RewireReport:
    """Prune and regrow in place; what was just pruned, and a removed channel, is regrown only if nothing else is left."""
    flat, features = mask_LD.view(-1), mask_LD.shape[1]
    active = flat.nonzero().flatten()
    pruned = topology.dropped(weight_LD.reshape(-1)[None, active], step)[0]
    removed_D = removed_channels(topology, weight_LD, mask_LD, step)
    pruned |= removed_D[active % features]
    dropped, count = active[pruned], int(pruned.sum())
    if count == 0:
        return RewireReport(0, 0, torch.zeros_like(mask_LD))
    generator = topology.generator(step, mask_LD.device)
    growth_LD = topology.growth(0, mask_LD.shape[0], features, generator, gradient).to(mask_LD.device)
    growth_LD[:, removed_D] = -1.5
    growth = growth_LD.view(-1)
    growth[dropped] = torch.where(removed_D[dropped % features], -1.75, -1.0).to(growth.dtype)
    growth[active[~pruned]] = -2.0
    grown = topology.grown(growth, count, generator)
    flat[dropped] = False
    flat[grown] = True
    grown_LD = torch.zeros_like(mask_LD)
    grown_LD.view(-1)[grown] = True
    return RewireReport(count, count, grown_LD)


def removed_channels(topology: Topology, weight_LD: Tensor, mask_LD: Tensor, step: int) -> Tensor:
    """Mark the input features that no label may read any more after the rewire of `step` (Chase, Yin et al. 2023).

    A channel's score is the mean |w| of its connections; the lowest go. Their number rises with 1 − (1 − t/T)³ to its
    final share and never passes what must be kept. An emptied channel stays the lowest, so the mask is all the state.
    """
    share, kept = topology.channels
    features = mask_LD.shape[1]
    most = min(share, 1 - kept)
    count = int(most * (1 - (1 - topology.schedule.progress(step)) ** 3) * features)
    readers_D = mask_LD.sum(dim=0)
    score_D = weight_LD.detach().abs().sum(dim=0) / readers_D.clamp(min=1)
    score_D[readers_D == 0] = -1.0
    removed_D = torch.zeros(features, dtype=torch.bool, device=mask_LD.device)
    removed_D[torch.sort(score_D, stable=True).indices[:count]] = True
    return removed_D
