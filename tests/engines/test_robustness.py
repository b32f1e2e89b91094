"""What happens to engines by accident: each gives one line, and the engine that was there stays."""

import functools
import json
import multiprocessing
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from engines.building import build_engine
from engines.errors import UserError
from engines.files import LEFTOVER_MARK, OLD_MARK
from engines.manifest import MANIFEST_FILE, read_manifest
from engines.runtime import open_engine

Images = Callable[[int], np.ndarray]
RUNTIMES = ("onnxruntime", "openvino", "tensorrt-rtx")
SMALL = 4096
"""Bytes left on a disk that is as good as full."""


class Disk:
    """A file system of its own, which can be filled and made read-only."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self._mount("-t", "tmpfs", "-o", "size=16m", "tmpfs")

    def fill(self) -> None:
        """Leave next to nothing."""
        free = shutil.disk_usage(self.folder).free
        (self.folder / "filler").write_bytes(bytes(free - SMALL))

    def freeze(self) -> None:
        """Allow no writing, not even to root."""
        self._mount("-o", "remount,ro")

    def mend(self) -> None:
        """Writable and with room again."""
        self._mount("-o", "remount,rw")
        (self.folder / "filler").unlink(missing_ok=True)

    def _mount(self, *words: str) -> None:
        done = subprocess.run(
            ["mount", *words, str(self.folder)], check=False, capture_output=True, text=True
        )
        if done.returncode:
            pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """A small disk; skips where mounting is not allowed."""
    made = Disk(tmp_path / "disk")
    yield made
    subprocess.run(["umount", str(made.folder)], check=True)


def answers(folder: Path, make_images: Images) -> bytes | None:
    """What a runtime that runs here answers; of a plan, its bytes."""
    if folder.name.startswith("tensorrt"):
        return (folder / "engine.plan").read_bytes()
    with open_engine(folder, threads=1) as engine:
        return engine.infer({"image": make_images(2)})["params"].tobytes()


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("state", ["full", "read-only"])
def test_a_disk_that_takes_nothing_more_in_mid_build(
    pristine: dict[int | None, Path], disk: Disk, make_images: Images, runtime: str, state: str
) -> None:
    bundle = shutil.copytree(pristine[None], disk.folder / "bundle")
    folder = build_engine(bundle, "fp32", runtime)
    before = answers(folder, make_images)
    disk.fill() if state == "full" else disk.freeze()
    with pytest.raises(UserError, match=r"[Nn]o space|[Rr]ead-only|room on the disk") as caught:
        build_engine(bundle, "fp32", runtime, force=True)
    assert "\n" not in str(caught.value)
    assert answers(folder, make_images) == before
    disk.mend()
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]
    assert build_engine(bundle, "fp32", runtime, force=True) == folder
    assert answers(folder, make_images)


def leaves(value: object, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Where the numbers, words and nothings of a JSON value lie."""
    if isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from leaves(item, (*path, key))
    else:
        yield path


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_a_manifest_edited_in_any_one_field(
    bundle: Path, make_images: Images, runtime: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = build_engine(bundle, "fp32", runtime)
    path = folder / MANIFEST_FILE
    written = path.read_text()
    with monkeypatch.context() as patch:

        def deserialise(*_: object) -> None:
            raise AssertionError("an edited manifest came as far as loading the engine")

        patch.setattr("engines.onnxruntime_engine.create_session", deserialise)
        patch.setattr("engines.openvino_engine._compile", deserialise)
        for where in leaves(json.loads(written)):
            value = json.loads(written)
            holder = functools.reduce(lambda inner, key: inner[key], where[:-1], value)
            old = holder[where[-1]]
            if where == ("parity",):
                new: object = {"verdict": "pass"}
            else:
                new = old + 1 if isinstance(old, int | float) else f"{old or ''}0"
            holder[where[-1]] = new
            path.write_text(json.dumps(value))
            with pytest.raises(UserError) as caught:
                open_engine(folder)
            assert "\n" not in str(caught.value)
    path.write_text(written)
    assert answers(folder, make_images)


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_a_flipped_byte_in_the_onnx_file(bundle: Path, make_images: Images, runtime: str) -> None:
    folder = build_engine(bundle, "fp32", runtime)
    before = answers(folder, make_images)
    path = bundle / "fp32.onnx"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(UserError, match=r"fp32.onnx has sha256 .* cut or altered") as caught:
        build_engine(bundle, "fp32", runtime, force=True)
    assert "\n" not in str(caught.value)
    assert answers(folder, make_images) == before


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_an_engine_file_cut_by_one_byte_is_built_anew(bundle: Path, runtime: str) -> None:
    folder = build_engine(bundle, "fp32", runtime)
    for name in read_manifest(folder).files:
        path = folder / name
        path.write_bytes(path.read_bytes()[:-1])
        with pytest.raises(UserError, match=rf"{name}: built with .*; rebuild: `trans3dhead build"):
            open_engine(folder)
        steps: list[str] = []
        build_engine(bundle, "fp32", runtime, progress=lambda what, _, to=steps: to.append(what))
        assert "unchanged" not in steps


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_parallel_builds_of_one_engine(bundle: Path, make_images: Images, runtime: str) -> None:
    # spawned: a forked child inherits the runtimes' thread pools, but not their threads
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        built = [
            pool.apply_async(build_engine, (bundle, "fp32", runtime), {"force": force})
            for force in (True, False, True)
        ]
        folders = [item.get(timeout=120) for item in built]
    assert set(folders) == {bundle / "engines" / f"{runtime}-fp32"}
    assert [path.name for path in (bundle / "engines").iterdir()] == [folders[0].name]
    assert answers(folders[0], make_images)


def test_an_engine_left_aside_by_a_killed_build_opens(bundle: Path, make_images: Images) -> None:
    folder = build_engine(bundle, "fp32", "onnxruntime")
    before = answers(folder, make_images)
    folder.rename(folder.with_name(f".{folder.name}{LEFTOVER_MARK}abc{OLD_MARK}"))
    assert answers(folder, make_images) == before
