import pytest

from benchmarks.throughput import machine


def test_the_machine_says_what_it_is() -> None:
    found = machine.look()
    assert found.cores >= 1
    assert found.machine.cpu
    assert found.versions["python"]
    assert found.versions.keys() >= {"numpy", "onnxruntime"}


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
