"""The first day of a person who has an engine and nothing else: what the pages tell, and no torch.

Installs the project with the extras `cpu` and `vision` into an environment apart: about a gigabyte
and a minute.
"""

import re
import subprocess
import venv
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from engines.building import build_engine
from export.exporting import export_bundle
from export.untrained import save_untrained
from trans3dhead.head.source import resolve_head
from trans3dhead.presets import tiny

ROOT = Path(__file__).parent.parent
ENGINE, PHOTO = "onnxruntime-fp32", "synth-val-1-000004.png"


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Of the environment, which sees nothing of this one."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=True)
    words = ["install", "-q", f"{ROOT}[cpu,vision]", "-c", ROOT / "constraints" / "cpu.txt"]
    subprocess.run([folder / "bin" / "python", "-m", "pip", *words], check=True, timeout=1800)
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("PYTHONPATH", raising=False)
        yield folder / "bin" / "python"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An engine and a photo, where the pages have them."""
    save_untrained(tmp_path / "tiny.safetensors", tiny(), resolve_head(None))
    mesh = tmp_path / "demo" / "mesh"
    export_bundle(tmp_path / "tiny.safetensors", mesh, variant="mesh", recipes=("fp32",), count=4)
    build_engine(mesh, "fp32", "onnxruntime", name=ENGINE)
    images = tmp_path / "demo" / "heads" / "DAD-3DHeadsDataset" / "val" / "images"
    images.mkdir(parents=True)
    rng = np.random.default_rng(0)
    cv2.imwrite(str(images / PHOTO), rng.integers(0, 256, (320, 300, 3), dtype=np.uint8))
    return tmp_path


@pytest.mark.slow
def test_three_lines_draw_a_photo_and_the_command_does_too(python: Path, folder: Path) -> None:
    page = (ROOT / "docs" / "predict.md").read_text()
    lines = re.findall(r"^```python\n(.*?)^```", page, re.DOTALL | re.MULTILINE)[0]
    assert len([line for line in lines.splitlines() if line]) == 4  # the import, and three
    where = "import trans3dhead; print(trans3dhead.__file__)"
    asked = subprocess.check_output([python, "-c", where], cwd=folder, text=True)
    assert Path(asked.strip()).is_relative_to(python.parent.parent)
    subprocess.run([python, "-c", lines], cwd=folder, check=True)
    drawn = cv2.imread(str(folder / "drawn-drawn.png"))
    assert drawn is not None
    assert drawn.shape == (320, 300, 3)
    assert subprocess.run(
        [python, "-c", "import torch"], capture_output=True, check=False
    ).returncode
    command = ["predict", f"demo/heads/DAD-3DHeadsDataset/val/images/{PHOTO}", "--bbox"]
    command += ["75", "90", "152", "170", "--engine", f"demo/mesh/engines/{ENGINE}"]
    trans3dhead = python.with_name("trans3dhead")
    subprocess.run([trans3dhead, *command], cwd=folder, check=True)
    assert (folder / "prediction" / f"{Path(PHOTO).stem}-drawn.png").stat().st_size > 1000
