"""Where an engine leaves the reference: the error of every part of the network, in our names.

Both run over the same images with the values that pass from part to part for outputs: the engine,
and the bundle's float32 graph, which equals PyTorch to 1e-3 pixels. Errors are relative, in the
Euclidean norm over all images. Needs no torch.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from benchmarks.parity.outputs import Progress
from benchmarks.parity.taps import Tapped, tap_engine, tap_graph
from engines.bundle import Bundle
from engines.errors import UserError
from engines.manifest import read_manifest
from engines.precision import DEQUANTIZE
from engines.runtime import bundle_of
from export.modules import module_of, part_of
from export.qamem import as_convolutions, as_products

EXACT = "fp32"
"""Recipe of the graph that the engine is held against."""
IMAGES = 16
"""Looked at by default: errors of whole tensors need no more."""
STEP = 4
"""Images a run, where the graph takes any number: inner values are large."""
FLOORS = {"float32": 2.0**-20, "float16": 2.0**-11, "bfloat16": 2.0**-8}
"""What rounding alone puts on a value: an error that comes in smaller does not count as smaller,
so that the first parts, which get an exact image, do not seem to multiply it without end."""
INTEGER_FLOOR = 2.0**-7
"""The same of int8: half a step of 127, of a value of half its tensor's largest."""


@dataclass(frozen=True, kw_only=True)
class PartError:
    """One part of the network."""

    part: str
    error_in: float | None
    """Relative error of what it reads, the worst of its inputs; None where it reads the image
    alone."""
    error_out: float | None
    """Relative error of what it hands on; None where that is not finite."""
    amplification: float | None
    """error_out over error_in, or over what rounding alone does where that is more."""
    largest: float | None
    """Largest absolute difference of a number that it hands on."""
    not_finite: int
    """Numbers it hands on that are NaN or infinite in the engine, and not in the reference."""


@dataclass(frozen=True, kw_only=True)
class Walk:
    """All parts, in the order of the graph."""

    where: str
    """What was looked into."""
    images: int
    parts: tuple[PartError, ...]
    unseen: tuple[str, ...]
    """Parts whose results the engine does not show: folded into others."""

    @property
    def suspect(self) -> PartError:
        """The first part that makes numbers of finite ones that are not; else the one that
        multiplies the error most."""
        broken = [part for part in self.parts if part.not_finite]
        if broken:
            return broken[0]
        return max(self.parts, key=lambda part: part.amplification or 0.0)

    @property
    def headline(self) -> str:
        """Where to look first."""
        part = self.suspect
        if part.not_finite:
            return f"{part.part} is the first to give numbers that are not finite"
        came = "an exact image" if part.error_in is None else f"an error of {part.error_in:.2g}"
        return (
            f"the error grows most in {part.part}: from {came} to {part.error_out:.2g}, "
            f"{part.amplification:.2g} times"
        )


def walk(
    engine_folder: Path,
    *,
    images: int = IMAGES,
    threads: int | None = None,
    progress: Progress = lambda stage, done, total: None,
) -> Walk:
    """Look into an engine part by part.

    Args:
        engine_folder: BUNDLE/engines/NAME.
        images: of the bundle's reference, at most.
        threads: CPU threads; the runtime's own choice where None.
        progress: called with stage, done, total.

    Raises:
        UserError: the bundle has no float32 graph to hold the engine against.
    """
    bundle = Bundle.open(bundle_of(engine_folder.absolute()))
    manifest = read_manifest(engine_folder)
    recipes = bundle.contract.recipes
    if EXACT not in recipes:
        raise UserError(
            f"{bundle.folder} holds the recipes {', '.join(recipes)}; the walk holds an engine "
            f"against {EXACT}; export with `--recipes {EXACT} {manifest.recipe}`"
        )
    recipe = recipes[manifest.recipe]
    floor = INTEGER_FLOOR if DEQUANTIZE in recipe.node_counts else FLOORS[recipe.precision]
    graph = ir.load(bundle.graph(EXACT))
    if recipe.qamem != "none":
        (as_convolutions if recipe.qamem == "conv" else as_products)(graph)
    borders = borders_of(graph)
    names = list(dict.fromkeys(name for border in borders.values() for name in border.given))
    exact = tap_graph(ir.to_proto(graph), names, "", threads=threads)
    engine = tap_engine(engine_folder, bundle, manifest, exact.names, threads)
    pictures = bundle.reference().images[:images]
    sums = _compare(engine, exact, pictures, bundle.contract.batch or STEP, progress)
    parts = [
        _part(part, border, sums, floor)
        for part, border in borders.items()
        if any(name in sums for name in border.given)
    ]
    return Walk(
        where=engine.where,
        images=len(pictures),
        parts=tuple(parts),
        unseen=tuple(borders.keys() - {part.part for part in parts}),
    )


@dataclass(frozen=True, kw_only=True)
class Border:
    """Names of the values that cross the border of a part."""

    taken: tuple[str, ...]
    given: tuple[str, ...]


def borders_of(graph: ir.Model) -> dict[str, Border]:
    """Every part of a float32 graph, in its order, with what it reads and hands on."""
    taken: dict[str, dict[str, None]] = {}
    given: dict[str, dict[str, None]] = {}
    outputs = set(graph.graph.outputs)
    for node in graph.graph:
        part = _part_of(node)
        taken.setdefault(part, {})
        given.setdefault(part, {})
        for value in node.inputs:
            producer = value.producer() if value is not None else None
            if value is not None and producer is not None and _part_of(producer) != part:
                taken[part][str(value.name)] = None
        for value in node.outputs:
            if value in outputs or any(_part_of(user) != part for user in value.consumers()):
                given[part][str(value.name)] = None
    return {
        part: Border(taken=tuple(taken[part]), given=tuple(given[part]))
        for part in given
        if given[part]
    }


def _part_of(node: ir.Node) -> str:
    return part_of(module_of(node))


@dataclass
class _Sums:
    """Of one value, over the images so far."""

    difference: float = 0.0
    """Sum of squares, as that of the reference below."""
    reference: float = 0.0
    largest: float = 0.0
    not_finite: int = 0

    def add(self, engine: NDArray[np.float32], exact: NDArray[np.float32]) -> None:
        sound = np.isfinite(engine)
        self.not_finite += int(np.count_nonzero(~sound & np.isfinite(exact)))
        wanted = exact.astype(np.float64)
        apart = np.where(sound, engine.astype(np.float64) - wanted, 0.0)
        self.difference += float(np.square(apart).sum())
        self.reference += float(np.square(wanted).sum())
        self.largest = max(self.largest, float(np.abs(apart).max(initial=0.0)))


def _compare(
    engine: Tapped, exact: Tapped, images: NDArray[np.uint8], step: int, progress: Progress
) -> dict[str, _Sums]:
    sums: dict[str, _Sums] = {}
    padded = np.resize(images, (-(-len(images) // step) * step, *images.shape[1:]))
    for start in range(0, len(padded), step):
        some = padded[start : start + step]
        found, wanted = engine.run(some), exact.run(some)
        for name in engine.names:
            if found[name].size == wanted[name].size:  # an optimiser may have moved a reshaping
                value = found[name].reshape(wanted[name].shape)
                sums.setdefault(name, _Sums()).add(value, wanted[name])
        progress("walk", min(start + step, len(images)), len(images))
    return sums


def _part(part: str, border: Border, sums: Mapping[str, _Sums], floor: float) -> PartError:
    given = [sums[name] for name in border.given if name in sums]
    came = _errors(sums[name] for name in border.taken if name in sums)
    error_in = max(came) if came else None
    broken = sum(value.not_finite for value in given)
    error_out = None if broken else max(_errors(given))
    return PartError(
        part=part,
        error_in=error_in,
        error_out=error_out,
        amplification=None if error_out is None else error_out / max(error_in or 0.0, floor),
        largest=None if broken else max(value.largest for value in given),
        not_finite=broken,
    )


def _errors(values: Iterable[_Sums]) -> list[float]:
    return [
        float(np.sqrt(value.difference / value.reference)) if value.reference else 0.0
        for value in values
    ]
