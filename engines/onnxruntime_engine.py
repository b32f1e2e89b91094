"""ONNX Runtime: everywhere; on a CPU half precision is emulated unless asked otherwise."""

import contextlib
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from engines.bundle import Bundle
from engines.contract import RecipeEntry
from engines.errors import BuildError, ContractError, UserError
from engines.manifest import Manifest
from engines.options import BuildOptions
from engines.precision import Effective, check_promise, low_share, onnx_products
from engines.probe import effective_precision
from engines.runtime import Array, BuildOrder, BuiltFile, Engine, Progress, Runtime

if TYPE_CHECKING:
    import onnx

GRAPH_FILE = "model.onnx"

PROVIDERS = {
    "cpu": ("CPUExecutionProvider",),
    "cuda": ("CUDAExecutionProvider", "CPUExecutionProvider"),
    "tensorrt": ("TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"),
}
"""Our name to ONNX Runtime's, the one asked for first; the others take what it leaves."""


def runtime(name: str) -> Runtime:
    """The runtime of this module."""
    return OnnxRuntime(name)


class OnnxRuntime(Runtime):
    """Builds and opens engines of ONNX Runtime."""

    options = frozenset({"provider", "half"})
    needs_build_machine = False

    def __init__(self, name: str) -> None:
        self.name = name

    def version(self) -> str:
        return str(_import().__version__)

    def settle(
        self, recipe: str, entry: RecipeEntry, options: BuildOptions
    ) -> tuple[str, dict[str, Any]]:
        provider = options.provider or "cpu"
        require_provider(provider)
        if entry.precision == "float32":
            if options.half is not None:
                raise UserError(
                    f"--half {options.half} came; recipe {recipe} holds nothing in half; "
                    "leave --half out"
                )
            return provider, {}
        return provider, {"half": options.half or ("emulated" if provider == "cpu" else "native")}

    def build(self, order: BuildOrder, folder: Path, progress: Progress) -> BuiltFile:
        """Write the graph, load it once, run it once, and find out what it computes."""
        path = folder / GRAPH_FILE
        progress("writing the graph", 0.0)
        if order.recipe.precision == "float32":
            shutil.copyfile(order.graph, path)
            effective = Effective(precision="float32", low_flops_promised=0.0, low_flops_found=0.0)
        else:
            effective = self._write_half(order, path)
        progress("loading the engine", 0.5)
        with _as_build_error():
            session = create_session(path, order.provider)
            batch = order.profiles[0].min
            black = {s.name: np.zeros(s.shape(batch), s.dtype) for s in order.contract.inputs}
            order.contract.check_outputs(run_session(session, black), batch)
        progress("done", 1.0)
        return BuiltFile(name=GRAPH_FILE, effective=effective)

    def _write_half(self, order: BuildOrder, path: Path) -> Effective:
        """Write a half graph as the settings want it; measure before naming."""
        import onnx

        from engines.emulation import emulate

        model = onnx.load(order.graph)
        found = low_share(onnx_products(model))
        promised = order.recipe.low_flops_share
        check_promise(found, promised, str(order.graph))
        emulated = order.settings["half"] == "emulated"
        onnx.save(emulate(model) if emulated else model, path)

        def run(probe: "onnx.ModelProto", inputs: Mapping[str, Array]) -> dict[str, Array]:
            return run_session(create_session(probe.SerializeToString(), order.provider), inputs)

        with _as_build_error():
            name = effective_precision(order.recipe.precision, emulated=emulated, run=run)
        lost = name.startswith("effective float32")
        if emulated and lost:
            raise BuildError(
                f"ONNX Runtime {self.version()} dropped the emulation's rounding; expected it "
                "kept; build with `--half native`, or with another version"
            )
        return Effective(
            precision=name,
            low_flops_promised=promised,
            low_flops_found=0.0 if lost else found,
        )

    def open(self, bundle: Bundle, manifest: Manifest, path: Path, threads: int | None) -> Engine:
        require_provider(manifest.provider)
        return OnnxRuntimeEngine(bundle, manifest, path, threads)


class OnnxRuntimeEngine(Engine):
    """A session of ONNX Runtime."""

    def __init__(self, bundle: Bundle, manifest: Manifest, path: Path, threads: int | None) -> None:
        super().__init__(bundle, manifest)
        try:
            self._session = create_session(path, manifest.provider, threads)
        except _session_errors() as error:
            raise ContractError(
                f"ONNX Runtime cannot load {path}: {_one_line(error)}; "
                f"rebuild: `{manifest.build_command(bundle.folder)}`"
            ) from None

    def _run(self, inputs: dict[str, Array]) -> dict[str, Array]:
        return run_session(self._session, inputs)

    def _release(self) -> None:
        del self._session


def require_provider(provider: str) -> None:
    """A UserError where ONNX Runtime, as installed here, lacks a provider."""
    if provider not in PROVIDERS:
        raise UserError(f"provider {provider!r} came; expected one of {', '.join(PROVIDERS)}")
    available = _import().get_available_providers()
    if PROVIDERS[provider][0] not in available:
        raise UserError(
            f"provider {provider} came; this ONNX Runtime has {', '.join(available)}; "
            "install the GPU build with `pip install 'trans3dhead[gpu]'`"
        )


def create_session(graph: Path | bytes, provider: str, threads: int | None = None) -> Any:
    """A session whose provider is the one asked for, or a UserError.

    Args:
        graph: the ONNX file, or its bytes.
        threads: threads within an operator; ONNX Runtime takes all cores where None.
    """
    ort = _import()
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.log_severity_level = 3  # errors: they come back as exceptions too
    if threads is not None:
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
    session = ort.InferenceSession(
        graph if isinstance(graph, bytes) else str(graph),
        options,
        providers=list(PROVIDERS[provider]),
    )
    session.disable_fallback()
    used = session.get_providers()[0]
    if used != PROVIDERS[provider][0]:
        raise UserError(
            f"provider {provider} was asked for, ONNX Runtime took {used}; expected no change; "
            "mend the GPU libraries (`trans3dhead doctor`), or build with `--provider cpu`"
        )
    return session


def run_session(session: Any, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """All outputs of a session by name; the arrays are new at each call."""
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, dict(inputs)), strict=True))


def _import() -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise UserError(
            f"ONNX Runtime is not installed ({error}); expected the module onnxruntime; "
            "install it with `pip install 'trans3dhead[cpu]'`"
        ) from None
    return onnxruntime


def _session_errors() -> tuple[type[Exception], ...]:
    """What ONNX Runtime raises: its own classes have no common base but Exception."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    own = [kind for kind in vars(state).values() if isinstance(kind, type)]
    return (*(kind for kind in own if issubclass(kind, Exception)), RuntimeError, ValueError)


@contextlib.contextmanager
def _as_build_error() -> Iterator[None]:
    try:
        yield
    except _session_errors() as error:
        raise BuildError(f"ONNX Runtime refused the graph: {_one_line(error)}") from None


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
