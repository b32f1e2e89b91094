"""Run by the Python of another environment: does a bundle work with the libraries there?

    python lane_check.py BUNDLE...

Prints one JSON object: versions; of the first bundle, the largest difference of its engines'
answers from its reference (by output), what each computes in, and what asking for a GPU says here;
and of every recipe of every bundle the largest movement of a landmark.
"""

import importlib.util
import json
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from engines.building import build_engine
from engines.bundle import Bundle
from engines.emulation import emulate
from engines.errors import UserError
from engines.manifest import read_manifest
from engines.onnxruntime_session import create_session, run_session
from engines.options import BuildOptions
from engines.runtime import open_engine

ENGINES = {
    "fp32": ("fp32", BuildOptions()),
    "fp16 emulated": ("fp16", BuildOptions(half="emulated")),
    "fp16 plain": ("fp16", BuildOptions(half="native")),
}


def main(bundles: list[Path]) -> dict[str, Any]:
    """See the top of this file."""
    bundle, *_ = bundles
    differences, precisions = {}, {}
    for name, (recipe, options) in ENGINES.items():
        folder = build_engine(
            bundle, recipe, "onnxruntime", name=name.replace(" ", "-"), options=options
        )
        precisions[name] = read_manifest(folder).effective.precision
        differences[name] = _differences(bundle, folder)
    moved = {
        f"{one.name} {recipe}": _movement(one, recipe)
        for one in bundles
        for recipe in Bundle.open(one).contract.recipes
    }
    return {
        "torch": importlib.util.find_spec("torch") is not None,
        "versions": {name: version(name) for name in ("onnxruntime-gpu", "onnx", "numpy")},
        "differences": differences,
        "precisions": precisions,
        "moved": moved,
        "refusals": [_refusal(bundle, provider) for provider in ("cuda", "tensorrt")],
    }


def _differences(bundle: Path, folder: Path) -> dict[str, float]:
    """Largest difference of an engine from the bundle's reference, by output."""
    reference = Bundle.open(bundle).reference()
    with open_engine(folder, threads=1) as engine:
        answers = engine.infer({"image": reference.images})
    return {
        output: float(np.abs(answers[output] - expected).max())
        for output, expected in reference.outputs().items()
    }


def _movement(bundle: Path, recipe: str) -> float:
    """Largest movement of a landmark by the recipe's graph, half emulated, crop pixels."""
    found = Bundle.open(bundle)
    graph = onnx.load(bundle / f"{recipe}.onnx")
    if found.contract.recipes[recipe].precision != "float32":
        graph = emulate(graph)
    session = create_session(graph.SerializeToString(), "cpu", threads=1)
    reference = found.reference()
    size = found.contract.batch or len(reference)
    return max(
        float(np.abs(run_session(session, {"image": images})["landmarks"] - expected).max())
        for images, expected in (
            (reference.images[rows], reference.outputs()["landmarks"][rows])
            for rows in np.arange(len(reference)).reshape(-1, size)
        )
    )


def _refusal(bundle: Path, provider: Any) -> str:
    try:
        build_engine(bundle, "fp32", "onnxruntime", options=BuildOptions(provider=provider))
    except UserError as error:
        return str(error)
    return ""


if __name__ == "__main__":
    print(json.dumps(main([Path(word) for word in sys.argv[1:]])))
