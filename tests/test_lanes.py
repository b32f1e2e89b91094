"""The lanes' pins, images and page say the same; no image is built here (docs/lanes.md)."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from engines.readiness import LANES
from engines.tensorrt_flavours import VOLTA_LAST
from trans3dhead.packages import packages_by_extra

ROOT = Path(__file__).parents[1]
IMAGES = {"v100": "v100.txt", "datacentre": "gpu.txt"}
"""Dockerfile to the pins it installs."""


def pins(name: str) -> dict[str, str]:
    """Package to version of a constraints file, names as pip compares them."""
    lines = (ROOT / "constraints" / name).read_text().splitlines()
    pairs = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {package.lower().replace("_", "-"): version for package, version in pairs}


def dockerfile(name: str) -> str:
    return (ROOT / "docker" / f"{name}.Dockerfile").read_text()


@pytest.mark.parametrize("name", IMAGES)
def test_an_image_keeps_the_rules_of_dockerfiles(name: str) -> None:
    program = shutil.which("hadolint", path=Path(sys.executable).parent) or shutil.which("hadolint")
    if program is None:
        pytest.skip("hadolint is not installed")
    file = ROOT / "docker" / f"{name}.Dockerfile"
    done = subprocess.run([program, file], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(("name", "constraints"), IMAGES.items())
def test_an_image_installs_its_lanes_pins(name: str, constraints: str) -> None:
    text, pinned = dockerfile(name), pins(constraints)
    commands = re.findall(r"pip install (.*)", text)
    assert commands
    for command in commands:
        assert f"-c constraints/{constraints} " in command
        packages = [word for word in command.split("&&")[0].split() if re.match(r"[a-z]", word)]
        for package in packages:
            if not package.startswith("constraints/"):
                assert package in pinned, package
    sources = [line.split()[2] for line in text.splitlines() if line.startswith("COPY --from")]
    assert sources == ["/opt/trans3dhead"]
    for source in re.findall(r"^COPY (?!--from)(\S+) ", text, re.MULTILINE):
        assert (ROOT / source).exists()


@pytest.mark.parametrize(("name", "constraints"), IMAGES.items())
def test_an_images_cuda_is_the_pins(name: str, constraints: str) -> None:
    text, pinned = dockerfile(name), pins(constraints)
    (cuda,) = set(re.findall(r"^FROM nvidia/cuda:([\d.]+)-cudnn", text, re.MULTILINE))
    assert cuda.split(".")[0] == pinned["cuda-python"].split(".")[0]
    major_minor = ".".join(pinned["tensorrt"].split(".")[:2])
    assert f"TensorRT {major_minor if name == 'v100' else major_minor.split('.')[0]}" in text


def test_the_v100_lane_stays_where_its_gpu_is_served() -> None:
    pinned = pins("v100.txt")
    assert tuple(map(int, pinned["tensorrt"].split(".")[:2])) <= VOLTA_LAST
    assert pinned["tensorrt-cu12-bindings"] == pinned["tensorrt-cu12-libs"] == pinned["tensorrt"]


@pytest.mark.parametrize("constraints", ["v100.txt", "gpu.txt"])
def test_every_package_of_a_gpu_lane_is_pinned(constraints: str) -> None:
    extras = packages_by_extra()
    for extra in ("base", "vision", "gpu"):
        for package in extras[extra]:
            assert package.name.lower() in pins(constraints), package.name


def test_the_page_says_each_lanes_install_line() -> None:
    page = (ROOT / "docs" / "lanes.md").read_text()
    for lane in LANES:
        assert lane.install in page
    for name in IMAGES:
        assert f"docker/{name}.Dockerfile" in page
    for constraints in IMAGES.values():
        assert f"TensorRT {'.'.join(pins(constraints)['tensorrt'].split('.')[:2])}" in page
