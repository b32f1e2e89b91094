"""The line below a committed table: on what machine, when and with what it was measured."""

from collections.abc import Mapping
from typing import Any

SHOWN = ("python", "torch", "onnxruntime", "onnxruntime-gpu", "openvino", "tensorrt_rtx_cu13")
"""Versions that it gives."""


def told_line(name: str, report: Mapping[str, Any]) -> str:
    """Of a report that looked at the machine before it began; what disturbed it comes first."""
    before = report["before"]
    able = " ".join(before["instructions"]) or "none named"
    cores = f", {before['cores']} CPU cores ({able})"
    source = source_line(name, before["machine"], before["versions"], cores)
    return f"Disturbed: {report['disturbed']}. {source}" if report["disturbed"] else source


def source_line(
    name: str, machine: Mapping[str, Any], versions: Mapping[str, str], cores: str
) -> str:
    """Machine, date, versions and file."""
    known = ", ".join(f"{key} {versions[key]}" for key in SHOWN if key in versions)
    device = machine["gpu"] or machine["cpu"]
    return f"{device}{cores}, {name[:10]}; {known}. `benchmarks/results/{name}`"
