import subprocess
import sys

import pytest

from benchmarks.throughput import machine


def test_the_machine_says_what_it_is() -> None:
    found = machine.look()
    assert found.cores >= 1
    assert found.machine.cpu
    assert found.versions["python"]
    assert found.versions.keys() >= {"numpy", "onnxruntime"}
    import onnxruntime

    assert found.versions["onnxruntime"] == onnxruntime.__version__


def test_the_onnxruntime_that_computes_is_told_and_not_imported(monkeypatch, tmp_path) -> None:
    """Both distributions were installed; the files are those of the later one."""
    module = tmp_path / "onnxruntime"
    (module / "capi").mkdir(parents=True)
    (module / "__init__.py").write_text("raise AssertionError('was imported')")
    info = "package_name = 'onnxruntime-gpu'\n__version__ = '1.20.1'\ncuda_version = '12.6'\n"
    (module / machine.ONNXRUNTIME_INFO).write_text(info)
    for name, version in (("onnxruntime", "1.31.1"), ("onnxruntime_gpu", "1.20.1")):
        metadata = tmp_path / f"{name}-{version}.dist-info" / "METADATA"
        metadata.parent.mkdir()
        metadata.write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    monkeypatch.delitem(sys.modules, "onnxruntime", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    found = machine._versions()
    assert {key: found[key] for key in found if "onnx" in key} == {"onnxruntime-gpu": "1.20.1"}


def test_other_work_is_seen(monkeypatch) -> None:
    ticks = iter([1000, 1000 + round(1.5 * 100 * machine.LOOK_SECONDS)])
    monkeypatch.setattr(machine, "busy_ticks", lambda: next(ticks))
    monkeypatch.setattr(machine.os, "sysconf", lambda name: 100)
    assert machine._other_load() == pytest.approx(1.5)


def test_what_the_system_does_not_say_is_none(monkeypatch) -> None:
    monkeypatch.setattr(machine, "read_text", lambda path: None)
    monkeypatch.setattr(machine.subprocess, "run", _no_program)
    found = machine.look()
    assert (found.governor, found.other_load, found.gpu, found.instructions) == (
        None,
        None,
        None,
        (),
    )


def _no_program(*_: object, **__: object) -> None:
    raise FileNotFoundError


def test_what_nvidia_smi_prints_is_split(monkeypatch) -> None:
    def run(query, **_):
        assert query[1:] == ["--query-gpu=a,b", "--format=csv,noheader,nounits"]
        return subprocess.CompletedProcess(query, 0, stdout="1980, 0x4\n1200, 0x0\n")

    monkeypatch.setattr(machine.subprocess, "run", run)
    assert machine.query_gpu(("a", "b"), "csv,noheader,nounits") == ["1980", "0x4"]


@pytest.mark.parametrize("printed", ["", "\n", "No devices were found\n"])
def test_nvidia_smi_without_a_gpu_is_no_gpu(printed: str, monkeypatch) -> None:
    done = subprocess.CompletedProcess([], 0, stdout=printed)
    monkeypatch.setattr(machine.subprocess, "run", lambda *_, **__: done)
    assert machine._gpu() is None
