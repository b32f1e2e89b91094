"""Which form of query-aware memory the runtimes of this machine take: `--qamem auto`."""

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import get_args

from engines.errors import UserError, one_line
from engines.onnxruntime_session import create_session
from export import rtx_parser
from export.recipes import QAMemForm

Load = Callable[[str], None]
"""Builds what a runtime runs of a float32 graph's file; raises what that runtime raises."""
OPEN_BATCH = 8
"""Largest batch that a graph of open batch is tried for."""


def buildable_form(write: Callable[[QAMemForm], Path], wanted: QAMemForm) -> QAMemForm:
    """The wanted form where every runtime here takes it, else the other where that is so.

    Args:
        write: writes a network's float32 graph in a form and says where.
        wanted: tried first.

    Raises:
        UserError: some runtime refuses each; names them, and what they said.
    """
    refusals = {}
    forms: tuple[QAMemForm, ...] = get_args(QAMemForm)
    for form in sorted(forms, key=lambda form: form != wanted):
        refusals[form] = _refusals(write(form))
        if not refusals[form]:
            return form
    told = "; ".join(f"as {form}: {'; '.join(said)}" for form, said in refusals.items())
    raise UserError(
        f"--qamem auto came; no form of query-aware memory builds with all runtimes here ({told}); "
        "expected one that does; choose `--qamem conv` or `--qamem matmul` for the runtime you use"
    )


def _refusals(graph: Path) -> list[str]:
    """What the runtimes say against a graph, each by its name."""
    found = []
    for name, (module, load) in LOADERS.items():
        if importlib.util.find_spec(module) is not None:
            try:
                load(str(graph))
            except Exception as error:  # each runtime has classes of its own
                found.append(f"{name} ({one_line(error):.200})")
    return found


def _onnxruntime(graph: str) -> None:
    create_session(Path(graph), "cpu")


def _openvino(graph: str) -> None:
    import openvino

    openvino.Core().compile_model(graph, "CPU")


def _tensorrt_rtx(graph: str) -> None:
    parsed = rtx_parser.parse(Path(graph))
    builder, network = parsed.builder, parsed.network
    configuration = builder.create_builder_config()
    image = network.get_input(0)
    if image.shape[0] < 0:
        profile, rest = builder.create_optimization_profile(), tuple(image.shape)[1:]
        profile.set_shape(image.name, (1, *rest), (OPEN_BATCH, *rest), (OPEN_BATCH, *rest))
        configuration.add_optimization_profile(profile)
    if builder.build_serialized_network(network, configuration) is None:
        raise ValueError("it builds no plan")


LOADERS: dict[str, tuple[str, Load]] = {
    "ONNX Runtime": ("onnxruntime", _onnxruntime),
    "OpenVINO": ("openvino", _openvino),
    "TensorRT-RTX": (rtx_parser.MODULE, _tensorrt_rtx),
}
"""Runtime to its module, and how it is tried."""
