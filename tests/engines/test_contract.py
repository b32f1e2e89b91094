"""The contract as data: specs accept what fits and name what does not."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from engines.bundle import Bundle
from engines.contract import input_specs, output_specs, read_contract
from engines.errors import ContractError


def test_shape_and_batch() -> None:
    (image,) = input_specs(16)
    assert image.shape(3) == (3, 16, 16, 3)
    assert image.check(np.zeros((3, 16, 16, 3), np.uint8)) == 3


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((1, 16, 16, 3), np.float32),
        np.zeros((1, 3, 16, 16), np.uint8),
        np.zeros((16, 16, 3), np.uint8),
        np.zeros((0, 16, 16, 3), np.uint8),
        np.uint8(0),
    ],
)
def test_a_wrong_input_is_named_with_what_was_expected(array: np.ndarray) -> None:
    (image,) = input_specs(16)
    with pytest.raises(ContractError, match=r"image came as .*expected uint8 \[batch, 16, 16, 3\]"):
        image.check(np.asarray(array))


def test_mesh_has_two_outputs_more_and_single_task_one_less() -> None:
    def given(variant: str, landmarks: bool) -> list[str]:
        specs = output_specs(variant, parameters=413, vertices=5023, landmarks=landmarks)
        return [spec.name for spec in specs]

    assert given("params", True) == ["landmarks", "params", "rotation"]
    assert given("params", False) == ["params", "rotation"]
    assert given("mesh", True) == ["landmarks", "params", "rotation", "vertices", "projected"]


def test_inputs_and_outputs_as_wholes(
    bundle: Path, make_images: Callable[[int], np.ndarray]
) -> None:
    opened = Bundle.open(bundle)
    contract = opened.contract
    assert contract.check_inputs({"image": make_images(2)}) == 2
    with pytest.raises(ContractError, match=r"inputs came as \['picture'\]; expected \['image'\]"):
        contract.check_inputs({"picture": make_images(2)})
    outputs = opened.reference().outputs()
    contract.check_outputs(outputs, 4)
    with pytest.raises(ContractError, match="landmarks came with batch 4 for 3 images"):
        contract.check_outputs(outputs, 3)
    with pytest.raises(ContractError, match="params came as float64"):
        contract.check_outputs(outputs | {"params": outputs["params"].astype(np.float64)}, 4)
    with pytest.raises(ContractError, match=r"outputs came as \['landmarks', 'rotation'\]"):
        contract.check_outputs({n: outputs[n] for n in ("landmarks", "rotation")}, 4)


def test_another_schema_says_how_to_mend_it(bundle: Path) -> None:
    path = bundle / "contract.json"
    path.write_text(path.read_text().replace('"schema": 1', '"schema": 0'))
    with pytest.raises(ContractError, match=r"schema 0; this version reads 1; .*export"):
        read_contract(path)


def test_find_output(bundle: Path) -> None:
    contract = read_contract(bundle / "contract.json")
    landmarks = contract.output("landmarks")
    assert landmarks is not None
    assert landmarks.unit == "crop pixels"
    assert contract.output("vertices") is None
