"""ONNX Runtime: everywhere; on a CPU half precision is emulated unless asked otherwise."""

import contextlib
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engines.bundle import Bundle
from engines.contract import RecipeEntry
from engines.errors import BuildError, ContractError, UserError, one_line
from engines.integers import BITS, check_bits, unsigned_bits, with_unsigned_values
from engines.layer_times import LayerProfile
from engines.machine import this_machine
from engines.manifest import Manifest
from engines.onnxruntime_cuda import CudaSession
from engines.onnxruntime_profile import profile_session
from engines.onnxruntime_session import (
    ProviderOptions,
    check_placement,
    create_session,
    cuda_options,
    import_onnxruntime,
    int8_products,
    require_provider,
    run_into,
    run_session,
    tensorrt_options,
)
from engines.options import BuildOptions
from engines.precision import DEQUANTIZE, Effective, check_promise, low_share, onnx_products
from engines.probe import effective_precision
from engines.runtime import Array, BuildOrder, BuiltFile, Engine, Progress, Runtime
from engines.steps import Mark

if TYPE_CHECKING:
    import onnx

GRAPH_FILE = "model.onnx"


def runtime(name: str) -> Runtime:
    """The runtime of this module."""
    return OnnxRuntime(name)


class OnnxRuntime(Runtime):
    """Builds and opens engines of ONNX Runtime."""

    options = frozenset({"provider", "half"})

    def __init__(self, name: str) -> None:
        self.name = name

    def version(self) -> str:
        return str(import_onnxruntime().__version__)

    def bound_to_gpu(self, provider: str) -> bool:
        return provider == "tensorrt"  # its cache holds a plan

    def settle(
        self, recipe: str, entry: RecipeEntry, options: BuildOptions
    ) -> tuple[str, dict[str, Any]]:
        provider = options.provider or "cpu"
        require_provider(provider, this_machine())
        if DEQUANTIZE in entry.node_counts and (provider, entry.precision) != ("cpu", "float32"):
            raise UserError(
                f"recipe {recipe} came, a quantised one, for provider {provider}, with its rest in "
                f"{entry.precision}; what ONNX Runtime computes in int8 is measured on a CPU, "
                "beside float32, only; build it with `--runtime tensorrt` or `--runtime openvino`"
            )
        if entry.precision == "float32":
            if options.half is not None:
                raise UserError(
                    f"--half {options.half} came; recipe {recipe} holds nothing in half; "
                    "leave --half out"
                )
            return provider, {BITS: unsigned_bits()} if DEQUANTIZE in entry.node_counts else {}
        return provider, {"half": options.half or ("emulated" if provider == "cpu" else "native")}

    def build(self, order: BuildOrder, folder: Path, progress: Progress) -> BuiltFile:
        """Write the graph, find out what is computed of it and where; make the provider's cache."""
        if order.provider == "tensorrt" and len(order.profiles) > 1:
            raise BuildError(
                f"{len(order.profiles)} batch profiles came; ONNX Runtime's TensorRT provider "
                "always takes the first; give one, or build with `--runtime tensorrt`"
            )
        import onnx

        path = folder / GRAPH_FILE
        progress("writing the graph", 0.0)
        if order.recipe.precision == "float32":
            if BITS in order.settings:
                model = with_unsigned_values(onnx.load(order.graph), order.settings[BITS])
                onnx.save(model, path)
            else:
                shutil.copyfile(order.graph, path)
            effective = Effective(precision="float32", low_flops_promised=0.0, low_flops_found=0.0)
        else:
            effective = self._write_half(order, path)
        progress("loading the engine", 0.5)
        cache = (
            tensorrt_options(order.contract, order.profiles, folder)
            if order.provider == "tensorrt"
            else None
        )
        with _as_build_error():
            events = check_placement(
                path,
                order.provider,
                order.contract,
                order.profiles[0].min,
                tensorrt=cache,
                cuda=cuda_options(order.contract, order.recipe),
            )
        if DEQUANTIZE in order.recipe.node_counts:
            effective = _read_int8(order, int8_products(events))
        elif order.recipe.precision == "float32":
            # what was copied may hold half: the name of a recipe is no measurement
            check_promise(low_share(onnx_products(onnx.load(path))), 0.0, str(order.graph))
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
        require_provider(manifest.provider, this_machine())
        check_bits(manifest, bundle.folder)
        return OnnxRuntimeEngine(bundle, manifest, path, threads)

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
        require_provider(manifest.provider, this_machine())
        if manifest.provider == "tensorrt":
            raise UserError(
                "provider tensorrt came; ONNX Runtime sees its network as one node; expected the "
                "CPU or CUDA provider; build with `--runtime tensorrt`, which has layers to show"
            )
        cuda = cuda_options(bundle.contract, bundle.contract.recipes[manifest.recipe])
        return profile_session(
            lambda record: create_session(
                path, manifest.provider, threads, cuda=cuda, profile=record
            ),
            inputs,
            bundle.contract,
            seconds=seconds,
            on_gpu=manifest.provider != "cpu",
        )


class OnnxRuntimeEngine(Engine):
    """A session of ONNX Runtime; the CUDA provider's replays a CUDA graph for each batch size.

    On a GPU it is run at the smallest, best and largest batch of each profile before it is handed
    out: what a provider prepares for a shape is then prepared.
    """

    def __init__(self, bundle: Bundle, manifest: Manifest, path: Path, threads: int | None) -> None:
        super().__init__(bundle, manifest)
        cache: ProviderOptions | None = None
        if manifest.provider == "tensorrt":
            cache = tensorrt_options(bundle.contract, manifest.profiles, path.parent)
        self._on_gpu: CudaSession | None = None
        try:
            if manifest.provider == "cuda":
                recipe = bundle.contract.recipes[manifest.recipe]
                cuda = cuda_options(bundle.contract, recipe)
                self._on_gpu = CudaSession(
                    lambda graphs: create_session(path, "cuda", threads, cuda=cuda, graphs=graphs),
                    bundle.contract,
                    max(profile.max for profile in manifest.profiles),
                )
            else:
                self._session = create_session(path, manifest.provider, threads, tensorrt=cache)
        except _session_errors() as error:
            raise ContractError(
                f"ONNX Runtime cannot load {path}: {one_line(error)}; "
                f"rebuild: `{manifest.build_command(bundle.folder)}`"
            ) from None
        if manifest.provider != "cpu":
            sizes = {size for item in manifest.profiles for size in (item.min, item.opt, item.max)}
            for batch in sorted(sizes):
                self.infer(bundle.contract.blank_inputs(batch))

    def _run(self, inputs: dict[str, Array], out: dict[str, Array], mark: Mark | None) -> None:
        try:
            if self._on_gpu is not None:
                self._on_gpu.run(inputs, out, len(next(iter(inputs.values()))), mark)
            else:
                run_into(self._session, inputs, out, mark)
        except _session_errors() as error:
            raise UserError(
                f"ONNX Runtime failed in engine {self.manifest.name}: {one_line(error)}; "
                "expected an answer; open it anew, or build it anew with --force"
            ) from None

    @property
    def graphs(self) -> bool | None:
        return None if self._on_gpu is None else self._on_gpu.graphs

    @graphs.setter
    def graphs(self, wanted: bool) -> None:
        if self._on_gpu is None:
            self._refuse_graphs()
        else:
            self._on_gpu.replay(wanted)

    def metadata(self) -> dict[str, Any]:
        found = super().metadata()
        if self._on_gpu is not None:
            package, graphs = self._on_gpu.package, self._on_gpu.graphs
            found["device"] = {"package": package, "cuda_graphs": graphs}
        return found

    def _release(self) -> None:
        if self._on_gpu is not None:
            self._on_gpu.close()
        else:
            del self._session


def _read_int8(order: BuildOrder, computed: set[str]) -> Effective:
    """What of a quantised graph ONNX Runtime computes in int8, by the products that did.

    It takes a convolution only where its output is quantised too.
    """
    import onnx

    products = onnx_products(onnx.load(order.graph))
    low = sum(product.flops for product in products if product.name in computed)
    found = low / max(1, sum(product.flops for product in products))
    promised = order.recipe.low_flops_share
    check_promise(found, promised, "ONNX Runtime", "int8")
    return Effective(
        precision="int8 and float32", low_flops_promised=promised, low_flops_found=found
    )


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
        raise BuildError(f"ONNX Runtime refused the graph: {one_line(error)}") from None
