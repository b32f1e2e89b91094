"""What commands print comes to stand below them, and a table's lines are known by their labels."""

from pathlib import Path

import pytest

from benchmarks.report.shown import commands, filled, labels, main
from engines.errors import UserError

PAGE = """before
```sh
trans3dhead describe --preset tiny
```

no output is wanted of that one

```sh
trans3dhead {}  # a comment
```

<!-- output -->
```text
old
```
after
"""
BOXED = """
┏━━━━━━━━┳━━━━━━┓
┃ recipe ┃ MB   ┃
┡━━━━━━━━╇━━━━━━┩
│ fp32   │ 20.6 │
│ plain export │ 1 │
└────────┴──────┘
a note
"""
OPEN = """Title
  metric           PyTorch   engine
 ───────────────────────────────────
  Pose error ↓       0.211    0.211
a note  that goes on
"""


def test_what_a_command_prints_replaces_what_stood_there(tmp_path: Path) -> None:
    page = filled(PAGE.format("--version"), tmp_path)
    assert "```text\ntrans3dhead 0." in page
    assert "old" not in page
    assert page.startswith("before\n```sh\ntrans3dhead describe --preset tiny\n```\n\nno output")
    assert page.endswith("\n```\nafter\n")
    assert filled(page, tmp_path) == page


def test_a_command_that_fails_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"`trans3dhead exprot` ended with 2 \(.*unknown command"):
        filled(PAGE.format("exprot"), tmp_path)


def test_lines_are_joined_and_comments_left_out() -> None:
    block = "trans3dhead a \\\n    --b 'c d'  # why\n\nmake demo\n"
    assert commands(block) == [["trans3dhead", "a", "--b", "c d"], ["make", "demo"]]


def test_labels_are_the_first_cells_whatever_the_numbers() -> None:
    assert labels(BOXED) == {"recipe", "fp32", "plain export"}
    assert labels(OPEN) == {"metric", "Pose error ↓"}
    assert labels(OPEN.replace("0.211", "9.9")) == labels(OPEN)
    assert labels(OPEN.replace("Pose error", "Pose")) != labels(OPEN)


def test_without_a_checkpoint_nothing_is_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert main(["nowhere.safetensors"]) == 2
    assert "nowhere.safetensors came; expected a checkpoint" in capsys.readouterr().err
