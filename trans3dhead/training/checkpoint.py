"""Checkpoints: safetensors with JSON beside the weights. Reading one runs no code."""

import json
import warnings
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from engines.errors import UserError
from engines.files import write_whole
from engines.records import from_value, to_json
from trans3dhead.head.model import HeadModel
from trans3dhead.network.config import BackboneConfig, NetworkConfig
from trans3dhead.network.fitting import misfits
from trans3dhead.network.model import Trans3DHead, build_network
from trans3dhead.presets import Preset
from trans3dhead.training.config import TrainingConfig
from trans3dhead.training.provenance import git_revision, library_versions

SCHEMA = 1
"""Raised when a field changes its meaning."""
METADATA_KEY = "trans3dhead"
"""Where the JSON stands in the file's header."""


class OtherVersionWarning(UserWarning):
    """A checkpoint says of its training what this version does not know, or lacks what it does."""


@dataclass(frozen=True, kw_only=True)
class HeadRecord:
    """The head model a network was trained with."""

    name: str
    sha256: str
    licence: str
    redistributable: bool

    @classmethod
    def of(cls, head: HeadModel) -> "HeadRecord":
        """The identity of a head model."""
        return cls(
            name=head.name,
            sha256=head.sha256,
            licence=head.licence,
            redistributable=head.redistributable,
        )


@dataclass(frozen=True, kw_only=True)
class CheckpointRecord:
    """All that a checkpoint says about its weights. The average face is among the weights."""

    preset: Preset
    """The resolved configuration; its name is that of the preset it started from."""
    head: HeadRecord
    items: int
    """Training items."""
    mean_rotation: tuple[float, ...] = ()
    """Mean pose of the training items, row by row: the 9 numbers of a rotation, model space to
    image axes; empty where nobody took it."""
    samples_seen: int
    """Training samples, repetitions counted."""
    minutes: float
    """Time the training took, on the clock."""
    results: dict[str, float] = field(default_factory=dict)
    """Metric to its mean on the evaluated split at the end of the training."""
    imported_from: str = ""
    """File name and sha256 of the foreign weights; empty where the network was trained here."""
    git_revision: str = field(default_factory=git_revision)
    versions: dict[str, str] = field(default_factory=library_versions)
    schema: int = SCHEMA

    def to_dict(self) -> dict[str, Any]:
        """The record as JSON values, without what a subclass adds."""
        values = {entry.name: getattr(self, entry.name) for entry in fields(CheckpointRecord)}
        return {**values, "preset": asdict(self.preset), "head": asdict(self.head)}


@dataclass(frozen=True, kw_only=True)
class Checkpoint(CheckpointRecord):
    """A checkpoint that was read."""

    path: Path
    network: Trans3DHead
    """With its weights, on the CPU, in evaluation mode."""


def save_checkpoint(path: Path, network: Trans3DHead, record: CheckpointRecord) -> None:
    """Write weights and record as one file, whole or not at all."""
    tensors = {name: value.cpu().contiguous() for name, value in network.state_dict().items()}
    write_whole(path, save(tensors, metadata={METADATA_KEY: to_json(record)}))


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint and build its network.

    What another version recorded of the training alone is no reason to refuse weights: unknown
    fields are left out, missing ones become their defaults, and an `OtherVersionWarning` names
    them. The network's own configuration must be whole.

    Raises:
        UserError: the file is missing, cut short, not a checkpoint of this project, of a newer
            schema, or its weights do not fit its configuration (all faults are listed).
    """
    record, tensors = _read(path)
    network = build_network(record.preset.network)
    faults = misfits(network.state_dict(), tensors)
    if faults:
        raise UserError(
            f"{path} does not fit its configuration: {'; '.join(faults)}; expected the weights of "
            "one network; train or convert it anew"
        )
    network.load_state_dict(tensors)
    return Checkpoint(path=path, network=network.eval(), **vars(record))


def _read(path: Path) -> tuple[CheckpointRecord, dict[str, Tensor]]:
    expected = "expected a checkpoint written by `trans3dhead train`"
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise UserError(f"{path} {what}; {expected}; check the path")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            record = _record(path, metadata.get(METADATA_KEY, ""), expected)
            return record, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise UserError(
            f"{path} is not a whole safetensors file ({error}); {expected}; copy or train it anew"
        ) from error


def _record(path: Path, text: str, expected: str) -> CheckpointRecord:
    try:
        value: Any = json.loads(text)
        schema = value["schema"]
    except (ValueError, TypeError, KeyError) as error:
        raise UserError(
            f"{path} holds tensors but no record of this project; {expected}; convert it first"
        ) from error
    if schema != SCHEMA:
        raise UserError(
            f"{path} has schema {schema}; this version reads {SCHEMA}; use the version of "
            "trans3dhead that wrote it, or train anew"
        )
    _tolerate_training(path, value)
    record = from_value(CheckpointRecord, value, str(path))
    # a default in place of a missing field may be another network of the same shapes (`heads`)
    network = value["preset"]["network"]
    missing = [entry.name for entry in fields(NetworkConfig) if entry.name not in network]
    missing += [
        f"backbone.{entry.name}"
        for entry in fields(BackboneConfig)
        if entry.name not in network.get("backbone", {})
    ]
    if missing:
        raise UserError(
            f"{path} does not say {', '.join(missing)} of its network; expected all of it; use the "
            "version of trans3dhead that wrote it"
        )
    return record


def _tolerate_training(path: Path, value: dict[str, Any]) -> None:
    """Take what is unknown of the training out of a record; warn of it, and of what is missing."""
    preset = value.get("preset")
    training = preset.get("training") if isinstance(preset, dict) else None
    if not isinstance(training, dict):
        return  # refused in a moment
    known = {entry.name for entry in fields(TrainingConfig)}
    unknown, missing = sorted(training.keys() - known), sorted(known - training.keys())
    for name in unknown:
        del training[name]
    told = [f"{', '.join(unknown)} unknown here, left out"] if unknown else []
    told += [f"{', '.join(missing)} missing, taken as by default"] if missing else []
    if told:
        warnings.warn(
            f"{path} was trained by another version ({'; '.join(told)}): its record of the "
            "training is not exact, its network is",
            OtherVersionWarning,
            stacklevel=2,
        )
