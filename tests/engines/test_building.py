"""Building: what is refused before anything is built, and that nothing is built twice."""

import shutil
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest

from engines import onnxruntime_engine
from engines.building import build_engine
from engines.errors import BuildError, UserError
from engines.manifest import BatchProfile, read_manifest
from engines.onnxruntime_engine import GRAPH_FILE
from engines.options import BuildOptions


def test_a_manifest_says_what_was_built(bundle: Path) -> None:
    folder = build_engine(bundle, "fp16", "onnxruntime")
    assert folder == bundle / "engines" / "onnxruntime-fp16"
    manifest = read_manifest(folder)
    assert manifest.effective.precision == "fp16 (emulated)"
    assert manifest.effective.low_flops_found == manifest.effective.low_flops_promised > 0.4
    assert manifest.settings == {"half": "emulated"}
    assert manifest.profiles == (BatchProfile(min=1, opt=8, max=32),)
    assert manifest.size_bytes == (folder / GRAPH_FILE).stat().st_size
    assert manifest.seconds > 0
    assert manifest.machine.cpu


def test_fp32_is_the_bundles_graph_itself(bundle: Path) -> None:
    folder = build_engine(bundle, "fp32", "onnxruntime")
    assert (folder / GRAPH_FILE).read_bytes() == (bundle / "fp32.onnx").read_bytes()
    assert read_manifest(folder).effective.precision == "float32"


def test_a_plain_half_graph_is_reported_as_float32(bundle: Path) -> None:
    folder = build_engine(
        bundle, "fp16", "onnxruntime", options=BuildOptions(half="native"), name="plain"
    )
    assert folder.name == "plain"
    effective = read_manifest(folder).effective
    assert effective.precision == "effective float32"
    assert effective.low_flops_found == 0.0
    assert (folder / GRAPH_FILE).read_bytes() == (bundle / "fp16.onnx").read_bytes()


def test_the_same_engine_is_not_built_twice(bundle: Path) -> None:
    steps: list[str] = []

    def build(**settings: object) -> bool:
        steps.clear()
        build_engine(
            bundle,
            "fp16",
            "onnxruntime",
            name="one",
            progress=lambda what, _share: steps.append(what),
            **settings,
        )  # type: ignore[arg-type]
        return steps != ["unchanged"]

    assert build()
    assert not build()
    assert build(force=True)
    assert not build()
    assert build(profiles=[BatchProfile.parse("1,2,3")])
    assert build(options=BuildOptions(half="native"))
    assert build()


@pytest.mark.parametrize("damage", ["file", "manifest", "contract", "version"])
def test_whatever_changed_is_built_anew(
    bundle: Path, damage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = build_engine(bundle, "fp32", "onnxruntime")
    before = read_manifest(folder)
    if damage == "file":
        (folder / GRAPH_FILE).write_bytes(b"")
    elif damage == "manifest":
        (folder / "manifest.json").write_text("{")
    elif damage == "contract":
        (bundle / "contract.json").write_text((bundle / "contract.json").read_text() + "\n")
    else:
        monkeypatch.setattr(onnxruntime_engine.OnnxRuntime, "version", lambda _self: "9.9")
    steps: list[str] = []
    build_engine(bundle, "fp32", "onnxruntime", progress=lambda what, _share: steps.append(what))
    assert "unchanged" not in steps
    assert read_manifest(folder).files == before.files


def test_a_failing_build_leaves_the_engine_that_was_there(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = build_engine(bundle, "fp32", "onnxruntime")
    before = (folder / "manifest.json").read_bytes()

    def full_disk(*_arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copyfile", full_disk)
    with pytest.raises(UserError, match=r"cannot be written \(No space left on device\)"):
        build_engine(bundle, "fp32", "onnxruntime", force=True)
    assert (folder / "manifest.json").read_bytes() == before
    assert [path.name for path in (bundle / "engines").iterdir()] == ["onnxruntime-fp32"]


def test_a_static_graph_has_its_own_batch_and_no_other(static_bundle: Path) -> None:
    folder = build_engine(static_bundle, "fp32", "onnxruntime")
    assert read_manifest(folder).profiles == (BatchProfile(min=2, opt=2, max=2),)
    with pytest.raises(UserError, match=r"--batch 1,4,8 came; .*static, at batch 2"):
        build_engine(static_bundle, "fp32", "onnxruntime", profiles=[BatchProfile.parse("1,4,8")])


@pytest.mark.parametrize(
    ("recipe", "runtime", "settings", "said"),
    [
        ("fp32", "tensorflow", {}, r"runtime 'tensorflow' came; expected one of onnxruntime, "),
        ("bf16", "onnxruntime", {}, r"recipe bf16 is not in .*fp16, fp32"),
        ("fp32", "onnxruntime", {"provider": "npu"}, r"provider 'npu' came; expected one of cpu"),
        ("fp32", "onnxruntime", {"provider": "cuda"}, r"provider cuda came; this ONNX Runtime has"),
        ("fp32", "onnxruntime", {"half": "native"}, r"nothing in half; leave --half out"),
        (
            "fp32",
            "onnxruntime",
            {"optimization_level": 3},
            r"level 3 came; .* only --half, --prov",
        ),
        ("fp32", "onnxruntime", {"name": "../up"}, r"engine name '../up' came; expected one"),
        ("fp32", "onnxruntime", {"name": ".hidden"}, r"engine name '.hidden' came"),
        (
            "fp16",
            "tensorrt-rtx",
            {"provider": "cpu"},
            r"--provider cpu came; tensorrt-rtx has",
        ),
        ("fp16", "tensorrt-rtx", {"half": "emulated"}, r"--half emulated came"),
        ("fp16", "tensorrt-rtx", {"optimization_level": 9}, r"expected 0 to 5"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(
    bundle: Path, recipe: str, runtime: str, settings: dict[str, object], said: str
) -> None:
    name = settings.pop("name", None)
    with pytest.raises(UserError, match=said) as caught:
        build_engine(bundle, recipe, runtime, name=name, options=BuildOptions(**settings))  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
    assert not (bundle / "engines").exists()


def test_a_missing_or_cut_bundle(bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"has no contract.json"):
        build_engine(tmp_path / "none", "fp32", "onnxruntime")
    path = bundle / "fp32.onnx"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UserError, match="cut or altered"):
        build_engine(bundle, "fp32", "onnxruntime")
    assert not (bundle / "engines").exists()


def test_a_graph_with_less_half_than_promised(
    bundle: Path, rewrite: Callable[[str, bytes], None], make_graph: Callable[..., onnx.ModelProto]
) -> None:
    rewrite("fp16.onnx", make_graph(half=False, batch=None).SerializeToString())
    with pytest.raises(BuildError, match=r"0.0% of its FLOPs in half; the recipe promises 44.3%"):
        build_engine(bundle, "fp16", "onnxruntime")


def test_a_graph_onnx_runtime_cannot_load(
    bundle: Path, rewrite: Callable[[str, bytes], None]
) -> None:
    rewrite("fp32.onnx", b"no graph at all")
    with pytest.raises(BuildError, match="ONNX Runtime refused the graph") as caught:
        build_engine(bundle, "fp32", "onnxruntime")
    assert "\n" not in str(caught.value)


def test_a_graph_with_other_outputs_than_the_contracts(
    bundle: Path, rewrite: Callable[[str, bytes], None], make_graph: Callable[..., onnx.ModelProto]
) -> None:
    graph = make_graph(half=False, batch=None)
    del graph.graph.output[0]
    rewrite("fp32.onnx", graph.SerializeToString())
    with pytest.raises(UserError, match=r"outputs came as \['params', 'rotation'\]"):
        build_engine(bundle, "fp32", "onnxruntime")
