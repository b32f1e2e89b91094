"""The manifest: round trip, seal, batch profiles, the command that rebuilds."""

import functools
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from engines.errors import ContractError, UserError
from engines.machine import Machine
from engines.manifest import (
    MANIFEST_FILE,
    BatchProfile,
    Manifest,
    read_manifest,
    write_manifest,
    write_parity,
)
from engines.precision import Effective
from engines.records import to_json

MANIFEST = Manifest(
    name="fast",
    runtime="onnxruntime",
    runtime_version="1.31.1",
    provider="cpu",
    recipe="fp16",
    onnx_sha256="a" * 64,
    contract_sha256="b" * 64,
    profiles=(BatchProfile(min=1, opt=4, max=8),),
    settings={"half": "native"},
    effective=Effective(
        precision="effective float32", low_flops_promised=0.97, low_flops_found=0.0
    ),
    machine=Machine(cpu="some"),
    seconds=1.5,
    file="model.onnx",
    files={"model.onnx": "c" * 64},
    size_bytes=10,
)


def test_round_trip(tmp_path: Path) -> None:
    write_manifest(tmp_path, MANIFEST)
    assert read_manifest(tmp_path) == MANIFEST.sealed()


def test_parity_is_written_in_and_sealed(tmp_path: Path) -> None:
    write_manifest(tmp_path, MANIFEST)
    write_parity(tmp_path, {"verdict": "pass", "images": 16})
    read = read_manifest(tmp_path)
    assert read.parity == {"verdict": "pass", "images": 16}
    assert read.key() == MANIFEST.key()


def leaves(value: object, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Where the numbers, words and nothings of a JSON value lie."""
    if isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from leaves(item, (*path, key))
    else:
        yield path


@pytest.mark.parametrize("where", list(leaves(json.loads(to_json(MANIFEST)))), ids=str)
def test_a_manifest_edited_in_any_field_is_refused(
    tmp_path: Path, where: tuple[str | int, ...]
) -> None:
    write_manifest(tmp_path, MANIFEST)
    path = tmp_path / MANIFEST_FILE
    value = json.loads(path.read_text())
    holder = functools.reduce(lambda inner, key: inner[key], where[:-1], value)
    old = holder[where[-1]]
    holder[where[-1]] = (
        {"verdict": "pass"}
        if where == ("parity",)
        else f"{old or ''}0"
        if old is None or isinstance(old, str)
        else old + 1
    )
    path.write_text(json.dumps(value))
    with pytest.raises(UserError, match=r"seal.*--force`|schema 3|expected 1 <= min") as caught:
        read_manifest(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_missing_field_is_named(tmp_path: Path) -> None:
    write_manifest(tmp_path, MANIFEST)
    path = tmp_path / MANIFEST_FILE
    value = json.loads(path.read_text())
    del value["files"]
    path.write_text(json.dumps(value))
    with pytest.raises(ContractError, match="missing field files"):
        read_manifest(tmp_path)


def test_a_folder_without_manifest(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match=r"no manifest.json; expected an engine folder"):
        read_manifest(tmp_path)


def test_the_command_that_rebuilds() -> None:
    assert MANIFEST.build_command(Path("/b")) == (
        "trans3dhead build /b --recipe fp16 --runtime onnxruntime --name fast --provider cpu "
        "--half native --batch 1,4,8 --force"
    )
    rtx = replace(
        MANIFEST,
        runtime="tensorrt-rtx",
        provider="tensorrt-rtx",
        settings={"optimization_level": 3, "polygraphy": "0"},
    )
    assert rtx.build_command(Path("/b"), (BatchProfile(min=1, opt=4, max=40),)) == (
        "trans3dhead build /b --recipe fp16 --runtime tensorrt-rtx --name fast "
        "--optimization-level 3 --batch 1,4,40 --force"
    )


def test_batches_of_several_profiles() -> None:
    two = replace(MANIFEST, profiles=(BatchProfile.parse("1,2,4"), BatchProfile.parse("16")))
    assert [batch for batch in range(20) if two.fits(batch)] == [1, 2, 3, 4, 16]


@pytest.mark.parametrize("text", ["", "a", "1,2", "1,2,3,4", "-1", "1.5", "1;2;3"])
def test_a_batch_that_cannot_be_read(text: str) -> None:
    with pytest.raises(UserError, match="expected one number or min,opt,max"):
        BatchProfile.parse(text)


@pytest.mark.parametrize("text", ["0", "4,2,8", "1,9,8"])
def test_a_batch_range_out_of_order(text: str) -> None:
    with pytest.raises(UserError, match="expected 1 <= min <= opt <= max"):
        BatchProfile.parse(text)
