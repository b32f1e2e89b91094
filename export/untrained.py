"""Checkpoints with random weights, for claims about structure and speed, never about accuracy.

A fresh network answers nearly the same to every image: its residual heads start near zero and its
norms change nothing. So everything that an exporter could get wrong is drawn at random here.
"""

from pathlib import Path

import torch
from torch import nn

from trans3dhead.head.model import HeadModel
from trans3dhead.network.model import Trans3DHead, build_network
from trans3dhead.presets import Preset
from trans3dhead.training.checkpoint import CheckpointRecord, HeadRecord, save_checkpoint

HEAD_SPREAD = 0.03
"""Of regression weights: landmarks then move by some pixels from image to image."""
SPREAD = 0.02
"""Of biases, norms and query transforms."""
LAST_GAIN = 0.25
"""Of the last norm in a bottleneck: at 1 the sum over 16 blocks grows a hundredfold, and with
it the rounding of float32."""


def save_untrained(path: Path, preset: Preset, head: HeadModel, *, seed: int = 0) -> None:
    """Write a checkpoint of the preset whose every part answers to the image."""
    network = untrained_network(preset, seed=seed)
    record = CheckpointRecord(
        preset=preset, head=HeadRecord.of(head), items=0, samples_seen=0, minutes=0.0
    )
    save_checkpoint(path, network, record)


def untrained_network(preset: Preset, *, seed: int = 0) -> Trans3DHead:
    """The network of a preset, its weights drawn from `seed`, in evaluation mode."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        faces = 0.2 + 0.6 * torch.rand(preset.network.landmarks, 2)
        network = build_network(preset.network, faces).eval()
        with torch.no_grad():
            for name, module in network.named_modules():
                _disturb(name, module)
    return network


def _disturb(name: str, module: nn.Module) -> None:
    spread = HEAD_SPREAD if "regression" in name else SPREAD
    for parameter in module.parameters(recurse=False):
        parameter.add_(spread * torch.randn_like(parameter))
    if isinstance(module, nn.BatchNorm2d):
        assert module.running_mean is not None and module.running_var is not None
        module.running_mean.normal_(0, 0.1)
        module.running_var.uniform_(0.8, 1.2)
        if name.endswith("bn3"):
            module.weight.mul_(LAST_GAIN)
