"""Stand-ins for a GPU and for the modules that drive it, for machines that have none."""

import importlib.machinery
import importlib.util
import sys
import types
from pathlib import Path

import pytest

from standins import gpu as _gpu
from standins.gpu import Gpu

HERE = Path(__file__).parent


def install(monkeypatch: pytest.MonkeyPatch, *packages: str) -> Gpu:
    """Put a fresh GPU into the process, and the stand-ins of some packages.

    Args:
        packages: of "pycuda", "cuda.bindings" and "tensorrt"; the others seem not installed.
    """
    for name in ("pycuda", "cuda", "cuda.bindings", "tensorrt"):
        monkeypatch.setitem(sys.modules, name, None)
    if "pycuda" in packages:
        put(monkeypatch, "pycuda.driver", "pycuda_driver.py")
    if "cuda.bindings" in packages:
        put(monkeypatch, "cuda.bindings.driver", "cuda_driver.py")
    if "tensorrt" in packages:
        put(monkeypatch, "tensorrt", "tensorrt_api.py")
    return _gpu.renew()


def load(name: str, file: str) -> types.ModuleType:
    """A new module made from one of the files here."""
    spec = importlib.util.spec_from_file_location(name, HERE / file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def put(monkeypatch: pytest.MonkeyPatch, name: str, file: str) -> types.ModuleType:
    """Let a module, and the packages above it, be importable under a name."""
    module = load(name, file)
    child = module
    while "." in name:
        monkeypatch.setitem(sys.modules, name, child)
        name, _, attribute = name.rpartition(".")
        parent = types.ModuleType(name)
        parent.__spec__ = importlib.machinery.ModuleSpec(name, None, is_package=True)
        setattr(parent, attribute, child)
        child = parent
    monkeypatch.setitem(sys.modules, name, child)
    return module
