"""Fixed places for an engine's tensors: on the GPU, and page-locked on the host beside them."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from engines.contract import Contract, TensorSpec
from engines.device import Array, Device


@dataclass(frozen=True)
class Buffer:
    """A tensor at the largest batch, on the GPU and page-locked on the host."""

    address: int
    host: Array
    """uint8 [bytes]."""

    def view(self, spec: TensorSpec, batch: int) -> Array:
        """The host's part that `batch` items take: spec.dtype [batch, ...]."""
        shape, dtype = spec.shape(batch), np.dtype(spec.dtype)
        size = int(np.prod(shape)) * dtype.itemsize
        return self.host[:size].view(dtype).reshape(shape)


class Buffers:
    """One buffer for each input and output of a contract, as long as the device is open.

    All calls are made within `with device.current()`.
    """

    def __init__(self, device: Device, contract: Contract, batch: int) -> None:
        """Allocate for `batch` items."""
        self._device, self._contract = device, contract
        self._buffers = {
            spec.name: self._make(spec, batch) for spec in (*contract.inputs, *contract.outputs)
        }

    def addresses(self) -> dict[str, int]:
        """Name to address on the GPU."""
        return {name: buffer.address for name, buffer in self._buffers.items()}

    def copy_in(self, inputs: Mapping[str, Array], batch: int) -> None:
        """Put the inputs' way to the GPU on the stream."""
        for spec in self._contract.inputs:
            buffer = self._buffers[spec.name]
            staged = buffer.view(spec, batch)
            np.copyto(staged, inputs[spec.name])
            self._device.copy_in(buffer.address, staged)

    def copy_out(self, batch: int) -> dict[str, Array]:
        """Put the outputs' way back on the stream; the arrays hold them once it is empty."""
        staged = {}
        for spec in self._contract.outputs:
            buffer = self._buffers[spec.name]
            staged[spec.name] = buffer.view(spec, batch)
            self._device.copy_out(staged[spec.name], buffer.address)
        return staged

    def _make(self, spec: TensorSpec, batch: int) -> Buffer:
        size = int(np.prod(spec.shape(batch))) * np.dtype(spec.dtype).itemsize
        return Buffer(self._device.allocate(size), self._device.page_locked(size))
