"""Encoder and decoder layers as they are deployed: few products, explicit attention.

Tokens are rows of a matrix: no step but attention tells images apart, so the products are plain
two-dimensional ones, which every runtime fuses with bias and ReLU.

Letters: B batch, N queries (cells in an encoder), S cells of the memory, d hidden width, h heads,
e = d/h, p parts.
"""

# mypy: disable-error-code="no-any-return,no-untyped-call"
# torch leaves calls of modules and Tensor.split untyped

import copy

import torch
from torch import Tensor, nn

from export.folding import (
    Affine,
    affine,
    key_affine,
    query_affine,
    query_transforms,
    side_by_side,
    value_affine,
)
from trans3dhead.network.attention import Attention
from trans3dhead.network.decoder import DecoderLayer
from trans3dhead.network.encoder import EncoderLayer
from trans3dhead.network.layers import AddNorm, FeedForward


class Product(nn.Module):
    """x W + b as one product, W [inputs, outputs]: the graph turns no weight at run time."""

    weight: Tensor
    bias: Tensor

    def __init__(self, values: Affine) -> None:
        super().__init__()
        self.register_buffer("weight", values.weight.float().contiguous())
        self.register_buffer("bias", values.bias.float().contiguous())

    def forward(self, x: Tensor) -> Tensor:
        """[rows, inputs] -> [rows, outputs]."""
        return torch.addmm(self.bias, x, self.weight)


class HeadProduct(nn.Module):
    """Queries, keys or values in heads, several of them from one product; positions in the bias.

    Args:
        values: weight [d, p*d], bias [N, p*d].
        heads: h.
    """

    weight: Tensor
    bias: Tensor

    def __init__(self, values: Affine, *, heads: int) -> None:
        super().__init__()
        width, outputs = values.weight.shape
        self.heads = heads
        self.parts = outputs // width
        self.register_buffer("weight", values.weight.float().contiguous())
        bias = values.bias.reshape(-1, self.parts * heads, width // heads)  # [N, p*h, e]
        self.register_buffer("bias", bias.float().contiguous())

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """[B*N, d] -> p of [B, h, N, e]: one transposition for all."""
        split = (x @ self.weight).reshape(-1, *self.bias.shape) + self.bias  # [B, N, p*h, e]
        parts = split.permute(0, 2, 1, 3)  # [B, p*h, N, e]
        return (parts,) if self.parts == 1 else parts.split(self.heads, dim=1)


def attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """softmax(Q K^T) V; Q carries the scale: [B, h, N, e], 2 x [B, h, S, e] -> [B, h, N, e]."""
    return torch.softmax(query @ key.transpose(2, 3), dim=-1) @ value


class OutProjection(Product):
    """Heads side by side, then W_o."""

    def forward(self, extracted: Tensor) -> Tensor:
        """[B, h, N, e] -> [B*N, d]."""
        return super().forward(extracted.permute(0, 2, 1, 3).reshape(-1, len(self.weight)))


class SelfAttention(nn.Module):
    """Queries, keys and values of the same rows, from one product."""

    def __init__(self, trained: Attention, position: Tensor) -> None:
        super().__init__()
        kinds = (query_affine, key_affine, value_affine)
        merged = side_by_side([kind(trained, position) for kind in kinds])
        self.qkv_proj = HeadProduct(merged, heads=trained.heads)
        self.out_proj = OutProjection(affine(trained.out_proj))

    def forward(self, x: Tensor) -> Tensor:
        """[B*N, d] -> [B*N, d]."""
        query, key, value = self.qkv_proj(x)
        return self.out_proj(attend(query, key, value))


class FeedForwardForm(nn.Module):
    """d -> inner -> d with ReLU."""

    def __init__(self, trained: FeedForward) -> None:
        super().__init__()
        self.linear1 = Product(affine(trained.linear1))
        self.linear2 = Product(affine(trained.linear2))

    def forward(self, x: Tensor) -> Tensor:
        """[B*N, d] -> [B*N, d]."""
        return self.linear2(torch.relu(self.linear1(x)))


class AddNormForm(nn.Module):
    """LayerNorm(x + update)."""

    def __init__(self, trained: AddNorm) -> None:
        super().__init__()
        self.norm = copy.deepcopy(trained.norm).requires_grad_(False)

    def forward(self, x: Tensor, update: Tensor) -> Tensor:
        """2 x [B*N, d] -> [B*N, d]."""
        return self.norm(x + update)


class EncoderForm(nn.Module):
    """An encoder layer; position [S, d]."""

    def __init__(self, trained: EncoderLayer, position: Tensor) -> None:
        super().__init__()
        self.self_attention = SelfAttention(trained.self_attention, position)
        self.self_add_norm = AddNormForm(trained.self_add_norm)
        self.feedforward = FeedForwardForm(trained.feedforward)
        self.feedforward_add_norm = AddNormForm(trained.feedforward_add_norm)

    def forward(self, memory: Tensor) -> Tensor:
        """[B*S, d] -> [B*S, d]."""
        memory = self.self_add_norm(memory, self.self_attention(memory))
        return self.feedforward_add_norm(memory, self.feedforward(memory))


class QAMemProduct(nn.Module):
    """W_o T_i for every query, as one batched product: a transform is read once for all images."""

    weight: Tensor
    bias: Tensor

    def __init__(self, transforms: Affine) -> None:
        super().__init__()
        self.register_buffer("weight", transforms.weight.float().contiguous())  # [N, d, d]
        self.register_buffer("bias", transforms.bias.float().contiguous())  # [N, d]

    def forward(self, extracted: Tensor) -> Tensor:
        """[B, h, N, e] -> [B*N, d]."""
        queries, width, _ = self.weight.shape
        x = extracted.permute(2, 0, 1, 3).reshape(queries, -1, width)  # [N, B, d]
        # transformed[n, b, j] = sum_i x[n, b, i] weight[n, i, j]
        transformed = (x @ self.weight).permute(1, 0, 2) + self.bias  # [B, N, d]
        return transformed.reshape(-1, width)


class ConstantQuery(nn.Module):
    """What a query projection gives for a target that no image changes."""

    heads: Tensor

    def __init__(self, projection: HeadProduct, target: Tensor) -> None:
        super().__init__()
        self.register_buffer("heads", projection(target)[0])  # [1, h, N, e]

    def forward(self, _x: None) -> tuple[Tensor]:
        """[1, h, N, e]."""
        return (self.heads,)


class ConstantAddNorm(nn.Module):
    """LayerNorm(target + update) for a target [N, d] that no image changes."""

    target: Tensor

    def __init__(self, trained: AddNorm, target: Tensor) -> None:
        super().__init__()
        self.register_buffer("target", target)
        self.norm = copy.deepcopy(trained.norm).requires_grad_(False)

    def forward(self, _x: None, update: Tensor) -> Tensor:
        """[B*N, d] -> [B*N, d]."""
        rows = update.reshape(-1, *self.target.shape) + self.target  # [B, N, d]
        return self.norm(rows).reshape(update.shape)


class CrossAttention(nn.Module):
    """Queries read the memory, whose keys and values come ready.

    With QAMem the output projection is inside the transforms, and missing here.
    """

    def __init__(self, trained: DecoderLayer, position: Tensor, target: Tensor | None) -> None:
        super().__init__()
        attention = trained.cross_attention
        projection = HeadProduct(query_affine(attention, position), heads=attention.heads)
        self.q_proj = projection if target is None else ConstantQuery(projection, target)
        self.out_proj = OutProjection(affine(attention.out_proj)) if trained.qamem is None else None

    def forward(self, x: Tensor | None, key: Tensor, value: Tensor) -> Tensor:
        """[B*N, d], 2 x [B, h, S, e] -> [B*N, d]; with QAMem [B, h, N, e]."""
        (query,) = self.q_proj(x)
        extracted = attend(query, key, value)
        return extracted if self.out_proj is None else self.out_proj(extracted)


class DecoderForm(nn.Module):
    """A decoder layer.

    Args:
        trained: the layer.
        position: [N, d], the queries' positions.
        constant: whether this is the first layer of a branch that starts from zeros. Then neither
            its self-attention nor the query of its cross-attention depends on the image; both are
            computed here, once.
    """

    def __init__(self, trained: DecoderLayer, position: Tensor, *, constant: bool) -> None:
        super().__init__()
        target = None
        if constant:
            answering = copy.deepcopy(trained).eval()  # a layer in training would drop at random
            (target,) = answering.attend_queries(torch.zeros_like(position)[None], position)
        else:
            self.self_attention = SelfAttention(trained.self_attention, position)
            self.self_add_norm = AddNormForm(trained.self_add_norm)
        self.constant = constant
        self.cross_attention = CrossAttention(trained, position, target)
        self.qamem = None
        if trained.qamem is not None:
            transforms = query_transforms(trained.cross_attention, trained.qamem)
            self.qamem = QAMemProduct(transforms)
        self.cross_add_norm = (
            AddNormForm(trained.cross_add_norm)
            if target is None
            else ConstantAddNorm(trained.cross_add_norm, target)
        )
        self.feedforward = FeedForwardForm(trained.feedforward)
        self.feedforward_add_norm = AddNormForm(trained.feedforward_add_norm)

    def forward(self, x: Tensor | None, key: Tensor, value: Tensor) -> Tensor:
        """[B*N, d] or, where constant, None; 2 x [B, h, S, e] -> [B*N, d]."""
        if not self.constant:
            x = self.self_add_norm(x, self.self_attention(x))
        extracted = self.cross_attention(x, key, value)
        if self.qamem is not None:
            extracted = self.qamem(extracted)
        x = self.cross_add_norm(x, extracted)
        return self.feedforward_add_norm(x, self.feedforward(x))
