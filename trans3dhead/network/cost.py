"""What a network costs: parameters, and arithmetic an image, part by part (SPEC 2, size)."""

from collections import Counter
from dataclasses import dataclass

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from trans3dhead.network.attention import Attention
from trans3dhead.network.config import NetworkConfig
from trans3dhead.network.model import Trans3DHead, build_network

PARTS = {
    "backbone": "backbone",
    "projection": "projection",
    "encoder": "encoder products",
    "mqinit": "MQinit",
    "qamem": "QAMem",
    "regression": "regression heads",
    "query_position": "query positions",
    "layers": "decoder products",
}
"""Part by the name found in a module's path; the first entry that occurs decides."""


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Parameters and floating-point operations an image, by part of the network."""

    parameters: dict[str, int]
    """Trained numbers; buffers (BatchNorm's statistics, a fixed average face) do not count."""
    flops: dict[str, int]
    """Of convolutions and matrix products, attention's included; a multiply-add is two."""


def cost_of(config: NetworkConfig) -> Cost:
    """Count on the meta device: nothing is computed and no weight is stored."""
    with torch.device("meta"):
        network = build_network(config).eval()
    parameters: Counter[str] = Counter()
    for name, weight in network.named_parameters():
        parameters[_part(name)] += weight.numel()
    return Cost(parameters=dict(parameters), flops=_flops(network, config.image_size))


def parameter_count(config: NetworkConfig) -> int:
    """Trained numbers of the whole network."""
    return sum(cost_of(config).parameters.values())


def flops_per_image(config: NetworkConfig) -> int:
    """Floating-point operations of one image, a multiply-add counted as two."""
    return sum(cost_of(config).flops.values())


def flops_by_module(config: NetworkConfig) -> dict[str, int]:
    """Operations an image of each module itself, by its path; those of its children are theirs."""
    with torch.device("meta"):
        network = build_network(config).eval()
    return _own_flops(network, config.image_size)


def _flops(network: Trans3DHead, size: int) -> dict[str, int]:
    modules = dict(network.named_modules())
    flops: Counter[str] = Counter()
    for path, own in _own_flops(network, size).items():
        attention = isinstance(modules[path], Attention)
        flops["attention products" if attention else _part(path)] += own
    return dict(flops)


def _own_flops(network: Trans3DHead, size: int) -> dict[str, int]:
    image = torch.empty(1, 3, size, size, device="meta")
    # Plain matrix products are what the counter knows everywhere; fused kernels it may skip.
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        network(image)
    root = type(network).__name__
    counted = {name: sum(ops.values()) for name, ops in counter.get_flop_counts().items()}
    own: dict[str, int] = {}
    for path, _ in reversed(list(network.named_modules())):  # what a module holds comes behind it
        name, within = (f"{root}.{path}", f"{path}.") if path else (root, "")
        inner = sum(flops for inside, flops in own.items() if inside.startswith(within))
        if left := counted.get(name, inner) - inner:  # a list of modules is never called
            own[path] = left
    assert sum(own.values()) == counter.get_total_flops()
    return dict(reversed(own.items()))


def _part(path: str) -> str:
    return next(part for mark, part in PARTS.items() if mark in path.split("."))
