"""A search finds exactly the parts that may not be in half, from both ends."""

import json
import shutil
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import numpy_helper
from support import Demo

from benchmarks.parity.search import Tried, lower_most, raise_worst, recipe_for
from engines.bundle import CONTRACT_FILE
from engines.contract import read_contract
from engines.files import sha256_of, write_whole
from engines.precision import low_share, onnx_products
from engines.records import to_json
from export.lowering import lower
from export.qamem import as_products
from export.recipes import read_recipe
from trans3dhead.cli.main import execute, main

PARTS = tuple("abcdefgh")


class Additive:
    """Every part does so much damage; what all do together must stay within 1."""

    def __init__(self, **damage: float) -> None:
        self.damage = dict.fromkeys(PARTS, 0.01) | damage
        self.asked = 0

    def without(self, raised: Iterable[str]) -> Tried:
        return self.tried(set(PARTS) - set(raised))

    def tried(self, lowered: Iterable[str]) -> Tried:
        self.asked += 1
        kept = tuple(sorted(lowered))
        damage = sum(self.damage[part] for part in kept)
        return Tried(
            lowered=kept,
            low_flops=len(kept) / len(PARTS),
            verdict="pass" if damage <= 1 else "fail",
            damage=damage,
            worst="",
        )

    @property
    def worst_first(self) -> list[str]:
        return sorted(PARTS, key=lambda part: -self.damage[part])


@pytest.mark.parametrize(
    ("damage", "raised"),
    [
        ({}, ""),
        ({"c": 5.0}, "c"),
        ({"c": 5.0, "f": 3.0}, "cf"),
        ({"a": 0.6, "b": 0.5}, "a"),
        ({"a": 0.3, "b": 0.4, "c": 1.2}, "c"),
        (dict.fromkeys(PARTS, 2.0), "abcdefgh"),
    ],
)
def test_both_ends_find_the_parts_that_may_not(damage: dict[str, float], raised: str) -> None:
    bench = Additive(**damage)
    down = raise_worst(bench, bench.worst_first)
    passing = max((t for t in down if t.passed), key=lambda t: t.low_flops)
    assert set(PARTS) - set(passing.lowered) == set(raised)
    up = lower_most(bench, bench.worst_first[::-1])
    lowered = max((len(t.lowered) for t in up if t.passed), default=0)
    assert lowered == len(passing.lowered)


def test_what_was_raised_in_vain_is_lowered_again() -> None:
    """Alone a part may do harm that another undoes: the order of the shares is only a guess."""
    bench = Additive(a=0.4, b=0.3, c=5.0)
    steps = raise_worst(bench, ["a", "b", "c", *"defgh"])
    best = max((t for t in steps if t.passed), key=lambda t: t.low_flops)
    assert set(PARTS) - set(best.lowered) == {"c"}


def test_one_bad_part_of_many_is_found_by_halving() -> None:
    bench = Additive(c=5.0)
    lower_most(bench, PARTS)
    assert bench.asked <= 2 * 3 + 1  # 2 log2(8) + 1


SELF_ATTENTION = "parameter_branch.layers.1.self_attention"
ATTENTION_HEADS = 4
HUGE = 2.0**20
"""Its query reaches far beyond 65504, its key comes down as far: their product stays."""


@pytest.fixture
def overflowing(demo: Demo, tmp_path: Path) -> Path:
    """The demo's bundle with an overflow planted in one attention; in float32 nothing changes."""
    bundle = shutil.copytree(demo.mesh, tmp_path / "bundle", ignore=shutil.ignore_patterns("eng*"))
    path = bundle / "fp32.onnx"
    model = onnx.load(path)
    scale = np.repeat([HUGE, 1 / HUGE, 1.0], ATTENTION_HEADS)  # query, key, value
    for tensor in model.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if tensor.name == f"{SELF_ATTENTION}.qkv_proj.weight":  # [d, 3 d]
            values = values * np.repeat(scale, values.shape[1] // len(scale))
        elif tensor.name == f"{SELF_ATTENTION}.qkv_proj.bias":  # [N, 3 h, e]
            values = values * scale[:, None]
        else:
            continue
        tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float32), tensor.name))
    onnx.save(model, path)
    contract = read_contract(bundle / CONTRACT_FILE)
    files = contract.files | {"fp32.onnx": sha256_of(path)}
    write_whole(bundle / CONTRACT_FILE, to_json(replace(contract, files=files)))
    return bundle


def test_an_overflow_in_one_attention_is_found_exactly(overflowing: Path, tmp_path: Path) -> None:
    out, page = tmp_path / "mine.toml", tmp_path / "search.html"
    words = [str(overflowing), "--out", str(out), "--html", str(page), "--limit", "32"]
    outcome = execute("search", [*words, "--threads", "1", "--json", str(tmp_path / "found.json")])
    found = outcome.report
    assert outcome.exit_code == 0
    assert found.raised == (SELF_ATTENTION,)
    assert found.exact.passed and found.exact.low_flops == 0
    broken = [part for part, tried in found.alone.items() if not tried.passed]
    assert broken == [SELF_ATTENTION]
    assert found.alone[SELF_ATTENTION].damage is None
    assert [tried.verdict for tried in found.downwards] == ["fail", "pass"]
    assert found.upwards[0].verdict == "fail" and found.best.low_flops > 0.5
    costs = [tried.low_flops for tried in found.frontier]
    assert costs == sorted(costs, reverse=True) and found.best in found.frontier

    recipe = read_recipe(out)
    assert recipe == recipe_for("fp16", [SELF_ATTENTION], "mine")
    graph = ir.load(overflowing / "fp32.onnx")
    as_products(graph)
    products = onnx_products(ir.to_proto(lower(graph, recipe)))
    assert low_share(products) == pytest.approx(found.best.low_flops, abs=1e-6)
    report = json.loads((tmp_path / "found.json").read_text())
    assert report["headline"].startswith(f"PASS: {SELF_ATTENTION} in float32")
    assert SELF_ATTENTION in page.read_text()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--out", "found.txt"], "expected a name that ends in .toml"),
        (["--limit", "0"], "expected at least 1 image"),
    ],
)
def test_what_cannot_be_used_is_told(
    words: list[str], told: str, demo: Demo, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["search", str(demo.mesh), *words]) == 2
    assert told in capsys.readouterr().err


def test_a_search_needs_the_float32_graph(
    overflowing: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    contract = read_contract(overflowing / CONTRACT_FILE)
    recipes = {name: entry for name, entry in contract.recipes.items() if name != "fp32"}
    write_whole(overflowing / CONTRACT_FILE, to_json(replace(contract, recipes=recipes)))
    assert main(["search", str(overflowing)]) == 2
    assert "export with `--recipes fp32`" in capsys.readouterr().err
