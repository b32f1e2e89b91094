"""The head's own picture: albedo from its anatomy, light on it, triangles on the canvas.

Everything is worked out at the vertices [V], in linear light, and interpolated over the triangles:
the mesh is about as fine as the pixels.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trans3dhead.head.model import HeadModel
from trans3dhead.mesh.normals import Vectors, unit
from trans3dhead.mesh.rasterise import rasterise
from trans3dhead.synth.anatomy import Anatomy, smooth_step
from trans3dhead.synth.canvas import Canvas, linear, shown
from trans3dhead.synth.scene import Lamp, Light, Looks
from trans3dhead.synth.surface import Field

IRIS_ANGLE, PUPIL_ANGLE = 0.52, 0.2  # radians from the eye's axis
SCLERA = (0.86, 0.84, 0.81)
_WRAP = np.float32(0.15)  # light that skin carries past the edge of shadow
_SHINE_POWER, _EYE_POWER, _EYE_GLOSS = 12, 90, 0.9


def paint_head(
    canvas: Canvas, head: HeadModel, anatomy: Anatomy, looks: Looks, rng: np.random.Generator
) -> None:
    """Draw the head, hair standing off the scalp, over what is on the canvas."""
    placed = canvas.placed
    bare = placed.annotation.vertices
    normals = anatomy.normals(bare)
    hair = _hair_cover(anatomy, looks, rng)
    model = bare + normals * (np.float32(looks.hair_volume) * hair)[:, None]
    camera = placed.camera_points(model)
    rotation = placed.annotation.model_view[:3, :3].astype(np.float32)
    surface = _Surface(
        albedo=_albedo(anatomy, looks, hair, rng),
        gloss=np.where(anatomy.skin, looks.shine * (1 - 0.6 * hair), _EYE_GLOSS).astype(np.float32),
        power=np.where(anatomy.skin, _SHINE_POWER, _EYE_POWER).astype(np.float32),
        normals=normals @ rotation.T,
        towards_camera=unit(-camera),
    )
    shadows = anatomy.shadows
    lit = shadows.share(canvas.light.key.direction @ rotation)  # into model space
    radiance = _radiance(surface, canvas.light, lit, shadows.sky)
    colours = shown(radiance * np.float32(canvas.exposure))
    pixels = placed.pixels(model) * np.float32(canvas.scale)
    image_hw = canvas.pixels.shape[:2]
    covered, painted = rasterise(pixels, -camera[:, 2], head.faces, colours, image_hw)
    levels = np.clip(painted + np.float32(0.5), 0, 255).astype(np.uint8)
    picture = canvas.pixels.reshape(-1, 3)
    for channel in range(3):  # three times as fast as whole rows
        picture[:, channel][covered] = levels[:, channel]


def _hair_cover(anatomy: Anatomy, looks: Looks, rng: np.random.Generator) -> Field:
    """0 to 1 where hair hides the skin, with a ragged edge."""
    ragged = 0.003 * rng.standard_normal(len(anatomy.hair), np.float32)
    return smooth_step(-0.004, 0.008, anatomy.hair - looks.hairline + ragged)


def _albedo(anatomy: Anatomy, looks: Looks, hair: Field, rng: np.random.Generator) -> Vectors:
    """Linear colour of every vertex [V, 3]."""
    grain = rng.standard_normal(len(hair), np.float32)
    skin, hair_colour = linear(looks.skin), linear(looks.hair)
    albedo = skin * (1 + np.float32(0.03) * grain)[:, None]
    flushed = skin * np.array([1.02, 0.74, 0.72], np.float32)
    albedo = _mix(albedo, flushed, looks.blush * anatomy.flush)
    beard = looks.beard * np.clip(anatomy.beard + 0.06 * grain, 0, 1)
    albedo = _mix(albedo, hair_colour * np.float32(0.9), beard)
    albedo = _mix(albedo, linear(looks.lips), 0.85 * smooth_step(-0.001, 0.0015, anatomy.lips))
    brow = np.minimum(hair_colour, skin * np.float32(0.5))
    albedo = _mix(albedo, brow, looks.brow * smooth_step(-0.0055, -0.002, -anatomy.brows))
    strands = hair_colour * (1 + np.float32(0.12) * grain)[:, None]
    albedo = _mix(albedo, strands, hair)
    return np.where(anatomy.skin[:, None], albedo, _eye_colours(anatomy, looks))


def _eye_colours(anatomy: Anatomy, looks: Looks) -> Vectors:
    """Linear colours [V, 3] of eyeballs that look where the gaze goes; meaningless on skin."""
    left, up = np.sin(looks.gaze)
    axis = unit(np.array([left, up, 1], np.float32))
    angle = np.arccos(np.clip(anatomy.eye_directions @ axis, -1, 1))
    iris = smooth_step(-IRIS_ANGLE - 0.1, -IRIS_ANGLE, -angle)
    ball = _mix(linear(SCLERA)[None], linear(looks.iris), iris)
    pupil = smooth_step(-PUPIL_ANGLE - 0.12, -PUPIL_ANGLE, -angle)
    return _mix(ball, np.full(3, 0.004, np.float32), pupil)


def _mix(base: Vectors, over: Vectors, share: NDArray[np.floating]) -> Vectors:
    """`over` laid on `base` with an opacity [V]."""
    return base + (over - base) * share.astype(np.float32)[:, None]


@dataclass(frozen=True, kw_only=True)
class _Surface:
    """What light meets, at every vertex; directions unit, in camera axes."""

    albedo: Vectors
    gloss: Field
    power: Field
    normals: Vectors
    towards_camera: Vectors


def _radiance(surface: _Surface, light: Light, lit: Field, sky: Field) -> Vectors:
    """Light that leaves each vertex towards the camera [V, 3], linear: Lambert and Blinn-Phong.

    Args:
        surface: the head.
        light: the scene's.
        lit: [V] share of the key lamp that arrives.
        sky: [V] share of the light from all around that arrives.
    """
    above = (surface.normals[:, 1:2] + 1) / 2
    around = (light.ground + (light.sky - light.ground) * above) * sky[:, None]
    # Places that little of the sky reaches get little of the fill lamp, too.
    return (
        surface.albedo * around
        + _from_lamp(surface, light.key) * lit[:, None]
        + _from_lamp(surface, light.fill) * sky[:, None]
    )


def _from_lamp(surface: _Surface, lamp: Lamp) -> Vectors:
    cosine = surface.normals @ lamp.direction
    diffuse = np.maximum((cosine + _WRAP) / (1 + _WRAP), 0)
    half_way = unit(surface.towards_camera + lamp.direction)
    aligned = np.maximum(np.einsum("vi,vi->v", surface.normals, half_way), 0)
    highlight = np.where(cosine > 0, surface.gloss * aligned**surface.power, 0)
    return (surface.albedo * diffuse[:, None] + highlight[:, None]) * lamp.colour
