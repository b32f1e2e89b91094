"""Query-aware memory: Eq. 3, as it is built, equals Eq. 2, a memory for every query."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trans3dhead.network.attention import Attention
from trans3dhead.network.qamem import QAMem

B, N, S, D, HEADS = 2, 5, 9, 16, 4


def parts() -> tuple[Attention, QAMem]:
    attention, qamem = Attention(width=D, heads=HEADS, dropout=0.0), QAMem(queries=N, width=D)
    for weight in (*attention.parameters(), *qamem.parameters()):
        nn.init.normal_(weight, std=0.5)
    return attention.double(), qamem.double()


def equation_2(
    attention: Attention, qamem: QAMem, query: Tensor, key: Tensor, memory: Tensor
) -> Tensor:
    """Query i reads, in head h, its own memory M W_v^h W_o^h T_i; biases follow their factors."""
    e = D // HEADS
    answers = torch.zeros_like(query)
    for i in range(N):
        transform = qamem.weight[i]  # T_i
        for h in range(HEADS):
            own = slice(h * e, (h + 1) * e)
            q = query[:, i] @ attention.q_proj.weight[own].T + attention.q_proj.bias[own]  # [B, e]
            k = key @ attention.k_proj.weight[own].T + attention.k_proj.bias[own]  # [B, S, e]
            scores = torch.einsum("be,bse->bs", q, k) / e**0.5
            v = memory @ attention.v_proj.weight[own].T + attention.v_proj.bias[own]  # [B, S, e]
            own_memory = v @ attention.out_proj.weight[:, own].T @ transform  # [B, S, d]
            answers[:, i] += torch.einsum("bs,bsd->bd", scores.softmax(1), own_memory)
        answers[:, i] += attention.out_proj.bias @ transform + qamem.bias[i]
    return answers


def test_eq_3_equals_eq_2_with_heads() -> None:
    attention, qamem = parts()
    query, key, memory = (torch.randn(B, n, D, dtype=torch.float64) for n in (N, S, S))
    expected = equation_2(attention, qamem, query, key, memory)
    found = qamem(attention(query, key, memory))
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)


def test_each_query_has_its_own_transform() -> None:
    _, qamem = parts()
    same = torch.randn(1, 1, D, dtype=torch.float64).expand(1, N, D)
    assert len(qamem(same)[0].unique(dim=0)) == N


def test_equals_a_grouped_convolution() -> None:
    _, qamem = parts()
    extracted = torch.randn(B, N, D, dtype=torch.float64)
    kernel = qamem.weight.transpose(1, 2).reshape(N * D, D, 1)
    convolved = F.conv1d(extracted.reshape(B, N * D, 1), kernel, qamem.bias.flatten(), groups=N)
    torch.testing.assert_close(qamem(extracted), convolved.view(B, N, D))


def test_starts_as_the_identity() -> None:
    extracted = torch.randn(B, N, D)
    assert torch.equal(QAMem(queries=N, width=D)(extracted), extracted)
