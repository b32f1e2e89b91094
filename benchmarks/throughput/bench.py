"""`bench run`: open the rows, look at the machine, time them, sum up."""

from collections.abc import Sequence
from pathlib import Path

from benchmarks.throughput.ceilings import find_ceilings
from benchmarks.throughput.checks import check_durations
from benchmarks.throughput.machine import look
from benchmarks.throughput.measure import Progress, measure
from benchmarks.throughput.null_engine import null_row
from benchmarks.throughput.pipeline import Photo
from benchmarks.throughput.results import BenchReport, summarise
from benchmarks.throughput.rows import open_rows
from benchmarks.throughput.stages import measure_stages
from benchmarks.throughput.sustained import sustain
from benchmarks.throughput.watch import watch

SECONDS = 5.0


def bench(
    engines: Sequence[Path],
    *,
    foreign: Sequence[tuple[Path, Path]] = (),
    checkpoints: Sequence[Path] = (),
    compiled: bool = False,
    device: str = "cpu",
    precisions: Sequence[str] = ("float32",),
    head: Path | None = None,
    batches: Sequence[int] | None = None,
    in_flight: Sequence[int] = (1,),
    seconds: float = SECONDS,
    threads: int | None = None,
    sustained: float | None = None,
    photo: Photo | None = None,
    without_graphs: bool = False,
    roofline: bool = False,
    progress: Progress = lambda stage, done, total: None,
) -> BenchReport:
    """Time engines, peers' files and checkpoints in PyTorch, side by side in one run.

    Args:
        engines, foreign, checkpoints, compiled, device, precisions, head, batches, in_flight,
            threads, photo, without_graphs: see `rows.open_rows`.
        seconds: of counted calls for each row.
        sustained: seconds of one long visit to each row after the rounds; none where None.
        photo: what whole predictions are made of, stage by stage; none where None.
        roofline: whether to measure what the machine can do at most, among the rows.

    Raises:
        UserError: nothing to time, or something that cannot be.
    """
    check_durations(seconds=seconds, sustained=sustained)
    before = look()
    with open_rows(
        engines,
        foreign=foreign,
        checkpoints=checkpoints,
        compiled=compiled,
        device=device,
        precisions=precisions,
        head=head,
        batches=batches,
        in_flight=in_flight,
        threads=threads,
        photo=photo,
        without_graphs=without_graphs,
    ) as rows:
        contenders = find_ceilings(rows, threads) if roofline else []
        with watch() as watcher:
            session = measure(
                rows,
                null_row(),
                ceilings=[contender.row(threads) for contender in contenders],
                seconds=seconds,
                progress=progress,
            )
            long = (
                sustain(rows, seconds=sustained, progress=progress) if sustained is not None else ()
            )
            staged = measure_stages(rows, seconds=seconds, progress=progress) if photo else ()
    return summarise(
        session,
        before,
        look(),
        contenders,
        watched=watcher.watched(),
        sustained=long,
        staged=staged,
        photo=None if photo is None else photo.describe(),
    )
