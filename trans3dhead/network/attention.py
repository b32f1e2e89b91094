"""Multi-head attention with four plain projections, so that each can be named, hooked and exported.

Letters: B batch, N queries, S keys, d hidden width, h heads.
"""

from torch import Tensor, nn
from torch.nn import functional as F


class Attention(nn.Module):
    """softmax(Q K^T / sqrt(d/h)) V in h heads, then the output projection W_o.

    Dropout falls on the attention weights, as in DETR.
    """

    def __init__(self, *, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.dropout = dropout
        self.q_proj = _projection(width)
        self.k_proj = _projection(width)
        self.v_proj = _projection(width)
        self.out_proj = _projection(width)

    def forward(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """query [B or 1, N, d], key and value [B, S, d] -> [B, N, d].

        A query that is the same for every image comes once, and is projected once.
        """
        q = self._split(self.q_proj(query)).expand(key.shape[0], -1, -1, -1)  # [B, h, N, d/h]
        extracted = F.scaled_dot_product_attention(
            q,
            self._split(self.k_proj(key)),
            self._split(self.v_proj(value)),
            dropout_p=self.dropout if self.training else 0.0,
        )  # [B, h, N, d/h]
        return self.out_proj(extracted.transpose(1, 2).flatten(2))  # [B, N, d]

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(2, (self.heads, -1)).transpose(1, 2)  # [B, h, N or S, d/h]


def _projection(width: int) -> nn.Linear:
    linear = nn.Linear(width, width)
    nn.init.xavier_uniform_(linear.weight)
    nn.init.zeros_(linear.bias)
    return linear
