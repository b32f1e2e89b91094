"""Which head a command gets."""

import subprocess
import sys
from pathlib import Path

import pytest

from engines.errors import UserError
from trans3dhead.head.model import HeadModel
from trans3dhead.head.source import head_by_identity, resolve_head


def test_builtin_without_a_folder(head: HeadModel) -> None:
    assert resolve_head(None) is head
    assert head_by_identity("builtin", head.sha256, None) is head


def test_own_folder(head: HeadModel, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"holds no head\.npz"):
        resolve_head(tmp_path)
    head.save(tmp_path / "head.npz")
    assert resolve_head(tmp_path).sha256 == head.sha256


def test_another_head_is_refused(head: HeadModel) -> None:
    with pytest.raises(
        UserError, match=r"'builtin' .* came; expected 'flame2020' \(0123456789ab\)"
    ):
        head_by_identity("flame2020", "0123456789abcdef", None)


def test_the_head_works_without_torch() -> None:
    script = """
import sys
sys.modules["torch"] = None  # importing it raises
import numpy as np
from trans3dhead.head.layout import LAYOUT_413, prior
from trans3dhead.head.source import resolve_head
print(resolve_head(None).posed_vertices(prior(LAYOUT_413)[None]).shape)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "(1, 5023, 3)"
