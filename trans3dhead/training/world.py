"""The processes that train one network together, as `torchrun` starts them."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from engines.errors import UserError

Value = TypeVar("Value")


@dataclass(frozen=True, kw_only=True)
class World:
    """This process among them. Every method must be called by all of them, in the same order."""

    rank: int = 0
    """From 0; process 0 alone writes files and talks."""
    size: int = 1
    """Processes, on all machines."""
    device: str = "cpu"
    """torch's name of where this process computes."""

    @property
    def leads(self) -> bool:
        """Whether this process writes and talks."""
        return self.rank == 0

    def wrap(self, network: nn.Module) -> nn.Module:
        """The network with gradients averaged over all processes; itself where there is one."""
        if self.size == 1:
            return network
        device = torch.device(self.device)
        return DistributedDataParallel(network, [device] if device.type == "cuda" else None)

    def mean(self, values: Tensor) -> Tensor:
        """The mean over all processes of tensors of one shape, on `device`."""
        if self.size == 1:
            return values
        total = values.detach().clone()
        distributed.all_reduce(total)
        return total / self.size

    def gather(self, value: Value) -> list[Value]:
        """Every process's value, by rank."""
        if self.size == 1:
            return [value]
        found: list[Value | None] = [None] * self.size
        distributed.all_gather_object(found, value)
        return found  # type: ignore[return-value]

    def agree(self, value: Value) -> Value:
        """Process 0's value."""
        if self.size == 1:
            return value
        found = [value]
        distributed.broadcast_object_list(found, src=0)
        return found[0]

    @contextmanager
    def leader_first(self) -> Iterator[None]:
        """Let process 0 run the block, then the others."""
        if not self.leads:
            distributed.barrier()
        yield
        if self.leads and self.size > 1:
            distributed.barrier()


ALONE = World()
"""One process, on the CPU."""


@contextmanager
def join_world(device: str) -> Iterator[World]:
    """The world that `torchrun` told this process of, or one process by itself.

    Args:
        device: torch's name of where to compute; "cuda" among several is each process's own GPU.

    Raises:
        UserError: there is no such device.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        _check_device(device)
        yield World(device=device)
        return
    if device == "cuda":
        device = f"cuda:{os.environ['LOCAL_RANK']}"
    _check_device(device)
    on_gpu = torch.device(device).type == "cuda"
    if on_gpu:
        torch.cuda.set_device(device)
    distributed.init_process_group("nccl" if on_gpu else "gloo")
    try:
        yield World(rank=distributed.get_rank(), size=size, device=device)
    finally:
        distributed.destroy_process_group()


def _check_device(device: str) -> None:
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(
            f"device {device!r} cannot be used ({reason}); expected one that torch finds here, "
            "such as cpu or cuda; name another"
        ) from error
