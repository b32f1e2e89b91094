"""A checkpoint in PyTorch, on the CPU or a GPU: what everyone has before anything is deployed.

float32 means float32: PyTorch would let cuDNN convolve in TF32, which here is a row of its own.
"""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmarks.throughput.measure import Work
from engines.errors import UserError, one_line
from engines.steps import COPY_IN, COPY_OUT, INFERENCE, Mark
from trans3dhead.head.layout import to_full
from trans3dhead.head.model import HeadModel
from trans3dhead.head.source import head_by_identity
from trans3dhead.head.torch_model import TorchHead
from trans3dhead.network.cost import flops_per_image
from trans3dhead.training.checkpoint import load_checkpoint
from trans3dhead.training.predictor import NetworkPredictor

Crops = NDArray[np.uint8]

BACKEND = "inductor"
COMPILERS = ("g++", "clang++")
"""One of them is what inductor needs to make kernels for a CPU."""

DTYPES = {
    "float32": torch.float32,
    "tf32": torch.float32,
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
}
"""Precisions of a checkpoint's rows, and what its weights are held in for them."""


class TorchNetwork:
    """A checkpoint that answers as a graph does.

    Args:
        head_folder: its head model, where that is not the built-in one.
        mesh: whether to give vertices and projected too.
        threads: of the whole process; PyTorch's own choice where None.
        device: cpu or cuda.
        precision: a key of `DTYPES`; on the CPU float32. The halves hold weights and activations
            alike; answers and head model are float32.
        compiled: by `torch.compile`, once for each batch size, on a GPU with CUDA graphs; a graph
            that would have to be left and entered again is an error, so nothing runs eagerly
            unasked.

    Raises:
        UserError: no checkpoint or head model, no compiler, or no such device.
    """

    def __init__(
        self,
        checkpoint: Path,
        *,
        head_folder: Path | None,
        mesh: bool,
        threads: int | None,
        device: str = "cpu",
        precision: str = "float32",
        compiled: bool = False,
    ) -> None:
        _check_device(device, precision)
        if compiled and not any(map(shutil.which, COMPILERS)):
            raise UserError(
                f"--compile came; torch.compile needs a C++ compiler ({' or '.join(COMPILERS)}) "
                "and this machine has none; install one (`apt-get install g++`), or leave it out"
            )
        loaded = load_checkpoint(checkpoint)
        if threads is not None:
            torch.set_num_threads(threads)
        self.config = config = loaded.preset.network
        self.size = config.image_size
        self.module = loaded.network
        """The network itself, as it was trained."""
        self.threads = torch.get_num_threads()
        self._tf32 = precision == "tf32"
        dtype = DTYPES[precision]
        network: Any = _InPrecision(loaded.network, dtype, _layout(device, dtype))
        network = network.to(device).eval()
        if compiled:
            mode = "reduce-overhead" if device == "cuda" else None
            network = torch.compile(
                network, dynamic=False, fullgraph=True, backend=BACKEND, mode=mode
            )
        self._predictor = NetworkPredictor(network, self.size)
        outputs = 2 * config.landmarks + config.parameters + 9  # float32
        self.work = Work(
            flops={precision: flops_per_image(config)},
            weight_bytes=sum(p.nbytes for p in loaded.network.parameters()),
            image_bytes=3 * self.size**2 + 4 * outputs,
            device="cpu" if device == "cpu" else "gpu",
        )
        self._device = device
        self._record, self._head_folder = loaded.head, head_folder
        self._head = TorchHead(self.head_model()).to(device) if mesh else None

    def head_model(self) -> HeadModel:
        """The head model that the parameters are of.

        Raises:
            UserError: it is neither the built-in one nor that of the folder.
        """
        return head_by_identity(self._record.name, self._record.sha256, self._head_folder)

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

    def __call__(self, images: Crops, mark: Mark | None = None) -> dict[str, NDArray[Any]]:
        """All outputs for crops [B, S, S, 3] uint8 RGB, as arrays.

        Args:
            mark: told each of `engines.steps.STEPS` as it ends; the mesh, which is made of answers
                that have come back, is no longer part of them.
        """
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = self._tf32
        loaded = self._predictor.load(images)
        self._end(COPY_IN, mark)
        computed = self._predictor.compute(loaded)
        self._end(INFERENCE, mark)
        answers: dict[str, NDArray[Any]] = dict(self._predictor.read(computed))
        self._end(COPY_OUT, mark)
        if self._head is not None:
            with torch.inference_mode():
                params = torch.from_numpy(to_full(answers["params"])).to(self._device)
                vertices = self._head.posed_vertices(params)
                projected = self._head.project(vertices, params, self.size)
                answers["vertices"] = vertices.cpu().numpy()
                answers["projected"] = projected.cpu().numpy()
        return answers

    def _end(self, step: str, mark: Mark | None) -> None:
        if mark is not None:
            if self._device == "cuda":
                torch.cuda.synchronize()
            mark(step)


class _InPrecision(nn.Module):
    """A network whose weights and activations have one dtype and layout, and answers in float32."""

    def __init__(self, network: nn.Module, dtype: torch.dtype, layout: torch.memory_format) -> None:
        super().__init__()
        self.network = network.to(dtype)
        self.network.to(memory_format=layout)  # type: ignore[call-overload]
        self._dtype, self._layout = dtype, layout

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        image = image.to(self._dtype, memory_format=self._layout)
        return {name: answer.float() for name, answer in self.network(image).items()}


def _layout(device: str, dtype: torch.dtype) -> torch.memory_format:
    """Channels last, which convolves faster on a CPU and in halves on a GPU; what was trained has
    them first, and so has float32 on a GPU, where nobody has measured it here."""
    if device == "cuda" and dtype == torch.float32:
        return torch.contiguous_format
    return torch.channels_last


def _check_device(device: str, precision: str) -> None:
    if precision not in DTYPES:
        raise UserError(
            f"--checkpoint-precision {precision} came; expected one of {', '.join(DTYPES)}"
        )
    if device == "cpu" and precision != "float32":
        raise UserError(
            f"--checkpoint-precision {precision} came for the CPU; expected float32 there; "
            "add `--checkpoint-device cuda`, or leave it out"
        )
    if device == "cuda" and not torch.cuda.is_available():
        raise UserError(
            "--checkpoint-device cuda came; this PyTorch finds no CUDA GPU; expected one; leave "
            "it out, or install a CUDA build of torch"
        )
