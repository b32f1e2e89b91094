"""AFLW2000-3D, made up here in its form: angles in radians, points, a photo beside each."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy.io import savemat

from engines.errors import UserError
from trans3dhead.aflw2000 import evaluate_aflw2000
from trans3dhead.cli.main import main
from trans3dhead.data.aflw2000 import GROWTH, head_box, read_aflw2000
from trans3dhead.head.rotation import rotation_from_euler
from trans3dhead.metrics.angles import angle_errors

ANGLES = np.array([[10.0, -20, 5], [-15, 60, 30], [0, 105, 0], [30, -95, -20]])
"""Pitch, yaw, roll in degrees: the third is left out, the fourth's yaw is beyond 90."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for number, degrees in enumerate(ANGLES):
        points = rng.uniform(30, 90, (3, 68))
        pose = [*np.radians(degrees), 1.0, 2.0, 3.0, 0.001]
        savemat(tmp_path / f"image{number}.mat", {"Pose_Para": [pose], "pt3d_68": points})
        image = rng.integers(0, 256, (120, 120, 3)).astype(np.uint8)
        cv2.imwrite(str(tmp_path / f"image{number}.jpg"), image)
    return tmp_path


class Answers:
    """Turns by what it is given, crop after crop."""

    image_size = 64

    def __init__(self, degrees: np.ndarray) -> None:
        self.rotations = list(rotation_from_euler(degrees))

    def predict(self, crops: np.ndarray) -> dict[str, np.ndarray]:
        assert crops.shape[1:] == (64, 64, 3)
        found, self.rotations = self.rotations[: len(crops)], self.rotations[len(crops) :]
        return {"rotation": np.stack(found)}


def test_who_knows_the_angles_has_no_error(folder: Path) -> None:
    photos = read_aflw2000(folder)
    assert [photo.counted for photo in photos] == [True, True, False, True]
    found = evaluate_aflw2000(Answers(ANGLES[[0, 1, 3]]), photos)
    assert found.images == 3 and found.left_out == ("image2",)
    assert found.mean == pytest.approx(0, abs=1e-9)


def test_each_angle_has_its_own_mean(folder: Path) -> None:
    wrong = ANGLES[[0, 1]] + [[3, 2, 1], [-3, -4, 1]]
    found = evaluate_aflw2000(Answers(wrong), read_aflw2000(folder)[:2])
    assert (found.pitch, found.yaw, found.roll) == pytest.approx((3, 3, 1))
    assert found.mean == pytest.approx(7 / 3)


def test_a_label_beyond_profile_is_compared_with_the_nearer_triple() -> None:
    truth = np.array([[10.0, 95, 0]])
    same_rotation = np.array([[-170.0, 85, 180]])  # the only triple with a yaw within 90
    both = rotation_from_euler(truth), rotation_from_euler(same_rotation)
    np.testing.assert_allclose(*both, atol=1e-12)
    np.testing.assert_allclose(angle_errors(same_rotation, truth), 0, atol=1e-9)
    np.testing.assert_allclose(angle_errors(np.array([[10.0, 88, 0]]), truth), [[0, 7, 0]])
    np.testing.assert_allclose(
        angle_errors(np.array([[179.0, 0, -179]]), np.array([[-179.0, 0, 179]])), [[2, 0, 2]]
    )


def test_the_box_is_the_landmarks_grown() -> None:
    points = np.full((68, 2), (10.0, 20.0))
    points[1] = (60, 120)  # 50 x 100: the longer side decides
    x, y, w, h = head_box(points)
    left, top, right, bottom = (100 * share for share in GROWTH)
    assert (x, y) == pytest.approx((10 - left, 20 - top))
    assert (w, h) == pytest.approx((50 + left + right, 100 + top + bottom))


def test_broken_files_are_all_named(folder: Path) -> None:
    (folder / "image0.mat").write_bytes(b"nothing")
    savemat(folder / "image1.mat", {"Pose_Para": [[0, 0, 0]]})
    (folder / "image3.jpg").unlink()
    with pytest.raises(UserError) as told:
        read_aflw2000(folder)
    for part in (
        "image0.mat is no MATLAB file",
        "image1.mat has no pt3d_68",
        "image3.mat has no image3.jpg beside it",
    ):
        assert part in str(told.value)
    with pytest.raises(UserError, match=r"holds no \.mat file"):
        read_aflw2000(folder / "none")


def test_the_command_stands_beside_the_papers(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from contextlib import nullcontext

    from trans3dhead.cli import opening

    answers = Answers(ANGLES[[0, 1, 3]] + [1, 2, 3])
    opened = nullcontext((answers, None, {}))
    monkeypatch.setattr(opening, "open_predictor", lambda *_, **__: opened)
    assert main(["evaluate", "aflw2000", "some", "--data", str(folder)]) == 0
    told = capsys.readouterr().out
    assert "this model, 3 images" in told and "2.00" in told
    assert "Trans3DHead" in told and "3.38" in told
    assert "1 images with an angle beyond 99 degrees left out" in told
