"""ResNet with torchvision's parameter names, so that `resnet50-*.pth` loads, less its `fc.*`.

Letters: B batch, C channels, H and W the map's height and width.
"""

import pickle
from pathlib import Path

import torch
from torch import Tensor, nn

from engines.errors import UserError
from trans3dhead.network.config import BackboneConfig
from trans3dhead.network.fitting import misfits


def _conv3x3(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)


def _conv1x1(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut."""

    expansion = 1

    def __init__(self, inputs: int, width: int, stride: int, downsample: nn.Module | None) -> None:
        super().__init__()
        self.conv1 = _conv3x3(inputs, width, stride)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = _conv3x3(width, width)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = downsample

    def forward(self, x: Tensor) -> Tensor:
        """[B, inputs, H, W] -> [B, width, H/stride, W/stride]."""
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.bn2(self.conv2(x))
        return self.relu(x + shortcut)


class Bottleneck(nn.Module):
    """1x1 down, 3x3 (with the stride, as torchvision has it), 1x1 up, and a shortcut."""

    expansion = 4

    def __init__(self, inputs: int, width: int, stride: int, downsample: nn.Module | None) -> None:
        super().__init__()
        outputs = width * self.expansion
        self.conv1 = _conv1x1(inputs, width)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = _conv3x3(width, width, stride)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = _conv1x1(width, outputs)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = downsample

    def forward(self, x: Tensor) -> Tensor:
        """[B, inputs, H, W] -> [B, 4 width, H/stride, W/stride]."""
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.relu(self.bn2(self.conv2(x)))
        x = self.bn3(self.conv3(x))
        return self.relu(x + shortcut)


BLOCKS: dict[str, type[BasicBlock | Bottleneck]] = {"basic": BasicBlock, "bottleneck": Bottleneck}


class ResNet(nn.Module):
    """He et al. 2016, without the pooling and the classifier; BatchNorm is trained, not frozen."""

    def __init__(self, config: BackboneConfig) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, config.width, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(config.width)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        block = BLOCKS[config.block]
        widths = [config.width * 2**stage for stage in range(len(config.depths))]
        inputs = [config.width, *(width * block.expansion for width in widths)]
        self.stages: list[str] = []
        for stage, (width, depth) in enumerate(zip(widths, config.depths, strict=True)):
            name = f"layer{stage + 1}"
            stride = 1 if stage == 0 else 2
            self.add_module(name, _stage(block, inputs[stage], width, depth, stride))
            self.stages.append(name)
        self.apply(_initialise)

    def forward(self, image: Tensor) -> Tensor:
        """Image to feature map.

        Args:
            image: [B, 3, H, W] float, normalised RGB.

        Returns:
            [B, C, H/stride, W/stride], with C and stride of the configuration.
        """
        x = self.maxpool(self.relu(self.bn1(self.conv1(image))))  # [B, width, H/4, W/4]
        for stage in self.stages:
            x = self.get_submodule(stage)(x)
        return x

    def start_as_shortcuts(self) -> None:
        """Let every bottleneck begin as its shortcut alone (Goyal et al. 2017, section 5.1)."""
        for module in self.modules():
            if isinstance(module, Bottleneck):
                nn.init.zeros_(module.bn3.weight)


def _stage(
    block: type[BasicBlock | Bottleneck], inputs: int, width: int, depth: int, stride: int
) -> nn.Sequential:
    outputs = width * block.expansion
    downsample = None
    if stride != 1 or inputs != outputs:
        downsample = nn.Sequential(_conv1x1(inputs, outputs, stride), nn.BatchNorm2d(outputs))
    first = block(inputs, width, stride, downsample)
    return nn.Sequential(first, *(block(outputs, width, 1, None) for _ in range(depth - 1)))


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")


CLASSIFIER = "fc."
"""How the names of torchvision's last layer begin; it is left out."""
COUNTER = ".num_batches_tracked"


def load_imagenet_weights(backbone: ResNet, path: Path) -> None:
    """Load a torchvision ResNet file (a state_dict) into the backbone; `fc.*` is left out.

    Raises:
        UserError: the file is missing, is no state_dict, or is another network's: everything that
            is missing, unknown or misshapen is named.
    """
    wish = "expected a torchvision state_dict such as resnet50-*.pth"
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise UserError(f"{path} does not exist; {wish}; check the path") from error
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise UserError(f"{path} cannot be read; {wish}; fetch the file again") from error
    if not isinstance(state, dict):
        raise UserError(f"{path} holds a {type(state).__name__}; {wish}; give another file")
    given = {name: value for name, value in state.items() if not name.startswith(CLASSIFIER)}
    known = backbone.state_dict()
    # files of before PyTorch 0.4.1 lack BatchNorm's counters, which nothing here reads
    counters = {name: known[name] for name in known if name.endswith(COUNTER)}
    faults = misfits(known, counters | given)
    if faults:
        raise UserError(
            f"{path} does not fit the backbone: {'; '.join(faults)}; {wish} of the same depths; "
            "give that file or change the backbone's configuration"
        )
    backbone.load_state_dict(counters | given)
