"""Exports over and over, each time in a process of its own that may be killed.

    python export_server.py CHECKPOINT GRAPH

Imports once, and takes the traced graph from a file: what is left is what happens in a bundle's
folder. For each line of stdin, a folder to be, it forks a process that exports a mesh bundle
there, answers with the process's number, and once that ended with "done", or "ended" if it failed
or was killed.
"""

import os
import sys
from pathlib import Path

import onnx_ir as ir
import torch

import export.exporting


def main(checkpoint: Path, graph: Path) -> None:
    """See the top of this file."""
    torch.set_num_threads(1)
    traced = ir.load(graph)
    export.exporting.trace = lambda *_, **__: traced
    export.exporting.trace_plain = lambda *_, **__: traced
    print("ready", flush=True)
    for line in sys.stdin:
        number = os.fork()
        if number == 0:
            code = 1
            try:
                out = Path(line.strip())
                export.exporting.export_bundle(
                    checkpoint, out, variant="mesh", recipes=["fp32"], batch=None, count=1
                )
                code = 0
            finally:
                os._exit(code)
        print(number, flush=True)
        _, status = os.waitpid(number, 0)
        print("ended" if status else "done", flush=True)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
