"""Real engines, and a real network in eager PyTorch."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.report.bench_sections import notes
from benchmarks.throughput.bench import bench
from benchmarks.throughput.pipeline import render_photo
from benchmarks.throughput.rows import Images, open_rows
from engines.errors import UserError
from engines.manifest import BatchProfile
from engines.runtime import Engine, open_engine
from trans3dhead.cli.main import main


@pytest.fixture(scope="module")
def engine(tmp_path_factory, make_workshop) -> Path:
    workshop = make_workshop(tmp_path_factory.mktemp("bench") / "bundle", "mesh", images=6)
    return workshop.plant(workshop.answers, profile=BatchProfile(min=1, opt=2, max=4))


def test_rows_of_engines_and_checkpoint(engine, checkpoint) -> None:
    with open_rows([engine], checkpoints=[checkpoint], threads=1) as rows:
        named = [(row.name, row.batch) for row in rows]
        answers = [row.call() for row in rows[:2]]
        assert all(row.threads == 1 for row in rows)
    assert named == [
        ("torch eager", 1),
        ("planted", 1),
        ("torch eager", 4),
        ("planted", 4),
    ]
    assert answers[0].keys() == answers[1].keys()  # eager gives the vertices too
    assert all(value.dtype == "float32" for value in answers[0].values())


def test_several_checkpoints_are_rows_of_their_own_names(checkpoint, tmp_path) -> None:
    other = tmp_path / "other.safetensors"
    shutil.copy(checkpoint, other)
    with open_rows([], checkpoints=[checkpoint, other], batches=[1], threads=1) as rows:
        assert [row.name for row in rows] == [
            f"torch eager, {checkpoint.name}",
            "torch eager, other.safetensors",
        ]
    with pytest.raises(UserError, match=r"--checkpoint: .* came more than once"):
        bench([], checkpoints=[other, other])


def test_a_run_has_ratios_to_eager_pytorch(engine, checkpoint) -> None:
    report = bench([engine], checkpoints=[checkpoint], batches=[1], seconds=0.2, threads=1)
    eager, planted = report.rows
    assert planted.baseline == "torch eager"
    assert planted.speedup is not None and planted.speedup > 1
    assert planted.precision == "fp16 (emulated)"
    assert "host" in eager.copies


def test_eager_pytorch_convolves_with_the_channels_last(checkpoint) -> None:
    from torch import nn

    from benchmarks.throughput.torch_row import TorchNetwork

    network = TorchNetwork(checkpoint, head_folder=None, mesh=False, threads=1)
    stem = next(m for m in network.module.modules() if isinstance(m, nn.Conv2d))
    seen = []
    stem.register_forward_pre_hook(lambda module, inputs: seen.extend([*inputs, module.weight]))
    network(Images(())(1, network.size))
    assert len(seen) == 2
    assert all(tensor.stride(1) == 1 for tensor in seen)


def test_a_compiled_checkpoint_is_a_row_beside_the_eager_one(checkpoint, monkeypatch) -> None:
    """By a backend that compiles nothing: what inductor makes, the slow test sees."""
    monkeypatch.setattr("benchmarks.throughput.torch_row.BACKEND", "eager")
    with open_rows([], checkpoints=[checkpoint], compiled=True, batches=[1], threads=1) as rows:
        assert [row.name for row in rows] == ["torch eager", "torch.compile"]
        eager, compiled = (row.call() for row in rows)
    for name, value in eager.items():
        np.testing.assert_allclose(compiled[name], value, atol=1e-5)


@pytest.mark.slow
def test_inductor_compiles_the_network(checkpoint) -> None:
    report = bench(
        [], checkpoints=[checkpoint], compiled=True, batches=[1, 2], seconds=0.1, threads=1
    )
    assert [row.name for row in report.rows] == ["torch eager", "torch.compile"] * 2


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["float32", "tf32", "float16", "bfloat16"])
def test_a_checkpoint_on_the_gpu_answers_as_on_the_cpu(checkpoint, precision) -> None:
    """Halves to what their rounding leaves of landmarks within a crop of 64 pixels."""
    from benchmarks.throughput.torch_row import TorchNetwork

    tolerance = {"float32": 1e-2, "tf32": 0.3, "float16": 0.5, "bfloat16": 3.0}[precision]
    on_cpu = TorchNetwork(checkpoint, head_folder=None, mesh=True, threads=1)
    on_gpu = TorchNetwork(
        checkpoint, head_folder=None, mesh=True, threads=1, device="cuda", precision=precision
    )
    images = Images(())(3, on_cpu.size)
    expected, found = on_cpu(images), on_gpu(images)
    assert on_gpu.work.device == "gpu"
    for name in ("landmarks", "projected"):
        np.testing.assert_allclose(found[name], expected[name], atol=tolerance)


@pytest.mark.parametrize(
    ("wish", "fault"),
    [
        ({"device": "cpu", "precision": "float16"}, "float16 came for the CPU"),
        ({"device": "cuda", "precision": "half"}, "half came; expected one of float32, tf32"),
        ({"device": "cuda"}, "finds no CUDA GPU"),
    ],
)
def test_what_torch_cannot_time_is_said_at_once(checkpoint, wish, fault, monkeypatch) -> None:
    from benchmarks.throughput.torch_row import TorchNetwork

    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(UserError, match=fault):
        TorchNetwork(checkpoint, head_folder=None, mesh=False, threads=1, **wish)


def test_no_compiler_is_said_before_anything_is_timed(checkpoint, monkeypatch) -> None:
    monkeypatch.setattr("benchmarks.throughput.torch_row.COMPILERS", ("no-such-compiler",))
    with pytest.raises(UserError, match=r"needs a C\+\+ compiler"):
        bench([], checkpoints=[checkpoint], compiled=True)


def test_a_backend_that_fails_is_said_in_one_line(checkpoint, monkeypatch) -> None:
    def backend(graph, inputs):
        raise ValueError("no kernels")

    monkeypatch.setattr("benchmarks.throughput.torch_row.BACKEND", backend)
    with pytest.raises(UserError, match=r"torch.compile failed at batch 1 .*no kernels"):
        bench([], checkpoints=[checkpoint], compiled=True, batches=[1])


def test_requests_in_flight_are_rows_of_their_own(engine) -> None:
    report = bench([engine], batches=[1], in_flight=[1, 2], seconds=0.1, threads=1)
    assert [(row.name, row.in_flight) for row in report.rows] == [
        ("planted", 1),
        ("planted, 2 in flight", 2),
    ]
    assert report.rows[1].baseline == "planted"
    assert any("wall time" in note for note in notes(report))


ADAPTER = """
[input]
size = 32
layout = "NHWC"
dtype = "uint8"
divide = 1.0
[outputs.landmarks]
name = "landmarks"
frame = "crop"
[outputs.params]
name = "params"
"""


def test_a_peers_file_is_a_row(engine, tmp_path, capsys) -> None:
    adapter, found = tmp_path / "peer.toml", tmp_path / "bench.json"
    adapter.write_text(ADAPTER)
    peer = ["--foreign", str(engine / "model.onnx"), "--adapter", str(adapter)]
    words = ["bench", "run", str(engine), "--batch", "2", "--seconds", "0.1", "--json", str(found)]
    assert main([*words, *peer]) == 0
    rows = json.loads(found.read_text())["rows"]
    assert [row["name"] for row in rows] == ["planted", "model.onnx"]
    assert rows[1]["limit"] is None  # nobody counted its work
    assert main([*words, *peer[:2]]) == 2
    assert "an adapter for each file" in capsys.readouterr().err


def test_a_batch_outside_the_profile_is_refused_with_a_cure(engine) -> None:
    with pytest.raises(UserError, match=r"batch 8 came.*takes 1 to 4.*rebuild"):
        bench([engine], batches=[1, 8])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"engines": []}, "nothing to time"),
        ({"batches": [0]}, "batch 0 came"),
        ({"sustained": 0.0}, "--sustained 0 came"),
        ({"seconds": 0.0}, "--seconds 0 came"),
        ({"seconds": float("nan")}, "--seconds nan came"),
        ({"seconds": float("inf")}, "--seconds inf came"),
        ({"threads": 0}, "threads 0 came"),
        ({"engines": [], "checkpoints": [Path("any")], "threads": -1}, "threads -1 came"),
        ({"device": "cuda"}, "--checkpoint-device or --checkpoint-precision came without"),
        ({"precisions": ("tf32",)}, "--checkpoint-precision came without --checkpoint"),
        ({"in_flight": [1, 1]}, "--in-flight: 1 came more than once"),
        ({"batches": [2, 1, 2]}, "--batch: 2 came more than once"),
        ({"compiled": True}, "--compile came without --checkpoint"),
        ({"in_flight": [1, 0]}, "--in-flight 1, 0 came"),
    ],
)
def test_what_cannot_be_timed_is_refused(engine, change, said) -> None:
    arguments = {"engines": [engine], **change}
    with pytest.raises(UserError, match=said):
        bench(**arguments)


def test_engines_of_one_name_are_told_apart(engine, tmp_path) -> None:
    bundle = tmp_path / "bundle"
    shutil.copytree(engine.parent.parent, bundle)
    both = [engine, bundle / "engines" / engine.name]
    with open_rows(both, batches=[1]) as rows:
        assert [row.name for row in rows] == list(map(str, both))
    with pytest.raises(UserError, match=r"engines and peers' files: .* came more than once"):
        bench([engine, engine])


def test_stages_that_no_row_could_have_are_refused(engine, tmp_path) -> None:
    photo = render_photo(tmp_path)
    with pytest.raises(UserError, match="--stages came with no row that could have them"):
        bench([engine], in_flight=[2], photo=photo)


class Graphed:
    """An engine that could replay CUDA graphs, as far as a row can see."""

    def __init__(self, engine: Engine) -> None:
        self._engine, self.graphs = engine, True

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def __enter__(self) -> "Graphed":
        return self

    def __exit__(self, *_: object) -> None:
        self._engine.close()


def test_an_engine_without_cuda_graphs_is_a_row_beside_the_usual_one(engine, monkeypatch) -> None:
    opened: list[Graphed] = []

    def open_graphed(folder: Path, threads: int | None) -> Graphed:
        opened.append(Graphed(open_engine(folder, threads)))
        return opened[-1]

    monkeypatch.setattr("benchmarks.throughput.rows.open_engine", open_graphed)
    with open_rows([engine], batches=[1, 2], without_graphs=True, threads=1) as rows:
        assert [(row.name, row.batch) for row in rows] == [
            ("planted", 1), ("planted, no CUDA graphs", 1),
            ("planted", 2), ("planted, no CUDA graphs", 2),
        ]  # fmt: skip
        assert [one.graphs for one in opened] == [True, False]
        assert all(row.call()["params"].shape == (row.batch, 413) for row in rows)


def test_an_engine_that_has_no_graphs_is_not_timed_without_them(engine) -> None:
    with pytest.raises(UserError, match="none of these engines replays CUDA graphs"):
        bench([engine], batches=[1], without_graphs=True, threads=1)


def test_a_disturbed_run_says_so_in_all_forms(engine, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setattr("benchmarks.throughput.watch.DISTURBING", -1.0)
    files = {form: tmp_path / f"bench.{form}" for form in ("json", "html", "markdown")}
    options = [word for form, path in files.items() for word in (f"--{form}", str(path))]
    words = ["bench", "run", str(engine), "--seconds", "0.1", "--batch", "1", *options]
    assert main(words) == 0
    assert "disturbed: " in capsys.readouterr().out
    assert "busy with other work" in json.loads(files["json"].read_text())["disturbed"]
    assert all("Disturbed: " in files[form].read_text() for form in ("html", "markdown"))


def test_the_command_writes_all_its_forms(engine, tmp_path, capsys) -> None:
    files = {form: tmp_path / f"bench.{form}" for form in ("json", "html", "markdown", "csv")}
    options = [word for form, path in files.items() for word in (f"--{form}", str(path))]
    words = ["bench", "run", str(engine), "--seconds", "0.1", "--batch", "1", "4", *options]
    assert main([*words, "--sustained", "0.1"]) == 0
    assert "images/s" in capsys.readouterr().out
    assert all("Sustained" in files[form].read_text() for form in ("html", "markdown"))
    assert files["csv"].read_text().count("planted") == 2
    found = json.loads(files["json"].read_text())
    assert [row["batch"] for row in found["rows"]] == [1, 4]
    assert "| planted |" in files["markdown"].read_text()
    assert "Plotly" in files["html"].read_text()


def test_the_roofline_is_told_in_all_forms(engine, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setattr("benchmarks.throughput.ceilings.SIZES", (128,))
    monkeypatch.setattr("benchmarks.throughput.ceilings.SECONDS", 0.01)
    files = {form: tmp_path / f"bench.{form}" for form in ("json", "html", "markdown")}
    options = [word for form, path in files.items() for word in (f"--{form}", str(path))]
    words = ["bench", "run", str(engine), "--seconds", "0.1", "--batch", "1", "--roofline"]
    assert main([*words, *options]) == 0
    assert "reached" in capsys.readouterr().out
    found = json.loads(files["json"].read_text())
    assert 0 < found["rows"][0]["limit"]["attained"] < 1
    assert {ceiling["kind"] for ceiling in found["ceilings"]} >= {"float32", "copy"}
    assert all("what binds" in files[form].read_text() for form in ("html", "markdown"))


def test_a_report_that_cannot_be_written_is_said_before_anything_is_timed(
    engine, tmp_path, monkeypatch, capsys
) -> None:
    monkeypatch.setattr("trans3dhead.cli.bench_run.run", lambda options: pytest.fail("timed"))
    taken = tmp_path / "file"
    taken.write_text("")
    for form in ("json", "html", "markdown", "csv"):
        for path, said in ((tmp_path, "is a folder"), (taken / "found", "cannot be written")):
            assert main(["bench", "run", str(engine), f"--{form}", str(path)]) == 2
            assert said in capsys.readouterr().err


def test_the_command_refuses_in_one_line(engine, tmp_path, capsys) -> None:
    assert main(["bench", "run", str(tmp_path / "none")]) == 2
    assert main(["bench", "run", str(engine), "--batch", "99"]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 2


def test_engines_are_timed_where_torch_is_not_installed(engine, without_torch) -> None:
    done = without_torch("bench", "run", engine, "--seconds", 0.1, "--batch", 1)
    assert done.returncode == 0, done.stderr
