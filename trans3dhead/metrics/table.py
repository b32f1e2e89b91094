"""What the metrics are, as data, and what the papers print for them (SPEC 6 and 7)."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Metric:
    """How a metric is shown and read."""

    label: str
    unit: str
    lower_is_better: bool
    digits: int
    """Decimals the paper prints: an engine that moves none of them equals the paper's model."""

    def shown(self, value: float) -> str:
        """The value with the paper's decimals."""
        return f"{value:.{self.digits}f}"


METRICS: dict[str, Metric] = {
    "nme": Metric(label="NME", unit="% of sqrt(w h) of the box", lower_is_better=True, digits=3),
    "z5_published": Metric(
        label="Z5 published", unit="share of pairs", lower_is_better=False, digits=4
    ),
    "z5_defined": Metric(
        label="Z5 defined", unit="share of pairs", lower_is_better=False, digits=4
    ),
    "chamfer": Metric(
        label="Chamfer",
        unit="squared length, inner eye corners 20 apart",
        lower_is_better=True,
        digits=3,
    ),
    "pose_error": Metric(label="Pose error", unit="Frobenius norm", lower_is_better=True, digits=3),
}
"""Name to metric, in the order of the paper's tables."""


@dataclass(frozen=True, kw_only=True)
class PublishedRow:
    """One method's numbers on one split of DAD-3DHeads, as its paper prints them."""

    method: str
    split: str
    nme: float
    chamfer: float
    pose_error: float
    z5_published: float | None = None
    """None where the paper prints none. Printed numbers are of the published kind, all of them."""
    images_per_second: int | None = None
    """On a V100."""

    def value(self, metric: str) -> float | None:
        """The printed value of a metric of METRICS; None where the paper has none."""
        return None if metric == "z5_defined" else getattr(self, metric)

    def shown(self, metric: str) -> str:
        """The value with the decimals the paper prints; a dash where it has none."""
        value = self.value(metric)
        if value is None:
            return "-"
        rounded = metric == "z5_published" and self.split == "test"
        return f"{value:.3f}" if rounded else METRICS[metric].shown(value)


PUBLISHED = (
    PublishedRow(
        method="RingNet", split="test", nme=8.757, z5_published=0.880, chamfer=5.166,
        pose_error=0.438,
    ),
    PublishedRow(method="3DDFA-V2", split="test", nme=3.580, chamfer=6.170, pose_error=0.527),
    PublishedRow(
        method="DAD-3DNet", split="test", nme=2.431, z5_published=0.949, chamfer=3.183,
        pose_error=0.168, images_per_second=112,
    ),
    PublishedRow(
        method="Trans3DHead", split="test", nme=2.248, z5_published=0.950, chamfer=3.257,
        pose_error=0.153, images_per_second=115,
    ),
    PublishedRow(
        method="DAD-3DNet", split="val", nme=1.956, z5_published=0.9571, chamfer=2.749,
        pose_error=0.130,
    ),
    PublishedRow(
        method="Trans3DHead", split="val", nme=1.822, z5_published=0.9585, chamfer=2.796,
        pose_error=0.123,
    ),
)  # fmt: skip
"""Table 1 (test) and the last rows of Table 3 (val) of the paper."""
