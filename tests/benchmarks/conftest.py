"""A bundle whose engines answer from a table, so that any damage can be planted in them.

An image carries its number in its first pixel; the engine's graph looks that row up. Bundle,
manifest and runtime are real: `verify` does all it does with a trained network's engine.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from engines.bundle import CONTRACT_FILE, HEAD_FILE, REFERENCE_FILE, Reference, npz_bytes
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
from engines.files import sha256_of, write_whole
from engines.machine import this_machine
from engines.manifest import BatchProfile, Manifest, write_manifest
from engines.precision import Effective
from engines.records import to_json
from trans3dhead.head.builtin import builtin_head
from trans3dhead.head.layout import LAYOUT_413, prior
from trans3dhead.head.model import project
from trans3dhead.head.rotation import (
    rotation_from_euler,
    rotation_from_six_d,
    six_d_from_rotation,
)
from trans3dhead.head.surface import VERTEX_COUNT

SIZE, IMAGES, SHARE = 32, 8, 0.97
HALF = Effective(precision="fp16 (emulated)", low_flops_promised=SHARE, low_flops_found=SHARE)
Answers = dict[str, np.ndarray]


def answers_of(params: np.ndarray, landmark_noise: np.ndarray) -> Answers:
    """All outputs of a mesh graph for params [n, 413]; the landmark branch is a little off."""
    head = builtin_head()
    vertices = head.posed_vertices(params)
    projected = project(vertices, params, SIZE).astype(np.float32)
    landmarks = head.landmarks68(projected) + landmark_noise
    return {
        "landmarks": landmarks.astype(np.float32),
        "params": params,
        "rotation": rotation_from_six_d(params[:, LAYOUT_413.rotation]),
        "vertices": vertices,
        "projected": projected,
    }


def heads(rng: np.random.Generator, count: int) -> np.ndarray:
    """Parameters [count, 413] of plausible heads."""
    params = np.tile(prior(LAYOUT_413), (count, 1))
    params[:, LAYOUT_413.deformation] += rng.normal(0, 0.4, (count, 403))
    params[:, LAYOUT_413.jaw_slice] *= 0.2
    turned = rotation_from_euler(rng.normal(0, 15, (count, 3)))
    params[:, LAYOUT_413.rotation] = six_d_from_rotation(turned)
    return params.astype(np.float32)


@dataclass(frozen=True)
class Workshop:
    """A bundle and what its reference answers."""

    bundle: Path
    reference: Reference

    @property
    def answers(self) -> Answers:
        """Copies of the reference's answers, to be damaged."""
        return {name: value.copy() for name, value in self.reference.outputs().items()}

    def lookup(self, answers: Answers, *, reverse: bool = False) -> bytes:
        """A graph, as ONNX, that gives these answers."""
        return lookup_graph(answers, reverse=reverse)

    def plant(
        self,
        answers: Answers,
        *,
        name: str = "planted",
        recipe: str = "fp16",
        effective: Effective = HALF,
        profile: BatchProfile | None = None,
        reverse: bool = False,
    ) -> Path:
        """An engine folder whose graph gives these answers; `reverse` mixes up the batch."""
        folder = self.bundle / "engines" / name
        write_whole(folder / "model.onnx", self.lookup(answers, reverse=reverse))
        import onnxruntime

        manifest = Manifest(
            name=name,
            runtime="onnxruntime",
            runtime_version=onnxruntime.__version__,
            provider="cpu",
            recipe=recipe,
            onnx_sha256=sha256_of(self.bundle / f"{recipe}.onnx"),
            contract_sha256=sha256_of(self.bundle / CONTRACT_FILE),
            profiles=(profile or BatchProfile(min=1, opt=5, max=8),),
            settings={},
            effective=effective,
            machine=this_machine(),
            seconds=0.0,
            file="model.onnx",
            files={"model.onnx": sha256_of(folder / "model.onnx")},
            size_bytes=1,
        )
        write_manifest(folder, manifest)
        return folder


def lookup_graph(answers: Answers, *, reverse: bool) -> bytes:
    """ONNX: image [batch, S, S, 3] to the rows of `answers` that its first values name."""
    import onnx
    from onnx import helper, numpy_helper

    nodes, constants, outputs = [], [], []

    def constant(name: str, value: np.ndarray) -> str:
        constants.append(numpy_helper.from_array(value, name))
        return name

    zero = constant("zero", np.array(0, np.int64))
    value = "image"
    for step in range(3):
        nodes.append(helper.make_node("Gather", [value, zero], [f"corner{step}"], axis=1))
        value = f"corner{step}"
    nodes.append(helper.make_node("Cast", [value], ["row"], to=onnx.TensorProto.INT64))
    if reverse:
        ends = [constant(k, np.array([v], np.int64)) for k, v in BACKWARDS.items()]
        nodes.append(helper.make_node("Slice", ["row", *ends], ["turned"]))
    row = "turned" if reverse else "row"
    for name, table in answers.items():
        nodes.append(helper.make_node("Gather", [constant(f"{name}.table", table), row], [name]))
        shape = ["batch", *table.shape[1:]]
        outputs.append(helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape))
    image = helper.make_tensor_value_info("image", onnx.TensorProto.UINT8, ["batch", SIZE, SIZE, 3])
    graph = helper.make_graph(nodes, "lookup", [image], outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    return model.SerializeToString()


BACKWARDS = {"start": -1, "end": -(2**31), "axis": 0, "step": -1}


def build_workshop(
    folder: Path, variant: str, *, images: int = IMAGES, truth: bool = True
) -> Workshop:
    """Write a bundle with recipes fp32 and fp16, its head model and reference."""
    rng = np.random.default_rng(5)
    head, params = builtin_head(), heads(rng, images)
    answers = answers_of(params, rng.normal(0, 0.3, (images, 68, 2)))
    true_params = params + rng.normal(0, 0.3, params.shape).astype(np.float32)
    turn = rotation_from_euler(rng.normal(0, 2, (images, 3)))
    turn = turn @ np.diag([1.0, -1.0, -1.0])  # a small turn in image axes
    model_view = np.tile(np.eye(4), (images, 1, 1))
    model_view[:, :3, :3] = np.diag([1.0, -1.0, -1.0]) @ turn @ answers["rotation"]
    model_view[:, 2, 3] = -1
    crops = np.tile([10.0, 20.0, 0.25, 0.0, 2.0, SIZE], (images, 1))
    true_landmarks = answers["landmarks"] + rng.normal(0, 0.5, (images, 68, 2))
    annotations = {
        "truth_landmarks": (true_landmarks - crops[:, None, 3:5]) / 0.25 + crops[:, None, :2],
        "truth_vertices": head.model_vertices(true_params),
        "truth_model_view": model_view,
    }
    pictures = rng.integers(0, 255, (images, SIZE, SIZE, 3), dtype=np.uint8)
    pictures[:, 0, 0, 0] = np.arange(images)
    given = (
        answers
        if variant == "mesh"
        else {name: answers[name] for name in ("landmarks", "params", "rotation")}
    )
    reference = Reference(
        item_ids=np.array([f"head-{i:03}" for i in range(images)]),
        images=pictures,
        bboxes=np.tile([20.0, 30.0, 100.0, 110.0], (images, 1)),
        crops=crops,
        **given,
        **(annotations if truth else {}),
    )
    files = {
        REFERENCE_FILE: reference.to_bytes(),
        HEAD_FILE: npz_bytes(head.drawing_arrays()),
        "fp16.onnx": b"half",
        "fp32.onnx": b"single",
    }
    for name, data in files.items():
        write_whole(folder / name, data)
    entry = RecipeEntry(qamem="conv", precision="float16", low_flops_share=SHARE, node_counts={})
    contract = Contract(
        variant=variant,
        batch=None,
        inputs=input_specs(SIZE),
        outputs=output_specs(variant, parameters=413, vertices=VERTEX_COUNT, landmarks=True),
        image=ImageContract(size=SIZE),
        parameters={"shape": 300, "expression": 100, "jaw": 3, "rotation": 6},
        head=HeadIdentity(
            name=head.name,
            sha256=head.sha256,
            licence="Apache-2.0",
            redistributable=True,
            included=False,
        ),
        recipes={
            "fp16": entry,
            "fp32": replace(entry, precision="float32", low_flops_share=0.0),
        },
        cost=Cost(flops=1, weight_bytes={"fp16": 1}),
        provenance=Provenance(
            checkpoint="tiny.safetensors",
            checkpoint_sha256="0" * 64,
            git_revision="none",
            versions={},
            preset="tiny",
            configuration={},
        ),
        files={name: sha256_of(folder / name) for name in files},
    )
    write_whole(folder / CONTRACT_FILE, to_json(contract))
    return Workshop(folder, reference)


@pytest.fixture(scope="session")
def workshops(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Workshop]:
    """The bundle of a variant, "params" or "mesh", made once."""
    made: dict[str, Workshop] = {}

    def workshop(variant: str) -> Workshop:
        if variant not in made:
            made[variant] = build_workshop(tmp_path_factory.mktemp(variant) / "bundle", variant)
        return made[variant]

    return workshop


@pytest.fixture(scope="session")
def make_workshop() -> Callable[..., Workshop]:
    """`build_workshop`, for a test that alters its bundle."""
    return build_workshop


@pytest.fixture(scope="session")
def honest_noise() -> Callable[[Answers], Answers]:
    """Answers as half precision would give them: everything a little off, consistently."""

    def moved(answers: Answers) -> Answers:
        rng = np.random.default_rng(9)
        size = 3e-4  # of a parameter: a little more than one rounding to half
        params = answers["params"] * (1 + rng.normal(0, size, answers["params"].shape))
        found = answers_of(params.astype(np.float32), np.zeros((len(params), 68, 2)))
        noise = rng.normal(0, 0.03 * SIZE / 256, answers["landmarks"].shape)
        found["landmarks"] = (answers["landmarks"] + noise).astype(np.float32)
        return {name: found[name] for name in answers}

    return moved
