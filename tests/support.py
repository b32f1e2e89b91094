"""Types the shared fixtures hand out."""

import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

WithoutTorch = Callable[..., subprocess.CompletedProcess[str]]
"""Runs the command line, word by word, in a process in which importing torch raises."""

NO_TORCH = (
    "import sys\n"
    "class NoTorch:\n"
    "    def find_spec(self, name, path=None, target=None):\n"
    "        if name.split('.')[0] == 'torch':\n"
    "            raise ImportError('torch is blocked')\n"
    "sys.meta_path.insert(0, NoTorch())\n"
)
"""Runs first in a process in which importing torch raises."""


@dataclass(frozen=True)
class Demo:
    """A finished demo."""

    folder: Path
    exit_code: int
    found: dict[str, Any]
    """Its JSON."""

    @property
    def checkpoint(self) -> Path:
        return self.folder / "training" / "last.safetensors"

    @property
    def mesh(self) -> Path:
        """The bundle that answers with vertices."""
        return self.folder / "mesh"

    def engine(self, recipe: str) -> Path:
        """An engine of the mesh bundle."""
        return self.mesh / "engines" / f"onnxruntime-{recipe}"
