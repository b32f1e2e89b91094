"""Sine positions against DETR's recipe, written out cell by cell."""

import math

import torch

from trans3dhead.network.positions import query_positions, sine_positions


def test_every_value_is_detrs() -> None:
    grid, width = 3, 8
    found = sine_positions(grid, width)
    assert found.shape == (grid * grid, width)
    for row in range(grid):
        for column in range(grid):
            expected = []
            for place in (row, column):  # y first, then x
                angle = (place + 1) / grid * 2 * math.pi
                for pair in range(width // 4):
                    slow = angle / 10000 ** (2 * pair / (width // 2))
                    expected += [math.sin(slow), math.cos(slow)]
            cell = found[row * grid + column]
            torch.testing.assert_close(cell, torch.tensor(expected), rtol=0, atol=1e-6)


def test_known_values_at_the_corners() -> None:
    found = sine_positions(8, 256)
    quarter = math.pi / 4
    assert found[0, :2].tolist() == torch.tensor([quarter, quarter]).sin().tolist()
    assert abs(found[63, 0]) < 1e-6  # the last row is a full turn
    assert found[63, 1] == 1


def test_query_positions_are_learned_and_differ() -> None:
    positions = query_positions(5, 16)
    assert positions.requires_grad
    assert positions.shape == (5, 16)
    assert len(positions.unique(dim=0)) == 5
