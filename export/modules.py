"""Names of a graph's nodes: MODULE/OPERATOR, and the parts of the network that tables speak of.

No torch here: graphs are read where it is missing.
"""

import onnx_ir as ir


def module_of(node: ir.Node) -> str:
    """Path of the module that a node was traced in; empty for the network itself."""
    return (node.name or "").rpartition("/")[0]


STEM = "backbone.stem"
"""Stands for the backbone's modules before its first stage."""
STEM_MODULES = ("backbone.conv1", "backbone.relu", "backbone.maxpool")
STAGE = "layer"
"""How the name of a backbone's stage begins."""


def part_of(module: str) -> str:
    """The part of the network that a module of the deployed form belongs to.

    A part is a stage of the backbone, a step of an encoder or decoder layer (attention, feed-
    forward, normalisation), a branch's first queries or answer, or what lies beside the branches.
    """
    names = module.split(".")
    if names[0] == "backbone":
        return ".".join(names[:2]) if names[1:] and names[1].startswith(STAGE) else STEM
    if "layers" in names:
        return ".".join(names[: names.index("layers") + 3])
    if names[0] == "encoder":
        return ".".join(names[:3])
    return ".".join(names[:2]) if names[0].endswith("_branch") else names[0]


def modules_of(part: str) -> tuple[str, ...]:
    """The modules that make up a part, as recipes name them."""
    return STEM_MODULES if part == STEM else (part,)
