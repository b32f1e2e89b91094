"""The steps of a call, for whoever wants to know how long each takes."""

from collections.abc import Callable

COPY_IN = "copy in"
"""Checks, and whatever brings the inputs to where they are computed on."""
INFERENCE = "inference"
COPY_OUT = "copy out"
"""The answers' way into the caller's arrays."""
STEPS = (COPY_IN, INFERENCE, COPY_OUT)

Mark = Callable[[str], None]
"""Told the name of each step as it ends. What computes asynchronously is waited for first, so a
call that is marked may take a little longer than one that is not."""
