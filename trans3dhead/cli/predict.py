"""`trans3dhead predict`: photos, a video or a camera in; landmarks, pose, meshes, drawings out."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from trans3dhead.cli.common import CommonOptions, Outcome, one_blas_thread

if TYPE_CHECKING:
    from trans3dhead.data.crop import BBox
    from trans3dhead.detection import Image

PHOTO_OUTPUTS = ("head_mesh", "pose", "landmarks68", "params", "obj")
VIDEO_OUTPUTS = ("head_mesh", "pose", "landmarks68")


@dataclass(frozen=True, kw_only=True)
class Options(CommonOptions):
    """Read the heads in photos, a video or a camera's picture with a built engine. No torch.

    Heads are found by --bbox, --boxes or a detector. Photos are turned as their EXIF says; the
    network is given RGB. An item that fails is told in one line, the rest goes on, and the exit
    code is 1. What a video shows is written as a video, at its own resolution.
    """

    input: tyro.conf.Positional[str]
    """An image, a folder (with its subfolders), a quoted pattern such as 'photos/**/*.jpg', a video
    file, or the index of a camera (0, 1 ...; Ctrl-C ends it)."""
    engine: Path
    """Engine folder, BUNDLE/engines/NAME, made by `trans3dhead build`."""
    outputs: tuple[str, ...] | None = None
    """Kinds of output, of: landmarks68, dense (or dense:SUBSET), face_mesh, head_mesh, pose,
    params, obj, ply, glb, depth, normals. By default head_mesh, pose and landmarks68, drawn, and
    for photos params and obj. In a video, params and meshes are files of every frame."""
    out: Path = Path("prediction")
    """Folder for the files, which are named after the photo or video."""
    bbox: tuple[float, float, float, float] | None = None
    """x y w h around the whole head, in pixels of the upright photo; the same in every photo. In a
    video, in its first frame; the detector is asked when that head is lost."""
    boxes: Path | None = None
    """Boxes of many photos: JSON {name: [x, y, w, h] or a list of such}, an index of DAD-3DHeads,
    or CSV rows name,x,y,w,h. A photo is found by its path as told, its name or its stem."""
    detector: Path | None = None
    """YuNet's face_detection_yunet_*.onnx; OpenCV's bundled Haar cascades by default."""
    disagreement: Annotated[float, tyro.conf.arg(metavar="PERCENT")] = 10.0
    """Tell, and in a video look again, where the landmarks and the mesh's landmarks are further
    apart in the mean, in per cent of sqrt(w * h) of the head's box: tight crops, no head."""
    jsonl: Path | None = None
    """Also write a line of JSON for every photo or frame, as they are done."""
    smooth: bool = False
    """Steady a video's heads with a One-Euro filter; slow heads then lag by up to 0.16 s."""
    video: Path | None = None
    """The drawn video, .mp4 (mp4v) or .avi (MJPG); OUT/NAME-drawn.mp4 by default. Browsers play
    neither."""
    frames: int | None = None
    """Stop after so many frames of a video or camera."""
    subsets: tuple[str, ...] = ()
    """NAME=PATH of vertex subsets to draw as dense:NAME: a .npy file of indices, or a keypoint
    folder of DAD-3DHeads."""
    head: Path | None = None
    """Folder of the head model, where the bundle does not bring it."""
    threads: int | None = None
    """CPU threads of the engine; the runtime's own choice by default."""


def run(options: Options) -> Outcome:
    one_blas_thread()

    import cv2

    from engines.errors import UserError
    from trans3dhead.cli.predict_photos import predict_photos
    from trans3dhead.cli.predict_video import predict_video
    from trans3dhead.outputs.kinds import check_kinds, chosen_kinds
    from trans3dhead.prediction import Predictor
    from trans3dhead.reading.sources import Video, find_source

    # A broken file is told in a line of ours; the decoders' own lines would drown it.
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    source = find_source(options.input, options.out)
    kinds = options.outputs
    if kinds is None:
        kinds = VIDEO_OUTPUTS if isinstance(source, Video) else PHOTO_OUTPUTS
    chosen_kinds(kinds)
    given = given_boxes(options)
    if given is not None and options.detector is not None and not isinstance(source, Video):
        raise UserError(
            "--detector came beside boxes; expected one way to find heads; leave one of them out"
        )
    with Predictor.open(
        options.engine,
        head=options.head,
        threads=options.threads,
        subsets=named_paths(options.subsets),
        detector=options.detector,
    ) as predictor:
        check_kinds(kinds, predictor.all_subsets)
        if isinstance(source, Video):
            first = [] if given is None else given(source.name)
            return predict_video(options, source, kinds, predictor=predictor, first=first)

        def find(name: str, image: "Image") -> "list[BBox]":
            return predictor.detect(image) if given is None else given(name)

        return predict_photos(options, source, kinds, predictor, find)


def named_paths(words: Sequence[str]) -> dict[str, Path]:
    """NAME=PATH, word by word."""
    from engines.errors import UserError

    for word in words:
        if not all(word.partition("=")):
            raise UserError(f"--subsets came with {word!r}; expected NAME=PATH; correct it")
    return {name: Path(path) for name, _, path in (word.partition("=") for word in words)}


def given_boxes(options: Options) -> "Callable[[str], list[BBox]] | None":
    """Name of a photo or video to the boxes that were given; None where none were.

    Raises:
        UserError: they were given twice, or the file is broken.
    """
    from engines.errors import UserError
    from trans3dhead.reading.boxes import boxes_of, read_boxes

    if options.bbox is not None and options.boxes is not None:
        raise UserError("--bbox and --boxes came; expected one of them; leave the other out")
    if options.bbox is not None:
        bbox = options.bbox
        return lambda name: [bbox]
    if options.boxes is not None:
        path, boxes = options.boxes, read_boxes(options.boxes)
        return lambda name: boxes_of(boxes, name, path)
    return None
