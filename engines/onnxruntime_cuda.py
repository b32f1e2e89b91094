"""A session of ONNX Runtime's CUDA provider over fixed places on the GPU, so that graphs replay.

ONNX Runtime captures a CUDA graph for each batch size at its second run, and replays it from then
on. It cannot where a node runs on the CPU; the session then runs without, and says so.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from engines.contract import Contract
from engines.device import Array, open_device
from engines.device_buffers import Buffers
from engines.errors import UserError
from engines.steps import COPY_IN, INFERENCE, Mark

KEPT_GRAPHS = 32
"""Batch sizes that get a graph; further ones run without."""
GRAPH_KEY, NO_GRAPH = "gpu_graph_id", "-1"
"""Of a run's options: which graph it is, and the value that means none."""
REFUSAL = "graph capture"
"""In what ONNX Runtime says of a model that it cannot capture."""

MakeSession = Callable[[bool], Any]
"""Makes the session, with CUDA graphs or without."""


class CudaSession:
    """One thread's session, buffers and graphs."""

    def __init__(self, make: MakeSession, contract: Contract, largest: int) -> None:
        """Open the GPU and allocate for the largest batch.

        Raises:
            UserError: no package that drives the GPU is installed.
        """
        self._contract = contract
        self._bindings: dict[int, tuple[Any, Any]] = {}
        self._session, self._captures = _session(make)
        self.graphs = self._captures
        self._device = open_device()
        try:
            with self._device.current():
                self._buffers = Buffers(self._device, contract, largest)
        except BaseException:
            self._device.close()
            raise

    @property
    def package(self) -> str:
        """What drives the GPU's memory."""
        return self._device.package

    def run(
        self,
        inputs: Mapping[str, Array],
        out: Mapping[str, Array],
        batch: int,
        mark: Mark | None = None,
    ) -> None:
        """Compute arrays on the host into arrays on the host; returns when they are there."""
        if batch not in self._bindings:
            self._bindings[batch] = self._bind(batch)
        binding, options = self._bindings[batch]
        with self._device.current():
            self._buffers.copy_in(inputs, batch)
            self._device.synchronize()  # ONNX Runtime computes on a stream of its own
            if mark is not None:
                mark(COPY_IN)
            self._session.run_with_iobinding(binding, options)  # returns when it has computed
            if mark is not None:
                mark(INFERENCE)
            staged = self._buffers.copy_out(batch)
            self._device.synchronize()
        for name, values in staged.items():
            np.copyto(out[name], values)

    def replay(self, wanted: bool) -> None:
        """Switch graphs on or off.

        Raises:
            UserError: they are wanted, and the model has a node that cannot be captured.
        """
        if wanted and not self._captures:
            raise UserError(
                "CUDA graphs were asked for; ONNX Runtime cannot capture this model, a node of "
                "which runs on the CPU; expected all on the GPU; leave them off"
            )
        self.graphs = wanted
        self._bindings.clear()

    def close(self) -> None:
        """Give session, graphs and memory back."""
        self._bindings.clear()
        del self._session
        self._device.close()

    def _bind(self, batch: int) -> tuple[Any, Any]:
        """A binding to the buffers, and the options that name its graph."""
        import onnxruntime

        binding = self._session.io_binding()
        addresses = self._buffers.addresses()
        for specs, bind in (
            (self._contract.inputs, binding.bind_input),
            (self._contract.outputs, binding.bind_output),
        ):
            for spec in specs:
                dtype, shape = np.dtype(spec.dtype).type, list(spec.shape(batch))
                bind(spec.name, "cuda", 0, dtype, shape, addresses[spec.name])
        options = onnxruntime.RunOptions()
        if self._captures:
            kept = self.graphs and len(self._bindings) < KEPT_GRAPHS
            options.add_run_config_entry(GRAPH_KEY, str(batch) if kept else NO_GRAPH)
        return binding, options


def _session(make: MakeSession) -> tuple[Any, bool]:
    """The session, and whether it captures graphs."""
    try:
        return make(True), True
    except Exception as error:  # ONNX Runtime's own classes have no common base
        if REFUSAL not in str(error).lower():
            raise
        return make(False), False
