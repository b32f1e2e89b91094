"""Attention against PyTorch's own."""

import torch
from torch import Tensor, nn

from trans3dhead.network.attention import Attention

B, N, S, D, HEADS = 2, 5, 7, 16, 4


def torch_twin(attention: Attention) -> nn.MultiheadAttention:
    """PyTorch's module with the same weights."""
    twin = nn.MultiheadAttention(D, HEADS, batch_first=True)
    projections = (attention.q_proj, attention.k_proj, attention.v_proj)
    twin.in_proj_weight.data = torch.cat([projection.weight.data for projection in projections])
    twin.in_proj_bias.data = torch.cat([projection.bias.data for projection in projections])
    twin.out_proj.load_state_dict(attention.out_proj.state_dict())
    return twin.eval()


def trained(module: nn.Module) -> nn.Module:
    """Away from the start, where biases are zero."""
    for weight in module.parameters():
        nn.init.normal_(weight, std=0.5)
    return module.eval()


def inputs() -> tuple[Tensor, Tensor, Tensor]:
    return torch.randn(B, N, D), torch.randn(B, S, D), torch.randn(B, S, D)


def test_equals_pytorchs_attention() -> None:
    attention = Attention(width=D, heads=HEADS, dropout=0.0)
    trained(attention)
    query, key, value = inputs()
    expected, _ = torch_twin(attention)(query, key, value)
    torch.testing.assert_close(attention(query, key, value), expected, rtol=1e-5, atol=1e-5)


def test_a_shared_query_equals_one_for_each_image() -> None:
    attention = Attention(width=D, heads=HEADS, dropout=0.0)
    trained(attention)
    query, key, value = inputs()
    shared = query[:1]
    expected = attention(shared.expand(B, -1, -1), key, value)
    torch.testing.assert_close(attention(shared, key, value), expected)


def test_weights_are_dropped_in_training_only() -> None:
    attention = Attention(width=D, heads=HEADS, dropout=0.5)
    query, key, value = inputs()
    attention.eval()
    assert torch.equal(attention(query, key, value), attention(query, key, value))
    attention.train()
    assert not torch.equal(attention(query, key, value), attention(query, key, value))
