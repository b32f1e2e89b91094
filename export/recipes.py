"""Precision recipes as data: which module computes in which type. No torch, no ONNX here."""

import dataclasses
import json
import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal, get_args

from engines.errors import UserError
from engines.files import write_whole

Precision = Literal["float32", "float16", "bfloat16"]
QAMemForm = Literal["conv", "matmul"]
SUFFIX = ".toml"
"""Tells the file of a recipe from the name of a shipped one."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Types are fixed in the graph by it; a runtime is never asked to choose."""

    name: str
    """File name of the graph, less `.onnx`."""
    precision: Precision = "float32"
    """The type of the modules it lowers."""
    lowered: tuple[str, ...] = ()
    """Modules computed in that type, by path; `*` stands for anything."""
    quantised: tuple[str, ...] = ()
    """Modules whose convolutions take int8, by path; never among the lowered ones."""
    kept: tuple[str, ...] = ()
    """Modules within either that stay in float32."""
    qamem: QAMemForm = "matmul"
    """Query-aware memory as grouped convolution or as batched product."""

    def type_of(self, module: str) -> Precision:
        """The type a module computes in; its path is a deployed module's."""
        if _covered(module, self.lowered) and not _covered(module, self.kept):
            return self.precision
        return "float32"

    def in_integers(self, module: str) -> bool:
        """Whether the module's convolutions take int8."""
        return _covered(module, self.quantised) and not _covered(module, self.kept)


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

INTEGERS_LOSE = ("backbone.conv1", "backbone.*.downsample")
"""Convolutions that gain little by int8 and lose much: the first one reads three channels, and the
shortcuts' own decide what every later block adds to."""

RECIPES = {
    recipe.name: recipe
    for recipe in (
        # ONNX Runtime's CPU runs the grouped convolution faster at batch 1; GPUs do not
        Recipe(name="fp32", qamem="conv"),
        Recipe(name="fp16", precision="float16", lowered=BACKBONE + DECODERS, kept=ANSWERS),
        Recipe(name="fp16-backbone", precision="float16", lowered=BACKBONE),
        # its convolutions are float32 between bfloat16 values: see `lowering.WITHOUT_BFLOAT16`
        Recipe(name="bf16", precision="bfloat16", lowered=BACKBONE + DECODERS, kept=ANSWERS),
        # what is rounded, and what that takes and gives, stands in quantising.py
        Recipe(name="int8-backbone", quantised=("backbone",), kept=INTEGERS_LOSE),
    )
}


def recipe_of(word: str) -> Recipe:
    """The shipped recipe of that name, or the one that a file ending in `.toml` holds.

    Raises:
        UserError: neither.
    """
    if word.endswith(SUFFIX):
        return read_recipe(Path(word))
    if word not in RECIPES:
        known = ", ".join(RECIPES)
        raise UserError(
            f"recipe {word!r} is unknown; expected one of {known}, or the path of a {SUFFIX} file; "
            "choose one of these"
        )
    return RECIPES[word]


def read_recipe(path: Path) -> Recipe:
    """The recipe of a TOML file: the fields of `Recipe`, all but its name optional.

    Raises:
        UserError: no file, no TOML, or fields that are not as they must be; all of them are named.
    """
    try:
        fields = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(
            f"the recipe {path} cannot be read ({error.strerror}); expected a TOML file; "
            "check the path"
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(
            f'the recipe {path} is not TOML ({error}); expected lines such as name = "mine"; '
            "mend that line"
        ) from None
    faults = _faults(fields)
    if faults:
        raise UserError(f"the recipe {path}: {'; '.join(faults)}")
    for key in fields.keys() & PATTERNS:
        fields[key] = tuple(fields[key])
    return Recipe(**fields)


def write_recipe(path: Path, recipe: Recipe) -> None:
    """Write what `read_recipe` reads back as the same recipe.

    Raises:
        UserError: `read_recipe` would refuse it, by its name for instance.
    """
    fields = json.loads(json.dumps(dataclasses.asdict(recipe)))  # tuples become lists
    faults = _faults(fields)
    if faults:
        raise UserError(f"the recipe for {path}: {'; '.join(faults)}")
    # strings and lists of them are written in TOML as in JSON
    lines = [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in fields.items()]
    write_whole(path, "\n".join(lines) + "\n")


def check_patterns(recipe: Recipe, modules: Iterable[str]) -> None:
    """Refuse patterns that name nothing of a network, and modules that are told two types.

    Args:
        recipe: any.
        modules: paths of all modules of the deployed form.

    Raises:
        UserError: names every such pattern and the modules whose names are nearest, or a module
            both lowered and quantised.
    """
    paths = [path for path in modules if path]
    faults = []
    for pattern in recipe.lowered + recipe.quantised + recipe.kept:
        if not any(_covered(path, (pattern,)) for path in paths):
            near = get_close_matches(pattern, paths, n=3, cutoff=0.4)
            faults.append(f"{pattern!r} (near it: {', '.join(near or sorted(paths)[:3])})")
    if faults:
        raise UserError(
            f"recipe {recipe.name}: no module of this network is named {', '.join(faults)}; "
            "expected module paths, `*` standing for anything; mend these in the recipe"
        )
    both = [p for p in paths if recipe.in_integers(p) and recipe.type_of(p) != "float32"]
    if both:
        raise UserError(
            f"recipe {recipe.name}: {both[0]} came in lowered and in quantised; expected a module "
            "in one of them; mend these in the recipe"
        )


PATTERNS = ("lowered", "quantised", "kept")
"""Fields that hold module paths."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def _faults(fields: dict[str, Any]) -> list[str]:
    """What a recipe's fields have against them: what came, what was expected."""
    faults = [
        f"unknown field {key!r} (expected {', '.join(f.name for f in dataclasses.fields(Recipe))})"
        for key in fields
        if key not in {field.name for field in dataclasses.fields(Recipe)}
    ]
    name = fields.get("name")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        came = "is missing" if name is None else f"came as {name!r}"
        faults.append(f"name {came}; expected letters, digits, dots and hyphens, as in a file name")
    elif name in RECIPES:
        faults.append(f"name {name!r} is a shipped recipe's; expected one of your own")
    for key, kind in (("precision", Precision), ("qamem", QAMemForm)):
        if key in fields and fields[key] not in get_args(kind):
            faults.append(f"{key} came as {fields[key]!r}; expected {' or '.join(get_args(kind))}")
    for key in PATTERNS:
        patterns = fields.get(key, [])
        if not isinstance(patterns, list) or not all(isinstance(p, str) and p for p in patterns):
            faults.append(f"{key} came as {patterns!r}; expected a list of module paths")
    if not faults and (fields.get("precision", "float32") == "float32") != (
        not fields.get("lowered")
    ):
        faults.append(
            "precision and lowered do not fit; expected a precision below float32 and the modules "
            "it is for, or neither"
        )
    return faults
