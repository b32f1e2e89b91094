"""The command line: finding commands, exit codes, one-line errors, quick help."""

import json
import subprocess
import sys
import types
import warnings
from dataclasses import dataclass
from pathlib import Path

import pytest

from engines.errors import UserError
from trans3dhead import __version__
from trans3dhead.cli import main as cli
from trans3dhead.cli.common import CommonOptions, Outcome
from trans3dhead.training.checkpoint import OtherVersionWarning


@dataclass(frozen=True, kw_only=True)
class Options(CommonOptions):
    """A command made for the test."""

    fail: bool = False
    """Raise the error a user sees."""
    gate: int = 0
    """Exit code."""
    need: str = ""
    """A module to import."""
    warn: bool = False
    """Warn of a checkpoint's training."""


def run(options: Options) -> Outcome:
    if options.fail:
        raise UserError("7 came;\nexpected 8; give 8")
    if options.need:
        __import__(options.need)
    if options.warn:
        warnings.warn("trained\nelsewhere", OtherVersionWarning, stacklevel=1)
    return Outcome(data={"gate": options.gate}, exit_code=options.gate)


@pytest.fixture(autouse=True)
def planted(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("trans3dhead.cli.planted")
    module.Options, module.run = Options, run  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "trans3dhead.cli.planted", module)
    monkeypatch.setitem(cli.COMMANDS, "plant", cli.Command("planted", "a test"))


def test_version_and_overview_name_everything(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--version"]) == 0
    assert cli.main(["--help"]) == 0
    out = capsys.readouterr().out
    assert __version__ in out
    assert all(name in out for name in cli.COMMANDS)


def test_our_own_warning_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["plant", "--warn"]) == 0
    assert capsys.readouterr().err == "trans3dhead: trained elsewhere\n"


def test_no_command_is_an_error() -> None:
    assert cli.main([]) == 2


def test_unknown_command_lists_the_known(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["exprot"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "exprot" in error
    assert "export" in error


def test_user_error_is_one_line_and_two(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["plant", "--fail"]) == 2
    assert capsys.readouterr().err == "trans3dhead: 7 came; expected 8; give 8\n"


def test_debug_shows_the_traceback() -> None:
    with pytest.raises(UserError):
        cli.main(["plant", "--fail", "--debug"])


def test_exit_code_and_json_are_the_commands(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "result.json"
    assert cli.main(["plant", "--gate", "1", "--json", str(out)]) == 1
    assert json.loads(out.read_text()) == {"gate": 1}


def test_a_failed_command_writes_no_json(tmp_path: Path) -> None:
    out = tmp_path / "result.json"
    cli.main(["plant", "--fail", "--json", str(out)])
    assert list(tmp_path.iterdir()) == []


def test_a_missing_package_names_the_extra(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["plant", "--need", "no_such_package"]) == 2
    error = capsys.readouterr().err
    assert "no_such_package" in error
    assert "pip install" in error


def test_our_own_missing_module_is_not_blamed_on_the_user() -> None:
    with pytest.raises(ModuleNotFoundError):
        cli.main(["plant", "--need", "engines.no_such_module"])


def test_unknown_option_is_a_user_error() -> None:
    assert cli.main(["plant", "--no-such-option"]) == 2


@pytest.mark.parametrize("name", [name for name in cli.COMMANDS if name != "plant"])
def test_every_command_has_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([*name.split(), "--help"]) == 0
    assert "--json" in capsys.readouterr().out


@pytest.mark.parametrize("words", [["--help"], ["export", "--help"]])
def test_help_imports_nothing_heavy(words: list[str]) -> None:
    code = (
        "import sys; from trans3dhead.cli.main import main; main(sys.argv[1:]);"
        "heavy = {'torch', 'onnx', 'onnxruntime', 'cv2', 'scipy', 'polygraphy'} & set(sys.modules);"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
