"""A real Triton server loads what `deploy triton` wrote, warms it up, joins requests and answers.

The one Triton that pip installs, within `nvidia-pytriton`, has the Python backend alone; it stands
in for the ONNX Runtime backend (triton_stand_in.py). All else of the repository is served as it
was written: shapes, types, batches, warm-up, version. Downloads about 75 MB.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.request
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from tritonclient.grpc import InferenceServerClient, InferInput
from tritonclient.utils import InferenceServerException

from engines.building import build_engine
from engines.manifest import BatchProfile
from engines.runtime import open_engine
from engines.triton import deploy

SERVER = "nvidia-pytriton==0.7.0"
LIBRARIES = ("numpy==1.26.4", "onnxruntime==1.20.1")
"""What the server's Python backend of 2024 takes."""
STAND_IN = Path(__file__).with_name("triton_stand_in.py")
TOLERANCE = 1e-5
"""Between two versions of ONNX Runtime, in float32."""


def pip(*words: object) -> None:
    command = [sys.executable, "-m", "pip", *map(str, words), "-q", "--disable-pip-version-check"]
    subprocess.run(command, check=True, timeout=600)


@pytest.fixture(scope="module")
def triton(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The server's folder, and the folder of its libraries."""
    root = tmp_path_factory.mktemp("triton")
    pip("download", "--no-deps", "-d", root, SERVER)
    (wheel,) = root.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(root)
    server = root / "pytriton" / "tritonserver"
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    stub = server / "python_backend_stubs" / version / "triton_python_backend_stub"
    shutil.copy(stub, server / "backends" / "python")
    for program in (server / "bin" / "tritonserver", server / "backends/python" / stub.name):
        program.chmod(0o755)
    pip("install", "--target", root / "libraries", *LIBRARIES)
    return server, root / "libraries"


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@pytest.fixture
def client(
    triton: tuple[Path, Path], bundle: Path, static_bundle: Path, tmp_path: Path
) -> Iterator[InferenceServerClient]:
    """A client of a server of two models, `open` and `static`, lying in `tmp_path / "models"`."""
    server, libraries = triton
    profiles = [BatchProfile.parse("1,2,4")]
    engine = build_engine(bundle, "fp32", "onnxruntime", profiles=profiles)
    models = tmp_path / "models"
    deploy(engine, models, name="open", queue_delay=200_000, unverified=True)
    engine = build_engine(static_bundle, "fp32", "onnxruntime")
    deploy(engine, models, name="static", unverified=True)
    for model in models.iterdir():
        lines = (model / "config.pbtxt").read_text().splitlines()
        kept = [
            line for line in lines if not line.startswith(("platform", "default_model_filename"))
        ]
        text = "\n".join(kept).replace('backend: "onnxruntime"', 'backend: "python"')
        (model / "config.pbtxt").write_text(text)
        shutil.copy(STAND_IN, model / "1" / "model.py")
        (model / "1" / "LIBRARIES").write_text(str(libraries))
    http, grpc = free_port(), free_port()
    log = tmp_path / "server.log"
    with (
        log.open("w") as spoken,
        subprocess.Popen(
            [
                str(server / "bin" / "tritonserver"),
                f"--model-repository={models}",
                f"--backend-directory={server / 'backends'}",
                f"--http-port={http}",
                f"--grpc-port={grpc}",
                "--allow-metrics=false",
            ],
            stdout=spoken,
            stderr=spoken,
        ) as process,
    ):
        try:
            wait_until_ready(f"http://127.0.0.1:{http}/v2/health/ready", process, log)
            yield InferenceServerClient(f"127.0.0.1:{grpc}")
        finally:
            process.terminate()


def wait_until_ready(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(120):
        assert process.poll() is None, log.read_text()
        try:
            with urllib.request.urlopen(address, timeout=1):
                return
        except OSError:
            time.sleep(0.5)
    raise AssertionError(log.read_text())


def ask(client: InferenceServerClient, model: str, images: np.ndarray) -> dict[str, np.ndarray]:
    tensor = InferInput("image", images.shape, "UINT8")
    tensor.set_data_from_numpy(images)
    answer = client.infer(model, [tensor])
    return {item.name: answer.as_numpy(item.name) for item in answer.get_response().outputs}


def executions(models: Path, model: str) -> list[list[int]]:
    lines = (models / model / "1" / "executions.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


@pytest.mark.slow
@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the server's wheel is for x86-64")
def test_a_server_answers_as_the_engine_does(
    client: InferenceServerClient, bundle: Path, static_bundle: Path, tmp_path: Path, make_images
) -> None:
    models = tmp_path / "models"
    assert executions(models, "open") == [[1], [1, 1], [1, 1, 1, 1]]  # the warm-up
    assert executions(models, "static") == [[2]]

    with open_engine(bundle / "engines" / "onnxruntime-fp32") as engine:
        expected = engine.infer({"image": make_images(4)})
    parts: dict[int, dict[str, np.ndarray]] = {}

    def send(index: int) -> None:
        parts[index] = ask(client, "open", make_images(4)[index : index + 1])

    senders = [threading.Thread(target=send, args=(index,)) for index in range(4)]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
    for name, array in expected.items():
        answered = np.concatenate([parts[index][name] for index in range(4)])
        np.testing.assert_allclose(answered, array, atol=TOLERANCE, rtol=TOLERANCE)
    joined = executions(models, "open")[3:]
    assert sum(map(sum, joined)) == 4
    assert len(joined) < 4, joined  # the dynamic batcher joined some of them

    with pytest.raises(InferenceServerException, match="batch-size must be <= 4"):
        ask(client, "open", make_images(5))

    with open_engine(static_bundle / "engines" / "onnxruntime-fp32") as engine:
        expected = engine.infer({"image": make_images(2)})
    answers = ask(client, "static", make_images(2))
    for name, array in expected.items():
        np.testing.assert_allclose(answers[name], array, atol=TOLERANCE, rtol=TOLERANCE)
    with pytest.raises(InferenceServerException, match="unexpected shape"):
        ask(client, "static", make_images(3))
