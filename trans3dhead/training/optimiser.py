"""Adam, with a learning rate of its own for the backbone (SPEC 4), and a step of it."""

import torch
from torch import Tensor
from torch.optim import Adam

from trans3dhead.network.model import Trans3DHead
from trans3dhead.training.config import TrainingConfig


class Update:
    """From a loss to new weights: gradients, scaled where half needs it, clipped, then Adam.

    Args:
        network: its weights, as they are trained, on their device.
        config: rates, clipping, precision.
    """

    def __init__(self, network: Trans3DHead, config: TrainingConfig) -> None:
        self.parameters = list(network.parameters())
        self.clip_norm = config.clip_norm
        self.optimiser = build_optimiser(network, config)
        kind = self.parameters[0].device.type
        self.scaler = torch.amp.GradScaler(kind, enabled=config.precision == "float16")

    def gradients(self, loss: Tensor) -> Tensor:
        """Compute and clip them; their norm before clipping, a scalar.

        In half a norm that is not finite is an overflow: `step` then leaves the weights alone and
        lowers the scale.
        """
        self.optimiser.zero_grad()
        self.scaler.scale(loss).backward()
        self.scaler.unscale_(self.optimiser)
        return torch.nn.utils.clip_grad_norm_(self.parameters, self.clip_norm)

    def step(self, rate: float) -> None:
        """Change the weights; `rate` is what the full learning rates are multiplied by."""
        set_rates(self.optimiser, rate)
        self.scaler.step(self.optimiser)
        self.scaler.update()


def build_optimiser(network: Trans3DHead, config: TrainingConfig) -> Adam:
    """Adam over all trained weights. Each group keeps its full rate as "peak"."""
    backbone = list(network.backbone.parameters())
    taken = {id(parameter) for parameter in backbone}
    others = [parameter for parameter in network.parameters() if id(parameter) not in taken]
    rate = config.learning_rate
    groups = [
        {"params": others, "peak": rate},
        {"params": backbone, "peak": rate * config.backbone_factor},
    ]
    return Adam(groups, lr=rate, fused=True)


def set_rates(optimiser: Adam, factor: float) -> None:
    """Give every group its full rate times the factor."""
    for group in optimiser.param_groups:
        group["lr"] = group["peak"] * factor
