"""A foreign TorchScript file, as it is, in float32 or whatever it was traced in."""

from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray

from engines.errors import UserError, one_line

Array = NDArray[Any]


class TorchScriptModel:
    """See `benchmarks.foreign.engine.Model`. What it gives: a tensor, a tuple, or a dictionary.

    Raises:
        UserError: the file is no TorchScript module.
    """

    runtime = "torchscript"
    batch: int | None = None

    def __init__(self, path: Path, threads: int | None) -> None:
        self.version = str(torch.__version__)
        if threads is not None:
            torch.set_num_threads(threads)
        try:
            self._module = torch.jit.load(str(path), map_location="cpu").eval()
        except (RuntimeError, ValueError) as error:
            raise UserError(
                f"{path} cannot be opened ({one_line(error)[:200]}); expected a TorchScript file, "
                "made by torch.jit.save; a state_dict is not one"
            ) from None

    def __call__(self, inputs: Array) -> dict[str, Array]:
        try:
            with torch.inference_mode():
                given = self._module(torch.from_numpy(inputs))
        except RuntimeError as error:
            raise UserError(
                f"the foreign model failed ({one_line(error)[-300:]}); expected an answer; look at "
                "[input] of the adapter"
            ) from None
        if isinstance(given, torch.Tensor):
            given = (given,)
        named = given.items() if isinstance(given, dict) else enumerate(given)
        return {
            str(name): value.cpu().numpy()
            for name, value in named
            if isinstance(value, torch.Tensor)
        }
