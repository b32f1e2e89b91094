"""How fast the backbone's convolutions alone could be on this GPU, in half precision.

`python -m benchmarks.throughput.layer_limit OUT.json [BATCH ...]` times every convolution by
itself, with cuDNN's fastest algorithm, channels last, weights and input in the GPU's memory, and
without normalisation, activation or anything between layers. No engine of the whole network is
expected to pass the sum; how near one comes is what it is measured for.
"""

import json
import sys
from collections import Counter
from dataclasses import asdict
from pathlib import Path

import torch
from torch import nn

from engines.errors import UserError
from engines.files import write_whole
from engines.machine import this_machine
from trans3dhead.network.backbone import ResNet
from trans3dhead.network.config import NetworkConfig

BATCHES = (1, 16, 64, 128)
REPEATS = 20
"""Calls between two events, of which there are `SAMPLES` pairs; the fastest pair counts."""
SAMPLES = 5

Layer = tuple[int, int, int, int, int]
"""Input channels, output channels, kernel, stride, side of the input map."""


def convolutions(config: NetworkConfig) -> Counter[Layer]:
    """The backbone's convolutions and how often each occurs."""
    found: Counter[Layer] = Counter()

    def note(module: nn.Module, inputs: tuple[torch.Tensor, ...], _: torch.Tensor) -> None:
        assert isinstance(module, nn.Conv2d)
        kernel, stride = module.kernel_size[0], module.stride[0]
        side = inputs[0].shape[-1]
        found[module.in_channels, module.out_channels, kernel, stride, side] += 1

    with torch.device("meta"):
        backbone = ResNet(config.backbone).eval()
        for module in backbone.modules():
            if isinstance(module, nn.Conv2d):
                module.register_forward_hook(note)
        backbone(torch.empty(1, 3, config.image_size, config.image_size))
    return found


def images_per_second(layers: Counter[Layer], batch: int) -> float:
    """Batch over the sum of the layers' times, float16.

    Raises:
        UserError: no CUDA GPU.
    """
    if not torch.cuda.is_available():
        raise UserError("this PyTorch finds no CUDA GPU; expected one; run it on such a machine")
    torch.backends.cudnn.benchmark = True
    seconds = sum(count * _seconds(layer, batch) for layer, count in layers.items())
    return batch / seconds


def _seconds(layer: Layer, batch: int) -> float:
    inputs, outputs, kernel, stride, side = layer
    layout = torch.channels_last
    conv = nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False)
    conv = conv.half().cuda().to(memory_format=layout)  # type: ignore[call-overload]
    images = torch.randn(batch, inputs, side, side, device="cuda", dtype=torch.float16)
    images = images.to(memory_format=layout)
    best = float("inf")
    with torch.inference_mode():
        for _ in range(3):
            conv(images)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            for _ in range(REPEATS):
                conv(images)
        for _ in range(SAMPLES):
            begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            begin.record()
            graph.replay()
            end.record()
            end.synchronize()
            best = min(best, begin.elapsed_time(end) / 1000 / REPEATS)
    return best


def main(words: list[str]) -> None:
    """Write OUT.json: batch size to images a second."""
    out, *batches = words
    layers = convolutions(NetworkConfig())
    found = {batch: images_per_second(layers, int(batch)) for batch in batches or map(str, BATCHES)}
    for batch, rate in found.items():
        print(f"batch {batch}: {rate:.0f} images/s by the backbone's convolutions alone, float16")
    result = {
        "machine": asdict(this_machine()),
        "torch": torch.__version__,
        "images_per_second": found,
    }
    write_whole(Path(out), json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
