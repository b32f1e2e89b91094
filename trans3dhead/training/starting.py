"""The weights that a training starts from: a checkpoint's, torchvision's, or fresh ones."""

from dataclasses import asdict
from pathlib import Path

from engines.errors import UserError
from engines.files import sha256_of
from engines.records import differences
from trans3dhead.network.backbone import load_imagenet_weights
from trans3dhead.network.config import NetworkConfig
from trans3dhead.network.model import Trans3DHead
from trans3dhead.presets import Preset
from trans3dhead.training.checkpoint import load_checkpoint

WITHOUT_WEIGHTS = {"dropout"}
"""What a network may have otherwise and its weights mean the same."""


def give_start(network: Trans3DHead, preset: Preset) -> None:
    """Give a fresh network the weights that its training starts from.

    Args:
        network: of the preset; changed in place.
        preset: names the file, if there is one, and its digest.

    Raises:
        UserError: the file cannot be read, has changed since the training began, or is of another
            network, though its weights might fit.
    """
    config = preset.training
    if config.start_file is not None:
        path = Path(config.start_file)
        found = load_checkpoint(path)
        _check_same_file(path, config.start_sha256)
        _check_same_network(path, preset.network, found.preset.network)
        network.load_state_dict(found.network.state_dict())
    elif config.backbone_file is not None:
        path = Path(config.backbone_file)
        load_imagenet_weights(network.backbone, path)
        _check_same_file(path, config.backbone_sha256)
    elif config.shortcuts_first:
        network.backbone.start_as_shortcuts()


def _check_same_network(path: Path, wanted: NetworkConfig, found: NetworkConfig) -> None:
    """Weights may fit and mean another thing: so many heads of attention."""
    faults = [
        f"{name} {one}, not {other}"
        for name, (one, other) in differences(asdict(found), asdict(wanted)).items()
        if name not in WITHOUT_WEIGHTS
    ]
    if faults:
        raise UserError(
            f"{path} holds another network ({'; '.join(faults)}); expected the one that is to be "
            "trained; choose the preset that it was trained by"
        )


def _check_same_file(path: Path, sha256: str | None) -> None:
    """A training that is taken up again starts from the file that it began with."""
    found = sha256_of(path)
    if found != sha256:
        raise UserError(
            f"{path} has sha256 {found[:12]}; expected {str(sha256)[:12]}, as the training began "
            "with; give that file"
        )
