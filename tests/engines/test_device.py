"""One contract for both packages that drive the GPU: over stand-ins, and over the real ones."""

from collections.abc import Callable, Iterator

import numpy as np
import pytest
import standins
from standins.gpu import GpuError

from engines.device import Device, DeviceError, open_device
from engines.device_graphs import Graph, graphs_installed
from engines.errors import UserError

SIZE = 1000
PACKAGES = ["pycuda", "cuda.bindings"]


@pytest.fixture(
    params=[
        *(pytest.param((name, True), id=f"{name}-standin") for name in PACKAGES),
        *(pytest.param((name, False), id=name, marks=pytest.mark.gpu) for name in PACKAGES),
    ]
)
def device(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Device]:
    """An open device; of a stand-in nothing may be left over after it is closed."""
    package, standin = request.param
    if standin:
        gpu = standins.install(monkeypatch, *PACKAGES)
    else:
        pytest.importorskip(package)
    monkeypatch.setattr("engines.device.installed", lambda name: name == package)
    device = open_device()
    yield device
    device.close()
    device.close()
    if standin:
        del device
        assert gpu.left_over() == {}


def test_what_goes_in_comes_out(device: Device) -> None:
    values = np.random.default_rng(0).integers(0, 256, SIZE, np.uint8)
    with device.current():
        there = device.allocate(SIZE)
        source, target = device.page_locked(SIZE), device.page_locked(SIZE)
        source[...] = values
        target[...] = 0
        device.copy_in(there, source)
        device.copy_out(target, there)
        device.synchronize()
        np.testing.assert_array_equal(target, values)
    assert there % 256 == 0


def test_parts_of_buffers_are_copied(device: Device) -> None:
    with device.current():
        there = device.allocate(SIZE)
        host = device.page_locked(SIZE)
        host[...] = 1
        device.copy_in(there, host)
        device.synchronize()
        part = host[:80].view(np.float32).reshape(4, 5)
        part[...] = 3.5
        device.copy_in(there, part)
        device.synchronize()
        host[...] = 0
        device.copy_out(host, there)
        device.synchronize()
    assert (host[:80].view(np.float32) == 3.5).all()
    assert (host[80:] == 1).all()


def test_the_clock_measures_what_lies_between(device: Device) -> None:
    with device.current():
        there = device.allocate(SIZE)
        host = device.page_locked(SIZE)
        device.start_clock()
        device.copy_in(there, host)
        device.stop_clock()
        device.synchronize()
        assert device.milliseconds() > 0


def test_another_stream_is_waited_for(device: Device) -> None:
    with device.current():
        device.wait_for(device.stream)
    assert device.stream


def test_a_second_device_shares_the_context(device: Device) -> None:
    other = open_device()
    with device.current():
        there = device.allocate(SIZE)
        with other.current():
            host = other.page_locked(SIZE)
            host[...] = 7
            other.copy_in(there, host)
            other.synchronize()
        target = device.page_locked(SIZE)
        device.copy_out(target, there)
        device.synchronize()
        assert (target == 7).all()
    assert other.stream != device.stream
    other.close()


@pytest.fixture(params=PACKAGES)
def package(request: pytest.FixtureRequest) -> str:
    return str(request.param)


FAILURES: dict[str, Callable[[Device], object]] = {
    "cuMemAlloc": lambda device: device.allocate(SIZE),
    "cuMemHostAlloc": lambda device: device.page_locked(SIZE),
    "cuMemcpyHtoDAsync": lambda device: device.copy_in(
        device.allocate(SIZE), device.page_locked(SIZE)
    ),
    "cuMemcpyDtoHAsync": lambda device: device.copy_out(
        device.page_locked(SIZE), device.allocate(SIZE)
    ),
    "cuEventRecord": lambda device: device.start_clock(),
    "cuEventElapsedTime": lambda device: device.milliseconds(),
    "cuStreamSynchronize": lambda device: device.synchronize(),
}


@pytest.mark.parametrize("call", FAILURES)
def test_every_failure_is_told(package: str, call: str, monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = standins.install(monkeypatch, package)
    device = open_device()
    gpu.failing[call] = 2
    with device.current(), pytest.raises(DeviceError, match="expected") as caught:
        FAILURES[call](device)
    assert "\n" not in str(caught.value)
    gpu.failing.clear()
    device.close()
    del device, caught
    assert gpu.left_over() == {}


@pytest.mark.parametrize(
    "call", ["cuInit", "cuDevicePrimaryCtxRetain", "cuCtxPushCurrent", "cuStreamCreate"]
)
def test_a_gpu_that_does_not_open(package: str, call: str, monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = standins.install(monkeypatch, package)
    gpu.failing[call] = 100 if package == "pycuda" else 400
    with pytest.raises(DeviceError):
        open_device()
    assert not gpu.contexts


def test_the_error_says_what_came(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = standins.install(monkeypatch, "cuda.bindings")
    device = open_device()
    gpu.failing["cuMemAlloc"] = 2
    with (
        device.current(),
        pytest.raises(DeviceError, match=r"cuMemAlloc of 1000 bytes returned 2 \(out_of_memory\)"),
    ):
        device.allocate(SIZE)
    device.close()


def test_the_threads_own_context_comes_back(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = standins.install(monkeypatch, package)
    device = open_device()
    gpu.contexts.append(0x70)  # another library's
    with pytest.raises(GpuError), device.current():
        raise GpuError(1)
    assert gpu.contexts == [0x70]
    gpu.contexts.clear()
    device.close()


def test_no_package_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    standins.install(monkeypatch)
    with pytest.raises(UserError, match=r"needs PyCUDA or cuda-python, neither is installed"):
        open_device()
    assert not graphs_installed()


def test_pycuda_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    standins.install(monkeypatch, *PACKAGES)
    device = open_device()
    assert device.package == "pycuda"
    assert graphs_installed()
    device.close()


def test_a_graph_repeats_what_was_recorded(device: Device) -> None:
    """Captured by cuda-python over either package's stream."""
    if not graphs_installed():
        pytest.skip("cuda-python is not installed")
    with device.current():
        there, host = device.allocate(SIZE), device.page_locked(SIZE)
        host[...] = 5
        device.copy_in(there, host)
        device.synchronize()
        graph = Graph(device.stream, lambda: device.copy_out(host, there))
        host[...] = 1
        device.synchronize()
        assert (host == 1).all()  # recording runs nothing
        for value in (2, 3):
            host[...] = value
            graph.launch()
            device.synchronize()
            assert (host == 5).all()
        graph.close()
        graph.close()


def test_a_capture_that_fails_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = standins.install(monkeypatch, "cuda.bindings")
    device = open_device()
    with device.current():
        with pytest.raises(DeviceError, match="cuStreamSynchronize returned 901"):
            Graph(device.stream, device.synchronize)
        device.synchronize()
        gpu.failing["cuGraphInstantiate"] = 2
        with pytest.raises(DeviceError, match="cuGraphInstantiate returned 2"):
            Graph(device.stream, lambda: None)
        with pytest.raises(KeyError):
            Graph(device.stream, lambda: {}["missing"])
    device.close()
    assert gpu.left_over() == {}
