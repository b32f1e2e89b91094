"""What the inspector tells of a built plan, and the gate that closes on a float32 engine."""

import json
from typing import Any

import pytest

from engines.errors import BuildError
from engines.precision import Product
from engines.tensorrt_layers import PlanShares, check_plan, layer_table, plan_shares

PRODUCTS = [
    Product(name="conv1", dtype="float16", flops=600),
    Product(name="query", dtype="float16", flops=300),
    Product(name="head", dtype="float32", flops=100),
]


def layer(names: str, inputs: list[str], outputs: list[str]) -> dict[str, Any]:
    def tensors(types: list[str]) -> list[dict[str, str]]:
        return [{"Name": "t", "Format/Datatype": kind} for kind in types]

    metadata = "\x1e".join(f"[ONNX Layer: {name}]" for name in names.split())
    return {"Metadata": metadata, "Inputs": tensors(inputs), "Outputs": tensors(outputs)}


HALF_CONV = layer(
    "cast conv1 relu",
    ["Row major linear FP32"],
    ["Channel major FP16 format where channel % 8 == 0"],
)
HALF_QUERY = layer("query", ["Half"], ["Half"])
FULL_HEAD = layer("head", ["Float"], ["Float"])


def test_each_product_is_found_in_its_layer() -> None:
    shares = plan_shares(PRODUCTS, [HALF_CONV, HALF_QUERY, FULL_HEAD])
    assert shares == PlanShares(low=0.9, full=0.1, untold=0.0)
    check_plan(shares, promised=0.9)


def test_what_the_inspector_hides_is_said_to_be_untold() -> None:
    region = layer("conv1", ["N/A due to dynamic shapes"], ["Half or so it seems"])
    region["Outputs"] = [{"Format/Datatype": "N/A due to dynamic shapes"}]
    shares = plan_shares(PRODUCTS, [region, "only a name", FULL_HEAD])
    assert shares == PlanShares(low=0.0, full=0.1, untold=0.9)
    check_plan(shares, promised=0.9)


def test_a_float32_engine_for_a_half_recipe_is_refused() -> None:
    float_conv = layer("conv1", ["Float"], ["Row major linear FP32"])
    shares = plan_shares(PRODUCTS, [float_conv, HALF_QUERY, FULL_HEAD])
    assert shares.full == pytest.approx(0.7)
    with pytest.raises(
        BuildError,
        match=r"70.0% of its FLOPs in float32 and at most 30.0% in half or int8; .* 90.0%",
    ):
        check_plan(shares, promised=0.9)


def test_half_wins_where_a_product_lies_in_two_layers() -> None:
    layers = [
        layer("query", ["Float"], ["Float"]),
        HALF_QUERY,
        layer("query", ["Float"], ["Float"]),
    ]
    assert plan_shares(PRODUCTS, layers).low == pytest.approx(0.3)


def test_the_table_keeps_all_that_the_inspector_said() -> None:
    information = json.dumps({"Layers": [HALF_QUERY], "I/O Tensors": [{"Name": "image"}]})
    table = json.loads(layer_table(information, plan_shares(PRODUCTS, [HALF_QUERY])))
    assert table["Layers"] == [HALF_QUERY]
    assert table["I/O Tensors"] == [{"Name": "image"}]
    assert table["flops"] == {"low": 0.3, "full": 0.0, "untold": 0.7}


def test_a_network_without_products() -> None:
    check_plan(plan_shares([], []), promised=0.0)
