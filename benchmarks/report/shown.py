"""What the README's commands print: `python -m benchmarks.report.shown CHECKPOINT`.

A shell block of the README that is followed by the mark `<!-- output -->` and a text block is run,
and the text block becomes what it printed. The commands run in a folder of their own, one block
after another, where `checkpoint.safetensors` is the checkpoint that was given.
"""

import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from engines.errors import UserError
from engines.files import write_whole

ROOT = Path(__file__).parent.parent.parent
README = ROOT / "README.md"
CHECKPOINT = "checkpoint.safetensors"
SHOWN = re.compile(
    r"(^```sh\n((?:(?!^```).)*)^```\n\n<!-- output -->\n```text\n)(.*?)(^```$)",
    re.DOTALL | re.MULTILINE,
)
"""A block of commands, and the block below it with what they printed."""
LABEL = re.compile(r"^(?:[┃│]| ) ([^\s┃│]+(?: [^\s┃│]+)*) *(?:[┃│]|  )", re.MULTILINE)
"""The first cell of a table's line."""


def filled(text: str, folder: Path) -> str:
    """A page whose commands were run in a folder, with what they printed.

    Raises:
        UserError: a command failed.
    """

    def block(found: re.Match[str]) -> str:
        printed = "".join(run(words, folder) for words in commands(found[2]))
        return f"{found[1]}{tidy(printed)}{found[4]}"

    return SHOWN.sub(block, text)


def commands(block: str) -> list[list[str]]:
    """Every line of a shell block, as words, without its comment."""
    lines = block.replace("\\\n", " ").splitlines()
    return [words for line in lines if (words := shlex.split(line, comments=True))]


def run(words: Sequence[str], folder: Path) -> str:
    """What one of our commands prints."""
    done = subprocess.run(
        [sys.executable, "-m", "trans3dhead.cli.main", *words[1:]],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        told = done.stderr.strip().splitlines() or ["nothing was said"]
        raise UserError(
            f"`{shlex.join(words)}` ended with {done.returncode} ({told[-1]}); expected 0; mend "
            "the command in the README, or give a checkpoint whose engines pass"
        )
    return done.stdout


def tidy(printed: str) -> str:
    """Without space at the ends of lines and without empty lines."""
    lines = (line.rstrip() for line in printed.splitlines())
    return "".join(f"{line}\n" for line in lines if line)


def labels(printed: str) -> set[str]:
    """The first cells of the lines of all tables: what is told about, whatever the numbers."""
    return set(LABEL.findall(tidy(printed)))


def main(words: Sequence[str]) -> int:
    """Fill the README by a checkpoint."""
    if len(words) != 1 or not Path(words[0]).is_file():
        print(f"{' '.join(words) or 'nothing'} came; expected a checkpoint", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / CHECKPOINT).symlink_to(Path(words[0]).resolve())
        write_whole(README, filled(README.read_text(), Path(folder)))
    print(f"{README.name} written")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
