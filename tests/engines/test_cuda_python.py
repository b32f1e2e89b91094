"""The real cuda-python, over a stand-in for the driver's library: its calls take what we give."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import standins

from engines.machine import this_machine


def test_the_device_contract_holds_for_the_real_cuda_python(tmp_path: Path) -> None:
    pytest.importorskip("cuda.bindings")
    if this_machine().gpu is not None:
        pytest.skip("there is a GPU: test_device.py uses it")
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    source = Path(standins.__file__).parent / "driver.c"
    library = tmp_path / "libcuda.so.1"
    subprocess.run(
        ["gcc", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", f"-Wl,-soname,{library.name}",
         "-o", str(library), str(source), "-ldl"],
        check=True,
    )  # fmt: skip
    tests = Path(__file__).with_name("test_device.py")
    answer = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-m", "gpu", "-k", "cuda.bindings", str(tests)],
        env=os.environ | {"LD_LIBRARY_PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, answer.stdout
    assert "6 passed" in answer.stdout
