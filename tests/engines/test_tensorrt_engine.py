"""TensorRT plans: really built with TensorRT-RTX, which needs no GPU; refusals said in one line."""

import importlib.util
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import standins
from onnx import numpy_helper

from engines import runtime, tensorrt_engine
from engines.building import build_engine
from engines.errors import BuildError, ContractError, UserError
from engines.machine import Machine
from engines.manifest import BatchProfile, read_manifest, write_manifest
from engines.options import BuildOptions
from engines.runtime import open_engine
from engines.tensorrt_engine import PLAN_FILE
from engines.tensorrt_plan import Plan

pytest.importorskip("tensorrt_rtx")

Rewrite = Callable[[str, bytes], None]
Graphs = Callable[..., onnx.ModelProto]

NO_GPU = Machine(cpu="c", no_gpu="none")
V100 = Machine(cpu="c", gpu="Tesla V100", compute_capability="7.0", driver="535", cuda="12.6")


@pytest.fixture(scope="module")
def built(pristine: dict[int | None, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An fp16 plan in a bundle of this module's own."""
    import shutil

    bundle = tmp_path_factory.mktemp("rtx") / "bundle"
    shutil.copytree(pristine[None], bundle)
    return build_engine(bundle, "fp16", "tensorrt-rtx")


def test_a_plan_is_built_without_a_gpu(built: Path) -> None:
    manifest = read_manifest(built)
    assert manifest.runtime == manifest.provider == "tensorrt-rtx"
    assert manifest.effective.precision == "float16"
    promised = manifest.effective.low_flops_promised
    assert manifest.effective.low_flops_found == pytest.approx(promised, abs=1e-9)
    assert promised == pytest.approx(0.443, abs=1e-3)
    assert manifest.size_bytes == (built / PLAN_FILE).stat().st_size > 100_000
    assert sorted(path.name for path in built.iterdir()) == [PLAN_FILE, "manifest.json"]


def test_the_plan_is_raw(built: Path) -> None:
    """No metadata in front: the file begins with the serialised engine's own tag."""
    assert b"trt" in (built / PLAN_FILE).read_bytes()[:4]


def test_a_static_graph_in_float32(static_bundle: Path) -> None:
    steps: list[tuple[str, float]] = []
    folder = build_engine(
        static_bundle,
        "fp32",
        "tensorrt-rtx",
        options=BuildOptions(optimization_level=1),
        progress=lambda what, share: steps.append((what, share)),
    )
    manifest = read_manifest(folder)
    assert manifest.effective.line() == "float32"
    assert manifest.profiles == (BatchProfile(min=2, opt=2, max=2),)
    assert manifest.settings["optimization_level"] == 1
    assert len({what for what, _ in steps}) > 1
    assert all(0 <= share <= 1 for _, share in steps)


def test_several_profiles_from_within_the_bundle(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bundle holds a folder `engines`, which must not hide the package of that name."""
    monkeypatch.chdir(bundle)
    profiles = [BatchProfile(min=1, opt=1, max=1), BatchProfile(min=2, opt=8, max=16)]
    (bundle / "engines").mkdir()
    folder = build_engine(Path(), "fp16", "tensorrt-rtx", profiles=profiles)
    assert read_manifest(folder).profiles == tuple(profiles)


def failed(bundle: Path, recipe: str = "fp32") -> str:
    with pytest.raises(BuildError) as caught:
        build_engine(bundle, recipe, "tensorrt-rtx")
    assert not list((bundle / "engines").iterdir())
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_graph_that_cannot_be_parsed(bundle: Path, rewrite: Rewrite, make_graph: Graphs) -> None:
    graph = make_graph(half=False, batch=None)
    odd = next(node for node in graph.graph.node if node.name == "active_node")
    odd.op_type, odd.domain = "Oddity", "mine"
    graph.opset_import.append(onnx.helper.make_opsetid("mine", 1))
    rewrite("fp32.onnx", graph.SerializeToString())
    message = failed(bundle)
    assert "tensorrt-rtx cannot parse" in message
    assert "active_node" in message
    rewrite("fp32.onnx", b"no graph")
    assert "Failed to parse the ONNX model" in failed(bundle)


def test_a_graph_the_builder_refuses(bundle: Path, rewrite: Rewrite, make_graph: Graphs) -> None:
    """A reshape that fits no batch but 2: the builder answers None, its log says why."""
    graph = make_graph(half=False, batch=None)
    for tensor in graph.graph.initializer:
        if tensor.name == "to_points":
            tensor.CopyFrom(numpy_helper.from_array(np.array([2, 68, 2]), tensor.name))
    rewrite("fp32.onnx", graph.SerializeToString())
    message = failed(bundle)
    assert "built no plan" in message
    assert "eshape" in message


def test_less_half_than_promised(bundle: Path, rewrite: Rewrite, make_graph: Graphs) -> None:
    rewrite("fp16.onnx", make_graph(half=False, batch=None).SerializeToString())
    message = failed(bundle, "fp16")
    assert "the network parsed by tensorrt-rtx computes 0.0% of its FLOPs in half" in message


def test_a_graph_with_other_outputs(bundle: Path, rewrite: Rewrite, make_graph: Graphs) -> None:
    graph = make_graph(half=False, batch=None)
    del graph.graph.output[0]
    rewrite("fp32.onnx", graph.SerializeToString())
    assert "outputs ['params', 'rotation']; the contract says" in failed(bundle)


def test_a_builder_that_dies_without_a_word(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    popen = tensorrt_engine.subprocess.Popen

    def dying(command: list[str], **settings: Any) -> Any:
        program = "import os, sys; print('out of luck', file=sys.stderr, flush=True); os.abort()"
        return popen([command[0], "-c", program], **settings)

    monkeypatch.setattr(tensorrt_engine.subprocess, "Popen", dying)
    message = failed(bundle)
    assert "ended with code -6 and no plan" in message
    assert "it said: out of luck" in message


def test_an_interrupted_build_ends_its_process(bundle: Path) -> None:
    def interrupt(_what: str, _share: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_engine(bundle, "fp32", "tensorrt-rtx", progress=interrupt)
    assert not list((bundle / "engines").iterdir())


def test_running_says_what_is_missing(built: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    standins.install(monkeypatch)  # no package that drives a GPU

    def open_on(machine: Machine) -> str:
        monkeypatch.setattr(tensorrt_engine, "this_machine", lambda: machine)
        with pytest.raises(UserError) as caught:
            open_engine(built)
        return str(caught.value)

    assert "running a plan needs the NVIDIA GPU it is for, here: none; " in open_on(NO_GPU)
    assert "V100 has compute capability 7.0; tensorrt-rtx 1.7" in open_on(V100)
    old_driver = replace(V100, gpu="RTX 4090", compute_capability="8.9")
    assert "RTX 4090 serves CUDA 12.6; tensorrt_rtx_cu13 needs CUDA 13" in open_on(old_driver)
    assert "needs PyCUDA or cuda-python, neither is installed" in open_on(
        replace(old_driver, cuda="13.0")
    )
    with pytest.raises(UserError, match=r"threads 4 came; tensorrt-rtx computes on the GPU"):
        open_engine(built, threads=4)


def test_the_real_library_refuses_a_plan_cut_short(built: Path, tmp_path: Path) -> None:
    """It answers None; the reason is in its log alone."""
    trt = importlib.import_module("tensorrt_rtx")
    cut = tmp_path / PLAN_FILE
    cut.write_bytes((built / PLAN_FILE).read_bytes()[:40])
    with pytest.raises(ContractError, match=r"tensorrt_rtx 1.* cannot load .*: .*Error Code"):
        Plan(trt, cut, "trans3dhead build")


def test_the_manifest_is_compared_before_anything_is_loaded(
    built: Path, tmp_path: Path, pristine: dict[int | None, Path]
) -> None:
    import shutil

    bundle = shutil.copytree(pristine[None], tmp_path / "bundle")
    folder = shutil.copytree(built, bundle / "engines" / built.name)
    write_manifest(folder, replace(read_manifest(folder), runtime_version="1.0"))
    with pytest.raises(ContractError, match=r"tensorrt-rtx version: built with 1\.0, here"):
        open_engine(folder)
    plan = folder / PLAN_FILE
    plan.write_bytes(plan.read_bytes()[:-1])
    with pytest.raises(ContractError, match=r"version: .*; engine.plan: built with .*rebuild: "):
        open_engine(folder)


def test_plain_tensorrt_is_named_with_its_install_line(bundle: Path) -> None:
    if importlib.util.find_spec("tensorrt") is not None:
        pytest.skip("TensorRT is installed here")
    with pytest.raises(UserError, match=r"tensorrt is not installed; .*pip install 'trans3dhead\["):
        build_engine(bundle, "fp16", "tensorrt")


def test_a_plan_is_tied_to_its_gpu(
    built: Path, pristine: dict[int | None, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of plain TensorRT, by a manifest that says so."""
    import shutil

    bundle = shutil.copytree(pristine[None], tmp_path / "bundle")
    folder = shutil.copytree(built, bundle / "engines" / "plan")
    monkeypatch.setattr(tensorrt_engine.TensorRT, "version", lambda _self: "10.4.0")
    monkeypatch.setattr(runtime, "this_machine", lambda: Machine(cpu="c", no_gpu="no driver"))
    manifest = replace(
        read_manifest(folder), runtime="tensorrt", runtime_version="10.4.0", machine=V100
    )
    write_manifest(folder, manifest)
    with pytest.raises(ContractError, match=r"GPU: built with Tesla V100 \(7.0\), here no driver"):
        open_engine(folder)


def test_the_manifest_is_json_for_machines(built: Path) -> None:
    assert json.loads((built / "manifest.json").read_text())["file"] == PLAN_FILE
