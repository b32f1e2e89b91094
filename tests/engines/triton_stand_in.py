"""Triton's Python backend in place of its ONNX Runtime backend: it answers with the same graph.

Laid into each version's folder as `model.py`, beside LIBRARIES, a file that names the folder with
the numpy and the ONNX Runtime to use. Each execution adds a line to `executions.jsonl`: the batch
sizes of the requests that Triton joined.
"""

import json
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, (HERE / "LIBRARIES").read_text())


class TritonPythonModel:
    """What the Python backend looks for."""

    def initialize(self, _: dict[str, str]) -> None:
        import onnxruntime

        self.session = onnxruntime.InferenceSession(
            str(HERE / "model.onnx"), providers=["CPUExecutionProvider"]
        )
        self.names = [output.name for output in self.session.get_outputs()]

    def execute(self, requests: list[Any]) -> list[Any]:
        import triton_python_backend_utils as triton

        images = [triton.get_input_tensor_by_name(item, "image").as_numpy() for item in requests]
        with (HERE / "executions.jsonl").open("a") as log:
            log.write(json.dumps([len(image) for image in images]) + "\n")
        return [
            triton.InferenceResponse(
                output_tensors=[
                    triton.Tensor(name, array)
                    for name, array in zip(
                        self.names, self.session.run(self.names, {"image": image}), strict=True
                    )
                ]
            )
            for image in images
        ]
