"""`trans3dhead demo`: every command of the main job, one after another, and a report of it all."""

import shlex
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from trans3dhead.cli.common import CommonOptions, Outcome, Step

MARK = ".trans3dhead-demo"
"""Tells a folder that a demo may clear from one that holds somebody's work."""
HELD_OUT = 100
"""Heads that training never sees."""
SHOWN = 6
"""Heads in the report's pictures."""


@dataclass(frozen=True, kw_only=True)
class Options(CommonOptions):
    """The main job on the built-in head, as one would type it command by command.

    Renders heads, trains the tiny network, exports it, builds the engines this machine can build,
    verifies them against PyTorch, measures their speed, reads some heads, and writes
    OUT/report.html. Exit code 1 if an engine fails its parity gates.
    """

    out: Path = Path("demo")
    """Folder for everything; an earlier demo in it is replaced."""
    heads: int = 600
    """Rendered heads to train on."""
    samples: int = 4800
    """Crops to train on: each head is seen samples / heads times."""


class Steps:
    """Runs commands, shows them, and keeps what they found."""

    def __init__(self) -> None:
        from rich.console import Console

        self.console = Console()
        self.done: list[Step] = []

    def __call__(self, name: str, *words: object) -> Outcome:
        """Run a command that the demo cannot go on without."""
        outcome = self._run(name, words, optional=False).outcome
        assert outcome is not None
        return outcome

    def attempt(self, name: str, *words: object) -> Step:
        """Run a command that this machine may be unable to do."""
        return self._run(name, words, optional=True)

    def _run(self, name: str, words: tuple[object, ...], *, optional: bool) -> Step:
        from engines.errors import UserError
        from trans3dhead.cli.main import execute

        typed = [str(word) for word in words]
        command = f"trans3dhead {name} {shlex.join(typed)}"
        self.console.print(f"\n[bold]$ {command}[/bold]", highlight=False, soft_wrap=True)
        start = time.perf_counter()
        outcome, refusal = None, ""
        try:
            outcome = execute(name, typed)
        except UserError as error:
            if not optional:
                raise
            refusal = str(error)
            self.console.print(f"not here: {refusal}", markup=False, highlight=False)
        seconds = time.perf_counter() - start
        step = Step(command=command, seconds=seconds, outcome=outcome, refusal=refusal)
        self.done.append(step)
        return step


def run(options: Options) -> Outcome:
    import cv2

    from engines.files import write_whole
    from trans3dhead.cli.demo_report import Story, picture, report

    start = time.perf_counter()
    folder = _fresh(options.out)
    steps = Steps()
    heads, training, mesh, params = (folder / n for n in ("heads", "training", "mesh", "params"))
    checkpoint = training / "last.safetensors"

    steps("describe", "--preset", "tiny")
    steps("synth", heads, "--count", options.heads, "--seed", 1)
    steps("synth", heads, "--count", HELD_OUT, "--seed", 1, "--split", "val")
    # The tiny network's products are too small to share: two threads gain little on a free machine
    # and lose much on a busy one.
    how = ("--preset", "tiny", "--samples", options.samples, "--threads", 1, "--evaluations", 1)
    steps("train", "--data", heads, *how, "--out", training)
    evaluation = steps("evaluate", checkpoint, "--data", heads, "--split", "val").report
    for bundle, variant in ((mesh, "mesh"), (params, "params")):
        steps("export", checkpoint, bundle, "--variant", variant, "--reference", heads)
    built = [
        steps.attempt("build", bundle, "--runtime", runtime, "--recipe", recipe)
        for bundle, runtime, recipe in (
            (mesh, "onnxruntime", "fp32"),
            (mesh, "onnxruntime", "fp16"),
            (params, "onnxruntime", "fp32"),
            (mesh, "openvino", "fp32"),
            (mesh, "tensorrt-rtx", "fp16"),
            (mesh, "tensorrt", "fp16"),
        )
    ]
    names = ("onnxruntime-fp32", "onnxruntime-fp16", "openvino-fp32")
    full, half, other = (mesh / "engines" / name for name in names)
    verified = [steps("verify", engine).report for engine in (full, half, other)]
    rows = (full, params / "engines" / "onnxruntime-fp32", other)
    brief = ("--batch", 1, "--seconds", 2)
    bench = steps("bench run", *rows, "--checkpoint", checkpoint, *brief).report
    read = []
    for image, bbox in _some_heads(heads):
        words = (image, "--engine", full, "--bbox", *bbox, "--out", folder / "read")
        photo = steps("predict", *words).report
        read.append((image, photo.image, photo.heads[0]))

    story = Story(
        evaluation=evaluation,
        read=tuple(read),
        built=tuple(built),
        verified=tuple(verified),
        bench=bench,
        steps=tuple(steps.done),
        seconds=time.perf_counter() - start,
    )
    path = folder / "report.html"
    write_whole(path, report(story))
    heads_png = cv2.imencode(".png", cv2.cvtColor(picture(story), cv2.COLOR_RGB2BGR))[1]
    write_whole(folder / "heads.png", heads_png.tobytes())
    steps.console.print(f"\n{story.headline}", highlight=False)
    steps.console.print(f"[bold]open {path}[/bold]", highlight=False, soft_wrap=True)
    return Outcome(
        data=story.to_dict() | {"report": str(path)},
        exit_code=0 if story.passed else 1,
        report=story,
    )


def _fresh(folder: Path) -> Path:
    """An empty folder, cleared only where an earlier demo made it."""
    from engines.errors import UserError

    if folder.exists():
        if not (folder / MARK).is_file():
            raise UserError(
                f"{folder} exists and no demo made it; expected a new folder or an earlier "
                "demo's; name another with --out"
            )
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    (folder / MARK).touch()
    return folder


def _some_heads(heads: Path) -> list[tuple[Path, tuple[int, ...]]]:
    """Image and box of the first heads that training did not see."""
    from trans3dhead.data.dad3dheads import HeadDataset

    items = HeadDataset(heads, "val").items[:SHOWN]
    return [(item.image_path, tuple(round(side) for side in item.bbox)) for item in items]
