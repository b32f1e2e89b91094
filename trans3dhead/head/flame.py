"""FLAME's files to a head model of this project: read safely, checked, and never unpickled again.

The files are licensed to whoever downloads them, and none comes with this project. SPEC 3 has their
names and shapes.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.errors import UserError, one_line
from trans3dhead.head.model import HeadModel
from trans3dhead.head.pickles import read_pickle
from trans3dhead.head.surface import FACE_COUNT, VERTEX_COUNT

LICENCE = "FLAME model licence, https://flame.is.tue.mpg.de/modellicense.html"
PARENTS = (-1, 0, 1, 1, 1)
"""Of the joints global, neck, jaw, left eye, right eye: the closed form of skinning rests on it."""
ROOT = 2**32 - 1
"""How an unsigned table writes the parent of the first joint."""
COLOR = 190
"""Grey of every vertex: FLAME's geometry has no colours."""

MODEL = {
    "v_template": (VERTEX_COUNT, 3),
    "shapedirs": (VERTEX_COUNT, 3, 400),
    "posedirs": (VERTEX_COUNT, 3, 36),
    "J_regressor": (5, VERTEX_COUNT),
    "weights": (VERTEX_COUNT, 5),
    "kintree_table": (2, 5),
    "f": (FACE_COUNT, 3),
}
STATIC = {"lmk_face_idx": (51,), "lmk_b_coords": (51, 3)}
DYNAMIC = {"lmk_face_idx": (79, 17), "lmk_b_coords": (79, 17, 3)}


@dataclass(frozen=True, kw_only=True)
class FlameFiles:
    """Where the files are."""

    model: Path
    """generic_model.pkl."""
    static_embedding: Path
    """flame_static_embedding.pkl: 51 landmarks."""
    dynamic_embedding: Path
    """flame_dynamic_embedding.npy: the contour's 17, for 79 angles."""
    head: Path
    """flame_indices/head.npy: 3,457 vertices."""
    face: Path
    """flame_indices/face.npy: 2,094 vertices."""
    head_with_ears: Path
    """head_indices.npy: 3,669 vertices."""

    @classmethod
    def beside(cls, model: Path, assets: Path) -> "FlameFiles":
        """Find the other files by their usual names, anywhere below a folder.

        Raises:
            UserError: files are missing, or there are several of a name; all are listed.
        """
        wanted = {
            "static_embedding": "flame_static_embedding.pkl",
            "dynamic_embedding": "flame_dynamic_embedding.npy",
            "head": "flame_indices/head.npy",
            "face": "flame_indices/face.npy",
            "head_with_ears": "head_indices.npy",
        }
        found, faults = {}, []
        for field, name in wanted.items():
            paths = sorted(assets.rglob(name))
            if len(paths) == 1:
                found[field] = paths[0]
            else:
                faults.append(f"{len(paths) or 'no'} {name}")
        if faults:
            raise UserError(
                f"{assets} holds {', '.join(faults)}; expected one of each, as DAD-3DHeads' "
                "repository has them; give their folder with --assets"
            )
        return cls(model=model, **found)


def convert(files: FlameFiles, name: str = "flame") -> HeadModel:
    """The head model of FLAME's files.

    Args:
        files: where they are.
        name: what contracts and checkpoints call it.

    Raises:
        UserError: a file is missing, broken, not of this model, or asks to run something; what is
            wrong with the arrays of a file is listed at once.
    """
    model = _arrays(files.model, MODEL)
    static = _arrays(files.static_embedding, STATIC)
    dynamic = _arrays(files.dynamic_embedding, DYNAMIC)
    parents = tuple(-1 if p in (-1, ROOT) else int(p) for p in model["kintree_table"][0])
    if parents != PARENTS:
        raise UserError(
            f"{files.model}: the joints' parents are {list(parents)}; expected {list(PARENTS)} "
            "(global, neck, jaw, eyes); it is another model"
        )
    arrays = {
        "template": model["v_template"],
        "shape_directions": model["shapedirs"],
        "pose_directions": model["posedirs"],
        "joint_regressor": model["J_regressor"],
        "skinning_weights": model["weights"],
        "faces": model["f"],
        "static_landmark_faces": static["lmk_face_idx"],
        "static_landmark_barycentric": static["lmk_b_coords"],
        "dynamic_landmark_faces": dynamic["lmk_face_idx"],
        "dynamic_landmark_barycentric": dynamic["lmk_b_coords"],
        "colors": np.full((VERTEX_COUNT, 3), COLOR, np.uint8),
        "subset_head": _indices(files.head),
        "subset_face": _indices(files.face),
        "subset_head_with_ears": _indices(files.head_with_ears),
    }
    return HeadModel.from_arrays(
        arrays, name=name, licence=LICENCE, redistributable=False, origin=str(files.model)
    )


def _arrays(path: Path, wanted: dict[str, tuple[int, ...]]) -> dict[str, NDArray[Any]]:
    """The wanted arrays of a pickled dict; other entries are ignored."""
    content = read_pickle(path)
    faults, found = [], {}
    for name, shape in wanted.items():
        array = np.asarray(content.get(name))
        if name not in content:
            faults.append(f"{name} is missing")
        elif array.dtype.kind not in "iuf" or array.shape != shape:
            faults.append(f"{name} is {array.dtype} {list(array.shape)}, expected {list(shape)}")
        found[name] = array
    if faults:
        raise UserError(f"{path}: {'; '.join(faults)}; is it another model or version?")
    return found


def _indices(path: Path) -> NDArray[Any]:
    """A plain array of vertex numbers; one that is pickled is refused by numpy."""
    try:
        array = np.load(path, allow_pickle=False)
    except (OSError, EOFError, ValueError) as error:
        raise UserError(
            f"{path} cannot be read ({one_line(error)}); expected vertex numbers as .npy; copy it "
            "anew"
        ) from None
    return np.asarray(array)
