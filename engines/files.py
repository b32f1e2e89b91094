"""Files that are written whole or not at all, and their hashes."""

import fcntl
import glob
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from engines.errors import UserError

LEFTOVER_MARK = ".part-"
"""Every temporary name holds it, so that a later run knows what a killed one left."""

OLD_MARK = "-old"
"""Ends the name under which a replaced folder waits for its removal."""


def sha256_of(path: Path) -> str:
    """Hexadecimal sha256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_whole(path: Path, data: str | bytes) -> None:
    """Write a file under a temporary name, flush it to the disk, and rename it into place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    payload = data.encode() if isinstance(data, str) else data
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}{LEFTOVER_MARK}", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(payload)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def check_writable(path: Path) -> None:
    """Ask before long work whether `write_whole` will do.

    Raises:
        UserError: a folder has that name, or no file can be made in its folder.
    """
    if path.is_dir():
        raise UserError(f"{path} is a folder; expected the name of a file to write; add one to it")
    folder = path.absolute().parent
    while not folder.exists():
        folder = folder.parent
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        raise UserError(
            f"{path} cannot be written, {folder} is no folder or may not be written to; expected "
            "one that may; name another place"
        )


@contextmanager
def whole_folder(folder: Path, *, replace: bool = False) -> Iterator[Path]:
    """Yield an empty temporary folder that becomes `folder` when the block ends well.

    When the block raises, the temporary folder is removed and `folder` stays as it was. What an
    earlier, killed run left beside `folder` is cleared first.

    Args:
        folder: the final name.
        replace: whether an existing `folder` gives way; otherwise it is a UserError.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _lock(folder.parent):
        _clear(folder)
        if folder.exists() and not replace:
            raise UserError(f"{folder} exists already; expected a new folder; remove or rename it")
        prefix = f".{folder.name}{LEFTOVER_MARK}"
        temporary = Path(tempfile.mkdtemp(prefix=prefix, dir=folder.parent))
        alive = _lock(temporary)
    with alive:
        try:
            yield temporary
            temporary.chmod(0o755)
            _swap_in(temporary, folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def remove_leftovers(folder: Path) -> None:
    """Remove the temporary folders that killed runs left beside `folder`; running ones stay.

    A run killed between the two renames of the swap left `folder` under its "-old" name; it is
    put back.
    """
    if folder.parent.is_dir():
        with _lock(folder.parent):
            _clear(folder)


def _clear(folder: Path) -> None:
    """`remove_leftovers`, the parent being locked."""
    for leftover in folder.parent.glob(f".{glob.escape(folder.name)}{LEFTOVER_MARK}*"):
        try:
            ended = _lock(leftover, wait=False)
        except OSError:  # its run lives, or it is gone this moment, or another user's
            continue
        with ended:
            if leftover.name.endswith(OLD_MARK) and not folder.exists():
                leftover.rename(folder)
            else:
                shutil.rmtree(leftover, ignore_errors=True)


def _lock(folder: Path, *, wait: bool = True) -> ExitStack:
    """Lock a folder until the result is left, or the process has ended, however it ended.

    A number of the process would not do: in a container the next run has the same.

    Raises:
        BlockingIOError: another holds the lock, and there was no wish to wait.
    """
    with ExitStack() as stack:
        handle = os.open(folder, os.O_RDONLY)
        stack.callback(os.close, handle)
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        return stack.pop_all()


def _swap_in(temporary: Path, folder: Path) -> None:
    """Rename `temporary` to `folder`; a lock on the parent lets parallel runs pass one by one."""
    with _lock(folder.parent):
        aside = temporary.with_name(temporary.name + OLD_MARK)
        if folder.exists():
            folder.rename(aside)
        try:
            temporary.rename(folder)
        except BaseException:
            if aside.exists():
                aside.rename(folder)
            raise
        _flush(folder.parent)
        shutil.rmtree(aside, ignore_errors=True)


def _flush(folder: Path) -> None:
    """Have a folder's names written to the disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
