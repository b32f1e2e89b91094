"""An engine that returns at once: timed as any other, it shows what the harness and the contract's
checks add to every call."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.throughput.measure import Row
from engines.bundle import Bundle
from engines.contract import (
    Contract,
    Cost,
    HeadIdentity,
    ImageContract,
    Provenance,
    input_specs,
    output_specs,
)
from engines.machine import this_machine
from engines.manifest import BatchProfile, Manifest
from engines.precision import Effective
from engines.runtime import Engine
from engines.steps import Mark

NAME = "null engine"
SIZE, PARAMETERS = 256, 413
NOTHING = "0" * 64
"""In the place of a hash of something that is not there."""


class NullEngine(Engine):
    """Checks its inputs, makes its outputs, computes nothing."""

    def __init__(self) -> None:
        contract = Contract(
            variant="params",
            batch=1,
            inputs=input_specs(SIZE),
            outputs=output_specs("params", parameters=PARAMETERS, vertices=0, landmarks=True),
            image=ImageContract(size=SIZE),
            parameters={},
            head=HeadIdentity(
                name="none", sha256=NOTHING, licence="none", redistributable=True, included=False
            ),
            recipes={},
            cost=Cost(flops=0, weight_bytes={}),
            provenance=Provenance(
                checkpoint="none",
                checkpoint_sha256=NOTHING,
                git_revision="none",
                versions={},
                preset="none",
                configuration={},
            ),
            files={},
        )
        manifest = Manifest(
            name=NAME,
            runtime="none",
            runtime_version="none",
            provider="none",
            recipe="none",
            onnx_sha256=NOTHING,
            contract_sha256=NOTHING,
            profiles=(BatchProfile(min=1, opt=1, max=1),),
            settings={},
            effective=Effective(precision="none", low_flops_promised=0.0, low_flops_found=0.0),
            machine=this_machine(),
            seconds=0.0,
            file="none",
            files={},
            size_bytes=0,
        )
        super().__init__(Bundle(Path(), contract), manifest)

    def _run(
        self, inputs: dict[str, NDArray[Any]], out: dict[str, NDArray[Any]], mark: Mark | None
    ) -> None:
        """Leave the outputs as they are."""

    def _release(self) -> None:
        """Nothing is held."""


def null_row() -> Row:
    """The null engine as a row of one image."""
    engine = NullEngine()
    inputs = {"image": np.zeros((1, SIZE, SIZE, 3), np.uint8)}
    return Row(
        name=NAME,
        batch=1,
        call=lambda: engine.infer(inputs),
        precision="none",
        copies="none",
        threads=None,
    )
