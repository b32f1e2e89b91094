"""Does the judge cry wolf? One honest engine is judged many times, each time on other images.

A gate that fails an engine which does what its recipe says is as useless as one that never fails.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.parity.harness import judge_engine
from benchmarks.parity.outputs import Mesh, Progress
from benchmarks.parity.results import ParityReport
from benchmarks.parity.statistics import MIN_IMAGES, Verdict
from benchmarks.parity.yardstick import bundled, part_of
from engines.bundle import Bundle
from engines.errors import UserError
from engines.runtime import bundle_of, open_engine

RUNS = 20


@dataclass(frozen=True, kw_only=True)
class Run:
    """One verdict."""

    verdict: Verdict
    unsettled: tuple[str, ...]
    """The gates that failed or stayed open, as `verify` says them."""


@dataclass(frozen=True, kw_only=True)
class Honest:
    """All verdicts on one engine."""

    engine: str
    images: int
    """Of each run; no image is in two."""
    runs: tuple[Run, ...]

    def count(self, verdict: Verdict) -> int:
        """How many runs ended so."""
        return sum(run.verdict == verdict for run in self.runs)

    @property
    def passed(self) -> bool:
        """Whether no run fails; an open one asks for more images, which is no false alarm."""
        return not self.count("fail")

    @property
    def headline(self) -> str:
        """All runs in one line."""
        return (
            f"{'PASS' if self.passed else 'FAIL'}: of {len(self.runs)} runs of {self.images} "
            f"images {self.count('fail')} fail, {self.count('inconclusive')} are inconclusive, "
            f"{self.count('pass')} pass"
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        return asdict(self) | {"headline": self.headline, "passed": self.passed}


def judge_often(
    engine_folder: Path,
    head_folder: Path | None = None,
    *,
    runs: int = RUNS,
    margins: Path | None = None,
    threads: int | None = None,
    progress: Progress = lambda stage, done, total: None,
) -> Honest:
    """Judge an engine by every gate on each of `runs` equal parts of its bundle's reference.

    Nothing is written into its manifest.

    Args:
        engine_folder: BUNDLE/engines/NAME.
        head_folder: the head model, where the bundle neither holds it nor uses the built-in one.
        runs: how many parts.
        margins: a TOML file that overrides the shipped margins.
        threads: CPU threads; the runtime's own choice where None.
        progress: called with stage, done, total.

    Raises:
        UserError: engine, bundle, head model or margins cannot be used, or a part is too small to
            judge by.
    """
    done: list[Run] = []
    with open_engine(engine_folder, threads) as engine:
        bundle = Bundle.open(bundle_of(engine_folder.absolute()))
        whole = bundled(bundle, None)
        images = len(whole.reference) // max(1, runs)
        if runs < 1 or images < MIN_IMAGES:
            raise UserError(
                f"{runs} runs came, for {len(whole.reference)} reference images; expected at least "
                f"1, of at least {MIN_IMAGES} images each; export with "
                f"`--count {64 * max(1, runs)}`"
            )
        mesh = Mesh.of(bundle, head_folder)
        for start in range(0, runs * images, images):
            part = part_of(whole.reference, slice(start, start + images))
            report = judge_engine(
                engine,
                bundle,
                replace(whole, reference=part),
                mesh=mesh,
                margins=margins,
                name=str(engine_folder),
                progress=lambda stage, done, total: None,
            )
            done.append(Run(verdict=report.verdict, unsettled=_unsettled(report)))
            progress("runs", len(done), runs)
    return Honest(engine=str(engine_folder), images=images, runs=tuple(done))


def _unsettled(report: ParityReport) -> tuple[str, ...]:
    verdicts: Sequence[Verdict] = ("fail", "inconclusive")
    return tuple(gate.line() for verdict in verdicts for gate in report.with_verdict(verdict))
