"""One interface for every runtime: build an engine, open its folder, infer.

Adding a runtime is one module with `runtime(name) -> Runtime`, and its row in `RUNTIMES`.
"""

import importlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from engines.bundle import CONTRACT_FILE, ENGINES_FOLDER, Bundle
from engines.contract import Contract, RecipeEntry
from engines.errors import ContractError, UserError
from engines.files import remove_leftovers, sha256_of
from engines.layer_times import LayerProfile
from engines.machine import Machine, this_machine
from engines.manifest import BatchProfile, Manifest, hash_files, read_manifest
from engines.options import BuildOptions
from engines.precision import Effective
from engines.steps import COPY_OUT, Mark

RUNTIMES = {
    "onnxruntime": "engines.onnxruntime_engine",
    "openvino": "engines.openvino_engine",
    "tensorrt": "engines.tensorrt_engine",
    "tensorrt-rtx": "engines.tensorrt_engine",
}
"""Runtime to the module that holds it."""

Array = npt.NDArray[Any]
Progress = Callable[[str, float], None]
"""Called with what is done now and the share of it that is done, 0 to 1."""


@dataclass(frozen=True, kw_only=True)
class BuildOrder:
    """Everything a runtime needs to know to build an engine."""

    graph: Path
    """The recipe's ONNX file, its hash already compared."""
    contract: Contract
    recipe: RecipeEntry
    profiles: tuple[BatchProfile, ...]
    provider: str
    settings: dict[str, Any]
    """As `Runtime.settle` made them."""


@dataclass(frozen=True, kw_only=True)
class BuiltFile:
    """What a runtime made."""

    name: str
    """Of the file that it opens; others may lie beside it."""
    effective: Effective


class Engine(ABC):
    """An opened engine. Its public methods keep the contract; subclasses do the work.

    One engine may be used from one thread at a time; open one a thread.
    """

    def __init__(self, bundle: Bundle, manifest: Manifest) -> None:
        self.contract: Contract = bundle.contract
        self.manifest = manifest
        self._bundle = bundle.folder
        self._open = True

    def infer(
        self,
        inputs: Mapping[str, Array],
        out: Mapping[str, Array] | None = None,
        mark: Mark | None = None,
    ) -> dict[str, Array]:
        """Run the network.

        Args:
            inputs: `image` [batch, S, S, 3] uint8 RGB, as `contract.inputs` says.
            out: arrays to write the outputs into, one for each of `contract.outputs`, such as what
                an earlier call returned. They hold the answers when the call returns; after an
                error their values are undefined. New arrays where None.
            mark: told each of `steps.STEPS` as it ends.

        Returns:
            Every output of `contract.outputs` by name, the arrays of `out` where they were given.
            They belong to the caller: a later call writes only into those that it is handed.

        Raises:
            ContractError: names, dtypes, shapes or the batch are not the contract's, an array of
                `out` cannot be written to in one piece, or the engine is closed.
        """
        batch = self._admit(inputs)
        if out is None:
            results = {
                spec.name: np.empty(spec.shape(batch), spec.dtype) for spec in self.contract.outputs
            }
        else:
            results = self._checked_out(out, batch)
        whole = {name: np.ascontiguousarray(array) for name, array in inputs.items()}
        self._run(whole, results, mark)
        if mark is not None:
            mark(COPY_OUT)
        return results

    @property
    def gpu_milliseconds(self) -> float | None:
        """The GPU's own time of the last call's network, without copies; None where no clock of
        its own was read."""
        return None

    @property
    def graphs(self) -> bool | None:
        """Whether calls replay CUDA graphs; may be set. None where the runtime has none."""
        return None

    @graphs.setter
    def graphs(self, wanted: bool) -> None:
        self._refuse_graphs()

    def _refuse_graphs(self) -> None:
        raise UserError(
            f"CUDA graphs came for {self.manifest.name}, which computes without; expected an "
            "engine of TensorRT or of ONNX Runtime's CUDA provider; leave it out"
        )

    def metadata(self) -> dict[str, Any]:
        """What the engine is: contract's inputs and outputs, and the manifest, as JSON values."""
        return {
            "inputs": [asdict(spec) for spec in self.contract.inputs],
            "outputs": [asdict(spec) for spec in self.contract.outputs],
            "variant": self.contract.variant,
            "manifest": asdict(self.manifest),
        }

    def close(self) -> None:
        """Give memory and devices back; a second call does nothing."""
        if self._open:
            self._open = False
            self._release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @abstractmethod
    def _run(self, inputs: dict[str, Array], out: dict[str, Array], mark: Mark | None) -> None:
        """Compute checked, contiguous inputs into the contiguous arrays of `out`.

        A `mark` is told COPY_IN and INFERENCE as they end. A ContractError where what the runtime
        computed has another name, dtype or shape.
        """

    @abstractmethod
    def _release(self) -> None:
        """Drop what the runtime holds."""

    def _require_open(self) -> None:
        if not self._open:
            raise ContractError(f"engine {self.manifest.name} is closed; open it anew")

    def _admit(self, inputs: Mapping[str, Array]) -> int:
        """The batch of inputs that this engine, as it is now, can take."""
        self._require_open()
        batch = self.contract.check_inputs(inputs)
        if not self.manifest.fits(batch):
            raise ContractError(self._batch_message(batch))
        return batch

    def _checked_out(self, out: Mapping[str, Array], batch: int) -> dict[str, Array]:
        self.contract.check_outputs(out, batch)
        for name, array in out.items():
            if not (array.flags.c_contiguous and array.flags.writeable):
                raise ContractError(
                    f"out came with {name} strided or read-only; expected a whole array to write "
                    "into; leave `out` away, or pass what an earlier call returned"
                )
        return dict(out)

    def _batch_message(self, batch: int) -> str:
        ranges = " or ".join(
            str(profile.min) if profile.min == profile.max else f"{profile.min} to {profile.max}"
            for profile in self.manifest.profiles
        )
        if self.contract.batch is not None:
            cure = f"export anew with `trans3dhead export ... --batch {batch}`"
        else:
            wider = BatchProfile(
                min=min(batch, *(profile.min for profile in self.manifest.profiles)),
                opt=self.manifest.profiles[0].opt,
                max=max(batch, *(profile.max for profile in self.manifest.profiles)),
            )
            cure = f"rebuild: `{self.manifest.build_command(self._bundle, (wider,))}`"
        return f"batch {batch} came; engine {self.manifest.name} takes {ranges}; {cure}"


class Runtime(ABC):
    """One runtime: what it is called, what it can be asked for, how it builds and opens."""

    name: str
    options: frozenset[str]
    """The fields of `BuildOptions` it takes; others are refused before `settle`."""

    @abstractmethod
    def version(self) -> str:
        """The installed version; a UserError with the line that installs it where there is none."""

    def check_building(self) -> None:
        """A UserError where nothing can be built here; what a recipe needs, `settle` knows."""
        self.version()

    def check_running(self) -> None:
        """A UserError where no engine can run here, however it was built."""
        self.version()

    @abstractmethod
    def bound_to_gpu(self, provider: str) -> bool:
        """Whether an engine runs only on the kind of GPU it was built on."""

    @abstractmethod
    def settle(
        self, recipe: str, entry: RecipeEntry, options: BuildOptions
    ) -> tuple[str, dict[str, Any]]:
        """The provider and the settings a build will have; a UserError for what cannot be.

        Everything that could fail is tried here, before minutes are spent.
        """

    @abstractmethod
    def build(self, order: BuildOrder, folder: Path, progress: Progress) -> BuiltFile:
        """Build into an empty folder; a BuildError where the runtime refuses."""

    @abstractmethod
    def open(self, bundle: Bundle, manifest: Manifest, path: Path, threads: int | None) -> Engine:
        """Load the engine's file, whose manifest was already compared."""

    @abstractmethod
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
        """As `open`, then run it for so many seconds and tell what each layer took.

        The inputs were already checked. A UserError where nothing can be told.
        """


def find_runtime(name: str) -> Runtime:
    """The runtime of that name."""
    if name not in RUNTIMES:
        raise UserError(f"runtime {name!r} came; expected one of {', '.join(RUNTIMES)}")
    runtime: Runtime = importlib.import_module(RUNTIMES[name]).runtime(name)
    return runtime


def open_engine(folder: Path, threads: int | None = None) -> Engine:
    """Open an engine folder, BUNDLE/engines/NAME.

    Before anything is deserialised the manifest is compared with the bundle, with the installed
    runtime, with this machine where that matters, and with the file's own hash.

    Args:
        folder: the engine's folder inside its bundle.
        threads: CPU threads of one call; the runtime's own choice where None.

    Raises:
        UserError: says what differs, and the command that rebuilds.
    """
    if threads is not None and threads < 1:
        raise UserError(f"threads {threads} came; expected at least 1")
    runtime, bundle, manifest, path = _fitting(folder)
    return runtime.open(bundle, manifest, path, threads)


def profile_engine(
    folder: Path, inputs: Mapping[str, Array], *, seconds: float, threads: int | None = None
) -> LayerProfile:
    """What each layer of an engine takes: its folder is opened once more, and run recorded.

    Args:
        folder, threads: as in `open_engine`.
        inputs: of a call, as in `Engine.infer`; an opened engine has answered them before.
        seconds: of counted calls.

    Raises:
        UserError: as in `open_engine`, or the runtime tells nothing of its layers.
    """
    runtime, bundle, manifest, path = _fitting(folder)
    whole = {name: np.ascontiguousarray(array) for name, array in inputs.items()}
    return runtime.profile(bundle, manifest, path, whole, seconds=seconds, threads=threads)


def _fitting(folder: Path) -> tuple[Runtime, Bundle, Manifest, Path]:
    """Whose manifest fits bundle, runtime, machine and file: with the file's path."""
    folder = Path(folder).absolute()
    if not folder.exists():  # a build killed while it swapped folders left it aside
        remove_leftovers(folder)
    manifest = read_manifest(folder)
    bundle = Bundle.open(bundle_of(folder))
    runtime = find_runtime(manifest.runtime)
    differing = _misfits(runtime, manifest) + alterations(bundle, folder, manifest)
    if differing:
        command = manifest.build_command(bundle.folder)
        raise ContractError(f"engine {folder}: {'; '.join(differing)}; rebuild: `{command}`")
    return runtime, bundle, manifest, folder / manifest.file


def bundle_of(folder: Path) -> Path:
    """The bundle that an engine folder, BUNDLE/engines/NAME, lies in."""
    if folder.parent.name != ENGINES_FOLDER:
        raise ContractError(
            f"{folder} lies outside a bundle; expected BUNDLE/{ENGINES_FOLDER}/NAME; put it back"
        )
    return folder.parent.parent


def alterations(bundle: Bundle, folder: Path, manifest: Manifest) -> list[str]:
    """What of an engine's folder and its bundle is not as it was built, in words."""
    graph = f"{manifest.recipe}.onnx"
    found = hash_files(folder)
    return _differences(
        {
            "bundle's contract": (
                manifest.contract_sha256,
                sha256_of(bundle.folder / CONTRACT_FILE),
            ),
            graph: (manifest.onnx_sha256, bundle.contract.files.get(graph, "none")),
        }
        | {name: (digest, found.get(name, "none")) for name, digest in manifest.files.items()}
    )


def _misfits(runtime: Runtime, manifest: Manifest) -> list[str]:
    """What of the runtime and the machine is not as the engine was built for, in words."""
    pairs: dict[str, tuple[str, str]] = {
        f"{runtime.name} version": (manifest.runtime_version, runtime.version())
    }
    if runtime.bound_to_gpu(manifest.provider):
        here = this_machine()
        if not manifest.machine.same_gpu(here):
            pairs["GPU"] = (_gpu(manifest.machine), _gpu(here))
    return _differences(pairs)


def _differences(pairs: Mapping[str, tuple[str, str]]) -> list[str]:
    return [
        f"{what}: built with {_short(built)}, here {_short(here)}"
        for what, (built, here) in pairs.items()
        if built != here
    ]


def _short(text: str) -> str:
    """Hashes at the length people compare."""
    return f"{text[:12]}..." if len(text) == 64 else text


def _gpu(machine: Machine) -> str:
    return f"{machine.gpu} ({machine.compute_capability})" if machine.gpu else f"{machine.no_gpu}"
