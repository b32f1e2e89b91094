"""`trans3dhead evaluate`: the metrics of a checkpoint or an engine, beside the papers' numbers."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import tyro

from trans3dhead.cli.common import CommonOptions, Outcome

if TYPE_CHECKING:
    from rich.table import Table

    from trans3dhead.evaluation import Evaluation


@dataclass(frozen=True, kw_only=True)
class Options(CommonOptions):
    """Measure NME, Z5 (of both kinds), Chamfer and pose error on a labelled folder.

    Prints them overall, by attribute, and beside what the papers print for DAD-3DHeads. An engine
    needs no torch. The JSON holds every image's values too.
    """

    model: tyro.conf.Positional[Path]
    """Checkpoint file, engine folder BUNDLE/engines/NAME, or with --adapter a foreign model."""
    data: Path
    """Folder that holds DAD-3DHeadsDataset, as `trans3dhead synth` writes it."""
    split: str = "val"
    """train or val: test has no annotations."""
    head: Path | None = None
    """Folder of the head model, where it is not the built-in one and the bundle does not bring
    it."""
    limit: int | None = None
    """Measure the first so many items alone."""
    adapter: Path | None = None
    """TOML file that says what a foreign ONNX or TorchScript model takes and gives
    (docs/parity.md)."""
    threads: int | None = None
    """CPU threads of an engine; the runtime's own choice by default."""


def run(options: Options) -> Outcome:
    from trans3dhead.cli.opening import open_predictor
    from trans3dhead.data.dad3dheads import HeadDataset
    from trans3dhead.evaluation import evaluate

    dataset = HeadDataset(options.data, options.split)
    opened = open_predictor(
        options.model, head=options.head, adapter=options.adapter, threads=options.threads
    )
    with opened as (predictor, head, baselines):
        found = evaluate(predictor, dataset, head, limit=options.limit, baselines=baselines)
    show(found, f"{options.model} on {options.data}, {options.split}")
    return Outcome(
        data={
            "model": str(options.model),
            "data": str(options.data),
            "split": options.split,
            **found.to_dict(),
        },
        report=found,
    )


def show(found: "Evaluation", title: str) -> None:
    """The metrics overall, beside the papers' numbers, and by attribute."""
    from rich.console import Console

    from trans3dhead.metrics import METRICS, PUBLISHED

    def shown(means: dict[str, float]) -> list[str]:
        return [METRICS[m].shown(means[m]) if m in means else "-" for m in METRICS]

    items = str(len(found.item_ids))
    overall = _table(title)
    overall.add_row("this model", items, *shown(found.means), style="bold")
    if found.mesh_nme is not None:
        overall.add_row("its mesh, projected", items, *shown({"nme": float(found.mesh_nme.mean())}))
    for name, means in found.baselines.items():
        overall.add_row(f"always {name}", items, *shown(means))
    overall.add_section()
    for row in PUBLISHED:
        values = [row.shown(metric) for metric in METRICS]
        overall.add_row(f"{row.method}, {row.split}", "", *values, style="dim")
    overall.caption = "test, val: as the papers print them, on those splits of DAD-3DHeads"

    groups = _table("by attribute")
    for attribute, by_value in found.by_attribute.items():
        for value, group in by_value.items():
            groups.add_row(f"{attribute}: {value}", str(group.items), *shown(group.means))
        groups.add_section()

    console = Console(highlight=False)
    console.print(overall, "")
    if found.by_attribute:
        console.print(groups, "")
    for name, reason in found.absent.items():
        console.print(f"{METRICS[name].label}: not computed, {reason}")
    if found.seconds:
        stages = ", ".join(
            f"{stage} {1000 * seconds / len(found.item_ids):.1f}"
            for stage, seconds in found.seconds.items()
        )
        console.print(f"milliseconds an image: {stages}")


def _table(title: str) -> "Table":
    """Columns for a row's name, its items and the metrics."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    from trans3dhead.metrics import METRICS

    table = Table(
        title=title,
        title_justify="left",
        caption_justify="left",
        box=SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
    )
    table.add_column("", no_wrap=True)
    table.add_column("items", justify="right", no_wrap=True)
    for metric in METRICS.values():
        first, _, rest = metric.label.partition(" ")
        arrow = "↓" if metric.lower_is_better else "↑"
        table.add_column(f"{first} {arrow}\n{rest}".strip(), justify="right", no_wrap=True)
    return table
