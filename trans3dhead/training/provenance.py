"""Where a result comes from: the sources' revision and the libraries' versions. No torch here."""

import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

LIBRARIES = ("trans3dhead", "torch", "numpy", "opencv-python-headless", "safetensors")
NO_REVISION = "no git checkout"


def git_revision() -> str:
    """The commit of the sources this runs from, "+changes" behind it where a file differs."""
    folder = Path(__file__).resolve().parent

    def git(*words: str) -> str:
        done = subprocess.run(
            ["git", "-C", str(folder), *words], capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    try:
        changes = git("status", "--porcelain", "--untracked-files=no", ":/")
        return git("rev-parse", "HEAD") + ("+changes" if changes else "")
    except (OSError, subprocess.CalledProcessError):
        return NO_REVISION


def library_versions() -> dict[str, str]:
    """Installed versions of what the numbers depend on, by package name."""
    found = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found
