from dataclasses import replace
from pathlib import Path

import pytest

from engines.errors import UserError
from export.deployed import Deployed
from export.graph import module_paths
from export.recipes import (
    RECIPES,
    Recipe,
    check_patterns,
    read_recipe,
    recipe_of,
    write_recipe,
)
from trans3dhead.network.config import NetworkConfig
from trans3dhead.network.model import Trans3DHead

LOWERED = {
    "backbone.layer1.0.conv1": True,
    "projection.conv": True,
    "memory_projection.product": True,
    "landmark_branch.layers.0.qamem": True,
    "parameter_branch.layers.1.self_add_norm.norm": True,
    "landmark_branch.regression": False,
    "parameter_branch.regression": False,
    "normalise": False,
    "rotation": False,
    "mesh.head": False,
    "": False,
}


@pytest.mark.parametrize(("module", "lowered"), LOWERED.items())
def test_fp16_lowers_backbone_and_decoders_but_not_the_answers(module: str, lowered: bool) -> None:
    assert RECIPES["fp16"].type_of(module) == ("float16" if lowered else "float32")
    assert RECIPES["fp32"].type_of(module) == "float32"


def test_fp16_backbone_lowers_the_backbone_alone() -> None:
    recipe = RECIPES["fp16-backbone"]
    assert recipe.type_of("backbone.conv1") == "float16"
    assert recipe.type_of("landmark_branch.layers.0.qamem") == "float32"


def test_a_pattern_names_whole_modules() -> None:
    recipe = Recipe(name="x", precision="float16", lowered=("*.layers.1",), kept=("*.qamem",))
    assert recipe.type_of("landmark_branch.layers.1.feedforward.linear1") == "float16"
    assert recipe.type_of("landmark_branch.layers.10.feedforward") == "float32"
    assert recipe.type_of("landmark_branch.layers.1.qamem") == "float32"


def test_every_pattern_of_a_recipe_names_a_module(
    network: Trans3DHead, config: NetworkConfig
) -> None:
    modules = module_paths(Deployed(network, config))
    assert "backbone.conv1" in modules and "backbone.bn1" not in modules
    for recipe in RECIPES.values():
        check_patterns(recipe, modules)
    mistyped = Recipe(name="x", precision="float16", lowered=("backbon", "*_branch", "zzz"))
    with pytest.raises(UserError, match=r"'backbon' \(near it: backbone") as caught:
        check_patterns(mistyped, modules)
    assert "'zzz'" in str(caught.value) and "'*_branch'" not in str(caught.value)


def test_int8_takes_the_backbone_but_what_loses_by_it() -> None:
    recipe = RECIPES["int8-backbone"]
    assert recipe.in_integers("backbone.layer1.0.conv1")
    for module in ("backbone.conv1", "backbone.layer2.0.downsample.0", "projection.conv"):
        assert not recipe.in_integers(module)
    assert recipe.type_of("backbone.layer1.0.conv1") == "float32"


def test_a_module_cannot_be_in_half_and_in_integers() -> None:
    modules = ["backbone.conv1", "backbone.layer1.0.conv1"]
    both = Recipe(name="x", precision="float16", lowered=("backbone",), quantised=("backbone",))
    with pytest.raises(UserError, match=r"backbone\.conv1 came in lowered and in quantised"):
        check_patterns(both, modules)
    check_patterns(replace(both, quantised=("backbone",), kept=("backbone",)), modules)


def test_an_unknown_recipe_is_refused() -> None:
    with pytest.raises(UserError, match=r"'int4' is unknown; expected one of fp32, fp16"):
        recipe_of("int4")
    assert recipe_of("fp16") is RECIPES["fp16"]


MINE = Recipe(
    name="mine",
    precision="float16",
    lowered=("backbone", "*_branch.layers.?"),
    quantised=("projection",),
    kept=('an "odd" näme',),
    qamem="conv",
)


def test_a_recipe_survives_its_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    write_recipe(path, MINE)
    assert read_recipe(path) == MINE == recipe_of(str(path))
    path.write_text('name = "plain"\nqamem = "conv"\n')
    assert read_recipe(path) == Recipe(name="plain", qamem="conv")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name = ", r"is not TOML .* mend that line"),
        ('precision = "float16"\nlowered = ["a"]', r"name is missing"),
        ('name = "../up"', r"name came as '\.\./up'; expected letters"),
        ('name = "fp16"', r"name 'fp16' is a shipped recipe's"),
        (
            'name = "x"\nprecision = "int4"',
            r"precision came as 'int4'; expected float32 or float16",
        ),
        ('name = "x"\nprecision = ["float16"]', r"precision came as \['float16'\]"),
        ('name = "x"\nqamem = "auto"', r"qamem came as 'auto'; expected conv or matmul"),
        ('name = "x"\nlowered = "backbone"', r"lowered came as 'backbone'; expected a list"),
        ('name = "x"\nkept = [1]', r"kept came as \[1\]; expected a list of module paths"),
        ('name = "x"\ncast = true', r"unknown field 'cast' \(expected name, precision, lowered"),
        ('name = "x"\nlowered = ["backbone"]', r"precision and lowered do not fit"),
        ('name = "x"\nprecision = "float16"', r"precision and lowered do not fit"),
    ],
)
def test_each_bad_field_of_a_file_is_one_clear_line(
    text: str, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(text)
    with pytest.raises(UserError, match=message) as caught:
        read_recipe(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_all_faults_of_a_file_come_at_once(tmp_path: Path) -> None:
    path = tmp_path / "bad.toml"
    path.write_text('name = "fp32"\nqamem = 3\nspeed = 9')
    with pytest.raises(UserError, match=r"speed.*shipped.*qamem came as 3"):
        read_recipe(path)
    with pytest.raises(UserError, match=r"absent\.toml cannot be read"):
        recipe_of(str(tmp_path / "absent.toml"))


def test_a_recipe_that_could_not_be_read_back_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"'fp16' is a shipped recipe's"):
        write_recipe(tmp_path / "x.toml", RECIPES["fp16"])
    assert list(tmp_path.iterdir()) == []
