"""Where things are: sines for the memory's cells (fixed), vectors for the queries (learned).

Letters: S cells of a square grid, d hidden width, N queries.
"""

import math

import torch
from torch import Tensor, nn

TEMPERATURE = 10000.0
"""Ratio of the longest to the shortest wavelength, as in DETR."""


def sine_positions(grid: int, width: int) -> Tensor:
    """DETR's normalised 2D sine encoding.

    Cell (row y, column x) is at 2 pi (y + 1)/grid and 2 pi (x + 1)/grid. The first half of the
    channels encodes y, the second x; in each half sine and cosine of a frequency alternate.

    Returns:
        [S, d] float32, S = grid * grid in row order, d = width (a multiple of 4).
    """
    half = width // 2
    cell = torch.arange(1, grid + 1, dtype=torch.float32) * (2 * math.pi / grid)
    exponent = 2 * torch.arange(half // 2, dtype=torch.float32) / half
    angle = cell[:, None] / TEMPERATURE**exponent  # [grid, d/4]
    axis = torch.stack((angle.sin(), angle.cos()), dim=2).flatten(1)  # [grid, d/2]
    rows = axis[:, None].expand(grid, grid, half)
    columns = axis[None, :].expand(grid, grid, half)
    return torch.cat((rows, columns), dim=2).flatten(0, 1)  # [S, d]


def query_positions(count: int, width: int) -> nn.Parameter:
    """One learned vector a query: [N, d], started from the unit normal as DETR's embedding is."""
    return nn.Parameter(torch.randn(count, width))
