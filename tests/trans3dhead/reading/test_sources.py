"""What INPUT may be, and that no photo's files replace another's."""

from pathlib import Path

import pytest

from engines.errors import UserError
from trans3dhead.reading.sources import Photos, Video, find_source


def touch(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def photos(given: Path, out: Path) -> Photos:
    found = find_source(str(given), out)
    assert isinstance(found, Photos)
    return found


def test_a_folder_is_read_with_its_subfolders_in_the_order_of_names(tmp_path: Path) -> None:
    touch(tmp_path, "b.png", "a/z.JPG", "a/c.webp", "notes.txt", ".hidden.png", "clip.mp4")
    found = photos(tmp_path, tmp_path / "out")
    assert [photo.name for photo in found.items] == ["a/c.webp", "a/z.JPG", "b.png"]
    assert [photo.stem for photo in found.items] == ["a/c", "a/z", "b"]
    assert found.others == 2  # the text and the video; hidden files are not counted


def test_files_of_one_stem_keep_their_ending(tmp_path: Path) -> None:
    touch(tmp_path, "photo.jpg", "photo.png", "other.png", "sub/photo.png")
    stems = [photo.stem for photo in photos(tmp_path, tmp_path / "out").items]
    assert sorted(stems) == ["other", "photo.jpg", "photo.png", "sub/photo"]


def test_the_output_folder_is_not_read_again(tmp_path: Path) -> None:
    touch(tmp_path, "a.png", "out/a-drawn.png", "outer/b.png")
    found = photos(tmp_path, tmp_path / "out")
    assert [photo.name for photo in found.items] == ["a.png", "outer/b.png"]


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("*.png", ["b.png", "c.png"]),
        ("**/*.png", ["b.png", "c.png", "sub/d.png"]),
        ("[a-b].*", ["a.jpg", "b.png"]),
        ("s*/?.png", ["sub/d.png"]),
    ],
)
def test_a_pattern(tmp_path: Path, pattern: str, names: list[str]) -> None:
    touch(tmp_path, "a.jpg", "b.png", "c.png", "sub/d.png")
    found = photos(tmp_path / pattern, tmp_path / "out")
    assert [photo.path.relative_to(tmp_path).as_posix() for photo in found.items] == names


def test_a_file_a_video_and_a_camera(tmp_path: Path) -> None:
    touch(tmp_path, "a.png", "b.MP4", "0")
    assert photos(tmp_path / "a.png", tmp_path).items[0].stem == "a"
    assert find_source(str(tmp_path / "b.MP4"), tmp_path) == Video(tmp_path / "b.MP4")
    assert find_source("12", tmp_path) == Video(12)
    # a file of that name is the file
    assert isinstance(find_source(str(tmp_path / "0"), tmp_path), Photos)


@pytest.mark.parametrize("given", ["none.png", "*.jpg", "."])
def test_nothing_to_read_is_refused(
    tmp_path: Path, given: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    touch(tmp_path, "notes.txt")
    with pytest.raises(UserError, match=r"expected .*; check the path"):
        find_source(given, tmp_path / "out")
