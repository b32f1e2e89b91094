"""Precision recipes as data: which module computes in which type. No torch, no ONNX here."""

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal

from engines.errors import UserError

Precision = Literal["float32", "float16", "bfloat16"]
QAMemForm = Literal["conv", "matmul"]


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Types are fixed in the graph by it; a runtime is never asked to choose."""

    name: str
    """File name of the graph, less `.onnx`."""
    precision: Precision = "float32"
    """The type of the modules it lowers."""
    lowered: tuple[str, ...] = ()
    """Modules computed in that type, by path; `*` stands for anything."""
    kept: tuple[str, ...] = ()
    """Modules within those that stay in float32."""
    qamem: QAMemForm = "matmul"
    """Query-aware memory as grouped convolution or as batched product."""

    def type_of(self, module: str) -> Precision:
        """The type a module computes in; its path is a deployed module's."""
        if _covered(module, self.lowered) and not _covered(module, self.kept):
            return self.precision
        return "float32"


def _covered(module: str, patterns: tuple[str, ...]) -> bool:
    """Whether a pattern names the module or one that contains it."""
    return any(
        fnmatchcase(module, pattern) or fnmatchcase(module, f"{pattern}.*") for pattern in patterns
    )


BACKBONE = ("backbone", "projection")
DECODERS = ("encoder", "memory_projection", "*_branch")
ANSWERS = ("*_branch.regression",)
"""MARR's sum and the parameters; rotation, skinning and projection lie outside of what is lowered.
LayerNormalization is one node, whose statistics are float32 whatever its input (its stash_type)."""

RECIPES = {
    recipe.name: recipe
    for recipe in (
        # ONNX Runtime's CPU runs the grouped convolution faster at batch 1; GPUs do not
        Recipe(name="fp32", qamem="conv"),
        Recipe(name="fp16", precision="float16", lowered=BACKBONE + DECODERS, kept=ANSWERS),
        Recipe(name="fp16-backbone", precision="float16", lowered=BACKBONE),
    )
}


def recipe_named(name: str) -> Recipe:
    """The recipe of that name; UserError with all names for any other."""
    if name not in RECIPES:
        known = ", ".join(RECIPES)
        raise UserError(f"recipe {name!r} is unknown; expected one of {known}; choose one of these")
    return RECIPES[name]
