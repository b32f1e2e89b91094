"""An opened engine keeps its contract; one that does not fit is not opened."""

import importlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engines.building import build_engine
from engines.bundle import Bundle
from engines.errors import ContractError, UserError
from engines.manifest import BatchProfile, hash_files, read_manifest, write_manifest
from engines.options import BuildOptions
from engines.runtime import RUNTIMES, Runtime, find_runtime, open_engine
from engines.steps import STEPS

Images = Callable[[int], np.ndarray]


KINDS = {
    "onnxruntime": ("onnxruntime", BuildOptions()),
    "openvino": ("openvino", BuildOptions()),
    "openvino-throughput": ("openvino", BuildOptions(mode="throughput")),
}
"""Engines that run here; every one of them keeps the contract in the same words."""


@pytest.fixture(scope="module", params=KINDS)
def built(
    request: pytest.FixtureRequest,
    pristine: dict[int | None, Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """An engine of a dynamic bundle; never written to."""
    name, options = KINDS[request.param]
    bundle = shutil.copytree(pristine[None], tmp_path_factory.mktemp(request.param) / "bundle")
    profile = BatchProfile(min=1, opt=2, max=4)
    return build_engine(bundle, "fp32", name, name="built", profiles=[profile], options=options)


@pytest.fixture
def engine_folder(built: Path, bundle: Path) -> Path:
    """The engine, in the test's own bundle."""
    return shutil.copytree(built, bundle / "engines" / "built")


def test_every_runtime_is_one_module() -> None:
    for name, module in RUNTIMES.items():
        assert isinstance(importlib.import_module(module).runtime(name), Runtime)
        assert find_runtime(name).name == name


def test_answers_are_those_of_the_reference(engine_folder: Path, bundle: Path) -> None:
    reference = Bundle.open(bundle).reference()
    with open_engine(engine_folder, threads=1) as engine:
        answers = engine.infer({"image": reference.images})
    for name, expected in reference.outputs().items():
        assert answers[name].dtype == np.float32
        assert np.allclose(answers[name], expected, atol=1e-6)


def test_a_batch_equals_its_singles(engine_folder: Path, make_images: Images) -> None:
    photos = make_images(4)
    with open_engine(engine_folder, threads=1) as engine:
        whole = engine.infer({"image": photos})
        for index in range(4):
            single = engine.infer({"image": photos[index : index + 1]})
            for name, values in single.items():
                assert np.allclose(values[0], whole[name][index], atol=1e-5)


def test_a_call_tells_its_steps_and_answers_the_same(
    engine_folder: Path, make_images: Images
) -> None:
    photos, told = make_images(3), []
    with open_engine(engine_folder, threads=1) as engine:
        plain = engine.infer({"image": photos})
        marked = engine.infer({"image": photos}, mark=told.append)
        assert engine.gpu_milliseconds is None
    assert tuple(told) == STEPS
    for name, values in plain.items():
        np.testing.assert_array_equal(marked[name], values)


def test_a_cpu_has_no_graphs_to_switch(engine_folder: Path) -> None:
    with open_engine(engine_folder, threads=1) as engine:
        assert engine.graphs is None
        with pytest.raises(UserError, match="computes without; expected an engine of TensorRT"):
            engine.graphs = False


def test_answers_belong_to_the_caller(engine_folder: Path, make_images: Images) -> None:
    photos = make_images(2)
    with open_engine(engine_folder) as engine:
        first = engine.infer({"image": photos[:1]})["params"]
        kept = first.copy()
        engine.infer({"image": photos[1:]})
        assert np.array_equal(first, kept)


def test_answers_go_into_the_arrays_that_are_handed_in(
    engine_folder: Path, make_images: Images
) -> None:
    photos = make_images(4)
    with open_engine(engine_folder, threads=1) as engine:
        expected = engine.infer({"image": photos[2:]})
        held = engine.infer({"image": photos[:2]})
        again = engine.infer({"image": photos[2:]}, out=held)
    for name, array in held.items():
        assert again[name] is array
        assert np.array_equal(array, expected[name])


@pytest.mark.parametrize(
    ("alter", "said"),
    [
        (lambda out: out.pop("params"), r"outputs came as \['landmarks', 'rotation'\]; expected"),
        (lambda out: out.update(params=out["params"][:1]), "params came with batch 1 for 2 images"),
        (lambda out: out.update(params=out["params"].astype(np.float64)), "params came as float64"),
        (lambda out: out["params"].setflags(write=False), "params strided or read-only"),
        (lambda out: out.update(params=np.zeros((413, 2), np.float32).T), "params strided"),
    ],
)
def test_arrays_that_cannot_take_the_answers(
    engine_folder: Path,
    make_images: Images,
    alter: Callable[[dict[str, np.ndarray]], None],
    said: str,
) -> None:
    with open_engine(engine_folder, threads=1) as engine:
        out = engine.infer({"image": make_images(2)})
        alter(out)
        with pytest.raises(ContractError, match=said):
            engine.infer({"image": make_images(2)}, out=out)


def test_strided_and_read_only_images_are_taken(engine_folder: Path, make_images: Images) -> None:
    photos = make_images(4)
    with open_engine(engine_folder, threads=1) as engine:
        expected = engine.infer({"image": photos[::2].copy()})["params"]
        assert np.array_equal(engine.infer({"image": photos[::2]})["params"], expected)
        photos.setflags(write=False)
        assert np.array_equal(engine.infer({"image": photos[::2]})["params"], expected)
        assert np.array_equal(engine.infer({"image": photos})["params"][::2], expected)


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        ({}, r"inputs came as \[\]; expected \['image'\]"),
        ({"photo": np.zeros((1, 16, 16, 3), np.uint8)}, r"inputs came as \['photo'\]"),
        ({"image": np.zeros((1, 16, 16, 3), np.float32)}, "image came as float32"),
        ({"image": np.zeros((1, 3, 16, 16), np.uint8)}, r"uint8 \[1, 3, 16, 16\]; expected uint8"),
    ],
)
def test_inputs_that_do_not_fit(
    engine_folder: Path, inputs: dict[str, np.ndarray], said: str
) -> None:
    with open_engine(engine_folder) as engine, pytest.raises(ContractError, match=said):
        engine.infer(inputs)


def test_a_batch_outside_the_profile_names_both_numbers_and_the_command(
    engine_folder: Path, bundle: Path, make_images: Images
) -> None:
    with open_engine(engine_folder) as engine, pytest.raises(ContractError) as caught:
        engine.infer({"image": make_images(40)})
    message = str(caught.value)
    assert message.startswith("batch 40 came; engine built takes 1 to 4; rebuild: ")
    assert f"`trans3dhead build {bundle} --recipe fp32" in message
    assert "--batch 1,2,40 --force`" in message


def test_a_static_graph_says_to_export_anew(static_bundle: Path, make_images: Images) -> None:
    folder = build_engine(static_bundle, "fp32", "onnxruntime")
    with open_engine(folder) as engine:
        engine.infer({"image": make_images(2)})
        with pytest.raises(ContractError, match=r"batch 3 came; .* takes 2; export anew"):
            engine.infer({"image": make_images(3)})


def test_a_closed_engine_is_refused(engine_folder: Path, make_images: Images) -> None:
    engine = open_engine(engine_folder)
    engine.close()
    engine.close()
    with pytest.raises(ContractError, match="is closed; open it anew"):
        engine.infer({"image": make_images(1)})


def test_metadata_is_json(engine_folder: Path) -> None:
    import json

    with open_engine(engine_folder) as engine:
        metadata = engine.metadata()
    runtime = read_manifest(engine_folder).runtime
    assert json.loads(json.dumps(metadata))["manifest"]["runtime"] == runtime
    assert [spec["name"] for spec in metadata["outputs"]] == ["landmarks", "params", "rotation"]


def test_no_threads_are_refused(engine_folder: Path) -> None:
    with pytest.raises(UserError, match="threads 0 came; expected at least 1"):
        open_engine(engine_folder, threads=0)


def refused(folder: Path, said: str) -> None:
    with pytest.raises(ContractError, match=said) as caught:
        open_engine(folder)
    assert "rebuild: `trans3dhead build " in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("damage", ["cut", "altered", "missing"])
def test_a_damaged_file_is_not_loaded(engine_folder: Path, damage: str) -> None:
    for name in read_manifest(engine_folder).files:
        path = engine_folder / name
        whole = path.read_bytes()
        if damage == "missing":
            path.unlink()
        elif damage == "cut":
            path.write_bytes(whole[:-1])
        else:
            path.write_bytes(bytes([whole[0] ^ 1]) + whole[1:])
        refused(engine_folder, rf"{name}: built with \w{{12}}\.\.\., here")
        path.write_bytes(whole)
    open_engine(engine_folder).close()


def test_another_version_of_the_runtime(
    engine_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = read_manifest(engine_folder).runtime
    monkeypatch.setattr(type(find_runtime(name)), "version", lambda _self: "1.20.0")
    refused(engine_folder, rf"{name} version: built with \S+, here 1\.20\.0")


def test_a_bundle_exported_anew(engine_folder: Path, bundle: Path) -> None:
    path = bundle / "contract.json"
    path.write_text(path.read_text() + "\n")
    refused(engine_folder, "bundle's contract: built with")


def test_another_graph_in_the_bundle(engine_folder: Path) -> None:
    manifest = read_manifest(engine_folder)
    write_manifest(engine_folder, replace(manifest, onnx_sha256="f" * 64))
    refused(engine_folder, r"fp32.onnx: built with ffffffffffff\.\.\.")


def test_files_that_are_no_engine(engine_folder: Path) -> None:
    manifest = read_manifest(engine_folder)
    for name in manifest.files:
        (engine_folder / name).write_bytes(b"no engine")
    write_manifest(engine_folder, replace(manifest, files=hash_files(engine_folder)))
    refused(engine_folder, "(ONNX Runtime|OpenVINO) cannot load")


def test_an_engine_outside_its_bundle(engine_folder: Path, tmp_path: Path) -> None:
    moved = engine_folder.rename(tmp_path / "moved")
    with pytest.raises(ContractError, match="lies outside a bundle"):
        open_engine(moved)
    with pytest.raises(ContractError, match=r"has no manifest.json"):
        open_engine(engine_folder)


TORCH_FREE = """
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "torch":
            raise ImportError("torch is blocked")
sys.meta_path.insert(0, Refuse())
from pathlib import Path
import numpy as np
from engines.building import build_engine
from engines.runtime import open_engine
with open_engine(build_engine(Path(sys.argv[1]), "fp16", "onnxruntime"), threads=1) as engine:
    image = np.zeros((2, 16, 16, 3), np.uint8)
    assert engine.infer({"image": image})["params"].shape == (2, 413)
assert "torch" not in sys.modules
"""


def test_building_and_running_need_no_torch(bundle: Path) -> None:
    subprocess.run(
        [sys.executable, "-c", TORCH_FREE, str(bundle)],
        check=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )


def test_importing_the_rooms_modules_loads_numpy_alone() -> None:
    program = (
        "import sys, engines.building, engines.batching, engines.onnxruntime_engine, "
        "engines.openvino_engine, "
        "engines.tensorrt_engine, engines.probe, engines.emulation\n"
        "heavy = {'torch', 'onnx', 'onnxruntime', 'openvino', 'polygraphy', 'tensorrt', "
        "'tensorrt_rtx'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
