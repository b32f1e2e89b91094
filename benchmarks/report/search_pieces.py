"""What a search for a recipe shows: each part's damage, the steps from both ends, the frontier."""

from benchmarks.parity.search import Found, Tried
from benchmarks.report import pieces
from benchmarks.report.figures import chart
from benchmarks.report.page import page
from benchmarks.report.pieces import Section
from benchmarks.report.tables import Column, Row, Table

BROKEN = "not finite"


def share_table(found: Found) -> Table:
    """What becomes of lowering each part alone, the worst first."""
    order = sorted(found.parts, key=lambda part: -_height(found.alone[part]))
    return Table(
        title=f"Each part alone in {found.base}",
        columns=(
            Column(label="part", number=False),
            Column(label="of the FLOPs"),
            Column(label="of the worst margin"),
            Column(label="worst gate", number=False),
        ),
        rows=tuple(
            Row(
                cells=(
                    part,
                    f"{found.shares[part]:.1%}",
                    _damage(found.alone[part]),
                    found.alone[part].worst.split(":")[0],
                ),
                verdict=found.alone[part].verdict if not found.alone[part].passed else None,
            )
            for part in order
        ),
        note=f"Everything else in float32; {found.images} images. 100 %: the worst gate's number "
        "reaches its margin.",
    )


def step_table(found: Found) -> Table:
    """What was tried from both ends."""
    rows = [_step("from float32 up", found.exact, found)]
    rows += [_step(f"from {found.base} down", tried, found) for tried in found.downwards]
    rows += [_step("from float32 up", tried, found) for tried in found.upwards]
    return Table(
        title="From both ends",
        columns=(
            Column(label="search", number=False),
            Column(label="in float32", number=False),
            Column(label="FLOPs in low precision"),
            Column(label="of the worst margin"),
            Column(label="verdict", number=False),
        ),
        rows=tuple(rows),
    )


def _step(which: str, tried: Tried, found: Found) -> Row:
    raised = [part for part in found.parts if part not in tried.lowered]
    few = raised if len(raised) <= 4 else [*raised[:3], f"{len(raised) - 3} more"]
    return Row(
        cells=(
            which,
            ", ".join(few) or "nothing",
            f"{tried.low_flops:.1%}",
            _damage(tried),
            tried.verdict,
        ),
        verdict=tried.verdict,
        main=tried is found.best,
    )


def _damage(tried: Tried) -> str:
    return BROKEN if tried.damage is None else f"{tried.damage:.0%}"


def _height(tried: Tried) -> float:
    return float("inf") if tried.damage is None else tried.damage


def search_page(found: Found) -> str:
    """The whole search as one HTML file."""
    verdict, text = found.headline.split(": ", 1)
    points = [tried for tried in found.tried if tried.damage is not None]
    traces = [
        {
            "type": "scatter",
            "mode": "markers",
            "name": "tried",
            "x": [100 * tried.low_flops for tried in points],
            "y": [100 * (tried.damage or 0.0) for tried in points],
            "marker": {"color": 0},
        },
        {
            "type": "scatter",
            "mode": "lines+markers",
            "name": "frontier",
            "x": [100 * tried.low_flops for tried in found.frontier],
            "y": [100 * (tried.damage or 0.0) for tried in found.frontier],
            "marker": {"color": 1},
            "line": {"color": 1},
        },
    ]
    frontier = Section(
        title="Speed against error",
        lead="The share of the arithmetic in low precision stands for speed: a CPU only emulates "
        "it. Nothing lies to the lower right of the frontier.",
        body=[
            chart(
                traces,
                title="what was tried",
                x="% of FLOPs in low precision",
                y="% of the worst margin",
            )
        ],
    )
    return page(
        f"The cheapest recipe below {found.base}",
        [
            frontier,
            Section(title="Steps", body=[pieces.table(step_table(found))]),
            Section(title="Parts", body=[pieces.table(share_table(found))]),
        ],
        banner=pieces.verdict_line("pass" if verdict == "PASS" else "fail", text),
        subtitle=f"{found.bundle}, judged on {found.images} images",
    )
