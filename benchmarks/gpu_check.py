"""What only a machine with an NVIDIA GPU can show, in one go: `make gpu-check`.

`python -m benchmarks.gpu_check` runs the steps below one after the other, each as a process of its
own with a time limit. A step that fails stops only those that need it. Whatever is there at the end
lies in --out: a log of each step, what it wrote, and `gpu-check.json`, which sums up. Exit code 1
where a step failed; a runtime that is not installed is left out, and said to be.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import tyro

from benchmarks.steps import TRANS3DHEAD, Step, run_steps, tell_failures

SUMMARY = "gpu-check.json"
LARGEST = 128
"""Images a call, of the engines that take several."""
BATCHES = ("16", "64", str(LARGEST))
PRESET = "paper-gpu"
HELD_OUT = 200
"""Rendered heads that the checkpoint is measured on."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """Run everything that needs a GPU, and gather the results."""

    out: Path = Path("build/gpu-check")
    """Folder for logs and results."""
    checkpoint: Path | None = None
    """A trained full-size checkpoint; one is trained here unless given."""
    minutes: float = 5.0
    """How long that training takes."""
    workers: int = 8
    """Processes that make its crops."""
    heads: int = 6000
    """Heads rendered for it."""
    seconds: float = 5.0
    """Counted seconds for each row of the benchmark."""
    only: tuple[str, ...] = ()
    """Run these steps alone; what they need must be in --out already."""


def installed() -> dict[str, tuple[str, ...]]:
    """Engines' names to what `build` is told for them, of the runtimes that are here."""
    found: dict[str, tuple[str, ...]] = {}
    if find_spec("onnxruntime"):
        import onnxruntime

        if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
            found["onnxruntime-cuda"] = ("--runtime", "onnxruntime", "--provider", "cuda")
    for module, runtime in (("tensorrt", "tensorrt"), ("tensorrt_rtx", "tensorrt-rtx")):
        if find_spec(module):
            found[runtime] = ("--runtime", runtime)
    return found


def steps(options: Options, runtimes: dict[str, tuple[str, ...]]) -> list[Step]:
    """All steps, in order."""
    out = options.out
    found = [
        Step(name="tests", command=(sys.executable, "-m", "pytest", "-m", "gpu", "-q", "tests")),
        Step(name="doctor", command=(*TRANS3DHEAD, "doctor", "--json", str(out / "doctor.json"))),
    ]
    checkpoint = options.checkpoint
    trained: tuple[str, ...] = ()
    if checkpoint is None:
        checkpoint, trained = out / "training" / "last.safetensors", ("train",)
        found += _training(options)
    bundles = {"one": ("--batch", "1"), "many": ("--batch", "dynamic")}
    for bundle, batch in bundles.items():
        command = (*TRANS3DHEAD, "export", str(checkpoint), str(out / bundle), *batch)
        found.append(Step(name=f"export {bundle}", command=command, needs=trained))
    engines: dict[str, list[str]] = {bundle: [] for bundle in bundles}
    for bundle in bundles:
        for runtime, words in runtimes.items():
            for recipe in ("fp32", "fp16"):
                name = f"{runtime}-{recipe}"
                engines[bundle].append(str(out / bundle / "engines" / name))
                found += _engine(out, bundle, name, (*words, "--recipe", recipe))
    rows = ("--checkpoint", str(checkpoint), "--checkpoint-device", "cuda")
    eager = (*rows, "--checkpoint-precision", "float32", "tf32", "float16")
    found += [
        _bench(options, "bench one", (*engines["one"], *eager, "--batch", "1")),
        _bench(options, "bench many", (*engines["many"], *eager, "--batch", *BATCHES)),
        _bench(
            options,
            "bench compiled",
            (*rows, "--checkpoint-precision", "float16", "--compile", "--batch", "1", "64"),
        ),
        Step(
            name="layer limit",
            command=(
                sys.executable,
                "-m",
                "benchmarks.throughput.layer_limit",
                str(out / "layer-limit.json"),
            ),
        ),
    ]
    return found


def _training(options: Options) -> list[Step]:
    heads = str(options.out / "heads")
    counts = {"train": options.heads, "val": HELD_OUT}
    rendering = [
        Step(
            name=f"heads {split}",
            command=(*TRANS3DHEAD, "synth", heads, "--split", split, "--count", str(count)),
        )
        for split, count in counts.items()
    ]
    command = (
        *TRANS3DHEAD, "train", "--preset", PRESET, "--data", heads,
        "--minutes", f"{options.minutes:g}", "--device", "cuda",
        "--workers", str(options.workers), "--out", str(options.out / "training"),
        "--json", str(options.out / "train.json"),
    )  # fmt: skip
    needs = tuple(step.name for step in rendering)
    return [
        *rendering,
        Step(name="train", command=command, needs=needs, minutes=3 + 1.5 * options.minutes),
    ]


def _engine(out: Path, bundle: str, name: str, words: Sequence[str]) -> list[Step]:
    """Build one and judge it. The benchmark takes it whatever the verdict, which stands beside."""
    folder = out / bundle
    batch = ("--batch", f"1,64,{LARGEST}") if bundle == "many" else ()
    build = f"build {bundle} {name}"
    return [
        Step(
            name=build,
            command=(*TRANS3DHEAD, "build", str(folder), *words, "--name", name, *batch),
            needs=(f"export {bundle}",),
        ),
        Step(
            name=f"verify {bundle} {name}",
            command=(
                *TRANS3DHEAD, "verify", str(folder / "engines" / name),
                "--json", str(out / f"verify-{bundle}-{name}.json"),
            ),
            needs=(build,),
        ),
    ]  # fmt: skip


def _bench(options: Options, name: str, words: Sequence[str]) -> Step:
    file = options.out / f"{name.replace(' ', '-')}.json"
    command = (*TRANS3DHEAD, "bench", "run", *words, "--seconds", f"{options.seconds:g}")
    return Step(name=name, command=(*command, "--roofline", "--json", str(file)))


def main(options: Options) -> int:
    """Run what was asked for; 1 where a step failed."""
    runtimes = installed()
    print(f"runtimes that are here: {', '.join(runtimes) or 'none'}")
    ran = run_steps(steps(options, runtimes), options.out, SUMMARY, options.only)
    return tell_failures(ran)


if __name__ == "__main__":
    sys.exit(main(tyro.cli(Options)))
