"""A moving average of the weights: steadier than the last step's, at the price of a copy."""

import copy

import torch
from torch.optim.swa_utils import get_ema_multi_avg_fn

from trans3dhead.network.model import Trans3DHead

START = 10
"""After n steps the next keeps (1 + n) / (START + n) at most: the first weights are soon gone."""


class MovingAverage:
    """Averaged weights beside those that are trained.

    Args:
        network: what is averaged, on its device.
        decay: share of the average that a step keeps, once the first steps are over.

    Attributes:
        network: a copy with the averaged weights. Its buffers, BatchNorm's statistics among them,
            are those of the last step.
    """

    def __init__(self, network: Trans3DHead, decay: float) -> None:
        self.decay = decay
        self.network = copy.deepcopy(network).requires_grad_(False)

    @torch.no_grad()
    def update(self, network: Trans3DHead, steps: int) -> None:
        """Move towards a network that has taken so many steps before the last."""
        keep = min(self.decay, (1 + steps) / (START + steps))
        means, values = list(self.network.parameters()), list(network.parameters())
        get_ema_multi_avg_fn(keep)(means, values, steps)
        for mean, value in zip(self.network.buffers(), network.buffers(), strict=True):
            mean.copy_(value)
