"""The processor's sensors are read as the kernel lays them out, and only the processor's."""

from pathlib import Path

import pytest

from benchmarks.throughput import cpu_sensors


def plant(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text + "\n")
    return root


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A machine of one package and two cores, beside a disk with a sensor of its own."""
    return plant(tmp_path, {
        "class/hwmon/hwmon0/name": "nvme", "class/hwmon/hwmon0/temp1_input": "91000",
        "class/hwmon/hwmon1/name": "coretemp", "class/hwmon/hwmon1/temp1_input": "54000",
        "class/hwmon/hwmon1/temp2_input": "61500", "class/hwmon/hwmon1/temp3_input": "unknown",
        "class/thermal/thermal_zone0/type": "x86_pkg_temp",
        "class/thermal/thermal_zone0/temp": "58000",
        "class/powercap/intel-rapl:0/name": "package-0",
        "class/powercap/intel-rapl:0/energy_uj": "2500000",
        "class/powercap/intel-rapl:0:0/name": "core",
        "class/powercap/intel-rapl:0:0/energy_uj": "1500000",
        "devices/system/cpu/cpu0/thermal_throttle/core_throttle_count": "3",
        "devices/system/cpu/cpu1/thermal_throttle/core_throttle_count": "4",
    })  # fmt: skip


def test_heat_is_that_of_the_hottest_core(root: Path) -> None:
    assert cpu_sensors.celsius(root) == 61.5


def test_without_its_driver_the_thermal_zone_is_asked(root: Path) -> None:
    (root / "class/hwmon/hwmon1/name").write_text("acpitz")
    assert cpu_sensors.celsius(root) == 58


def test_energy_is_that_of_the_packages_and_no_part_of_them(root: Path) -> None:
    assert cpu_sensors.joules(root) == 2.5


def test_throttling_is_counted_over_all_cores(root: Path) -> None:
    assert cpu_sensors.throttle_count(root) == 7


def test_what_other_guests_took(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(cpu_sensors.os, "sysconf", lambda name: 100)
    stat = plant(tmp_path, {"stat": "cpu  100 0 50 900 3 0 1 250 0 0\ncpu0 1 2 3"}) / "stat"
    assert cpu_sensors.stolen_seconds(stat) == 2.5


def test_a_machine_that_says_nothing(tmp_path: Path) -> None:
    for ask in (cpu_sensors.celsius, cpu_sensors.joules, cpu_sensors.throttle_count):
        assert ask(tmp_path) is None
    assert cpu_sensors.stolen_seconds(tmp_path / "stat") is None
