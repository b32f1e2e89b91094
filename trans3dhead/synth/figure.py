"""What belongs to the person but not to the head model: long hair, shoulders, open mouths."""

import cv2
import numpy as np

from trans3dhead.head.model import HeadModel
from trans3dhead.synth.anatomy import Anatomy
from trans3dhead.synth.canvas import Canvas
from trans3dhead.synth.scene import Looks

STRANDS = 30
STRIPS = 32  # of the shoulders, each with its own normal
_MOUTH_DARK = np.array([38, 12, 12], np.float32)  # grey levels
_OPENINGS = (slice(48, 60), slice(36, 42), slice(42, 48))  # landmarks: mouth and eyes


def draw_long_hair(canvas: Canvas, head: HeadModel, looks: Looks, rng: np.random.Generator) -> None:
    """Hair that falls behind the head: a curtain in model space, turning with the head."""
    skull = head.template[head.subsets["head"]]
    low, high = skull.min(axis=0), skull.max(axis=0)
    half_width = (high[0] - low[0]) / 2 * rng.uniform(0.95, 1.15)
    middle_y = (low[1] + 2 * high[1]) / 3
    depth = low[2] + 0.45 * (high[2] - low[2])
    bottom = low[1] - looks.hair_length
    flare = half_width * rng.uniform(0.75, 1.15)
    turn = np.linspace(0, np.pi, 15)
    crown = np.stack([np.cos(turn), np.sin(turn)], -1)
    crown = crown * (half_width, high[1] - middle_y + looks.hair_volume) + np.array([0, middle_y])
    outline = np.concatenate([crown, [(-flare, bottom), (flare, bottom)]])  # [17, 2]
    colour = np.array(looks.hair)
    canvas.fill(np.column_stack([outline, np.full(len(outline), depth)]), canvas.lit(colour * 0.6))
    share = np.sort(rng.uniform(-1, 1, STRANDS))[:, None]
    across = share * np.linspace(half_width, flare, 4)  # [strands, 4]
    heights = np.broadcast_to(np.linspace(middle_y, bottom, 4), across.shape)
    strands = np.stack([across, heights, np.full_like(across, depth)], -1)
    lines = canvas.placed.pixels(strands.reshape(-1, 3)).reshape(STRANDS, 4, 2)
    tones = canvas.lit(colour * rng.uniform(0.4, 0.85, (STRANDS, 1)))
    for line, levels, width in zip(lines, tones, rng.uniform(0.5, 2.5, STRANDS), strict=True):
        canvas.line_pixels(line, levels, width)


def draw_shoulders(
    canvas: Canvas, anatomy: Anatomy, looks: Looks, rng: np.random.Generator
) -> None:
    """Clothes below the neck, upright however the head is turned."""
    placed = canvas.placed
    rim = placed.annotation.vertices[anatomy.neck_rim]
    x, y, z = placed.camera_points(rim).mean(axis=0).tolist()
    width = rng.uniform(0.95, 1.25)
    # The upper edge: collar, slope, shoulder, arm; metres to the side and up.
    sides, rises = (
        np.array([0.0, 0.04, 0.06, 0.11, 0.17, 0.205, 0.225, 0.24]) * width,
        np.array([0.03, 0.03, 0.008, -0.012, -0.035, -0.065, -0.15, -0.6]) + rng.normal(0, 0.004),
    )
    across = np.linspace(-sides[-1], sides[-1], STRIPS + 1)
    top = np.interp(np.abs(across), sides, rises)
    edge = np.column_stack([x + across, y + top, np.full_like(across, z)])
    hem = np.column_stack([x + across, np.full_like(across, y - 1.5), np.full_like(across, z)])
    upper, lower = placed.pixels_of_camera(edge), placed.pixels_of_camera(hem)
    turn = 1.2 * (across[1:] + across[:-1]) / (2 * sides[-1])
    normals = np.column_stack([np.sin(turn), np.full_like(turn, 0.2), np.cos(turn)])
    strips = np.stack([upper[:-1], upper[1:], lower[1:], lower[:-1]], axis=1)  # [strips, 4, 2]
    canvas.fill_each(strips, canvas.lit(looks.clothes, normals))


def draw_openings(canvas: Canvas, head: HeadModel, anatomy: Anatomy, looks: Looks) -> None:
    """What shows through the mesh where it is open: mouth, eyelids, and the end of the neck."""
    vertices = canvas.placed.annotation.vertices
    rim = cv2.convexHull(canvas.placed.pixels(vertices[anatomy.neck_rim]))
    canvas.fill_pixels(np.asarray(rim, np.float32)[:, 0], canvas.lit(np.array(looks.skin) * 0.7))
    landmarks = head.landmarks68(vertices[None])[0]
    landmarks[:, 2] -= 0.01
    for part in _OPENINGS:
        canvas.fill(landmarks[part], _MOUTH_DARK)
