"""Runs a plan: page-locked buffers reused, one context a shape, CUDA graphs after one plain run.

Not yet tried on hardware (docs/plans.md); tested against stand-ins for TensorRT and CUDA.
B: batch.
"""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from engines.contract import Contract, TensorSpec
from engines.device import Array, Device, DeviceError
from engines.device_array import DeviceArray
from engines.device_buffers import Buffers
from engines.device_graphs import Graph
from engines.manifest import BatchProfile
from engines.steps import COPY_IN, INFERENCE, Mark
from engines.tensorrt_plan import NoteLayer, Plan

KEPT_SHAPES = 32
"""Batch sizes whose context and graph are kept; the one unused for longest gives way."""


@dataclass
class Shape:
    """A context whose batch is fixed. A graph keeps its context's state, so it has its own."""

    context: Any
    foreign: bool
    """Whether it reads inputs where a caller has them, at an address that changes."""
    graph: Graph | None = None
    runs: int = 0


class PlanRunner:
    """One stream and the buffers of one thread, over a plan that others may run too."""

    def __init__(
        self,
        plan: Plan,
        device: Device,
        contract: Contract,
        profiles: tuple[BatchProfile, ...],
        *,
        graphs: bool,
    ) -> None:
        """Allocate for the largest batch. The device is the runner's once this is done.

        Args:
            graphs: capture a CUDA graph for each batch, at its second run.
        """
        self.graphs = graphs
        self.note: NoteLayer | None = None
        """Told what each layer takes, by the contexts that are made while it is set."""
        self.milliseconds: float | None = None
        self.plan = plan
        self._device, self._contract, self._profiles = device, contract, profiles
        self._shapes: OrderedDict[tuple[int, bool], Shape] = OrderedDict()
        largest = max(profile.max for profile in profiles)
        with device.current():
            self._scratch = device.allocate(plan.scratch_bytes) if plan.scratch_bytes else 0
            self._buffers = Buffers(device, contract, largest)

    def run(
        self,
        inputs: Mapping[str, Array],
        out: Mapping[str, Array],
        batch: int,
        mark: Mark | None = None,
    ) -> None:
        """Compute arrays on the host into arrays on the host; returns when they are there."""
        with self._device.current():
            shape = self._shape(batch, foreign=False)
            self._buffers.copy_in(inputs, batch)
            if mark is not None:
                self._device.synchronize()
                mark(COPY_IN)
            self._compute(shape)
            if mark is not None:
                self._device.synchronize()
                mark(INFERENCE)
            staged = self._buffers.copy_out(batch)
            self._finish()
        for name, values in staged.items():
            np.copyto(out[name], values)

    def run_on_device(
        self, inputs: Mapping[str, DeviceArray], batch: int
    ) -> dict[str, DeviceArray]:
        """Compute arrays on the GPU; returns when the outputs are ready.

        The outputs are this runner's own buffers: its next run writes into them.
        """
        places = self._buffers.addresses()
        own = all(array.address == places[name] for name, array in inputs.items())
        with self._device.current():
            shape = self._shape(batch, foreign=not own)
            for name, array in inputs.items():
                if not own:
                    self.plan.set_address(shape.context, name, array.address)
                if array.stream is not None:
                    self._device.wait_for(array.stream)
            self._compute(shape)
            self._finish()
        return self.arrays(self._contract.outputs, batch)

    def arrays(self, specs: tuple[TensorSpec, ...], batch: int) -> dict[str, DeviceArray]:
        """This runner's buffers on the GPU, as arrays of a batch."""
        places = self._buffers.addresses()
        return {
            spec.name: DeviceArray(
                places[spec.name],
                spec.shape(batch),
                np.dtype(spec.dtype),
                owner=self,
            )
            for spec in specs
        }

    @property
    def stream(self) -> int:
        """Handle of the runner's CUDA stream."""
        return self._device.stream

    def close(self) -> None:
        """Give contexts, graphs and memory back."""
        with self._device.current():
            while self._shapes:
                _drop(self._shapes.popitem()[1])
            del self.plan  # the last runner's frees the weights, here where the GPU is current
        self._device.close()

    def _shape(self, batch: int, *, foreign: bool) -> Shape:
        """The context of a batch, made where it is asked for the first time."""
        key = batch, foreign
        if key not in self._shapes:
            if len(self._shapes) == KEPT_SHAPES:
                _drop(self._shapes.popitem(last=False)[1])
            context = self.plan.make_context(self._scratch)
            self.plan.set_shapes(
                context, self._contract, batch, profile=self._profile(batch), stream=self.stream
            )
            for name, address in self._buffers.addresses().items():
                self.plan.set_address(context, name, address)
            if self.note is not None:
                self.plan.time_layers(context, self.note)
            self._shapes[key] = Shape(context, foreign)
        self._shapes.move_to_end(key)
        return self._shapes[key]

    def _profile(self, batch: int) -> int:
        """Of the profiles that take a batch, the narrowest."""
        fitting = [
            (profile.max - profile.min, index)
            for index, profile in enumerate(self._profiles)
            if profile.min <= batch <= profile.max
        ]
        return min(fitting)[1]

    def _compute(self, shape: Shape) -> None:
        """Put the network on the stream: plainly at first, then as a graph."""

        def enqueue() -> None:
            self.plan.enqueue(shape.context, self.stream)

        self._device.start_clock()
        if shape.graph is None and self.graphs and shape.runs and not shape.foreign:
            try:
                shape.graph = Graph(self.stream, enqueue)
            except DeviceError as error:
                raise DeviceError(
                    f"no CUDA graph: {error}; or run without graphs: `engine.graphs = False`"
                ) from error
        if self.graphs and shape.graph is not None:
            shape.graph.launch()
        else:
            enqueue()
        shape.runs += 1
        self._device.stop_clock()

    def _finish(self) -> None:
        self._device.synchronize()
        self.milliseconds = self._device.milliseconds()


def _drop(shape: Shape) -> None:
    """Give a context and its graph back, the graph first."""
    if shape.graph is not None:
        shape.graph.close()
    shape.context = None
