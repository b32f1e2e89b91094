"""Key maps are read whole, or all their faults are named."""

from pathlib import Path

import pytest

from engines.errors import UserError
from trans3dhead.training.keymap import OUR_NAMES, read_key_map

GOOD = r"""
within = "state.model"
ignore = ['fc\..*']
[[rules]]
match = 'a\.(\d+)\.in_proj'
to = ['x.\1.q', 'x.\1.k']
[[rules]]
match = 'a\.(.*)'
to = 'y.\1'
form = "transpose"
[[constants]]
to = '.*tracked'
value = 0
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "map.toml"
    path.write_text(text)
    return path


def test_the_first_rule_that_fits_the_whole_name_moves_it(tmp_path: Path) -> None:
    found = read_key_map(written(tmp_path, GOOD))
    assert found.within == "state.model"
    assert found.ignores("fc.weight") and not found.ignores("my.fc.weight")
    first, names = found.rule_for("a.3.in_proj")  # type: ignore[misc]
    assert names == ("x.3.q", "x.3.k") and first.form == "same"
    second, names = found.rule_for("a.3.in_proj_bias")  # type: ignore[misc]
    assert names == ("y.3.in_proj_bias",) and second.form == "transpose"
    assert found.rule_for("b.a.3") is None
    assert found.constant_for("bn.tracked") == 0 and found.constant_for("bn.weight") is None


def test_our_names_stay() -> None:
    assert OUR_NAMES.rule_for("backbone.conv1.weight")[1] == (  # type: ignore[index]
        "backbone.conv1.weight",
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("rules = 3", ["rules is 3"]),
        ("[[rules]]\nmatch = 'a'", ["missing field rules[].to"]),
        ("[[rules]]\nto = 'a'", ["missing field rules[].match"]),
        ("within = 3\nwithout = 'b'", ["unknown field without", "within is 3"]),
        ("[[rules]]\nmatch = 'a'\nto = 'b'\nform = 'upside-down'", ["'upside-down'"]),
        (
            "ignore = ['(']\n[[rules]]\nmatch = 'a'\nto = 'b\\1'\n[[rules]]\nmatch = 'a'\nto = []",
            ["'(' is no regular expression", "asks for a group that 'a' lacks", "leads nowhere"],
        ),
        ("[[rules", ["is not TOML"]),
    ],
)
def test_all_faults_of_a_file_are_named(text: str, words: list[str], tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        read_key_map(written(tmp_path, text))
    assert all(word in str(caught.value) for word in words), str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read"):
        read_key_map(tmp_path / "none.toml")
