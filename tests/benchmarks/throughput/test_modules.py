"""Where the time goes by module: every layer is somebody's, or is said to be nobody's."""

import copy
import json
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from benchmarks.throughput.module_bench import profile_modules
from benchmarks.throughput.modules import (
    BETWEEN,
    FUSED,
    MODULES_SCHEMA,
    NETWORK,
    UNATTRIBUTED,
    Graph,
    PartRow,
    attribute,
    group_of,
)
from engines.errors import UserError
from engines.layer_times import LayerProfile, LayerTime

Found = dict[str, Any]


def network() -> onnx.ModelProto:
    """backbone.conv1 -> backbone.relu -> pooled -> a_branch.first -> a_branch.second."""
    rng = np.random.default_rng(0)
    kernel = rng.normal(size=(4, 3, 1, 1)).astype(np.float32)
    weights = [rng.normal(size=(4, 4)).astype(np.float32) for _ in range(2)]
    constants = [
        numpy_helper.from_array(value, name)
        for name, value in (("k", kernel), ("w1", weights[0]), ("w2", weights[1]))
    ]
    made = [
        ("Conv", ["image", "k"], "backbone.conv1/Conv"),
        ("Relu", ["backbone.conv1/Conv"], "backbone.relu/Relu"),
        ("GlobalAveragePool", ["backbone.relu/Relu"], "/GlobalAveragePool"),
        ("Flatten", ["/GlobalAveragePool"], "a_branch/Flatten"),
        ("MatMul", ["a_branch/Flatten", "w1"], "a_branch.first/MatMul"),
        ("MatMul", ["a_branch.first/MatMul", "w2"], "a_branch.second/MatMul"),
    ]
    nodes = [helper.make_node(kind, given, [name], name=name) for kind, given, name in made]
    nodes[-1].output[0] = "params"
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 3, 8, 8])],
        [helper.make_tensor_value_info("params", TensorProto.FLOAT, ["batch", 4])],
        constants,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def layer(kind: str, *nodes: str, milliseconds: float = 1.0) -> LayerTime:
    return LayerTime(name="any", kind=kind, nodes=nodes, milliseconds=milliseconds)


@pytest.mark.parametrize(
    ("found", "owners"),
    [
        (layer("Conv", "backbone.conv1/Conv"), {"backbone.conv1"}),
        # a fusion belongs to the product in it
        (layer("Convolution", "backbone.conv1/Conv", "backbone.relu/Relu"), {"backbone.conv1"}),
        # and has the activation's name at times
        (layer("Conv", "backbone.relu/Relu"), {"backbone.conv1"}),
        (layer("Relu", "backbone.relu/Relu"), {"backbone.relu"}),
        # OpenVINO's tails, and Casts that emulate half precision
        (layer("Convolution", "backbone.conv1/Conv/WithoutBiases"), {"backbone.conv1"}),
        (layer("Cast", "backbone.conv1/Conv/low/cast"), {"backbone.conv1"}),
        (layer("Cast", "backbone.conv1/Conv:float16"), {"backbone.conv1"}),
        # an output has its own name
        (layer("FullyConnected", "params"), {"a_branch.second"}),
        (layer("", "a_branch.first/MatMul", "a_branch.second/MatMul"),
         {"a_branch.first", "a_branch.second"}),
        (layer("GlobalAveragePool", "/GlobalAveragePool"), {""}),
        (layer("Reorder"), set()),
        (layer("MVN", "MVN_944"), set()),
        (layer("Reorder", "somewhere.else/Conv"), set()),
    ],
)  # fmt: skip
def test_whose_a_layer_is(found: LayerTime, owners: set[str]) -> None:
    assert Graph(network(), 1).owners_of(found) == owners


def profile(*layers: LayerTime, call: float) -> LayerProfile:
    return LayerProfile(layers=layers, calls=5, milliseconds=call)


def by_name(rows: tuple[PartRow, ...]) -> dict[str, PartRow]:
    return {row.part: row for row in rows}


FOUND = profile(
    layer("Conv", "backbone.relu/Relu", milliseconds=4.0),
    layer("Relu", "backbone.relu/Relu", milliseconds=0.5),
    layer("", "a_branch.first/MatMul", "a_branch.second/MatMul", milliseconds=2.0),
    layer("Reorder", milliseconds=1.0),
    call=10.0,
)


def test_rows_add_up_to_the_call() -> None:
    rows = attribute(FOUND, Graph(network(), 2))
    named = by_name(rows)
    assert [row.part for row in rows] == [
        "backbone.stem",
        "a_branch.first",
        "a_branch.second",
        FUSED,
        UNATTRIBUTED,
        BETWEEN,
    ]
    assert sum(row.milliseconds for row in rows) == pytest.approx(10)
    assert sum(row.share for row in rows) == pytest.approx(1)
    assert sum(row.flops_share for row in rows) == pytest.approx(1)
    assert (named["backbone.stem"].milliseconds, named["backbone.stem"].layers) == (4.5, 2)
    assert named["backbone.stem"].flops == 2 * 2 * 3 * 4 * 64  # batch 2
    assert (named[FUSED].milliseconds, named[UNATTRIBUTED].milliseconds) == (2, 1)
    assert named[BETWEEN].milliseconds == pytest.approx(2.5)
    assert named["a_branch.first"].layers == 0  # its time is in the fused layer


def test_what_is_fused_within_a_shown_part_is_its_own() -> None:
    named = by_name(attribute(FOUND, Graph(network(), 1), depth=1))
    assert (named["a_branch"].milliseconds, named[FUSED].milliseconds) == (2, 0)
    assert named["backbone"].layers == 2


@pytest.mark.parametrize(
    ("depth", "part"),
    [
        (1, "landmark_branch"),
        (2, "landmark_branch.layers"),
        (None, "landmark_branch.layers.1.cross_attention"),
    ],
)
def test_parts_are_told_apart_by_as_many_words_as_wanted(depth: int | None, part: str) -> None:
    assert group_of("landmark_branch.layers.1.cross_attention.out_proj", depth) == part
    assert group_of("", depth) == NETWORK


def test_hooks_find_what_each_module_takes_itself() -> None:
    from benchmarks.throughput.torch_modules import own_times

    marks = [
        ("", True, 0), ("a", True, 1), ("a.x", True, 2), ("a.x", False, 5), ("a", False, 6),
        ("b", True, 7), ("b", False, 17), ("b", True, 18), ("b", False, 19), ("", False, 20),
    ]  # fmt: skip
    found = own_times(marks, lambda begin, end: end - begin)
    assert found == {"": 4, "a": 2, "a.x": 3, "b": 11}
    assert sum(found.values()) == 20


def test_a_checkpoint_is_recorded_and_left_as_it_was(checkpoint: Path) -> None:
    from benchmarks.throughput.rows import Images
    from benchmarks.throughput.torch_modules import profile_network
    from trans3dhead.network.cost import flops_per_image
    from trans3dhead.presets import tiny

    found = profile_network(
        checkpoint, Images(()), device="cpu", batch=3, depth=2, seconds=0.01, threads=1
    )
    named = by_name(found.rows)
    assert {"backbone.stem", "landmark_branch.layers", "parameter_branch.layers"} <= set(named)
    assert sum(row.milliseconds for row in found.rows) == pytest.approx(found.milliseconds)
    total = 3 * flops_per_image(tiny().network)
    assert sum(row.flops for row in found.rows) == pytest.approx(total)
    assert found.attributed == 1
    assert all(row.milliseconds > 0 for row in found.rows if row.flops)


@pytest.mark.gpu
def test_a_checkpoint_on_the_gpu_is_recorded_by_its_clock(checkpoint: Path) -> None:
    found = profile_modules([], checkpoint=checkpoint, device="cuda", seconds=0.1).profiled[0]
    assert sum(row.milliseconds for row in found.rows) == pytest.approx(found.milliseconds)
    assert all(row.milliseconds > 0 for row in found.rows if row.flops)


def extra_field(found: Found) -> None:
    found["profiled"][0]["fps"] = 1


def lost_row(found: Found) -> None:
    del found["profiled"][0]["rows"][0]["share"]


def nothing_recorded(found: Found) -> None:
    found["profiled"] = []


def other_machine(found: Found) -> None:
    found["machine"] = "a laptop"


@pytest.mark.parametrize("damage", [extra_field, lost_row, nothing_recorded, other_machine])
def test_what_is_broken_keeps_no_schema(checkpoint: Path, validator_of, damage) -> None:
    report = profile_modules([], checkpoint=checkpoint, seconds=0.01, threads=1)
    whole = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    validator_of(MODULES_SCHEMA).validate(whole)
    broken = copy.deepcopy(whole)
    damage(broken)
    with pytest.raises(jsonschema.ValidationError):
        validator_of(MODULES_SCHEMA).validate(broken)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"checkpoint": None}, "nothing to record"),
        ({"batch": 0}, "--batch 0 came"),
        ({"depth": 0}, "--depth 0 came"),
        ({"threads": 0}, "--threads 0 came"),
        ({"seconds": 0.0}, "--seconds 0 came"),
    ],
)
def test_what_cannot_be_recorded_is_refused(checkpoint: Path, change, said: str) -> None:
    arguments = {"checkpoint": checkpoint, **change}
    with pytest.raises(UserError, match=said):
        profile_modules([], **arguments)
