"""The manifest of an engine: what it was built from, by what, for where, and what it computes."""

import hashlib
import json
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from engines.errors import ContractError, UserError
from engines.files import sha256_of, write_whole
from engines.machine import Machine
from engines.options import BuildOptions, flag
from engines.precision import Effective
from engines.records import from_value, read_json, to_json

SCHEMA = 2
MANIFEST_FILE = "manifest.json"


@dataclass(frozen=True, kw_only=True)
class BatchProfile:
    """A range of batch sizes and the one the engine is tuned for."""

    min: int
    opt: int
    max: int

    def __post_init__(self) -> None:
        if not 1 <= self.min <= self.opt <= self.max:
            raise UserError(
                f"batch profile {self} came; expected 1 <= min <= opt <= max; "
                "write it as `--batch min,opt,max`"
            )

    @classmethod
    def parse(cls, text: str) -> "BatchProfile":
        """Read "min,opt,max", or one number for a range of one size."""
        parts = text.split(",")
        if len(parts) not in (1, 3) or not all(part.strip().isdigit() for part in parts):
            raise UserError(
                f"batch {text!r} came; expected one number or min,opt,max; such as `--batch 1,8,32`"
            )
        sizes = [int(part) for part in parts]
        return cls(min=sizes[0], opt=sizes[len(sizes) // 2], max=sizes[-1])

    def __str__(self) -> str:
        return f"{self.min},{self.opt},{self.max}"


@dataclass(frozen=True, kw_only=True)
class BuildKey:
    """What decides an engine: equal keys, nothing to build."""

    runtime: str
    runtime_version: str
    provider: str
    """What computes: cpu, cuda or tensorrt of ONNX Runtime; the runtime's own name elsewhere."""
    recipe: str
    onnx_sha256: str
    """Of the bundle's RECIPE.onnx."""
    contract_sha256: str
    """Of the bundle's contract.json."""
    profiles: tuple[BatchProfile, ...]
    settings: dict[str, Any]
    """What else was asked of the builder."""


@dataclass(frozen=True, kw_only=True)
class Manifest(BuildKey):
    """All of `manifest.json`."""

    schema: int = SCHEMA
    name: str
    effective: Effective
    machine: Machine
    seconds: float
    """Time the build took."""
    file: str
    """The one that the runtime opens; what belongs to it lies beside it."""
    files: dict[str, str]
    """Every file of the folder but this one, and its sha256."""
    size_bytes: int
    """Of all of them."""
    parity: dict[str, Any] | None = None
    """The verdict of `trans3dhead verify`; None until it ran."""
    seal: str = field(default="")
    """sha256 over all other fields: an edited manifest is refused."""

    def sealed(self) -> "Manifest":
        """The same manifest with its seal renewed."""
        bare = replace(self, seal="")
        return replace(bare, seal=hashlib.sha256(to_json(bare).encode()).hexdigest())

    @property
    def engine_sha256(self) -> str:
        """One hash for all files: the engine's name in reports."""
        return hashlib.sha256(json.dumps(self.files, sort_keys=True).encode()).hexdigest()

    def key(self) -> BuildKey:
        """What a build would have to ask for to make this engine."""
        return BuildKey(**{item.name: getattr(self, item.name) for item in fields(BuildKey)})

    def fits(self, batch: int) -> bool:
        """Whether a batch size lies within one of the profiles."""
        return any(profile.min <= batch <= profile.max for profile in self.profiles)

    def build_command(self, bundle: Path, profiles: tuple[BatchProfile, ...] | None = None) -> str:
        """The command that builds this engine anew, with other profiles where they are given."""
        words = ["trans3dhead build", str(bundle), "--recipe", self.recipe]
        words += ["--runtime", self.runtime, "--name", self.name]
        if self.provider != self.runtime:
            words += ["--provider", self.provider]
        for option in fields(BuildOptions):
            if self.settings.get(option.name) is not None:
                words += [flag(option.name), str(self.settings[option.name])]
        words += ["--batch", *map(str, profiles or self.profiles), "--force"]
        return " ".join(words)


def hash_files(folder: Path) -> dict[str, str]:
    """sha256 of every file of an engine folder, by name, but of the manifest's own."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    names = {path.relative_to(folder).as_posix(): path for path in paths}
    return {name: sha256_of(path) for name, path in names.items() if name != MANIFEST_FILE}


def read_manifest(folder: Path) -> Manifest:
    """Read and check an engine folder's manifest."""
    path = folder / MANIFEST_FILE
    if not path.is_file():
        raise ContractError(
            f"{folder} has no {MANIFEST_FILE}; expected an engine folder, BUNDLE/engines/NAME; "
            "make one with `trans3dhead build`"
        )
    value = read_json(path)
    schema = value.get("schema") if isinstance(value, dict) else None
    if schema != SCHEMA:
        raise ContractError(
            f"{path} has schema {schema}; this version reads {SCHEMA}; "
            "build the engine anew with `trans3dhead build ... --force`"
        )
    manifest = from_value(Manifest, value, str(path))
    if manifest.seal != manifest.sealed().seal:
        raise ContractError(
            f"{path} does not match its seal; expected the manifest as it was written; it was "
            f"edited: `{manifest.build_command(folder.parent.parent)}`"
        )
    return manifest


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Seal and write a manifest."""
    write_whole(folder / MANIFEST_FILE, to_json(manifest.sealed()))


def write_parity(folder: Path, verdict: dict[str, Any]) -> None:
    """Put the verdict of the parity harness into an engine's manifest."""
    write_manifest(folder, replace(read_manifest(folder), parity=verdict))
