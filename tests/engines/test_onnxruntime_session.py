"""ONNX Runtime's GPU providers against a stand-in: what they are asked for, what is refused.

The stand-in computes on the CPU and says it was the provider asked for.
"""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import onnxruntime
import pytest
import standins
from standins.gpu import Gpu

from engines import onnxruntime_engine, onnxruntime_session, runtime
from engines.building import build_engine
from engines.bundle import Bundle
from engines.contract import Contract
from engines.errors import BuildError, ContractError, UserError
from engines.machine import Machine
from engines.manifest import BatchProfile, read_manifest, write_manifest
from engines.onnxruntime_session import (
    PROVIDERS,
    TF32_SWITCH,
    create_session,
    cuda_options,
    foreign_products,
    require_provider,
    run_session,
)
from engines.options import BuildOptions
from engines.runtime import open_engine
from engines.steps import STEPS

Images = Callable[[int], np.ndarray]
V100 = Machine(cpu="some", gpu="Tesla V100", compute_capability="7.0")
H100 = Machine(cpu="some", gpu="H100", compute_capability="9.0")
PROFILE = BatchProfile(min=1, opt=2, max=4)


class StandIn:
    """A session on the CPU that passes for one on a GPU; the TensorRT provider leaves its cache."""

    made: ClassVar[list["StandIn"]] = []
    left_to_cuda: ClassVar[tuple[str, ...]] = ()
    """Operators that the provider asked for does not take."""
    uncapturable: ClassVar[str] = ""
    """What it says where it is asked for CUDA graphs, and cannot."""
    real = onnxruntime.InferenceSession

    def __init__(
        self,
        graph: Any,
        options: Any,
        *,
        providers: list[tuple[str, dict[str, str]]],
        enable_fallback: bool,
    ) -> None:
        assert not enable_fallback
        self.session = StandIn.real(graph, options, providers=["CPUExecutionProvider"])
        self.options = dict(providers)
        if (
            self.uncapturable
            and self.options.get("CUDAExecutionProvider", {}).get("enable_cuda_graph") == "1"
        ):
            raise RuntimeError(self.uncapturable)
        self.batches: list[int] = []
        self.graphs: list[str] = []
        cache = self.options.get("TensorrtExecutionProvider", {}).get("trt_engine_cache_path")
        if cache and not list(Path(cache).glob("*.engine")):
            (Path(cache) / "graph_sm70.engine").write_bytes(b"plan")
        StandIn.made.append(self)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.session, name)

    def get_providers(self) -> list[str]:
        return list(self.options)

    def end_profiling(self) -> str:
        path = Path(self.session.end_profiling())
        events = json.loads(path.read_text())
        for event in events:
            if "provider" in event.get("args", {}):
                left = event["args"]["op_name"] in StandIn.left_to_cuda
                event["args"]["provider"] = list(self.options)[1 if left else 0]
        path.write_text(json.dumps(events))
        return str(path)

    def io_binding(self) -> "Binding":
        return Binding(self.session)

    def run_with_iobinding(self, binding: "Binding", options: Any = None) -> None:
        self.session.run_with_iobinding(binding.real)
        self.batches.append(len(binding.real.get_outputs()[0].numpy()))
        key = "gpu_graph_id"
        if (
            options is not None
            and self.options["CUDAExecutionProvider"]["enable_cuda_graph"] == "1"
        ):
            self.graphs.append(options.get_run_config_entry(key))


class Binding:
    """A binding whose addresses on the GPU are those of the stand-in's memory."""

    def __init__(self, session: Any) -> None:
        self.real = StandIn.real.io_binding(session)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)

    def bind_input(self, name: str, device: str, *where: Any) -> None:
        assert device == "cuda"
        self.real.bind_input(name, "cpu", *where)

    def bind_output(self, name: str, device: str, *where: Any) -> None:
        assert device in ("cuda", "cpu")
        self.real.bind_output(name, "cpu", *where)


@pytest.fixture
def on_v100(monkeypatch: pytest.MonkeyPatch) -> Gpu:
    """ONNX Runtime's GPU build on a V100, as far as a stand-in goes."""
    gpu = standins.install(monkeypatch, "cuda.bindings")
    monkeypatch.setattr("engines.device.installed", lambda name: name == "cuda.bindings")
    monkeypatch.setattr(StandIn, "made", [])
    monkeypatch.setattr(StandIn, "left_to_cuda", ())
    monkeypatch.setattr(onnxruntime, "InferenceSession", StandIn)
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: PROVIDERS["tensorrt"])
    monkeypatch.setattr(onnxruntime_session, "_load_library", lambda *_: None)
    monkeypatch.setattr(onnxruntime_engine, "this_machine", lambda: V100)
    monkeypatch.setattr(runtime, "this_machine", lambda: V100)
    monkeypatch.setattr("engines.building.this_machine", lambda: V100)
    return gpu


def build(bundle: Path, provider: Any, *profiles: BatchProfile) -> Path:
    return build_engine(
        bundle,
        "fp32",
        "onnxruntime",
        profiles=profiles or (PROFILE,),
        options=BuildOptions(provider=provider),
    )


def test_what_ran_where(bundle: Path, make_images: Images, tmp_path: Path) -> None:
    session = create_session(bundle / "fp16.onnx", "cpu", threads=1, profile=tmp_path / "profile")
    run_session(session, {"image": make_images(2)})
    events = json.loads(Path(session.end_profiling()).read_text())
    assert foreign_products(events, "CPUExecutionProvider") == []
    foreign = foreign_products(events, "CUDAExecutionProvider")
    assert [name.split(" on ")[1] for name in foreign] == ["CPUExecutionProvider"] * 5
    assert "hidden_node on CPUExecutionProvider" in foreign


def test_float32_stays_float32_on_cuda(bundle: Path, make_images: Images, on_v100: Gpu) -> None:
    folder, on_cpu = build(bundle, "cuda"), create_session(bundle / "fp32.onnx", "cpu")
    made = StandIn.made[-1]
    images = make_images(3)
    with open_engine(folder) as engine:
        found = engine.infer({"image": images})
        for name, values in run_session(on_cpu, {"image": images}).items():
            np.testing.assert_allclose(found[name], values, atol=1e-5)
        again = engine.infer({"image": 255 - images})
        assert not np.array_equal(found["params"], again["params"])  # the caller's own
        assert engine.metadata()["device"] == {"package": "cuda-python", "cuda_graphs": True}
    used = next(session for session in StandIn.made if session is not made and session.batches)
    assert used.options == {
        "CUDAExecutionProvider": {
            "use_tf32": "0", "enable_cuda_graph": "1",
            "prefer_nhwc": "0", "cudnn_conv_algo_search": "HEURISTIC",
        },
        "CPUExecutionProvider": {},
    }  # fmt: skip
    assert used.batches == [1, 2, 4, 3, 3]  # warm before it was handed out
    assert used.graphs == ["1", "2", "4", "3", "3"]
    assert on_v100.left_over() == {}


@pytest.mark.usefixtures("on_v100")
def test_halves_convolve_with_the_channels_last(bundle: Path) -> None:
    options = BuildOptions(provider="cuda")
    open_engine(build_engine(bundle, "fp16", "onnxruntime", profiles=(PROFILE,), options=options))
    options_used = [made.options["CUDAExecutionProvider"] for made in StandIn.made[-2:]]
    assert [used["prefer_nhwc"] for used in options_used] == ["1", "1"]  # placed, then opened
    assert [used["enable_cuda_graph"] for used in options_used] == ["0", "1"]


def test_cudnn_chooses_the_algorithms_of_several_images(bundle: Path) -> None:
    contract = Bundle.open(bundle).contract
    recipe = contract.recipes["fp16"]
    for batch, search in ((None, "HEURISTIC"), (8, "HEURISTIC"), (1, "EXHAUSTIVE")):
        options = cuda_options(dataclasses.replace(contract, batch=batch), recipe)
        assert options["cudnn_conv_algo_search"] == search


@pytest.mark.usefixtures("on_v100")
def test_what_cannot_be_captured_runs_without_graphs(
    bundle: Path, make_images: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = build(bundle, "cuda")
    said = "This session cannot use the graph capture feature as requested by the user"
    monkeypatch.setattr(StandIn, "uncapturable", said)
    with open_engine(folder) as engine:
        engine.infer({"image": make_images(2)})
        assert engine.metadata()["device"]["cuda_graphs"] is False
    monkeypatch.setattr(StandIn, "uncapturable", "out of memory")
    with pytest.raises(ContractError, match="out of memory"):
        open_engine(folder)


def test_graphs_are_switched_off_and_on(bundle: Path, make_images: Images, on_v100: Gpu) -> None:
    images = make_images(2)
    with open_engine(build(bundle, "cuda")) as engine:
        expected = engine.infer({"image": images})
        used = StandIn.made[-1]
        for wanted, graph in ((False, "-1"), (True, "2")):
            engine.graphs = wanted
            found = engine.infer({"image": images})
            np.testing.assert_array_equal(found["params"], expected["params"])
            assert (engine.graphs, used.graphs[-1]) == (wanted, graph)
    assert on_v100.left_over() == {}


@pytest.mark.usefixtures("on_v100")
def test_graphs_of_a_model_that_has_none_are_refused(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = build(bundle, "cuda")
    monkeypatch.setattr(StandIn, "uncapturable", "cannot use the graph capture feature")
    with open_engine(folder) as engine:
        engine.graphs = False
        with pytest.raises(UserError, match="cannot capture this model"):
            engine.graphs = True


@pytest.mark.usefixtures("on_v100")
def test_the_tensorrt_provider_has_profile_and_cache(bundle: Path) -> None:
    folder = build(bundle, "tensorrt")
    manifest = read_manifest(folder)
    assert sorted(manifest.files) == ["graph_sm70.engine", "model.onnx"]
    assert manifest.provider == "tensorrt"
    open_engine(folder).close()
    assert StandIn.made[-1].options["TensorrtExecutionProvider"] == {
        "trt_engine_cache_enable": "1",
        "trt_engine_cache_path": str(folder),
        "trt_profile_min_shapes": "image:1x16x16x3",
        "trt_profile_opt_shapes": "image:2x16x16x3",
        "trt_profile_max_shapes": "image:4x16x16x3",
    }
    assert StandIn.made[-1].batches == [1, 2, 4]


@pytest.mark.usefixtures("on_v100")
def test_a_static_graph_needs_no_profile(static_bundle: Path) -> None:
    folder = build_engine(
        static_bundle, "fp32", "onnxruntime", options=BuildOptions(provider="tensorrt")
    )
    open_engine(folder).close()
    assert set(StandIn.made[-1].options["TensorrtExecutionProvider"]) == {
        "trt_engine_cache_enable",
        "trt_engine_cache_path",
    }
    assert StandIn.made[-1].batches == [2]


@pytest.mark.usefixtures("on_v100")
def test_a_cache_that_was_altered_or_made_on_another_gpu(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = build(bundle, "tensorrt")
    monkeypatch.setattr(runtime, "this_machine", lambda: H100)
    with pytest.raises(ContractError, match=r"GPU: built with Tesla V100 \(7.0\), here H100"):
        open_engine(folder)
    monkeypatch.setattr(runtime, "this_machine", lambda: V100)
    (folder / "graph_sm70.engine").write_bytes(b"pla")
    with pytest.raises(ContractError, match=r"graph_sm70.engine: built with .*; rebuild: "):
        open_engine(folder)


@pytest.mark.usefixtures("on_v100")
def test_several_profiles_are_more_than_the_provider_takes(bundle: Path) -> None:
    with pytest.raises(BuildError, match=r"2 batch profiles came; .* takes the first; give one"):
        build(bundle, "tensorrt", PROFILE, BatchProfile.parse("8"))
    build(bundle, "cuda", PROFILE, BatchProfile.parse("8"))


@pytest.mark.usefixtures("on_v100")
def test_products_left_to_another_provider(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(StandIn, "left_to_cuda", ("Conv", "FusedConv"))
    with pytest.raises(BuildError, match=r"left it out of 1 products \(.*on CUDAExecutionProv"):
        build(bundle, "tensorrt")
    assert not list((bundle / "engines").iterdir())


@pytest.mark.usefixtures("on_v100")
def test_tf32_is_refused_where_only_the_environment_can_switch_it_off(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv(TF32_SWITCH, raising=False)
    require_provider("tensorrt", V100)
    require_provider("cuda", H100)
    with pytest.raises(UserError, match=f"float32 in TF32.*start with `{TF32_SWITCH}=0`"):
        require_provider("tensorrt", H100)
    monkeypatch.setenv(TF32_SWITCH, "0")
    require_provider("tensorrt", H100)


def test_a_failing_call_is_one_line(
    bundle: Path, make_images: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_engine(build(bundle, "cpu"), threads=1) as engine:
        wrong = dataclasses.replace(engine.contract.outputs[1], axes=("batch", 412))
        outputs = (engine.contract.outputs[0], wrong, engine.contract.outputs[2])
        lying: Contract = dataclasses.replace(engine.contract, outputs=outputs)
        monkeypatch.setattr(engine, "contract", lying)
        with pytest.raises(UserError, match=r"ONNX Runtime failed in engine .* open it") as caught:
            engine.infer({"image": make_images(2)})
    assert "\n" not in str(caught.value)


def test_a_provider_that_is_not_the_one_asked_for(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ONNX Runtime falls back to the CPU when a provider's libraries do not load."""
    folder = build(bundle, "cpu")
    monkeypatch.setattr(
        onnxruntime,
        "get_available_providers",
        lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"],
    )
    write_manifest(folder, dataclasses.replace(read_manifest(folder), provider="cuda"))
    with pytest.raises(UserError, match=r"its library does not load here \(.*cannot open shared"):
        open_engine(folder)
    monkeypatch.setattr(onnxruntime_session, "_load_library", lambda *_: None)
    with (
        pytest.warns(UserWarning, match="CUDAExecutionProvider"),
        pytest.raises(UserError, match="provider cuda was asked for, ONNX Runtime took CPU"),
    ):
        open_engine(folder)


@pytest.mark.gpu
@pytest.mark.parametrize(("recipe", "tolerance"), [("fp32", 1e-3), ("fp16", 2e-2)])
def test_the_real_cuda_provider(
    bundle: Path, make_images: Images, recipe: str, tolerance: float
) -> None:
    """Every batch size plainly, captured and replayed; the answers are those of the CPU."""
    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        pytest.skip("this ONNX Runtime has no CUDA provider")
    folder = build_engine(
        bundle, recipe, "onnxruntime", profiles=(PROFILE,), options=BuildOptions(provider="cuda")
    )
    on_cpu = create_session(bundle / "fp32.onnx", "cpu")
    with open_engine(folder) as engine:
        assert engine.metadata()["device"]["cuda_graphs"] is True
        for batch in (1, 3, 4, 1, 3, 3, 1, 4, 4, 1):
            images = make_images(batch)
            expected = run_session(on_cpu, {"image": images})
            told: list[str] = []
            for name, values in engine.infer({"image": images}, mark=told.append).items():
                assert tuple(told) == STEPS
                scale = np.abs(expected[name]).max()
                np.testing.assert_allclose(values, expected[name], atol=tolerance * scale)
