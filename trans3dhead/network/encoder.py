"""DETR's post-norm encoder layer: cells of the memory attend to each other (Table 3 right).

Letters: B batch, S cells, d hidden width.
"""

from torch import Tensor, nn

from trans3dhead.network.attention import Attention
from trans3dhead.network.layers import AddNorm, FeedForward


class EncoderLayer(nn.Module):
    """Self-attention, add & norm, feed-forward, add & norm."""

    def __init__(self, *, width: int, heads: int, inner: int, dropout: float) -> None:
        super().__init__()
        self.self_attention = Attention(width=width, heads=heads, dropout=dropout)
        self.self_add_norm = AddNorm(width=width, dropout=dropout)
        self.feedforward = FeedForward(width=width, inner=inner, dropout=dropout)
        self.feedforward_add_norm = AddNorm(width=width, dropout=dropout)

    def forward(self, memory: Tensor, position: Tensor) -> Tensor:
        """Memory [B, S, d] and its positions [S, d] -> memory [B, S, d]."""
        key = memory + position
        memory = self.self_add_norm(memory, self.self_attention(key, key, memory))
        return self.feedforward_add_norm(memory, self.feedforward(memory))
