"""The layers of a built plan, as TensorRT's inspector lists them, and what they compute in.

The parsed network's types are the promise; the plan is what was made of it. The inspector does not
look into every fused region, so each product is told in low precision, told in full, or not told.
"""

import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from engines.errors import BuildError
from engines.precision import SHARE_TOLERANCE, Product

LAYERS_FILE = "layers.json"

LOW = re.compile(r"\b(half|fp16|bf16|bfloat16|int8)\b", re.IGNORECASE)
FULL = re.compile(r"\b(float|fp32)\b", re.IGNORECASE)
"""How a tensor's "Format/Datatype" names its type: "Half", "Row major linear FP16 format", ..."""


@dataclass(frozen=True, kw_only=True)
class PlanShares:
    """Shares of the FLOPs of Conv, MatMul and Gemm in a built plan; they add up to 1."""

    low: float
    """Half, bfloat16 or int8."""
    full: float
    untold: float


def plan_shares(products: Iterable[Product], layers: Iterable[Any]) -> PlanShares:
    """What the inspector tells of each product of the parsed network.

    A product lies in the layer whose "Metadata" names it. The layer computes low where one of
    its inputs or outputs is, in full where all of them are; one without types tells nothing.
    """
    kinds: dict[str, str] = {}
    for layer in layers:
        if isinstance(layer, Mapping):
            for name in onnx_names(layer):
                kinds[name] = max(kinds.get(name, "untold"), _kind(layer), key=_KINDS.index)
    flops = dict.fromkeys(_KINDS, 0)
    for product in products:
        flops[kinds.get(product.name, "untold")] += product.flops
    total = max(1, math.fsum(flops.values()))
    return PlanShares(**{kind: count / total for kind, count in flops.items()})


def onnx_names(layer: Mapping[str, Any]) -> list[str]:
    """The graph's nodes that a layer of the inspector's stands for."""
    return re.findall(r"\[ONNX Layer: (.*?)\]", str(layer.get("Metadata", "")))


def check_plan(shares: PlanShares, promised: float) -> None:
    """Refuse a plan that was told to compute less in half or int8 than its recipe promises."""
    if shares.low + shares.untold < promised - SHARE_TOLERANCE:
        raise BuildError(
            f"the built plan computes {shares.full:.1%} of its FLOPs in float32 and at most "
            f"{shares.low + shares.untold:.1%} in half or int8; the recipe promises "
            f"{promised:.1%}; build with another TensorRT version, or export with another recipe"
        )


def layer_table(information: str, shares: PlanShares) -> str:
    """The text of `layers.json`: the shares, then the inspector's own list."""
    return json.dumps({"flops": asdict(shares), **json.loads(information)}, indent=1) + "\n"


_KINDS = ("untold", "full", "low")
"""A product found in several layers counts as the last of these that one of them has."""


def _kind(layer: Mapping[str, Any]) -> str:
    tensors = [*layer.get("Inputs", ()), *layer.get("Outputs", ())]
    types = [str(tensor.get("Format/Datatype", "")) for tensor in tensors]
    if any(LOW.search(text) for text in types):
        return "low"
    return "full" if types and all(FULL.search(text) for text in types) else "untold"
