"""TensorRT-RTX under plain TensorRT's name and a version of its: for building without a GPU.

Polygraphy then takes the branches of that version, and the library that answers is real.
"""

import os

from tensorrt_rtx import *  # noqa: F403 - as NVIDIA's own package does it

__version__ = os.environ["STANDIN_TENSORRT_VERSION"]
