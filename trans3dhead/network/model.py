"""Trans3DHead (the paper's Figure 1): one backbone, two transformer branches.

Letters: B batch, S cells of the memory, d hidden width, C channels of the backbone, P parameters.
"""

import math

import torch
from torch import Tensor, nn

from engines.errors import UserError
from trans3dhead.head.layout import layout_of
from trans3dhead.network.backbone import ResNet
from trans3dhead.network.branch import Branch
from trans3dhead.network.config import NetworkConfig
from trans3dhead.network.decoder import DecoderLayer
from trans3dhead.network.encoder import EncoderLayer
from trans3dhead.network.mqinit import MQInit
from trans3dhead.network.positions import sine_positions
from trans3dhead.network.qamem import QAMem
from trans3dhead.network.regression import MARR, DirectLandmarks, ParameterHead

NEUTRAL_LANDMARK = 0.5
"""Where every landmark of the average face lies when none is given: the middle of the crop."""


class Trans3DHead(nn.Module):
    """The network. Build it with `build_network`.

    Attributes:
        position: [S, d], the memory's sine positions; not part of the state_dict. A smaller image
            has fewer cells, and gets the positions of its own grid.
    """

    position: Tensor

    def __init__(
        self,
        *,
        backbone: ResNet,
        projection: nn.Conv2d,
        position: Tensor,
        encoder: nn.ModuleList,
        landmark_branch: Branch | None,
        parameter_branch: Branch,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.projection = projection
        self.register_buffer("position", position, persistent=False)
        self.encoder = encoder
        self.landmark_branch = landmark_branch
        self.parameter_branch = parameter_branch

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """The answers to a batch of crops.

        Args:
            image: [B, 3, size, size] float32 RGB, less `IMAGE_MEAN`, divided by `IMAGE_STD`.

        Returns:
            landmarks: [B, 68, 2] in [0, 1] of the crop, (x, y); may lie outside it. Absent when
                the configuration is single-task.
            params: [B, P] in the layout of SPEC 3, after 3 tanh and with the prior added, so that
                the rotation is `six_d(params[:, layout.rotation])`.
        """
        memory = self.remember(image)
        memory_key = memory + self._positions(memory)
        answers = {}
        if self.landmark_branch is not None:
            answers["landmarks"] = self.landmark_branch(memory, memory_key)
        answers["params"] = self.parameter_branch(memory, memory_key)
        return answers

    def remember(self, image: Tensor) -> Tensor:
        """The memory that both branches read: image [B, 3, size, size] -> [B, S, d]."""
        features = self.projection(self.backbone(image))  # [B, d, grid, grid]
        memory = features.flatten(2).transpose(1, 2)  # [B, S, d]
        for layer in self.encoder:
            memory = layer(memory, self._positions(memory))
        return memory

    def _positions(self, memory: Tensor) -> Tensor:
        """Of the cells of a memory [B, S, d]: [S, d]."""
        cells, width = memory.shape[1:]
        if cells == len(self.position):
            return self.position
        return sine_positions(math.isqrt(cells), width).to(memory.device)


def build_network(config: NetworkConfig, average_face: Tensor | None = None) -> Trans3DHead:
    """The network of a configuration, with fresh weights.

    Args:
        config: what to build.
        average_face: [68, 2] in [0, 1] of the crop (Eq. 4). Used where `config.marr` is on and
            `config.average_face` is not "random"; without it every landmark starts at
            `NEUTRAL_LANDMARK`, which is good for counting, and for loading weights over it.

    Raises:
        UserError: the average face has another shape.
    """
    landmark_branch = None if config.single_task else _landmark_branch(config, average_face)
    return Trans3DHead(
        backbone=ResNet(config.backbone),
        projection=_projection(config),
        position=sine_positions(config.grid, config.hidden),
        encoder=nn.ModuleList(
            EncoderLayer(
                width=config.hidden,
                heads=config.heads,
                inner=config.feedforward,
                dropout=config.dropout,
            )
            for _ in range(config.encoders)
        ),
        landmark_branch=landmark_branch,
        parameter_branch=_parameter_branch(config),
    )


def _projection(config: NetworkConfig) -> nn.Conv2d:
    projection = nn.Conv2d(config.backbone.channels, config.hidden, 1)
    nn.init.xavier_uniform_(projection.weight)
    nn.init.zeros_(projection.bias)  # type: ignore[arg-type]
    return projection


def _landmark_branch(config: NetworkConfig, average_face: Tensor | None) -> Branch:
    regression = (
        MARR(
            average_face=_average_face(config, average_face),
            learnable=config.average_face != "fixed",
            width=config.hidden,
            layers=config.decoders,
        )
        if config.marr
        else DirectLandmarks(width=config.hidden)
    )
    return _branch(
        config,
        queries=config.landmarks,
        qamem=config.qamem != "none",
        mqinit=config.mqinit != "none",
        regression=regression,
    )


def _parameter_branch(config: NetworkConfig) -> Branch:
    return _branch(
        config,
        queries=config.parameters,
        qamem=config.qamem == "both",
        mqinit=config.mqinit == "both",
        regression=ParameterHead(width=config.hidden, layout=layout_of(config.parameters)),
    )


def _branch(
    config: NetworkConfig, *, queries: int, qamem: bool, mqinit: bool, regression: nn.Module
) -> Branch:
    return Branch(
        queries=queries,
        width=config.hidden,
        mqinit=MQInit(queries=queries, width=config.hidden) if mqinit else None,
        layers=[
            DecoderLayer(
                width=config.hidden,
                heads=config.heads,
                inner=config.feedforward,
                dropout=config.dropout,
                qamem=QAMem(queries=queries, width=config.hidden) if qamem else None,
            )
            for _ in range(config.decoders)
        ],
        regression=regression,
    )


def _average_face(config: NetworkConfig, given: Tensor | None) -> Tensor:
    shape = (config.landmarks, 2)
    if config.average_face == "random":
        return torch.rand(shape)
    if given is None:
        return torch.full(shape, NEUTRAL_LANDMARK)
    if given.shape != shape:
        raise UserError(
            f"the average face has shape {tuple(given.shape)}; expected {shape}; "
            "compute it from the training set's landmarks"
        )
    return given.detach().to(torch.float32).clone()
