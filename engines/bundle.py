"""Reading a bundle: the folder that `export` makes and everything downstream starts from."""

import io
import zipfile
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from engines.contract import Contract, read_contract
from engines.errors import ContractError
from engines.files import sha256_of

CONTRACT_FILE = "contract.json"
HEAD_FILE = "head.npz"
REFERENCE_FILE = "reference.npz"
ENGINES_FOLDER = "engines"

Array = npt.NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class Reference:
    """Images, what eager float32 PyTorch answered for them, and the truth where it is known.

    n images, S the crop's side, P parameters, V vertices. Parity is judged from this alone, so
    that the target machine needs no torch.
    """

    item_ids: Array
    """[n] str."""
    images: Array
    """[n, S, S, 3] uint8 RGB crops."""
    bboxes: Array
    """[n, 4] float64 x, y, w, h in full-image pixels."""
    crops: Array
    """[n, 6] float64: x, y, scale, pad_x, pad_y, size (`CropTransform.as_array`)."""
    params: Array
    """[n, P] float32."""
    rotation: Array
    """[n, 3, 3] float32."""
    landmarks: Array | None = None
    """[n, 68, 2] float32 crop pixels; None for single-task networks."""
    vertices: Array | None = None
    """[n, V, 3] float32 posed metres; in mesh bundles."""
    projected: Array | None = None
    """[n, V, 2] float32 crop pixels; in mesh bundles."""
    truth_landmarks: Array | None = None
    """[n, 68, 2] float64 full-image pixels."""
    truth_vertices: Array | None = None
    """[n, V, 3] float32 model space, metres."""
    truth_model_view: Array | None = None
    """[n, 4, 4] float64."""

    def __len__(self) -> int:
        return len(self.images)

    def outputs(self) -> dict[str, Array]:
        """What eager PyTorch answered, by output name."""
        names = ("landmarks", "params", "rotation", "vertices", "projected")
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}

    def to_bytes(self) -> bytes:
        """The `.npz` file's bytes; the same arrays give the same bytes."""
        arrays = {field.name: getattr(self, field.name) for field in fields(self)}
        return npz_bytes({name: value for name, value in arrays.items() if value is not None})


@dataclass(frozen=True)
class Bundle:
    """An exported bundle on disk. Each file's sha256 is compared when the file is asked for."""

    folder: Path
    contract: Contract

    @classmethod
    def open(cls, folder: Path) -> "Bundle":
        """Open a bundle folder; a ContractError says what is missing or altered."""
        if not (folder / CONTRACT_FILE).is_file():
            raise ContractError(
                f"{folder} has no {CONTRACT_FILE}; expected a bundle folder; "
                "make one with `trans3dhead export`"
            )
        return cls(folder, read_contract(folder / CONTRACT_FILE))

    def file(self, name: str) -> Path:
        """Path of a file of the bundle whose bytes are what the contract says."""
        path = self.folder / name
        expected = self.contract.files.get(name)
        if expected is None:
            raise ContractError(f"{self.folder} lists no {name}; it has {self._listing()}")
        if not path.is_file():
            raise ContractError(f"{path} is missing; the contract lists it; export anew")
        found = sha256_of(path)
        if found != expected:
            raise ContractError(
                f"{path} has sha256 {found[:12]}..., the contract says {expected[:12]}...; "
                "the file was cut or altered; export anew"
            )
        return path

    def graph(self, recipe: str) -> Path:
        """Path of a recipe's ONNX file."""
        if recipe not in self.contract.recipes:
            raise ContractError(
                f"recipe {recipe} is not in {self.folder}; it has "
                f"{', '.join(sorted(self.contract.recipes))}; "
                f"export anew with `--recipes {recipe}`"
            )
        return self.file(f"{recipe}.onnx")

    def reference(self) -> Reference:
        """The images and answers that parity is judged by."""
        return Reference(**read_npz(self.file(REFERENCE_FILE)))

    def head_arrays(self) -> dict[str, Array]:
        """Arrays of `head.npz`: for drawing and metrics, with the basis where it is included."""
        return read_npz(self.file(HEAD_FILE))

    def _listing(self) -> str:
        return ", ".join(sorted(self.contract.files))


def read_npz(path: Path) -> dict[str, Array]:
    """All arrays of an `.npz` file; nothing is unpickled."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise ContractError(f"{path} is not a whole .npz file ({error}); make it anew") from None


def npz_bytes(arrays: dict[str, Array]) -> bytes:
    """An `.npz` archive whose bytes depend on the arrays alone (zip dates are fixed)."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name in sorted(arrays):
            member = io.BytesIO()
            np.lib.format.write_array(member, np.asarray(arrays[name]), allow_pickle=False)
            archive.writestr(
                zipfile.ZipInfo(f"{name}.npy"), member.getvalue(), zipfile.ZIP_DEFLATED
            )
    return buffer.getvalue()
