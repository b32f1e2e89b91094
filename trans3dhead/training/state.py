"""A training under way as one file: whoever reads it goes on as if nothing had happened.

Random numbers need no place in it: those of a step follow from the seed and the step.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn
from torch.optim import Optimizer

from engines.errors import UserError
from engines.files import write_whole
from engines.records import differences, from_value, to_json
from trans3dhead.presets import Preset
from trans3dhead.training.checkpoint import HeadRecord

SCHEMA = 1
"""Raised when a field or a tensor's name changes its meaning."""
METADATA_KEY = "trans3dhead-training"
"""Where the JSON stands in the file's header."""


@dataclass(frozen=True, kw_only=True)
class StateRecord:
    """Where a training stands, beside its tensors."""

    preset: Preset
    head: HeadRecord
    items: int
    """Training items."""
    step: int
    """Steps taken: the next batch is that of this number, from 0."""
    seconds: float
    """Time taken so far."""
    evaluations: int
    """Evaluations made so far."""
    best: float | None
    """The best value that an evaluation found; None before the first."""
    scaler: dict[str, int | float]
    """`GradScaler.state_dict()`; empty where nothing is scaled."""
    schema: int = SCHEMA


@dataclass(frozen=True, kw_only=True)
class TrainingState:
    """A state that was read."""

    path: Path
    record: StateRecord
    tensors: dict[str, Tensor]
    """"network.*", "average.*" where weights are averaged, "optimiser.PARAMETER.*"."""

    def part(self, name: str) -> dict[str, Tensor]:
        """The tensors below a name, less that name."""
        start = f"{name}."
        return {
            key.removeprefix(start): value
            for key, value in self.tensors.items()
            if key.startswith(start)
        }


def write_state(path: Path, record: StateRecord, tensors: Mapping[str, Tensor]) -> None:
    """Write a state as one file, whole or not at all."""
    kept = {name: value.cpu().contiguous() for name, value in tensors.items()}
    write_whole(path, save(kept, metadata={METADATA_KEY: to_json(record)}))


def read_state(path: Path) -> TrainingState:
    """Read a state.

    Raises:
        UserError: the file is cut short, no state of a training, or of another schema.
    """
    expected = "expected what `trans3dhead train` left"
    try:
        with safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get(METADATA_KEY)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise UserError(
            f"{path} is not a whole safetensors file ({error}); {expected}; remove it and train "
            "anew"
        ) from error
    value: Any = json.loads(text or "{}")
    if value.get("schema") != SCHEMA:
        raise UserError(
            f"{path} holds no training of schema {SCHEMA}; {expected}; go on with the version of "
            "trans3dhead that wrote it, or remove it and train anew"
        )
    record = from_value(StateRecord, value, str(path))
    return TrainingState(path=path, record=record, tensors=tensors)


def check_same(state: TrainingState, preset: Preset, head: HeadRecord, items: int) -> None:
    """Refuse to go on with another configuration, head model or data; names what differs."""
    record = state.record
    then, now = (
        {"preset": asdict(one), "head": asdict(model), "items": count}
        for one, model, count in (
            (record.preset, record.head, record.items),
            (preset, head, items),
        )
    )
    changes = [
        f"{name} was {before} and is {after}"
        for name, (before, after) in differences(then, now).items()
    ]
    if changes:
        raise UserError(
            f"{state.path} is of another training: {'; '.join(changes)}; expected the same; give "
            "the same options and data, or another --out"
        )


def optimiser_tensors(optimiser: Optimizer, network: nn.Module) -> dict[str, Tensor]:
    """What an optimiser remembers, "PARAMETER.WHAT" to tensor."""
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    return {
        f"{names[id(parameter)]}.{what}": value
        for parameter, remembered in optimiser.state.items()
        for what, value in remembered.items()
    }


def restore_optimiser(
    optimiser: Optimizer, network: nn.Module, tensors: Mapping[str, Tensor]
) -> None:
    """Give an optimiser what `optimiser_tensors` took of one of the same network."""
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    order = [
        names[id(parameter)] for group in optimiser.param_groups for parameter in group["params"]
    ]
    remembered: dict[str, dict[str, Tensor]] = {name: {} for name in order}
    for key, value in tensors.items():
        name, _, what = key.rpartition(".")
        remembered[name][what] = value
    groups = optimiser.state_dict()["param_groups"]
    states = {index: remembered[name] for index, name in enumerate(order) if remembered[name]}
    optimiser.load_state_dict({"state": states, "param_groups": groups})
