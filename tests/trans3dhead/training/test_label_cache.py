"""Labels are parsed once: what the cache holds is what the files say, as long as they say it."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from engines.errors import UserError
from trans3dhead.data.dad3dheads import HeadDataset, split_folder
from trans3dhead.data.images import image_size, read_rgb
from trans3dhead.head.builtin import builtin_head
from trans3dhead.training import label_cache
from trans3dhead.training.label_cache import cached_arrays
from trans3dhead.training.labels import read_labels

HEAD = builtin_head()


@pytest.fixture
def copied(data: Path, tmp_path: Path) -> HeadDataset:
    """A data set of 6 items that may be damaged, without a cache."""
    shutil.copytree(data, tmp_path / "data", ignore=shutil.ignore_patterns("labels-*"))
    return HeadDataset(tmp_path / "data", "val")


def caches(dataset: HeadDataset) -> list[str]:
    place = split_folder(dataset.root, dataset.split)
    return sorted(path.name for path in place.glob("labels-*"))


def test_the_cache_holds_what_the_files_say(
    copied: HeadDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = cached_arrays(copied, HEAD)
    assert len(caches(copied)) == 1
    for index in range(len(copied)):
        np.testing.assert_array_equal(first["landmarks"][index], copied.labels(index, HEAD))
        assert tuple(first["image_hw"][index]) == copied.image(index).shape[:2]
    monkeypatch.setattr(label_cache, "_read", None)  # parsing again would fail
    again = cached_arrays(copied, HEAD)
    for name, array in first.items():
        np.testing.assert_array_equal(again[name], array)


def test_several_processes_read_the_same(
    copied: HeadDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = {name: np.array(array) for name, array in cached_arrays(copied, HEAD).items()}
    shutil.rmtree(split_folder(copied.root, "val") / caches(copied)[0])
    monkeypatch.setattr(label_cache, "AT_ONCE", 2)
    for name, array in cached_arrays(copied, HEAD).items():
        np.testing.assert_array_equal(array, whole[name])


def test_a_file_that_changed_is_read_anew_and_the_old_cache_goes(copied: HeadDataset) -> None:
    before, (old,) = np.array(cached_arrays(copied, HEAD)["vertices"]), caches(copied)
    path = copied.items[3].annotation_path
    assert path is not None
    annotation = json.loads(path.read_text())
    annotation["vertices"] = (np.array(annotation["vertices"]) + 1).tolist()
    path.write_text(json.dumps(annotation))
    after = cached_arrays(copied, HEAD)["vertices"]
    assert caches(copied) != [old] and len(caches(copied)) == 1
    np.testing.assert_allclose(after[3], before[3] + 1, atol=1e-5)
    np.testing.assert_array_equal(np.delete(after, 3, axis=0), np.delete(before, 3, axis=0))


def test_a_broken_item_leaves_no_cache(copied: HeadDataset) -> None:
    path = copied.items[2].annotation_path
    assert path is not None
    path.write_text("{")
    with pytest.raises(UserError, match="is not JSON"):
        cached_arrays(copied, HEAD)
    assert caches(copied) == []


def test_a_disk_that_cannot_be_written_to_is_read_all_the_same(
    copied: HeadDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert len(cached_arrays(copied, HEAD)["landmarks"]) == len(copied)
    assert caches(copied) == []


def test_images_are_kept_while_there_is_room(copied: HeadDataset) -> None:
    room = 2 * copied.image(0).nbytes + copied.image(1).nbytes // 2
    heads = read_labels(copied, HEAD, image_memory=room)
    kept = [image is not None for image in heads.images]
    assert kept[0] and not kept[-1] and kept == sorted(kept, reverse=True)
    for index in range(len(copied)):
        np.testing.assert_array_equal(heads.image(index), copied.image(index))


def test_the_size_of_a_png_is_read_off_its_header(copied: HeadDataset, tmp_path: Path) -> None:
    path = copied.items[0].image_path
    assert image_size(path) == read_rgb(path).shape[:2]
    cut = tmp_path / "cut.png"
    cut.write_bytes(path.read_bytes()[:30])
    assert image_size(cut) == read_rgb(path).shape[:2]
    for name, content in (("text.png", b"no image at all, and long enough"), ("empty.png", b"")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UserError):
            image_size(tmp_path / name)
