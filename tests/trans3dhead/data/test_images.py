"""Every kind of file comes out as RGB uint8, and broken ones are refused."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from engines.errors import UserError
from trans3dhead.data.images import read_rgb

BGR = np.zeros((20, 30, 3), np.uint8)
BGR[..., 0], BGR[..., 1], BGR[..., 2] = 10, 120, 240


def test_colours_are_rgb(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), BGR)
    image = read_rgb(tmp_path / "a.png")
    assert image.dtype == np.uint8
    np.testing.assert_array_equal(image, BGR[..., ::-1])


@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
def test_grey_becomes_three_channels(tmp_path: Path, depth: type) -> None:
    level = 77 if depth is np.uint8 else 77 * 257
    cv2.imwrite(str(tmp_path / "a.png"), np.full((20, 30), level, depth))
    image = read_rgb(tmp_path / "a.png")
    assert image.dtype == np.uint8
    assert np.unique(image).tolist() == [77]
    assert image.shape == (20, 30, 3)


def test_alpha_is_dropped(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.dstack([BGR, np.full(BGR.shape[:2], 3, np.uint8)]))
    np.testing.assert_array_equal(read_rgb(tmp_path / "a.png"), BGR[..., ::-1])


@pytest.mark.parametrize("suffix", ["png", "jpg"])
@pytest.mark.parametrize("share", [0.0, 0.5, 0.97])
def test_a_truncated_file_is_refused(tmp_path: Path, suffix: str, share: float) -> None:
    path = tmp_path / f"a.{suffix}"
    cv2.imwrite(str(path), np.random.default_rng(0).integers(0, 256, (60, 60, 3), dtype=np.uint8))
    assert read_rgb(path).shape == (60, 60, 3)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(UserError, match=r"cut short .*; expected a whole file; copy it again"):
        read_rgb(path)


def test_a_missing_file_and_a_foreign_one_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="No such file"):
        read_rgb(tmp_path / "none.png")
    (tmp_path / "a.png").write_text("no image")
    with pytest.raises(UserError, match="not an image"):
        read_rgb(tmp_path / "a.png")
