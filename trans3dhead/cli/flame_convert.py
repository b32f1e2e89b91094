"""`trans3dhead flame convert`: FLAME's licensed files to a head model that holds no pickle."""

from dataclasses import dataclass
from pathlib import Path

import tyro

from engines.errors import UserError
from trans3dhead.cli.common import CommonOptions, Outcome


@dataclass(frozen=True, kw_only=True)
class Options(CommonOptions):
    """Read generic_model.pkl, its landmark embeddings and vertex subsets, and write OUT/head.npz.

    A pickle can run any program; this one is read by a list of what it may name (numpy's arrays,
    scipy's sparse matrices, chumpy's array), and anything else is refused by its name and not run.
    After that nothing is unpickled: give OUT to --head of the other commands.
    """

    model: tyro.conf.Positional[Path]
    """generic_model.pkl, from https://flame.is.tue.mpg.de."""
    out: Path
    """Folder for head.npz; it must not hold one yet."""
    assets: Path | None = None
    """Folder with flame_static_embedding.pkl, flame_dynamic_embedding.npy, head_indices.npy and
    flame_indices/{head,face}.npy, at any depth; the model's own by default."""
    name: str = "flame"
    """What contracts and checkpoints call it."""


def run(options: Options) -> Outcome:
    from trans3dhead.head.flame import FlameFiles, convert
    from trans3dhead.head.source import HEAD_FILE

    path = options.out / HEAD_FILE
    if path.exists():
        raise UserError(f"{path} exists already; expected a new folder; name another one")
    files = FlameFiles.beside(options.model, options.assets or options.model.parent)
    head = convert(files, options.name)
    head.save(path)
    print(f"{path}: {head.name}, sha256 {head.sha256}; licensed, do not pass it on")
    return Outcome(data={"file": str(path), "name": head.name, "sha256": head.sha256}, report=head)
