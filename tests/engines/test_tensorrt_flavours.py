"""What is refused before minutes are spent, and the line that mends it."""

from dataclasses import replace

import pytest

from engines import tensorrt_flavours
from engines.errors import UserError
from engines.machine import Machine
from engines.tensorrt_flavours import (
    FLAVOURS,
    Flavour,
    check_gpu,
    flavour_version,
    gpu_fault,
    import_flavour,
)

PLAIN, RTX = FLAVOURS["tensorrt"], FLAVOURS["tensorrt-rtx"]
NO_GPU = Machine(cpu="c", no_gpu="no driver")
V100 = Machine(cpu="c", gpu="Tesla V100", compute_capability="7.0", driver="535", cuda="12.6")
H100 = replace(V100, gpu="H100", compute_capability="9.0", cuda="13.0")
B200 = replace(H100, gpu="B200", compute_capability="10.0")
RTX4090 = replace(V100, gpu="RTX 4090", compute_capability="8.9", cuda="13.0")


@pytest.mark.parametrize(
    ("machine", "distribution", "version"),
    [
        (V100, "tensorrt_cu12", "10.4.0"),
        (V100, "tensorrt_cu12", "10.3.0.26"),
        (V100, "tensorrt", "10.4.0"),
        (H100, "tensorrt_cu13", "11.4.0.106"),
        (H100, "tensorrt_cu12", "10.13.3.9"),
        (B200, "tensorrt_cu12", "10.8.0"),
    ],
)
def test_what_works_together(machine: Machine, distribution: str, version: str) -> None:
    assert gpu_fault(PLAIN, machine, distribution, version) is None


@pytest.mark.parametrize(
    ("machine", "distribution", "version", "said"),
    [
        (V100, "tensorrt_cu12", "10.5.0", "10.4 is the last that serves it; install it with `pip "),
        (
            V100,
            "tensorrt_cu13",
            "11.0.0",
            "`pip uninstall --yes tensorrt tensorrt-cu13 tensorrt-cu13-bindings tensorrt-cu13-libs "
            "&& pip install 'tensorrt-cu12==10.4.*'`",
        ),
        (
            V100,
            "tensorrt_cu12",
            "10.0.1",
            "expected 10.3 or newer; install it with `pip install ",
        ),
        (H100, "tensorrt", "8.6.1", "expected 10.3 or newer; install it with `pip install --upgr"),
        (B200, "tensorrt_cu12", "10.7.0", "TensorRT 10.7.0 came, expected 10.8 or newer"),
        (replace(V100, compute_capability="6.1"), "tensorrt_cu12", "10.4.0", "begins at 7.0"),
        (
            replace(H100, cuda="12.6"),
            "tensorrt_cu13",
            "11.4.0",
            "serves CUDA 12.6; tensorrt_cu13 needs CUDA 13; .* && pip install tensorrt-cu12`",
        ),
    ],
)
def test_what_does_not(machine: Machine, distribution: str, version: str, said: str) -> None:
    with pytest.raises(AssertionError, match=said):
        raise AssertionError(gpu_fault(PLAIN, machine, distribution, version))


@pytest.mark.parametrize(
    ("machine", "flavour", "said"),
    [
        (V100, PLAIN, r"`pip install 'trans3dhead\[gpu\]' -c constraints/v100.txt`"),
        (H100, PLAIN, r"`pip install 'trans3dhead\[gpu\]'`"),
        (NO_GPU, PLAIN, r"`pip install 'trans3dhead\[gpu\]'`"),
        (V100, RTX, r"`pip install 'trans3dhead\[cpu\]'`"),
    ],
)
def test_where_there_is_none_the_line_fits_the_gpu(
    machine: Machine, flavour: Flavour, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the pins a V100 would get a TensorRT that no longer serves it."""
    monkeypatch.setattr(tensorrt_flavours, "distribution_version", lambda *_: None)
    monkeypatch.setattr(tensorrt_flavours, "this_machine", lambda: machine)
    with pytest.raises(UserError, match=said):
        flavour_version(flavour)


def test_rtx_has_its_own_list() -> None:
    assert gpu_fault(RTX, RTX4090, "tensorrt_rtx_cu13", "1.7.1.116") is None
    fault = gpu_fault(RTX, H100, "tensorrt_rtx_cu13", "1.7.1.116")
    assert fault is not None
    assert "H100 has compute capability 9.0; tensorrt-rtx 1.7.1.116 serves 7.5, 8.0, 8.6" in fault


def test_without_a_gpu_only_rtx_builds() -> None:
    check_gpu(RTX, NO_GPU, running=False)
    with pytest.raises(UserError, match=r"building a plan needs .*: no driver; .*tensorrt-rtx`"):
        check_gpu(PLAIN, NO_GPU, running=False)
    with pytest.raises(UserError, match=r"running a plan needs .*`--runtime onnxruntime`"):
        check_gpu(RTX, NO_GPU, running=True)


def test_what_is_installed_is_read_and_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    found: tuple[str, str] | None = ("tensorrt_cu13", "11.4.0")
    monkeypatch.setattr(tensorrt_flavours, "distribution_version", lambda *_: found)
    assert flavour_version(PLAIN) == "11.4.0"
    check_gpu(PLAIN, H100, running=True)
    with pytest.raises(UserError, match=r"TensorRT 11\.4\.0 came, 10\.4 is the last"):
        check_gpu(PLAIN, V100, running=False)
    found = None
    with pytest.raises(UserError, match=r"tensorrt is not installed; .*pip install 'trans3dhead\["):
        check_gpu(PLAIN, H100, running=True)


def test_libraries_that_do_not_load(monkeypatch: pytest.MonkeyPatch) -> None:
    """NVIDIA's wheels are stubs that fetch the libraries elsewhere: one may come without them."""
    monkeypatch.setattr(
        tensorrt_flavours, "distribution_version", lambda *_: ("tensorrt_cu12", "10.4.0")
    )

    def missing(_name: str) -> None:
        raise ImportError("libnvinfer.so.10: cannot open\nshared object file")

    monkeypatch.setattr(tensorrt_flavours.importlib, "import_module", missing)
    with pytest.raises(
        UserError, match=r"is installed and does not load: libnvinfer.so.10: cannot open shared ob"
    ):
        import_flavour(PLAIN)
