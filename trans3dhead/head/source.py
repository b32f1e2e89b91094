"""Which head model a command works with: the built-in one, or the user's own folder."""

from pathlib import Path

from engines.errors import UserError
from trans3dhead.head.builtin import builtin_head
from trans3dhead.head.model import HeadModel

HEAD_FILE = "head.npz"


def resolve_head(folder: Path | None) -> HeadModel:
    """The head model in `folder` (its head.npz), or the built-in one where there is no folder."""
    if folder is None:
        return builtin_head()
    if not (folder / HEAD_FILE).is_file():
        raise UserError(
            f"{folder} holds no {HEAD_FILE}; expected a folder with a converted head model; "
            "convert one, or leave the option out for the built-in head"
        )
    return HeadModel.load(folder / HEAD_FILE)


def head_by_identity(name: str, sha256: str, folder: Path | None) -> HeadModel:
    """The head model in `folder`, or the built-in one, if it is the one that was recorded.

    Args:
        name: its name in the checkpoint or bundle that needs it.
        sha256: its `HeadModel.sha256` there.
    """
    head = resolve_head(folder)
    if head.sha256 != sha256:
        raise UserError(
            f"head model {head.name!r} ({head.sha256[:12]}) came; expected {name!r} "
            f"({sha256[:12]}); give the folder of the head model this was made with"
        )
    return head
