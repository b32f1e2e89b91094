"""Which lanes are open on which machines."""

from dataclasses import replace

import pytest

from engines.machine import Machine, this_machine
from engines.readiness import LANES, RuntimeState, onnxruntime_providers, runtime_states
from engines.runtime import RUNTIMES

NONE = Machine(cpu="c", no_gpu="no driver")
V100 = Machine(cpu="c", gpu="Tesla V100", compute_capability="7.0", cuda="12.6")
T4 = replace(V100, gpu="Tesla T4", compute_capability="7.5")
H100 = replace(V100, gpu="H100", compute_capability="9.0")
RTX4090 = replace(V100, gpu="RTX 4090", compute_capability="8.9")
P100 = replace(V100, gpu="P100", compute_capability="6.0")


def ready() -> dict[str, RuntimeState]:
    return {
        name: RuntimeState(name=name, version="1", cannot_build=None, cannot_run=None)
        for name in RUNTIMES
    }


@pytest.mark.parametrize(
    ("machine", "lanes"),
    [
        (NONE, {"cpu"}),
        (V100, {"v100", "cpu"}),
        (T4, {"datacentre", "rtx", "cpu"}),
        (H100, {"datacentre", "cpu"}),
        (RTX4090, {"datacentre", "rtx", "cpu"}),
        (P100, {"cpu"}),
    ],
)
def test_each_machine_has_its_lanes(machine: Machine, lanes: set[str]) -> None:
    assert {lane.name for lane in LANES if lane.lacks(machine, ready()) is None} == lanes


def test_a_lane_says_what_is_in_the_way() -> None:
    lanes = {lane.name: lane for lane in LANES}
    assert lanes["v100"].lacks(NONE, ready()) == "needs a V100, here: no driver"
    said = lanes["rtx"].lacks(H100, ready())
    assert said == "needs a GeForce or RTX GPU from Turing on, here: H100, compute capability 9.0"
    states = ready()
    states["tensorrt"] = replace(states["tensorrt"], cannot_run="tensorrt is not installed")
    assert lanes["datacentre"].lacks(H100, states) == "tensorrt is not installed"


def test_here() -> None:
    pytest.importorskip("onnxruntime")
    states = runtime_states()
    assert sorted(states) == sorted(RUNTIMES)
    assert states["onnxruntime"].version
    assert states["onnxruntime"].cannot_run is None
    assert "CPUExecutionProvider" in onnxruntime_providers()
    if this_machine().gpu is None:
        said = states["tensorrt"].cannot_run
        assert said is not None
        assert "install" in said or "needs the NVIDIA GPU" in said
