"""What every command shares: two options, and what it hands back."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, kw_only=True)
class CommonOptions:
    """Options that every command has."""

    json: Path | None = None
    """Also write the result to this file, for machines."""
    debug: bool = False
    """Show the traceback of an error."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a command found."""

    data: dict[str, Any] = field(default_factory=dict)
    """The result as JSON values."""
    exit_code: int = 0
    """0 done, 1 a gate failed or stayed open."""
    report: Any = None
    """The same as an object, for a program that runs the command."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """A command that a program ran, as the demo does."""

    command: str
    """As one types it."""
    seconds: float
    outcome: Outcome | None
    """None where the command was refused."""
    refusal: str = ""
    """Why, in its own line."""


def one_blas_thread() -> None:
    """Let numpy's products take one thread, unless the environment says otherwise.

    Idle threads of OpenBLAS spin, and take the cores from stages that run beside them: a full-size
    engine read 6.3 frames/s of video with them and 8.7 without, on 2 cores, and right after numpy
    had posed a mesh ONNX Runtime took 1.8 times its time with them, 1.1 times without. Of use only
    before numpy is imported.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
