"""`trans3dhead export`: from a checkpoint to a bundle of checked ONNX graphs."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import tyro

from trans3dhead.cli.common import CommonOptions, Outcome

if TYPE_CHECKING:
    from rich.table import Table

    from export.exporting import ExportReport


@dataclass(frozen=True, kw_only=True)
class Options(CommonOptions):
    """Export a checkpoint to a bundle: ONNX graphs, contract, head model and reference.

    Every graph is checked against eager PyTorch before anything is published. Exit code 1 if one
    fails; OUT then does not exist.
    """

    checkpoint: tyro.conf.Positional[Path]
    """File that `trans3dhead train` wrote."""
    out: tyro.conf.Positional[Path]
    """The bundle's folder, a new one."""
    variant: Literal["params", "mesh"] = "params"
    """params answers with landmarks, parameters and rotation; mesh adds posed vertices (metres)
    and their projection (crop pixels), and so contains the head model's basis."""
    recipes: tuple[str, ...] = ("fp32", "fp16")
    """Precision recipes, one graph each: fp32, fp16 (backbone and decoders), fp16-backbone, bf16,
    int8-backbone (calibrated by the first 64 reference images), or TOML files of your own."""
    batch: int | Literal["dynamic"] = 1
    """Images a run takes. A fixed number gives the faster graph; dynamic takes any."""
    qamem: Literal["conv", "matmul", "auto"] | None = None
    """Query-aware memory as grouped convolution or as batched product, for a runtime that refuses
    one of them; the recipe's own choice unless given. auto takes the other where a runtime that is
    installed here does not build that."""
    head: Path | None = None
    """Folder of the head model the checkpoint was trained with; the built-in one unless given."""
    reference: Path | None = None
    """Folder of labelled images (the one around DAD-3DHeadsDataset) by which parity will be
    judged; heads are rendered for it unless given."""
    split: Literal["val", "test"] = "val"
    """Split of that folder; never the one trained on."""
    count: int = 64
    """Reference images; more make the parity verdict finer."""
    include_head: bool = False
    """Put the head model's shape basis into the bundle too, so that `predict` can make meshes
    from a params bundle with no other file. Mind the head model's licence."""


def run(options: Options) -> Outcome:
    from export.checks import CheckError
    from export.exporting import export_bundle
    from trans3dhead.cli.terminal import say, stage_bars, wide_console

    console = wide_console()
    try:
        with stage_bars(console) as progress:
            report = export_bundle(
                options.checkpoint,
                options.out,
                variant=options.variant,
                recipes=options.recipes,
                batch=None if options.batch == "dynamic" else options.batch,
                qamem=options.qamem,
                head=options.head,
                reference=options.reference,
                split=options.split,
                count=options.count,
                include_head=options.include_head,
                progress=progress,
            )
    except CheckError as error:
        say(console, str(error), style="red")
        return Outcome(data={"faults": list(error.faults)}, exit_code=1)
    console.print(_graphs(report))
    console.print(_operators(report))
    for module, value in report.near_overflow.items():
        say(
            console,
            f"{module} reaches {value:.3g} over the reference images; half precision ends at "
            f"65504; keep it in float32 (`kept` of a recipe), or see what `verify` says",
            style="yellow",
        )
    say(console, f"{report.folder}: {', '.join(_files(report))}")
    say(
        console,
        f"exported in {report.seconds:.1f} s with at most {report.peak_memory / 2**30:.2f} GiB of "
        "memory",
    )
    identity, contract = report.contract.head, report.contract
    if not identity.redistributable and (contract.variant == "mesh" or identity.included):
        say(
            console,
            f"this bundle contains the basis of the head model {identity.name!r}, licensed data "
            f"({identity.licence}): do not pass it on",
            style="yellow",
        )
    return Outcome(data=_as_data(report), report=report)


def _graphs(report: "ExportReport") -> "Table":
    """A row for each graph; the last columns are the checks' largest differences."""
    from rich.table import Table

    units = {spec.name: spec.unit for spec in report.contract.outputs}
    measured = [name for name in units if name != "rotation"]
    table = Table("recipe", "MB", "QAMem", "FLOPs in half or int8", "nodes")
    for name in measured:
        unit = units[name].replace("see `parameters`", "")
        table.add_column(f"{name} differ\n{unit}".strip(), justify="right")
    for name, entry in report.contract.recipes.items():
        table.add_row(
            name,
            f"{report.sizes[f'{name}.onnx'] / 1e6:.1f}",
            entry.qamem,
            f"{entry.low_flops_share:.1%}",
            str(sum(entry.node_counts.values())),
            *(f"{report.differences[name][output]:.1e}" for output in measured),
        )
    return table


def _operators(report: "ExportReport") -> "Table":
    """Nodes by kind, the most frequent first; above all what a plain export has of them."""
    from rich.table import Table

    graphs = {"plain export": report.plain_nodes}
    graphs |= {name: entry.node_counts for name, entry in report.contract.recipes.items()}
    kinds = sorted(
        {kind for counts in graphs.values() for kind in counts},
        key=lambda kind: (-max(counts.get(kind, 0) for counts in graphs.values()), kind),
    )
    table = Table("nodes", *kinds[:12], "others", "all")
    for name, counts in graphs.items():
        shown = [counts.get(kind, 0) for kind in kinds[:12]]
        every = sum(counts.values())
        table.add_row(name, *map(str, shown), str(every - sum(shown)), str(every))
    return table


def _files(report: "ExportReport") -> list[str]:
    return [f"{name} {size / 1e6:.1f} MB" for name, size in report.sizes.items()]


def _as_data(report: "ExportReport") -> dict[str, Any]:
    from dataclasses import asdict

    return {
        "folder": str(report.folder),
        "sizes": report.sizes,
        "seconds": report.seconds,
        "peak_memory": report.peak_memory,
        "plain_nodes": report.plain_nodes,
        "near_overflow": report.near_overflow,
        "differences": report.differences,
        "contract": asdict(report.contract),
    }
