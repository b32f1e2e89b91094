"""`trans3dhead search`: the cheapest precision recipe that passes."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

from engines.errors import UserError
from trans3dhead.cli.common import CommonOptions, Outcome


@dataclass(frozen=True, kw_only=True)
class Options(CommonOptions):
    """Find the parts of a network that may be computed in half precision, and those that may not.

    Lowers each part alone to measure its damage; from the base recipe raises the worst to float32
    until the gates of `verify` hold; from float32 lowers as long as they hold, as a check. Low
    precision is emulated, so no GPU is needed. Writes the best as a TOML file for
    `trans3dhead export --recipes fp32 FILE`. Exit code 1 where nothing may be lowered.
    """

    bundle: tyro.conf.Positional[Path]
    """Bundle with the recipe fp32."""
    base: Literal["fp16", "fp16-backbone", "bf16"] = "fp16"
    """Recipe to start from; its margins judge."""
    out: Path = Path("searched.toml")
    """File of the recipe that is found; its name without the ending is the recipe's name."""
    head: Path | None = None
    """Folder of the head model, where the bundle neither holds it nor uses the built-in one."""
    margins: Path | None = None
    """TOML file whose margins replace the shipped ones (benchmarks/parity/margins.toml)."""
    limit: int | None = None
    """Judge by so many reference images alone: quicker, and sure of less."""
    threads: int | None = None
    """CPU threads; the runtime's own choice by default."""
    html: Path | None = None
    """Also write a report for people: one file that needs no network."""


def run(options: Options) -> Outcome:
    from benchmarks.parity.search import search
    from benchmarks.report.search_pieces import search_page, share_table, step_table
    from benchmarks.report.tables import STYLES
    from engines.files import write_whole
    from export.recipes import SUFFIX, write_recipe
    from trans3dhead.cli.terminal import say, stage_bars, wide_console

    if options.out.suffix != SUFFIX:
        raise UserError(
            f"--out {options.out} came; expected a name that ends in {SUFFIX}, as recipes do"
        )
    console = wide_console()
    with stage_bars(console) as progress:
        found = search(
            options.bundle,
            options.head,
            base=options.base,
            margins=options.margins,
            limit=options.limit,
            threads=options.threads,
            progress=progress,
        )
    for table in (share_table, step_table):
        console.print(table(found).rich())
    if options.html is not None:
        write_whole(options.html, search_page(found))
    say(console, found.headline, STYLES["fail" if found.best is None else "pass"])
    recipe = found.recipe(options.out.stem)
    if recipe is not None:
        write_recipe(options.out, recipe)
        say(console, f"recipe: {options.out}")
    return Outcome(data=found.to_dict(), exit_code=0 if recipe else 1, report=found)
