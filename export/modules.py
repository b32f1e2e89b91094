"""Names of a graph's nodes: MODULE/OPERATOR. No torch here: graphs are read where it is missing."""

import onnx_ir as ir


def module_of(node: ir.Node) -> str:
    """Path of the module that a node was traced in; empty for the network itself."""
    return (node.name or "").rpartition("/")[0]
