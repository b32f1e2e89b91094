"""`trans3dhead COMMAND`: find the command, build its parser alone, run it, report in one line."""

import importlib
import json
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from trans3dhead import __version__
from trans3dhead.cli.common import Outcome

DONE, USER_ERROR, INTERRUPTED = 0, 2, 130

OURS = ("", "trans3dhead", "engines", "export", "benchmarks")
"""A missing module of these is our own mistake, never the user's."""


@dataclass(frozen=True)
class Command:
    """A command's module, which holds `Options` and `run`, and its line in the overview."""

    module: str
    summary: str


COMMANDS = {
    "demo": Command("demo", "the main job on the built-in head, ending in one report"),
    "synth": Command("synth", "render labelled heads in the DAD-3DHeads layout"),
    "train": Command("train", "train a network on a labelled folder"),
    "evaluate": Command("evaluate", "the four metrics of a checkpoint or an engine"),
    "evaluate aflw2000": Command("evaluate_aflw2000", "pitch, yaw and roll on AFLW2000-3D"),
    "submit": Command("submit", "predictions as the DAD-3DHeads benchmark takes them"),
    "score": Command("score", "the benchmark's metrics of a submission, of any method"),
    "study": Command("study", "does each part of the method help? Trainings over several seeds"),
    "export": Command("export", "checkpoint -> bundle (ONNX graphs, contract, reference)"),
    "build": Command("build", "bundle -> engine, where it will run"),
    "verify": Command("verify", "is the engine as good as PyTorch? Judged on the metrics"),
    "search": Command("search", "the cheapest precision recipe that passes verify"),
    "bench run": Command("bench_run", "throughput and latency, side by side in one run"),
    "bench modules": Command("bench_modules", "what each part of the network takes"),
    "bench compare": Command("bench_compare", "did a row become slower between two runs?"),
    "bench serve": Command("bench_serve", "latency of a service against its load"),
    "bench video": Command("bench_video", "how fast and how steady is predicting in video?"),
    "bench graph": Command("bench_graph", "what the deployed graph gains over a plain export"),
    "bench loader": Command("bench_loader", "how fast training crops are made"),
    "bench sweep": Command("bench_sweep", "does verify see a damaged weight?"),
    "bench honest": Command("bench_honest", "does verify fail an honest engine?"),
    "flame convert": Command("flame_convert", "FLAME's licensed pickle -> a head model without"),
    "predict": Command("predict", "photo -> landmarks, parameters, pose, mesh, drawing"),
    "deploy triton": Command("deploy_triton", "engine -> a model of Triton Inference Server"),
    "import": Command("import_", "a foreign state_dict and a key map -> checkpoint"),
    "describe": Command("describe", "parameters and arithmetic of a preset"),
    "doctor": Command("doctor", "what this machine has, lacks, and the line that mends it"),
}


REPORTS = ("json", "html", "markdown", "csv")
"""Options that name a file to write what was found to."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: words after the program's name; those of the process by default.

    Returns:
        0 done, 1 a gate failed or stayed open, 2 what was given cannot be used (said in a line).
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    if not words or words[0] in ("-h", "--help"):
        print(_overview())
        return DONE if words else USER_ERROR
    if words[0] == "--version":
        print(f"trans3dhead {__version__}")
        return DONE
    name = next((" ".join(words[:n]) for n in (2, 1) if " ".join(words[:n]) in COMMANDS), None)
    if name is None:
        return _refuse(f"unknown command {words[0]!r}; expected one of: {', '.join(COMMANDS)}")
    return _run(name, words[len(name.split()) :])


def execute(name: str, words: Sequence[str]) -> Outcome:
    """Run one command.

    Args:
        name: a key of `COMMANDS`.
        words: its options, as they would be typed.

    Raises:
        UserError: what was given cannot be used.
        SystemExit: the words were no options of the command, or asked for help; either was said.
    """
    import tyro

    module: Any = importlib.import_module(f"trans3dhead.cli.{COMMANDS[name].module}")
    options = tyro.cli(module.Options, args=list(words), prog=f"trans3dhead {name}")
    written = [getattr(options, form, None) for form in REPORTS]
    for path in filter(None, written):
        from engines.files import check_writable

        check_writable(path)
    outcome: Outcome = module.run(options)
    if options.json is not None:
        from engines.files import write_whole

        write_whole(options.json, json.dumps(outcome.data, indent=1) + "\n")
    return outcome


def _run(name: str, words: list[str]) -> int:
    """The exit code of a command, its errors said in one line unless it is being debugged."""
    from engines.errors import UserError

    debug = "--debug" in words
    try:
        with _own_warnings_in_a_line():
            return execute(name, words).exit_code
    except SystemExit as stop:
        return DONE if stop.code in (0, None) else USER_ERROR
    except (UserError, OSError) as error:
        if debug:
            raise
        return _refuse(str(error))
    except ModuleNotFoundError as error:
        if debug or (error.name or "").split(".")[0] in OURS:
            raise
        return _refuse(
            f"{name} needs the package {error.name}, which is not installed; "
            "install the extra that brings it: pip install 'trans3dhead[cpu,vision]' to run "
            "engines, 'trans3dhead[train]' to train and export"
        )
    except KeyboardInterrupt:
        print("trans3dhead: interrupted", file=sys.stderr)
        return INTERRUPTED


@contextmanager
def _own_warnings_in_a_line() -> Iterator[None]:
    """Say our warnings as our errors are said, without the line of code that Python adds."""
    with warnings.catch_warnings():
        others = warnings.showwarning

        def show(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
            if category.__module__.split(".")[0] in OURS:
                print(f"trans3dhead: {' '.join(str(message).split())}", file=sys.stderr)
            else:
                others(message, category, *where, **more)

        warnings.showwarning = show
        yield


def _refuse(message: str) -> int:
    print(f"trans3dhead: {' '.join(message.split())}", file=sys.stderr)
    return USER_ERROR


def _overview() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {command.summary}" for name, command in COMMANDS.items()]
    return "\n".join(
        [
            f"trans3dhead {__version__}: a 3D head from one photo, and engines proven equal to it",
            "",
            "usage: trans3dhead COMMAND [options]    (COMMAND --help tells the options)",
            "",
            *lines,
            "",
            "exit codes: 0 done, 1 a gate failed or stayed open, 2 what was given cannot be used",
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
