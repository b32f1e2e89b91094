"""What the network is built from: every switch of the paper's tables (SPEC 2). No torch here."""

from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from engines.errors import UserError

IMAGE_MEAN = (0.485, 0.456, 0.406)
"""ImageNet's mean of red, green, blue in [0, 1]: what the backbone's weights were trained with."""
IMAGE_STD = (0.229, 0.224, 0.225)
"""ImageNet's standard deviation of red, green, blue in [0, 1]."""

Block = Literal["bottleneck", "basic"]
Branches = Literal["none", "landmarks", "both"]
AverageFace = Literal["fixed", "learnable", "random"]

PARAMETER_COUNTS = (60, 160, 413)
"""The 3DMM settings of Table 8."""


def _need(config: object, name: str, holds: bool, expected: str) -> None:
    if not holds:
        owner = type(config).__name__
        value = getattr(config, name)
        raise UserError(f"{owner}.{name} is {value!r}; expected {expected}; change that field")


def _need_positive(config: object, *names: str) -> None:
    for name in names:
        value = getattr(config, name)
        _need(config, name, isinstance(value, int) and value > 0, "an integer above 0")


def _need_one_of(config: object, name: str, choices: tuple[Any, ...]) -> None:
    listed = ", ".join(str(choice) for choice in choices)
    _need(config, name, getattr(config, name) in choices, f"one of {listed}")


@dataclass(frozen=True, kw_only=True)
class BackboneConfig:
    """A ResNet; the defaults are ResNet-50."""

    block: Block = "bottleneck"
    """Residual block: bottleneck (1x1, 3x3, 1x1) or basic (3x3, 3x3)."""
    depths: tuple[int, ...] = (3, 4, 6, 3)
    """Blocks of each stage. Three stages end at a stride of 16, four at 32."""
    width: int = 64
    """Channels of the stem and of the first stage; each later stage doubles them."""

    def __post_init__(self) -> None:
        _need_one_of(self, "block", get_args(Block))
        well_formed = len(self.depths) > 0 and all(depth > 0 for depth in self.depths)
        _need(self, "depths", well_formed, "at least one stage, each of at least one block")
        _need_positive(self, "width")

    @property
    def stride(self) -> int:
        """Pixels of the image to one cell of the last map, along one axis."""
        return 2 << len(self.depths)

    @property
    def channels(self) -> int:
        """Channels of the last map."""
        expansion = 4 if self.block == "bottleneck" else 1
        return (self.width << len(self.depths) - 1) * expansion


@dataclass(frozen=True, kw_only=True)
class NetworkConfig:
    """The network; the defaults are the paper's full model."""

    backbone: BackboneConfig = field(default_factory=BackboneConfig)
    """The convolutional part."""
    image_size: int = 256
    """Side of the square crop, in pixels."""
    hidden: int = 256
    """Width d of queries and memory."""
    heads: int = 8
    """Heads of every attention."""
    feedforward: int = 2048
    """Width inside the feed-forward step."""
    dropout: float = 0.1
    """Share of values dropped in training."""
    encoders: int = 0
    """Encoder layers, before both branches (Table 3 right)."""
    decoders: int = 2
    """Decoder layers of each branch (Table 3 right)."""
    landmarks: int = 68
    """Queries of the landmark branch."""
    parameters: int = 413
    """Queries of the 3DMM branch (Table 8)."""
    qamem: Branches = "landmarks"
    """Branches with query-aware memory (Table 5)."""
    marr: bool = True
    """Whether residuals are added to the average face; off, the last layer answers alone."""
    average_face: AverageFace = "fixed"
    """Average face: fixed, learnable from the average, or learnable from random (Table 4)."""
    mqinit: Branches = "landmarks"
    """Branches whose queries start from the pooled memory (Table 6)."""
    single_task: bool = False
    """Whether the network is the 3DMM branch alone (Table 7)."""

    def __post_init__(self) -> None:
        _need_positive(self, "image_size", "hidden", "heads", "feedforward", "decoders")
        _need_positive(self, "landmarks")
        stride = self.backbone.stride
        _need(
            self,
            "image_size",
            self.image_size % stride == 0,
            f"a multiple of the backbone's stride, {stride}",
        )
        _need(self, "hidden", self.hidden % 4 == 0, "a multiple of 4 (two sines, two cosines)")
        _need(self, "heads", self.hidden % self.heads == 0, f"a divisor of hidden, {self.hidden}")
        _need(self, "dropout", 0 <= self.dropout < 1, "a share in [0, 1)")
        _need(self, "encoders", self.encoders >= 0, "an integer of at least 0")
        _need_one_of(self, "parameters", PARAMETER_COUNTS)
        _need_one_of(self, "qamem", get_args(Branches))
        _need_one_of(self, "average_face", get_args(AverageFace))
        _need_one_of(self, "mqinit", get_args(Branches))

    @property
    def grid(self) -> int:
        """Cells of the memory along one axis; S is its square."""
        return self.image_size // self.backbone.stride
