"""Running a plan: over stand-ins for TensorRT and CUDA, and, marked gpu, over the real ones."""

import importlib
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import standins
from standins.gpu import Gpu
from standins.plans import (
    GPUS,
    PROFILES,
    need_real,
    plan_text,
    put_machine,
    standin_answers,
    write_engine,
)

from engines import runtime, tensorrt_runner
from engines.building import build_engine
from engines.device import DeviceError
from engines.errors import ContractError, UserError
from engines.manifest import BatchProfile, write_manifest
from engines.onnxruntime_session import create_session, run_session
from engines.runtime import open_engine
from engines.steps import STEPS
from engines.tensorrt_engine import TensorRTEngine

Images = Callable[[int], np.ndarray]


@dataclass
class Opened:
    """An open engine and what it must answer."""

    engine: TensorRTEngine
    answers: Callable[[np.ndarray], dict[str, np.ndarray]]
    tolerance: float

    def check(self, outputs: dict[str, np.ndarray], images: np.ndarray) -> None:
        expected = self.answers(images)
        assert sorted(outputs) == sorted(expected)
        for name, values in expected.items():
            np.testing.assert_allclose(outputs[name], values, atol=self.tolerance, err_msg=name)


BACKENDS = [
    pytest.param(("tensorrt", ("cuda.bindings",)), id="tensorrt, cuda-python"),
    pytest.param(("tensorrt", ("pycuda", "cuda.bindings")), id="tensorrt, PyCUDA, cuda-python"),
    pytest.param(("tensorrt", ("pycuda",)), id="tensorrt, PyCUDA"),
    pytest.param(("tensorrt-rtx", ("cuda.bindings",)), id="tensorrt-rtx, cuda-python"),
    pytest.param(("tensorrt", ()), id="the real tensorrt", marks=pytest.mark.gpu),
    pytest.param(("tensorrt-rtx", ()), id="the real tensorrt-rtx", marks=pytest.mark.gpu),
]


@pytest.fixture(params=BACKENDS)
def opened(
    request: pytest.FixtureRequest, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Opened]:
    """An engine with two profiles. Of a stand-in nothing may be left over at the end."""
    flavour, packages = request.param
    if packages:
        gpu = put_machine(monkeypatch, flavour, *packages)
        folder = write_engine(bundle, flavour, plan_text(bundle))
        answers, tolerance = standin_answers, 0.0
    else:
        need_real(flavour)
        folder = build_engine(bundle, "fp32", flavour, profiles=PROFILES)
        session = create_session(bundle / "fp32.onnx", "cpu")
        tolerance = 1e-3

        def answers(images: np.ndarray) -> dict[str, np.ndarray]:
            return run_session(session, {"image": images})

    engine = open_engine(folder)
    assert isinstance(engine, TensorRTEngine)
    yield Opened(engine, answers, tolerance)
    engine.close()
    engine.close()
    if packages:
        del engine
        assert gpu.left_over() == {}


def test_differing_batches_each_several_times(opened: Opened, make_images: Images) -> None:
    for batch in (1, 8, 3, 1, 40, 8, 3, 1, 1, 40, 9):
        images = make_images(batch)
        opened.check(opened.engine.infer({"image": images}), images)
    assert opened.engine.gpu_milliseconds is not None
    assert opened.engine.gpu_milliseconds > 0


def test_answers_belong_to_the_caller(opened: Opened, make_images: Images) -> None:
    first, second = make_images(2), 255 - make_images(2)
    outputs = opened.engine.infer({"image": first})
    opened.engine.infer({"image": second})
    opened.check(outputs, first)
    again = opened.engine.infer({"image": second}, out=outputs)
    assert again["params"] is outputs["params"]
    opened.check(outputs, second)


def test_graphs_change_nothing(opened: Opened, make_images: Images) -> None:
    images = make_images(5)
    plain = opened.engine.infer({"image": images})
    for _ in range(3):
        outputs = opened.engine.infer({"image": images})
        for name, values in plain.items():
            np.testing.assert_array_equal(outputs[name], values)
    opened.engine.graphs = False
    opened.check(opened.engine.infer({"image": images}), images)


def test_a_step_is_told_when_the_gpu_has_done_it(opened: Opened, make_images: Images) -> None:
    """A stand-in works only when a stream is waited for; so nothing is left on it at a mark."""
    images, told = make_images(3), []
    runner = opened.engine._runner

    def mark(step: str) -> None:
        told.append(step)
        stream = standins._gpu.gpu().streams.get(runner.stream)  # none of a real GPU
        assert stream is None or not stream.queue

    for _ in range(3):  # plainly, captured, replayed
        opened.check(opened.engine.infer({"image": images}, mark=mark), images)
    assert told == [*STEPS] * 3


def test_the_engines_own_device_arrays(opened: Opened, make_images: Images) -> None:
    """A pipeline writes its images where the engine reads them; here by a plain inference."""
    images = make_images(3)
    opened.engine.infer({"image": images})  # leaves its input in the buffer
    for _ in range(3):
        inputs = opened.engine.device_inputs(3)
        outputs = opened.engine.infer_device(inputs)
        assert {name: array.shape for name, array in outputs.items()} == {
            "landmarks": (3, 68, 2),
            "params": (3, 413),
            "rotation": (3, 3, 3),
        }
    again = opened.engine.infer({"image": images})
    opened.check(again, images)


def test_twins_share_the_weights_and_nothing_else(opened: Opened, make_images: Images) -> None:
    twins = [opened.engine.twin() for _ in range(3)]

    def work(engine: TensorRTEngine) -> None:
        for batch in (1, 2, 7, 2, 2, 1):
            images = make_images(batch)
            opened.check(engine.infer({"image": images}), images)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, [opened.engine, *twins]))
    opened.engine.close()
    work(twins[0])
    for twin in twins:
        twin.close()
    with pytest.raises(ContractError, match="is closed"):
        twins[0].twin()


REAL = [pytest.param(name, marks=pytest.mark.gpu) for name in GPUS]


@pytest.mark.parametrize("flavour", REAL)
def test_a_real_build_leaves_its_layer_table(bundle: Path, flavour: str) -> None:
    need_real(flavour)
    folder = build_engine(bundle, "fp16", flavour)
    table = json.loads((folder / "layers.json").read_text())
    assert sum(table["flops"].values()) == pytest.approx(1)
    assert table["flops"]["half"] + table["flops"]["untold"] >= 0.44
    assert table["Layers"]


@pytest.mark.parametrize("flavour", REAL)
def test_torch_in_the_same_process(bundle: Path, flavour: str, make_images: Images) -> None:
    """Both use the primary context; arrays go from torch to the engine and back uncopied."""
    torch = pytest.importorskip("torch")
    need_real(flavour)
    if not torch.cuda.is_available():
        pytest.skip("this torch has no CUDA")
    folder = build_engine(bundle, "fp32", flavour)
    images = make_images(3)
    with open_engine(folder) as engine:
        assert isinstance(engine, TensorRTEngine)
        expected = engine.infer({"image": images})
        for _ in range(3):
            there = torch.from_numpy(images).cuda()
            product = (torch.ones(64, 64, device="cuda") @ torch.ones(64, 64, device="cuda")).sum()
            outputs = engine.infer_device({"image": there})
            params = torch.from_dlpack(outputs["params"])
            assert params.is_cuda
            np.testing.assert_allclose(params.cpu().numpy(), expected["params"], atol=1e-4)
            assert product.item() == 64**3
            again = engine.infer({"image": images})
            np.testing.assert_array_equal(again["params"], expected["params"])


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Gpu:
    return put_machine(monkeypatch, "tensorrt", "cuda.bindings")


@pytest.fixture
def open_plan(bundle: Path, gpu: Gpu) -> Iterator[Callable[..., TensorRTEngine]]:
    """Open a stand-in's plan with changes; whatever happens, all is given back."""
    engines: list[TensorRTEngine] = []

    def make(**changes: Any) -> TensorRTEngine:
        engine = open_engine(write_engine(bundle, "tensorrt", plan_text(bundle, **changes)))
        assert isinstance(engine, TensorRTEngine)
        engines.append(engine)
        return engine

    yield make
    while engines:
        engines.pop().close()
    assert gpu.left_over() == {}


def since(gpu: Gpu, count: int) -> list[str]:
    """The calls of interest after the first `count`."""
    chosen = ("Capture", "Graph", "execute", "Alloc", "profile", "create_execution", "Memcpy")
    return [call for call in gpu.calls[count:] if any(word in call for word in chosen)]


def test_a_graph_is_captured_after_one_plain_run(
    gpu: Gpu, open_plan: Callable[..., TensorRTEngine], make_images: Images
) -> None:
    engine, copies_out = open_plan(), ["cuMemcpyDtoHAsync"] * 3
    runs = []
    for _ in range(3):
        count = len(gpu.calls)
        engine.infer({"image": make_images(2)})
        runs.append(since(gpu, count))
    plain, capture, launch = runs
    assert plain == [
        "create_execution_context",
        "profile 0",
        "cuMemcpyHtoDAsync",
        "execute_async_v3",
        *copies_out,
    ]
    assert capture == [
        "cuMemcpyHtoDAsync",
        "cuStreamBeginCapture",
        "execute_async_v3",
        "cuStreamEndCapture",
        "cuGraphInstantiate",
        "cuGraphDestroy",
        "cuGraphLaunch",
        *copies_out,
    ]
    assert launch == ["cuMemcpyHtoDAsync", "cuGraphLaunch", *copies_out]
    count = len(gpu.calls)
    engine.infer({"image": make_images(3)})  # a graph holds for one shape
    assert "cuGraphLaunch" not in since(gpu, count)


def test_memory_is_taken_once(
    gpu: Gpu, open_plan: Callable[..., TensorRTEngine], make_images: Images
) -> None:
    engine = open_plan()
    count = len(gpu.calls)
    for batch in (1, 40, 2, 40, 2, 17):
        engine.infer({"image": make_images(batch)})
    assert not [call for call in since(gpu, count) if "Alloc" in call]
    assert len(gpu.memory) == 5  # scratch, one input, three outputs
    assert len(gpu.host_memory) == 4


def test_the_narrowest_profile_is_taken(
    gpu: Gpu, open_plan: Callable[..., TensorRTEngine], make_images: Images
) -> None:
    engine = open_plan()
    count = len(gpu.calls)
    for batch in (1, 8, 4, 9, 40):
        engine.infer({"image": make_images(batch)})
    profiles = [call for call in since(gpu, count) if call.startswith("profile")]
    assert profiles == ["profile 0", "profile 0", "profile 0", "profile 1", "profile 1"]


def test_a_batch_out_of_range_names_both_numbers(
    open_plan: Callable[..., TensorRTEngine], make_images: Images
) -> None:
    engine = open_plan()
    with pytest.raises(ContractError, match=r"batch 41 came; engine plan takes 1 to 8 or 4 to 40;"):
        engine.infer({"image": make_images(41)})
    with pytest.raises(ContractError, match=r"image came as uint8 \[0, 16, 16, 3\]; .*at least 1"):
        engine.device_inputs(0)


def test_only_so_many_shapes_are_kept(
    gpu: Gpu,
    open_plan: Callable[..., TensorRTEngine],
    make_images: Images,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tensorrt_runner, "KEPT_SHAPES", 2)
    engine = open_plan()
    for batch in (1, 1, 2, 2, 3, 3, 3, 1, 1, 1):
        images = make_images(batch)
        np.testing.assert_array_equal(
            engine.infer({"image": images})["params"], standin_answers(images)["params"]
        )
        assert len(gpu.graphs) <= 2


def test_without_cuda_python_there_are_no_graphs(
    bundle: Path, monkeypatch: pytest.MonkeyPatch, make_images: Images
) -> None:
    gpu = put_machine(monkeypatch, "tensorrt", "pycuda")
    with open_engine(write_engine(bundle, "tensorrt", plan_text(bundle))) as engine:
        assert isinstance(engine, TensorRTEngine)
        assert engine.metadata()["device"] == {"package": "pycuda", "cuda_graphs": False}
        for _ in range(3):
            engine.infer({"image": make_images(1)})
        assert gpu.calls.count("execute_async_v3") == 3
        with pytest.raises(UserError, match=r"cuda-python, which captures them, is not installed"):
            engine.graphs = True


@pytest.mark.parametrize(
    ("call", "said"),
    [
        ("cuStreamEndCapture", r"no CUDA graph: cuStreamEndCapture returned 2 .*graphs = False"),
        ("cuStreamBeginCapture", r"no CUDA graph: cuStreamBeginCapture returned 2"),
        ("cuGraphLaunch", r"cuGraphLaunch returned 2"),
    ],
)
def test_a_capture_that_fails_says_how_to_do_without(
    gpu: Gpu,
    open_plan: Callable[..., TensorRTEngine],
    make_images: Images,
    call: str,
    said: str,
) -> None:
    engine, images = open_plan(), make_images(2)
    engine.infer({"image": images})
    gpu.failing[call] = 2
    with pytest.raises(DeviceError, match=said):
        engine.infer({"image": images})
    gpu.failing.clear()
    for stream in gpu.streams.values():
        stream.recorded = None
    engine.graphs = False
    np.testing.assert_array_equal(
        engine.infer({"image": images})["params"], standin_answers(images)["params"]
    )


@pytest.mark.parametrize("call", ["cuMemcpyHtoDAsync", "cuMemcpyDtoHAsync", "cuStreamSynchronize"])
def test_a_failing_call_is_told(
    gpu: Gpu, open_plan: Callable[..., TensorRTEngine], make_images: Images, call: str
) -> None:
    engine = open_plan()
    gpu.failing[call] = 700
    with pytest.raises(DeviceError, match=rf"{call} returned 700 \(illegal_address\)"):
        engine.infer({"image": make_images(1)})
    gpu.failing.clear()


def test_a_gpu_without_room_is_told_and_nothing_kept(
    gpu: Gpu, open_plan: Callable[..., TensorRTEngine]
) -> None:
    gpu.failing["cuMemHostAlloc"] = 2
    with pytest.raises(DeviceError, match=r"cuMemHostAlloc of 30720 bytes returned 2"):
        open_plan()
    gpu.failing.clear()


def test_what_tensorrt_refuses_becomes_an_error(
    open_plan: Callable[..., TensorRTEngine],
    make_images: Images,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    engine = open_plan()
    context = importlib.import_module("tensorrt").IExecutionContext
    for method, said in (
        ("set_optimization_profile_async", "the profile was refused"),
        ("set_input_shape", r"image \(2, 16, 16, 3\) was refused"),
        ("set_tensor_address", "the address of image was refused"),
        ("execute_async_v3", "the run was refused"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(context, method, lambda *_: False)
            with pytest.raises(DeviceError, match=rf"tensorrt failed: {said}; it said: nothing"):
                engine.infer({"image": make_images(2)})
    with monkeypatch.context() as patch:
        patch.setattr(context, "infer_shapes", lambda _self: ["image"])
        with pytest.raises(DeviceError, match="infer_shapes lacks image"):
            engine.infer({"image": make_images(3)})


def test_a_context_that_cannot_be_made(
    open_plan: Callable[..., TensorRTEngine], make_images: Images
) -> None:
    engine = open_plan(no_context=True)
    with pytest.raises(DeviceError, match=r"gave None; it said: out of memory; .*`trans3dhead bui"):
        engine.infer({"image": make_images(1)})


def test_a_plan_without_scratch_memory(
    open_plan: Callable[..., TensorRTEngine], make_images: Images
) -> None:
    images = make_images(2)
    outputs = open_plan(scratch=0).infer({"image": images})
    np.testing.assert_array_equal(outputs["params"], standin_answers(images)["params"])


def test_none_from_deserialising_is_told_with_the_log(gpu: Gpu, bundle: Path) -> None:
    folder = write_engine(bundle, "tensorrt", "cut short")
    with pytest.raises(
        ContractError,
        match=r"tensorrt 10.4.0 cannot load .*engine.plan: Serialization assertion magicTag failed."
        r"; expected a plan of this version for this GPU; rebuild: `trans3dhead build .* --force`",
    ):
        open_engine(folder)
    assert gpu.left_over() == {}


def changed(bundle: Path, changed_name: str, **fields: Any) -> list[dict[str, Any]]:
    tensors: list[dict[str, Any]] = json.loads(plan_text(bundle))["tensors"]
    return [tensor | (fields if tensor["name"] == changed_name else {}) for tensor in tensors]


@pytest.mark.parametrize(
    ("name", "fields", "said"),
    [
        ("params", {"name": "poses"}, r"list of outputs is \['landmarks', 'poses', 'rotation'\]"),
        ("image", {"dtype": "FLOAT"}, r"dtype of image is float32, expected uint8"),
        ("params", {"dtype": "HALF"}, r"dtype of params is float16, expected float32"),
        ("image", {"shape": [-1, 32, 32, 3]}, r"shape of image is \(-1, 32, 32, 3\), expected "),
        ("rotation", {"shape": [2, 3, 3]}, r"shape of rotation is \(2, 3, 3\), expected \(-1,"),
        ("params", {"input": True}, r"list of inputs is \['image', 'params'\]"),
    ],
)
def test_a_plan_of_another_contract_is_refused(
    open_plan: Callable[..., TensorRTEngine],
    bundle: Path,
    name: str,
    fields: dict[str, Any],
    said: str,
) -> None:
    with pytest.raises(ContractError, match=rf"does not keep the contract: .*{said}.*; rebuild: `"):
        open_plan(tensors=changed(bundle, name, **fields))


@pytest.mark.parametrize(
    ("profiles", "said"),
    [
        ([[1, 4, 8]], "number of profiles is 1, expected 2"),
        ([[1, 4, 8], [4, 32, 41]], r"profile 1 of image is .*\(41, 16, 16, 3\)\], not "),
    ],
)
def test_a_plan_of_other_profiles_is_refused(
    open_plan: Callable[..., TensorRTEngine], profiles: list[list[int]], said: str
) -> None:
    with pytest.raises(ContractError, match=said):
        open_plan(profiles=profiles)


def test_a_plan_of_another_gpu_is_refused_unopened(
    gpu: Gpu, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_engine(bundle, "tensorrt", plan_text(bundle))
    other = replace(GPUS["tensorrt"], gpu="H200")
    monkeypatch.setattr(runtime, "this_machine", lambda: other)
    with pytest.raises(ContractError, match=r"GPU: built with H100 \(9.0\), here H200 \(9.0\)"):
        open_engine(folder)
    assert gpu.calls == []


def interface(address: int, batch: int, **changes: Any) -> SimpleNamespace:
    described = {"shape": (batch, 16, 16, 3), "typestr": "|u1", "data": (address, False)}
    return SimpleNamespace(__cuda_array_interface__=described | {"version": 3} | changes)


def test_a_callers_device_arrays_are_read_where_they_lie(
    gpu: Gpu, open_plan: Callable[..., TensorRTEngine], make_images: Images
) -> None:
    engine, images = open_plan(), make_images(3)
    with gpu.primary():
        places = [gpu.allocate(images.nbytes, gpu.memory) for _ in range(3)]
    for number, place in enumerate(places):
        gpu.array(place, images.nbytes)[...] = (images + number).reshape(-1)
        count = len(gpu.calls)
        outputs = engine.infer_device({"image": interface(place, 3)})
        assert not [call for call in since(gpu, count) if "Memcpy" in call or "Graph" in call]
        seen = gpu.array(outputs["params"].address, outputs["params"].nbytes).view(np.float32)
        np.testing.assert_array_equal(
            seen.reshape(3, 413), standin_answers((images + number).astype(np.uint8))["params"]
        )
    # the engine's own buffers, whose graphs were never touched, still answer
    np.testing.assert_array_equal(
        engine.infer({"image": images})["params"], standin_answers(images)["params"]
    )
    for place in places:
        gpu.free(place, gpu.memory)


def test_a_callers_stream_is_waited_for(
    gpu: Gpu, open_plan: Callable[..., TensorRTEngine], make_images: Images
) -> None:
    engine, images = open_plan(), make_images(1)
    other = open_plan()
    stream = other._device.stream
    with gpu.primary():
        place = gpu.allocate(images.nbytes, gpu.memory)
        target = gpu.array(place, images.nbytes)
        gpu.put(stream, lambda: target.__setitem__(slice(None), images.reshape(-1)))
    outputs = engine.infer_device({"image": interface(place, 1, stream=stream)})
    seen = gpu.array(outputs["params"].address, outputs["params"].nbytes).view(np.float32)
    np.testing.assert_array_equal(seen.reshape(1, 413), standin_answers(images)["params"])
    gpu.free(place, gpu.memory)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"image": interface(0x1000, 3, typestr="<f4")}, r"image came as float32 \[3, 16, 16, 3\]"),
        ({"image": interface(0x1000, 3, shape=(3, 16, 16))}, r"image came as uint8 \[3, 16, 16\]"),
        ({"image": interface(0x1000, 77)}, r"batch 77 came; engine plan takes 1 to 8"),
        ({"photo": interface(0x1000, 1)}, r"inputs came as \['photo'\]; expected \['image'\]"),
        ({"image": np.zeros((1, 16, 16, 3), np.uint8)}, r"on DLPack device \(1, 0\) came"),
    ],
)
def test_device_arrays_keep_the_contract_too(
    open_plan: Callable[..., TensorRTEngine], given: dict[str, Any], said: str
) -> None:
    with pytest.raises(ContractError, match=said):
        open_plan().infer_device(given)


def test_a_closed_engine_answers_no_more(
    open_plan: Callable[..., TensorRTEngine], make_images: Images
) -> None:
    engine = open_plan()
    engine.close()
    for use in (
        lambda: engine.infer({"image": make_images(1)}),
        lambda: engine.infer_device({}),
        lambda: engine.device_inputs(1),
        engine.twin,
    ):
        with pytest.raises(ContractError, match="engine plan is closed; open it anew"):
            use()


def test_a_static_plan(static_bundle: Path, gpu: Gpu, make_images: Images) -> None:
    profile = BatchProfile(min=2, opt=2, max=2)
    text = plan_text(static_bundle, profiles=[[2, 2, 2]])
    folder = write_engine(static_bundle, "tensorrt", text)
    manifest = runtime.read_manifest(folder)
    write_manifest(folder, replace(manifest, profiles=(profile,)))
    with open_engine(folder) as engine:
        for _ in range(3):
            images = make_images(2)
            outputs = engine.infer({"image": images})
            np.testing.assert_array_equal(outputs["params"], standin_answers(images)["params"])
        assert not [call for call in gpu.calls if call.startswith("profile")]
