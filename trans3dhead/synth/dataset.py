"""A folder of rendered heads in DAD-3DHeads' layout: parallel, resumable, the same bytes each time.

An item depends on its seed, split and index alone, and every process computes with one thread, so
the bytes do not depend on the number of processes. Items are whole or absent; a later call with the
same settings keeps those that are there. The index, which readers look for, comes last.
"""

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from engines.errors import UserError
from engines.files import LEFTOVER_MARK, write_whole
from trans3dhead.data.dad3dheads import SPLITS, Annotation, index_file, split_folder
from trans3dhead.head.model import HeadModel
from trans3dhead.synth.placing import VERTEX_DECIMALS
from trans3dhead.synth.render import NOMINAL_SIZE, draw, prepare_item

STREAMS = {split: number for number, split in enumerate(SPLITS, start=1)}
"""One seed gives other heads in every split; stream 0 is left to `render_item`."""
SETTINGS_FILE = "synth.json"
RENDERER_VERSION = 1
"""Raised whenever the same seed gives other images, so that two kinds never mix in a folder."""
SIZE_RANGE = (64, 720)
"""Pixels; `photograph` has noise for nothing larger."""
_CHUNK = 16  # items a process takes at a time
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")

IndexEntry = dict[str, Any]
Progress = Callable[[int], None]


@dataclass(frozen=True, kw_only=True)
class SynthReport:
    """What `write_dataset` did."""

    folder: Path
    items: int
    rendered: int
    """Items drawn now; the others were there already."""
    seconds: float
    """Wall time of everything, starting the processes included."""
    workers: int

    @property
    def images_per_second(self) -> float | None:
        """None where nothing had to be drawn."""
        return self.rendered / self.seconds if self.rendered else None


def write_dataset(
    out: Path,
    split: str,
    count: int,
    seed: int,
    head: HeadModel,
    *,
    size: int = NOMINAL_SIZE,
    workers: int | None = None,
    progress: Progress = lambda done: None,
) -> SynthReport:
    """Render `count` heads into `out/DAD-3DHeadsDataset/split`, or finish what a call began.

    Args:
        out: the folder that will hold `DAD-3DHeadsDataset`.
        split: "train", "val" or "test"; each shows other heads.
        count: of images. More than last time adds to them.
        seed: from 0.
        head: the head model.
        size: nominal side of the images, pixels.
        workers: processes; as many as there are processors by default.
        progress: called with the number of items just finished.

    Raises:
        UserError: a setting is out of range, or the folder holds other data.
    """
    started = time.perf_counter()
    workers = len(os.sched_getaffinity(0)) if workers is None else workers
    _check_settings(split, count, seed, size, workers)
    folder = split_folder(out, split)
    _claim(folder, {"seed": seed, "size": size, "head": head.sha256, "renderer": RENDERER_VERSION})
    job = _Job(head=head, folder=folder, split=split, seed=seed, size=size)
    entries: dict[int, IndexEntry] = {}
    rendered = 0
    for chunk, drawn in _in_processes(job, count, workers):
        entries.update(chunk)
        rendered += drawn
        progress(len(chunk))
    os.sync()  # the items reach the disk before the index names them
    write_whole(index_file(out, split), json.dumps([entries[i] for i in range(count)], indent=1))
    return SynthReport(
        folder=folder,
        items=count,
        rendered=rendered,
        seconds=time.perf_counter() - started,
        workers=workers,
    )


@dataclass(frozen=True, kw_only=True)
class _Job:
    """What every process must know."""

    head: HeadModel
    folder: Path
    split: str
    seed: int
    size: int


_job: _Job
"""In a worker process: set once by `_start_worker`, so that the head travels once."""


def _start_worker(job: _Job) -> None:
    global _job  # noqa: PLW0603 - a process pool hands its workers nothing else
    _job = job
    cv2.setNumThreads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends the pool


def _render_chunk(indices: range) -> tuple[dict[int, IndexEntry], int]:
    """Entries of the index for these items, and how many had to be drawn."""
    entries, drawn = {}, 0
    for index in indices:
        entries[index], new = _write_item(_job, index)
        drawn += new
    return entries, drawn


def _write_item(job: _Job, index: int) -> tuple[IndexEntry, bool]:
    item_id = f"synth-{job.split}-{job.seed}-{index:06d}"
    image_path = job.folder / "images" / f"{item_id}.png"
    annotation_path = job.folder / "annotations" / f"{item_id}.json"
    scene, placed, rng = prepare_item(job.head, job.seed, index, job.size, STREAMS[job.split])
    missing = not (_ends_with(image_path, b"IEND\xaeB`\x82") and _ends_with(annotation_path, b"}"))
    if missing:
        image = draw(job.head, scene, placed, rng)
        _, data = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
        _put(image_path, data.tobytes())
        _put(annotation_path, annotation_json(placed.annotation).encode())
    root = job.folder.parent.parent
    entry = {
        "item_id": item_id,
        "annotation_path": annotation_path.relative_to(root).as_posix(),
        "img_path": image_path.relative_to(root).as_posix(),
        "bbox": list(placed.bbox),
        "attributes": scene.attributes,
    }
    return entry, missing


def annotation_json(annotation: Annotation) -> str:
    """An annotation as DAD-3DHeads keeps it. The vertices are rounded to `VERTEX_DECIMALS`."""
    # Whole numbers with an exponent: JSON like any other, and written five times faster.
    whole = np.rint(annotation.vertices.astype(np.float64) * 10**VERTEX_DECIMALS).astype(np.int64)
    row = ",".join([f"%de-{VERTEX_DECIMALS}"] * 3)
    rows = ",".join([f"[{row}]"] * len(whole)) % tuple(whole.ravel().tolist())
    matrices = json.dumps(
        {
            "model_view_matrix": annotation.model_view.tolist(),
            "projection_matrix": annotation.projection.tolist(),
        }
    )
    return f'{{"vertices": [{rows}], {matrices[1:]}'


def _put(path: Path, data: bytes) -> None:
    """Write an item's file under a temporary name and rename it.

    Unlike `engines.files.write_whole` it does not wait for the disk, which takes as long as
    rendering; `write_dataset` does, once, before the index is written.
    """
    temporary = path.with_name(f".{path.name}{LEFTOVER_MARK}{os.getpid()}")
    try:
        temporary.write_bytes(data)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _ends_with(path: Path, ending: bytes) -> bool:
    """Whether a file is there and whole: after a power failure it may be empty."""
    if not path.is_file() or path.stat().st_size < len(ending):
        return False
    with path.open("rb") as file:
        file.seek(-len(ending), os.SEEK_END)
        return file.read() == ending


def _check_settings(split: str, count: int, seed: int, size: int, workers: int) -> None:
    if split not in SPLITS:
        raise UserError(f"split is {split!r}; expected one of {', '.join(SPLITS)}; name one")
    low, high = SIZE_RANGE
    for name, value, good, expected in (
        ("count", count, count >= 1, "1 or more"),
        ("seed", seed, seed >= 0, "0 or more"),
        ("size", size, low <= size <= high, f"{low} to {high} pixels"),
        ("workers", workers, workers >= 1, "1 or more"),
    ):
        if not good:
            raise UserError(f"{name} is {value}; expected {expected}; change it")


def _claim(folder: Path, settings: dict[str, Any]) -> None:
    """Take the folder for data of these settings, or refuse one that holds others."""
    path = folder / SETTINGS_FILE
    if path.is_file():
        try:
            found = json.loads(path.read_bytes())
        except ValueError:
            found = None
        if found != settings:
            changed = [key for key in settings if (found or {}).get(key) != settings[key]]
            raise UserError(
                f"{folder} holds rendered heads of another {', '.join(changed)}; expected a new "
                "folder or the same settings; give another folder or remove this one"
            )
    elif folder.is_dir() and any(folder.iterdir()):
        raise UserError(
            f"{folder} holds data that synth did not write; expected a new folder; give another"
        )
    for name in ("images", "annotations"):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for leftover in (folder / name).glob(f".*{LEFTOVER_MARK}*"):  # of a killed run
            leftover.unlink()
    write_whole(path, json.dumps(settings, indent=1))


def _in_processes(
    job: _Job, count: int, workers: int
) -> Iterator[tuple[dict[int, IndexEntry], int]]:
    """Render all items in worker processes; what each chunk gave, in the order they finish."""
    chunks = [range(at, min(at + _CHUNK, count)) for at in range(0, count, _CHUNK)]
    with (
        _one_thread_each(),
        ProcessPoolExecutor(
            min(workers, len(chunks)),
            # A forked child of a process with threads may hang; a spawned one starts afresh.
            mp_context=get_context("spawn"),
            initializer=_start_worker,
            initargs=(job,),
        ) as pool,
    ):
        futures: list[Future[tuple[dict[int, IndexEntry], int]]] = [
            pool.submit(_render_chunk, chunk) for chunk in chunks
        ]
        try:
            for future in as_completed(futures):
                yield future.result()
        except BrokenProcessPool as error:
            raise UserError(
                "a process that rendered heads was ended from outside (out of memory?); expected "
                "it to finish; run the same again with fewer workers, it goes on where it stopped"
            ) from error
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Let processes started meanwhile compute with one thread.

    OpenBLAS splits a product by its number of threads, and the sums then differ in the last bit.
    """
    before = {name: os.environ.get(name) for name in _THREAD_VARIABLES}
    os.environ.update(dict.fromkeys(_THREAD_VARIABLES, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
