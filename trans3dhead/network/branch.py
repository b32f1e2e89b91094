"""One task of the two: queries, their start, decoder layers, and the regression at the end.

Letters: B batch, N queries, S cells, L layers, d hidden width.
"""

from collections.abc import Sequence

from torch import Tensor, nn

from trans3dhead.network.decoder import DecoderLayer
from trans3dhead.network.mqinit import MQInit
from trans3dhead.network.positions import query_positions


class Branch(nn.Module):
    """A transformer decoder with a task.

    Args:
        queries, width: N and d.
        mqinit: gives the first target from the memory; None starts from zeros.
        layers: L decoder layers, none shared with the other branch.
        regression: takes the L layers' states, [B, N, d] each, and gives the branch's answer.
    """

    def __init__(
        self,
        *,
        queries: int,
        width: int,
        mqinit: MQInit | None,
        layers: Sequence[DecoderLayer],
        regression: nn.Module,
    ) -> None:
        super().__init__()
        self.query_position = query_positions(queries, width)
        self.mqinit = mqinit
        self.layers = nn.ModuleList(layers)
        self.regression = regression

    def forward(self, memory: Tensor, memory_key: Tensor) -> Tensor:
        """Memory [B, S, d], the same plus positions [B, S, d] -> the regression's answer."""
        target = self.start(memory)
        states = []
        for layer in self.layers:
            target = layer(target, self.query_position, memory, memory_key)
            states.append(target)
        return self.regression(states)

    def start(self, memory: Tensor) -> Tensor:
        """The first target: [B, N, d] from the memory, or zeros [1, N, d] for every image."""
        if self.mqinit is not None:
            return self.mqinit(memory)
        return memory.new_zeros(1, *self.query_position.shape)
