"""Checkpoints: what goes in comes out, and nothing else is taken for one."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from engines.errors import UserError
from engines.records import to_json
from trans3dhead.head.builtin import builtin_head
from trans3dhead.network.model import Trans3DHead, build_network
from trans3dhead.presets import Preset, preset, shrink
from trans3dhead.training.checkpoint import (
    METADATA_KEY,
    CheckpointRecord,
    HeadRecord,
    OtherVersionWarning,
    load_checkpoint,
    save_checkpoint,
)


@pytest.fixture(scope="module")
def small() -> Preset:
    """The full model, as small as it gets."""
    tiny = preset("tiny")
    return replace(tiny, network=replace(tiny.network, hidden=16, heads=2, feedforward=16))


@pytest.fixture(scope="module")
def record(small: Preset) -> CheckpointRecord:
    return CheckpointRecord(
        preset=small,
        head=HeadRecord.of(builtin_head()),
        items=16,
        samples_seen=480,
        minutes=0.25,
        results={"nme": 9.5},
    )


@pytest.fixture(scope="module")
def network(small: Preset) -> Trans3DHead:
    torch.manual_seed(0)
    network = build_network(small.network, torch.rand(68, 2))
    network.train()(torch.rand(2, 3, 128, 128))  # gives BatchNorm statistics of its own
    return network


@pytest.fixture
def written(tmp_path: Path, network: Trans3DHead, record: CheckpointRecord) -> Path:
    path = tmp_path / "last.safetensors"
    save_checkpoint(path, network, record)
    return path


def test_weights_average_face_and_record_come_back_exactly(
    written: Path, network: Trans3DHead, record: CheckpointRecord
) -> None:
    loaded = load_checkpoint(written)
    assert loaded.path == written
    for field in ("preset", "head", "items", "samples_seen", "minutes", "results", "versions"):
        assert getattr(loaded, field) == getattr(record, field)
    assert not loaded.network.training
    found = loaded.network.state_dict()
    assert found.keys() == network.state_dict().keys()
    assert "landmark_branch.regression.average_face" in found
    for name, value in network.state_dict().items():
        assert torch.equal(found[name], value), name


def test_the_record_says_where_it_comes_from(record: CheckpointRecord) -> None:
    assert len(record.git_revision.removesuffix("+changes")) == 40
    assert record.versions["torch"].startswith(torch.__version__.split("+")[0])
    assert record.head.sha256 == builtin_head().sha256


@pytest.mark.parametrize("name", ["only-3dmm", "average-learnable", "qamem", "params-60"])
def test_other_configurations_come_back_too(
    name: str, tmp_path: Path, record: CheckpointRecord
) -> None:
    chosen = shrink(preset(name))
    torch.manual_seed(0)
    network = build_network(chosen.network)
    save_checkpoint(tmp_path / "x", network, replace(record, preset=chosen))
    loaded = load_checkpoint(tmp_path / "x")
    assert loaded.preset == chosen
    for key, value in network.state_dict().items():
        assert torch.equal(loaded.network.state_dict()[key], value)


def test_a_failed_write_leaves_nothing(
    tmp_path: Path,
    network: Trans3DHead,
    record: CheckpointRecord,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full_disk(*_: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr("os.fsync", full_disk)
    with pytest.raises(OSError, match="no space"):
        save_checkpoint(tmp_path / "last.safetensors", network, record)
    assert list(tmp_path.iterdir()) == []


def refused(path: Path, *words: str) -> None:
    with pytest.raises(UserError) as caught:
        load_checkpoint(path)
    message = str(caught.value)
    assert "\n" not in message and str(path) in message
    for word in words:
        assert word in message


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    refused(tmp_path / "none.safetensors", "does not exist")
    refused(tmp_path, "is a folder")


@pytest.mark.parametrize("share", [0, 0.0001, 0.5, 0.999])
def test_a_cut_file_is_refused(written: Path, share: float) -> None:
    data = written.read_bytes()
    written.write_bytes(data[: int(share * len(data))])
    refused(written, "not a whole safetensors file")


def test_foreign_files_are_refused(tmp_path: Path) -> None:
    pickled, bare = tmp_path / "a.pth", tmp_path / "b.safetensors"
    torch.save({"weight": torch.zeros(3)}, pickled)
    refused(pickled, "not a whole safetensors file")
    save_file({"weight": torch.zeros(3)}, bare)
    refused(bare, "no record of this project")


def rewrite(path: Path, record: CheckpointRecord, **changes: object) -> None:
    value = json.loads(to_json(record)) | changes
    save_file(load_file(path), path, metadata={METADATA_KEY: json.dumps(value)})


def test_a_newer_schema_is_refused(written: Path, record: CheckpointRecord) -> None:
    rewrite(written, record, schema=99)
    refused(written, "schema 99", "reads 1")


def test_a_record_with_wrong_fields_is_refused(written: Path, record: CheckpointRecord) -> None:
    rewrite(written, record, samples_seen="many", colour="blue")
    refused(written, "samples_seen is 'many'", "unknown field colour")


def test_a_training_of_another_version_loads_with_a_warning(
    written: Path, record: CheckpointRecord, network: Trans3DHead
) -> None:
    value = json.loads(to_json(record))
    training = value["preset"]["training"]
    training["mixup"] = 0.3
    del training["half_until"], training["seed"]
    rewrite(written, record, preset=value["preset"])
    with pytest.warns(OtherVersionWarning) as warned:
        loaded = load_checkpoint(written)
    (said,) = (str(warning.message) for warning in warned)
    assert "mixup unknown here, left out; half_until, seed missing, taken as by default" in said
    assert str(written) in said and "\n" not in said
    assert loaded.preset == record.preset
    for name, tensor in network.state_dict().items():
        assert torch.equal(loaded.network.state_dict()[name], tensor), name


def test_a_training_of_this_version_warns_of_nothing(
    written: Path, recwarn: pytest.WarningsRecorder
) -> None:
    load_checkpoint(written)
    assert not recwarn.list


def test_the_network_must_be_whole_and_known(written: Path, record: CheckpointRecord) -> None:
    value = json.loads(to_json(record))
    value["preset"]["network"]["mixers"] = 2
    rewrite(written, record, preset=value["preset"])
    refused(written, "unknown field preset.network.mixers")
    del value["preset"]["network"]["mixers"], value["preset"]["network"]["heads"]
    del value["preset"]["network"]["backbone"]["depths"]
    rewrite(written, record, preset=value["preset"])
    refused(written, "does not say heads, backbone.depths of its network")


def test_an_impossible_configuration_is_refused(written: Path, record: CheckpointRecord) -> None:
    value = json.loads(to_json(record))
    value["preset"]["network"]["heads"] = 7
    rewrite(written, record, preset=value["preset"])
    with pytest.raises(UserError, match="heads is 7"):
        load_checkpoint(written)


def test_weights_that_do_not_fit_are_all_named(written: Path, record: CheckpointRecord) -> None:
    tensors = load_file(written)
    del tensors["projection.bias"], tensors["backbone.conv1.weight"]
    tensors["fc.weight"] = torch.zeros(3)
    tensors["projection.weight"] = torch.zeros(1, 2)
    tensors["backbone.bn1.bias"] = tensors["backbone.bn1.bias"].double()
    save_file(tensors, written, metadata={METADATA_KEY: to_json(record)})
    refused(
        written,
        "missing backbone.conv1.weight, projection.bias",
        "unknown fc.weight",
        "projection.weight (float32 [1, 2], expected float32 [16, 256, 1, 1])",
        "backbone.bn1.bias (float64",
    )
