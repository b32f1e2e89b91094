"""What hides part of a face: glasses, masks, hands, things held before it."""

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from trans3dhead.head.model import HeadModel
from trans3dhead.synth.canvas import Canvas, Levels
from trans3dhead.synth.scene import Looks

_GLASS = (0.03, 0.03, 0.04)
_CLOTHS = ((0.8, 0.87, 0.92), (0.94, 0.94, 0.94), (0.16, 0.17, 0.19), (0.59, 0.24, 0.27))
_RIM = np.linspace(0, 2 * np.pi, 32, endpoint=False)


def draw_spectacles(
    canvas: Canvas, head: HeadModel, rng: np.random.Generator, *, dark: bool
) -> None:
    """Frames before the eyes, with temples towards the ears; dark ones are sunglasses."""
    landmarks = _landmarks(canvas, head)
    eyes = landmarks[36:42].mean(axis=0), landmarks[42:48].mean(axis=0)
    apart = float(np.linalg.norm(eyes[1] - eyes[0]))
    radii = apart * rng.uniform(0.32, 0.42) * np.array([1, rng.uniform(0.6, 0.95)])
    wave = np.stack([np.cos(_RIM), np.sin(_RIM)], -1)
    rim = np.sign(wave) * np.abs(wave) ** rng.uniform(0.5, 1.0) * radii  # [32, 2]
    forward = np.array([0, 0, max(landmarks[27, 2] - eyes[0][2], 0) + 0.012])
    frame = canvas.lit(rng.uniform(0, 0.35, 3))
    thickness = rng.uniform(0.01, 0.03) * canvas.placed.bbox[2]
    for eye, side, temple in ((eyes[0], -1, 0), (eyes[1], 1, 16)):
        outline = np.column_stack([rim, np.zeros(len(rim))]) + eye + forward
        if dark:
            canvas.fill(outline, canvas.lit(_GLASS))
        canvas.line(outline, frame, thickness, closed=True)
        if canvas.placed.annotation.model_view[2, 0] * side > -0.15:  # else the head hides it
            hinge = eye + forward + np.array([side * radii[0], 0.3 * radii[1], 0])
            ear = landmarks[temple] + np.array([side * 0.006, 0.01, 0])
            canvas.line(np.stack([hinge, ear]), frame, thickness)
    inner = np.array([radii[0], 0, 0])
    canvas.line(np.stack([eyes[0] + forward + inner, eyes[1] + forward - inner]), frame, thickness)


def draw_occluder(canvas: Canvas, head: HeadModel, looks: Looks, rng: np.random.Generator) -> None:
    """One thing over part of the face, of a kind drawn at random."""
    _KINDS[int(rng.integers(len(_KINDS)))](canvas, head, looks, rng)


def _sunglasses(canvas: Canvas, head: HeadModel, looks: Looks, rng: np.random.Generator) -> None:
    draw_spectacles(canvas, head, rng, dark=True)


def _mask(canvas: Canvas, head: HeadModel, looks: Looks, rng: np.random.Generator) -> None:
    """A cloth over nose, mouth and chin, reaching from ear to ear."""
    landmarks = _landmarks(canvas, head)
    cloth = np.array(_CLOTHS[int(rng.integers(len(_CLOTHS)))])
    # The part below the nose lies in its own shade.
    for outline, shade in (
        (landmarks[[*range(2, 15), 28]], 1.0),
        (landmarks[[*range(3, 14)]], 0.9),
    ):
        front = outline + np.array([0, 0, 0.008], np.float32)
        hull = np.asarray(cv2.convexHull(canvas.placed.pixels(front)), np.float32)[:, 0]
        canvas.fill_pixels(hull, canvas.lit(cloth * shade))


def _hand(canvas: Canvas, head: HeadModel, looks: Looks, rng: np.random.Generator) -> None:
    """Four fingers laid over the face from one side."""
    centre, reach = _somewhere(canvas, rng)
    thick = reach * 0.2
    along, across = _axes(rng.uniform(0, 2 * np.pi))
    skin = np.array(looks.skin) * rng.uniform(0.8, 1.05)
    for number in range(4):
        tip = centre + across * (number - 1.5) * thick * 0.95
        tip = tip + along * reach * (0.15 - 0.07 * abs(number - 1.3))
        for width, shade in ((thick, 0.72), (thick * 0.75, 0.9), (thick * 0.45, 1.0)):
            _finger(canvas, tip, along * reach * 1.4, across * width / 2, canvas.lit(skin * shade))


def _finger(
    canvas: Canvas,
    tip: NDArray[np.float64],
    length: NDArray[np.float64],
    radius: NDArray[np.float64],
    levels: Levels,
) -> None:
    """A bar with a round end, from `tip` back along `length`; image pixels."""
    half = np.linspace(-np.pi / 2, np.pi / 2, 9)[:, None]
    ahead = length / np.linalg.norm(length) * np.linalg.norm(radius)
    round_end = tip + np.sin(half) * radius + np.cos(half) * ahead  # [9, 2]
    outline = np.concatenate([round_end, [tip - length + radius, tip - length - radius]])
    canvas.fill_pixels(outline, levels)


def _board(canvas: Canvas, head: HeadModel, looks: Looks, rng: np.random.Generator) -> None:
    """A telephone, a book, a pole: a tilted rectangle with a border."""
    centre, reach = _somewhere(canvas, rng)
    size = reach * rng.uniform((0.1, 0.6), (0.6, 1.8))
    along, across = _axes(rng.uniform(0, np.pi))
    signs = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) / 2
    for share in (1.0, 0.85):
        corners = centre + (signs * size * share) @ np.stack([across, along])
        canvas.fill_pixels(corners, canvas.lit(rng.uniform(0, 0.9, 3)))


def _ball(canvas: Canvas, head: HeadModel, looks: Looks, rng: np.random.Generator) -> None:
    """Something round: a microphone, a ball, a cup."""
    centre, reach = _somewhere(canvas, rng)
    wobble = np.ones(len(_RIM))
    for waves in (1, 2, 3):
        wobble += rng.uniform(-0.15, 0.15) * np.cos(waves * _RIM + rng.uniform(0, 2 * np.pi))
    outline = np.stack([np.cos(_RIM), np.sin(_RIM)], -1) * wobble[:, None] * reach * 0.45
    colour = rng.uniform(0.05, 0.8, 3)
    for share in (1.0, 0.85, 0.65, 0.4):
        levels = canvas.lit(np.minimum(colour * (1.5 - 0.6 * share), 1))
        canvas.fill_pixels(centre - reach * 0.12 * (1 - share) + outline * share, levels)


_KINDS: tuple[Callable[[Canvas, HeadModel, Looks, np.random.Generator], None], ...] = (
    _sunglasses,
    _mask,
    _hand,
    _board,
    _ball,
)


def _landmarks(canvas: Canvas, head: HeadModel) -> NDArray[np.floating]:
    return head.landmarks68(canvas.placed.annotation.vertices[None])[0]


def _somewhere(canvas: Canvas, rng: np.random.Generator) -> tuple[NDArray[np.float64], float]:
    """A point over the face's part of the box, and a length for things there; image pixels."""
    x, y, w, h = canvas.placed.bbox
    point = np.array([x, y]) + rng.uniform((0.15, 0.3), (0.85, 1.0)) * (w, h)
    return point, float(np.sqrt(w * h) * rng.uniform(0.35, 0.75))


def _axes(turn: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    along = np.array([np.cos(turn), np.sin(turn)])
    return along, np.array([-along[1], along[0]])
