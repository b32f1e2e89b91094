"""What drawing and metrics need of a head model: triangles, landmarks, subsets, colours.

Letters: B batch, V = 5023 vertices, F = 9976 triangles, L landmarks.
"""

import hashlib
import json
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
from numpy.lib.npyio import NpzFile

from engines.errors import UserError
from engines.files import write_whole

VERTEX_COUNT, FACE_COUNT, LANDMARK_COUNT = 5023, 9976, 68
LANDMARKS_7 = (36, 39, 42, 45, 33, 48, 54)
"""Eye corners, bottom of the nose, mouth corners: what the Chamfer metric aligns by (SPEC 6)."""
SUBSETS = {"head": 3457, "face": 2094, "head_with_ears": 3669}
"""Sizes of flame_indices/head.npy, flame_indices/face.npy and DAD's head_indices.npy (SPEC 3)."""

ArraySpecs = Mapping[str, tuple[tuple[int, ...], type]]
METADATA = "metadata"


@dataclass(frozen=True, kw_only=True, eq=False)
class HeadSurface:
    """A head model without its basis.

    Arrays (`ARRAYS` holds shapes and dtypes): `faces` vertex indices, wound outward;
    `static_landmark_*` the 51 inner landmarks and `dynamic_landmark_*` the 17 contour ones for
    each of 79 yaw angles (row 0 frontal) as triangle and barycentric weights; `subset_*` vertex
    indices; `colors` RGB.
    """

    ARRAYS: ClassVar[ArraySpecs] = {
        **{f"subset_{name}": ((count,), np.int32) for name, count in SUBSETS.items()},
        "faces": ((FACE_COUNT, 3), np.int32),
        "static_landmark_faces": ((51,), np.int32),
        "static_landmark_barycentric": ((51, 3), np.float32),
        "dynamic_landmark_faces": ((79, 17), np.int32),
        "dynamic_landmark_barycentric": ((79, 17, 3), np.float32),
        "colors": ((VERTEX_COUNT, 3), np.uint8),
    }

    name: str
    licence: str
    redistributable: bool
    faces: np.ndarray
    static_landmark_faces: np.ndarray
    static_landmark_barycentric: np.ndarray
    dynamic_landmark_faces: np.ndarray
    dynamic_landmark_barycentric: np.ndarray
    colors: np.ndarray
    subset_head: np.ndarray
    subset_face: np.ndarray
    subset_head_with_ears: np.ndarray

    @property
    def subsets(self) -> dict[str, np.ndarray]:
        """Vertex indices by the names of SPEC 3: "head", "face", "head_with_ears"."""
        return {name: getattr(self, f"subset_{name}") for name in SUBSETS}

    @cached_property
    def landmark_triangles(self) -> np.ndarray:
        """Vertices of each landmark's triangle, int32 [68, 3]: contour at yaw 0, then static."""
        chosen = np.concatenate([self.dynamic_landmark_faces[0], self.static_landmark_faces])
        return self.faces[chosen]

    @cached_property
    def landmark_barycentric(self) -> np.ndarray:
        """Weights of those vertices, float32 [68, 3]."""
        return np.concatenate(
            [self.dynamic_landmark_barycentric[0], self.static_landmark_barycentric]
        )

    def landmarks68(self, vertices: np.ndarray) -> np.ndarray:
        """The 68 landmarks [B, 68, 3] of vertices [B, V, 3], in their frame and dtype."""
        corners = vertices[:, self.landmark_triangles]  # [B, 68, 3 corners, 3]
        weights = self.landmark_barycentric.astype(vertices.dtype)
        # points[b, l, c] = sum_t corners[b, l, t, c] weights[l, t]
        return np.einsum("bltc,lt->blc", corners, weights)

    def landmarks7(self, vertices: np.ndarray) -> np.ndarray:
        """The landmarks of `LANDMARKS_7` [B, 7, 3] of vertices [B, V, 3]."""
        return self.landmarks68(vertices)[:, LANDMARKS_7]

    def arrays(self) -> dict[str, np.ndarray]:
        """Every array by its name."""
        return {name: getattr(self, name) for name in self.ARRAYS}

    def drawing_arrays(self) -> dict[str, np.ndarray]:
        """The arrays without the basis, by name."""
        return {name: getattr(self, name) for name in HeadSurface.ARRAYS}

    @cached_property
    def sha256(self) -> str:
        """Hexadecimal hash over names, shapes, dtypes and bytes of all arrays."""
        digest = hashlib.sha256()
        for name, array in sorted(self.arrays().items()):
            little = array.astype(array.dtype.newbyteorder("<"), copy=False)
            digest.update(f"{name} {little.shape} {little.dtype.str}\n".encode())
            digest.update(np.ascontiguousarray(little).data)
        return digest.hexdigest()

    def save(self, path: Path) -> None:
        """Write all arrays, the licence and `sha256` to an .npz file (no pickle inside)."""
        kept = ("name", "licence", "redistributable", "sha256")
        metadata = {k: getattr(self, k) for k in kept}
        buffer = BytesIO()
        arrays: dict[str, np.ndarray] = {METADATA: np.array(json.dumps(metadata)), **self.arrays()}
        np.savez(buffer, allow_pickle=False, **arrays)
        write_whole(path, buffer.getvalue())

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote and check it; a UserError names what is wrong."""
        arrays = _read_npz(path)
        try:
            metadata = json.loads(str(arrays.pop(METADATA)))
            identity = {k: metadata[k] for k in ("name", "licence", "redistributable")}
            sha256 = metadata["sha256"]
        except (KeyError, TypeError, ValueError):
            raise UserError(
                f"{path} has no readable {METADATA!r}; expected name, licence, redistributable and "
                "sha256; write the file again with HeadModel.save"
            ) from None
        head = cls.from_arrays(arrays, **identity, origin=str(path))
        if head.sha256 != sha256:
            raise UserError(
                f"{path}: the arrays have sha256 {head.sha256[:12]}; expected {sha256[:12]}, as it "
                "was written; the file was altered, convert it again"
            )
        return head

    @classmethod
    def from_arrays(
        cls,
        arrays: Mapping[str, np.ndarray],
        *,
        name: str,
        licence: str,
        redistributable: bool,
        origin: str,
    ) -> Self:
        """Make a head of arrays, cast to their dtypes and checked.

        Args:
            arrays: at least those of `ARRAYS`; others are ignored.
            origin: where they came from, for the message of a UserError.
        """
        checked = {key: _checked(arrays, key, *cls.ARRAYS[key], origin) for key in cls.ARRAYS}
        head = cls(name=name, licence=licence, redistributable=redistributable, **checked)
        head.check(origin)
        return head

    def check(self, origin: str) -> None:
        """UserError where an index points outside the mesh."""
        bounds = {"faces": VERTEX_COUNT} | {f"subset_{name}": VERTEX_COUNT for name in SUBSETS}
        bounds |= {"static_landmark_faces": FACE_COUNT, "dynamic_landmark_faces": FACE_COUNT}
        for key, bound in bounds.items():
            array = getattr(self, key)
            if array.min() < 0 or array.max() >= bound:
                raise UserError(
                    f"{origin}: {key} holds indices from {array.min()} to {array.max()}; expected "
                    f"0 to {bound - 1}; the file belongs to another mesh, convert it again"
                )
        for key in ("static_landmark_barycentric", "dynamic_landmark_barycentric"):
            check_rows_sum_to_one(getattr(self, key), key, origin)


def check_rows_sum_to_one(array: np.ndarray, key: str, origin: str) -> None:
    """UserError where the last axis of an array does not sum to 1 within 1e-4."""
    sums = array.sum(axis=-1, dtype=np.float64)
    worst = float(sums.flat[np.abs(sums - 1).argmax()])
    if abs(worst - 1) > 1e-4:
        raise UserError(
            f"{origin}: a row of {key} sums to {worst:.6g}; expected 1; "
            "the file is damaged or of another model, convert it again"
        )


def _checked(
    arrays: Mapping[str, np.ndarray], key: str, shape: tuple[int, ...], dtype: type, origin: str
) -> np.ndarray:
    if key not in arrays:
        raise UserError(
            f"{origin} lacks the array {key!r}; expected {key} {list(shape)}; convert it again"
        )
    array = arrays[key]
    if array.shape != shape:
        raise UserError(
            f"{origin}: {key} has shape {list(array.shape)}; expected {list(shape)}; "
            "the file belongs to another mesh, convert it again"
        )
    if not np.isfinite(array).all():
        raise UserError(
            f"{origin}: {key} holds values that are not finite; expected numbers; convert it again"
        )
    return np.ascontiguousarray(array, dtype)


def _read_npz(path: Path) -> dict[str, np.ndarray]:
    if not path.is_file():
        raise UserError(f"{path} is not a file; expected a head model (.npz); check the path")
    try:
        with path.open("rb") as file, NpzFile(file, allow_pickle=False) as arrays:
            return {key: arrays[key] for key in arrays.files}
    except (OSError, EOFError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise UserError(
            f"{path} cannot be read as .npz ({error}); expected a whole head model without "
            "pickled objects; copy or convert it again"
        ) from None
