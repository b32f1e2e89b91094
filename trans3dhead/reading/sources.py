"""What INPUT means: a photo, a folder, a pattern, a video or a camera."""

import glob
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from engines.errors import UserError

PHOTO_SUFFIXES = (
    ".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".bmp", ".dib", ".tif", ".tiff", ".avif",
    ".jp2", ".gif", ".pbm", ".pgm", ".ppm", ".pnm",
)  # fmt: skip
VIDEO_SUFFIXES = (".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".wmv", ".mts")


@dataclass(frozen=True, kw_only=True)
class Photo:
    """An image file to read."""

    path: Path
    name: str
    """As it is reported: relative to the folder that was given, else as it came."""
    stem: str
    """Where its outputs go, relative to the output folder and without an ending."""


@dataclass(frozen=True)
class Photos:
    """Image files, by name."""

    items: tuple[Photo, ...]
    others: int = 0
    """Files beside them whose ending is no image's; they are left alone."""


@dataclass(frozen=True)
class Video:
    """A video file, or a camera by its index."""

    source: Path | int

    @property
    def name(self) -> str:
        return f"camera-{self.source}" if isinstance(self.source, int) else self.source.name

    @property
    def stem(self) -> str:
        return self.name if isinstance(self.source, int) else self.source.stem


def find_source(given: str, out: Path) -> Photos | Video:
    """What a person meant by INPUT.

    Args:
        given: a file, a folder (read with its subfolders), a pattern with `*`, `?`, `[` or `**`,
            or the index of a camera.
        out: the output folder; photos in it are not read again.

    Raises:
        UserError: nothing is there, or no image among it.
    """
    path = Path(given)
    if path.is_dir():
        return _photos(given, [p for p in path.rglob("*") if not p.is_dir()], path, out)
    if path.exists() or path.is_symlink():
        if path.suffix.lower() in VIDEO_SUFFIXES:
            return Video(path)
        return Photos((Photo(path=path, name=given, stem=path.stem),))
    if given.isdecimal():
        return Video(int(given))
    if glob.has_magic(given):
        plain = _plain_parts(path)
        base, pattern = Path(*plain), Path(*path.parts[len(plain) :])
        return _photos(given, [p for p in base.glob(str(pattern)) if not p.is_dir()], base, out)
    raise UserError(
        f"no file or folder {given}; expected an image, a folder, a pattern such as 'photos/*.jpg',"
        " a video or the index of a camera; check the path"
    )


def _plain_parts(pattern: Path) -> list[str]:
    """The folders before the first one that holds a wildcard."""
    parts: list[str] = []
    for part in pattern.parts[:-1]:
        if glob.has_magic(part):
            break
        parts.append(part)
    return parts


def _photos(given: str, files: list[Path], base: Path, out: Path) -> Photos:
    written = out.resolve()
    files = [
        path
        for path in files
        if written not in path.absolute().parents and not path.name.startswith(".")
    ]
    photos = sorted(path for path in files if path.suffix.lower() in PHOTO_SUFFIXES)
    if not photos:
        raise UserError(
            f"{given} holds no image ({len(files)} other files); expected files that end in "
            f"{', '.join(PHOTO_SUFFIXES[:4])} or the like; check the path"
        )
    relative = [path.relative_to(base) for path in photos]
    shared = Counter(name.with_suffix("") for name in relative)
    items = [
        Photo(
            path=path,
            name=name.as_posix(),
            # a.png beside a.jpg keeps its ending, or one would replace the other's files
            stem=(name if shared[name.with_suffix("")] > 1 else name.with_suffix("")).as_posix(),
        )
        for path, name in zip(photos, relative, strict=True)
    ]
    return Photos(tuple(items), len(files) - len(photos))
