"""The packages each extra of this distribution asks for, and whether they are here."""

import re
from dataclasses import dataclass
from importlib import metadata

from engines.errors import UserError

DISTRIBUTION = "trans3dhead"
BASE = "base"
"""What is installed without any extra."""


@dataclass(frozen=True, kw_only=True)
class Package:
    """A requirement."""

    name: str
    wanted: str
    """Bounds, such as ">=4.10,<5"; empty for any version."""
    found: str | None
    """The installed version."""

    @property
    def fault(self) -> str | None:
        """Why it does not serve; None where it does."""
        if self.found is None:
            return "missing"
        if not fits(self.found, self.wanted):
            return f"{self.found}, expected {self.wanted}"
        return None


def packages_by_extra() -> dict[str, list[Package]]:
    """Extra to its packages, those of an extra it includes counted in; BASE comes first.

    Raises:
        UserError: the program runs from its sources and was never installed.
    """
    direct: dict[str, list[str]] = {BASE: []}
    try:
        required = metadata.requires(DISTRIBUTION) or []
    except metadata.PackageNotFoundError:
        raise UserError(
            f"{DISTRIBUTION} runs from its sources and is not installed; expected an installed "
            "one, whose record says what each extra brings; type `pip install -e .` there"
        ) from None
    for line in required:
        requirement, _, marker = line.partition(";")
        extra = re.search(r"extra\s*==\s*['\"]([\w-]+)['\"]", marker)
        direct.setdefault(extra[1] if extra else BASE, []).append(requirement.strip())
    return {extra: _expand(extra, direct) for extra in direct}


def install_line(extra: str) -> str:
    """What to type for an extra."""
    return "pip install " + (DISTRIBUTION if extra == BASE else f"'{DISTRIBUTION}[{extra}]'")


def fits(version: str, bounds: str) -> bool:
    """Whether a version keeps bounds of the kinds >=, > , <=, <, ==, !=, ~=; numbers only count."""
    numbers = _numbers(version)
    for bound in filter(None, (part.strip() for part in bounds.split(","))):
        parts = re.match(r"(>=|<=|==|!=|~=|>|<)\s*(.*)", bound)
        assert parts is not None, bound
        sign, there = parts[1], _numbers(parts[2].removesuffix(".*"))
        here = numbers + (0,) * (len(there) - len(numbers))
        same = here[: len(there)] == there
        keeps = {
            ">=": here >= there or same, ">": here > there and not same,
            "<=": here <= there or same, "<": here < there,
            "==": same, "!=": not same,
            "~=": here >= there and here[: len(there) - 1] == there[:-1],
        }[sign]  # fmt: skip
        if not keeps:
            return False
    return True


def _expand(extra: str, direct: dict[str, list[str]]) -> list[Package]:
    packages: dict[str, Package] = {}
    for requirement in direct.get(extra, []):
        parts = re.match(r"([\w.-]+)\s*(?:\[([\w,\s-]+)\])?\s*\(?(.*?)\)?$", requirement)
        assert parts is not None, requirement
        name, inner, bounds = parts.groups()
        if name == DISTRIBUTION:
            for included in (inner or "").split(","):
                packages |= {item.name: item for item in _expand(included.strip(), direct)}
        else:
            packages[name] = Package(name=name, wanted=bounds, found=_version(name))
    return list(packages.values())


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _numbers(version: str) -> tuple[int, ...]:
    """(1, 26) of "1.26rc1"; what follows the numbers is dropped."""
    leading = re.match(r"\d+(?:\.\d+)*", version)
    return tuple(int(part) for part in leading[0].split(".")) if leading else ()
