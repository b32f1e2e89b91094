"""A video in, frame after frame in order; a video out, whole or not at all."""

from pathlib import Path

import numpy as np
import pytest

from engines.errors import UserError
from trans3dhead.prediction import Predictor
from trans3dhead.reading.sources import Video
from trans3dhead.reading.stages import Meter
from trans3dhead.reading.tracking import HeadTracker
from trans3dhead.reading.video_file import VideoFile, check_video_name
from trans3dhead.reading.videos import VideoReader, read_video

from .conftest import find_square, squares

FRAMES = 12


def frame(number: int) -> np.ndarray:
    return squares(96, 128, (20 + 4 * number, 20, 40, 50))


@pytest.fixture(params=[".mp4", ".avi"])
def video(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / f"clip{request.param}"
    with VideoFile(path, 25) as file:
        for number in range(FRAMES):
            file.write(frame(number))
    return path


def test_what_is_written_is_read_again(video: Path) -> None:
    with VideoReader(Video(video)) as reader:
        assert reader.rate == 25
        assert reader.count == FRAMES
        read = list(reader.frames(Meter()))
    assert len(read) == FRAMES
    for number, image in enumerate(read):
        assert image.shape == (96, 128, 3)
        assert np.abs(image.astype(int) - frame(number)).mean() < 6
    assert [path.name for path in video.parent.iterdir()] == [video.name]


def test_colours_stay_rgb(tmp_path: Path) -> None:
    red = np.zeros((64, 64, 3), np.uint8)
    red[..., 0] = 200
    with VideoFile(tmp_path / "red.avi", 10) as file:
        file.write(red)
    with VideoReader(Video(tmp_path / "red.avi")) as reader:
        (image,) = reader.frames(Meter())
    assert image[..., 0].mean() > 180
    assert image[..., 2].mean() < 20


def test_heads_are_followed_through_the_frames(video: Path, predictor: Predictor) -> None:
    meter = Meter()
    with VideoReader(Video(video)) as reader:
        tracker = HeadTracker(find_square)
        frames = list(read_video(reader.frames(meter), predictor, tracker, None, meter))
    assert [one.index for one in frames] == list(range(FRAMES))
    for one in frames:
        (followed,) = one.heads
        assert followed.track == 0
        assert abs(followed.head.projected[:, 0].mean() - (40 + 4 * one.index)) < 6
    assert {"decode", "infer"} <= set(meter.cost(FRAMES).stages)


def test_an_interrupted_video_leaves_nothing(tmp_path: Path) -> None:
    kept = tmp_path / "clip.mp4"
    kept.write_bytes(b"earlier")
    with pytest.raises(RuntimeError), VideoFile(kept, 25) as file:
        file.write(frame(0))
        raise RuntimeError("stop")
    assert [path.name for path in tmp_path.iterdir()] == ["clip.mp4"]
    assert kept.read_bytes() == b"earlier"


def test_other_endings_and_sizes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"ends in \.webm; expected \.mp4 or \.avi"):
        check_video_name(tmp_path / "clip.webm")
    with pytest.raises(UserError, match="after 128 x 96"), VideoFile(tmp_path / "a.mp4", 5) as f:
        f.write(frame(0))
        f.write(squares(64, 64))


def test_what_is_no_video_is_refused(tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").write_text("no video")
    with pytest.raises(UserError, match=r"clip\.mp4 cannot be opened; expected"):
        VideoReader(Video(tmp_path / "clip.mp4"))
    with pytest.raises(UserError, match="camera 63 cannot be opened"):
        VideoReader(Video(63))
