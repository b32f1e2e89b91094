"""The two flavours of TensorRT, their versions, and what is checked before minutes are spent."""

import importlib
import importlib.metadata
import importlib.util
from dataclasses import dataclass
from typing import Any

from engines.errors import UserError, one_line
from engines.machine import Machine, this_machine

VOLTA, TURING = (7, 0), (7, 5)
VOLTA_LAST = (10, 4)
"""The last TensorRT with sm_70."""

VOLTA_INSTALL = "pip install 'trans3dhead[gpu]' -c constraints/v100.txt"
"""What a V100 needs and other GPUs do not."""

OLDEST = (10, 3)
"""The oldest TensorRT whose API this code keeps to (tests/data)."""

BLACKWELL, BLACKWELL_FIRST = (10, 0), (10, 8)
"""Compute capability of the first Blackwell GPU, and the first TensorRT that builds for it."""


@dataclass(frozen=True, kw_only=True)
class Flavour:
    """What differs between the two."""

    name: str
    module: str
    distributions: tuple[str, ...]
    """Under one of these names pip knows it; the libraries' CUDA version stands in the name."""
    install: str
    builds_without_gpu: bool
    capabilities: tuple[tuple[int, int], ...] | None
    """Compute capabilities it serves, where they do not depend on its version."""


FLAVOURS = {
    flavour.name: flavour
    for flavour in (
        Flavour(
            name="tensorrt",
            module="tensorrt",
            distributions=("tensorrt_cu13", "tensorrt_cu12", "tensorrt_cu11", "tensorrt"),
            install="pip install 'trans3dhead[gpu]'",
            builds_without_gpu=False,
            capabilities=None,
        ),
        Flavour(
            name="tensorrt-rtx",
            module="tensorrt_rtx",
            distributions=("tensorrt_rtx_cu13", "tensorrt_rtx_cu12", "tensorrt_rtx"),
            install="pip install 'trans3dhead[cpu]'",
            builds_without_gpu=True,
            # its ComputeCapability enumeration; 1.7.1 built a plan on an H100 and then refused to
            # load it: "TensorRT-RTX does not support this compute capability"
            capabilities=((7, 5), (8, 0), (8, 6), (8, 9), (12, 0), (12, 1)),
        ),
    )
}


def flavour_version(flavour: Flavour) -> str:
    """The installed version; a UserError with the line that installs it."""
    return _installed(flavour)[1]


def import_flavour(flavour: Flavour) -> Any:
    """The flavour's module; a UserError where its libraries do not load."""
    flavour_version(flavour)
    try:
        return importlib.import_module(flavour.module)
    except (ImportError, OSError) as error:
        raise UserError(
            f"{flavour.module} is installed and does not load: {one_line(error)}; expected its "
            f"libraries beside it; install it anew with `{flavour.install}`"
        ) from None


def distribution_version(module: str, distributions: tuple[str, ...]) -> tuple[str, str] | None:
    """Name and version of the distribution that brings a module; libraries are not loaded."""
    if importlib.util.find_spec(module) is not None:
        for name in distributions:
            try:
                return name, importlib.metadata.version(name)
            except importlib.metadata.PackageNotFoundError:
                continue
    return None


def check_gpu(flavour: Flavour, machine: Machine, *, running: bool) -> None:
    """Refuse a GPU, a driver or a TensorRT that cannot work together, and say what can.

    Args:
        running: whether a plan is to be run; otherwise it is to be built.

    Raises:
        UserError: what is here, what is needed, what to type.
    """
    if machine.gpu is None or machine.compute_capability is None:
        if not running and flavour.builds_without_gpu:
            return
        doing = "running a plan" if running else "building a plan"
        raise UserError(
            f"runtime {flavour.name} came; {doing} needs the NVIDIA GPU it is for, here: "
            f"{machine.no_gpu}; do it on such a machine, or "
            + ("build with `--runtime onnxruntime`" if running else "`--runtime tensorrt-rtx`")
        )
    if not running and flavour.builds_without_gpu:
        return
    distribution, version = _installed(flavour)
    fault = gpu_fault(flavour, machine, distribution, version)
    if fault is not None:
        raise UserError(fault)


def gpu_fault(flavour: Flavour, machine: Machine, distribution: str, version: str) -> str | None:
    """Why a TensorRT cannot run on a machine's GPU, and what to type; None where it can."""
    assert machine.compute_capability is not None
    capability = _numbers(machine.compute_capability)
    gpu = f"{machine.gpu} has compute capability {machine.compute_capability}"
    if flavour.capabilities is not None:
        if capability not in flavour.capabilities:
            served = ", ".join(f"{major}.{minor}" for major, minor in flavour.capabilities)
            return (
                f"{gpu}; {flavour.name} {version} serves {served}; "
                "build with `--runtime tensorrt` there"
            )
    elif (fault := _version_fault(gpu, capability, distribution, version)) is not None:
        return fault
    return _driver_fault(machine, distribution)


def _version_fault(
    gpu: str, capability: tuple[int, int], distribution: str, version: str
) -> str | None:
    """What keeps a version of plain TensorRT from a GPU."""
    numbers = _numbers(version)
    for_volta = _replacement(distribution, "tensorrt-cu12", "==10.4.*")
    if capability < VOLTA:
        return f"{gpu}; TensorRT 10 begins at 7.0; build with `--runtime onnxruntime`"
    if capability < TURING and numbers > VOLTA_LAST:
        return (
            f"{gpu}; TensorRT {version} came, 10.4 is the last that serves it; "
            f"install it with `{for_volta}`"
        )
    newer = for_volta if capability < TURING else "pip install --upgrade tensorrt"
    first = BLACKWELL_FIRST if capability >= BLACKWELL else OLDEST
    if numbers < first:
        return (
            f"{gpu}; TensorRT {version} came, expected {first[0]}.{first[1]} or newer; "
            f"install it with `{newer}`"
        )
    return None


def _driver_fault(machine: Machine, distribution: str) -> str | None:
    """What keeps a driver from libraries built for a CUDA version."""
    major = distribution.rpartition("_cu")[2]
    if machine.cuda is None or not major.isdigit() or _numbers(machine.cuda)[0] >= int(major):
        return None
    served = f"{distribution.replace('_', '-')[: -len(major)]}{machine.cuda.split('.')[0]}"
    return (
        f"the driver of {machine.gpu} serves CUDA {machine.cuda}; {distribution} needs CUDA "
        f"{major}; update the driver, or install a build for its CUDA: "
        f"`{_replacement(distribution, served)}`"
    )


def _replacement(distribution: str, package: str, version: str = "") -> str:
    """The line that puts `package` in the place of an installed distribution.

    Builds for two CUDA versions are packages of two names over the same files: the one here goes
    first, with what it brought.
    """
    install = f"pip install '{package}{version}'" if version else f"pip install {package}"
    if distribution.replace("_", "-") == package:
        return install
    name = distribution.replace("_", "-")
    gone = dict.fromkeys((name.partition("-cu")[0], name, f"{name}-bindings", f"{name}-libs"))
    return f"pip uninstall --yes {' '.join(gone)} && {install}"


def _installed(flavour: Flavour) -> tuple[str, str]:
    found = distribution_version(flavour.module, flavour.distributions)
    if found is None:
        capability = this_machine().compute_capability
        plain = flavour.capabilities is None
        on_volta = plain and capability is not None and VOLTA <= _numbers(capability) < TURING
        install = VOLTA_INSTALL if on_volta else flavour.install
        raise UserError(
            f"{flavour.module} is not installed; expected one of the packages "
            f"{', '.join(flavour.distributions)}; install it with `{install}`"
        )
    return found


def _numbers(version: str) -> tuple[int, int]:
    """Major and minor."""
    major, minor = version.split(".")[:2]
    return int(major), int(minor)
