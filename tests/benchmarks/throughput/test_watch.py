"""What happens on the machine during a run is seen: other work, clocks, a GPU that slows down."""

import os
import subprocess
import sys

import pytest

from benchmarks.throughput import cpu_sensors, machine
from benchmarks.throughput import watch as watching
from benchmarks.throughput.watch import Range, Watched, Watcher, watch


@pytest.fixture
def smi(monkeypatch):
    """An nvidia-smi that answers from a list; a driver of the older names where told."""
    answers: list[list[str]] = []

    def query(fields: tuple[str, ...], form: str) -> list[str] | None:
        if not answers or (fields[-1] == watching.REASON_FIELDS[0] and answers[0][0] == "older"):
            return None
        return [word for word in answers.pop(0) if word != "older"]

    monkeypatch.setattr(watching, "query_gpu", query)
    return answers


def test_other_work_is_counted_without_our_own(monkeypatch) -> None:
    """In 10 seconds all cores worked 18 s, this process 10 of them."""
    world = {"now": 0.0, "own": 0.0, "ticks": 1000}
    monkeypatch.setattr(watching.time, "perf_counter", lambda: world["now"])
    monkeypatch.setattr(watching.time, "process_time", lambda: world["own"])
    monkeypatch.setattr(watching, "busy_ticks", lambda: world["ticks"])
    watcher = Watcher()
    watcher.look()
    rate = os.sysconf("SC_CLK_TCK")
    world |= {"now": 10.0, "own": 10.0, "ticks": 1000 + 18 * rate}
    watcher.look()
    found = watcher.watched()
    assert found.other_load == Range(low=0.8, mean=0.8, high=0.8)
    assert found.disturbed is not None and found.disturbed.startswith("0.8 cores")


@pytest.fixture
def neighbour(monkeypatch, smi):
    """A planted neighbour: what is watched where each look comes so many seconds after the last,
    and so many cores were busy with other work meanwhile."""

    def watched(*looks: tuple[float, float]) -> Watched:
        world = {"now": 0.0, "ticks": 0}
        monkeypatch.setattr(watching.time, "perf_counter", lambda: world["now"])
        monkeypatch.setattr(watching.time, "process_time", lambda: 0.0)
        monkeypatch.setattr(watching, "busy_ticks", lambda: world["ticks"])
        watcher = Watcher()
        watcher.look()
        for seconds, cores in looks:
            world["now"] += seconds
            world["ticks"] += round(cores * seconds * os.sysconf("SC_CLK_TCK"))
            watcher.look()
        return watcher.watched()

    return watched


def test_a_look_counts_by_its_time(neighbour) -> None:
    """One look over nine busy seconds, eight over an idle one: by looks it were 0.2 cores."""
    found = neighbour((9.0, 2.0), *[(0.125, 0.0)] * 8)
    assert found.other_load == Range(low=0, mean=pytest.approx(1.8), high=2)
    assert found.busy_share == pytest.approx(0.9)


def test_looks_close_together_say_nothing_of_a_rate(neighbour) -> None:
    """A tick within a hundredth of a second is no busy core; the next look counts it."""
    found = neighbour((1.0, 0.0), (0.01, 1.0))
    assert found.other_load == Range(low=0, mean=0, high=0)
    found = neighbour((1.0, 0.0), (0.01, 1.0), (0.99, 0.0))
    assert found.other_load == Range(low=0, mean=pytest.approx(0.005), high=pytest.approx(0.01))
    assert found.looks == 4


@pytest.mark.parametrize(("busy", "disturbed"), [(1, False), (2, True)])
def test_a_neighbour_busy_for_a_tenth_of_the_time_disturbs_the_run(
    busy: int, disturbed: bool, neighbour
) -> None:
    """Far under half a core on average either way."""
    found = neighbour(*[(1.0, 2.0)] * busy, *[(1.0, 0.0)] * (12 - busy))
    assert found.other_load.mean < watching.DISTURBING
    assert (found.disturbed is not None) == disturbed
    if disturbed:
        assert "(2.0 at most, more than 0.5 in 17% of the time)" in found.disturbed


def test_a_processor_that_grows_hot_disturbs_the_run(monkeypatch, smi) -> None:
    """Two looks two seconds apart; in between it took 130 J and was slowed down three times."""
    seen = {"joules": [70.0, 200.0], "throttle_count": [5, 8], "celsius": [61.0, 99.0],
            "stolen_seconds": [10.0, 11.0]}  # fmt: skip
    for name, values in seen.items():
        monkeypatch.setattr(cpu_sensors, name, iter(values).__next__)
    monkeypatch.setattr(watching.time, "perf_counter", iter([0.0, 2.0]).__next__)
    watcher = Watcher()
    watcher.look()
    watcher.look()
    found = watcher.watched()
    assert found.cpu_watts == Range(low=65, mean=65, high=65)
    assert found.stolen == Range(low=0.5, mean=0.5, high=0.5)
    assert found.cpu_celsius == Range(low=61, mean=80, high=99)
    assert found.throttled == (watching.CPU_TOO_HOT,)
    assert watching.CPU_TOO_HOT in (found.disturbed or "")


def test_a_counter_that_begins_anew_says_nothing(monkeypatch, smi) -> None:
    monkeypatch.setattr(cpu_sensors, "joules", iter([262_000.0, 3.0]).__next__)
    monkeypatch.setattr(watching.time, "perf_counter", iter([0.0, 2.0]).__next__)
    watcher = Watcher()
    watcher.look()
    watcher.look()
    assert watcher.watched().cpu_watts is None


def test_a_busy_neighbour_is_seen() -> None:
    """A real process that computes beside this one."""
    words = [sys.executable, "-c", "while True: pass"]
    with subprocess.Popen(words) as neighbour, watch(every=0.1) as watcher:
        watching.time.sleep(0.6)
        neighbour.kill()
    load = watcher.watched().other_load
    assert load is not None
    assert load.high > 0.4
    assert watcher.looks >= 4


def test_a_gpu_that_slows_down_disturbs_the_run(smi) -> None:
    smi += [["1980", "250.5", "60", "0x0"], ["1200", "299.9", "88", "0x0000000000000044"]]
    watcher = Watcher()
    watcher.look()
    watcher.look()
    found = watcher.watched()
    assert found.gpu_mhz == Range(low=1200, mean=1590, high=1980)
    assert found.gpu_celsius is not None and found.gpu_celsius.high == 88
    assert found.throttled == ("GPU power cap", "GPU hardware thermal slowdown")
    assert "hardware thermal slowdown" in (found.disturbed or "")


def test_an_older_driver_is_asked_by_its_own_name(smi) -> None:
    smi += [["older", "1980", "[N/A]", "60", "0x20"]]
    watcher = Watcher()
    watcher.look()
    watcher.look()
    found = watcher.watched()
    assert (found.gpu_watts, found.throttled) == (None, ("GPU software thermal slowdown",))


def test_a_machine_that_says_nothing_leaves_nothing(monkeypatch, smi) -> None:
    monkeypatch.setattr(watching, "busy_ticks", lambda: None)
    for module in (watching, cpu_sensors):
        monkeypatch.setattr(module, "read_text", lambda path: None)
    watcher = Watcher()
    watcher.look()
    watcher.look()
    assert watcher.watched() == Watched(looks=2, other_load=None, cpu_mhz=None)
    assert watcher.watched().disturbed is None


def test_nvidia_smi_that_prints_nothing_ends_no_watching(monkeypatch) -> None:
    done = subprocess.CompletedProcess([], 0, stdout="")
    monkeypatch.setattr(machine.subprocess, "run", lambda *_, **__: done)
    with watch(every=0.02) as watcher:
        watching.time.sleep(0.3)
    assert watcher.looks > 3
    assert watcher.watched().gpu_mhz is None
