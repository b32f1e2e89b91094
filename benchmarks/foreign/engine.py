"""A foreign ONNX or TorchScript file, opened as an `Engine`: whatever judges or times engines
takes it."""

import hashlib
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from benchmarks.foreign.adapter import Adapter, read_adapter
from benchmarks.foreign.frames import to_input, to_outputs
from engines.bundle import Bundle
from engines.contract import (
    Contract,
    Cost,
    HeadIdentity,
    ImageContract,
    Provenance,
    RecipeEntry,
    input_specs,
    output_specs,
)
from engines.errors import ContractError, UserError
from engines.files import sha256_of
from engines.machine import this_machine
from engines.manifest import BatchProfile, Manifest
from engines.precision import Effective
from engines.records import to_json
from engines.runtime import Engine
from engines.steps import COPY_IN, INFERENCE, Mark
from trans3dhead.head.layout import LAYOUT_413
from trans3dhead.head.surface import VERTEX_COUNT

Array = NDArray[Any]

RECIPE = "foreign"
"""What takes the place of a recipe's name; a margins file may have a section of it."""
OPEN_PROFILE = BatchProfile(min=1, opt=8, max=32)
TORCHSCRIPT_SUFFIXES = (".pt", ".pth", ".ts", ".torchscript", ".trcd")
NOBODY = "0" * 64
"""In the place of a hash of something that a foreign model has not."""


class Model(Protocol):
    """An opened file."""

    runtime: str
    version: str
    batch: int | None
    """The one size it takes; None where it is open."""

    def __call__(self, inputs: Array) -> dict[str, Array]:
        """Its own outputs by name, [B, ...]; a UserError where it fails."""


class ForeignEngine(Engine):
    """A foreign model that answers as its adapter makes it.

    Args:
        model: opened.
        adapter: what it takes and gives.
        path: of its file.

    Raises:
        UserError: the model cannot take what the adapter says, or gives something else.
    """

    def __init__(self, model: Model, adapter: Adapter, path: Path) -> None:
        self._model, self._adapter = model, adapter
        batch = model.batch or adapter.input.batch
        size = adapter.input.size
        blank = np.zeros((batch or 1, size, size, 3), np.uint8)
        shapes = {name: value.shape for name, value in self._answers(blank).items()}
        contract = _contract(path, adapter, batch, shapes)
        profile = BatchProfile(min=batch, opt=batch, max=batch) if batch else OPEN_PROFILE
        super().__init__(
            Bundle(path.parent, contract), _manifest(model, adapter, path, contract, profile)
        )

    def _answers(self, images: Array, mark: Mark | None = None) -> dict[str, Array]:
        taken = to_input(images, self._adapter.input)
        if mark is not None:
            mark(COPY_IN)
        given = self._model(taken)
        if mark is not None:
            mark(INFERENCE)
        absent = [name for name in self._adapter.outputs.names.values() if name not in given]
        if absent:
            raise ContractError(
                f"the model gives no {', '.join(absent)}; it gives {', '.join(given)}; "
                "mend the names in [outputs] of the adapter"
            )
        return to_outputs(given, self._adapter)

    def _run(self, inputs: dict[str, Array], out: dict[str, Array], mark: Mark | None) -> None:
        for name, value in self._answers(inputs["image"], mark).items():
            if value.shape != out[name].shape:
                raise ContractError(
                    f"{name} came as {list(value.shape)}; expected {list(out[name].shape)}; give "
                    "the one batch size that the model takes as `batch` in [input] of the adapter"
                )
            out[name][...] = value

    def _release(self) -> None:
        del self._model


def open_foreign(path: Path, adapter_file: Path, threads: int | None = None) -> ForeignEngine:
    """Open a foreign model by its adapter.

    Args:
        path: an ONNX file (needs no torch), or a TorchScript file.
        adapter_file: see `benchmarks.foreign.adapter`.
        threads: CPU threads; the runtime's own choice where None.

    Raises:
        UserError: a file is missing or broken, or the two do not fit.
    """
    adapter = read_adapter(adapter_file)
    if not path.is_file():
        raise UserError(f"{path} is not a file; expected an ONNX or TorchScript model; check it")
    model: Model
    if path.suffix == ".onnx":
        from benchmarks.foreign.onnx_model import OnnxModel

        model = OnnxModel(path, adapter.input, threads)
    elif path.suffix in TORCHSCRIPT_SUFFIXES:
        from benchmarks.foreign.torchscript_model import TorchScriptModel

        model = TorchScriptModel(path, threads)
    else:
        raise UserError(
            f"{path} ends with {path.suffix!r}; expected .onnx, or for TorchScript "
            f"{', '.join(TORCHSCRIPT_SUFFIXES)}; rename it"
        )
    return ForeignEngine(model, adapter, path)


def _contract(
    path: Path, adapter: Adapter, batch: int | None, shapes: dict[str, tuple[int, ...]]
) -> Contract:
    size, precision = adapter.input.size, adapter.precision
    parameters = shapes.get("params", (0, LAYOUT_413.count))[1]
    specs = output_specs("mesh", parameters=parameters, vertices=VERTEX_COUNT, landmarks=True)
    digest = sha256_of(path)
    return Contract(
        variant="mesh" if "vertices" in shapes else "params",
        batch=batch,
        inputs=input_specs(size),
        outputs=tuple(spec for spec in specs if spec.name in shapes),
        image=ImageContract(size=size),
        parameters={},
        head=HeadIdentity(
            name=RECIPE, sha256=NOBODY, licence="unknown", redistributable=False, included=False
        ),
        recipes={
            RECIPE: RecipeEntry(
                qamem="none", precision=precision, low_flops_share=0.0, node_counts={}
            )
        },
        cost=Cost(flops=0, weight_bytes={}),
        provenance=Provenance(
            checkpoint=path.name,
            checkpoint_sha256=digest,
            git_revision="none",
            versions={},
            preset="none",
            configuration={},
        ),
        files={path.name: digest},
    )


def _manifest(
    model: Model, adapter: Adapter, path: Path, contract: Contract, profile: BatchProfile
) -> Manifest:
    digest = contract.files[path.name]
    return Manifest(
        name=path.stem,
        runtime=model.runtime,
        runtime_version=model.version,
        provider="cpu",
        recipe=RECIPE,
        onnx_sha256=digest,
        contract_sha256=hashlib.sha256(to_json(contract).encode()).hexdigest(),
        profiles=(profile,),
        settings=asdict(adapter),
        effective=Effective(
            precision=adapter.precision, low_flops_promised=0.0, low_flops_found=0.0
        ),
        machine=this_machine(),
        seconds=0.0,
        file=path.name,
        files={path.name: digest},
        size_bytes=path.stat().st_size,
    )
