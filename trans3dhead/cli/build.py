"""`trans3dhead build`: from a bundle to an engine, on the machine where it will run."""

from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from engines.options import BuildOptions
from trans3dhead.cli.common import CommonOptions, Outcome

if TYPE_CHECKING:
    from rich.console import Console

    from benchmarks.parity.results import ParityReport


@dataclass(frozen=True, kw_only=True)
class Options(BuildOptions, CommonOptions):
    """Build an engine from a bundle; where it is there already, of the same inputs, do nothing.

    The engine comes to lie in BUNDLE/engines/NAME: the runtime's own file, and a manifest that
    says what it was built from and what it really computes. With --verify it takes its place only
    if it passes; else exit code 1, and an engine of that name that was there stays as it was.
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
    verify: bool = False
    """Judge the engine as `trans3dhead verify` does, by the bundle's reference, before it is
    published; its manifest keeps the verdict and the hashes of margins and reference."""
    margins: Path | None = None
    """With --verify: TOML file whose margins replace the shipped ones."""


def run(options: Options) -> Outcome:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
    from rich.table import Table

    from engines.building import RejectedError, build_engine
    from engines.errors import UserError
    from engines.manifest import BatchProfile, read_manifest
    from trans3dhead.cli.verify import print_report

    if options.margins is not None and not options.verify:
        raise UserError(
            f"--margins {options.margins} came without --verify; expected both; margins are what "
            "an engine is verified by"
        )
    console = Console()
    steps: list[str] = []
    verdict = _Verdict(options)
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    hidden = not console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=hidden) as bar:
        task = bar.add_task("checking", total=1.0)

        def progress(what: str, share: float) -> None:
            steps.append(what)
            bar.update(task, description=what, completed=share)

        folder: Path | None = None
        with suppress(RejectedError):
            folder = build_engine(
                options.bundle,
                options.recipe,
                options.runtime,
                name=options.name,
                profiles=[BatchProfile.parse(text) for text in options.batch],
                options=options,
                force=options.force,
                judge=verdict.judge if options.verify else None,
                progress=progress,
            )
    if folder is None:
        return verdict.rejection(console, kept="unchanged" in steps)
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
    if verdict.report is not None:
        print_report(console, verdict.report)
    return Outcome(data=asdict(manifest), report=manifest)


class _Verdict:
    """The judge of a build, and what it found."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.report: ParityReport | None = None

    def judge(self, folder: Path) -> bool:
        """Verify an engine under the name it will have; its manifest keeps the verdict."""
        from benchmarks.parity.harness import verify
        from engines.manifest import read_manifest

        name = str(folder.with_name(read_manifest(folder).name))
        self.report = verify(folder, margins=self.options.margins, name=name)
        return self.report.passed

    def rejection(self, console: "Console", *, kept: bool) -> Outcome:
        """Say why, and what stands there now; `kept` where the engine was there before."""
        from trans3dhead.cli.terminal import say
        from trans3dhead.cli.verify import print_report

        report = self.report
        assert report is not None
        print_report(console, report)
        engine = report.subject.engine
        what = (
            f"{engine} was there before and stays; its manifest says {report.verdict}"
            if kept
            else f"{engine} was not published: whatever was there is there still; to look into "
            "the engine, build it without --verify"
        )
        say(console, what, style="red")
        return Outcome(data=report.to_dict(), exit_code=1, report=report)
