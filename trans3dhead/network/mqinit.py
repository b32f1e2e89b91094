"""Memory-related query initialisation (MQinit, Eq. 1).

Letters: B batch, S cells, N queries, d hidden width.
"""

from torch import Tensor, nn


class MQInit(nn.Module):
    """Q_init = FC(global average pool(memory)): all queries' start from the image itself."""

    def __init__(self, *, queries: int, width: int) -> None:
        super().__init__()
        self.queries = queries
        self.linear = nn.Linear(width, queries * width)
        for block in self.linear.weight.data.split(width):  # one [d, d] matrix a query
            nn.init.xavier_uniform_(block)
        nn.init.zeros_(self.linear.bias)

    def forward(self, memory: Tensor) -> Tensor:
        """Memory [B, S, d] -> the decoder's first target [B, N, d]."""
        pooled = memory.mean(dim=1)  # [B, d]
        return self.linear(pooled).unflatten(1, (self.queries, -1))  # [B, N, d]
