"""TensorRT and TensorRT-RTX: plans for NVIDIA GPUs, built in a process of their own.

Polygraphy decides between the two flavours once a process, and both register the same C++ types;
so each build has its own process (`tensorrt_worker`). A crash of the builder then becomes an error.
"""

import importlib.metadata
import importlib.util
import json
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from engines.bundle import Bundle
from engines.contract import RecipeEntry
from engines.errors import BuildError, UserError
from engines.machine import Machine, this_machine
from engines.manifest import Manifest
from engines.options import BuildOptions
from engines.precision import Effective
from engines.runtime import BuildOrder, BuiltFile, Engine, Progress, Runtime

PLAN_FILE = "engine.plan"
"""The plan as TensorRT gave it, with nothing in front: trtexec opens it."""

OPTIMIZATION_LEVELS = range(6)
VOLTA = "7.0"
VOLTA_LAST = (10, 4)
"""The last TensorRT with sm_70."""


@dataclass(frozen=True, kw_only=True)
class Flavour:
    """What differs between the two."""

    module: str
    distributions: tuple[str, ...]
    """Under one of these names pip knows it."""
    install: str
    builds_without_gpu: bool


FLAVOURS = {
    "tensorrt": Flavour(
        module="tensorrt",
        distributions=("tensorrt", "tensorrt_cu13", "tensorrt_cu12", "tensorrt_cu11"),
        install="pip install 'trans3dhead[gpu]'",
        builds_without_gpu=False,
    ),
    "tensorrt-rtx": Flavour(
        module="tensorrt_rtx",
        distributions=("tensorrt_rtx_cu13", "tensorrt_rtx_cu12", "tensorrt_rtx"),
        install="pip install 'trans3dhead[cpu]'",
        builds_without_gpu=True,
    ),
}


def runtime(name: str) -> Runtime:
    """The runtime of this module for a flavour."""
    return TensorRT(name)


class TensorRT(Runtime):
    """Builds plans with either flavour."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._flavour = FLAVOURS[name]
        self.options = frozenset({"optimization_level"})

    def version(self) -> str:
        return _version(self._flavour.module, self._flavour.distributions, self._flavour.install)

    def bound_to_gpu(self, provider: str) -> bool:
        return not self._flavour.builds_without_gpu

    def settle(
        self, recipe: str, entry: RecipeEntry, options: BuildOptions
    ) -> tuple[str, dict[str, Any]]:
        optimization_level = options.optimization_level
        if optimization_level not in (None, *OPTIMIZATION_LEVELS):
            raise UserError(f"--optimization-level {optimization_level} came; expected 0 to 5")
        polygraphy = _version("polygraphy", ("polygraphy",), self._flavour.install)
        version = self.version()
        if not self._flavour.builds_without_gpu:
            check_gpu(this_machine(), version)
        return self.name, {"optimization_level": optimization_level, "polygraphy": polygraphy}

    def build(self, order: BuildOrder, folder: Path, progress: Progress) -> BuiltFile:
        """Have the worker write the plan; its messages become progress or one error."""
        task = {
            "flavour": self.name,
            "graph": str(order.graph),
            "plan": str(folder / PLAN_FILE),
            "inputs": {spec.name: spec.axes for spec in order.contract.inputs},
            "outputs": [spec.name for spec in order.contract.outputs],
            "profiles": [asdict(profile) for profile in order.profiles],
            "optimization_level": order.settings["optimization_level"],
            "promised": order.recipe.low_flops_share,
            "workspace": None,
            "timing_cache": None,
            "layers": None,
        }
        found = _run_worker(task, progress)
        return BuiltFile(
            name=PLAN_FILE,
            effective=Effective(
                precision=order.recipe.precision,
                low_flops_promised=order.recipe.low_flops_share,
                low_flops_found=found,
            ),
        )

    def open(self, bundle: Bundle, manifest: Manifest, path: Path, threads: int | None) -> Engine:
        machine = this_machine()
        if machine.gpu is None:
            raise UserError(
                f"{path} is a plan of {self.name}; running it needs an NVIDIA GPU with its driver, "
                f"here: {machine.no_gpu}; run it on such a machine, "
                "or build with `--runtime onnxruntime`"
            )
        raise UserError(
            f"{path} is a plan of {self.name}; this version builds plans and does not run them; "
            "load it with trtexec or TensorRT's API, or build with "
            "`--runtime onnxruntime --provider tensorrt`"
        )


def check_gpu(machine: Machine, version: str) -> None:
    """Before minutes are spent: is there a GPU, and does this TensorRT still serve it?"""
    if machine.gpu is None:
        raise UserError(
            "runtime tensorrt came; building a plan needs the GPU it will run on, here: "
            f"{machine.no_gpu}; build there, or build with `--runtime tensorrt-rtx`"
        )
    numbers = tuple(int(part) for part in version.split(".")[:2])
    if machine.compute_capability == VOLTA and numbers > VOLTA_LAST:
        raise UserError(
            f"{machine.gpu} has compute capability {VOLTA}; TensorRT {version} came, 10.4 is the "
            "last that serves it; install it with `pip install 'tensorrt-cu12==10.4.*'`"
        )


def _version(module: str, distributions: tuple[str, ...], install: str) -> str:
    """The installed version, read without loading the libraries."""
    if importlib.util.find_spec(module) is not None:
        for name in distributions:
            try:
                return importlib.metadata.version(name)
            except importlib.metadata.PackageNotFoundError:
                continue
    raise UserError(
        f"{module} is not installed; expected one of the packages {', '.join(distributions)}; "
        f"install it with `{install}`"
    )


def _run_worker(task: dict[str, Any], progress: Progress) -> float:
    """Run the worker; returns the share of FLOPs in half that the parsed network has."""
    # -P: a bundle holds a folder `engines` too, and may be where we are
    command = [sys.executable, "-P", "-m", "engines.tensorrt_worker", json.dumps(task)]
    result: dict[str, Any] = {}
    with (
        tempfile.TemporaryFile("w+") as spoken,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=spoken, text=True) as worker,
    ):
        assert worker.stdout is not None
        try:
            for line in worker.stdout:
                message = json.loads(line)
                if "progress" in message:
                    progress(*message["progress"])
                else:
                    result = message
        except BaseException:
            worker.kill()
            raise
        code = worker.wait()
        spoken.seek(0)
        tail = " | ".join(spoken.read().split("\n")[-4:]).strip(" |")
    if "fault" in result:
        raise BuildError(result["fault"])
    if "found" not in result:
        raise BuildError(
            f"the builder's process ended with code {code} and no plan; code -9 is a lack of "
            f"memory; it said: {tail or 'nothing'}"
        )
    return float(result["found"])
