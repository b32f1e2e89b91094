"""`trans3dhead train`: a labelled folder, or rendered heads, to a checkpoint."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engines.errors import UserError
from trans3dhead.cli.common import CommonOptions, Outcome

if TYPE_CHECKING:
    from trans3dhead.presets import Preset
    from trans3dhead.training.checkpoint import CheckpointRecord
    from trans3dhead.training.config import TrainingConfig


@dataclass(frozen=True, kw_only=True)
class Options(CommonOptions):
    """Train a network and measure it on heads it never saw.

    Writes last.safetensors (weights, average face, the resolved configuration, the head model's
    identity, sources and versions), best.safetensors (the same of the best evaluation), log.jsonl
    (losses, rates, speed, evaluations) and pictures/ (what each evaluation saw). With a budget of
    samples the same call gives the same weights on one machine. Under torchrun several processes
    share each batch (docs/training.md).
    """

    preset: str = "paper"
    """Name of a preset; --list-presets lists them."""
    data: Path | None = None
    """Folder that holds DAD-3DHeadsDataset with the splits train and val."""
    synthetic: int | None = None
    """Instead of --data: render this many heads below --out and train on them. The checkpoint goes
    to OUT/PRESET-HASH, by the configuration's hash, and is not made twice."""
    out: Path = Path("training")
    """Folder for checkpoint and log."""
    samples: int | None = None
    """Training samples, repetitions counted; the preset's number by default."""
    minutes: float | None = None
    """Train this long instead; learning rates follow the clock."""
    seed: int = 0
    """Weights, order and crops follow from it."""
    start: Path | None = None
    """Checkpoint of the same network to go on from, on other data or for longer; its rates begin
    anew. Fresh weights by default."""
    backbone: Path | None = None
    """torchvision's file of a ResNet trained on ImageNet, such as resnet50-11ad3fa6.pth, to start
    the backbone from; fresh weights by default."""
    set: tuple[str, ...] = ()
    """Other settings of the preset's training, as NAME=VALUE: batch=64 precision=float16."""
    evaluations: int = 10
    """Times it is measured on the split val, evenly spread; the last is at the end. Changes no
    weight."""
    save_every: int = 1000
    """Steps between two states of the training in OUT/state.safetensors."""
    resume: bool = False
    """Go on where a killed training's last state was taken, with the same options; the weights
    become those of a training that nobody killed. Where there is no state, begin."""
    tensorboard: bool = False
    """Write TensorBoard's event files to OUT/tensorboard too."""
    head: Path | None = None
    """Folder of a head model; the built-in one by default."""
    device: str = "cpu"
    """torch's name of where to train, such as cuda."""
    workers: int = 0
    """Processes that read and crop images; 0 does it between the steps. Changes no result."""
    threads: int | None = None
    """CPU threads of torch; its own choice by default. On a machine with other work one thread is
    often several times faster than two, which then wait for each other."""
    check: bool = False
    """Look at every item of --data, list the broken ones, and stop; exit code 1 where there are
    any."""
    list_presets: bool = False
    """List the presets and the rows of the paper's tables they stand for, and stop."""


def run(options: Options) -> Outcome:
    if options.list_presets:
        return _list_presets()
    if options.check:
        return _check(options)
    preset = _resolve(options)

    from trans3dhead.head.source import resolve_head
    from trans3dhead.training.keeping import CHECKPOINT_FILE, Keeping
    from trans3dhead.training.run import train_folder
    from trans3dhead.training.synthetic import train_rendered
    from trans3dhead.training.world import join_world

    keeping = Keeping(
        evaluations=options.evaluations,
        save_every=options.save_every,
        resume=options.resume,
        tensorboard=options.tensorboard,
    )
    head = resolve_head(options.head)
    with _torch_threads(options.threads), join_world(options.device) as world:
        if options.data is not None:
            path = options.out / CHECKPOINT_FILE
            record = train_folder(
                preset,
                head=head,
                data=options.data,
                out=options.out,
                world=world,
                workers=options.workers,
                keeping=keeping,
            )
        else:
            assert options.synthetic is not None  # _resolve sees to it
            path, record = train_rendered(
                preset,
                head=head,
                count=options.synthetic,
                store=options.out,
                world=world,
                workers=options.workers,
                keeping=keeping,
            )
    if world.leads:
        _show(path, record)
    return Outcome(data={"checkpoint": str(path), **record.to_dict()}, report=record)


def _check(options: Options) -> Outcome:
    """List the broken items of both splits."""
    from trans3dhead.cli.terminal import rate_bar
    from trans3dhead.data.checking import check_dataset
    from trans3dhead.data.dad3dheads import HeadDataset
    from trans3dhead.head.source import resolve_head

    if options.data is None:
        raise UserError("--check came without --data; expected a labelled folder; name it")
    head, broken = resolve_head(options.head), {}
    for split in ("train", "val"):
        dataset = HeadDataset(options.data, split)
        with rate_bar(f"items of {split}", len(dataset)) as advance:
            faults = check_dataset(dataset, head, progress=advance)
        for fault in faults:
            print(f"{fault.item_id}: {'; '.join(fault.reasons)}")
        what = f"{len(faults)} of {len(dataset)} items are broken" if faults else ""
        print(f"{split}: {what or f'{len(dataset)} items are whole'}")
        broken[split] = {fault.item_id: list(fault.reasons) for fault in faults}
    return Outcome(data=broken, exit_code=1 if any(broken.values()) else 0)


@contextmanager
def _torch_threads(count: int | None) -> Iterator[None]:
    """So many threads while the block runs; those of before afterwards."""
    import torch

    if count is not None and count < 1:
        raise UserError(f"--threads is {count}; expected at least 1; give a count")
    before = torch.get_num_threads()
    torch.set_num_threads(before if count is None else count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _resolve(options: Options) -> "Preset":
    """The preset with what the options change, after the options are checked."""
    from trans3dhead.presets import preset
    from trans3dhead.training.config import changed

    if (options.data is None) == (options.synthetic is None):
        given = "neither" if options.data is None else "both"
        raise UserError(
            f"{given} of --data and --synthetic came; expected one; give a labelled folder, or how "
            "many heads to render"
        )
    if options.synthetic is not None and options.synthetic < 1:
        raise UserError(f"--synthetic is {options.synthetic}; expected at least 1; give a count")
    chosen = preset(options.preset)
    training = replace(changed(chosen.training, options.set), seed=options.seed)
    if options.samples is not None or options.minutes is not None:
        training = replace(training, samples=options.samples, minutes=options.minutes)
    for name, file, kind in (
        ("start", options.start, "a checkpoint that `trans3dhead train` wrote"),
        ("backbone", options.backbone, "torchvision's, such as resnet50-11ad3fa6.pth"),
    ):
        if file is not None:
            training = _starting(training, name, file, kind)
    return replace(chosen, training=training)


def _starting(training: "TrainingConfig", name: str, file: Path, kind: str) -> "TrainingConfig":
    """The training with a file to start from, and its digest."""
    from engines.files import sha256_of

    if not file.is_file():
        raise UserError(f"--{name} {file} is no file; expected {kind}; check the path")
    fields: dict[str, Any] = {f"{name}_file": str(file), f"{name}_sha256": sha256_of(file)}
    return replace(training, **fields)


def _show(path: Path, record: "CheckpointRecord") -> None:
    from rich.console import Console
    from rich.table import Table

    from trans3dhead.metrics import METRICS

    constant = {"nme": "average_face_nme", "pose_error": "mean_pose_error"}
    speed = record.samples_seen / record.minutes / 60
    table = Table(
        "on heads never seen",
        "this network",
        "looking at no image",
        title=f"{record.samples_seen} samples of {record.items} heads in {record.minutes:.1f} min, "
        f"{speed:.1f} images/s",
        title_justify="left",
    )
    for name, baseline in constant.items():
        if name in record.results:
            metric = METRICS[name]
            values = (metric.shown(record.results[key]) for key in (name, baseline))
            table.add_row(metric.label, *values)
    console = Console(highlight=False)
    console.print(table)
    console.print(f"checkpoint: {path}", soft_wrap=True)


def _list_presets() -> Outcome:
    from rich.console import Console
    from rich.table import Table

    from trans3dhead.presets import PRESETS

    table = Table("preset", "what it is", "rows of the paper", show_lines=True)
    presets = [make() for make in PRESETS.values()]
    for preset in presets:
        table.add_row(preset.name, preset.summary, "\n".join(preset.rows))
    Console(highlight=False).print(table)
    return Outcome(data={preset.name: list(preset.rows) for preset in presets})
