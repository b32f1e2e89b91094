"""How the built-in head's vertices are joined (SPEC 8): 5023 vertices, 9976 triangles.

The skin is a grid of rows (from the base of the neck up) and columns (around the vertical axis)
that ends in a crown of shrinking rings. Five blocks of it are cut out - mouth, eyes, ears - and
each hole is filled with closed rings, from its border inward, so that lids, lips and ear rims
are lines of the mesh. Two eyeballs are spheres of their own.

The skin is one piece whose only border is the base of the neck. For such a piece
triangles = 2 * vertices - 2 - border; the spheres add 2 * vertices - 4 each.
"""

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np

COLUMNS, ROWS = 60, 48
CROWN = (48, 40, 28, 12)
"""Vertices in each ring above the grid; the last is closed by a strip."""
EYEBALL_RINGS, EYEBALL_SECTORS = 17, 32
EYEBALL_VERTICES = 2 + EYEBALL_RINGS * EYEBALL_SECTORS


@dataclass(frozen=True)
class Block:
    """A rectangle of the grid, rows and columns inclusive, replaced by `rings` closed rings."""

    rows: tuple[int, int]
    columns: tuple[int, int]
    rings: int

    @property
    def border(self) -> list[tuple[int, int]]:
        """(row, column) around it, clockwise seen from outside, from mid-height at the left."""
        (low, high), (first, last), middle = self.rows, self.columns, sum(self.rows) // 2
        left_up = [(row, first) for row in range(middle, high)]
        top = [(high, column) for column in range(first, last)]
        right = [(row, last) for row in range(high, low, -1)]
        bottom = [(low, column) for column in range(last, first, -1)]
        return left_up + top + right + bottom + [(row, first) for row in range(low, middle)]


BLOCKS = {
    "mouth": Block(rows=(12, 20), columns=(-8, 8), rings=8),
    "left_eye": Block(rows=(29, 37), columns=(2, 12), rings=6),
    "right_eye": Block(rows=(29, 37), columns=(-12, -2), rings=6),
    "left_ear": Block(rows=(25, 35), columns=(16, 20), rings=7),
    "right_ear": Block(rows=(25, 35), columns=(-20, -16), rings=7),
}


@dataclass(frozen=True)
class Topology:
    """Triangles, and where each vertex stands.

    `row`, `column`: float [skin] grid coordinates, column 0 at the front, growing to the
    subject's left; inside a patch those of its border. `patches`: name -> vertex indices
    [1 + rings, around], ring 0 being the border in the grid. `eyeballs`: left and right, vertex
    indices [546]: front pole, rings, back pole.
    """

    faces: np.ndarray
    row: np.ndarray
    column: np.ndarray
    patches: dict[str, np.ndarray]
    eyeballs: tuple[np.ndarray, np.ndarray]

    @property
    def skin_count(self) -> int:
        return len(self.row)


@lru_cache(maxsize=1)
def head_topology() -> Topology:
    """The one topology of the built-in head."""
    free = np.ones((ROWS, COLUMNS), bool)
    cells = np.ones((ROWS - 1, COLUMNS), bool)
    for block in BLOCKS.values():
        (low, high), (first, last) = block.rows, block.columns
        free[low + 1 : high, np.arange(first + 1, last) % COLUMNS] = False
        cells[low:high, np.arange(first, last) % COLUMNS] = False
    grid = np.where(free, np.cumsum(free).reshape(free.shape) - 1, -1)
    rows, turns = np.nonzero(free)
    row, column = [rows.astype(float)], [(turns + COLUMNS // 2) % COLUMNS - COLUMNS / 2]
    faces, count = [_grid_faces(grid, cells)], len(rows)

    ring = grid[-1]
    for level, size in enumerate(CROWN, start=ROWS):
        above = count + np.arange(size)
        faces.append(_zipped(ring, above))
        row.append(np.full(size, float(level)))
        turned = np.arange(size) * COLUMNS / size
        column.append((turned + COLUMNS / 2) % COLUMNS - COLUMNS / 2)
        ring, count = above, count + size
    faces.append(_strip(ring[::-1]))

    patches = {}
    for name, block in BLOCKS.items():
        border = np.array(block.border)
        rings = [grid[border[:, 0], border[:, 1] % COLUMNS]]
        for _ in range(block.rings):
            rings.append(count + np.arange(len(border)))
            faces.append(_joined(rings[-2], rings[-1]))
            row.append(border[:, 0].astype(float))
            column.append(border[:, 1].astype(float))
            count += len(border)
        faces.append(_strip(rings[-1]))
        patches[name] = np.stack(rings)

    left, right = (count + side * EYEBALL_VERTICES + np.arange(EYEBALL_VERTICES) for side in (0, 1))
    faces += [left[_eyeball_faces()], right[_eyeball_faces()]]
    return Topology(
        faces=np.concatenate(faces).astype(np.int32),
        row=np.concatenate(row),
        column=np.concatenate(column),
        patches=patches,
        eyeballs=(left, right),
    )


def _grid_faces(grid: np.ndarray, cells: np.ndarray) -> np.ndarray:
    """Two triangles a cell; the diagonal leans towards the front on both sides."""
    row, column = np.nonzero(cells)
    following = (column + 1) % COLUMNS
    a, b = grid[row, column], grid[row, following]
    c, d = grid[row + 1, following], grid[row + 1, column]
    left = (column < COLUMNS // 2)[:, None]
    first = np.where(left, np.stack([a, b, d], -1), np.stack([a, b, c], -1))
    second = np.where(left, np.stack([b, c, d], -1), np.stack([a, c, d], -1))
    return np.concatenate([first, second])


def _zipped(below: np.ndarray, above: np.ndarray) -> np.ndarray:
    """Triangles between two rings of different sizes that begin at the same angle."""
    n, m = len(below), len(above)
    faces, i, j = [], 0, 0
    while i < n or j < m:
        a, b = below[i % n], above[j % m]
        if j == m or (i < n and (2 * i + 1) * m <= (2 * j + 1) * n):
            faces.append((a, below[(i + 1) % n], b))
            i += 1
        else:
            faces.append((a, above[(j + 1) % m], b))
            j += 1
    return np.array(faces)


def _joined(outer: np.ndarray, inner: np.ndarray) -> np.ndarray:
    """Triangles between two clockwise rings of the same size, mirrored left to right."""
    outer_next, inner_next = np.roll(outer, -1), np.roll(inner, -1)
    quarter = np.arange(len(outer)) * 4 // len(outer)
    lean = np.isin(quarter, (0, 2))[:, None]
    first = np.where(
        lean,
        np.stack([inner, inner_next, outer], -1),
        np.stack([inner, inner_next, outer_next], -1),
    )
    second = np.where(
        lean,
        np.stack([inner_next, outer_next, outer], -1),
        np.stack([inner, outer_next, outer], -1),
    )
    return np.concatenate([first, second])


def _strip(ring: np.ndarray) -> np.ndarray:
    """Close a clockwise ring of even size by a strip from its first vertex to the opposite one."""
    half = len(ring) // 2
    upper, lower = ring[: half + 1], np.append(ring[0], ring[:half:-1])
    faces = [(ring[0], lower[1], upper[1])]
    for (a, b), (c, d) in zip(pairwise(lower[1:half]), pairwise(upper[1:half]), strict=True):
        faces += [(a, b, d), (a, d, c)]
    return np.array([*faces, (lower[half - 1], ring[half], upper[half - 1])])


def _eyeball_faces() -> np.ndarray:
    """Triangles of a sphere: front pole, rings (counter-clockwise seen from the front), back."""
    rings = 1 + np.arange(EYEBALL_RINGS * EYEBALL_SECTORS).reshape(EYEBALL_RINGS, -1)
    after = np.roll(rings, -1, axis=1)
    front = np.stack([np.zeros_like(rings[0]), rings[0], after[0]], -1)
    back = np.stack([np.full_like(rings[-1], EYEBALL_VERTICES - 1), after[-1], rings[-1]], -1)
    a, b, c, d = rings[:-1], after[:-1], after[1:], rings[1:]
    sides = np.concatenate([np.stack([a, d, c], -1), np.stack([a, c, b], -1)]).reshape(-1, 3)
    return np.concatenate([front, sides, back])
