"""`trans3dhead bench video`: how fast and how steady is predicting in video?"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tyro

from trans3dhead.cli.common import CommonOptions, Outcome, one_blas_thread

if TYPE_CHECKING:
    from trans3dhead.data.crop import BBox
    from trans3dhead.reading.steadiness import Points
    from trans3dhead.synth.clip import Clip

SCHEMA = 1
"""Of `benchmarks/throughput/video.schema.json`."""
JITTER_LIMIT = 0.3
"""Pixels of the 720p video: below it a still head looks still with the filter (issue 8)."""
OVERLAP_GOAL = 0.85
"""Share of (cores / CPU seconds a frame) that overlapping stages should reach (issue 8)."""
NAMES = ("still", "moving")
KEYS = {"mesh": "mesh_landmarks_xy_pixels", "landmarks": "landmarks_xy_pixels"}
"""Kinds of points to their key in the JSON lines. A single-task network has no landmarks."""


@dataclass(frozen=True, kw_only=True)
class Options(CommonOptions):
    """Film a rendered head in 720p, still and moving, and run `predict` on both as a person would.

    Every run decodes, follows, draws and writes a video, without and with the filter. The table
    tells frames a second, how near that is to what the cores allow, and how far the landmarks
    tremble and are off the truth, over the frames in which the head was followed under its first
    number. Exit code 1 where a still head trembles by 0.3 pixels or more with the filter, or a head
    was lost. On a machine that is busy otherwise the frames a second say little.
    """

    engine: tyro.conf.Positional[Path]
    """Engine folder, BUNDLE/engines/NAME, of a trained network."""
    seconds: float = 10.0
    """Of each video, 30 frames a second."""
    out: Path = Path("video-bench")
    """Folder for the videos, read and written."""
    head: Path | None = None
    """Folder of the head model, where the bundle does not bring it."""
    threads: int | None = None
    """CPU threads of the engine; the runtime's own choice by default."""


def run(options: Options) -> Outcome:
    one_blas_thread()

    from benchmarks.report.video_table import video_table
    from benchmarks.throughput.checks import check_durations
    from benchmarks.throughput.machine import look
    from benchmarks.throughput.watch import watch
    from engines.errors import UserError
    from trans3dhead.cli.terminal import say, wide_console
    from trans3dhead.synth.clip import Clip

    check_durations(seconds=options.seconds)
    clips = {name: Clip(moving=name == "moving", seconds=options.seconds) for name in NAMES}
    shown = clips["still"]
    if shown.frames < 2:
        raise UserError(f"--seconds {options.seconds:g} came; expected two frames at least, 0.07")
    before, runs = look(), []
    with watch() as watcher:
        for name, clip in clips.items():
            path = options.out / f"{name}.avi"
            first, truth = film(path, clip)
            for smooth in (False, True):
                filtered = "One-Euro" if smooth else "none"
                found = predicted(options, path, first, truth, smooth=smooth)
                runs.append({**found, "clip": name, "filter": filtered})
    (still,) = (row for row in runs if row["clip"] == "still" and row["filter"] != "none")
    lost = [row for row in runs if row["followed"] < row["frames"]]
    steady = still["followed"] == still["frames"] and all(
        still[kind]["jitter"] < JITTER_LIMIT for kind in KEYS if kind in still
    )
    data = {
        "schema": SCHEMA,
        "engine": options.engine.absolute().name,
        "clip": {"frames": shown.frames, "width": shown.width, "height": shown.height},
        "runs": runs,
        "steady": steady,
        "jitter_limit_pixels": JITTER_LIMIT,
        "threads": options.threads,
        "before": asdict(before),
        "disturbed": watcher.watched().disturbed,
    }
    console = wide_console()
    console.print(video_table(data).rich())
    shares = [row["cost"]["share_of_ceiling"] for row in runs]
    say(
        console,
        f"a still head with the filter trembles by less than {JITTER_LIMIT} px: "
        f"{'yes' if steady else 'no'}; of what the cores allow {min(shares):.0%} to "
        f"{max(shares):.0%} was reached (goal {OVERLAP_GOAL:.0%})",
        style=None if steady else "bold red",
    )
    for row in lost:
        say(
            console,
            f"the head of the {row['clip']} clip was lost in frame {row['followed']} of "
            f"{row['frames']} (filter: {row['filter']}); expected an engine that follows it; train "
            "its network for longer",
            style="bold red",
        )
    if data["disturbed"]:
        say(console, f"disturbed: {data['disturbed']}", "yellow")
    return Outcome(data=data, exit_code=0 if steady and not lost else 1)


def film(path: Path, clip: "Clip") -> "tuple[BBox, Points]":
    """Write a clip as MJPG, and tell the head's first box and its landmarks [F, 68, 2]."""
    import numpy as np

    from trans3dhead.cli.terminal import rate_bar
    from trans3dhead.head.builtin import builtin_head
    from trans3dhead.reading.video_file import VideoFile
    from trans3dhead.synth.clip import render_clip

    truth, boxes = [], []
    with VideoFile(path, clip.rate) as video, rate_bar("frames drawn", clip.frames) as advance:
        for frame in render_clip(builtin_head(), clip):
            video.write(frame.image)
            truth.append(frame.landmarks)
            boxes.append(frame.bbox)
            advance()
    return boxes[0], np.stack(truth)


def predicted(
    options: Options, path: Path, first: "BBox", truth: "Points", *, smooth: bool
) -> dict[str, Any]:
    """One run of `predict` on a clip: its cost, how many frames the head was followed for, and how
    steady and right each kind of its points is in them, where there are two frames at least."""
    from trans3dhead.cli import predict
    from trans3dhead.reading.steadiness import points_of, steadiness

    name = f"{path.stem}-{'filtered' if smooth else 'raw'}"
    lines = options.out / f"{name}.jsonl"
    outcome = predict.run(
        predict.Options(
            input=str(path),
            engine=options.engine,
            head=options.head,
            threads=options.threads,
            bbox=first,
            smooth=smooth,
            out=options.out,
            video=options.out / f"{name}.mp4",
            jsonl=lines,
        )
    )
    points = {kind: points_of(lines, key) for kind, key in KEYS.items()}
    # a track that ends never comes back, so its frames are the first ones
    found = {
        kind: asdict(steadiness(those, truth[: len(those)]))
        for kind, those in points.items()
        if len(those) > 1
    }
    return {**outcome.data, "followed": len(points["mesh"]), **found}
