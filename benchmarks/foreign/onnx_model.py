"""A foreign ONNX graph in ONNX Runtime, on the CPU. Needs no torch."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.foreign.adapter import InputForm
from engines.errors import ContractError, UserError, one_line
from engines.onnxruntime_session import create_session, import_onnxruntime

Array = NDArray[Any]

DTYPES = {"float32": "tensor(float)", "float16": "tensor(float16)", "uint8": "tensor(uint8)"}
"""numpy's name to ONNX Runtime's."""


class OnnxModel:
    """See `benchmarks.foreign.engine.Model`.

    Raises:
        UserError: the file is no ONNX graph, or its input is not what the adapter says.
    """

    runtime = "onnxruntime"

    def __init__(self, path: Path, form: InputForm, threads: int | None) -> None:
        self.version: str = import_onnxruntime().__version__
        try:
            self._session = create_session(path, "cpu", threads)
        except Exception as error:  # ONNX Runtime's own classes have no common base but Exception
            raise UserError(
                f"{path} cannot be opened ({one_line(error)}); expected an ONNX graph; "
                "export it anew"
            ) from None
        node = self._input(path, form)
        self._name: str = node.name
        first = node.shape[0]
        self.batch: int | None = first if isinstance(first, int) else None

    def __call__(self, inputs: Array) -> dict[str, Array]:
        names = [output.name for output in self._session.get_outputs()]
        try:
            values = self._session.run(names, {self._name: inputs})
        except Exception as error:
            raise UserError(
                f"ONNX Runtime failed on the foreign model ({one_line(error)}); expected an "
                "answer; look at [input] of the adapter"
            ) from None
        return {name: np.asarray(value) for name, value in zip(names, values, strict=True)}

    def _input(self, path: Path, form: InputForm) -> Any:
        """The model's input, held against the adapter's."""
        inputs = {node.name: node for node in self._session.get_inputs()}
        if form.name is None and len(inputs) == 1:
            (node,) = inputs.values()
        elif form.name in inputs and len(inputs) == 1:
            node = inputs[form.name]
        else:
            raise ContractError(
                f"{path} takes {', '.join(inputs)}; the adapter says "
                f"{form.name or 'no name'}; expected one input of that name; mend `name` in [input]"
            )
        channels_last = form.layout == "NHWC"
        image = (form.size, form.size, 3) if channels_last else (3, form.size, form.size)
        fits = len(node.shape) == 4 and all(
            axis == wanted or not isinstance(axis, int)
            for axis, wanted in zip(node.shape[1:], image, strict=True)
        )
        if node.type != DTYPES[form.dtype] or not fits:
            raise ContractError(
                f"{path} takes {node.name} as {node.type} {node.shape}; the adapter gives "
                f"{DTYPES[form.dtype]} [batch, {', '.join(map(str, image))}]; mend layout, dtype "
                "or size in [input]"
            )
        return node
