"""A network as it is evaluated: eager, float32, from uint8 crops to answers in crop pixels."""

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trans3dhead.head.layout import layout_of
from trans3dhead.head.rotation import rotation_from_six_d
from trans3dhead.network.model import Trans3DHead
from trans3dhead.training.samples import normalise


class NetworkPredictor:
    """What `trans3dhead.evaluation` measures of a network in memory.

    Args:
        network: on any device; in evaluation mode while it answers.
        image_size: S, the side of its crops.
    """

    def __init__(self, network: Trans3DHead, image_size: int) -> None:
        self.network = network
        self.image_size = image_size
        self._device = next(network.parameters()).device

    def predict(self, crops: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
        """The answers to crops [B, S, S, 3] uint8 RGB.

        Returns:
            params [B, P] as the network gives them, rotation [B, 3, 3] model space to image axes,
            and landmarks [B, 68, 2] crop pixels unless the network is single-task.
        """
        return self.read(self.compute(self.load(crops)))

    def load(self, crops: NDArray[np.uint8]) -> Tensor:
        """Step 1: the crops where the network is, [B, S, S, 3] uint8."""
        return torch.from_numpy(crops).to(self._device)

    def compute(self, crops: Tensor) -> dict[str, Tensor]:
        """Step 2: what the network says of them, normalised; a GPU may still be at it."""
        was_training = self.network.training
        if was_training:  # to switch walks over every module, which a timed call need not pay
            self.network.eval()
        with torch.inference_mode():
            answers: dict[str, Tensor] = self.network(normalise(crops))
        if was_training:
            self.network.train()
        return answers

    def read(self, answers: Mapping[str, Tensor]) -> dict[str, NDArray[np.float32]]:
        """Step 3: its answers as `predict` gives them."""
        params = answers["params"].cpu().numpy()
        layout = layout_of(params.shape[1])
        found = {"params": params, "rotation": rotation_from_six_d(params[:, layout.rotation])}
        if "landmarks" in answers:
            found["landmarks"] = answers["landmarks"].cpu().numpy() * np.float32(self.image_size)
        return found
