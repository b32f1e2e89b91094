"""An export killed at any moment leaves no bundle or a whole one, and nothing after the next."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import onnx_ir as ir
import pytest

from engines.bundle import CONTRACT_FILE, HEAD_FILE, REFERENCE_FILE, Bundle
from engines.errors import ContractError
from engines.files import LEFTOVER_MARK

ROOT = Path(__file__).parents[2]
FILES = ("fp32.onnx", HEAD_FILE, REFERENCE_FILE, CONTRACT_FILE)
"""Of the bundle, in the order in which they are written."""

Moment = Callable[[Path, float], bool]
"""Whether it has come: of the temporary folder, or a path where none is, and the seconds so far."""


class Server:
    """`export_server.py`, running."""

    def __init__(self, checkpoint: Path, graph: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("export_server.py")), checkpoint, graph],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        )
        assert self._line() == "ready"

    def _line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def export(self, out: Path, kill_at: Moment | None = None) -> tuple[str, float]:
        """Export, and kill that at a moment: how it ended, and after how many seconds."""
        assert self.process.stdin is not None
        left = set(_temporary_folders(out))
        start = time.perf_counter()
        self.process.stdin.write(f"{out}\n")
        self.process.stdin.flush()
        number = int(self._line())
        if kill_at is not None:
            while not out.exists():
                new = [folder for folder in _temporary_folders(out) if folder not in left]
                if kill_at(new[0] if new else Path("none"), time.perf_counter() - start):
                    break
                time.sleep(0.0005)
            os.kill(number, signal.SIGKILL)
        return self._line(), time.perf_counter() - start


def _temporary_folders(out: Path) -> list[Path]:
    return list(out.parent.glob(f".{out.name}{LEFTOVER_MARK}*"))


@pytest.fixture(scope="module")
def server(
    checkpoint: Path, traced: ir.Model, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    graph = tmp_path_factory.mktemp("graph") / "traced.onnx"
    ir.save(traced, graph)
    started = Server(checkpoint, graph)
    yield started
    started.process.kill()
    started.process.wait()


def check_whole(folder: Path) -> None:
    """Raise unless every file is there, and is what the contract says."""
    bundle = Bundle.open(folder)
    assert sorted(bundle.contract.files) == sorted(set(FILES) - {CONTRACT_FILE})
    for name in bundle.contract.files:
        bundle.file(name)


def kill_and_look(server: Server, out: Path, moments: dict[str, Moment]) -> list[str]:
    """Kill an export at each moment, or when it is done; the moments that left something."""
    left = []
    for name, moment in moments.items():
        server.export(out, moment)
        if out.exists():
            check_whole(out)
            shutil.rmtree(out)
        if any(LEFTOVER_MARK in path.name for path in out.parent.iterdir()):
            left.append(name)
    return left


def written(name: str) -> Moment:
    return lambda temporary, _: (temporary / name).exists()


def test_a_killed_export_leaves_nothing_that_passes_for_a_bundle(
    server: Server, tmp_path: Path
) -> None:
    out = tmp_path / "bundle"
    moments: dict[str, Moment] = {
        "the folder": lambda temporary, _: temporary.is_dir(),
        "a graph": written(FILES[0]),
        "the reference": written(REFERENCE_FILE),
    }
    assert kill_and_look(server, out, moments)[:2] == ["the folder", "a graph"]
    ended, _ = server.export(out)
    assert ended == "done"
    check_whole(out)
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]
    (out / REFERENCE_FILE).unlink()
    with pytest.raises(ContractError, match=r"reference\.npz is missing"):
        check_whole(out)


@pytest.mark.slow
def test_nor_at_any_other_moment(server: Server, tmp_path: Path) -> None:
    out = tmp_path / "bundle"
    _, seconds = server.export(out)
    shutil.rmtree(out)
    moments = {name: written(name) for name in FILES}
    moments["the bundle"] = lambda *_: False  # the moment it is published
    for share in range(1, 20):
        after = share / 20 * seconds
        moments[f"after {after:.2f} s"] = lambda _, now, after=after: now >= after
    left = kill_and_look(server, out, moments)
    assert FILES[0] in left and len(left) >= 15
    assert server.export(out)[0] == "done"
    check_whole(out)
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]
