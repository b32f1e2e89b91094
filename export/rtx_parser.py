"""TensorRT-RTX's parser, which parses what TensorRT parses and needs no GPU for it."""

import importlib
import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engines.errors import one_line

MODULE = "tensorrt_rtx"


@dataclass(frozen=True)
class Parsed:
    """A graph as the compiler sees it; each field needs those behind it to stay alive."""

    network: Any
    parser: Any
    builder: Any
    logger: Any


def is_installed() -> bool:
    """Whether this machine has it."""
    return importlib.util.find_spec(MODULE) is not None


def parse(graph: Path) -> Parsed:
    """Parse an ONNX file.

    Raises:
        ValueError: what the parser says against it, in one line.
    """
    trt: Any = importlib.import_module(MODULE)
    logger = trt.Logger(trt.Logger.ERROR)
    builder = trt.Builder(logger)
    network = builder.create_network(0)
    parser = trt.OnnxParser(network, logger)
    if not parser.parse_from_file(str(graph)):
        errors = (parser.get_error(index).desc() for index in range(parser.num_errors))
        raise ValueError(one_line("; ".join(errors)))
    return Parsed(network, parser, builder, logger)
