"""What each module of a checkpoint takes in eager PyTorch, by hooks around every module.

A module's own time is that between its call and its return, less that of the modules it calls. On a
GPU the marks are events on the stream, so that what is measured is when the GPU gets there, and
not when it is asked.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks.throughput.modules import Profiled, group_of, make_rows
from benchmarks.throughput.rows import Images
from benchmarks.throughput.torch_row import TorchNetwork
from engines.layer_times import repeat
from trans3dhead.network.cost import flops_by_module

Mark = tuple[str, bool, Any]
"""A module's path, whether it was entered or left, and when."""


def profile_network(
    checkpoint: Path,
    images: Images,
    *,
    device: str,
    batch: int,
    depth: int | None,
    seconds: float,
    threads: int | None,
) -> Profiled:
    """Record a checkpoint; see `module_bench.profile_modules`.

    Raises:
        UserError: it cannot be loaded, or there is no such device.
    """
    network = TorchNetwork(checkpoint, head_folder=None, mesh=False, threads=threads, device=device)
    crops = images(batch, network.size)
    plain = repeat(lambda: network(crops), seconds / 2)
    calls: list[dict[str, float]] = []
    marks: list[Mark] = []
    stamp, between = _clock(device)
    with _hooked(network.module, marks, stamp):

        def call() -> None:
            marks.clear()
            network(crops)
            calls.append(own_times(marks, between))

        taken = repeat(call, seconds)
    plain += repeat(lambda: network(crops), seconds / 2)
    counted = calls[-len(taken) :]
    paths = dict.fromkeys(path for path, _ in network.module.named_modules())
    flops: defaultdict[str, float] = defaultdict(float)
    for path, count in flops_by_module(network.config).items():
        flops[group_of(path, depth)] += count * batch
    return Profiled(
        name="torch eager" if device == "cpu" else f"torch eager, {device}",
        runtime="torch",
        precision="float32",
        batch=batch,
        calls=len(taken),
        milliseconds=float(np.mean(taken)),
        plain=float(np.mean(plain)),
        rows=make_rows(
            [
                (group_of(path, depth), sum(call[path] for call in counted) / len(counted))
                for path in paths
                if path in counted[0]
            ],
            flops,
            dict.fromkeys(group_of(path, depth) for path in paths),
            call=float(np.mean(taken)),
        ),
    )


def own_times(marks: list[Mark], between: Callable[[Any, Any], float]) -> dict[str, float]:
    """Milliseconds of each module itself, of one call's marks."""
    own: defaultdict[str, float] = defaultdict(float)
    open_: list[tuple[Any, float]] = []
    for path, entered, when in marks:
        if entered:
            open_.append((when, 0.0))
            continue
        began, of_children = open_.pop()
        taken = between(began, when)
        own[path] += taken - of_children
        if open_:
            open_[-1] = open_[-1][0], open_[-1][1] + taken
    return dict(own)


def _clock(device: str) -> tuple[Callable[[], Any], Callable[[Any, Any], float]]:
    """What takes the time, and what gives the milliseconds between two of them."""
    if device == "cpu":
        return time.perf_counter, lambda begin, end: 1000 * (end - begin)

    def stamp() -> torch.cuda.Event:
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    return stamp, lambda begin, end: float(begin.elapsed_time(end))


@contextmanager
def _hooked(network: nn.Module, marks: list[Mark], stamp: Callable[[], Any]) -> Iterator[None]:
    """Note when each module is entered and left, within the block."""
    handles = []
    for path, module in network.named_modules():

        def enter(*_: object, path: str = path) -> None:
            marks.append((path, True, stamp()))

        def leave(*_: object, path: str = path) -> None:
            marks.append((path, False, stamp()))

        handles += [module.register_forward_pre_hook(enter), module.register_forward_hook(leave)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
