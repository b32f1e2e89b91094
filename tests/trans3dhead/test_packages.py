"""Requirements read from the distribution's own metadata."""

from importlib import metadata

import pytest

from engines.errors import UserError
from trans3dhead import packages
from trans3dhead.packages import BASE, Package, fits, install_line, packages_by_extra


@pytest.mark.parametrize(
    ("version", "bounds", "fitting"),
    [
        ("2.4.6", "", True),
        ("4.14.0.94", "<5,>=4.10", True),
        ("5.0.0", "<5,>=4.10", False),
        ("4.9", "<5,>=4.10", False),
        ("2.13.0+cpu", ">=2.6", True),
        ("1.20", ">=1.20.0", True),
        ("1.20.1rc2", ">1.20", False),
        ("1.21", ">1.20", True),
        ("10.4.0", "==10.4.*", True),
        ("10.5.0", "==10.4.*", False),
        ("10.4.9", "~=10.4.1", True),
        ("10.5.0", "~=10.4.1", False),
        ("3", "!=3", False),
        ("3.1", "<=3", True),
    ],
)
def test_bounds(version: str, bounds: str, fitting: bool) -> None:
    assert fits(version, bounds) == fitting


def test_extras_include_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    required = [
        "numpy>=1.26",
        'scipy>=1.11; extra == "vision"',
        'trans3dhead[vision]; extra == "train"',
        'torch>=2.6; extra == "train"',
        "onnx (>=1.17) ; extra == 'cpu'",
    ]
    versions = {"numpy": "2.0", "scipy": "1.10", "onnx": "1.18"}

    def version(name: str) -> str:
        if name not in versions:
            raise metadata.PackageNotFoundError(name)
        return versions[name]

    monkeypatch.setattr(packages.metadata, "requires", lambda _name: required)
    monkeypatch.setattr(packages.metadata, "version", version)
    found = packages_by_extra()
    assert [item.name for item in found["train"]] == ["scipy", "torch"]
    assert found[BASE] == [Package(name="numpy", wanted=">=1.26", found="2.0")]
    assert [item.fault for item in found["train"]] == ["1.10, expected >=1.11", "missing"]
    assert found["cpu"][0].fault is None
    assert install_line(BASE) == "pip install trans3dhead"
    assert install_line("cpu") == "pip install 'trans3dhead[cpu]'"


def test_here() -> None:
    found = packages_by_extra()
    assert {BASE, "vision", "train", "cpu", "gpu", "test"} <= set(found)
    assert all(item.fault is None for item in found[BASE])


def test_sources_that_were_never_installed_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "DISTRIBUTION", "no-such-distribution")
    with pytest.raises(UserError, match=r"not installed; .*pip install -e \."):
        packages_by_extra()
