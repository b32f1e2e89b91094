"""Answers side by side: the engine's and the reference's, for the same images.

n images, S side of the crop, P parameters, V vertices.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.bundle import Bundle, Reference
from engines.errors import ContractError, UserError
from trans3dhead.data.crop import CropTransform
from trans3dhead.head.model import HeadModel, posed_vertices
from trans3dhead.head.surface import HeadSurface
from trans3dhead.metrics import GroundTruth, Predicted
from trans3dhead.prediction import head_of

Array = NDArray[Any]
Outputs = dict[str, Array]
Progress = Callable[[str, int, int], None]
"""Called with the stage, how much of it is done, and how much there is."""

_HEADS_AT_ONCE = 32


def check_same_outputs(answers: Outputs, expected: Outputs, source: str) -> None:
    """A ContractError where the reference lacks an output or has it in another shape."""
    for name, value in answers.items():
        if name not in expected or expected[name].shape != value.shape:
            shape = list(expected[name].shape) if name in expected else "nothing"
            raise ContractError(
                f"{source} gives {shape} for {name}; the engine gave {list(value.shape)}; "
                "expected one network; export its bundle anew"
            )


@dataclass(frozen=True, kw_only=True)
class Mesh:
    """Where vertices come from when the graph gives none."""

    surface: HeadSurface
    """Landmarks, subsets and triangles."""
    model: HeadModel | None
    """With the basis; None where it could not be had."""
    reason: str = ""
    """Why not."""

    @classmethod
    def of(cls, bundle: Bundle, folder: Path | None) -> "Mesh":
        """The head model of a bundle: from `folder`, generated anew, or the bundle's own.

        Raises:
            UserError: the model in `folder` is not the bundle's.
        """
        identity = bundle.contract.head
        try:
            head = head_of(bundle, folder)
        except UserError as error:
            if folder is not None:
                raise
            surface = HeadSurface.from_arrays(
                bundle.head_arrays(),
                name=identity.name,
                licence=identity.licence,
                redistributable=identity.redistributable,
                origin=str(bundle.folder),
            )
            return cls(surface=surface, model=None, reason=str(error))
        model = head if isinstance(head, HeadModel) else None
        return cls(surface=head, model=model)

    def vertices(self, params: Array, progress: Progress, stage: str) -> Array | None:
        """Posed vertices [n, V, 3] of params [n, P]; None without a basis."""
        if self.model is None:
            return None
        parts = []
        for start in range(0, len(params), _HEADS_AT_ONCE):
            chunk = params[start : start + _HEADS_AT_ONCE]
            parts.append(posed_vertices({"params": chunk}, self.model))
            progress(stage, start + len(chunk), len(params))
        return np.concatenate(parts)


def predicted(outputs: Mapping[str, Array], crops: Array) -> Predicted:
    """Outputs as the metrics take them: landmarks [n, 68, 2] in pixels of the full image.

    Args:
        crops: [n, 6] (`CropTransform.as_array`).
    """
    landmarks = outputs.get("landmarks")
    if landmarks is not None:
        transforms = [CropTransform.from_array(crop) for crop in crops]
        landmarks = np.stack(
            [crop.to_full(points) for crop, points in zip(transforms, landmarks, strict=True)]
        )
    return Predicted(
        landmarks=landmarks, vertices=outputs.get("vertices"), rotation=outputs.get("rotation")
    )


def ground_truth(reference: Reference) -> GroundTruth | None:
    """The annotations, where the reference has them all."""
    landmarks, vertices = reference.truth_landmarks, reference.truth_vertices
    model_view = reference.truth_model_view
    if landmarks is None or vertices is None or model_view is None:
        return None
    return GroundTruth(
        landmarks=landmarks,
        bbox=reference.bboxes,
        model_view=model_view,
        vertices=vertices,
        item_ids=tuple(map(str, reference.item_ids)),
    )


def reference_as_truth(answers: Predicted, bboxes: Array) -> GroundTruth:
    """The reference's answers in the place of annotations: what the engine differs from it by.

    Needs landmarks and vertices. The camera's frame is image axes with y and z turned round; so
    with MV = diag(1, -1, -1) R and v = R^T posed the true rotation is R, and MV v is the mesh.
    """
    assert answers.rotation is not None
    model_view = np.zeros((len(answers.rotation), 4, 4))
    model_view[:, :3, :3] = np.diag([1.0, -1.0, -1.0]) @ answers.rotation.astype(np.float64)
    model_view[:, 3, 3] = 1
    vertices, landmarks = answers.vertices, answers.landmarks
    count = len(bboxes)
    return GroundTruth(
        landmarks=np.zeros((count, 0, 2)) if landmarks is None else landmarks,
        bbox=bboxes,
        model_view=model_view,
        # v = R^T posed, as rows: posed @ R
        vertices=np.zeros((count, 0, 3)) if vertices is None else vertices @ answers.rotation,
    )
