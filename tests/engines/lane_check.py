"""Run by the Python of another environment: does a bundle work with the libraries there?

    python lane_check.py BUNDLE

Prints one JSON object: versions, the largest difference of each recipe's answers from the bundle's
reference (by output), what each engine computes in, and what asking for a GPU says here.
"""

import importlib.util
import json
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from engines.building import build_engine
from engines.bundle import Bundle
from engines.errors import UserError
from engines.manifest import read_manifest
from engines.options import BuildOptions
from engines.runtime import open_engine

ENGINES = {
    "fp32": ("fp32", BuildOptions()),
    "fp16 emulated": ("fp16", BuildOptions(half="emulated")),
    "fp16 plain": ("fp16", BuildOptions(half="native")),
}


def main(bundle: Path) -> dict[str, Any]:
    """See the top of this file."""
    reference = Bundle.open(bundle).reference()
    differences, precisions = {}, {}
    for name, (recipe, options) in ENGINES.items():
        folder = build_engine(
            bundle, recipe, "onnxruntime", name=name.replace(" ", "-"), options=options
        )
        precisions[name] = read_manifest(folder).effective.precision
        with open_engine(folder, threads=1) as engine:
            answers = engine.infer({"image": reference.images})
        differences[name] = {
            output: float(np.abs(answers[output] - expected).max())
            for output, expected in reference.outputs().items()
        }
    return {
        "torch": importlib.util.find_spec("torch") is not None,
        "versions": {name: version(name) for name in ("onnxruntime-gpu", "onnx", "numpy")},
        "differences": differences,
        "precisions": precisions,
        "refusals": [_refusal(bundle, provider) for provider in ("cuda", "tensorrt")],
    }


def _refusal(bundle: Path, provider: Any) -> str:
    try:
        build_engine(bundle, "fp32", "onnxruntime", options=BuildOptions(provider=provider))
    except UserError as error:
        return str(error)
    return ""


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]))))
