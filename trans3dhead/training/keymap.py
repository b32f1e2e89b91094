"""Key maps: how the names of a foreign state_dict become ours, written as TOML. No torch here.

within = "model"            # where the state_dict lies in the file, if not at its top
ignore = ['class_embed\\..*']  # foreign names that are not wanted; regular expressions

[[rules]]                   # the first rule whose `match` fits a whole name moves it
match = 'decoder\\.layers\\.(\\d+)\\.self_attn\\.in_proj_(weight|bias)'
to = ['layers.\\1.q_proj.\\2', 'layers.\\1.k_proj.\\2', 'layers.\\1.v_proj.\\2']

[[constants]]               # ours that the foreign network lacks
to = 'backbone\\..*\\.num_batches_tracked'
value = 0
"""

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from engines.errors import UserError
from engines.records import from_value

Form = Literal["same", "reshape", "transpose", "grouped-conv"]


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One kind of foreign name, and what becomes of its tensors."""

    source: re.Pattern[str]
    """Fits a whole foreign name."""
    targets: tuple[str, ...]
    """Our names, `\\1` for the first group; several take equal parts of the first axis in turn."""
    form: Form
    """same: as it is. reshape: the same numbers in the same order, in our shape (a linear layer
    for a 1x1 convolution). transpose: the last two axes swapped. grouped-conv: a 1x1 convolution
    with a group for each query, [N*d, d, 1, 1] or its bias [N*d], as query-aware memory."""


@dataclass(frozen=True, kw_only=True)
class Constant:
    """Tensors of ours that the foreign network lacks."""

    targets: re.Pattern[str]
    """Fits our whole names."""
    value: float
    """What each of their numbers is."""


@dataclass(frozen=True, kw_only=True)
class KeyMap:
    """A key map that was read."""

    within: str = ""
    """Key of the state_dict in the file, parts joined by dots; empty where it is the whole."""
    ignore: tuple[re.Pattern[str], ...] = ()
    rules: tuple[Rule, ...] = ()
    constants: tuple[Constant, ...] = ()

    def ignores(self, name: str) -> bool:
        """Whether a foreign name is left out."""
        return any(pattern.fullmatch(name) for pattern in self.ignore)

    def rule_for(self, name: str) -> tuple[Rule, tuple[str, ...]] | None:
        """The rule that moves a foreign name, and our names for it."""
        for rule in self.rules:
            if found := rule.source.fullmatch(name):
                return rule, tuple(found.expand(target) for target in rule.targets)
        return None

    def constant_for(self, name: str) -> float | None:
        """The value that one of our names gets where nothing foreign was moved to it."""
        for constant in self.constants:
            if constant.targets.fullmatch(name):
                return constant.value
        return None


OUR_NAMES = KeyMap(rules=(Rule(source=re.compile("(.*)"), targets=(r"\1",), form="same"),))
"""For a state_dict of this project's own network."""


@dataclass(frozen=True, kw_only=True)
class _RuleText:
    match: str
    to: str | tuple[str, ...]
    form: Form = "same"


@dataclass(frozen=True, kw_only=True)
class _ConstantText:
    to: str
    value: float


@dataclass(frozen=True, kw_only=True)
class _MapText:
    """The file as it is written."""

    within: str = ""
    ignore: tuple[str, ...] = ()
    rules: tuple[_RuleText, ...] = ()
    constants: tuple[_ConstantText, ...] = ()


def read_key_map(path: Path) -> KeyMap:
    """Read a key map.

    Raises:
        UserError: names all that is wrong with the file.
    """
    wish = "expected a key map in TOML (docs/export.md); mend it"
    try:
        content = tomllib.loads(path.read_text())
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); {wish}") from error
    except ValueError as error:
        raise UserError(f"{path} is not TOML ({error}); {wish}") from error
    text = from_value(_MapText, content, str(path))
    faults: list[str] = []
    rules = tuple(_rule(rule, faults) for rule in text.rules)
    key_map = KeyMap(
        within=text.within,
        ignore=tuple(_pattern(pattern, faults) for pattern in text.ignore),
        rules=rules,
        constants=tuple(
            Constant(targets=_pattern(constant.to, faults), value=constant.value)
            for constant in text.constants
        ),
    )
    if faults:
        raise UserError(f"{path}: {'; '.join(faults)}; {wish}")
    return key_map


def _rule(text: _RuleText, faults: list[str]) -> Rule:
    source = _pattern(text.match, faults)
    targets = (text.to,) if isinstance(text.to, str) else text.to
    if not targets:
        faults.append(f"rule {text.match!r} leads nowhere")
    for target in targets:
        _check_target(source, target, faults)
    return Rule(source=source, targets=targets, form=text.form)


def _pattern(text: str, faults: list[str]) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except re.error as error:
        faults.append(f"{text!r} is no regular expression ({error})")
        return re.compile("")


def _check_target(source: re.Pattern[str], target: str, faults: list[str]) -> None:
    """A target may name groups of its pattern only."""
    try:
        re.compile(f"(?:{source.pattern})|").fullmatch("").expand(target)  # type: ignore[union-attr]
    except (re.error, IndexError) as error:
        faults.append(f"{target!r} asks for a group that {source.pattern!r} lacks ({error})")
