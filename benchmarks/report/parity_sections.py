"""What a parity report shows, section by section."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.parity.gates import LARGEST
from benchmarks.parity.quantities import PIXELS_OF
from benchmarks.parity.results import ParityReport
from benchmarks.report import pieces
from benchmarks.report.figures import histogram, mesh_view
from benchmarks.report.page import page
from benchmarks.report.parity_tables import (
    metric_table,
    movement_table,
    other_table,
    tensor_table,
)
from benchmarks.report.pieces import Html, Section
from benchmarks.report.walk_pieces import walk_section

DRAWN = 512
"""Side, in pixels, at which crops are drawn."""
ARROW = 36.0
"""Length of the longest drawn movement, in drawn pixels."""
REFERENCE_COLOR, ENGINE_COLOR, RIM = (60, 255, 120), (255, 92, 160), (0, 0, 0)
DOT = 4
SHIFT = 4
"""Fractional bits of OpenCV's coordinates: it draws to a sixteenth of a pixel."""


def parity_page(report: ParityReport) -> str:
    """The report of `verify` as one HTML file."""
    subject = report.subject
    return page(
        f"Parity of {subject.runtime} {subject.recipe} with PyTorch",
        parity_sections(report),
        banner=verdict_banner(report),
        subtitle=f"{subject.engine}, judged on {report.images} images",
    )


def verdict_banner(report: ParityReport) -> Html:
    """The verdict in one line, coloured."""
    _, text = report.headline.split(": ", 1)
    return pieces.verdict_line(report.verdict, text)


def parity_sections(report: ParityReport) -> list[Section]:
    """All sections; a caller may pick from them."""
    sections = [verdict_section(report), numbers_section(report)]
    if report.evidence.worst:
        sections.append(pictures_section(report))
    if report.evidence.mesh is not None:
        sections.append(mesh_section(report))
    if report.walk is not None:
        sections.append(walk_section(report.walk))
    return [*sections, tensors_section(report), origin_section(report)]


def verdict_section(report: ParityReport) -> Section:
    """What failed or is open, and what so many images can show."""
    open_gates = [*report.with_verdict("fail"), *report.with_verdict("inconclusive")]
    lines = [gate.line() for gate in open_gates]
    return Section(
        title="Verdict",
        body=[
            pieces.listing(lines) if lines else "Every gate that could be measured passes.",
            f"{report.digits_line[0].upper()}{report.digits_line[1:]}.",
            f"{report.blind_line}.",
        ],
    )


def numbers_section(report: ParityReport) -> Section:
    """Metrics, movements, the remaining gates, histograms."""
    evidence, gates = report.evidence, {gate.name: gate for gate in report.gates}
    charts = [
        histogram(
            values,
            title=f"{name.replace('/', ': ')}, largest in each image",
            unit=evidence.units[name],
            margin=gates[name + LARGEST].margin,
        )
        for name, values in evidence.movements.items()
    ]
    return Section(
        title="Numbers",
        lead="A gate passes where the whole 95 % interval lies within its margin, and fails where "
        "the whole interval lies beyond it.",
        body=[
            pieces.table(metric_table(report)),
            pieces.table(movement_table(report)),
            pieces.gallery(charts),
            pieces.table(other_table(report)),
        ],
    )


def pictures_section(report: ParityReport) -> Section:
    """The images that the engine moves most, reference and engine side by side."""
    evidence = report.evidence
    figures = []
    for place, index in enumerate(evidence.worst):
        caption = evidence.item_ids[index]
        if evidence.points is None:
            picture = _enlarged(evidence.crops[place])
        else:
            reference, engine = (points[place] for points in evidence.points)
            picture, times = _side_by_side(evidence.crops[place], reference, engine)
            moved = np.linalg.norm(engine - reference, axis=-1).max()
            moved *= PIXELS_OF / evidence.crops.shape[1]
            caption += (
                f": moved up to {moved:.3g} px of {PIXELS_OF}; arrows {times:.3g} times as long"
            )
        figures.append(pieces.image_tag(picture, caption))
    return Section(
        title="The images it moves most",
        lead="Left: what PyTorch answers, in green. Right: what the engine answers, in pink, with "
        "the way each landmark moved, enlarged.",
        body=[pieces.gallery(figures, wide=True)],
    )


def mesh_section(report: ParityReport) -> Section:
    """The mean head, coloured by how far the engine moves each vertex."""
    evidence = report.evidence
    assert evidence.mesh is not None and evidence.vertex_error is not None
    return Section(
        title="Where on the head",
        lead="The mean head of these images; colour says how far the engine moves a vertex, mean "
        "over the images. Drag to turn.",
        body=[
            mesh_view(
                evidence.mesh,
                evidence.faces,
                values=evidence.vertex_error,
                unit="mm",
                title="vertex movement",
            )
        ],
    )


def tensors_section(report: ParityReport) -> Section:
    """The bare numbers."""
    return Section(title="Tensors", body=[pieces.table(tensor_table(report))])


def origin_section(report: ParityReport) -> Section:
    """What was judged, where, and the hashes to know it by."""
    subject = report.subject
    machine = subject.judged_on
    shown: dict[str, Any] = {
        "engine": subject.engine,
        "runtime": f"{subject.runtime} {subject.runtime_version}, {subject.provider}",
        "recipe": subject.recipe,
        "effective precision": f"{subject.precision}, {subject.low_flops:.1%} of FLOPs in half",
        "variant": subject.variant,
        "head model": subject.head,
        "checkpoint": subject.checkpoint,
        "held against": subject.reference,
        "judged on": machine.gpu or machine.cpu,
        "margins": f"[{subject.margins_section}]",
    }
    hashes = {
        "engine file": subject.engine_sha256,
        "ONNX graph": subject.onnx_sha256,
        "contract": subject.contract_sha256,
        "reference": subject.reference_sha256,
        "margins": subject.margins_sha256,
        "checkpoint": subject.checkpoint_sha256,
    }
    seconds = {stage: f"{taken:.2f} s" for stage, taken in report.seconds.items()}
    return Section(
        title="Where it comes from",
        body=[
            pieces.facts(shown),
            pieces.details("sha256", pieces.facts(hashes)),
            pieces.details("time taken", pieces.facts(seconds)),
        ],
    )


def _side_by_side(
    crop: NDArray[np.uint8], reference: NDArray[np.floating], engine: NDArray[np.floating]
) -> tuple[NDArray[np.uint8], float]:
    """Both drawn [DRAWN, 2 DRAWN, 3], and how much longer the arrows are than the movements."""
    import cv2

    scale = DRAWN / crop.shape[0]
    start = reference.astype(np.float64) * scale
    moved = engine.astype(np.float64) * scale - start
    longest = float(np.linalg.norm(moved, axis=-1).max())
    times = max(1.0, ARROW / longest) if longest else 1.0
    left = _enlarged(crop)
    right = left.copy()
    for first, last in zip(_fixed_point(start), _fixed_point(start + times * moved), strict=True):
        for radius, color in ((DOT + 1, RIM), (DOT, REFERENCE_COLOR)):
            cv2.circle(left, first, radius << SHIFT, color, -1, cv2.LINE_AA, SHIFT)
        for width, color in ((4, RIM), (2, ENGINE_COLOR)):
            cv2.arrowedLine(right, first, last, color, width, cv2.LINE_AA, SHIFT, 0.3)
    return np.concatenate([left, right], axis=1), times


def _fixed_point(points: NDArray[np.floating]) -> list[tuple[int, int]]:
    """OpenCV's fixed-point coordinates, in which pixel k has its centre at k."""
    whole = np.rint((points - 0.5) * (1 << SHIFT))
    bounded = np.clip(whole, -(1 << 24), 1 << 24).astype(int)
    return [(x, y) for x, y in bounded.tolist()]


def _enlarged(crop: NDArray[np.uint8]) -> NDArray[np.uint8]:
    import cv2

    size = (DRAWN, DRAWN)
    return np.asarray(cv2.resize(crop, size, interpolation=cv2.INTER_CUBIC), np.uint8)
