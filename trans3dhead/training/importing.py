"""A foreign state_dict becomes a checkpoint of this project; nothing in it is run.

N queries, d hidden width.
"""

import pickle
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from engines.errors import UserError, one_line
from engines.files import sha256_of
from trans3dhead.head.model import HeadModel
from trans3dhead.network.model import build_network
from trans3dhead.presets import Preset
from trans3dhead.training.checkpoint import CheckpointRecord, HeadRecord, save_checkpoint
from trans3dhead.training.keymap import Form, KeyMap

AVERAGE_FACE = "landmark_branch.regression.average_face"
"""The one tensor of ours that is no weight: data, which few foreign files hold."""
SAFETENSORS = ".safetensors"
FACE_LIMIT = 2.0
"""No average landmark lies farther out, in crops: pixels in place of shares are found by it."""


class MisfitError(UserError):
    """A foreign state_dict that does not become the network; every tensor at fault is named."""

    def __init__(self, source: Path, faults: Mapping[str, list[str]]) -> None:
        self.faults = {kind: tuple(found) for kind, found in faults.items() if found}
        told = "; ".join(f"{kind}: {', '.join(found)}" for kind, found in self.faults.items())
        super().__init__(
            f"{source} does not become the network: {told}; expected every tensor of the preset, "
            "once, in its shape, and none besides; mend the key map or choose another preset"
        )


@dataclass(frozen=True, kw_only=True)
class Imported:
    """Weights under our names, and where each came from."""

    tensors: dict[str, Tensor]
    """In the types of our network."""
    sources: dict[str, str]
    """Our name to the foreign one; constants and the given average face are not among them."""
    ignored: tuple[str, ...]
    """Foreign names that the map leaves out."""
    constants: tuple[str, ...]
    """Our names that the map filled with a number."""
    average_face: str
    """Where it came from, in words."""


def import_checkpoint(
    source: Path,
    out: Path,
    *,
    key_map: KeyMap,
    preset: Preset,
    head: HeadModel,
    average_face: NDArray[np.float32] | None = None,
) -> Imported:
    """Write a checkpoint whose weights are a foreign state_dict's.

    Args:
        source: a safetensors file, or what `torch.save` wrote of tensors alone.
        out: the checkpoint's file.
        key_map: how foreign names become ours.
        preset: the network that the weights are of.
        head: the head model it was trained with; the checkpoint records it.
        average_face: [68, 2] in [0, 1] of the crop (Eq. 4), where the source holds none.

    Raises:
        MisfitError: names every missing, unknown, repeated and wrongly shaped tensor.
        UserError: a file cannot be read, or `out` is there already.
    """
    if out.exists():
        raise UserError(f"{out} exists already; expected a new file; name another or remove it")
    network = build_network(preset.network)
    wanted = network.state_dict()
    given = {} if average_face is None else {AVERAGE_FACE: torch.from_numpy(average_face)}
    imported = move_tensors(source, read_state(source, key_map.within), wanted, key_map, given)
    network.load_state_dict(imported.tensors)
    record = CheckpointRecord(
        preset=preset,
        head=HeadRecord.of(head),
        items=0,
        samples_seen=0,
        minutes=0.0,
        imported_from=f"{source.name} (sha256 {sha256_of(source)})",
    )
    save_checkpoint(out, network, record)
    return imported


def read_state(path: Path, within: str = "") -> dict[str, Tensor]:
    """Read a state_dict and run no code.

    Args:
        path: a safetensors file, or a file of `torch.save`.
        within: key of the state_dict in that file, parts joined by dots.

    Raises:
        UserError: says why it cannot be read.
    """
    wish = "expected a state_dict, as .safetensors or written by torch.save"
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise UserError(f"{path} {what}; {wish}; check the path")
    try:
        content: Any = (
            load_file(path)
            if path.suffix == SAFETENSORS
            else torch.load(path, map_location="cpu", weights_only=True)
        )
    except pickle.UnpicklingError as error:
        raise UserError(
            f"{path} holds more than tensors, and reading it would run code of its own "
            f"({one_line(error)[:160]}); {wish}; where you trust it, save its tensors alone: "
            "safetensors.torch.save_file(state_dict, 'weights.safetensors')"
        ) from error
    except (OSError, RuntimeError, EOFError, ValueError, SafetensorError) as error:
        raise UserError(
            f"{path} cannot be read ({one_line(error)[:160]}); {wish}; fetch or save it anew"
        ) from error
    for part in filter(None, within.split(".")):
        if not isinstance(content, Mapping) or part not in content:
            raise UserError(
                f"{path} holds no {within!r}, only {_top(content)}; expected the state_dict there; "
                "mend `within` in the key map"
            )
        content = content[part]
    if not isinstance(content, Mapping) or not all(
        isinstance(value, Tensor) for value in content.values()
    ):
        raise UserError(
            f"{path} holds {_top(content)}; {wish}; say in the key map where it lies, such as "
            "within = 'model'"
        )
    return {str(name): value for name, value in content.items()}


def _top(content: object) -> str:
    if not isinstance(content, Mapping):
        return f"a {type(content).__name__}"
    return ", ".join(f"{key} ({type(value).__name__})" for key, value in list(content.items())[:12])


@dataclass
class _Faults:
    """What keeps a state_dict from becoming the network, by kind."""

    unknown: list[str] = field(default_factory=list)
    repeated: list[str] = field(default_factory=list)
    misshapen: list[str] = field(default_factory=list)
    unusable: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)


def move_tensors(
    source: Path,
    state: Mapping[str, Tensor],
    wanted: Mapping[str, Tensor],
    key_map: KeyMap,
    given: Mapping[str, Tensor],
) -> Imported:
    """Give every tensor our name and shape.

    Args:
        source: named in errors.
        state: the foreign state_dict.
        wanted: our network's, for names, shapes and types.
        key_map: the rules.
        given: tensors of ours that do not come from the state_dict.

    Raises:
        MisfitError: as for `import_checkpoint`.
    """
    faults = _Faults()
    tensors: dict[str, Tensor] = {}
    sources: dict[str, str] = {}
    ignored = []
    for name, tensor in state.items():
        if key_map.ignores(name):
            ignored.append(name)
            continue
        match = key_map.rule_for(name)
        if match is None or not set(match[1]) <= wanted.keys():
            led = "" if match is None else f" (led to {', '.join(match[1])})"
            faults.unknown.append(f"{name} {_shape(tensor)}{led}")
            continue
        rule, targets = match
        for part, target in zip(_parts(tensor, len(targets)), targets, strict=True):
            if target in sources or target in given:
                faults.repeated.append(f"{target} from {sources.get(target, 'outside')} and {name}")
                continue
            sources[target] = name
            fitted = FORMS[rule.form](part, wanted[target])
            if fitted.shape != wanted[target].shape:
                faults.misshapen.append(
                    f"{name} {_shape(tensor)} for {target} {_shape(wanted[target])}"
                )
            elif reason := _unusable(fitted, wanted[target]):
                faults.unusable.append(f"{name} ({reason})")
            tensors[target] = fitted.to(wanted[target].dtype)
    constants = _fill(tensors, wanted, key_map, given, faults)
    if any(vars(faults).values()):
        raise MisfitError(source, vars(faults))
    return Imported(
        tensors=tensors,
        sources=sources,
        ignored=tuple(ignored),
        constants=tuple(constants),
        average_face=_face_source(wanted, sources, constants),
    )


def _face_source(
    wanted: Mapping[str, Tensor], sources: Mapping[str, str], constants: list[str]
) -> str:
    if AVERAGE_FACE not in wanted:
        return "none in this network"
    if AVERAGE_FACE in constants:
        return "a constant of the map"
    return f"the weights' {sources[AVERAGE_FACE]}" if AVERAGE_FACE in sources else "given"


def _fill(
    tensors: dict[str, Tensor],
    wanted: Mapping[str, Tensor],
    key_map: KeyMap,
    given: Mapping[str, Tensor],
    faults: _Faults,
) -> list[str]:
    """Add what does not come from the state_dict; returns the names of constants."""
    constants = []
    for name, ours in wanted.items():
        if name in tensors:
            continue
        value = key_map.constant_for(name)
        if name in given:
            if given[name].shape != ours.shape:
                faults.misshapen.append(f"{name} came {_shape(given[name])}, not {_shape(ours)}")
            tensors[name] = given[name].to(ours.dtype)
        elif value is not None:
            tensors[name] = torch.full_like(ours, value)
            constants.append(name)
        else:
            hint = " (give --average-face or --data)" if name == AVERAGE_FACE else ""
            faults.missing.append(f"{name} {_shape(ours)}{hint}")
    return constants


def _parts(tensor: Tensor, count: int) -> tuple[Tensor, ...]:
    """Equal parts along the first axis; unequal where it cannot be, and then they do not fit."""
    return tensor.tensor_split(count) if tensor.ndim else (tensor,) * count


def _same(tensor: Tensor, ours: Tensor) -> Tensor:
    return tensor


def _reshape(tensor: Tensor, ours: Tensor) -> Tensor:
    return tensor.reshape(ours.shape) if tensor.numel() == ours.numel() else tensor


def _transpose(tensor: Tensor, ours: Tensor) -> Tensor:
    return tensor.mT if tensor.ndim > 1 else tensor


def _grouped_conv(tensor: Tensor, ours: Tensor) -> Tensor:
    """Kernel [N*d, d, 1, 1] -> weight [N, d, d], rows inputs; bias [N*d] -> [N, d]."""
    if tensor.numel() != ours.numel():
        return tensor
    # kernel[n*d + j, i] = weight[n, i, j]
    return tensor.reshape(ours.shape).mT if ours.ndim == 3 else tensor.reshape(ours.shape)


FORMS: dict[Form, Callable[[Tensor, Tensor], Tensor]] = {
    "same": _same,
    "reshape": _reshape,
    "transpose": _transpose,
    "grouped-conv": _grouped_conv,
}
"""A foreign tensor and ours, of which only the shape counts -> the foreign one in our shape; where
it cannot be, as it came."""


def _unusable(tensor: Tensor, ours: Tensor) -> str:
    """Why its numbers cannot be ours; empty where they can."""
    if tensor.is_floating_point() != ours.is_floating_point():
        return f"{tensor.dtype} for {ours.dtype}".replace("torch.", "")
    return "" if bool(torch.isfinite(tensor).all()) else "not all of it is finite"


def _shape(tensor: Tensor) -> str:
    return str(list(tensor.shape))


def read_average_face(path: Path) -> NDArray[np.float32]:
    """[68, 2] in [0, 1] of the crop from a `.npy` file; nothing is unpickled."""
    wish = "expected a .npy file of 68 x 2 numbers, (x, y) in [0, 1] of the crop"
    try:
        face = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise UserError(f"{path} cannot be read ({one_line(error)}); {wish}; mend it") from error
    usable = isinstance(face, np.ndarray) and face.shape == (68, 2) and face.dtype.kind == "f"
    if not usable or not np.isfinite(face).all() or np.abs(face).max() > FACE_LIMIT:
        what = f"{face.dtype} {list(face.shape)}" if isinstance(face, np.ndarray) else "an archive"
        raise UserError(f"{path} holds {what}; {wish}; pixels are divided by the crop's side")
    return np.asarray(face, np.float32)
