"""Dataclasses to JSON and back, with every mismatch named, and what two of them say differently."""

import dataclasses
import json
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from engines.errors import ContractError

Record = TypeVar("Record")


def to_json(record: Any) -> str:
    """The record as indented JSON with sorted keys: equal records give equal bytes."""
    return json.dumps(dataclasses.asdict(record), indent=1, sort_keys=True) + "\n"


def read_json(path: Path) -> Any:
    """A JSON file's value; a missing or broken file is a ContractError naming it."""
    try:
        return json.loads(path.read_text())
    except OSError as error:
        raise ContractError(f"{path} cannot be read ({error.strerror}); expected a file") from None
    except ValueError as error:
        raise ContractError(f"{path} is not whole JSON ({error}); write it anew") from None


def from_value(kind: type[Record], value: Any, source: str) -> Record:
    """Build `kind`, a dataclass, from a JSON value.

    Raises:
        ContractError: names every missing, unknown or wrongly typed field of `source` at once.
    """
    faults: list[str] = []
    record = _convert(kind, value, "", faults)
    if faults:
        raise ContractError(f"{source}: {'; '.join(faults)}")
    assert isinstance(record, kind)
    return record


def differences(
    one: Mapping[str, Any], other: Mapping[str, Any]
) -> dict[str, tuple[Any | None, Any | None]]:
    """What two records say differently, each as a mapping: dotted names of nested entries to both
    values, None where one has no such entry."""
    first, second = _flat(one), _flat(other)
    return {
        name: (first.get(name), second.get(name))
        for name in {**first, **second}
        if first.get(name) != second.get(name)
    }


def _convert(  # noqa: PLR0911 - one return a kind of type reads straight down
    kind: Any, value: Any, where: str, faults: list[str]
) -> Any:
    origin, arguments = get_origin(kind), get_args(kind)
    if kind is Any:
        return value
    if dataclasses.is_dataclass(kind):
        return _convert_fields(kind, value, where, faults)
    if origin in (Union, types.UnionType):
        return _convert_union(arguments, value, where, faults)
    if origin is Literal:
        if value not in arguments:
            faults.append(f"{where} is {value!r}, expected one of {', '.join(map(str, arguments))}")
        return value
    if origin is tuple and isinstance(value, list):
        return tuple(_convert(arguments[0], item, f"{where}[]", faults) for item in value)
    if origin is dict and isinstance(value, dict):
        return {
            key: _convert(arguments[1], item, f"{where}.{key}", faults)
            for key, item in value.items()
        }
    expected = origin or kind
    if expected is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, expected) or (expected is int and isinstance(value, bool)):
        faults.append(f"{where} is {value!r}, expected {expected.__name__}")
    return value


def _convert_union(arguments: tuple[Any, ...], value: Any, where: str, faults: list[str]) -> Any:
    """The first member that fits without a fault wins."""
    if value is None and type(None) in arguments:
        return None
    for member in arguments:
        if member is not type(None):
            attempt: list[str] = []
            converted = _convert(member, value, where, attempt)
            if not attempt:
                return converted
    faults.extend(attempt)
    return value


def _convert_fields(kind: Any, value: Any, where: str, faults: list[str]) -> Any:
    if not isinstance(value, dict):
        faults.append(f"{where or 'the whole'} is {value!r}, expected an object")
        return None
    hints = get_type_hints(kind)
    known = {field.name: field for field in dataclasses.fields(kind)}
    prefix = f"{where}." if where else ""
    faults.extend(f"unknown field {prefix}{name}" for name in sorted(value.keys() - known.keys()))
    found = {}
    for name, field in known.items():
        if name in value:
            found[name] = _convert(hints[name], value[name], f"{prefix}{name}", faults)
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            faults.append(f"missing field {prefix}{name}")
    return kind(**found) if not faults else None


def _flat(value: Mapping[str, Any], start: str = "") -> dict[str, Any]:
    """Nested mappings as one, with dotted names."""
    found: dict[str, Any] = {}
    for name, entry in value.items():
        if isinstance(entry, Mapping):
            found |= _flat(entry, f"{start}{name}.")
        else:
            found[f"{start}{name}"] = entry
    return found
