"""What two records say differently, entry by entry."""

from collections.abc import Mapping
from typing import Any


def differences(
    one: Mapping[str, Any], other: Mapping[str, Any]
) -> dict[str, tuple[Any | None, Any | None]]:
    """The entries that differ: dotted names of nested ones, to both values; None where one has no
    such entry."""
    first, second = _flat(one), _flat(other)
    return {
        name: (first.get(name), second.get(name))
        for name in {**first, **second}
        if first.get(name) != second.get(name)
    }


def _flat(value: Mapping[str, Any], start: str = "") -> dict[str, Any]:
    """Nested mappings as one, with dotted names."""
    found: dict[str, Any] = {}
    for name, entry in value.items():
        if isinstance(entry, Mapping):
            found |= _flat(entry, f"{start}{name}.")
        else:
            found[f"{start}{name}"] = entry
    return found
