"""`trans3dhead predict`: a photo and a box in; landmarks, pose, mesh and a drawing out."""

from dataclasses import dataclass
from pathlib import Path

import tyro

from trans3dhead.cli.common import CommonOptions, Outcome


@dataclass(frozen=True, kw_only=True)
class Options(CommonOptions):
    """Read the head in a photo with a built engine; needs no torch.

    Writes OUT/PHOTO.json (landmarks, pose, 413 parameters), OUT/PHOTO.obj (the mesh) and
    OUT/PHOTO.png (all drawn on the photo). The photo is turned as its EXIF says; grey becomes
    three channels, transparency is dropped. The network is given RGB.
    """

    photo: tyro.conf.Positional[Path]
    """Image file: PNG, JPEG or the like."""
    engine: Path
    """Engine folder, BUNDLE/engines/NAME, made by `trans3dhead build`."""
    bbox: tuple[float, float, float, float]
    """x y w h around the whole head, in pixels of the upright photo."""
    out: Path = Path("prediction")
    """Folder for the three files."""
    head: Path | None = None
    """Folder of the head model, where the bundle does not bring it."""
    threads: int | None = None
    """CPU threads; the runtime's own choice by default."""


def run(options: Options) -> Outcome:
    import json

    import cv2
    from rich.console import Console

    from engines.files import write_whole
    from trans3dhead.data.images import read_rgb
    from trans3dhead.outputs import record
    from trans3dhead.prediction import Predictor

    image = read_rgb(options.photo)
    with Predictor.open(options.engine, head=options.head, threads=options.threads) as predictor:
        prediction = predictor(image, options.bbox)
    found = {
        "photo": options.photo.name,
        "image_height_width": list(image.shape[:2]),
        "color_order": "RGB",
        **record(prediction),
    }
    stem = options.out / options.photo.stem
    drawn = cv2.cvtColor(prediction.draw(image), cv2.COLOR_RGB2BGR)
    write_whole(stem.with_suffix(".json"), json.dumps(found, indent=1) + "\n")
    prediction.save_obj(stem.with_suffix(".obj"))
    write_whole(stem.with_suffix(".png"), cv2.imencode(".png", drawn)[1].tobytes())
    angles = ", ".join(f"{name} {value:+.1f}°" for name, value in prediction.pose.items())
    Console().print(f"{angles}\n{stem}.json, .obj and .png written", highlight=False)
    return Outcome(data=found, report=(image, prediction))
