"""What several rooms' tests share: one run of the demo, which trains, exports and builds."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from browser import Browser, chromium
from support import NO_TORCH, Demo, WithoutTorch

from benchmarks.throughput.results import REPORT_SCHEMA
from trans3dhead.cli.main import main

if TYPE_CHECKING:
    from jsonschema import Draft202012Validator


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    """`trans3dhead demo`, run once, as a person runs it. Read only; a change needs a copy."""
    folder = tmp_path_factory.mktemp("demo") / "demo"
    result = folder.with_name("demo.json")
    code = main(["demo", "--out", str(folder), "--json", str(result)])
    return Demo(folder, code, json.loads(result.read_text()))


@pytest.fixture(scope="session")
def without_torch() -> WithoutTorch:
    """Run the command line in a process in which importing torch raises."""

    def run(*words: object) -> subprocess.CompletedProcess[str]:
        code = NO_TORCH + "from trans3dhead.cli.main import main\nsys.exit(main(sys.argv[1:]))\n"
        return subprocess.run(
            [sys.executable, "-c", code, *map(str, words)],
            capture_output=True,
            text=True,
            check=False,
        )

    return run


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Headless Chromium for pages; without it, the tests that need one are skipped."""
    program = chromium()
    if program is None:
        pytest.skip("no Chromium on this machine: apt-get install chromium brings it")
    with Browser(program) as opened:
        yield opened


@pytest.fixture(scope="session")
def validator_of() -> "Callable[[Path], Draft202012Validator]":
    """What holds reports to one of the schemas that ship; they refer to that of `bench run`."""
    from jsonschema import Draft202012Validator
    from referencing import Registry, Resource

    shared = Resource.from_contents(json.loads(REPORT_SCHEMA.read_text()))
    registry: Any = Registry().with_resource(REPORT_SCHEMA.name, shared)

    def of(path: Path) -> Draft202012Validator:
        schema = json.loads(path.read_text())
        Draft202012Validator.check_schema(schema)
        return Draft202012Validator(schema, registry=registry)

    return of
