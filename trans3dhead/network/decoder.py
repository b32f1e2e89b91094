"""DETR's post-norm decoder layer; query-aware memory changes only what cross-attention extracts.

Letters: B batch, N queries, S cells, d hidden width.
"""

from torch import Tensor, nn

from trans3dhead.network.attention import Attention
from trans3dhead.network.layers import AddNorm, FeedForward
from trans3dhead.network.qamem import QAMem


class DecoderLayer(nn.Module):
    """Queries attend to each other, then to the memory, then each goes through feed-forward.

    The three steps are methods, so that an exporter can compute one of them beforehand where its
    input does not depend on the image.
    """

    def __init__(
        self, *, width: int, heads: int, inner: int, dropout: float, qamem: QAMem | None
    ) -> None:
        super().__init__()
        self.self_attention = Attention(width=width, heads=heads, dropout=dropout)
        self.self_add_norm = AddNorm(width=width, dropout=dropout)
        self.cross_attention = Attention(width=width, heads=heads, dropout=dropout)
        self.qamem = qamem
        self.cross_add_norm = AddNorm(width=width, dropout=dropout)
        self.feedforward = FeedForward(width=width, inner=inner, dropout=dropout)
        self.feedforward_add_norm = AddNorm(width=width, dropout=dropout)

    def forward(
        self, target: Tensor, query_position: Tensor, memory: Tensor, memory_key: Tensor
    ) -> Tensor:
        """One layer.

        Args:
            target: [B, N, d], what the queries know so far; [1, N, d] where it is the same for
                every image, and then self-attention is computed once.
            query_position: [N, d], learned; added wherever the target is a query or a key.
            memory: [B, S, d], the values of cross-attention.
            memory_key: [B, S, d], the memory plus its positions.

        Returns:
            [B, N, d], normalised; nothing else follows the last layer.
        """
        target = self.attend_queries(target, query_position)
        target = self.attend_memory(target, query_position, memory, memory_key)
        return self.feedforward_add_norm(target, self.feedforward(target))

    def attend_queries(self, target: Tensor, query_position: Tensor) -> Tensor:
        """Self-attention, add & norm: [B or 1, N, d] -> the same shape. No memory here."""
        key = target + query_position
        return self.self_add_norm(target, self.self_attention(key, key, target))

    def attend_memory(
        self, target: Tensor, query_position: Tensor, memory: Tensor, memory_key: Tensor
    ) -> Tensor:
        """Cross-attention, query-aware transform, add & norm: [B or 1, N, d] -> [B, N, d]."""
        extracted = self.cross_attention(target + query_position, memory_key, memory)
        if self.qamem is not None:
            extracted = self.qamem(extracted)
        return self.cross_add_norm(target, extracted)
