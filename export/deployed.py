"""The deployed form: the trained network as it runs, with everything constant computed once.

A wrapper beside the trained network, which is never altered. Module names follow the trained
ones, so that recipes can address parts by name; only the memory's projections, which serve all
cross-attentions at once, have a name of their own.

Letters: B batch, S cells of the memory, N queries, d hidden width, h heads, e = d/h.
"""

# mypy: disable-error-code="no-any-return,no-untyped-call"
# torch leaves calls of modules and Tensor.split untyped

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from export.answers import Absolute, Mesh, Parameters, Residuals, Rotation
from export.folding import (
    affine,
    folded_backbone,
    key_affine,
    members,
    pixel_mean,
    side_by_side,
    value_affine,
)
from export.layers import DecoderForm, EncoderForm, HeadProduct, Product
from trans3dhead.head.layout import layout_of
from trans3dhead.head.model import HeadModel
from trans3dhead.network.branch import Branch
from trans3dhead.network.config import NetworkConfig
from trans3dhead.network.decoder import DecoderLayer
from trans3dhead.network.encoder import EncoderLayer
from trans3dhead.network.model import Trans3DHead
from trans3dhead.network.mqinit import MQInit
from trans3dhead.network.regression import MARR, DirectLandmarks, ParameterHead

KeyValue = tuple[Tensor, Tensor]


class Normalise(nn.Module):
    """Pixels less the mean colour, channels first; dividing is in the first convolution."""

    mean: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", pixel_mean()[:, None, None])  # [3, 1, 1]

    def forward(self, image: Tensor) -> Tensor:
        """[B, size, size, 3] uint8 RGB -> [B, 3, size, size] float32."""
        return image.float().permute(0, 3, 1, 2) - self.mean


class Projection(nn.Module):
    """The trained 1x1 convolution, its cells as rows."""

    def __init__(self, trained: nn.Conv2d) -> None:
        super().__init__()
        self.conv = copy.deepcopy(trained).requires_grad_(False)

    def forward(self, features: Tensor) -> Tensor:
        """[B, channels, grid, grid] -> memory [B*S, d]."""
        cells = self.conv(features).permute(0, 2, 3, 1)  # [B, grid, grid, d]
        return cells.reshape(-1, self.conv.out_channels)


class MemoryProjection(nn.Module):
    """Keys and values of every cross-attention, from one product of the memory."""

    def __init__(self, branches: Sequence[Branch], position: Tensor) -> None:
        super().__init__()
        attentions = [
            layer.cross_attention
            for branch in branches
            for layer in members(branch.layers, DecoderLayer)
        ]
        keys = [key_affine(attention, position) for attention in attentions]
        values = [value_affine(attention, position) for attention in attentions]
        self.product = HeadProduct(side_by_side([*keys, *values]), heads=attentions[0].heads)

    def forward(self, memory: Tensor) -> list[KeyValue]:
        """[B*S, d] -> (key, value), [B, h, S, e] each, for the layers of all branches in turn."""
        parts = self.product(memory)
        half = len(parts) // 2
        return list(zip(parts[:half], parts[half:], strict=True))


class PooledQueries(Product):
    """The first queries, from the mean of the memory's cells."""

    def __init__(self, trained: MQInit, cells: int) -> None:
        super().__init__(affine(trained.linear))
        self.cells = cells

    def forward(self, memory: Tensor) -> Tensor:
        """[B*S, d] -> [B*N, d]."""
        width = memory.shape[1]
        pooled = memory.reshape(-1, self.cells, width).mean(dim=1)  # [B, d]
        return super().forward(pooled).reshape(-1, width)


class BranchForm(nn.Module):
    """One task: queries, layers, and the answer."""

    def __init__(self, trained: Branch, *, cells: int, answer: nn.Module) -> None:
        super().__init__()
        position = trained.query_position.detach()
        self.mqinit = PooledQueries(trained.mqinit, cells) if trained.mqinit else None
        self.layers = nn.ModuleList(
            DecoderForm(layer, position, constant=index == 0 and trained.mqinit is None)
            for index, layer in enumerate(members(trained.layers, DecoderLayer))
        )
        self.regression = answer

    def forward(self, memory: Tensor, pairs: Sequence[KeyValue]) -> Tensor:
        """[B*S, d], a key and value for each layer -> the answer."""
        x = None if self.mqinit is None else self.mqinit(memory)
        states = []
        for layer, pair in zip(self.layers, pairs, strict=True):
            x = layer(x, *pair)
            states.append(x)
        return self.regression(states)


class Deployed(nn.Module):
    """The network from pixels to outputs.

    Args:
        network: trained; stays as it is.
        config: its configuration.
        head: the head model of the mesh; None leaves the mesh out.
    """

    @torch.no_grad()
    def __init__(
        self,
        network: Trans3DHead,
        config: NetworkConfig,
        *,
        head: HeadModel | None = None,
    ) -> None:
        super().__init__()
        size, cells, layout = config.image_size, config.grid**2, layout_of(config.parameters)
        trained = [b for b in (network.landmark_branch, network.parameter_branch) if b is not None]
        self.normalise = Normalise()
        self.backbone = folded_backbone(network.backbone)
        self.projection = Projection(network.projection)
        self.encoder = nn.ModuleList(
            EncoderForm(layer, network.position) for layer in members(network.encoder, EncoderLayer)
        )
        self.memory_projection = MemoryProjection(trained, network.position)
        self.landmark_branch = None
        if network.landmark_branch is not None:
            regression = network.landmark_branch.regression
            assert isinstance(regression, MARR | DirectLandmarks)
            self.landmark_branch = BranchForm(
                network.landmark_branch,
                cells=cells,
                answer=Residuals(regression, size)
                if isinstance(regression, MARR)
                else Absolute(regression, size, config.landmarks),
            )
        parameters = network.parameter_branch.regression
        assert isinstance(parameters, ParameterHead)
        self.parameter_branch = BranchForm(
            network.parameter_branch,
            cells=cells,
            answer=Parameters(parameters),
        )
        self.rotation = Rotation(layout)
        self.mesh = Mesh(head, layout, size) if head else None
        self.eval()

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """[B, size, size, 3] uint8 RGB -> the contract's outputs, in its order."""
        memory = self.projection(self.backbone(self.normalise(image)))  # [B*S, d]
        for layer in self.encoder:
            memory = layer(memory)
        pairs = self.memory_projection(memory)
        answers = {}
        if self.landmark_branch is not None:
            count = len(self.landmark_branch.layers)
            answers["landmarks"] = self.landmark_branch(memory, pairs[:count])
            pairs = pairs[count:]
        answers["params"] = self.parameter_branch(memory, pairs)
        answers["rotation"] = self.rotation(answers["params"])
        if self.mesh is not None:
            answers["vertices"], answers["projected"] = self.mesh(
                answers["params"], answers["rotation"]
            )
        return answers
