"""Query-aware memory (paper section 3.2): each query reads through a transform of its own.

Letters: B batch, N queries, d hidden width, T_i the transform of query i.
"""

import torch
from torch import Tensor, nn


class QAMem(nn.Module):
    """Eq. 3: transform what query i extracted, instead of making a memory for it (Eq. 2).

    It follows the attention's output projection W_o, so it equals a memory of query i's own whose
    values in head h are M W_v^h W_o^h T_i (biases aside), read with the same attention weights.

    Attributes:
        weight: [N, d, d]; `weight[i]` is T_i, rows are inputs, columns are outputs. A 1x1
            convolution with N groups on N*d channels has `weight.transpose(1, 2)` as its kernel.
        bias: [N, d].
    """

    def __init__(self, *, queries: int, width: int) -> None:
        super().__init__()
        # Identity and zero: training starts from plain attention. From random transforms the
        # landmark error did not move (SPEC 2, start of training).
        self.weight = nn.Parameter(torch.eye(width).repeat(queries, 1, 1))
        self.bias = nn.Parameter(torch.zeros(queries, width))

    def forward(self, extracted: Tensor) -> Tensor:
        """[B, N, d] -> [B, N, d]."""
        # transformed[b, n, j] = sum_i extracted[b, n, i] * weight[n, i, j] + bias[n, j]
        return torch.einsum("bni,nij->bnj", extracted, self.weight) + self.bias
