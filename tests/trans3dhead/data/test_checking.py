"""Every planted fault is found, by its item's name, and nothing else is."""

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from trans3dhead.cli.main import main
from trans3dhead.data import checking
from trans3dhead.data.checking import check_dataset
from trans3dhead.data.dad3dheads import HeadDataset, index_file
from trans3dhead.head.builtin import builtin_head
from trans3dhead.synth.dataset import write_dataset

HEAD = builtin_head()
COUNT = 12


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("heads")
    for split in ("train", "val"):
        write_dataset(folder, split, COUNT, 0, HEAD, size=80, workers=1)
    return folder


@pytest.fixture
def damaged(whole: Path, tmp_path: Path) -> Path:
    root = tmp_path / "data"
    shutil.copytree(whole, root)
    items = HeadDataset(root, "train").items

    def change(number: int, **arrays: object) -> None:
        path = items[number].annotation_path
        assert path is not None
        path.write_text(json.dumps(json.loads(path.read_text()) | arrays))

    def annotated(number: int, key: str) -> np.ndarray:
        path = items[number].annotation_path
        assert path is not None
        return np.array(json.loads(path.read_text())[key])

    items[0].image_path.unlink()
    items[1].image_path.write_bytes(items[1].image_path.read_bytes()[:200])
    cv2.imwrite(str(items[2].image_path), np.zeros((20, 20, 3), np.uint8))
    change(3, vertices=(1000 * annotated(3, "vertices")).tolist())  # millimetres
    change(4, model_view_matrix=np.zeros((4, 4)).tolist())
    change(5, vertices=annotated(5, "vertices")[:-1].tolist())
    assert items[6].annotation_path is not None
    items[6].annotation_path.write_text("{")
    index = json.loads(index_file(root, "train").read_text())
    index[7]["bbox"] = [1.0, 1.0, 4.0, 4.0]
    index[9]["item_id"] = index[8]["item_id"]
    index_file(root, "train").write_text(json.dumps(index))
    return root


def test_a_whole_data_set_has_no_faults(whole: Path) -> None:
    assert check_dataset(HeadDataset(whole, "train"), HEAD) == []


def test_every_fault_is_found(damaged: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = HeadDataset(damaged, "train")
    told = {fault.item_id: fault.reasons for fault in check_dataset(dataset, HEAD)}
    wanted = {
        0: "cannot read image",
        1: "is cut short",
        2: "holds no pixel",
        3: "expected 0.1 to 1.0 metres",
        4: "does not rotate",
        5: "has shape (5022, 3)",
        6: "is not JSON",
        7: "none of the 68 landmarks lies in the box",
        8: "the id stands 2 times",
    }
    ids = [item.item_id for item in dataset.items]
    assert set(told) == {ids[number] for number in wanted}
    for number, reason in wanted.items():
        assert any(reason in text for text in told[ids[number]]), (number, told[ids[number]])
    monkeypatch.setattr(checking, "AT_ONCE", 4)
    assert {f.item_id: f.reasons for f in check_dataset(dataset, HEAD, workers=2)} == told


def test_the_command_lists_them_and_trains_nothing(
    damaged: Path, whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "training"
    assert main(["train", "--data", str(damaged), "--check", "--out", str(out)]) == 1
    told = capsys.readouterr().out
    assert "train: 9 of 12 items are broken" in told
    assert "val: 12 items are whole" in told
    assert "synth-train-0-000003: the mesh is" in told
    assert not out.exists()
    assert main(["train", "--data", str(whole), "--check", "--out", str(out)]) == 0
    assert not out.exists()


def test_a_check_needs_a_folder(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--synthetic", "4", "--check"]) == 2
    assert "--check came without --data" in capsys.readouterr().err
