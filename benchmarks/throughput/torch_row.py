"""A checkpoint in PyTorch, float32: what everyone has before anything is deployed."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.throughput.measure import Work
from engines.errors import UserError, one_line
from trans3dhead.head.layout import to_full
from trans3dhead.head.source import head_by_identity
from trans3dhead.head.torch_model import TorchHead
from trans3dhead.network.cost import flops_per_image
from trans3dhead.training.checkpoint import load_checkpoint
from trans3dhead.training.predictor import NetworkPredictor

Crops = NDArray[np.uint8]

BACKEND = "inductor"
COMPILERS = ("g++", "clang++")
"""One of them is what inductor needs to make kernels for a CPU."""


class TorchNetwork:
    """A checkpoint that answers as a graph does.

    Args:
        head_folder: its head model, where that is not the built-in one.
        mesh: whether to give vertices and projected too.
        threads: of the whole process; PyTorch's own choice where None.
        compiled: by `torch.compile`, once for each batch size; a graph that would have to be left
            and entered again is an error, so nothing runs eagerly unasked.

    Raises:
        UserError: no checkpoint or head model, or no compiler.
    """

    def __init__(
        self,
        checkpoint: Path,
        *,
        head_folder: Path | None,
        mesh: bool,
        threads: int | None,
        compiled: bool = False,
    ) -> None:
        if compiled and not any(map(shutil.which, COMPILERS)):
            raise UserError(
                f"--compile came; torch.compile needs a C++ compiler ({' or '.join(COMPILERS)}) "
                "and this machine has none; install one (`apt-get install g++`), or leave it out"
            )
        loaded = load_checkpoint(checkpoint)
        if threads is not None:
            torch.set_num_threads(threads)
        config = loaded.preset.network
        self.size = config.image_size
        self.threads = torch.get_num_threads()
        network: Any = loaded.network.eval()
        if compiled:
            network = torch.compile(network, dynamic=False, fullgraph=True, backend=BACKEND)
        self._predictor = NetworkPredictor(network, self.size)
        outputs = 2 * config.landmarks + config.parameters + 9  # float32
        self.work = Work(
            flops=flops_per_image(config),
            weight_bytes=4 * sum(parameter.numel() for parameter in loaded.network.parameters()),
            image_bytes=3 * self.size**2 + 4 * outputs,
            ceiling="float32",
        )
        self._head = None
        if mesh:
            record = loaded.head
            self._head = TorchHead(head_by_identity(record.name, record.sha256, head_folder))

    def prepare(self, images: Crops) -> None:
        """Answer once, which compiles for this batch size where that was asked for.

        Raises:
            UserError: the compiler fails.
        """
        try:
            self(images)
        except RuntimeError as error:
            raise UserError(
                f"torch.compile failed at batch {len(images)} ({one_line(error)}); expected a "
                "compiled network; leave --compile out, or mend the compiler"
            ) from None

    def __call__(self, images: Crops) -> dict[str, NDArray[Any]]:
        """All outputs for crops [B, S, S, 3] uint8 RGB, as arrays."""
        answers: dict[str, NDArray[Any]] = dict(self._predictor.predict(images))
        if self._head is not None:
            with torch.inference_mode():
                params = torch.from_numpy(to_full(answers["params"]))
                vertices = self._head.posed_vertices(params)
                answers["vertices"] = vertices.numpy()
                answers["projected"] = self._head.project(vertices, params, self.size).numpy()
        return answers
