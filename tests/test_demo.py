"""The demo keeps what the README promises of it."""

import json
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest
from browser import PHONE, Browser, check_loaded
from skimage import data as photos
from skimage import io
from support import Demo, WithoutTorch

from trans3dhead.cli.main import main
from trans3dhead.data.dad3dheads import HeadDataset


def test_it_passes_and_says_where_the_report_is(demo: Demo) -> None:
    assert demo.exit_code == 0
    assert demo.found["passed"]
    assert Path(demo.found["report"]) == demo.folder / "report.html"


def test_the_model_has_at_most_half_the_error_of_the_average_face(demo: Demo) -> None:
    assert demo.found["nme"] <= demo.found["nme_average_face"] / 2


def test_every_engine_that_runs_here_is_judged_and_equals_pytorch(demo: Demo) -> None:
    assert list(demo.found["parity"].values()) == ["pass"] * 3


def test_every_engine_is_built_but_plain_tensorrt_which_says_why(demo: Demo) -> None:
    builds = [step for step in demo.found["commands"] if " build " in step["command"]]
    refused = [step for step in builds if step["refusal"]]
    assert len(builds) == 6
    assert ["--runtime tensorrt " in step["command"] for step in refused] == [True]
    assert "pip install" in refused[0]["refusal"]


class Links(HTMLParser):
    """Everything a page would fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.images = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.images += tag == "img"
        for name, value in attrs:
            if name in ("src", "href") and value and not value.startswith(("data:", "#")):
                self.fetched.append(value)


def test_the_report_is_one_file_with_pictures_charts_and_reasons(demo: Demo) -> None:
    text = (demo.folder / "report.html").read_text()
    page = Links()
    page.feed(text)
    assert page.fetched == []
    assert page.images >= 6
    for piece in ("mesh3d", "NME", "images/s", "tensorrt-rtx", "$ trans3dhead"[2:], "pip install"):
        assert piece in text


def test_a_second_demo_replaces_an_earlier_one_but_nothing_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    somebodys = tmp_path / "thesis.tex"
    somebodys.write_text("work")
    assert main(["demo", "--out", str(tmp_path)]) == 2
    assert "no demo made it" in capsys.readouterr().err
    assert somebodys.read_text() == "work"


def test_an_engine_is_verified_from_its_bundle_without_torch(
    demo: Demo, tmp_path: Path, without_torch: WithoutTorch
) -> None:
    bundle = shutil.copytree(demo.mesh, tmp_path / "bundle")
    done = without_torch("verify", bundle / "engines" / "onnxruntime-fp16")
    assert done.returncode == 0, done.stderr
    assert "PASS" in done.stdout


def test_a_real_photograph_is_read_without_torch(
    demo: Demo, tmp_path: Path, without_torch: WithoutTorch
) -> None:
    photo = tmp_path / "astronaut.png"
    io.imsave(photo, photos.astronaut())
    out = tmp_path / "read"
    box = ("--bbox", 165, 20, 120, 170)
    done = without_torch("predict", photo, "--engine", demo.engine("fp32"), *box, "--out", out)
    assert done.returncode == 0, done.stderr
    assert {path.name for path in out.iterdir()} == {
        f"astronaut{ending}" for ending in (".json", ".obj", "-drawn.png")
    }
    found = json.loads((out / "astronaut.json").read_text())
    assert len(found["landmarks_xy_pixels"]) == 68
    assert len(found["params"]) == 413
    assert set(found["pose_degrees"]) == {"pitch", "yaw", "roll"}
    assert io.imread(out / "astronaut-drawn.png").shape == photos.astronaut().shape
    vertices = [
        line for line in (out / "astronaut.obj").read_text().splitlines() if line[:2] == "v "
    ]
    assert len(vertices) == 5023


def test_the_process_without_torch_really_has_none(
    without_torch: WithoutTorch, tmp_path: Path
) -> None:
    """The gate of the two tests above can close: what needs torch fails there."""
    done = without_torch("describe", "--preset", "tiny")
    assert done.returncode != 0
    assert "torch" in done.stderr


def test_evaluation_of_checkpoint_and_engine_agree(demo: Demo, tmp_path: Path) -> None:
    results = []
    for model in (demo.checkpoint, demo.engine("fp32")):
        out = tmp_path / "result.json"
        words = ("evaluate", model, "--data", demo.folder / "heads", "--limit", 10, "--json", out)
        assert main([str(word) for word in words]) == 0
        results.append(json.loads(out.read_text())["metrics"])
    assert results[0] == pytest.approx(results[1], rel=1e-3)


def test_the_pictures_show_heads_that_training_did_not_see(demo: Demo) -> None:
    seen = {item.item_id for item in HeadDataset(demo.folder / "heads", "train").items}
    read = {path.stem for path in (demo.folder / "read").glob("*.json")}
    assert len(read) == 6
    assert not seen & read


def test_the_report_is_drawn_on_a_phone(browser: Browser, demo: Demo) -> None:
    path = demo.folder / "report.html"
    browser.open(path, width=PHONE)
    check_loaded(browser, path)
