"""`trans3dhead score`: the benchmark's metrics of a submission file, of any method."""

from dataclasses import dataclass
from pathlib import Path

import tyro

from trans3dhead.cli.common import CommonOptions, Outcome

LISTED = 5
"""Names shown of the items without a prediction."""


@dataclass(frozen=True, kw_only=True)
class Options(CommonOptions):
    """Measure a submission on a split with annotations, beside what the papers print.

    An item without a prediction is counted and named, and is in no mean: exit code 1 where there is
    one.
    """

    submission: tyro.conf.Positional[Path]
    """JSON file, as `trans3dhead submit` or any other method writes it."""
    data: Path
    """Folder that holds DAD-3DHeadsDataset."""
    split: str = "val"
    """train or val: test has no annotations."""
    head: Path | None = None
    """Folder of the head model of the annotations; the built-in one by default."""


def run(options: Options) -> Outcome:
    from trans3dhead.cli.evaluate import show
    from trans3dhead.data.dad3dheads import HeadDataset
    from trans3dhead.head.source import resolve_head
    from trans3dhead.submission import read_submission, score

    dataset = HeadDataset(options.data, options.split)
    found = score(read_submission(options.submission), dataset, resolve_head(options.head))
    show(found.evaluation, f"{options.submission} on {options.data}, {options.split}")
    for names, what in (
        (found.missing, f"of {len(dataset)} items have no prediction and are in no mean"),
        (found.unknown, f"predictions are of no item of split {options.split}"),
    ):
        if names:
            more = ", ..." if len(names) > LISTED else ""
            print(f"{len(names)} {what}: {', '.join(names[:LISTED])}{more}")
    return Outcome(data=found.to_dict(), exit_code=1 if found.missing else 0, report=found)
