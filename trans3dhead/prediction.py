"""From a photo and a box to a head, through a built engine. No torch is needed.

predictor = Predictor.open(Path("bundle/engines/onnxruntime-fp32"))
prediction = predictor(image, bbox)          # image: [H, W, 3] uint8 RGB, never BGR
prediction.save_obj(Path("head.obj"))
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np

from engines.batching import infer_all
from engines.bundle import Bundle
from engines.errors import UserError
from engines.runtime import Engine, bundle_of, open_engine
from trans3dhead.data.crop import BBox, CropTransform, crop_box, crop_image
from trans3dhead.head.layout import to_full
from trans3dhead.head.model import HeadModel, project
from trans3dhead.head.rotation import euler_degrees
from trans3dhead.head.source import head_by_identity
from trans3dhead.head.surface import HeadSurface


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """One head of one photo. Pixels are those of the full image, x right and y down."""

    bbox: BBox
    """(x, y, w, h) that was asked for."""
    crop: CropTransform
    """Where the network's crop lies in the image."""
    landmarks: np.ndarray | None
    """[68, 2] float64 pixels, from the landmark branch; None for single-task networks."""
    params: np.ndarray
    """[413] float32: shape, expression, jaw, rotation, translation, scale (SPEC 3)."""
    rotation: np.ndarray
    """[3, 3] float32, model space to image axes."""
    vertices: np.ndarray
    """[5023, 3] float32 posed metres in image axes."""
    projected: np.ndarray
    """[5023, 2] float64 pixels of the vertices."""
    surface: HeadSurface
    """Triangles, landmark definitions and colours of the head model."""

    @cached_property
    def pose(self) -> dict[str, float]:
        """Pitch (up), yaw (to the image's left) and roll (clockwise), in degrees."""
        angles = euler_degrees(self.rotation.astype(np.float64))
        return dict(zip(("pitch", "yaw", "roll"), angles.tolist(), strict=True))

    @cached_property
    def mesh_landmarks(self) -> np.ndarray:
        """The 68 landmarks of the projected mesh, [68, 2] float64 pixels: the 3D branch's own."""
        return self.surface.landmarks68(self.projected[None])[0]

    def to_dict(self) -> dict[str, Any]:
        """JSON values: all but the mesh."""
        landmarks = None if self.landmarks is None else self.landmarks.tolist()
        return {
            "bbox_xywh": list(self.bbox),
            "landmarks_xy_pixels": landmarks,
            "mesh_landmarks_xy_pixels": self.mesh_landmarks.tolist(),
            "pose_degrees": self.pose,
            "rotation": self.rotation.tolist(),
            "params": self.params.tolist(),
        }

    def save_obj(self, path: Path) -> None:
        """Write the coloured mesh; see `meshfile.save_mesh` for its axes."""
        from trans3dhead.meshfile import save_mesh

        save_mesh(path, self.vertices, self.surface.faces, self.surface.colors)

    def draw(self, image: np.ndarray) -> np.ndarray:
        """The image [H, W, 3] uint8 RGB with mesh, pose and landmarks over it, as a new array."""
        from trans3dhead.drawing import draw_landmarks, draw_mesh, draw_pose

        surface = self.surface
        drawn = draw_mesh(image, self.projected, self.vertices, surface.faces, surface.colors)
        nose = self.mesh_landmarks[30]
        drawn = draw_pose(drawn, self.rotation, nose, length=0.4 * min(self.bbox[2:]))
        points = self.mesh_landmarks if self.landmarks is None else self.landmarks
        return draw_landmarks(drawn, points)


class Predictor:
    """An opened engine with the head model its answers are about."""

    def __init__(self, engine: Engine, head: HeadSurface) -> None:
        self.engine = engine
        self.head = head

    @classmethod
    def open(cls, folder: Path, *, head: Path | None = None, threads: int | None = None) -> Self:
        """Open an engine folder, BUNDLE/engines/NAME.

        Args:
            head: folder of the head model, where the bundle neither holds it nor uses the
                built-in one.
            threads: of the CPU; the runtime's own choice where None.

        Raises:
            UserError: the engine or its bundle is missing, altered or built elsewhere; the
                head model is another one.
        """
        engine = open_engine(folder, threads=threads)
        return cls(engine, head_of(Bundle.open(bundle_of(folder)), head))

    def __call__(self, image: np.ndarray, bbox: BBox) -> Prediction:
        """The head inside a box; see `predict`."""
        return self.predict(image, [bbox])[0]

    def predict(self, image: np.ndarray, bboxes: Sequence[BBox]) -> list[Prediction]:
        """The heads inside boxes, in their order.

        Args:
            image: [H, W, 3] uint8 RGB, upright.
            bboxes: (x, y, w, h) around whole heads, pixels. The 3D branch suffers from tight
                boxes: the crop adds 10 % on every side.
        """
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
            raise UserError(
                f"the image came as {image.dtype} {list(image.shape)}; "
                "expected uint8 [H, W, 3] RGB; read it with trans3dhead.data.images.read_rgb"
            )
        size = self.engine.contract.image.size
        pairs = [crop_image(image, crop_box(box, image.shape[:2]), size) for box in bboxes]
        answers = infer_all(self.engine, np.stack([crop for crop, _ in pairs]))
        vertices, projected = self._mesh(answers, size)
        landmarks = answers.get("landmarks")
        return [
            Prediction(
                bbox=bbox,
                crop=crop,
                landmarks=None if landmarks is None else crop.to_full(landmarks[i]),
                params=to_full(answers["params"][i]),
                rotation=answers["rotation"][i],
                vertices=vertices[i],
                projected=crop.to_full(projected[i]),
                surface=self.head,
            )
            for i, (bbox, (_, crop)) in enumerate(zip(bboxes, pairs, strict=True))
        ]

    def close(self) -> None:
        """Release the engine."""
        self.engine.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _mesh(self, answers: dict[str, np.ndarray], size: int) -> tuple[np.ndarray, np.ndarray]:
        """Posed vertices [B, V, 3] and crop pixels [B, V, 2]: the graph's own, or the head's."""
        if "vertices" in answers:
            return answers["vertices"], answers["projected"]
        assert isinstance(self.head, HeadModel)  # head_of sees to it
        params = to_full(answers["params"])
        vertices = self.head.posed_vertices(params)
        return vertices, project(vertices, params, size)


def head_of(bundle: Bundle, folder: Path | None) -> HeadSurface:
    """The head model of a bundle, with its basis wherever it can be had.

    It comes from `folder` if one is given, is generated if it is the built-in one, and is read
    from the bundle otherwise. A mesh graph answers with vertices, so there the surface alone is
    enough.

    Raises:
        UserError: the head model is another than the bundle's, or its basis is needed and
            nowhere to be had.
    """
    identity, arrays = bundle.contract.head, bundle.head_arrays()
    if folder is not None or identity.name == "builtin":
        return head_by_identity(identity.name, identity.sha256, folder)
    kind = HeadModel if identity.included else HeadSurface
    if kind is HeadSurface and bundle.contract.output("vertices") is None:
        raise UserError(
            f"the bundle {bundle.folder} answers with parameters of the head model "
            f"{identity.name!r} and does not hold its basis; expected `--head FOLDER` with it, or "
            "a bundle exported with `--variant mesh` or `--include-head`"
        )
    return kind.from_arrays(
        arrays,
        name=identity.name,
        licence=identity.licence,
        redistributable=identity.redistributable,
        origin=str(bundle.folder),
    )
