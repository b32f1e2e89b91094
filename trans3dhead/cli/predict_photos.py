"""The part of `predict` that reads photos."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from trans3dhead.cli.common import Outcome
from trans3dhead.cli.json_lines import JsonLines, photo_record
from trans3dhead.cli.terminal import rate_bar, say, wide_console

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

    from trans3dhead.cli.predict import Options
    from trans3dhead.detection import Image
    from trans3dhead.prediction import Predictor
    from trans3dhead.reading.photos import FindHeads, ReadPhoto
    from trans3dhead.reading.sources import Photos


def predict_photos(
    options: "Options",
    source: "Photos",
    kinds: Sequence[str],
    predictor: "Predictor",
    find: "FindHeads",
) -> Outcome:
    """Read every photo; exit code 1 where one failed. The report is the last `ReadPhoto`."""
    from trans3dhead.outputs import write_outputs
    from trans3dhead.reading.photos import read_photos
    from trans3dhead.reading.stages import Meter

    def finish(read: "ReadPhoto", image: "Image") -> "list[Path]":
        return write_outputs(kinds, image, read.heads, options.out / read.photo.stem)

    console, meter = wide_console(), Meter()
    total = len(source.items)
    failed = without = heads = 0
    read = None
    with (
        JsonLines(options.jsonl) as lines,
        rate_bar("photos", total) as advance,
    ):
        for read in read_photos(source.items, predictor, find, finish, meter):
            failed += bool(read.error)
            without += not read.error and not read.heads
            heads += len(read.heads)
            lines.write(photo_record(read))
            _tell(console, read, options, alone=total == 1)
            advance()
    cost = meter.cost(total)
    if total > 1:
        say(console, cost.line("photos"))
        others = f"; {source.others} other files left alone" if source.others else ""
        say(
            console,
            f"{total - failed - without} of {total} photos done with {heads} heads, {without} "
            f"without a head, {failed} failed; files in {options.out}{others}",
            style="bold red" if failed else None,
        )
    return Outcome(
        data={
            "photos": total,
            "heads": heads,
            "without_a_head": without,
            "failed": failed,
            "cost": cost.to_dict(),
        },
        exit_code=1 if failed else 0,
        report=read,
    )


def _tell(console: "Console", read: "ReadPhoto", options: "Options", *, alone: bool) -> None:
    """Failures and doubts of a photo; what was read in it where it is the only one."""
    from trans3dhead.reading.agreement import disagreement, in_doubt

    name = read.photo.name
    if read.error:
        return say(console, f"{name}: {read.error}", style="red")
    if not read.heads:
        return say(console, f"{name}: no head found; give --bbox or --boxes to say where it is")
    for head in read.heads:
        if alone:
            angles = ", ".join(f"{angle} {value:+.1f}°" for angle, value in head.pose.items())
            say(console, angles)
        if in_doubt(head, options.disagreement):
            apart = disagreement(head)
            say(
                console,
                f"{name}: landmarks and mesh disagree by {apart or 0:.1f} % of the head's size "
                f"(limit {options.disagreement:g}): is the box around the whole head?",
                style="yellow",
            )
    if alone:
        say(console, f"written: {', '.join(map(str, read.files))}")
    return None
