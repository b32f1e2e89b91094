"""The model repository: read back with Triton's own classes, and what is refused."""

import dataclasses
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2 as schema
from tritonclient.utils import triton_to_np_dtype

from engines.building import build_engine
from engines.bundle import Bundle
from engines.contract import Contract
from engines.errors import UserError
from engines.files import sha256_of
from engines.machine import Machine
from engines.manifest import BatchProfile, read_manifest, write_manifest, write_parity
from engines.triton import deploy
from trans3dhead.cli.main import main

Edit = Callable[..., None]
V100 = Machine(cpu="c", gpu="Tesla V100", compute_capability="7.0")


@pytest.fixture
def engine(bundle: Path) -> Path:
    """An engine of a dynamic graph that was judged and passed."""
    folder = build_engine(bundle, "fp32", "onnxruntime", profiles=[BatchProfile.parse("1,2,4")])
    write_parity(folder, {"verdict": "pass"})
    return folder


@pytest.fixture
def edit(engine: Path) -> Edit:
    """Alter fields of the engine's manifest and seal it anew, as if it had been built so."""

    def change(**values: Any) -> None:
        write_manifest(engine, dataclasses.replace(read_manifest(engine), **values))

    return change


def config_of(model: Path) -> schema.ModelConfig:
    text = (model / "config.pbtxt").read_text()
    return text_format.Parse(text, schema.ModelConfig())


def check_tensors(config: schema.ModelConfig, contract: Contract) -> None:
    """Names, dtypes and shapes of a config are the contract's."""
    for told, specs in ((config.input, contract.inputs), (config.output, contract.outputs)):
        assert [tensor.name for tensor in told] == [spec.name for spec in specs]
        for tensor, spec in zip(told, specs, strict=True):
            name = schema.DataType.Name(tensor.data_type).removeprefix("TYPE_")
            assert np.dtype(triton_to_np_dtype(name)) == spec.dtype
            if contract.batch is None:
                assert tuple(tensor.dims) == spec.shape(1)[1:]
            else:
                assert tuple(tensor.dims) == spec.shape(contract.batch)


def test_an_open_batch(engine: Path, tmp_path: Path) -> None:
    deployed = deploy(engine, tmp_path / "models", name="head", instances=2, queue_delay=300)
    assert deployed.folder == tmp_path / "models" / "head"
    assert (deployed.version, deployed.written, deployed.licensed) == (1, True, None)
    config = config_of(deployed.folder)
    assert (config.name, config.backend, config.platform) == (
        "head",
        "onnxruntime",
        "onnxruntime_onnx",
    )
    contract = Bundle.open(engine.parent.parent).contract
    check_tensors(config, contract)
    assert config.max_batch_size == 4
    assert config.HasField("dynamic_batching")
    assert config.dynamic_batching.max_queue_delay_microseconds == 300
    assert list(config.dynamic_batching.preferred_batch_size) == []
    (group,) = config.instance_group
    assert (group.count, group.kind) == (2, schema.ModelInstanceGroup.KIND_CPU)
    assert config.version_policy.latest.num_versions == 1
    assert [item.batch_size for item in config.model_warmup] == [1, 2, 4]
    for item in config.model_warmup:
        image = item.inputs["image"]
        assert image.zero_data
        assert list(image.dims) == list(config.input[0].dims)
    version = deployed.folder / "1"
    served = version / config.default_model_filename
    assert sha256_of(served) == read_manifest(engine).files["model.onnx"]
    graph = onnx.load(served).graph
    assert [value.name for value in graph.input] == [tensor.name for tensor in config.input]
    assert {value.name for value in graph.output} == {tensor.name for tensor in config.output}
    assert read_manifest(version) == read_manifest(engine)
    assert (version / "contract.json").is_file()


def test_a_static_graph_is_served_as_it_is(static_bundle: Path, tmp_path: Path) -> None:
    folder = build_engine(static_bundle, "fp32", "onnxruntime")
    config = config_of(deploy(folder, tmp_path, unverified=True).folder)
    check_tensors(config, Bundle.open(static_bundle).contract)
    assert config.max_batch_size == 0
    assert not config.HasField("dynamic_batching")
    (warmup,) = config.model_warmup
    assert warmup.batch_size == 1
    assert warmup.inputs["image"].dims[0] == 2


def test_a_plan(engine: Path, tmp_path: Path, edit: Edit) -> None:
    shutil.move(engine / "model.onnx", engine / "engine.plan")
    edit(
        runtime="tensorrt",
        provider="tensorrt",
        runtime_version="10.4.0",
        machine=V100,
        file="engine.plan",
        files={"engine.plan": sha256_of(engine / "engine.plan")},
        profiles=(BatchProfile.parse("1,1,1"), BatchProfile.parse("2,8,32")),
    )
    deployed = deploy(engine, tmp_path)
    config = config_of(deployed.folder)
    assert (config.backend, config.platform) == ("tensorrt", "tensorrt_plan")
    assert config.max_batch_size == 32
    assert list(config.dynamic_batching.preferred_batch_size) == [1, 8]
    (group,) = config.instance_group
    assert group.kind == schema.ModelInstanceGroup.KIND_GPU
    assert list(group.profile) == ["0", "1"]
    assert [item.batch_size for item in config.model_warmup] == [1, 2, 8, 32]
    assert (deployed.folder / "1" / config.default_model_filename).name == "model.plan"
    assert "TensorRT 10.4.0 and no other, on Tesla V100 (compute capability 7.0)" in deployed.needs


def test_float32_stays_float32_on_a_gpu(engine: Path, tmp_path: Path, edit: Edit) -> None:
    edit(provider="cuda")
    config = config_of(deploy(engine, tmp_path).folder)
    assert config.instance_group[0].kind == schema.ModelInstanceGroup.KIND_GPU
    (accelerator,) = config.optimization.execution_accelerators.gpu_execution_accelerator
    assert accelerator.name == "cuda"
    assert dict(accelerator.parameters) == {"use_tf32": "0"}


def test_another_engine_is_the_next_version(engine: Path, tmp_path: Path, edit: Edit) -> None:
    assert deploy(engine, tmp_path).version == 1
    again = deploy(engine, tmp_path)
    assert (again.version, again.written) == (1, False)
    edit(seconds=9.0)
    newer = deploy(engine, tmp_path)
    assert (newer.version, newer.written) == (2, True)
    assert sorted(path.name for path in newer.folder.iterdir()) == ["1", "2", "config.pbtxt"]
    with pytest.raises(UserError, match=r"configured otherwise; .*give another `--name`"):
        deploy(engine, tmp_path, instances=3)


def test_licensed_data_is_named(engine: Path, tmp_path: Path, edit: Edit) -> None:
    path = engine.parent.parent / "contract.json"
    contract = json.loads(path.read_text())
    contract["head"] |= {"name": "flame", "licence": "research only", "redistributable": False}
    path.write_text(json.dumps(contract))
    edit(contract_sha256=sha256_of(path))
    assert deploy(engine, tmp_path, name="params").licensed is None
    contract["variant"] = "mesh"
    path.write_text(json.dumps(contract))
    edit(contract_sha256=sha256_of(path))
    assert deploy(engine, tmp_path, name="mesh").licensed == "flame (research only)"


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"runtime": "openvino", "provider": "openvino"}, r"held to float32.*onnxruntime`$"),
        (
            {"runtime": "tensorrt-rtx", "provider": "tensorrt-rtx"},
            r"no backend for TensorRT-RTX.*--runtime tensorrt`$",
        ),
        ({"provider": "tensorrt"}, r"build anew at each start; .*--runtime tensorrt`$"),
        ({"profiles": (BatchProfile.parse("4,8,8"),)}, r"none of 1; .*rebuild it with `--batch 1"),
        (
            {"profiles": (BatchProfile.parse("1"), BatchProfile.parse("4"))},
            r"takes batches 1,1,1, 4,4,4, none of 2",
        ),
        ({"parity": None}, r"verdict 'none'; expected 'pass'.*--unverified"),
        ({"parity": {"verdict": "inconclusive"}}, r"verdict 'inconclusive'"),
        ({"onnx_sha256": "0" * 64}, r"fp32.onnx: built with 000000000000\.\.\., here .*; rebuild:"),
    ],
)
def test_what_triton_cannot_serve_as_it_was_built(
    engine: Path, tmp_path: Path, edit: Edit, values: dict[str, Any], said: str
) -> None:
    edit(**values)
    with pytest.raises(UserError, match=said) as caught:
        deploy(engine, tmp_path / "models")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "models").exists()


def test_an_engine_cut_by_one_byte(engine: Path, tmp_path: Path) -> None:
    file = engine / "model.onnx"
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(UserError, match=r"model.onnx: built with .*rebuild: `trans3dhead build"):
        deploy(engine, tmp_path / "models")
    assert not (tmp_path / "models").exists()


def test_the_command(engine: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["deploy", "triton", str(engine), "--repository", str(tmp_path / "models")]
    assert main([*words, "--json", str(tmp_path / "out.json")]) == 0
    out = capsys.readouterr().out
    assert f"tritonserver --model-repository={tmp_path / 'models'}" in out
    assert json.loads((tmp_path / "out.json").read_text())["version"] == 1
    assert main(words) == 0
    assert "unchanged" in capsys.readouterr().out
    for bad, said in (
        (["--name", "a/b"], "model name 'a/b' came"),
        (["--instances", "0"], "expected at least 1 and 0"),
    ):
        assert main([*words, *bad]) == 2
        captured = capsys.readouterr()
        assert said in captured.err
        assert len(captured.err.splitlines()) == 1


def test_deploying_needs_no_runtime_and_nothing_of_tritons(engine: Path, tmp_path: Path) -> None:
    """A plan is deployed from a machine without a GPU."""
    code = (
        "import sys\nfrom pathlib import Path\nfrom engines.triton import deploy\n"
        "assert deploy(*map(Path, sys.argv[1:])).written\n"
        "print({'google.protobuf', 'tritonclient', 'onnx', 'onnxruntime'} & {*sys.modules})"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, engine, tmp_path], check=True, capture_output=True, text=True
    )
    assert done.stdout == "set()\n"
