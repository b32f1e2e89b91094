"""`trans3dhead describe`: what a preset is and what it costs."""

from dataclasses import dataclass

from trans3dhead.cli.common import CommonOptions, Outcome


@dataclass(frozen=True, kw_only=True)
class Options(CommonOptions):
    """Count a preset's parameters and its arithmetic an image, part by part.

    A multiply-add counts as two operations; attention's products are included. Nothing is
    computed, so it takes seconds at any size.
    """

    preset: str = "paper"
    """Name of a preset; a wrong one lists all names."""


def run(options: Options) -> Outcome:
    from dataclasses import asdict

    from rich.console import Console
    from rich.table import Table

    from trans3dhead.network.cost import cost_of
    from trans3dhead.presets import preset

    chosen = preset(options.preset)
    cost = cost_of(chosen.network)
    parameters, flops = sum(cost.parameters.values()), sum(cost.flops.values())

    table = Table("part", title=f"{chosen.name}: {chosen.summary}", title_justify="left")
    table.add_column("parameters, M", justify="right")
    table.add_column("GFLOP an image", justify="right")
    for part in dict.fromkeys((*cost.parameters, *cost.flops)):
        table.add_row(part, _millions(cost.parameters, part), _billions(cost.flops, part))
    table.add_section()
    table.add_row("all", f"{parameters / 1e6:.3f}", f"{flops / 1e9:.3f}")
    console = Console()
    console.print(table)
    for row in chosen.rows:
        console.print(f"the paper's {row}", highlight=False)
    return Outcome(
        data={
            "preset": asdict(chosen),
            "parameters": {"all": parameters, **cost.parameters},
            "flops_per_image": {"all": flops, **cost.flops},
        }
    )


def _millions(counts: dict[str, int], part: str) -> str:
    return f"{counts[part] / 1e6:.3f}" if part in counts else "-"


def _billions(counts: dict[str, int], part: str) -> str:
    return f"{counts[part] / 1e9:.3f}" if part in counts else "-"
