"""A rendered folder: readable, the same bytes for any number of processes, resumable, whole."""

import json
from pathlib import Path

import numpy as np
import pytest

from engines.errors import UserError
from engines.files import LEFTOVER_MARK
from trans3dhead.data.dad3dheads import HeadDataset, index_file, split_folder
from trans3dhead.head.model import HeadModel
from trans3dhead.synth.dataset import STREAMS, write_dataset
from trans3dhead.synth.render import prepare_item

COUNT, SEED, SIZE = 18, 4, 96


def files_of(out: Path) -> dict[str, bytes]:
    return {str(p.relative_to(out)): p.read_bytes() for p in out.rglob("*") if p.is_file()}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory, head: HeadModel) -> Path:
    out = tmp_path_factory.mktemp("one")
    steps: list[int] = []
    report = write_dataset(
        out, "train", COUNT, SEED, head, size=SIZE, workers=1, progress=steps.append
    )
    assert (report.items, report.rendered, sum(steps)) == (COUNT, COUNT, COUNT)
    assert report.images_per_second is not None
    return out


def test_the_loader_reads_what_was_rendered(written: Path, head: HeadModel) -> None:
    dataset = HeadDataset(written, "train")
    assert len(dataset) == COUNT
    for index in (0, COUNT - 1):
        scene, placed, _ = prepare_item(head, SEED, index, SIZE, STREAMS["train"])
        item, annotation = dataset.items[index], dataset.annotation(index)
        assert dataset.image(index).shape == (scene.camera.height, scene.camera.width, 3)
        assert item.attributes == scene.attributes
        # This process may compute with other numbers of threads: the last digit may differ.
        np.testing.assert_allclose(item.bbox, placed.bbox, atol=0.011)
        expected = placed.annotation
        np.testing.assert_allclose(annotation.vertices, expected.vertices, atol=1.1e-7)
        np.testing.assert_allclose(annotation.model_view, expected.model_view, atol=1e-8)
        np.testing.assert_array_equal(annotation.projection, expected.projection)
    assert len({item.item_id for item in dataset.items}) == COUNT


def test_bytes_do_not_depend_on_processes_nor_on_interruptions(
    written: Path, tmp_path: Path, head: HeadModel
) -> None:
    """A run that fails leaves whole items and no index; the next one finishes the same bytes."""
    folder = split_folder(tmp_path, "train")
    blocker = folder / "images" / f"synth-train-{SEED}-000017.png"
    folder.mkdir(parents=True)
    expected = files_of(written)
    settings = expected["DAD-3DHeadsDataset/train/synth.json"]
    (folder / "synth.json").write_bytes(settings)
    blocker.mkdir(parents=True)  # a folder where an image should be: that item cannot be written
    with pytest.raises(OSError, match="000017"):
        write_dataset(tmp_path, "train", COUNT, SEED, head, size=SIZE, workers=2)
    assert not index_file(tmp_path, "train").exists()
    left = files_of(tmp_path)
    assert not [name for name in left if LEFTOVER_MARK in name]
    assert len(left) > 2 * 15  # the first chunk of 16 items
    assert all(data == expected[name] for name, data in left.items())

    blocker.rmdir()
    cut = folder / "annotations" / f"synth-train-{SEED}-000003.json"
    cut.write_bytes(cut.read_bytes()[:-40])  # as after a power failure
    report = write_dataset(tmp_path, "train", COUNT, SEED, head, size=SIZE, workers=2)
    assert report.rendered <= 3
    assert files_of(tmp_path) == expected


def test_a_folder_with_other_data_is_refused(
    written: Path, tmp_path: Path, head: HeadModel
) -> None:
    before = files_of(written)
    with pytest.raises(UserError, match="another seed; expected"):
        write_dataset(written, "train", COUNT, SEED + 1, head, size=SIZE)
    with pytest.raises(UserError, match="another seed, size; expected"):
        write_dataset(written, "train", COUNT, SEED + 1, head, size=SIZE + 1)
    assert files_of(written) == before
    foreign = split_folder(tmp_path, "val")
    foreign.mkdir(parents=True)
    (foreign / "val.json").write_text(json.dumps([]))
    with pytest.raises(UserError, match="synth did not write; expected a new folder"):
        write_dataset(tmp_path, "val", 1, 0, head)
    assert [path.name for path in foreign.iterdir()] == ["val.json"]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"split": "all"}, "split is 'all'; expected one of train, val, test"),
        ({"count": 0}, "count is 0; expected 1 or more"),
        ({"seed": -1}, "seed is -1; expected 0 or more"),
        ({"size": 8}, "size is 8; expected 64 to 720 pixels"),
        ({"workers": 0}, "workers is 0; expected 1 or more"),
    ],
)
def test_settings_out_of_range_are_refused(
    tmp_path: Path, head: HeadModel, changed: dict[str, object], said: str
) -> None:
    arguments = {"out": tmp_path, "split": "train", "count": 1, "seed": 0, "head": head} | changed
    with pytest.raises(UserError, match=said):
        write_dataset(**arguments)  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())
