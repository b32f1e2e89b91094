"""The timing cache's file: refused ones set aside, parallel builds adding up."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import standins

from engines import timing_cache
from engines.machine import Machine
from engines.timing_cache import attach, keep, timing_cache_path

MACHINE = Machine(cpu="c", gpu="NVIDIA H100 80GB HBM3", compute_capability="9.0")


class Builder:
    """A configuration over the stand-in, its log and what it was told."""

    def __init__(self, **measured: float) -> None:
        trt = standins.load("tensorrt", "tensorrt_api.py")
        self.log: list[str] = []
        self.said: list[str] = []
        logger = trt.ILogger()
        logger.log = lambda severity, msg: self.log.append(msg)
        self.config = trt.IBuilderConfig(logger)
        self.measured = measured

    def build(self, path: Path) -> dict[str, float]:
        """Attach, measure, keep; returns what it started from."""
        attach(self.config, path, heard=lambda: self.log, say=self.said.append)
        entries = self.config.get_timing_cache()._entries
        found = dict(entries)
        entries.update(self.measured)
        keep(self.config, path, self.said.append)
        return found


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return timing_cache_path("11.4.0", MACHINE)


def test_each_gpu_and_version_has_its_own(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert path.parent.name == "trans3dhead"
    assert path.name == "tensorrt-11.4.0-NVIDIA_H100_80GB_HBM3-sm9.0.timing"
    assert timing_cache_path("10.4.0", MACHINE) != path
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert timing_cache_path("11.4.0", MACHINE).parts[-3:-1] == (".cache", "trans3dhead")


def test_the_second_build_starts_from_the_first(path: Path) -> None:
    assert Builder(conv=1.0).build(path) == {}
    assert Builder(gemm=2.0).build(path) == {"conv": 1.0}
    assert Builder().build(path) == {"conv": 1.0, "gemm": 2.0}


@pytest.mark.parametrize("content", [b"\x00 cut short", json.dumps({"other GPU": 1}).encode()])
def test_a_refused_file_is_set_aside(path: Path, content: bytes) -> None:
    """TensorRT says so in its log alone, or refuses the cache."""
    path.parent.mkdir()
    path.write_bytes(content)
    builder = Builder(conv=1.0)
    assert builder.build(path) == {}
    assert builder.said == [f"timing cache refused, now {path.name}.bad"]
    assert path.with_name(path.name + ".bad").read_bytes() == content
    assert Builder().build(path) == {"conv": 1.0}


def test_a_file_that_a_parallel_build_mended_is_not_set_aside(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both read the broken one; the other was done first."""
    path.parent.mkdir()
    path.write_bytes(b"broken")
    builder = Builder(conv=1.0)
    accept = timing_cache._accept

    def slowly(config: Any, data: bytes) -> bool:
        monkeypatch.setattr(timing_cache, "_accept", accept)
        Builder(gemm=2.0).build(path)
        return accept(config, data)

    monkeypatch.setattr(timing_cache, "_accept", slowly)
    attach(builder.config, path, heard=lambda: builder.log, say=builder.said.append)
    assert builder.said == []
    assert json.loads(path.read_bytes()) == {"gemm": 2.0}


def test_a_broken_file_where_nothing_can_be_written(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path.parent.mkdir()
    path.write_bytes(b"broken")
    builder = Builder()

    def read_only(*_: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(timing_cache.fcntl, "flock", read_only)
    attach(builder.config, path, heard=lambda: builder.log, say=builder.said.append)
    assert builder.said == [f"timing cache {path.name} left alone (Read-only file system)"]
    assert builder.config.get_timing_cache()._entries == {}


def test_what_cannot_be_joined_is_written_anew(path: Path) -> None:
    builder = Builder(conv=1.0)
    attach(builder.config, path, heard=lambda: builder.log, say=builder.said.append)
    path.parent.mkdir()
    path.write_bytes(json.dumps({"other GPU": 1}).encode())
    keep(builder.config, path, builder.said.append)
    assert builder.said == [f"timing cache {path.name} could not be joined, written anew"]
    assert json.loads(path.read_bytes()) == {}


def test_parallel_builds_add_up(path: Path) -> None:
    builders = [Builder(**{f"kernel{index}": float(index)}) for index in range(16)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda builder: builder.build(path), builders))
    assert len(json.loads(path.read_bytes())) == 16
    assert sorted(item.name for item in path.parent.iterdir()) == [path.name, f"{path.name}.lock"]
