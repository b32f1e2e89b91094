"""A tiny bundle, made by hand: the graph of a network of three products, and what goes with it."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from engines.bundle import HEAD_FILE, REFERENCE_FILE, Reference, npz_bytes
from engines.contract import (
    Contract,
    Cost,
    HeadIdentity,
    ImageContract,
    Provenance,
    RecipeEntry,
    input_specs,
    output_specs,
)
from engines.files import sha256_of, whole_folder, write_whole
from engines.onnxruntime_session import create_session, run_session
from engines.precision import low_share, onnx_products
from engines.records import read_json, to_json

SIZE, PARAMETERS = 16, 413
OPSET, IR = 18, 10


def tiny_graph(*, half: bool, batch: int | None) -> onnx.ModelProto:
    """image -> convolution -> mean -> product -> layer norm -> three heads; the last in float32."""
    low = TensorProto.FLOAT16 if half else TensorProto.FLOAT
    rng = np.random.default_rng(7)
    constants = []

    def constant(name: str, *shape: int, kind: int = low) -> str:
        dtype = np.float16 if kind == TensorProto.FLOAT16 else np.float32
        scale = 1 / np.sqrt(max(1, np.prod(shape[:-1] if len(shape) == 2 else shape[1:])))
        values = (rng.normal(size=shape) * scale).astype(dtype)
        constants.append(numpy_helper.from_array(values, name))
        return name

    def number(name: str, values: Any) -> str:
        constants.append(numpy_helper.from_array(np.asarray(values), name))
        return name

    def node(kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        nodes.append(helper.make_node(kind, inputs, [output], name=f"{output}_node", **attributes))
        return output

    nodes: list[onnx.NodeProto] = []
    pixels = node("Cast", ["image"], "pixels", to=TensorProto.FLOAT)
    mean = number("mean", np.array([123.675, 116.28, 103.53], np.float32))
    centred = node("Sub", [pixels, mean], "centred")
    scaled = node("Mul", [centred, number("scale", np.float32(1 / 58))], "scaled")
    planes = node("Transpose", [scaled], "planes", perm=[0, 3, 1, 2])
    lowered = node("Cast", [planes], "lowered", to=low)
    features = node("Conv", [lowered, constant("kernel", 8, 3, 4, 4)], "features", strides=[4, 4])
    active = node("Relu", [features], "active")
    pooled = node("ReduceMean", [active, number("axes", np.array([2, 3]))], "pooled", keepdims=0)
    hidden = node("MatMul", [pooled, constant("weight", 8, 32)], "hidden")
    gain, shift = number("gain", np.ones(32)), number("shift", np.zeros(32))
    for tensor in constants[-2:]:
        values = numpy_helper.to_array(tensor).astype(np.float16 if half else np.float32)
        tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    normed = node("LayerNormalization", [hidden, gain, shift], "normed", axis=-1)
    head = node("Gemm", [normed, constant("head", 32, 136), constant("bias", 136)], "head_low")
    widened = node("Cast", [head], "head_wide", to=TensorProto.FLOAT)
    node("Reshape", [widened, number("to_points", np.array([-1, 68, 2]))], "landmarks")
    precise = node("Cast", [normed], "precise", to=TensorProto.FLOAT)
    full = TensorProto.FLOAT
    node("MatMul", [precise, constant("to_params", 32, PARAMETERS, kind=full)], "params")
    turn = node("MatMul", [precise, constant("to_rotation", 32, 9, kind=full)], "turn")
    node("Reshape", [turn, number("to_matrix", np.array([-1, 3, 3]))], "rotation")

    axis = "batch" if batch is None else batch
    shapes = {"landmarks": (68, 2), "params": (PARAMETERS,), "rotation": (3, 3)}
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, [axis, SIZE, SIZE, 3])],
        [
            helper.make_tensor_value_info(n, TensorProto.FLOAT, [axis, *s])
            for n, s in shapes.items()
        ],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR)
    onnx.checker.check_model(model, full_check=True)
    return model


def images(count: int) -> np.ndarray:
    """[count, SIZE, SIZE, 3] uint8, the same ones at each call."""
    return np.random.default_rng(3).integers(0, 256, (count, SIZE, SIZE, 3), np.uint8)


def make_bundle(
    folder: Path, *, batch: int | None = None, recipes: tuple[str, ...] = ("fp32", "fp16")
) -> Path:
    """Write a bundle folder whose graphs are `tiny_graph`."""
    graphs = {recipe: tiny_graph(half=recipe == "fp16", batch=batch) for recipe in recipes}
    photos = images(batch or 4)
    session = create_session(graphs["fp32"].SerializeToString(), "cpu", threads=1)
    answers = run_session(session, {"image": photos})
    reference = Reference(
        item_ids=np.array([f"item{index}" for index in range(len(photos))]),
        images=photos,
        bboxes=np.tile(np.array([0.0, 0, SIZE, SIZE]), (len(photos), 1)),
        crops=np.tile(np.array([0.0, 0, 1, 0, 0, SIZE]), (len(photos), 1)),
        **answers,
    )
    with whole_folder(folder) as temporary:
        for recipe, graph in graphs.items():
            write_whole(temporary / f"{recipe}.onnx", graph.SerializeToString())
        write_whole(temporary / HEAD_FILE, npz_bytes({"faces": np.zeros((4, 3), np.int32)}))
        write_whole(temporary / REFERENCE_FILE, reference.to_bytes())
        files = {path.name: sha256_of(path) for path in sorted(temporary.iterdir())}
        write_whole(temporary / "contract.json", to_json(make_contract(graphs, batch, files)))
    return folder


def make_contract(
    graphs: dict[str, onnx.ModelProto], batch: int | None, files: dict[str, str]
) -> Contract:
    """The contract of a tiny bundle."""
    return Contract(
        variant="params",
        batch=batch,
        inputs=input_specs(SIZE),
        outputs=output_specs("params", parameters=PARAMETERS, vertices=5023, landmarks=True),
        image=ImageContract(size=SIZE),
        parameters={
            "shape": 300,
            "expression": 100,
            "jaw": 3,
            "rotation": 6,
            "translation": 3,
            "scale": 1,
        },
        head=HeadIdentity(
            name="builtin",
            sha256="0" * 64,
            licence="Apache-2.0",
            redistributable=True,
            included=False,
        ),
        recipes={
            recipe: RecipeEntry(
                qamem="none",
                precision="float16" if recipe == "fp16" else "float32",
                low_flops_share=low_share(onnx_products(graph)),
                node_counts={},
            )
            for recipe, graph in graphs.items()
        },
        cost=Cost(flops=100_000, weight_bytes=dict.fromkeys(graphs, 60_000)),
        provenance=Provenance(
            checkpoint="none",
            checkpoint_sha256="0" * 64,
            git_revision="none",
            versions={},
            preset="none",
            configuration={},
        ),
        files=files,
    )


@pytest.fixture(scope="session")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> dict[int | None, Path]:
    """Bundles by batch: None dynamic, 2 static. Never written to."""
    root = tmp_path_factory.mktemp("bundles")
    return {batch: make_bundle(root / f"bundle{batch}", batch=batch) for batch in (None, 2)}


@pytest.fixture
def bundle(pristine: dict[int | None, Path], tmp_path: Path) -> Path:
    """A dynamic bundle of the test's own."""
    return shutil.copytree(pristine[None], tmp_path / "bundle")


@pytest.fixture
def static_bundle(pristine: dict[int | None, Path], tmp_path: Path) -> Path:
    """A bundle at batch 2 of the test's own."""
    return shutil.copytree(pristine[2], tmp_path / "static")


@pytest.fixture
def rewrite(bundle: Path) -> Callable[[str, bytes], None]:
    """Replace a file of the bundle and put its new hash into the contract."""

    def replace_file(name: str, data: bytes) -> None:
        write_whole(bundle / name, data)
        contract = json.loads((bundle / "contract.json").read_text())
        contract["files"][name] = sha256_of(bundle / name)
        write_whole(bundle / "contract.json", json.dumps(contract))

    return replace_file


def quantised_graph(*, outputs: bool) -> onnx.ModelProto:
    """`tiny_graph` whose convolution and first product take int8, symmetric, by Q/DQ pairs.

    Args:
        outputs: whether what they give is quantised too, without which ONNX Runtime leaves the
            convolution in float32.
    """
    model = tiny_graph(half=False, batch=None)
    weights = {item.name: numpy_helper.to_array(item) for item in model.graph.initializer}
    nodes: list[onnx.NodeProto] = []

    def constant(name: str, values: np.ndarray) -> str:
        model.graph.initializer.append(numpy_helper.from_array(values, name))
        return name

    def pair(source: str, name: str, target: str) -> None:
        scale = constant(f"{name}/scale", np.array(5 / 127, np.float32))
        zero = constant(f"{name}/zero", np.array(0, np.int8))
        for kind, left, right in (
            ("QuantizeLinear", source, f"{name}/integers"),
            ("DequantizeLinear", f"{name}/integers", target),
        ):
            nodes.append(
                helper.make_node(kind, [left, scale, zero], [right], name=f"{name}/{kind}")
            )

    for node in model.graph.node:
        if node.name not in ("features_node", "hidden_node"):
            nodes.append(node)
            continue
        source, weight = node.input[:2]
        axis = 0 if node.op_type == "Conv" else 1
        others = tuple(other for other in range(weights[weight].ndim) if other != axis)
        scale = np.abs(weights[weight]).max(axis=others) / 127
        integers = np.round(weights[weight] / np.expand_dims(scale, others)).astype(np.int8)
        inputs = [
            constant(f"{weight}/integers", integers),
            constant(f"{weight}/scale", scale.astype(np.float32)),
            constant(f"{weight}/zero", np.zeros(len(scale), np.int8)),
        ]
        nodes.append(
            helper.make_node(
                "DequantizeLinear", inputs, [f"{weight}/low"], f"{weight}/low", axis=axis
            )
        )
        pair(source, f"{node.name}/in", f"{node.name}/low")
        node.input[:2] = [f"{node.name}/low", f"{weight}/low"]
        nodes.append(node)
        if outputs:
            target, node.output[0] = node.output[0], f"{node.name}/wide"
            pair(node.output[0], f"{node.name}/out", target)
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    kept = [item for item in model.graph.initializer if item.name not in ("kernel", "weight")]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
    onnx.checker.check_model(model, full_check=True)
    return model


@pytest.fixture
def add_recipe(
    bundle: Path, rewrite: Callable[[str, bytes], None]
) -> Callable[[str, onnx.ModelProto, RecipeEntry], None]:
    """Put a graph into the bundle as one more recipe."""

    def add(recipe: str, graph: onnx.ModelProto, entry: RecipeEntry) -> None:
        rewrite(f"{recipe}.onnx", graph.SerializeToString())
        path = bundle / "contract.json"
        contract = read_json(path)
        contract["recipes"][recipe] = json.loads(to_json(entry))
        path.write_text(json.dumps(contract))

    return add


@pytest.fixture
def quantise(
    add_recipe: Callable[[str, onnx.ModelProto, RecipeEntry], None],
) -> Callable[..., float]:
    """Put `quantised_graph` into the bundle as the recipe `int8`; returns its share of int8."""

    def add(*, outputs: bool = False) -> float:
        graph = quantised_graph(outputs=outputs)
        entry = RecipeEntry(
            qamem="none",
            precision="float32",
            low_flops_share=low_share(onnx_products(graph)),
            node_counts={"DequantizeLinear": 4},
        )
        add_recipe("int8", graph, entry)
        return entry.low_flops_share

    return add


@pytest.fixture(scope="session")
def make_graph() -> Callable[..., onnx.ModelProto]:
    """`tiny_graph`, for tests that alter it."""
    return tiny_graph


@pytest.fixture(scope="session")
def make_images() -> Callable[[int], np.ndarray]:
    """`images`: a batch of inputs that fits the tiny bundles."""
    return images
