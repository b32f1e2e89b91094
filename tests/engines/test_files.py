"""Files and folders come whole or not at all."""

import multiprocessing
import os
import subprocess
import sys
from pathlib import Path

import pytest

from engines.errors import UserError
from engines.files import check_writable, sha256_of, whole_folder, write_whole

KILLED = """
import os, sys
from pathlib import Path
from engines.files import whole_folder
with whole_folder(Path(sys.argv[1])) as temporary:
    (temporary / "half").write_text("written")
    os._exit(9)
"""


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    write_whole(tmp_path / "sub" / "a.txt", "one")
    write_whole(tmp_path / "sub" / "a.txt", b"two")
    assert (tmp_path / "sub" / "a.txt").read_text() == "two"
    assert names(tmp_path / "sub") == ["a.txt"]


def test_a_failing_write_keeps_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_whole(tmp_path / "a.txt", "old")

    def full_disk(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OSError, match="No space"):
        write_whole(tmp_path / "a.txt", "new")
    assert (tmp_path / "a.txt").read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_what_cannot_be_written_is_told_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_writable(tmp_path / "new" / "a.json")
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"is a folder; expected the name of a file"):
        check_writable(tmp_path)
    with pytest.raises(UserError, match=r"file is no folder or may not be written to"):
        check_writable(tmp_path / "file" / "a.json")
    monkeypatch.setattr("os.access", lambda folder, mode: False)  # root may write anywhere
    with pytest.raises(UserError, match=r"may not be written to; .* name another place"):
        check_writable(tmp_path / "new" / "a.json")


def test_a_folder_appears_whole(tmp_path: Path) -> None:
    with whole_folder(tmp_path / "out") as temporary:
        (temporary / "file").write_text("content")
        assert not (tmp_path / "out").exists()
    assert names(tmp_path) == ["out"]
    assert names(tmp_path / "out") == ["file"]


def test_a_failure_leaves_the_old_folder(tmp_path: Path) -> None:
    with whole_folder(tmp_path / "out") as temporary:
        (temporary / "file").write_text("old")
    with (
        pytest.raises(RuntimeError, match="in the middle"),
        whole_folder(tmp_path / "out", replace=True) as temporary,
    ):
        (temporary / "file").write_text("new")
        raise RuntimeError("in the middle")
    assert (tmp_path / "out" / "file").read_text() == "old"
    assert names(tmp_path) == ["out"]


def test_an_existing_folder_is_replaced_only_on_wish(tmp_path: Path) -> None:
    for content in ("one", "two"):
        with whole_folder(tmp_path / "out", replace=True) as temporary:
            (temporary / "file").write_text(content)
    assert (tmp_path / "out" / "file").read_text() == "two"
    with pytest.raises(UserError, match="exists already"), whole_folder(tmp_path / "out"):
        pass


def test_a_killed_run_is_cleared_by_the_next(tmp_path: Path) -> None:
    out = tmp_path / "out"
    killed = subprocess.run([sys.executable, "-c", KILLED, str(out)], check=False)
    assert killed.returncode == 9
    assert not out.exists()
    assert len(names(tmp_path)) == 1
    with whole_folder(out) as temporary:
        (temporary / "file").write_text("whole")
    assert names(tmp_path) == ["out"]


def test_a_run_killed_between_the_renames_loses_nothing(tmp_path: Path) -> None:
    old = tmp_path / ".out.part-abc-old"
    old.mkdir()
    (old / "file").write_text("old")
    with (
        pytest.raises(RuntimeError),
        whole_folder(tmp_path / "out", replace=True),
    ):
        raise RuntimeError
    assert (tmp_path / "out" / "file").read_text() == "old"


def test_a_running_build_beside_ours_stays(tmp_path: Path) -> None:
    with whole_folder(tmp_path / "out", replace=True) as other:
        (other / "file").write_text("other")
        with whole_folder(tmp_path / "out", replace=True) as ours:
            (ours / "file").write_text("ours")
            assert other.is_dir() and other != ours
    assert names(tmp_path) == ["out"]
    assert (tmp_path / "out" / "file").read_text() == "other"


def test_a_run_that_ended_is_cleared_whatever_its_number(tmp_path: Path) -> None:
    """In a container the next run has the number of the killed one."""
    left = tmp_path / f".out[1].part-{os.getpid()}-abc"
    left.mkdir()
    with whole_folder(tmp_path / "out[1]"):
        pass
    assert names(tmp_path) == ["out[1]"]


def test_a_failure_lets_go_of_its_locks(tmp_path: Path) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(3):
        with pytest.raises(RuntimeError), whole_folder(tmp_path / "out"):
            raise RuntimeError
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def swap_often(folder: Path, mark: str) -> None:
    for _ in range(40):
        with whole_folder(folder, replace=True) as temporary:
            (temporary / "one").write_text(mark)
            (temporary / "two").write_text(mark)


def test_parallel_runs_leave_one_whole_folder(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    runs = [
        context.Process(target=swap_often, args=(tmp_path / "out", mark)) for mark in ("a", "b")
    ]
    for run in runs:
        run.start()
    for run in runs:
        run.join()
    assert [run.exitcode for run in runs] == [0, 0]
    assert names(tmp_path) == ["out"]
    assert (tmp_path / "out" / "one").read_text() == (tmp_path / "out" / "two").read_text()


def test_sha256(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")
    assert sha256_of(tmp_path / "abc").startswith("ba7816bf8f01cfea414140de5dae2223")
