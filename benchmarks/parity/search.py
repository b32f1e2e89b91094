"""The cheapest precision recipe that passes: which parts of a network may go into half?

Every candidate is the bundle's float32 graph typed by a recipe, its low precision emulated, and is
judged by the gates of metrics, movements and finite numbers. Those of batches and of effective
precision belong to a built engine: `build --verify` has the last word. Needs no torch.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import onnx_ir as ir

from benchmarks.parity.gates import Gate, overall
from benchmarks.parity.margins import margins_of
from benchmarks.parity.outputs import Mesh, Outputs, Progress
from benchmarks.parity.sample import Sample
from benchmarks.parity.statistics import Verdict
from benchmarks.parity.walk import EXACT, borders_of
from benchmarks.parity.yardstick import bundled
from engines.bundle import Bundle
from engines.emulation import emulate
from engines.errors import UserError
from engines.onnxruntime_session import create_session, run_session
from engines.precision import onnx_products
from export.lowering import lower
from export.modules import module_of, modules_of, part_of
from export.qamem import as_products
from export.recipes import RECIPES, Recipe

STEP = 8
"""Images a run, where the graph takes any number."""
NAME = "searched"
"""Of the recipe that is found, unless told otherwise."""


@dataclass(frozen=True, kw_only=True)
class Tried:
    """One recipe, judged."""

    lowered: tuple[str, ...]
    """Parts in low precision, in the graph's order."""
    low_flops: float
    """Share of the arithmetic that is in low precision: what stands for speed here."""
    verdict: Verdict
    damage: float | None
    """The largest |number| / margin over all gates; None where an answer is not finite or a weight
    does not fit into the type."""
    worst: str
    """That gate's line, or what broke."""

    @property
    def passed(self) -> bool:
        return self.verdict == "pass"


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a search found."""

    bundle: str
    base: str
    """The recipe it started from."""
    images: int
    parts: tuple[str, ...]
    """Those that the base lowers."""
    shares: dict[str, float]
    """Part to its share of the arithmetic."""
    exact: Tried
    """Everything in float32."""
    alone: dict[str, Tried]
    """Part to what becomes of lowering it alone."""
    downwards: tuple[Tried, ...]
    """From the base: the worst part raised to float32 until the gates hold."""
    upwards: tuple[Tried, ...]
    """From float32: parts lowered as long as the gates hold."""
    best: Tried | None
    """The one that passes with most in low precision, of all that were tried; None where nothing
    may be lowered."""

    @property
    def raised(self) -> tuple[str, ...]:
        """Parts that the best recipe keeps in float32, of those the base lowers."""
        kept = () if self.best is None else self.best.lowered
        return tuple(part for part in self.parts if part not in kept)

    @property
    def frontier(self) -> tuple[Tried, ...]:
        """Of all that were tried, those that none beats in arithmetic and in damage at once."""
        tried = sorted(
            {t.lowered: t for t in self.tried if t.damage is not None}.values(),
            key=lambda t: (-t.low_flops, t.damage or 0.0),
        )
        kept: list[Tried] = []
        for candidate in tried:
            if not kept or (candidate.damage or 0.0) < (kept[-1].damage or 0.0):
                kept.append(candidate)
        return tuple(kept)

    @property
    def tried(self) -> tuple[Tried, ...]:
        """Every recipe that was judged."""
        return (self.exact, *self.alone.values(), *self.downwards, *self.upwards)

    @property
    def headline(self) -> str:
        """The result in one line."""
        if self.best is None:
            return f"FAIL: no part of {self.base} may be lowered; {self.exact.worst}"
        if not self.raised:
            return f"PASS: {self.base} passes as it is, nothing has to stay in float32"
        return (
            f"PASS: {', '.join(self.raised)} in float32, {self.best.low_flops:.1%} of the FLOPs in "
            f"low precision"
        )

    def recipe(self, name: str) -> Recipe | None:
        """The best one, as `export --recipes FILE` takes it."""
        return None if self.best is None else recipe_for(self.base, self.raised, name)

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        return asdict(self) | {
            "raised": self.raised,
            "frontier": [asdict(tried) for tried in self.frontier],
            "headline": self.headline,
        }


def recipe_for(base: str, raised: Iterable[str], name: str) -> Recipe:
    """A shipped recipe with further parts kept in float32."""
    kept = tuple(module for part in raised for module in modules_of(part))
    return replace(RECIPES[base], name=name, kept=RECIPES[base].kept + kept)


def search(
    bundle_folder: Path,
    head_folder: Path | None = None,
    *,
    base: str = "fp16",
    margins: Path | None = None,
    limit: int | None = None,
    threads: int | None = None,
    progress: Progress = lambda stage, done, total: None,
) -> Found:
    """Search from both ends.

    First each part is lowered alone, which says how much of the damage is its own. Then the worst
    are raised to float32 one after the other until the gates hold, and lowered again where they
    hold without. From the other end all parts are lowered at once; what fails is halved until the
    parts that may not are found.

    Args:
        bundle_folder: with the recipe fp32 and a reference that has ground truth.
        head_folder: the head model, where the bundle neither holds it nor uses the built-in one.
        base: the shipped recipe to start from; its margins judge.
        margins: a TOML file that overrides the shipped margins.
        limit: judge by the first so many reference images.
        threads: CPU threads; the runtime's own choice where None.
        progress: called with stage, done, total.

    Raises:
        UserError: bundle, base, head model or margins cannot be used.
    """
    if base not in RECIPES or RECIPES[base].precision == "float32":
        known = [name for name, recipe in RECIPES.items() if recipe.precision != "float32"]
        raise UserError(
            f"recipe {base!r} came to start from; expected one below float32: {', '.join(known)}"
        )
    bundle = Bundle.open(bundle_folder)
    if EXACT not in bundle.contract.recipes:
        raise UserError(
            f"{bundle_folder} holds the recipes {', '.join(bundle.contract.recipes)}; a search "
            f"types the graph of {EXACT}; export with `--recipes {EXACT}`"
        )
    bench = _Workbench(
        bundle, head_folder, base=base, margins=margins, limit=limit, threads=threads
    )
    parts, exact = bench.parts, bench.tried(())
    alone = {}
    for part in parts:
        alone[part] = bench.tried([part])
        progress("each part alone", len(alone), len(parts))
    worst_first = sorted(parts, key=lambda part: -_damage(alone[part]))
    downwards = raise_worst(bench, worst_first)
    progress("from the base", 1, 1)
    upwards = lower_most(bench, worst_first[::-1])
    progress("from float32", 1, 1)
    passing = [t for t in (*downwards, *upwards, *alone.values()) if t.passed]
    return Found(
        bundle=str(bundle_folder),
        base=base,
        images=bench.images,
        parts=tuple(parts),
        shares=bench.shares,
        exact=exact,
        alone=alone,
        downwards=tuple(downwards),
        upwards=tuple(upwards),
        best=max(passing, key=lambda t: (t.low_flops, -_damage(t)), default=None),
    )


def _damage(tried: Tried) -> float:
    return float("inf") if tried.damage is None else tried.damage


class Bench(Protocol):
    """Judges a set of lowered parts."""

    def without(self, raised: Iterable[str]) -> Tried:
        """All parts lowered but these."""

    def tried(self, lowered: Iterable[str]) -> Tried:
        """These alone lowered."""


def raise_worst(bench: Bench, worst_first: Sequence[str]) -> list[Tried]:
    """Raise part after part until the gates hold, then put back each that they hold without."""
    raised: list[str] = []
    steps = [bench.without(raised)]
    for part in worst_first:
        if steps[-1].passed:
            break
        raised.append(part)
        steps.append(bench.without(raised))
    if steps[-1].passed:
        for part in raised[:-1]:
            fewer = [other for other in raised if other != part]
            steps.append(bench.without(fewer))
            if steps[-1].passed:
                raised = fewer
    return steps


def lower_most(bench: Bench, mildest_first: Sequence[str]) -> list[Tried]:
    """Lower all that passes together with what is lowered already; halve what does not."""
    steps: list[Tried] = []
    lowered: list[str] = []

    def add(group: Sequence[str]) -> None:
        steps.append(bench.tried([*lowered, *group]))
        if steps[-1].passed:
            lowered.extend(group)
        elif len(group) > 1:
            middle = len(group) // 2
            add(group[:middle])
            add(group[middle:])

    add(mildest_first)
    return steps


class _Workbench:
    """Types, runs and judges; no set of parts is judged twice."""

    def __init__(
        self,
        bundle: Bundle,
        head_folder: Path | None,
        *,
        base: str,
        margins: Path | None,
        limit: int | None,
        threads: int | None,
    ) -> None:
        entry = replace(bundle.contract.recipes[EXACT], precision=RECIPES[base].precision)
        reference = bundled(bundle, limit).reference
        self._sample = Sample(
            reference,
            Mesh.of(bundle, head_folder),
            margins_of(base, entry, margins),
            crop_size=bundle.contract.image.size,
        )
        self._batch, self._threads, self._base = bundle.contract.batch or STEP, threads, base
        self._graph = ir.load(bundle.graph(EXACT))
        if entry.qamem != "none":
            as_products(self._graph)
        self._judged: dict[frozenset[str], Tried] = {}
        modules = {module_of(node) for node in self._graph.graph}
        low = {part_of(m) for m in modules if RECIPES[base].type_of(m) != "float32"}
        self.parts = [part for part in borders_of(self._graph) if part in low]
        self.images = len(reference)
        self.shares = _shares(self._graph, self.parts)

    def without(self, raised: Iterable[str]) -> Tried:
        """The base, with some parts in float32."""
        return self.tried(set(self.parts) - set(raised))

    def tried(self, lowered: Iterable[str]) -> Tried:
        """The base, with these parts alone in its low precision."""
        key = frozenset(lowered)
        if key not in self._judged:
            self._judged[key] = self._try(tuple(part for part in self.parts if part in key))
        return self._judged[key]

    def _try(self, lowered: tuple[str, ...]) -> Tried:
        raised = [part for part in self.parts if part not in lowered]
        found: dict[str, Any] = {
            "lowered": lowered,
            "low_flops": sum(self.shares[part] for part in lowered),
        }
        try:
            graph = lower(self._graph, recipe_for(self._base, raised, NAME))
        except UserError as error:  # a weight that does not fit
            return Tried(**found, verdict="fail", damage=None, worst=str(error))
        gates = self._sample.gates(self._answers(graph))
        return Tried(**found, verdict=overall(gates), **_worst(gates))

    def _answers(self, graph: ir.Model) -> Outputs:
        model = emulate(ir.to_proto(graph))
        session = create_session(model.SerializeToString(), "cpu", self._threads)
        images, step = self._sample.reference.images, self._batch
        padded = -(-len(images) // step) * step
        filled = np.resize(images, (padded, *images.shape[1:]))
        parts = [
            run_session(session, {"image": filled[start : start + step]})
            for start in range(0, padded, step)
        ]
        return {name: np.concatenate([p[name] for p in parts])[: len(images)] for name in parts[0]}


def _worst(gates: Sequence[Gate]) -> dict[str, Any]:
    """The damage, and the line of the gate that says so."""
    broken = [gate for gate in gates if gate.verdict == "fail" and gate.margin is None]
    broken += [gate for gate in gates if gate.verdict == "not measured"]
    if broken:
        return {"damage": None, "worst": broken[0].line()}
    judged = [gate for gate in gates if gate.margin is not None and gate.value is not None]
    worst = max(judged, key=_share_of_margin)
    return {"damage": _share_of_margin(worst), "worst": worst.line()}


def _share_of_margin(gate: Gate) -> float:
    assert gate.value is not None and gate.margin is not None
    return abs(gate.value) / gate.margin


def _shares(graph: ir.Model, parts: Sequence[str]) -> dict[str, float]:
    flops: Counter[str] = Counter()
    for product in onnx_products(ir.to_proto(graph)):
        flops[part_of(product.name.rpartition("/")[0])] += product.flops
    return {part: flops[part] / max(1, flops.total()) for part in parts}
