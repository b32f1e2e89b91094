"""The CPU table in one go: `make bench-cpu CHECKPOINT=full.safetensors`.

`python -m benchmarks.cpu_check CHECKPOINT` exports the checkpoint at each batch size, builds every
engine this CPU can run, judges each by `verify`, times all of them and PyTorch interleaved in one
run, records where the time goes, times the deployed graph beside its backbone and a plain export,
and predicts in video. What is measured lies in --out, with a log of each step. With --publish the
reports of the last four steps go to `benchmarks/results` too, in the place of earlier ones of their
kind, and the tables of README and docs are made from them. Run it on a machine that does nothing
else; exit code 1 where a step failed.
"""

import json
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from benchmarks.report.committed import RESULTS
from benchmarks.report.committed import main as fill_pages
from benchmarks.steps import TRANS3DHEAD, Step, run_steps, tell_failures
from engines.errors import UserError
from engines.files import write_whole
from engines.machine import instruction_sets
from export.recipes import RECIPES

SUMMARY = "bench-cpu.json"
PUBLISHED = ("bench", "modules", "graph", "video")
"""Steps whose reports are published, each as `report_name` says."""
BATCHES = (1, 4, 16)
BFLOAT16 = {"avx512_bf16", "amx_bf16"}
"""Instructions without which OpenVINO refuses bfloat16."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """Make the CPU table of a full-size checkpoint."""

    checkpoint: Annotated[Path, tyro.conf.Positional]
    """A trained one: random weights would pass no parity gate."""
    out: Path = Path("build/bench-cpu")
    """Folder for bundles, logs and results."""
    threads: int = len(os.sched_getaffinity(0))
    """CPU threads of every row; every core by default."""
    seconds: float = 5.0
    """Counted seconds for each row."""
    count: int = 512
    """Reference images that parity is judged by."""
    only: tuple[str, ...] = ()
    """Run these steps alone; what they need must be in --out already."""
    publish: bool = False
    """Put the reports into benchmarks/results, and make the pages' tables from them."""


def report_name(step: str) -> str:
    """File of a step's report."""
    return f"cpu-{step}.json"


def engines() -> dict[str, tuple[str, str]]:
    """Names to runtime and recipe, of those that this CPU can run."""
    found = {
        "onnxruntime-fp32": ("onnxruntime", "fp32"),
        "openvino-fp32": ("openvino", "fp32"),
    }
    if BFLOAT16.intersection(instruction_sets()):
        found["openvino-bf16"] = ("openvino", "bf16")
    if "int8-backbone" in RECIPES:
        found["openvino-int8-backbone"] = ("openvino", "int8-backbone")
    return found


def steps(options: Options) -> list[Step]:
    """All steps, in order."""
    chosen, threads = engines(), ("--threads", str(options.threads))
    recipes = tuple(dict.fromkeys(recipe for _, recipe in chosen.values()))
    found: list[Step] = []
    for batch in BATCHES:
        bundle = _bundle(options, batch)
        export = f"export {batch}"
        command = (*TRANS3DHEAD, "export", str(options.checkpoint), str(bundle))
        numbers = ("--batch", str(batch), "--count", str(options.count))
        export_all = (*command, "--recipes", *recipes, *numbers)
        found.append(Step(name=export, command=export_all, minutes=15))
        for name, (runtime, recipe) in chosen.items():
            build, engine = f"build {batch} {name}", bundle / "engines" / name
            words = ("build", str(bundle), "--runtime", runtime, "--recipe", recipe)
            found.append(
                Step(name=build, command=(*TRANS3DHEAD, *words, "--name", name), needs=(export,))
            )
            judge = ("verify", str(engine), *threads)
            written = ("--json", str(options.out / f"verify-{batch}-{name}.json"))
            found.append(
                Step(
                    name=f"verify {batch} {name}",
                    command=(*TRANS3DHEAD, *judge, *written),
                    needs=(build,),
                )
            )
    folders = {
        batch: [str(_bundle(options, batch) / "engines" / name) for name in chosen]
        for batch in BATCHES
    }
    builds = [step.name for step in found if step.name.startswith("build")]
    rows = ("--checkpoint", str(options.checkpoint), *threads)
    found.append(
        Step(
            name="bench",
            command=(
                *TRANS3DHEAD, "bench", "run", *(f for batch in BATCHES for f in folders[batch]),
                *rows, "--compile", "--roofline", "--stages", "--seconds", f"{options.seconds:g}",
                *_json(options, "bench"), "--html", str(options.out / "cpu-bench.html"),
            ),
            needs=tuple(builds),
            minutes=30,
        )
    )  # fmt: skip
    found.append(
        Step(
            name="modules",
            command=(
                *TRANS3DHEAD, "bench", "modules", *folders[BATCHES[0]], *rows,
                "--seconds", f"{options.seconds:g}", *_json(options, "modules"),
                "--html", str(options.out / "cpu-modules.html"),
            ),
            needs=tuple(name for name in builds if name.startswith(f"build {BATCHES[0]} ")),
            minutes=10,
        )
    )  # fmt: skip
    graph = ("bench", "graph", str(options.checkpoint), *threads, *_json(options, "graph"))
    found.append(
        Step(
            name="graph",
            command=(*TRANS3DHEAD, *graph, "--seconds", f"{5 * options.seconds:g}"),
            minutes=15,
        )
    )
    lowest = "openvino-bf16" if "openvino-bf16" in chosen else "openvino-fp32"
    video = ("bench", "video", str(_bundle(options, BATCHES[0]) / "engines" / lowest), *threads)
    found.append(
        Step(
            name="video",
            command=(*TRANS3DHEAD, *video, *_json(options, "video"), "--out", str(options.out)),
            needs=(f"build {BATCHES[0]} {lowest}",),
            minutes=15,
        )
    )
    return found


def _json(options: Options, step: str) -> tuple[str, str]:
    return "--json", str(options.out / report_name(step))


def _bundle(options: Options, batch: int) -> Path:
    return options.out / f"batch-{batch}"


def publish(out: Path, results: Path = RESULTS) -> list[Path]:
    """Put all reports among the committed results, under today's date, and drop earlier ones.

    Returns:
        The files written.

    Raises:
        UserError: a report is not there.
    """
    reports = {}
    for name in map(report_name, PUBLISHED):
        try:
            reports[name] = json.loads((out / name).read_text())
        except OSError as error:
            raise UserError(
                f"{out / name} cannot be read ({error.strerror}); expected what the steps "
                f"{', '.join(PUBLISHED)} wrote; run them"
            ) from None
    # every call of every row: megabytes that no table shows
    reports[report_name("bench")]["durations"] = []
    written = []
    for name, report in reports.items():
        for earlier in results.glob(f"*-{name}"):
            earlier.unlink()
        written.append(results / f"{time.strftime('%Y-%m-%d')}-{name}")
        write_whole(written[-1], json.dumps(report, indent=1) + "\n")
    return written


def main(options: Options) -> int:
    """Run what was asked for; 1 where a step failed."""
    ran = run_steps(steps(options), options.out, SUMMARY, options.only)
    failed = tell_failures(ran)
    # a verdict that is no pass stands in the table, beside its row
    if options.publish and all(done.code == 0 for done in ran if done.name in PUBLISHED):
        for path in publish(options.out):
            print(f"{path} written")
        fill_pages([])
    return failed


if __name__ == "__main__":
    try:
        sys.exit(main(tyro.cli(Options)))
    except UserError as error:
        sys.exit(str(error))
