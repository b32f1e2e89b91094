"""The part of `predict` that reads a video or a camera."""

import itertools
from collections.abc import Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

from trans3dhead.cli.common import Outcome
from trans3dhead.cli.json_lines import JsonLines, frame_record
from trans3dhead.cli.terminal import rate_bar, say, wide_console

if TYPE_CHECKING:
    import numpy as np

    from trans3dhead.cli.predict import Options
    from trans3dhead.data.crop import BBox
    from trans3dhead.prediction import Predictor
    from trans3dhead.reading.sources import Video
    from trans3dhead.reading.videos import Frame

LITTLE_MISSING = 0.98
"""Headers count frames roughly; a video that has fewer than this share of them was cut short."""


def predict_video(  # noqa: PLR0915 - one pipeline, from its reader to its report
    options: "Options",
    source: "Video",
    kinds: Sequence[str],
    *,
    predictor: "Predictor",
    first: "Sequence[BBox]",
) -> Outcome:
    """Read a video's frames and write what they show as a video.

    Args:
        first: boxes of the first frame's heads; the detector's where there are none.

    Raises:
        UserError: the video cannot be read, or not a single frame of it.
    """
    from engines.errors import UserError
    from trans3dhead.outputs import OUTPUT_KINDS, draw_outputs, write_outputs
    from trans3dhead.reading.smoothing import Smoother
    from trans3dhead.reading.stages import Meter, cores, ordered_map
    from trans3dhead.reading.tracking import HeadTracker
    from trans3dhead.reading.video_file import VideoFile, check_video_name
    from trans3dhead.reading.videos import VideoReader, read_video, timed

    drawn_kinds = [kind for kind in kinds if OUTPUT_KINDS[kind.partition(":")[0]].paint]
    file_kinds = [kind for kind in kinds if kind not in drawn_kinds]
    path = options.video or options.out / f"{source.stem}-drawn.mp4"
    check_video_name(path)
    meter = Meter()

    def draw(frame: "Frame") -> "tuple[Frame, np.ndarray]":
        heads = [followed.head for followed in frame.heads]
        with meter("draw"):
            drawn = draw_outputs(drawn_kinds, frame.image, heads) if drawn_kinds else frame.image
        if file_kinds and heads:
            with meter("write"):
                stem = options.out / source.stem / f"{frame.index:06d}"
                write_outputs(file_kinds, frame.image, heads, stem)
        return frame, drawn

    done = heads = doubtful = 0
    with ExitStack() as stack:
        reader = stack.enter_context(VideoReader(source))
        tracker = HeadTracker(
            timed(predictor.detect, meter),
            first=first,
            interval=max(round(reader.rate), 1),
            patience=max(round(reader.rate / 2), 1),
            limit=options.disagreement,
        )
        smoother = Smoother(1 / reader.rate) if options.smooth else None
        images = itertools.islice(reader.frames(meter), options.frames)
        frames = read_video(images, predictor, tracker, smoother, meter)
        results = ordered_map(draw, frames, workers=cores(), depth=2 * cores())
        lines = stack.enter_context(JsonLines(options.jsonl))
        written = stack.enter_context(VideoFile(path, reader.rate)) if drawn_kinds else None
        advance = stack.enter_context(rate_bar("frames", options.frames or reader.count))
        try:
            for frame, drawn in results:
                if written is not None:
                    with meter("encode"):
                        written.write(drawn)
                with meter("write"):
                    lines.write(frame_record(source.name, frame, reader.rate))
                done += 1
                heads += len(frame.heads)
                doubtful += any(followed.doubt for followed in frame.heads)
                advance()
        except KeyboardInterrupt:
            # A camera has no other end: what is there is kept.
            if not isinstance(source.source, int):
                raise
        cost, count = meter.cost(max(done, 1)), options.frames or reader.count or done
    if not done:
        raise UserError(
            f"{source.name} gave no frame; expected a video that OpenCV reads; convert it, for "
            "example with ffmpeg"
        )
    console = wide_console()
    say(console, cost.line("frames"))
    if done < LITTLE_MISSING * count:
        say(console, f"{source.name} ended after {done} of {count} frames", style="yellow")
    written_to = f"; {path} written (no browser plays it; players do)" if drawn_kinds else ""
    say(
        console,
        f"{heads} heads in {done} frames, the detector asked {tracker.searches} times, the "
        f"branches in doubt in {doubtful} frames{written_to}",
    )
    return Outcome(
        data={
            "frames": done,
            "heads": heads,
            "searches": tracker.searches,
            "frames_in_doubt": doubtful,
            "video": str(path) if drawn_kinds else None,
            "cost": cost.to_dict(),
        }
    )
