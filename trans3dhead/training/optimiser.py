"""Adam, with a learning rate of its own for the backbone (SPEC 4)."""

from torch.optim import Adam

from trans3dhead.network.model import Trans3DHead
from trans3dhead.training.config import TrainingConfig


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
