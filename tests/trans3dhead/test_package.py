"""What `import trans3dhead` costs and brings."""

import subprocess
import sys

import pytest
from support import NO_TORCH

import trans3dhead

LIMIT_MS = 60
TIMED = """
import sys, time
import numpy
start = time.perf_counter()
import trans3dhead
print((time.perf_counter() - start) * 1e3)
heavy = {"torch", "cv2", "onnxruntime", "trimesh", "scipy"} & set(sys.modules)
assert not heavy, heavy
"""


def python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_plain_import_is_quick_and_brings_nothing_heavy() -> None:
    """The quickest of three: the machine may be busy."""
    assert min(float(python(TIMED)) for _ in range(3)) < LIMIT_MS


def test_predictor_comes_from_the_top_without_torch() -> None:
    code = "from trans3dhead import Prediction, Predictor; print(Predictor.__name__)"
    assert python(NO_TORCH + code).strip() == "Predictor"


def test_other_names_are_not_there() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Engine'"):
        trans3dhead.Engine  # noqa: B018 - the access is what is tried
