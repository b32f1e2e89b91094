"""`trans3dhead doctor`: what this machine has, what it lacks, and the line that mends it."""

import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trans3dhead.cli.common import CommonOptions, Outcome
from trans3dhead.cli.terminal import say, wide_console
from trans3dhead.packages import install_line

if TYPE_CHECKING:
    from rich.console import Console

    from engines.machine import Machine
    from engines.readiness import RuntimeState
    from trans3dhead.packages import Package

BUILTIN_HEAD = {"name": "builtin", "licence": "Apache-2.0"}


@dataclass(frozen=True, kw_only=True)
class Options(CommonOptions):
    """Look at this machine: processor, GPUs and driver, packages, runtimes, head model.

    Says for each lane (V100, data-centre GPU, RTX GPU, CPU) whether engines run here, and what to
    type where they do not. Changes nothing. Exit code 1 where no runtime can run an engine.
    """

    head: Path | None = None
    """Folder of a converted head model, to be looked at too."""


def run(options: Options) -> Outcome:
    from engines.machine import all_gpus, instruction_sets
    from engines.readiness import LANES, onnxruntime_providers, runtime_states
    from trans3dhead import __version__
    from trans3dhead.packages import packages_by_extra

    machines, sets = all_gpus(), instruction_sets()
    states, providers = runtime_states(), onnxruntime_providers()
    packages = packages_by_extra()
    lanes = {lane.name: (lane, lane.lacks(machines[0], states)) for lane in LANES}
    head = _describe_head(options.head)

    console = wide_console()
    _show_machine(console, machines, sets)
    _show(
        console,
        ("lane", "engines run here", "why not", "what it takes"),
        [
            (name, _mark(why), why or "", lane.install if why else "")
            for name, (lane, why) in lanes.items()
        ],
    )
    _show_runtimes(console, states, providers)
    _show_packages(console, packages)
    say(console, f"head model: {head['name']}, licence {head['licence']}")
    return Outcome(
        data={
            "version": __version__,
            "python": platform.python_version(),
            "cpu": machines[0].cpu,
            "instruction_sets": sets,
            "gpus": [asdict(machine) for machine in machines if machine.gpu],
            "no_gpu": machines[0].no_gpu,
            "runtimes": {name: asdict(state) for name, state in states.items()},
            "onnxruntime_providers": providers,
            "lanes": {
                name: {"ready": why is None, "lacks": why, "install": lane.install}
                for name, (lane, why) in lanes.items()
            },
            "packages": {
                extra: {
                    "install": install_line(extra),
                    "packages": [asdict(item) | {"fault": item.fault} for item in items],
                }
                for extra, items in packages.items()
            },
            "head": head,
        },
        exit_code=0 if any(state.cannot_run is None for state in states.values()) else 1,
    )


def _describe_head(folder: Path | None) -> dict[str, Any]:
    """Name and licence of the head model that commands would use; a UserError where it is bad."""
    if folder is None:
        return dict(BUILTIN_HEAD)
    from trans3dhead.head.source import resolve_head

    head = resolve_head(folder)
    return {"name": head.name, "licence": head.licence, "sha256": head.sha256}


def _show_machine(console: "Console", machines: "list[Machine]", sets: list[str]) -> None:
    rows = [
        ("processor", machines[0].cpu),
        ("instruction sets", ", ".join(sets) or "none of AVX2, AVX-512, AMX"),
    ]
    for number, machine in enumerate(machines):
        what = f"{machine.gpu}, compute capability {machine.compute_capability}"
        rows.append((f"GPU {number}", what if machine.gpu else f"none: {machine.no_gpu}"))
    if machines[0].gpu:
        driver = machines[0].driver or "version unknown"
        rows.append(("driver", f"{driver}, serves CUDA {machines[0].cuda}"))
    _show(console, ("machine", f"Python {platform.python_version()}"), rows)


def _show_runtimes(
    console: "Console", states: "dict[str, RuntimeState]", providers: list[str]
) -> None:
    rows = []
    for state in states.values():
        reasons = [reason for reason in (state.cannot_build, state.cannot_run) if reason]
        builds, runs = _mark(state.cannot_build), _mark(state.cannot_run)
        why = "\n".join(dict.fromkeys(reasons))
        rows.append((state.name, state.version or "-", builds, runs, why))
    _show(console, ("runtime", "version", "builds here", "runs here", "why not"), rows)
    if providers:
        say(console, f"ONNX Runtime's providers: {', '.join(providers)}")


def _show_packages(console: "Console", packages: "dict[str, list[Package]]") -> None:
    rows = []
    for extra, items in packages.items():
        here = ", ".join(f"{item.name} {item.found}" for item in items if item.fault is None)
        faults = ", ".join(f"{item.name} ({item.fault})" for item in items if item.fault)
        rows.append((extra, here, faults, install_line(extra) if faults else ""))
    _show(console, ("extra", "here", "missing or unfit", "install it with"), rows)


def _show(console: "Console", heads: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    """A table of plain cells: an install line's brackets are no markup."""
    from rich.table import Table
    from rich.text import Text

    styles = {"yes": "green", "no": "red"}
    table = Table(*heads)
    for row in rows:
        table.add_row(*(Text(cell, style=styles.get(cell, "")) for cell in row))
    console.print(table)


def _mark(fault: str | None) -> str:
    return "no" if fault else "yes"
