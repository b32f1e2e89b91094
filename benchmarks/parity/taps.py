"""Values inside an engine: it runs once more with some of them for outputs. Needs no torch.

Asking for a value keeps a runtime from fusing it away, so what is seen is the engine's arithmetic,
not to the last bit the arithmetic of the engine that serves.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from engines.bundle import Bundle
from engines.emulation import LOW, emulate
from engines.manifest import Manifest
from engines.onnxruntime_session import create_session, run_session
from engines.tensor_types import tensor_types

if TYPE_CHECKING:
    import onnx

Values = dict[str, NDArray[np.float32]]
FLOATS = (1, *LOW)
"""FLOAT, FLOAT16 and BFLOAT16 of `onnx.TensorProto`."""


@dataclass(frozen=True, kw_only=True)
class Tapped:
    """A graph whose inner values can be had."""

    where: str
    """What runs it, in words."""
    names: tuple[str, ...]
    """The values it gives, of those that were asked for."""
    run: Callable[[NDArray[np.uint8]], Values]
    """Images [b, S, S, 3] uint8 RGB to those values; b is the graph's own where that is fixed."""


def tap_engine(
    folder: Path, bundle: Bundle, manifest: Manifest, names: Sequence[str], threads: int | None
) -> Tapped:
    """The inner values of a built engine.

    A runtime whose plan shows nothing of its inside (TensorRT) is stood in for by the recipe's
    graph, its low precision emulated; `where` says so.

    Args:
        folder: BUNDLE/engines/NAME.
        bundle, manifest: of it.
        names: values of the graph, by name; those it lacks are left out.
        threads: CPU threads; the runtime's own choice where None.
    """
    import onnx

    if manifest.runtime == "openvino":
        return _openvino(folder / manifest.file, manifest, names, threads)
    if manifest.runtime == "onnxruntime" and manifest.provider != "tensorrt":
        model = onnx.load(folder / manifest.file)
        where = f"the engine's own graph, by ONNX Runtime on {manifest.provider}"
        return tap_graph(model, names, where, provider=manifest.provider, threads=threads)
    model = emulate(onnx.load(bundle.folder / f"{manifest.recipe}.onnx"))
    where = (
        f"the graph of recipe {manifest.recipe}, emulated by ONNX Runtime: what "
        f"{manifest.runtime} makes of it cannot be looked into"
    )
    return tap_graph(model, names, where, threads=threads)


def tap_graph(
    model: "onnx.ModelProto",
    names: Sequence[str],
    where: str,
    *,
    provider: str = "cpu",
    threads: int | None = None,
) -> Tapped:
    """The inner values of an ONNX graph, which is changed."""
    import onnx

    types = tensor_types(model)
    found = tuple(name for name in names if name in types and types[name].dtype in FLOATS)
    known = {value.name for value in model.graph.output}
    for name in found:
        if name not in known:
            value = onnx.helper.make_tensor_value_info(name, types[name].dtype, None)
            model.graph.output.append(value)
    session = create_session(model.SerializeToString(), provider, threads)

    def run(images: NDArray[np.uint8]) -> Values:
        return _chosen(run_session(session, {"image": images}), found)

    return Tapped(where=where, names=found, run=run)


def _openvino(path: Path, manifest: Manifest, names: Sequence[str], threads: int | None) -> Tapped:
    from engines.openvino_engine import compile_tapped, float_values

    compiled, found = compile_tapped(path, manifest.settings, names, threads)
    request = compiled.create_infer_request()

    def run(images: NDArray[np.uint8]) -> Values:
        request.infer({"image": images})
        return {name: float_values(request.get_tensor(name)) for name in found}

    where = "the engine's own model, compiled anew by OpenVINO with these values as outputs"
    return Tapped(where=where, names=found, run=run)


def _chosen(answers: Mapping[str, Any], names: Sequence[str]) -> Values:
    return {name: np.array(answers[name], np.float32) for name in names}
