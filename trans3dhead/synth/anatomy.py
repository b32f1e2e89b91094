"""Where a head model has skin, lips, brows, hair, beard and eyes, found from its landmarks alone.

So any head model in FLAME's arrays can be painted, not only the built-in one. All measures are
taken on the template (model space, metres) and hold for every shape of it.
"""

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from trans3dhead.head.model import HeadModel
from trans3dhead.mesh.normals import MeshNormals, Vectors, unit
from trans3dhead.synth.surface import Field, Shadows

CHIN, NOSE_TIP = 8, 30
TEMPLES, EYES, MOUTH_CORNERS = (0, 16), slice(36, 48), (48, 54)
BROWS = (slice(17, 22), slice(22, 27))
OUTER_LIPS, INNER_LIPS = slice(48, 60), slice(60, 68)
EYE_CENTRES = (slice(36, 42), slice(42, 48))


@dataclass(frozen=True, eq=False)
class Anatomy:
    """Fields over the vertices [V] of a head model."""

    normals: MeshNormals
    unit: float
    """Distance of the outer eye corners, metres: the measure of a face."""
    skin: NDArray[np.bool_]
    """Not an eyeball."""
    lips: Field
    """Signed distance to the edge of the lips in the frontal plane, metres, above 0 inside."""
    brows: Field
    """Distance to the line of the nearer brow, metres."""
    hair: Field
    """Height above the lower edge of the hair, metres."""
    beard: Field
    """0 to 1: where a beard grows."""
    flush: Field
    """0 to 1: cheeks and nose, where blood shows."""
    eye_directions: Vectors
    """[V, 3] unit, from the eyeball's centre to its vertex; zero on skin."""
    neck_rim: NDArray[np.int64]
    """Vertices where the neck ends: the lowest fiftieth."""
    shadows: Shadows


@lru_cache(maxsize=2)
def anatomy_of(head: HeadModel) -> Anatomy:
    """Study a head model; about a quarter of a second, kept for the next call."""
    vertices = head.template
    landmarks = head.landmarks68(vertices[None])[0]
    measure = float(np.linalg.norm(landmarks[45] - landmarks[36]))
    eye_of = _eyeballs(head.faces, vertices, landmarks)
    skin = eye_of < 0
    normals = MeshNormals.of(head.faces, len(vertices))
    # Facing forward and not far behind the face: painting in the frontal plane must not go through.
    front = skin & (vertices[:, 2] > landmarks[list(TEMPLES), 2].mean())
    return Anatomy(
        normals=normals,
        unit=measure,
        skin=skin,
        lips=np.where(front, _inside(vertices, landmarks[OUTER_LIPS]), -1).astype(np.float32),
        brows=np.where(front, _brow_distance(vertices, landmarks), 1).astype(np.float32),
        hair=np.where(skin, _hair_height(vertices, landmarks, measure), -1).astype(np.float32),
        beard=np.where(skin, _beard(vertices, landmarks, measure), 0).astype(np.float32),
        flush=np.where(front, _flush(vertices, landmarks, measure), 0).astype(np.float32),
        eye_directions=_eye_directions(vertices, eye_of),
        neck_rim=vertices[:, 1].argsort()[: len(vertices) // 50],
        shadows=Shadows.of(vertices, head.faces, normals(vertices)),
    )


def smooth_step(low: float, high: float, values: Field) -> Field:
    """0 up to `low`, 1 from `high` on, smooth between."""
    t = np.clip((values - low) / (high - low), 0, 1)
    return (t * t * (3 - 2 * t)).astype(np.float32)


def _eyeballs(faces: NDArray[np.int32], vertices: Vectors, landmarks: Vectors) -> NDArray[np.int64]:
    """Eye (0 or 1) of each vertex, -1 on skin: the loose parts of the mesh behind the eyelids."""
    part = _parts(faces, len(vertices))
    sizes = np.bincount(part)
    eye_of = np.full(len(vertices), -1)
    for name in np.unique(part):
        centre = vertices[part == name].mean(axis=0)
        gaps = [np.linalg.norm(landmarks[eye].mean(axis=0) - centre) for eye in EYE_CENTRES]
        if name != sizes.argmax() and min(gaps) < 0.03:
            eye_of[part == name] = int(np.argmin(gaps))
    return eye_of


def _parts(faces: NDArray[np.int32], vertex_count: int) -> NDArray[np.int64]:
    """For each vertex the lowest vertex that triangles connect it with: [V]."""
    part = np.arange(vertex_count)
    while True:
        joined = part.copy()
        for corner in faces.T:
            np.minimum.at(joined, corner, part[faces].min(axis=1))
        joined = joined[joined]
        if (joined == part).all():
            return part
        part = joined


def _eye_directions(vertices: Vectors, eye_of: NDArray[np.int64]) -> Vectors:
    directions = np.zeros_like(vertices)
    for eye in (0, 1):
        members = eye_of == eye
        if members.any():
            directions[members] = unit(vertices[members] - vertices[members].mean(axis=0))
    return directions


def _inside(vertices: Vectors, outline: Vectors) -> Field:
    """Signed distance in the frontal plane to a closed outline [n, 3], above 0 inside."""
    contour = np.ascontiguousarray(outline[:, None, :2], np.float32)
    return np.array(
        [cv2.pointPolygonTest(contour, (float(x), float(y)), True) for x, y, _ in vertices],
        np.float32,
    )


def _brow_distance(vertices: Vectors, landmarks: Vectors) -> Field:
    """Distance in the frontal plane to the nearer brow's line, drawn out between its landmarks."""
    along = np.linspace(0, 4, 25)
    points = np.concatenate(
        [
            np.stack([np.interp(along, range(5), landmarks[brow, axis]) for axis in (0, 1)], -1)
            for brow in BROWS
        ]
    )
    gaps = vertices[:, None, :2] - points[None]  # [V, 50, 2]
    return np.linalg.norm(gaps, axis=-1).min(axis=1).astype(np.float32)


def _hair_height(vertices: Vectors, landmarks: Vectors, measure: float) -> Field:
    """Height above the lower edge of the hair: high on the forehead, over the ears, at the nape."""
    origin = landmarks[EYES].mean(axis=0)
    _, y, z = ((vertices - origin) / measure).T
    temple_z = float((landmarks[list(TEMPLES), 2].mean() - origin[2]) / measure)
    # From back to front: nape, behind the ear, along its top, sideburn, temple, forehead.
    edge = np.interp(
        z - temple_z,
        [-1.25, -0.75, -0.6, -0.12, 0.02, 0.2, 0.5],
        [-0.85, -0.45, 0.2, 0.2, 0.0, 0.45, 0.78],
    )
    return ((y - edge) * measure).astype(np.float32)


def _beard(vertices: Vectors, landmarks: Vectors, measure: float) -> Field:
    """Upper lip, chin and jaw up to the ears, less the lips themselves."""
    x, y, z = vertices.T
    mouth, nose = landmarks[list(MOUTH_CORNERS)].mean(axis=0), landmarks[33]
    temple_z = landmarks[list(TEMPLES), 2].mean()
    # The upper edge climbs from under the nose to the ears.
    climb = np.clip((np.abs(x) - 0.3 * measure) / (0.4 * measure), 0, 1)
    upper = nose[1] - 0.05 * measure + climb * 0.45 * measure
    lower = landmarks[CHIN, 1] - 0.2 * measure
    grown = smooth_step(-0.05 * measure, 0.05 * measure, upper - y)
    grown *= smooth_step(-0.15 * measure, 0.1 * measure, y - lower)
    grown *= smooth_step(-0.1 * measure, 0.1 * measure, z - temple_z)
    # Above the mouth only between the corners; cheeks beside the nose stay bare.
    moustache = (y > mouth[1]) & (climb == 0) & (np.abs(x) > 0.33 * measure)
    return np.where(moustache, 0, grown).astype(np.float32)


def _flush(vertices: Vectors, landmarks: Vectors, measure: float) -> Field:
    cheeks = [(landmarks[eye].mean(axis=0) + landmarks[mouth]) / 2 for eye, mouth in
              zip(EYE_CENTRES, MOUTH_CORNERS, strict=True)]  # fmt: skip
    flush = np.zeros(len(vertices))
    for centre, width in ((cheeks[0], 0.25), (cheeks[1], 0.25), (landmarks[NOSE_TIP], 0.16)):
        gap = np.linalg.norm(vertices[:, :2] - centre[:2], axis=1) / (width * measure)
        flush += np.exp(-(gap**2))
    return np.clip(flush, 0, 1).astype(np.float32)
