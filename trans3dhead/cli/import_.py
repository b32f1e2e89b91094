"""`trans3dhead import`: a foreign state_dict to a checkpoint of this project."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import tyro

from engines.errors import UserError
from trans3dhead.cli.common import CommonOptions, Outcome

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from trans3dhead.head.model import HeadModel


@dataclass(frozen=True, kw_only=True)
class Options(CommonOptions):
    """Turn a foreign network's weights into a checkpoint; no code in the file is run.

    Every tensor of the preset must be met once, in its shape, and nothing may be left over but
    what the map ignores. All that does not fit is listed at once, and then nothing is written.
    """

    state_dict: tyro.conf.Positional[Path]
    """Weights: .safetensors, or what torch.save wrote of tensors alone (.pth, .pt)."""
    out: tyro.conf.Positional[Path]
    """The checkpoint, a new .safetensors file."""
    map: Path | None = None
    """Key map in TOML, such as examples/detr_map.toml; without one the names are ours already."""
    preset: str = "paper"
    """Name of the preset whose network the weights are; a wrong one lists all names."""
    head: Path | None = None
    """Folder of the head model the network was trained with (a network that answers in FLAME's
    parameters needs FLAME); the built-in one unless given. The checkpoint records which."""
    average_face: Path | None = None
    """.npy of the average face (68 x 2, in [0, 1] of the crop), where the weights hold none."""
    data: Path | None = None
    """Instead of that: folder of the data the network was trained on, whose train split is
    averaged as the paper's Eq. 4 says."""


def run(options: Options) -> Outcome:
    from rich.console import Console

    from trans3dhead.cli.terminal import say
    from trans3dhead.head.source import resolve_head
    from trans3dhead.presets import preset
    from trans3dhead.training.importing import import_checkpoint
    from trans3dhead.training.keymap import OUR_NAMES, read_key_map

    chosen = preset(options.preset)
    head = resolve_head(options.head)
    imported = import_checkpoint(
        options.state_dict,
        options.out,
        key_map=OUR_NAMES if options.map is None else read_key_map(options.map),
        preset=chosen,
        head=head,
        average_face=_average_face(options, head, chosen.network.image_size),
    )
    console = Console(highlight=False)
    count = len(set(imported.sources.values()))
    say(
        console,
        f"{options.out}: {len(imported.tensors)} tensors of preset {chosen.name}, made of "
        f"{count} foreign ones; {len(imported.constants)} set by the map, "
        f"{len(imported.ignored)} foreign ones left out",
    )
    for name in imported.ignored:
        say(console, f"  left out: {name}")
    say(console, f"average face: {imported.average_face}; head model: {head.name}")
    return Outcome(
        data={
            "checkpoint": str(options.out),
            "preset": chosen.name,
            "head": head.name,
            "average_face": imported.average_face,
            "sources": imported.sources,
            "constants": list(imported.constants),
            "ignored": list(imported.ignored),
        },
        report=imported,
    )


def _average_face(options: Options, head: "HeadModel", size: int) -> "NDArray[np.float32] | None":
    """The average face that was given, or None to take it from the weights."""
    if options.average_face is not None and options.data is not None:
        raise UserError("--average-face and --data came; expected one of them; leave the other out")
    if options.average_face is not None:
        from trans3dhead.training.importing import read_average_face

        return read_average_face(options.average_face)
    if options.data is not None:
        from trans3dhead.data.dad3dheads import HeadDataset
        from trans3dhead.training.average_face import average_face
        from trans3dhead.training.labels import read_labels
        from trans3dhead.training.run import TRAIN_SPLIT

        return average_face(read_labels(HeadDataset(options.data, TRAIN_SPLIT), head), size)
    return None
