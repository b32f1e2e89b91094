"""The demo's report: one page, from the head one can turn down to the commands that made it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.parity.results import ParityReport
from benchmarks.parity.statistics import Verdict
from benchmarks.report import pieces
from benchmarks.report.bench_sections import throughput_section
from benchmarks.report.figures import mesh_view
from benchmarks.report.page import page
from benchmarks.report.parity_tables import metric_table, movement_table
from benchmarks.report.pieces import Html, Section
from benchmarks.report.tables import Column, Row, Table, number
from benchmarks.throughput.results import BenchReport
from engines.manifest import Manifest
from trans3dhead.cli.common import Step
from trans3dhead.evaluation import Evaluation
from trans3dhead.metrics import METRICS
from trans3dhead.outputs.prediction import Prediction

AVERAGE_FACE = "average face"
PICTURE = 192
"""Side of one head in the demo's picture, pixels."""


@dataclass(frozen=True, kw_only=True)
class Story:
    """What the demo did, in the order of the report."""

    evaluation: Evaluation
    """Of the checkpoint, on heads it never saw."""
    read: tuple[tuple[Path, np.ndarray, Prediction], ...]
    """(file, image [H, W, 3] uint8 RGB, what an engine read in it)."""
    built: tuple[Step, ...]
    """The builds that were tried."""
    verified: tuple[ParityReport, ...]
    bench: BenchReport
    steps: tuple[Step, ...]
    """Every command."""
    seconds: float
    """From the first command to the last."""

    @property
    def passed(self) -> bool:
        """Whether every judged engine equals PyTorch."""
        return all(report.passed for report in self.verified)

    @property
    def nme_share(self) -> float:
        """NME on unseen heads as a share of that of answering with the average face."""
        return self.evaluation.means["nme"] / self.evaluation.baselines[AVERAGE_FACE]["nme"]

    @property
    def headline(self) -> str:
        """All of it in one line."""
        engines = sum(step.outcome is not None for step in self.built)
        verdicts = ", ".join(
            f"{report.subject.runtime} {report.subject.recipe} {report.verdict}"
            for report in self.verified
        )
        return (
            f"NME on unseen heads {self.evaluation.means['nme']:.2f}, {self.nme_share:.0%} of the "
            f"average face's; {engines} of {len(self.built)} engines built; parity: {verdicts}; "
            f"{self.seconds:.0f} s"
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {
            "headline": self.headline,
            "passed": self.passed,
            "nme": self.evaluation.means["nme"],
            "nme_average_face": self.evaluation.baselines[AVERAGE_FACE]["nme"],
            "parity": {report.subject.engine: report.verdict for report in self.verified},
            "commands": [
                {"command": step.command, "seconds": step.seconds, "refusal": step.refusal}
                for step in self.steps
            ],
            "seconds": self.seconds,
        }


def report(story: Story) -> str:
    """The whole HTML file."""
    verdict: Verdict = "pass" if story.passed else "fail"
    return page(
        "Trans3DHead: the main job on the built-in head",
        [
            _heads(story),
            _accuracy(story.evaluation),
            _parity(story.verified),
            throughput_section(story.bench),
            _engines(story.built),
            _commands(story.steps),
        ],
        banner=pieces.verdict_line(verdict, story.headline),
        subtitle="the tiny preset, trained here and now on rendered heads: it shows the way, "
        "not the accuracy of the full model",
    )


def picture(story: Story) -> np.ndarray:
    """The heads and what was read in them, one pair below the other: [H, W, 3] uint8 RGB."""
    import cv2

    pairs = []
    for _, image, prediction in story.read:
        window = _around(prediction, 0.1)
        pair = [
            cv2.resize(part[window], (PICTURE, PICTURE)) for part in (image, prediction.draw(image))
        ]
        pairs.append(np.concatenate(pair, axis=0))
    return np.concatenate(pairs, axis=1)


def _around(prediction: Prediction, share: float) -> tuple[slice, slice]:
    """Rows and columns of the box, grown by a share of its sides."""
    x, y, w, h = prediction.bbox
    rows = slice(max(round(y - share * h), 0), round(y + (1 + share) * h))
    return rows, slice(max(round(x - share * w), 0), round(x + (1 + share) * w))


def _heads(story: Story) -> Section:
    figures: list[Html] = []
    for path, image, prediction in story.read:
        window = _around(prediction, 0.35)
        shown = np.concatenate([image[window], prediction.draw(image)[window]], axis=1)
        angles = ", ".join(f"{name} {round(value):+d}°" for name, value in prediction.pose.items())
        figures.append(pieces.image_tag(shown, f"{path.stem}: {angles}"))
    _, _, first = story.read[0]
    # The posed mesh in the axes of the view: y up, z towards the reader.
    upright = first.vertices * np.array([1.0, -1.0, -1.0], np.float32)
    surface = first.surface
    return Section(
        title="What comes out",
        lead="Photo, and on it: landmarks (green dots), mesh, pose (red the subject's left, green "
        "up, blue out of the face). None of these heads was trained on.",
        body=[
            pieces.gallery(figures),
            mesh_view(
                upright,
                surface.faces,
                colors=surface.colors,
                title="The first head's mesh; drag to turn",
            ),
        ],
    )


def _accuracy(evaluation: Evaluation) -> Section:
    columns = [Column(label="", number=False)]
    columns += [Column(label=_labelled(name)) for name in METRICS]

    def row(name: str, means: dict[str, float], *, main: bool = False) -> Row:
        cells = [METRICS[m].shown(means[m]) if m in means else "-" for m in METRICS]
        return Row(cells=(name, *cells), main=main)

    rows = [row("this model", evaluation.means, main=True)]
    rows += [row(f"always {name}", means) for name, means in evaluation.baselines.items()]
    return Section(
        title="How good is the model",
        body=[
            pieces.table(
                Table(
                    title=f"{len(evaluation.item_ids)} unseen heads",
                    columns=tuple(columns),
                    rows=tuple(rows),
                )
            )
        ],
    )


def _labelled(name: str) -> str:
    metric = METRICS[name]
    return f"{metric.label} ({metric.unit})" if metric.unit else metric.label


def _parity(reports: tuple[ParityReport, ...]) -> Section:
    body: list[Html | str] = []
    for found in reports:
        _, text = found.headline.split(": ", 1)
        body += [
            pieces.verdict_line(found.verdict, text),
            pieces.table(metric_table(found)),
            pieces.table(movement_table(found)),
        ]
    return Section(
        title="Are the engines the same as PyTorch",
        lead="Engine against eager float32 PyTorch on the same images; a gate passes where the "
        "whole 95 % interval of the difference lies within its margin.",
        body=body,
    )


def _engines(built: tuple[Step, ...]) -> Section:
    rows = []
    for step in built:
        if step.outcome is None:
            rows.append(Row(cells=(step.command, "not here", "-", "-", step.refusal)))
            continue
        manifest = step.outcome.report
        assert isinstance(manifest, Manifest)
        cells = (
            f"{manifest.runtime} {manifest.runtime_version}",
            manifest.recipe,
            number(manifest.seconds, 3),
            number(manifest.size_bytes / 1e6, 3),
            manifest.effective.line(),
        )
        rows.append(Row(cells=cells))
    return Section(
        title="What was built",
        body=[
            pieces.table(
                Table(
                    title="Engines",
                    columns=(
                        Column(label="runtime", number=False),
                        Column(label="recipe", number=False),
                        Column(label="seconds"),
                        Column(label="MB"),
                        Column(label="what it computes, or why it is not here", number=False),
                    ),
                    rows=tuple(rows),
                )
            )
        ],
    )


def _commands(steps: tuple[Step, ...]) -> Section:
    lines = "\n".join(f"{step.command}    # {step.seconds:.1f} s" for step in steps)
    return Section(
        title="How it was made",
        lead="Every number above comes from these commands; they can be typed one by one.",
        body=[pieces.command(lines)],
    )
