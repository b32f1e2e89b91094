import pytest

from engines.errors import UserError
from export.deployed import Deployed
from export.recipes import RECIPES, Recipe, recipe_named
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
    modules = [name for name, _ in Deployed(network, config).named_modules()]
    for recipe in RECIPES.values():
        for pattern in recipe.lowered + recipe.kept:
            alone = Recipe(name="alone", precision="float16", lowered=(pattern,))
            assert any(alone.type_of(module) == "float16" for module in modules), pattern


def test_an_unknown_recipe_is_refused() -> None:
    with pytest.raises(UserError, match=r"'int4' is unknown; expected one of fp32, fp16"):
        recipe_named("int4")
