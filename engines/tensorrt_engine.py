"""TensorRT and TensorRT-RTX: plans for NVIDIA GPUs, built in a process of their own, run in this.

Polygraphy decides between the two flavours once a process, and both register the same C++ types;
so each build has its own process (`tensorrt_worker`). A crash of the builder then becomes an error.
Building with TensorRT-RTX runs in the tests; all else here was tested against stand-ins and has
not yet run on hardware (docs/plans.md).
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from engines.bundle import Bundle
from engines.contract import RecipeEntry
from engines.device import Device, device_package, open_device
from engines.device_array import DeviceArray, borrow
from engines.device_graphs import graphs_installed
from engines.errors import BuildError, UserError
from engines.layer_times import LayerProfile
from engines.machine import Machine, this_machine
from engines.manifest import Manifest
from engines.options import BuildOptions
from engines.precision import DEQUANTIZE, Effective
from engines.runtime import Array, BuildOrder, BuiltFile, Engine, Progress, Runtime
from engines.steps import Mark
from engines.tensorrt_flavours import (
    FLAVOURS,
    check_gpu,
    distribution_version,
    flavour_version,
    import_flavour,
)
from engines.tensorrt_layers import LAYERS_FILE
from engines.tensorrt_plan import NoteLayer, Plan
from engines.tensorrt_runner import PlanRunner
from engines.timing_cache import timing_cache_path

PLAN_FILE = "engine.plan"
"""The plan as TensorRT gave it, with nothing in front: trtexec opens it."""

OPTIMIZATION_LEVELS = range(6)


def runtime(name: str) -> Runtime:
    """The runtime of this module for a flavour."""
    return TensorRT(name)


class TensorRT(Runtime):
    """Builds and opens plans with either flavour."""

    options = frozenset({"optimization_level", "workspace"})

    def __init__(self, name: str) -> None:
        self.name = name
        self._flavour = FLAVOURS[name]

    def version(self) -> str:
        return flavour_version(self._flavour)

    def check_building(self) -> None:
        if _polygraphy_version() is None:
            raise UserError(
                "polygraphy is not installed; expected it for building plans; "
                f"install it with `{self._flavour.install}`"
            )
        self.version()  # first, where the flavour itself is missing
        check_gpu(self._flavour, this_machine(), running=False)
        import_flavour(self._flavour)

    def check_running(self) -> None:
        self.version()
        check_gpu(self._flavour, this_machine(), running=True)
        device_package()
        import_flavour(self._flavour)

    def bound_to_gpu(self, provider: str) -> bool:
        return not self._flavour.builds_without_gpu

    def settle(
        self, recipe: str, entry: RecipeEntry, options: BuildOptions
    ) -> tuple[str, dict[str, Any]]:
        level, workspace = options.optimization_level, options.workspace
        if level not in (None, *OPTIMIZATION_LEVELS):
            raise UserError(f"--optimization-level {level} came; expected 0 to 5")
        if workspace is not None and workspace < 1:
            raise UserError(f"--workspace {workspace} came; expected at least 1, in MiB")
        self.check_building()
        return self.name, {
            "optimization_level": level,
            "workspace": workspace,
            "polygraphy": _polygraphy_version(),
        }

    def build(self, order: BuildOrder, folder: Path, progress: Progress) -> BuiltFile:
        """Have the worker write the plan; its messages become progress or one error."""
        machine = this_machine()
        timings = None
        if not self._flavour.builds_without_gpu:
            timings = str(timing_cache_path(self.version(), machine))
        task = {
            "flavour": self.name,
            "graph": str(order.graph),
            "plan": str(folder / PLAN_FILE),
            "inputs": {spec.name: spec.axes for spec in order.contract.inputs},
            "outputs": [spec.name for spec in order.contract.outputs],
            "profiles": [asdict(profile) for profile in order.profiles],
            "optimization_level": order.settings["optimization_level"],
            "promised": order.recipe.low_flops_share,
            "workspace": order.settings["workspace"],
            "timing_cache": timings,
            # the inspector looks into a loaded plan only, and that takes the GPU
            "layers": str(folder / LAYERS_FILE) if self._loads_on(machine) else None,
        }
        found = _run_worker(task, progress)
        precision = order.recipe.precision
        quantised = DEQUANTIZE in order.recipe.node_counts
        return BuiltFile(
            name=PLAN_FILE,
            effective=Effective(
                precision=f"int8 and {precision}" if quantised else precision,
                low_flops_promised=order.recipe.low_flops_share,
                low_flops_found=found,
            ),
        )

    def open(self, bundle: Bundle, manifest: Manifest, path: Path, threads: int | None) -> Engine:
        if threads is not None:
            raise UserError(
                f"threads {threads} came; {self.name} computes on the GPU; leave it out"
            )
        self.check_running()
        trt = import_flavour(self._flavour)
        with _opened_device() as device, device.current():
            plan = Plan(trt, path, manifest.build_command(bundle.folder))
            try:
                plan.check(bundle.contract, manifest.profiles)
                return TensorRTEngine(bundle, manifest, plan, device)
            except BaseException:
                plan.close()
                raise

    def profile(
        self,
        bundle: Bundle,
        manifest: Manifest,
        path: Path,
        inputs: Mapping[str, Array],
        *,
        seconds: float,
        threads: int | None,
    ) -> LayerProfile:
        from engines.tensorrt_profile import profile_plan

        with self.open(bundle, manifest, path, threads) as engine:
            assert isinstance(engine, TensorRTEngine)
            return profile_plan(engine, inputs, folder=path.parent, seconds=seconds)

    def _loads_on(self, machine: Machine) -> bool:
        """Whether a plan can be loaded here."""
        try:
            check_gpu(self._flavour, machine, running=True)
        except UserError:
            return False
        return True


class TensorRTEngine(Engine):
    """A plan with a context, a stream and buffers of its own. One thread at a time.

    The primary context of the first GPU is made current for each call only, so torch may use the
    same GPU in the same process. Captured CUDA graphs hold for this engine's own buffers: arrays
    of a caller on the GPU run without one, those of `device_inputs` with one.
    """

    def __init__(self, bundle: Bundle, manifest: Manifest, plan: Plan, device: Device) -> None:
        super().__init__(bundle, manifest)
        self._source = bundle
        self._device = device
        self._runner = PlanRunner(
            plan, device, bundle.contract, manifest.profiles, graphs=graphs_installed()
        )

    @property
    def graphs(self) -> bool:
        """Whether each batch's second run is captured as a CUDA graph; may be set.

        On where cuda-python is installed. PyCUDA alone cannot capture.
        """
        return self._runner.graphs

    @graphs.setter
    def graphs(self, wanted: bool) -> None:
        if wanted and not graphs_installed():
            raise UserError(
                "CUDA graphs were asked for; cuda-python, which captures them, is not installed; "
                "install it with `pip install 'cuda-python>=12.8'`"
            )
        self._runner.graphs = wanted

    @property
    def gpu_milliseconds(self) -> float | None:
        """As `Engine.gpu_milliseconds`; None before the first call."""
        return self._runner.milliseconds

    def time_layers(self, note: NoteLayer) -> None:
        """Tell what each layer takes, of batches that were not run before."""
        self._runner.note = note

    def infer_device(self, inputs: Mapping[str, Any]) -> dict[str, DeviceArray]:
        """Run the network on arrays that lie on the GPU; nothing is copied.

        Args:
            inputs: arrays with `__dlpack__` or `__cuda_array_interface__` (torch, CuPy, numba,
                PyCUDA), or this engine's own `device_inputs`, filled; shapes and dtypes as in
                `infer`, C-contiguous.

        Returns:
            Every output by name, ready, and speaking both protocols. They are this engine's own
            buffers: its next call writes into them.

        Raises:
            ContractError: as in `infer`, or an array lies elsewhere or has gaps.
        """
        self._require_open()
        stream = self._runner.stream
        with self._device.current():  # a library asked for its array may wait on our stream
            borrowed = {name: borrow(value, stream) for name, value in inputs.items()}
        batch = self._admit({name: _outline(array) for name, array in borrowed.items()})
        return self._runner.run_on_device(borrowed, batch)

    def device_inputs(self, batch: int) -> dict[str, DeviceArray]:
        """This engine's own input buffers on the GPU, for a caller to write a batch into."""
        arrays = self._runner.arrays(self.contract.inputs, batch)
        self._admit({name: _outline(array) for name, array in arrays.items()})
        return arrays

    def twin(self) -> "TensorRTEngine":
        """Another engine over the same weights on the GPU, for another thread.

        Its graphs are captured as this one's are. Closing one leaves the other open.
        """
        self._require_open()
        with _opened_device() as device:
            return TensorRTEngine(self._source, self.manifest, self._runner.plan, device)

    def metadata(self) -> dict[str, Any]:
        return super().metadata() | {
            "device": {"package": self._device.package, "cuda_graphs": self.graphs}
        }

    def _run(self, inputs: dict[str, Array], out: dict[str, Array], mark: Mark | None) -> None:
        self._runner.run(inputs, out, len(next(iter(inputs.values()))), mark)

    def _release(self) -> None:
        self._runner.close()


def _polygraphy_version() -> str | None:
    found = distribution_version("polygraphy", ("polygraphy",))
    return None if found is None else found[1]


@contextmanager
def _opened_device() -> Iterator[Device]:
    """The GPU, closed where the block fails."""
    device = open_device()
    try:
        yield device
    except BaseException:
        device.close()
        raise


def _outline(array: DeviceArray) -> Array:
    """An array without memory of the same dtype and shape: numpy cannot look at the GPU's."""
    return np.broadcast_to(np.empty((), array.dtype), array.shape)


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
