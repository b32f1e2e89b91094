"""Exact rewriting of trained weights: what does not depend on the image is computed once.

Every product is made in float64 and rounded once, so that a folded graph stays within float32's
rounding of the trained network. Nothing here alters its input.

Letters: d hidden width, N queries, S cells of the memory.
"""

import copy
from collections.abc import Sequence
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor, nn

from trans3dhead.network.attention import Attention
from trans3dhead.network.backbone import ResNet
from trans3dhead.network.config import IMAGE_MEAN, IMAGE_STD
from trans3dhead.network.qamem import QAMem

PIXEL_MAX = 255.0


Kind = TypeVar("Kind", bound=nn.Module)


def members(modules: nn.Module, kind: type[Kind]) -> list[Kind]:
    """The items of a ModuleList with their type, which it forgets."""
    found = [module for module in modules.children() if isinstance(module, kind)]
    assert len(found) == len(list(modules.children()))
    return found


class Affine(NamedTuple):
    """x W + b in float64, W [inputs, outputs]."""

    weight: Tensor
    bias: Tensor
    """[outputs], or [rows, outputs] where a positional term was folded into it."""


def affine(linear: nn.Linear) -> Affine:
    """The same map."""
    return Affine(linear.weight.detach().double().T, linear.bias.detach().double())


def query_affine(attention: Attention, position: Tensor) -> Affine:
    """(x + position) W_q / sqrt(d/h); position [N, d] -> bias [N, d].

    The scale is on the query before the product, so that half precision does not overflow in it.
    """
    weight, bias = affine(attention.q_proj)
    scale = (weight.shape[1] // attention.heads) ** -0.5
    return Affine(weight * scale, (position.detach().double() @ weight + bias) * scale)


def key_affine(attention: Attention, position: Tensor) -> Affine:
    """(x + position) W_k; position [rows, d] -> bias [rows, d]."""
    weight, bias = affine(attention.k_proj)
    return Affine(weight, position.detach().double() @ weight + bias)


def value_affine(attention: Attention, position: Tensor) -> Affine:
    """x W_v: values have no position; its bias is repeated to [rows, d] to go beside the keys'."""
    weight, bias = affine(attention.v_proj)
    return Affine(weight, bias.expand(len(position), -1))


def side_by_side(maps: Sequence[Affine]) -> Affine:
    """Maps of the same x as one: a single matrix product in place of many small ones."""
    weights, biases = zip(*maps, strict=True)
    return Affine(torch.cat(weights, dim=1), torch.cat(biases, dim=1))


def query_transforms(attention: Attention, qamem: QAMem) -> Affine:
    """W_o T_i [N, d, d] and b_o T_i + t_i [N, d]: QAMem takes the output projection in."""
    weight, bias = affine(attention.out_proj)
    transforms = qamem.weight.detach().double()
    return Affine(weight @ transforms, bias @ transforms + qamem.bias.detach().double())


def folded_backbone(backbone: ResNet) -> ResNet:
    """A copy without BatchNorm that takes pixels in 0..255 less `pixel_mean`.

    Each BatchNorm goes into the convolution before it; the division by 255 and by the standard
    deviation into the first. Subtracting the mean cannot be folded: at a padded border the
    convolution reads zeros, which stand for the mean colour and not for black.
    """
    folded = copy.deepcopy(backbone).eval().requires_grad_(False)
    for name, norm in list(folded.named_modules()):
        if isinstance(norm, nn.BatchNorm2d):
            path = name.split(".")
            conv = folded.get_submodule(".".join([*path[:-1], _CONVOLUTION_OF[path[-1]]]))
            assert isinstance(conv, nn.Conv2d)
            _fold_norm(conv, norm)
            folded.set_submodule(name, nn.Identity())
    scale = PIXEL_MAX * torch.tensor(IMAGE_STD, dtype=torch.float64)
    kernel = folded.conv1.weight.double() / scale[:, None, None]
    folded.conv1.weight = nn.Parameter(kernel.float(), requires_grad=False)
    return folded


def pixel_mean() -> Tensor:
    """The mean colour on the scale of pixels, float32 [3]."""
    return (PIXEL_MAX * torch.tensor(IMAGE_MEAN, dtype=torch.float64)).float()


_CONVOLUTION_OF = {"bn1": "conv1", "bn2": "conv2", "bn3": "conv3", "1": "0"}
"""torchvision's names; in a shortcut the norm is item 1 behind the convolution, item 0."""


def _fold_norm(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
    assert conv.bias is None and norm.running_mean is not None and norm.running_var is not None
    gain = norm.weight.double() / torch.sqrt(norm.running_var.double() + norm.eps)
    kernel = conv.weight.double() * gain[:, None, None, None]
    shift = norm.bias.double() - norm.running_mean.double() * gain
    conv.weight = nn.Parameter(kernel.float(), requires_grad=False)
    conv.bias = nn.Parameter(shift.float(), requires_grad=False)
