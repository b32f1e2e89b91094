"""From a checkpoint to a bundle: traced once, typed by recipe, checked, then published whole."""

import json
import resource
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Literal, get_args

import onnx
import onnx_ir as ir

from engines.bundle import CONTRACT_FILE, HEAD_FILE, REFERENCE_FILE, Reference, npz_bytes
from engines.contract import (
    Contract,
    Cost,
    HeadIdentity,
    ImageContract,
    Provenance,
    RecipeEntry,
    Variant,
    input_specs,
    output_specs,
)
from engines.errors import UserError
from engines.files import sha256_of, whole_folder, write_whole
from engines.precision import low_share, onnx_products
from engines.records import to_json
from export.auditing import largest_values, near_overflow
from export.checks import Candidate, check_graphs
from export.deployed import Deployed
from export.forms import buildable_form
from export.graph import module_paths, node_counts, trace, trace_plain
from export.lowering import lower
from export.quantising import CALIBRATION_IMAGES, calibrate, quantise
from export.recipes import QAMemForm, Recipe, check_patterns, recipe_of
from export.reference import dataset_photos, make_reference, rendered_photos
from trans3dhead.data.crop import EVALUATION_OFFSETS
from trans3dhead.head.layout import layout_of
from trans3dhead.head.model import HeadModel
from trans3dhead.head.source import head_by_identity
from trans3dhead.head.surface import VERTEX_COUNT
from trans3dhead.network.config import IMAGE_MEAN, IMAGE_STD, NetworkConfig
from trans3dhead.training.checkpoint import Checkpoint, load_checkpoint
from trans3dhead.training.provenance import git_revision, library_versions

TOOLS = ("onnx", "onnxscript", "onnx-ir", "onnxruntime")
"""Libraries that the graph's bytes or its checks depend on, beside the checkpoint's own."""

Progress = Callable[[str, int, int], None]
"""Called with a stage, what is done of it, and its total."""


@dataclass(frozen=True, kw_only=True)
class ExportReport:
    """A published bundle."""

    folder: Path
    contract: Contract
    plain_nodes: dict[str, int]
    """Nodes by kind of what `torch.onnx.export` makes of the trained network as it is."""
    near_overflow: dict[str, float]
    """Modules that a recipe computes in float16 and whose numbers come near its limit; to their
    largest value over the reference images."""
    differences: dict[str, dict[str, float]]
    """Largest difference from eager PyTorch in the checks, by recipe and output."""
    sizes: dict[str, int]
    """Bytes by file."""
    seconds: float
    """On the clock."""
    peak_memory: int
    """The most bytes of memory that this process has held so far."""


def export_bundle(
    checkpoint: Path,
    out: Path,
    *,
    variant: Variant = "params",
    recipes: Sequence[str] = ("fp32", "fp16"),
    batch: int | None = 1,
    qamem: QAMemForm | Literal["auto"] | None = None,
    head: Path | None = None,
    reference: Path | None = None,
    split: str = "val",
    count: int = 64,
    include_head: bool = False,
    progress: Progress = lambda stage, done, total: None,
) -> ExportReport:
    """Write the bundle folder `out`, whole or not at all.

    Args:
        checkpoint: of `trans3dhead train`.
        out: a new folder.
        variant: "params", or "mesh" with vertices and projections in the graph.
        recipes: names of `export.recipes.RECIPES`, or paths of recipes in TOML files.
        batch: a fixed batch size, or None for an open one.
        qamem: the form of query-aware memory in every graph; None leaves it to the recipes, "auto"
            takes theirs where every runtime here builds it, else the other.
        head: folder of the head model; None for the built-in one.
        reference: folder of a data set to take the reference images from; None renders them.
        split: of that data set.
        count: reference images.
        include_head: whether `head.npz` holds the shape basis too.
        progress: see `Progress`.

    Raises:
        CheckError: the graphs do not answer as the trained network; nothing was published.
        UserError: says what came, what was expected, how to mend it.
    """
    start = time.perf_counter()
    chosen = _chosen_recipes(recipes, None if qamem == "auto" else qamem)
    _check_numbers(variant, batch, count)
    with whole_folder(out) as folder:
        trained = load_checkpoint(checkpoint)
        config = trained.preset.network
        model_of_head = head_by_identity(trained.head.name, trained.head.sha256, head)
        deployed = Deployed(
            trained.network, config, head=model_of_head if variant == "mesh" else None
        )
        for recipe in chosen:
            check_patterns(recipe, module_paths(deployed))
        photos = (
            rendered_photos(model_of_head, count)
            if reference is None
            else dataset_photos(reference, split, count)
        )
        progress("reference images", 0, count)
        truth = make_reference(
            photos,
            trained.network,
            model_of_head,
            size=config.image_size,
            variant=variant,
            done=lambda done: progress("reference images", done, count),
        )
        progress("tracing", 0, 2)
        traced = trace(deployed, size=config.image_size, batch=batch)
        progress("tracing", 1, 2)
        plain_nodes = node_counts(trace_plain(trained.network, size=config.image_size, batch=batch))
        progress("tracing", 2, 2)
        if qamem == "auto" and has_qamem(config):
            chosen = _with_buildable_form(chosen, traced)
        products = onnx_products(ir.to_proto(traced))
        flops = sum(product.flops for product in products) // (batch or 1)
        entries, weights = {}, {}
        for recipe in chosen:
            lowered = lower(traced, recipe)
            seen = truth.images[: CALIBRATION_IMAGES if recipe.quantised else 0]
            if recipe.quantised:
                quantise(lowered, recipe, calibrate(traced, recipe, seen, batch))
            proto = ir.to_proto(lowered)
            write_whole(folder / f"{recipe.name}.onnx", proto.SerializeToString())
            entries[recipe.name] = _entry(recipe, config, lowered, proto, len(seen))
            weights[recipe.name] = sum(
                constant.const_value.nbytes
                for constant in lowered.graph.initializers.values()
                if constant.const_value is not None
            )
        contract = Contract(
            variant=variant,
            batch=batch,
            inputs=input_specs(config.image_size),
            outputs=output_specs(
                variant,
                parameters=config.parameters,
                vertices=VERTEX_COUNT,
                landmarks=not config.single_task,
            ),
            image=ImageContract(
                size=config.image_size,
                mean=IMAGE_MEAN,
                std=IMAGE_STD,
                crop_offset=EVALUATION_OFFSETS[0],
            ),
            parameters=_layout_sizes(config),
            head=_identity(model_of_head, include_head),
            recipes=entries,
            cost=Cost(flops=flops, weight_bytes=weights),
            provenance=_provenance(trained),
            largest=largest_values(
                traced,
                truth.images,
                batch,
                done=lambda done: progress("largest values", done, count),
            ),
        )
        differences = _checked(folder, chosen, contract, truth, progress)
        arrays = model_of_head.arrays() if include_head else model_of_head.drawing_arrays()
        write_whole(folder / HEAD_FILE, npz_bytes(arrays))
        write_whole(folder / REFERENCE_FILE, truth.to_bytes())
        files = {path.name: sha256_of(path) for path in sorted(folder.iterdir())}
        contract = replace(contract, files=files)
        write_whole(folder / CONTRACT_FILE, to_json(contract))
        sizes = {path.name: path.stat().st_size for path in sorted(folder.iterdir())}
    return ExportReport(
        folder=out,
        contract=contract,
        plain_nodes=plain_nodes,
        near_overflow=near_overflow(contract.largest, chosen),
        differences=differences,
        sizes=sizes,
        seconds=time.perf_counter() - start,
        # Linux counts in KiB
        peak_memory=1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
    )


def _checked(
    folder: Path,
    recipes: Sequence[Recipe],
    contract: Contract,
    reference: Reference,
    progress: Progress,
) -> dict[str, dict[str, float]]:
    candidates = [
        Candidate(
            recipe=r.name,
            precision=r.precision,
            quantised=bool(r.quantised),
            path=folder / f"{r.name}.onnx",
        )
        for r in recipes
    ]
    progress("checks", 0, len(candidates))
    return check_graphs(
        candidates,
        contract,
        reference,
        done=lambda done: progress("checks", done, len(candidates)),
    )


def _chosen_recipes(names: Sequence[str], qamem: QAMemForm | None) -> list[Recipe]:
    if not names:
        raise UserError("no recipe came; expected at least one; give `--recipes fp32`")
    chosen = [recipe_of(name) for name in names]
    if len({recipe.name for recipe in chosen}) < len(chosen):
        raise UserError(
            f"recipes {', '.join(recipe.name for recipe in chosen)} came; expected each once; "
            "drop or rename the repeated"
        )
    return [replace(recipe, qamem=qamem) if qamem else recipe for recipe in chosen]


def _check_numbers(variant: Variant, batch: int | None, count: int) -> None:
    if variant not in get_args(Variant):
        raise UserError(f"variant {variant!r} came; expected params or mesh; choose one of these")
    if batch is not None and batch < 1:
        raise UserError(f"batch {batch} came; expected 1 or more; or `--batch dynamic`")
    if count < 1:
        raise UserError(f"count {count} came; expected 1 or more reference images; 64 is usual")


def _entry(
    recipe: Recipe,
    config: NetworkConfig,
    lowered: ir.Model,
    proto: onnx.ModelProto,
    calibration_images: int,
) -> RecipeEntry:
    return RecipeEntry(
        qamem=recipe.qamem if has_qamem(config) else "none",
        precision=recipe.precision,
        lowered=recipe.lowered,
        quantised=recipe.quantised,
        kept=recipe.kept,
        low_flops_share=low_share(onnx_products(proto)),
        node_counts=node_counts(lowered),
        calibration_images=calibration_images,
    )


def has_qamem(config: NetworkConfig) -> bool:
    """Whether a network has query-aware memory anywhere."""
    return config.qamem == "both" or (config.qamem == "landmarks" and not config.single_task)


def _with_buildable_form(recipes: Sequence[Recipe], traced: ir.Model) -> list[Recipe]:
    """The recipes with forms of query-aware memory that every runtime here builds."""
    with tempfile.TemporaryDirectory() as folder:

        def write(form: QAMemForm) -> Path:
            path = Path(folder) / f"{form}.onnx"
            if not path.exists():
                plain = Recipe(name=form, qamem=form)
                path.write_bytes(ir.to_proto(lower(traced, plain)).SerializeToString())
            return path

        forms = {form: buildable_form(write, form) for form in {r.qamem for r in recipes}}
    return [replace(recipe, qamem=forms[recipe.qamem]) for recipe in recipes]


def _layout_sizes(config: NetworkConfig) -> dict[str, int]:
    layout = layout_of(config.parameters)
    groups = {
        "shape": layout.shape_slice,
        "expression": layout.expression_slice,
        "jaw": layout.jaw_slice,
        "rotation": layout.rotation,
        "translation": layout.translation,
        "scale": layout.scale,
    }
    return {name: group.stop - group.start for name, group in groups.items()}


def _identity(head: HeadModel, included: bool) -> HeadIdentity:
    return HeadIdentity(
        name=head.name,
        sha256=head.sha256,
        licence=head.licence,
        redistributable=head.redistributable,
        included=included,
    )


def _provenance(trained: Checkpoint) -> Provenance:
    """By file name, never by path: equal checkpoints give equal bundles on any machine."""
    return Provenance(
        checkpoint=trained.path.name,
        checkpoint_sha256=sha256_of(trained.path),
        git_revision=git_revision(),
        versions=library_versions() | {name: version(name) for name in TOOLS},
        preset=trained.preset.name,
        configuration=json.loads(to_json(trained.preset)),
    )
