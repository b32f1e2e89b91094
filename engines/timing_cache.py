"""TensorRT's timing cache: what a build measured of kernels, kept for the next build here.

One file for each GPU and TensorRT version, under the user's cache folder. Parallel builds read it
without a lock, since it is replaced whole, and add to it one by one. Never used with TensorRT-RTX,
which times nothing and would want a GPU for it.
"""

import contextlib
import fcntl
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from engines.files import write_whole
from engines.machine import Machine

REFUSAL = "timing cache will not be used"
"""Of TensorRT 8 to 11 and RTX, where it cannot read one (NVIDIA/TensorRT #3566)."""

BAD = ".bad"
"""Ends the name of a file that TensorRT refused."""


def timing_cache_path(version: str, machine: Machine) -> Path:
    """Where the cache of a TensorRT version on a machine's GPU lies."""
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    words = f"tensorrt-{version}-{machine.gpu}-sm{machine.compute_capability}"
    return Path(root) / "trans3dhead" / f"{re.sub(r'[^A-Za-z0-9.-]+', '_', words)}.timing"


def attach(
    config: Any, path: Path, *, heard: Callable[[], list[str]], say: Callable[[str], None]
) -> None:
    """Give a builder's configuration the cache; one that TensorRT refuses is set aside.

    Args:
        config: of plain TensorRT.
        path: the cache's file, which need not be there.
        heard: all lines of TensorRT's log so far.
        say: told when a file is set aside.
    """
    data = b""
    try:
        data = path.read_bytes() if path.is_file() else b""
        known = len(heard())
        if data and not (_accept(config, data) and not _refusals(heard()[known:])):
            refused, data = data, b""
            if _set_aside(path, refused):
                say(f"timing cache refused, now {path.name}{BAD}")
    except OSError as error:  # a build does without
        say(f"timing cache {path.name} left alone ({error.strerror})")
    if not data:
        accepted = _accept(config, b"")
        assert accepted, "TensorRT refuses an empty timing cache"


def keep(config: Any, path: Path, say: Callable[[str], None]) -> None:
    """Add what a finished build measured to the file; what others added meanwhile is kept.

    Args:
        say: told where TensorRT cannot join the two; the file then holds this build's alone.
    """
    cache = config.get_timing_cache()
    path.parent.mkdir(parents=True, exist_ok=True)
    with _locked(path):
        if path.is_file():
            earlier = config.create_timing_cache(path.read_bytes())
            if earlier is None or not cache.combine(earlier, ignore_mismatch=False):
                say(f"timing cache {path.name} could not be joined, written anew")
        write_whole(path, bytes(cache.serialize()))


def _set_aside(path: Path, refused: bytes) -> bool:
    """Rename the refused file, unless a parallel build has put another in its place."""
    with _locked(path):
        if not path.is_file() or path.read_bytes() != refused:
            return False
        path.replace(path.with_name(path.name + BAD))
    return True


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Nobody else adds to the file or sets it aside during the block."""
    with path.with_name(path.name + ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _accept(config: Any, data: bytes) -> bool:
    cache = config.create_timing_cache(data)
    return cache is not None and bool(config.set_timing_cache(cache, ignore_mismatch=False))


def _refusals(lines: list[str]) -> list[str]:
    """Of what TensorRT said, the lines that tell of a cache it does not use.

    It gives an empty cache in place of a broken one and returns success.
    """
    return [line for line in lines if REFUSAL in line.lower()]
