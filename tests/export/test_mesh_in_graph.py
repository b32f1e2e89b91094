"""The mesh that a half graph answers is that of its own parameters.

In 3DDFA_V2 issue 113 the mesh of an exported graph was another than that of its parameters.
"""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from engines.building import build_engine
from engines.bundle import Bundle
from engines.emulation import emulate
from engines.onnxruntime_session import create_session, run_session
from engines.runtime import open_engine
from export.exporting import ExportReport
from trans3dhead.head.model import HeadModel

LIMIT = 5e-5
"""Metres."""


def farthest(answers: dict[str, np.ndarray], head: HeadModel) -> float:
    """Metres between the vertices among the answers and those of the parameters among them."""
    assert np.ptp(answers["vertices"]) > 0.05, "no head"
    own = head.posed_vertices(answers["params"])
    return float(np.linalg.norm(answers["vertices"] - own, axis=-1).max())


def ask_engine(folder: Path) -> dict[str, np.ndarray]:
    """What an fp16 engine of a bundle answers to its reference images."""
    images = Bundle.open(folder).reference().images[:8]
    with open_engine(build_engine(folder, "fp16", "onnxruntime")) as engine:
        return engine.infer({"image": images})


def test_vertices_are_those_of_the_parameters(mesh_bundle: ExportReport, head: HeadModel) -> None:
    assert farthest(ask_engine(mesh_bundle.folder), head) <= LIMIT


@pytest.mark.parametrize(
    ("name", "factor"), [("mesh.head.template", 1.001), ("mesh.head.basis", 1.1)]
)
def test_a_mesh_of_other_weights_is_seen(
    name: str, factor: float, mesh_bundle: ExportReport, head: HeadModel
) -> None:
    model = onnx.load(mesh_bundle.folder / "fp16.onnx")
    (tensor,) = (t for t in model.graph.initializer if t.name == name)
    values = numpy_helper.to_array(tensor)
    tensor.CopyFrom(numpy_helper.from_array((values * factor).astype(values.dtype), name))
    session = create_session(emulate(model).SerializeToString(), "cpu")
    images = Bundle.open(mesh_bundle.folder).reference().images
    assert farthest(run_session(session, {"image": images}), head) > LIMIT
