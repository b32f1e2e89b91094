"""Encoder and decoder layers against PyTorch's post-norm layers and a written-out reference."""

import torch
from torch import Tensor, nn

from trans3dhead.network.attention import Attention
from trans3dhead.network.decoder import DecoderLayer
from trans3dhead.network.encoder import EncoderLayer
from trans3dhead.network.layers import AddNorm
from trans3dhead.network.qamem import QAMem

B, N, S, D, HEADS, INNER = 2, 5, 9, 16, 4, 32


def randomised(module: nn.Module) -> None:
    for weight in module.parameters():
        nn.init.normal_(weight, std=0.4)


def copy_attention(source: Attention, twin: nn.MultiheadAttention) -> None:
    projections = (source.q_proj, source.k_proj, source.v_proj)
    twin.in_proj_weight.data = torch.cat([projection.weight.data for projection in projections])
    twin.in_proj_bias.data = torch.cat([projection.bias.data for projection in projections])
    twin.out_proj.load_state_dict(source.out_proj.state_dict())


def decoder_layer(qamem: QAMem | None = None) -> DecoderLayer:
    layer = DecoderLayer(width=D, heads=HEADS, inner=INNER, dropout=0.1, qamem=qamem)
    randomised(layer)
    return layer.eval()


def test_the_decoder_layer_without_positions_is_pytorchs() -> None:
    layer = decoder_layer()
    twin = nn.TransformerDecoderLayer(D, HEADS, INNER, batch_first=True).eval()
    copy_attention(layer.self_attention, twin.self_attn)
    copy_attention(layer.cross_attention, twin.multihead_attn)
    for source, copy in (
        (layer.feedforward.linear1, twin.linear1),
        (layer.feedforward.linear2, twin.linear2),
        (layer.self_add_norm.norm, twin.norm1),
        (layer.cross_add_norm.norm, twin.norm2),
        (layer.feedforward_add_norm.norm, twin.norm3),
    ):
        copy.load_state_dict(source.state_dict())
    target, memory = torch.randn(B, N, D), torch.randn(B, S, D)
    found = layer(target, torch.zeros(N, D), memory, memory)
    torch.testing.assert_close(found, twin(target, memory), rtol=1e-5, atol=1e-5)


def test_the_encoder_layer_without_positions_is_pytorchs() -> None:
    layer = EncoderLayer(width=D, heads=HEADS, inner=INNER, dropout=0.1)
    randomised(layer)
    twin = nn.TransformerEncoderLayer(D, HEADS, INNER, batch_first=True)
    copy_attention(layer.self_attention, twin.self_attn)
    for source, copy in (
        (layer.feedforward.linear1, twin.linear1),
        (layer.feedforward.linear2, twin.linear2),
        (layer.self_add_norm.norm, twin.norm1),
        (layer.feedforward_add_norm.norm, twin.norm2),
    ):
        copy.load_state_dict(source.state_dict())
    memory = torch.randn(B, S, D)
    expected = twin.eval()(memory)
    found = layer.eval()(memory, torch.zeros(S, D))
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_positions_are_added_to_queries_and_keys_only() -> None:
    qamem = QAMem(queries=N, width=D)
    layer = decoder_layer(qamem)
    target, position, memory, key = (torch.randn(*shape) for shape in shapes())

    def step(x: Tensor, update: Tensor, norm: nn.LayerNorm) -> Tensor:
        return norm(x + update)

    placed = target + position
    expected = step(target, layer.self_attention(placed, placed, target), layer.self_add_norm.norm)
    extracted = layer.cross_attention(expected + position, key, memory)
    expected = step(expected, qamem(extracted), layer.cross_add_norm.norm)
    expected = step(expected, layer.feedforward(expected), layer.feedforward_add_norm.norm)
    torch.testing.assert_close(layer(target, position, memory, key), expected)


def test_the_encoders_positions_stay_out_of_the_values() -> None:
    layer = EncoderLayer(width=D, heads=HEADS, inner=INNER, dropout=0.0).eval()
    memory, position = torch.randn(B, S, D), torch.randn(S, D)
    placed = memory + position
    attended = layer.self_add_norm.norm(memory + layer.self_attention(placed, placed, memory))
    expected = layer.feedforward_add_norm.norm(attended + layer.feedforward(attended))
    torch.testing.assert_close(layer(memory, position), expected)


def test_only_the_update_is_dropped_and_only_in_training() -> None:
    add_norm = AddNorm(width=D, dropout=0.5)
    add_norm.norm = nn.Identity()  # type: ignore[assignment]
    x, update = torch.randn(B, N, D), torch.ones(B, N, D)
    change = add_norm.train()(x, update) - x
    kept = change.abs() > 0.5
    assert 0 < kept.float().mean() < 1
    torch.testing.assert_close(change[kept], torch.full_like(change[kept], 2))
    assert torch.equal(add_norm.eval()(x, update), x + update)


def test_a_shared_target_equals_one_for_each_image() -> None:
    layer = decoder_layer(QAMem(queries=N, width=D))
    target, position, memory, key = (torch.randn(*shape) for shape in shapes())
    shared = layer(target[:1], position, memory, key)
    expected = layer(target[:1].expand(B, -1, -1), position, memory, key)
    torch.testing.assert_close(shared, expected)


def shapes() -> list[tuple[int, ...]]:
    return [(B, N, D), (N, D), (B, S, D), (B, S, D)]
