"""The CPU table in one go: `make bench-cpu CHECKPOINT=full.safetensors`.

`python -m benchmarks.cpu_check CHECKPOINT` exports the checkpoint at each batch size, builds every
engine this CPU can run, judges each by `verify`, times all of them and PyTorch interleaved in one
run, records where the time goes, times the deployed graph beside its backbone and a plain export,
and predicts in video. What is measured lies in --out, with a log of each step. With --publish the
reports of the last four steps and the verdicts on what is rounded at batch 1 go to
`benchmarks/results` too, in the place of earlier ones of their kind, and the tables of README and
docs are made from them. Run it on a machine that does nothing else; exit code 1 where a step
failed.
"""

import json
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from benchmarks.report.committed import RESULTS
from benchmarks.report.committed import main as fill_pages
from benchmarks.steps import TRANS3DHEAD, Step, run_steps, tell_failures
from engines.errors import UserError
from engines.files import write_whole
from engines.machine import instruction_sets

SUMMARY = "bench-cpu.json"
MEASURED = ("bench", "modules", "graph", "video")
"""Steps whose reports are published."""
FINDINGS = {("video", 1)}
"""Steps and exit codes that say what was found, of the checkpoint, and not that it was measured
wrongly: a head that trembles or is lost stands in the table, as a verdict that is no pass does."""
BATCHES = (1, 4, 16)
BF16, INT8 = "openvino-bf16", "openvino-int8-backbone"
"""Engines whose accuracy at batch 1 is published as well: what rounding costs."""
PARITY = "parity"
"""The report of their verdicts."""
SUBJECT = ("runtime", "runtime_version", "recipe", "precision", "checkpoint_sha256")
"""What a published verdict tells of whom it judged; the rest names folders of this machine."""
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
    seconds: float = 10.0
    """Counted seconds for each row."""
    count: int = 512
    """Reference images that parity is judged by."""
    heads: int = 2048
    """Drawn heads in their place for what is published of rounding, at batch 1: a percentile that
    comes near to its margin is open on fewer."""
    only: tuple[str, ...] = ()
    """Run these steps alone; what they need must be in --out already."""
    publish: bool = False
    """Put the reports into benchmarks/results, and make the pages' tables from them. All of them
    must be of this run: under one date stands what one run found."""
    machine: str = "cpu"
    """Word for this machine in the published files' names: they take the place of earlier ones of
    that word alone, so that another machine's stand beside them."""


def report_name(step: str) -> str:
    """File of a step's report."""
    return f"cpu-{step}.json"


def engines() -> dict[str, tuple[str, str]]:
    """Names to runtime and recipe, of those that this CPU can run."""
    found = {
        "onnxruntime-fp32": ("onnxruntime", "fp32"),
        "openvino-fp32": ("openvino", "fp32"),
        BF16: ("openvino", "bf16"),
        INT8: ("openvino", "int8-backbone"),
    }
    if not BFLOAT16.intersection(instruction_sets()):
        del found[BF16]
    return found


def published_engines() -> tuple[str, ...]:
    """Those whose accuracy at batch 1 is published."""
    return tuple(name for name in (BF16, INT8) if name in engines())


def steps(options: Options) -> list[Step]:
    """All steps, in order."""
    return [*_preparations(options), *_measurements(options)]


def _preparations(options: Options) -> list[Step]:
    """Bundles, engines and verdicts."""
    chosen, checkpoint = engines(), str(options.checkpoint)
    recipes = dict.fromkeys(recipe for _, recipe in chosen.values())
    folder, heads = str(options.out / "heads"), str(options.heads)
    found = [_step("heads", "synth", folder, "--split", "test", "--count", heads, minutes=15)]
    asked_anew = ("--checkpoint", checkpoint, "--data", folder, "--split", "test")
    for batch in BATCHES:
        export, bundle = f"export {batch}", str(options.out / f"batch-{batch}")
        numbers = ("--batch", str(batch), "--count", str(options.count))
        words = ("export", checkpoint, bundle, "--recipes", *recipes, *numbers)
        found.append(_step(export, *words, minutes=15))
        for name, (runtime, recipe) in chosen.items():
            build, verify = f"build {batch} {name}", f"verify {batch} {name}"
            longer = batch == 1 and name in published_engines()
            words = ("--runtime", runtime, "--recipe", recipe, "--name", name)
            found.append(_step(build, "build", bundle, *words, needs=(export,)))
            found.append(
                _step(
                    verify,
                    *("verify", _engine(options, batch, name), *_threads(options)),
                    *("--json", str(options.out / f"{verify.replace(' ', '-')}.json")),
                    *(asked_anew if longer else ()),
                    needs=(build, "heads") if longer else (build,),
                    minutes=60 if longer else 5,
                )
            )
    return found


def _measurements(options: Options) -> list[Step]:
    """What wants a machine that does nothing else: the steps of MEASURED."""
    chosen, checkpoint = engines(), str(options.checkpoint)
    every = [(batch, name) for batch in BATCHES for name in chosen]
    single = [(1, name) for name in chosen]
    seconds = f"{options.seconds:g}"
    lowest = BF16 if BF16 in chosen else "openvino-fp32"

    def measured(step: str, *words: str, of: list[tuple[int, str]], minutes: float) -> Step:
        report = ("--json", str(options.out / report_name(step)))
        folders = [_engine(options, batch, name) for batch, name in of]
        return _step(
            step,
            *("bench", "run" if step == "bench" else step, *folders, *words),
            *(*_threads(options), *report),
            needs=tuple(f"build {batch} {name}" for batch, name in of),
            minutes=minutes,
        )

    def page(step: str) -> tuple[str, str]:
        return "--html", str(options.out / f"cpu-{step}.html")

    rows = ("--checkpoint", checkpoint, "--seconds", seconds)
    told = ("--compile", "--roofline", "--stages")
    longer = ("--seconds", f"{2.5 * options.seconds:g}")
    clips = ("--out", str(options.out))
    return [
        measured("bench", *rows, *told, *page("bench"), of=every, minutes=60),
        measured("modules", *rows, *page("modules"), of=single, minutes=10),
        measured("graph", checkpoint, *longer, of=[], minutes=15),
        measured("video", *clips, of=[(1, lowest)], minutes=15),
    ]


def _step(name: str, *words: str, needs: tuple[str, ...] = (), minutes: float = 5) -> Step:
    return Step(name=name, command=(*TRANS3DHEAD, *words), needs=needs, minutes=minutes)


def _threads(options: Options) -> tuple[str, str]:
    return "--threads", str(options.threads)


def _engine(options: Options, batch: int, name: str) -> str:
    return str(options.out / f"batch-{batch}" / "engines" / name)


def publish(out: Path, results: Path = RESULTS, *, machine: str = "cpu") -> list[Path]:
    """Put all reports among the committed results, under today's date, and drop earlier ones of
    that machine.

    Returns:
        The files written.

    Raises:
        UserError: a report is not there.
    """
    reports = {step: _read(out / report_name(step)) for step in MEASURED}
    bench = reports["bench"]
    # every call of every row: megabytes that no table shows
    bench["durations"] = []
    for run in reports["video"]["runs"]:
        run["video"] = Path(run["video"]).name  # a folder of this machine
    reports[PARITY] = {
        "verified": [
            _verdict(_read(out / f"verify-1-{name}.json")) for name in published_engines()
        ],
        "before": bench["before"],
        "disturbed": None,
    }
    written = []
    for step, report in reports.items():
        for earlier in results.glob(f"*-{machine}-{step}.json"):
            earlier.unlink()
        written.append(results / f"{time.strftime('%Y-%m-%d')}-{machine}-{step}.json")
        write_whole(written[-1], json.dumps(report, indent=1) + "\n")
    return written


def _read(path: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(path.read_text())
    except OSError as error:
        raise UserError(
            f"{path} cannot be read ({error.strerror}); expected what an earlier step wrote; "
            "run all steps"
        ) from None
    return found


def _verdict(report: dict[str, Any]) -> dict[str, Any]:
    """What a table shows of it: neither the evidence, image by image, nor any folder."""
    kept = ("schema", "verdict", "images", "gates", "metrics")
    subject = {key: report["subject"][key] for key in SUBJECT}
    return {key: report[key] for key in kept} | {"subject": subject}


def main(options: Options) -> int:
    """Run what was asked for; 1 where a step failed."""
    ran = run_steps(steps(options), options.out, SUMMARY, options.only)
    failed = tell_failures(ran)
    measured = {done.name for done in ran if done.code == 0 or (done.name, done.code) in FINDINGS}
    if not options.publish:
        return failed
    if missing := [step for step in MEASURED if step not in measured]:
        print(f"nothing published: {', '.join(missing)} did not run to the end in this run")
        return 1
    for path in publish(options.out, machine=options.machine):
        print(f"{path} written")
    fill_pages([])
    return failed


if __name__ == "__main__":
    try:
        sys.exit(main(tyro.cli(Options)))
    except UserError as error:
        sys.exit(str(error))
