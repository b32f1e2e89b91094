"""The two steps that encoder and decoder layers share: add & norm, and feed-forward.

Letters: B batch, N tokens, d hidden width.
"""

from torch import Tensor, nn


class AddNorm(nn.Module):
    """LayerNorm(x + dropout(update)): DETR's post-norm residual."""

    def __init__(self, *, width: int, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor, update: Tensor) -> Tensor:
        """[B, N, d] and [B, N, d] -> [B, N, d]."""
        return self.norm(x + self.dropout(update))


class FeedForward(nn.Module):
    """d -> inner -> d with ReLU, each token by itself."""

    def __init__(self, *, width: int, inner: int, dropout: float) -> None:
        super().__init__()
        self.linear1 = nn.Linear(width, inner)
        self.relu = nn.ReLU()
        self.dropout = nn.Dropout(dropout)
        self.linear2 = nn.Linear(inner, width)
        for linear in (self.linear1, self.linear2):
            nn.init.xavier_uniform_(linear.weight)

    def forward(self, x: Tensor) -> Tensor:
        """[B, N, d] -> [B, N, d]."""
        return self.linear2(self.dropout(self.relu(self.linear1(x))))
