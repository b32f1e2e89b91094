"""What an engine may differ by: `margins.toml`, by recipe, overridable by a file of its form."""

import hashlib
import json
import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.parity.gates import GATES, METRIC_OUTPUTS
from engines.contract import RecipeEntry
from engines.errors import UserError
from engines.precision import DEQUANTIZE

SHIPPED = Path(__file__).with_name("margins.toml")
SECTIONS = {"float32": "fp32", "float16": "fp16", "bfloat16": "bf16"}
"""Which section serves a recipe that has none of its own name, by its precision."""
QUANTISED = "int8-backbone"
"""Which serves a quantised one, whatever its rest is computed in."""
METRIC_GATES = {f"{output}/{metric}": metric for metric, output in METRIC_OUTPUTS.items()}


@dataclass(frozen=True, kw_only=True)
class Margin:
    """An absolute number, or a share of the reference's own value."""

    amount: float
    relative: bool = False

    def __str__(self) -> str:
        return f"{100 * self.amount:g} %" if self.relative else f"{self.amount:g}"


@dataclass(frozen=True, kw_only=True)
class Margins:
    """The margins of one recipe."""

    section: str
    by_gate: Mapping[str, Margin]

    @property
    def sha256(self) -> str:
        """Of the margins themselves: the same wherever they came from."""
        text = json.dumps({name: str(margin) for name, margin in sorted(self.by_gate.items())})
        return hashlib.sha256(text.encode()).hexdigest()

    def absolute(self, reference: Mapping[str, float]) -> dict[str, float]:
        """Gate name to absolute margin, given the reference's mean of each measured metric.

        A share of a metric that was not measured is left out.
        """
        found = {}
        for name, margin in self.by_gate.items():
            if not margin.relative:
                found[name] = margin.amount
            elif METRIC_GATES[name] in reference:
                found[name] = margin.amount * abs(reference[METRIC_GATES[name]])
        return found


def margins_of(recipe: str, entry: RecipeEntry, file: Path | None = None) -> Margins:
    """The margins of a recipe: the section of its name, else that of its precision.

    Args:
        recipe: its name in the bundle.
        entry: what the contract says of it.
        file: what its sections of either name say replaces the shipped margins, gate by gate.

    Raises:
        UserError: the file is missing, is no TOML, or names an unknown gate or a wrong amount.
    """
    shipped = _read(SHIPPED)
    quantised = DEQUANTIZE in entry.node_counts
    general = QUANTISED if quantised else SECTIONS[entry.precision]
    section = recipe if recipe in shipped else general
    by_gate = dict(shipped[section])
    if file is not None:
        given = _read(file)
        by_gate |= given.get(section, {}) | given.get(recipe, {})
    return Margins(section=section, by_gate=by_gate)


def _read(path: Path) -> dict[str, dict[str, Margin]]:
    """Section to gate name to margin."""
    try:
        content = tomllib.loads(path.read_text())
    except OSError as error:
        raise UserError(
            f"the margins file {path} cannot be read ({error.strerror}); expected a TOML file; "
            "check the path"
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(
            f"{path} is not TOML ({error}); expected sections such as [fp16]; mend that line"
        ) from None
    faults: list[str] = []
    sections = {}
    for section, outputs in content.items():
        sections[section] = _gates(section, outputs, faults)
    if faults:
        raise UserError(f"{path}: {'; '.join(faults)}; see {SHIPPED.name} for the form")
    return sections


def _gates(section: str, outputs: Any, faults: list[str]) -> dict[str, Margin]:
    gates: dict[str, Margin] = {}
    if not isinstance(outputs, dict):
        faults.append(f"{section} came outside a section; expected [RECIPE] above it")
        return gates
    for output, quantities in outputs.items():
        if not isinstance(quantities, dict):
            faults.append(f"[{section}] {output} came as {quantities!r}; expected a table")
            continue
        for quantity, amount in quantities.items():
            gate = f"{output}/{quantity}"
            margin = _margin(amount)
            if gate not in GATES:
                faults.append(
                    f"[{section}] {gate} is no gate; expected one of {', '.join(sorted(GATES))}"
                )
            elif margin is None or (margin.relative and gate not in METRIC_GATES):
                share = ' or a share such as "0.25 %"' if gate in METRIC_GATES else ""
                faults.append(
                    f"[{section}] {gate} came as {amount!r}; expected a number above 0{share}"
                )
            else:
                gates[gate] = margin
    return gates


def _margin(amount: Any) -> Margin | None:
    """None where it is neither a positive number nor a positive share."""
    relative = isinstance(amount, str) and amount.endswith("%")
    if relative:
        try:
            amount = float(amount.removesuffix("%")) / 100
        except ValueError:
            return None
    if isinstance(amount, bool) or not isinstance(amount, int | float):
        return None
    positive = math.isfinite(amount) and amount > 0
    return Margin(amount=float(amount), relative=relative) if positive else None
