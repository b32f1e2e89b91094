from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.parity.gates import GATES
from benchmarks.parity.margins import SHIPPED, Margin, margins_of
from engines.contract import RecipeEntry
from engines.errors import UserError

HALF = RecipeEntry(qamem="conv", precision="float16", low_flops_share=0.9, node_counts={})


def written(folder: Path, text: str) -> Path:
    path = folder / "margins.toml"
    path.write_text(text)
    return path


def test_the_design_holds_for_half_precision() -> None:
    margins = margins_of("fp16", HALF).by_gate
    assert margins["landmarks/nme"] == Margin(amount=0.0025, relative=True)
    assert margins["vertices/chamfer"] == Margin(amount=0.0025, relative=True)
    assert margins["vertices/z5_published"] == Margin(amount=0.0002)
    assert margins["rotation/pose_error"] == Margin(amount=0.001)
    assert margins["landmarks/movement_p99"] == Margin(amount=0.3)
    assert margins["vertices/movement_p99"] == Margin(amount=0.5)
    assert "vertices/z5_defined" not in margins  # reported, not judged


def test_every_shipped_section_has_a_margin_for_every_gate_but_one() -> None:
    import tomllib

    for section in tomllib.loads(SHIPPED.read_text()):
        assert GATES - margins_of(section, HALF).by_gate.keys() == {"vertices/z5_defined"}


def test_a_recipe_without_a_section_takes_that_of_its_precision() -> None:
    assert margins_of("fp16-backbone", HALF).section == "fp16"
    assert margins_of("int8-backbone", HALF).section == "int8-backbone"
    quantised = replace(HALF, precision="float32", node_counts={"DequantizeLinear": 3})
    assert margins_of("mine", quantised).section == "int8-backbone"


def test_shares_are_of_the_references_value() -> None:
    found = margins_of("fp16", HALF).absolute({"nme": 2.0})
    assert found["landmarks/nme"] == pytest.approx(0.005)
    assert "vertices/chamfer" not in found  # nothing to take a share of
    assert found["rotation/pose_error"] == 0.001


def test_a_file_replaces_what_it_names_and_changes_the_hash(tmp_path: Path) -> None:
    file = written(tmp_path, "[fp16.landmarks]\nnme = 0.5\n[mine.rotation]\npose_error = 1\n")
    shipped, half, mine = (
        margins_of("fp16", HALF),
        margins_of("fp16", HALF, file),
        margins_of("mine", HALF, file),
    )
    assert half.by_gate["landmarks/nme"] == Margin(amount=0.5)
    assert half.by_gate["rotation/pose_error"] == Margin(amount=0.001)
    assert mine.by_gate["rotation/pose_error"] == Margin(amount=1.0)
    assert mine.by_gate.keys() == half.by_gate.keys() == shipped.by_gate.keys()
    assert len({shipped.sha256, half.sha256, mine.sha256}) == 3
    assert shipped.sha256 == margins_of("fp16-backbone", HALF).sha256


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[fp16", "is not TOML"),
        ("nme = 3", "outside a section"),
        ("[fp16]\nnme = 3", "expected a table"),
        ("[fp16.landmarks]\nnmee = 3", "landmarks/nmee is no gate"),
        ("[fp16.landmarks]\nnme = -1", "expected a number above 0"),
        ("[fp16.landmarks]\nnme = inf", "expected a number above 0"),
        ("[fp16.landmarks]\nnme = true", "expected a number above 0"),
        ('[fp16.landmarks]\nnme = "much"', "expected a number above 0"),
        ('[fp16.landmarks]\nmovement_p99 = "1 %"', "expected a number above 0"),
    ],
)
def test_a_wrong_file_is_refused_in_one_line(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(UserError, match=said) as caught:
        margins_of("fp16", HALF, written(tmp_path, text))
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read"):
        margins_of("fp16", HALF, tmp_path / "none.toml")
