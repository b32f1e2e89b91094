"""Make the pictures and the gallery of docs/outputs.md with the demo's engine: `make gallery`.

One rendered head that was in no training set, read by one engine, shown as every kind of output.
The text between the two marks in docs/outputs.md is replaced.
"""

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import trimesh
from numpy.typing import NDArray

from engines.files import write_whole
from trans3dhead import Prediction, Predictor
from trans3dhead.head.builtin import builtin_head
from trans3dhead.head.rotation import rotation_from_euler
from trans3dhead.mesh.normals import MeshNormals
from trans3dhead.outputs import OUTPUT_KINDS, draw_outputs, write_outputs
from trans3dhead.outputs.drawing import lay_over, shaded
from trans3dhead.outputs.mesh_files import MESH_SUFFIXES, VIEWER_AXES
from trans3dhead.outputs.visible import visible
from trans3dhead.synth.render import render_item

Image = NDArray[np.uint8]

DOCS = Path(__file__).parent
PAGE, PICTURES = DOCS / "outputs.md", DOCS / "images" / "outputs"
BEGIN, END = "<!-- gallery: made by `make gallery` -->", "<!-- end of the gallery -->"
SEED, INDEX, SIZE = 21, 131, 560
"""The photo: a head seen from the front, nothing before it; chosen, as gallery pictures are."""
WIDTH = 300
"""Of a picture in the page, pixels."""
SIDE_VIEW = rotation_from_euler(np.array([4.0, 50.0, 0.0])) @ np.diag([1.0, -1.0, -1.0])
GROUND = 236


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engine", type=Path, required=True, help="BUNDLE/engines/NAME")
    engine = parser.parse_args().engine
    item = render_item(builtin_head(), SEED, INDEX, SIZE)
    with Predictor.open(engine) as predictor:
        head = predictor(item.image, item.bbox)
    shown = {"photo": item.image, **{kind: show(kind, item.image, head) for kind in OUTPUT_KINDS}}
    for name, picture in shown.items():
        part = picture if name in mesh_kinds() else cut(picture, head)
        scaled = cv2.resize(part, (WIDTH, WIDTH * part.shape[0] // part.shape[1]), None, 0, 0, 3)
        quality = [cv2.IMWRITE_JPEG_QUALITY, 88]
        data = cv2.imencode(".jpg", cv2.cvtColor(scaled, cv2.COLOR_RGB2BGR), quality)[1].tobytes()
        write_whole(PICTURES / f"{name}.jpg", data)
    before, rest = PAGE.read_text().split(BEGIN)
    after = rest.split(END)[1]
    write_whole(PAGE, f"{before}{BEGIN}\n\n{gallery(head, item.image)}\n{END}{after}")


def mesh_kinds() -> tuple[str, ...]:
    """The kinds that are files of other programs."""
    return tuple(suffix[1:] for suffix in MESH_SUFFIXES)


def show(kind: str, image: Image, head: Prediction) -> Image:
    """What a kind looks like: the photo with it, a mesh file from the side, or a chart."""
    if kind in mesh_kinds():
        with tempfile.TemporaryDirectory() as folder:
            (path,) = write_outputs([kind], image, [head], Path(folder) / "photo")
            mesh = trimesh.load(path, process=False, force="mesh")
        assert isinstance(mesh, trimesh.Trimesh)
        return from_the_side(mesh)
    if kind == "params":
        return bars(image, head)
    return draw_outputs([kind], image, [head])


def cut(picture: Image, head: Prediction) -> Image:
    """The part of the photo around the head and its neck, 4 wide and 5 high."""
    x, y, w, h = head.bbox
    height = min(1.5 * h, picture.shape[0])
    left = int(np.clip(x + w / 2 - 0.4 * height, 0, picture.shape[1] - 0.8 * height))
    top = int(np.clip(y - 0.18 * h, 0, picture.shape[0] - height))
    return picture[top : top + int(height), left : left + int(0.8 * height)]


def from_the_side(mesh: trimesh.Trimesh) -> Image:
    """A mesh as its file holds it, turned by 50 degrees, on plain ground."""
    faces = np.asarray(mesh.faces, np.int32)
    posed = (np.asarray(mesh.vertices) * VIEWER_AXES @ SIDE_VIEW.T).astype(np.float32)
    picture = np.full((500, 400, 3), GROUND, np.uint8)
    scale = 440 / float(np.ptp(posed[:, 1]))
    middle = (posed[:, :2].max(axis=0) + posed[:, :2].min(axis=0)) / 2
    projected = (posed[:, :2] - middle) * scale + np.array([200, 250])
    visual: Any = mesh.visual
    colors = shaded(visual.vertex_colors[:, :3], MeshNormals.of(faces, len(posed))(posed))
    pixels, painted = visible(projected, posed, faces, colors, picture.shape[:2])
    return lay_over(picture, pixels, painted, 1)


def bars(image: Image, head: Prediction) -> Image:
    """The first 24 shape and 12 expression coefficients as bars, up to 3 standard deviations."""
    picture = np.full((image.shape[0], image.shape[1], 3), GROUND, np.uint8)
    x, y, w, h = (round(side) for side in head.bbox)
    left, middle, width = x - w // 10, y + h // 2, 1.2 * w / 36
    for index, value in enumerate([*head.params[:24], *head.params[300:312]]):
        start = round(left + index * width), middle
        end = round(left + (index + 0.7) * width), round(middle - value * h / 7)
        color = (47, 111, 219) if index < 24 else (217, 98, 43)
        cv2.rectangle(picture, start, end, color, -1)
    cv2.line(picture, (left, middle), (round(left + 36 * width), middle), (90, 90, 90), 1)
    for text, column in (("shape", 0), ("expression", 24)):
        at = round(left + column * width), middle + h // 2
        cv2.putText(picture, text, at, cv2.FONT_HERSHEY_SIMPLEX, 0.5, (60, 60, 60), 1, cv2.LINE_AA)
    return picture


def gallery(head: Prediction, image: Image) -> str:
    """The table of all kinds, in Markdown, and what the JSON of this head begins with."""
    rows = ["| | what it is, and the line that makes it |", "|---|---|"]
    rows.append("| ![photo](images/outputs/photo.jpg) | the photo |")
    for name, kind in OUTPUT_KINDS.items():
        files = [] if kind.encode is None else list(kind.encode(head, image.shape[:2]))
        made = ", ".join(f"`photo{ending}`" for ending in files or ["-drawn.png"])
        command = f'`write_outputs(["{name}"], photo, [head], Path("photo"))`'
        cell = f"**{name}**: {kind.summary}.<br>{command}<br>writes {made}"
        rows.append(f"| ![{name}](images/outputs/{name}.jpg) | {cell} |")
    with tempfile.TemporaryDirectory() as folder:
        (path,) = write_outputs(["params"], image, [head], Path(folder) / "photo")
        found = json.loads(path.read_text())
    excerpt = ",\n".join(f'  "{key}": {json.dumps(short(value))}' for key, value in found.items())
    rows += ["", "`params` of this head, lists cut after three:", "", "```json", "{"]
    return "\n".join([*rows, excerpt, "}", "```", ""])


def short(value: Any) -> Any:
    """A JSON value with three decimals, lists cut after three entries."""
    if isinstance(value, dict):
        return {key: short(inner) for key, inner in value.items()}
    if isinstance(value, list):
        cut_off = [f"and {len(value) - 3} more"] if len(value) > 4 else []
        return [short(inner) for inner in value[: 3 if cut_off else None]] + cut_off
    return round(value, 3) if isinstance(value, float) else value


if __name__ == "__main__":
    main()
