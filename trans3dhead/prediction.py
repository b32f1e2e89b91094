"""From a photo to its heads, through a built engine. No torch is needed.

with Predictor.open("bundle/engines/onnxruntime-fp32") as predictor:
    prediction = predictor(image)          # image: [H, W, 3] uint8 RGB, never BGR
prediction.save_obj("head.obj")
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from engines.batching import infer_all
from engines.bundle import Bundle
from engines.errors import UserError
from engines.runtime import Engine, bundle_of, open_engine
from trans3dhead.data.crop import BBox, CropTransform, crop_box, crop_image
from trans3dhead.detection import Detector, HaarDetector, open_detector
from trans3dhead.head.layout import to_full
from trans3dhead.head.model import HeadModel, posed_vertices, project
from trans3dhead.head.source import head_by_identity
from trans3dhead.head.surface import HeadSurface
from trans3dhead.outputs.index_files import read_subsets
from trans3dhead.outputs.prediction import Prediction


@dataclass(frozen=True)
class HeadCrop:
    """What the network sees of one head."""

    bbox: BBox
    """(x, y, w, h) around the head, pixels of the photo."""
    pixels: NDArray[np.uint8]
    """[S, S, 3] RGB."""
    transform: CropTransform
    """Where it lies in the photo."""


class Predictor:
    """An opened engine with the head model its answers are about.

    `predict` does all of it; `crop`, `infer` and `assemble` are its three steps, for a program that
    lets them overlap. The steps other than `infer` may run in any thread.
    """

    def __init__(
        self,
        engine: Engine,
        head: HeadSurface,
        subsets: Mapping[str, np.ndarray] | None = None,
        detect: Detector | None = None,
    ) -> None:
        self.engine = engine
        self.head = head
        self.subsets = subsets or {}
        self.detect = detect or HaarDetector()
        """Finds heads where no box is given."""

    @classmethod
    def open(
        cls,
        folder: Path | str,
        *,
        head: Path | None = None,
        threads: int | None = None,
        subsets: Mapping[str, Path] | None = None,
        detector: Path | None = None,
    ) -> Self:
        """Open an engine folder, BUNDLE/engines/NAME.

        Args:
            head: folder of the head model, where the bundle neither holds it nor uses the
                built-in one.
            threads: of the CPU; the runtime's own choice where None.
            subsets: vertex subsets to draw, a name to its index file or keypoint folder
                (`outputs.index_files`), beside those of the head model.
            detector: YuNet's ONNX file; OpenCV's Haar cascades where None.

        Raises:
            UserError: the engine or its bundle is missing, altered or built elsewhere; the
                head model is another one; a subset or the detector cannot be read.
        """
        folder = Path(folder)
        vertices, detect = read_subsets(subsets or {}), open_detector(detector)
        engine = open_engine(folder, threads=threads)
        return cls(engine, head_of(Bundle.open(bundle_of(folder)), head), vertices, detect)

    @property
    def all_subsets(self) -> dict[str, np.ndarray]:
        """Vertex indices by name: those of the head model and the user's."""
        return {**self.head.subsets, **self.subsets}

    def __call__(self, image: NDArray[np.uint8], bbox: BBox | None = None) -> Prediction:
        """The head inside a box, or the one the detector is surest of; see `predict`.

        Raises:
            UserError: as `predict`, and where no box is given and the detector finds no head.
        """
        heads = self.predict(image, None if bbox is None else [bbox])
        if not heads:
            raise UserError(
                f"no head found in the image of {image.shape[1]} x {image.shape[0]} pixels by the "
                f"detector ({self.detect.name}); expected one; give its box (x, y, w, h)"
            )
        return heads[0]

    def predict(
        self, image: NDArray[np.uint8], bboxes: Sequence[BBox] | None = None
    ) -> list[Prediction]:
        """The heads inside boxes, in their order, or those that the detector finds.

        Args:
            image: [H, W, 3] uint8 RGB, upright.
            bboxes: (x, y, w, h) around whole heads, pixels. The 3D branch suffers from tight
                boxes: the crop adds 10 % on every side.

        Raises:
            UserError: the image is of another kind, or a box does not meet it.
        """
        _check_image(image)
        if bboxes is None:
            bboxes = self.detect(image)
        if not len(bboxes):
            return []
        crops = [self.crop(image, bbox) for bbox in bboxes]
        return self.assemble(crops, self.infer(crops))

    def crop(self, image: NDArray[np.uint8], bbox: BBox) -> HeadCrop:
        """Step 1: cut a head out of its photo [H, W, 3] uint8 RGB."""
        return cut_head(image, bbox, self.engine.contract.image.size)

    def infer(self, crops: Sequence[HeadCrop]) -> dict[str, NDArray[Any]]:
        """Step 2: the engine's answers to crops, of one photo or of many, by output name."""
        return infer_all(self.engine, np.stack([crop.pixels for crop in crops]))

    def assemble(
        self, crops: Sequence[HeadCrop], answers: Mapping[str, NDArray[Any]]
    ) -> list[Prediction]:
        """Step 3: a prediction of each crop, in the pixels of its photo."""
        size = self.engine.contract.image.size
        return assemble_heads(crops, answers, self.head, size=size, subsets=self.subsets)

    def close(self) -> None:
        """Release the engine."""
        self.engine.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def cut_head(image: NDArray[np.uint8], bbox: BBox, size: int) -> HeadCrop:
    """What a network that takes crops of side `size` sees of a head.

    Raises:
        UserError: the image is not uint8 [H, W, 3] RGB, or the box does not meet it.
    """
    _check_image(image)
    pixels, transform = crop_image(image, crop_box(bbox, image.shape[:2]), size)
    return HeadCrop(bbox, pixels, transform)


def assemble_heads(
    crops: Sequence[HeadCrop],
    answers: Mapping[str, NDArray[Any]],
    head: HeadSurface,
    *,
    size: int,
    subsets: Mapping[str, np.ndarray] | None = None,
) -> list[Prediction]:
    """A prediction of each crop, in the pixels of its photo.

    Args:
        answers: of B crops of side `size`, by output name. Vertices that are not among them are
            made by the head model.
        subsets: vertex indices by name, beside those of the head model.
    """
    vertices = posed_vertices(answers, head)
    projected = answers.get("projected")
    if projected is None:
        projected = project(vertices, to_full(answers["params"]), size)
    landmarks = answers.get("landmarks")
    return [
        Prediction(
            bbox=crop.bbox,
            crop=crop.transform,
            landmarks=None if landmarks is None else crop.transform.to_full(landmarks[i]),
            params=to_full(answers["params"][i]),
            rotation=answers["rotation"][i],
            vertices=vertices[i],
            projected=crop.transform.to_full(projected[i]),
            surface=head,
            subsets=subsets or {},
        )
        for i, crop in enumerate(crops)
    ]


def _check_image(image: NDArray[np.uint8]) -> None:
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise UserError(
            f"the image came as {image.dtype} {list(image.shape)}; "
            "expected uint8 [H, W, 3] RGB; read it with trans3dhead.data.images.read_rgb"
        )


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
