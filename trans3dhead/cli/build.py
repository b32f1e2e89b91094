"""`trans3dhead build`: from a bundle to an engine, on the machine where it will run."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import tyro

from engines.options import BuildOptions
from trans3dhead.cli.common import CommonOptions, Outcome


@dataclass(frozen=True, kw_only=True)
class Options(BuildOptions, CommonOptions):
    """Build an engine from a bundle; where it is there already, of the same inputs, do nothing.

    The engine comes to lie in BUNDLE/engines/NAME: the runtime's own file, and a manifest that
    says what it was built from and what it really computes.
    """

    bundle: tyro.conf.Positional[Path]
    """Folder that `trans3dhead export` made."""
    recipe: str = "fp32"
    """Precision recipe of the bundle, such as fp32 or fp16."""
    runtime: str = "onnxruntime"
    """onnxruntime runs everywhere; openvino on CPUs, fast in bf16; tensorrt runs on the GPU it was
    built on; tensorrt-rtx on RTX GPUs, and builds without one."""
    name: str | None = None
    """Name of the engine's folder; RUNTIME-RECIPE unless given."""
    batch: Annotated[tuple[str, ...], tyro.conf.arg(metavar="MIN,OPT,MAX")] = ()
    """Batch sizes an engine of a dynamic graph takes, and the one it is tuned for; several ranges
    are allowed. 1,8,32 unless given; a static graph has one size and needs nothing here."""
    force: bool = False
    """Build even where nothing changed."""


def run(options: Options) -> Outcome:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
    from rich.table import Table

    from engines.building import build_engine
    from engines.manifest import BatchProfile, read_manifest

    console = Console()
    steps: list[str] = []
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    hidden = not console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=hidden) as bar:
        task = bar.add_task("checking", total=1.0)

        def progress(what: str, share: float) -> None:
            steps.append(what)
            bar.update(task, description=what, completed=share)

        folder = build_engine(
            options.bundle,
            options.recipe,
            options.runtime,
            name=options.name,
            profiles=[BatchProfile.parse(text) for text in options.batch],
            options=options,
            force=options.force,
            progress=progress,
        )
    manifest = read_manifest(folder)
    table = Table("engine", str(folder), title_justify="left")
    table.add_row("runtime", f"{manifest.runtime} {manifest.runtime_version}")
    table.add_row("computes on", manifest.provider)
    table.add_row("recipe", manifest.recipe)
    table.add_row("batch (min,opt,max)", "  ".join(map(str, manifest.profiles)))
    table.add_row("file", f"{manifest.file}, {manifest.size_bytes / 1e6:.1f} MB")
    table.add_row("built in", f"{manifest.seconds:.1f} s")
    console.print(table)
    if "unchanged" in steps:
        console.print("unchanged: same inputs, same versions; --force builds it anew")
    console.print(manifest.effective.line(), highlight=False)
    return Outcome(data=asdict(manifest), report=manifest)
