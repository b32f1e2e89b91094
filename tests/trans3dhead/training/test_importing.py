"""Foreign weights become ours: the same answers, or every tensor at fault named."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from engines.errors import UserError
from trans3dhead.cli.main import main
from trans3dhead.head.builtin import builtin_head
from trans3dhead.network.model import build_network
from trans3dhead.presets import PRESETS, Preset
from trans3dhead.training.average_face import average_face
from trans3dhead.training.checkpoint import Checkpoint, load_checkpoint
from trans3dhead.training.importing import (
    AVERAGE_FACE,
    Imported,
    MisfitError,
    import_checkpoint,
    read_state,
)
from trans3dhead.training.keymap import OUR_NAMES, KeyMap, read_key_map
from trans3dhead.training.labels import LabelledHeads

from .foreign import ForeignNetwork, foreign_network

DETR_MAP = Path(__file__).parents[3] / "examples" / "detr_map.toml"
Take = Callable[..., Imported]


@pytest.fixture(scope="module")
def foreign(small: Preset) -> ForeignNetwork:
    return foreign_network(small.network)


@pytest.fixture(scope="module")
def key_map() -> KeyMap:
    return read_key_map(DETR_MAP)


@pytest.fixture
def take(tmp_path: Path, small: Preset, key_map: KeyMap) -> Take:
    """Imports a state_dict saved by torch; more of it can be said."""

    def importing(state: dict[str, Tensor], **options: Any) -> Imported:
        source = tmp_path / "foreign.pth"
        torch.save({"model": state, "epoch": 300}, source)
        given: dict[str, Any] = {"key_map": key_map, "preset": small, "head": builtin_head()}
        return import_checkpoint(source, tmp_path / "ours.safetensors", **given | options)

    return importing


def loaded(tmp_path: Path) -> Checkpoint:
    return load_checkpoint(tmp_path / "ours.safetensors")


def test_a_detr_style_network_answers_the_same_under_our_names(
    tmp_path: Path, foreign: ForeignNetwork, take: Take
) -> None:
    imported = take(foreign.state())
    image = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        expected, found = foreign(image), loaded(tmp_path).network(image)
    assert expected["landmarks"].std(dim=0).max() > 1e-3  # it answers to the image
    for name in expected:
        assert torch.allclose(found[name], expected[name], atol=1e-5), name
    assert sorted(imported.ignored) == [
        "backbone.0.body.fc.bias",
        "backbone.0.body.fc.weight",
        "position_embedding",
    ]
    assert all(name.endswith("num_batches_tracked") for name in imported.constants)
    assert imported.average_face == "the weights' average_face"


def test_the_checkpoint_says_where_it_comes_from(
    tmp_path: Path, foreign: ForeignNetwork, take: Take, small: Preset
) -> None:
    take(foreign.state())
    record = loaded(tmp_path)
    assert record.imported_from.startswith("foreign.pth (sha256 ")
    assert record.preset == small and record.items == record.samples_seen == 0
    assert record.head.sha256 == builtin_head().sha256


def test_our_own_names_come_back_exactly(tmp_path: Path, small: Preset) -> None:
    torch.manual_seed(1)
    state = build_network(small.network, torch.rand(68, 2)).state_dict()
    save_file(state, tmp_path / "weights.safetensors")
    torch.save(state, tmp_path / "weights.pth")
    for name in ("weights.safetensors", "weights.pth"):
        out = tmp_path / f"from-{name}.safetensors"
        import_checkpoint(
            tmp_path / name, out, key_map=OUR_NAMES, preset=small, head=builtin_head()
        )
        again = tmp_path / f"again-{name}.safetensors"  # from a checkpoint of ours
        import_checkpoint(out, again, key_map=OUR_NAMES, preset=small, head=builtin_head())
        found = load_checkpoint(again).network.state_dict()
        assert found.keys() == state.keys()
        assert all(torch.equal(found[key], state[key]) for key in state)


def test_everything_that_does_not_fit_is_listed_at_once(
    tmp_path: Path, foreign: ForeignNetwork, take: Take
) -> None:
    state = foreign.state()
    layer = "transformer.landmark_decoder.layers"
    state["decoder.norm.weight"] = torch.ones(32)
    state[f"{layer}.7.norm1.weight"] = torch.ones(32)  # a layer that the preset lacks
    state["input_proj.weight"] = torch.ones(32, 31)
    state[f"{layer}.0.self_attn.in_proj_weight"] = torch.ones(95, 32)
    state["parameter_embed.bias"] = torch.full((1,), torch.nan)
    del state["query_init.weight"], state["average_face"], state[f"{layer}.1.linear2.bias"]
    with pytest.raises(MisfitError) as caught:
        take(state)
    faults = caught.value.faults
    assert faults["unknown"] == (
        "decoder.norm.weight [32]",
        f"{layer}.7.norm1.weight [32] (led to landmark_branch.layers.7.self_add_norm.norm.weight)",
    )
    assert faults["misshapen"] == (
        "input_proj.weight [32, 31] for projection.weight [32, 32, 1, 1]",
        f"{layer}.0.self_attn.in_proj_weight [95, 32] for "
        "landmark_branch.layers.0.self_attention.v_proj.weight [32, 32]",
    )
    assert faults["unusable"] == ("parameter_embed.bias (not all of it is finite)",)
    assert faults["missing"] == (
        "landmark_branch.mqinit.linear.weight [2176, 32]",
        "landmark_branch.layers.1.feedforward.linear2.bias [32]",
        f"{AVERAGE_FACE} [68, 2] (give --average-face or --data)",
    )
    said = str(caught.value)
    assert all(fault in said for found in faults.values() for fault in found)
    assert "\n" not in said
    assert not (tmp_path / "ours.safetensors").exists()


def test_two_tensors_for_one_are_refused(foreign: ForeignNetwork, take: Take) -> None:
    face = np.full((68, 2), 0.5, np.float32)
    with pytest.raises(MisfitError, match=rf"repeated: {AVERAGE_FACE} from outside and average"):
        take(foreign.state(), average_face=face)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float64])
def test_other_floating_types_are_converted(
    dtype: torch.dtype, tmp_path: Path, foreign: ForeignNetwork, take: Take
) -> None:
    state = {name: value.to(dtype) for name, value in foreign.state().items()}
    take(state)
    weight = loaded(tmp_path).network.state_dict()["projection.weight"]
    assert torch.equal(weight.flatten(1), state["input_proj.weight"].float())


def test_the_average_face_comes_from_data_or_from_a_file(
    *,
    tmp_path: Path,
    data: Path,
    heads: LabelledHeads,
    small: Preset,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """By the command line, whose outcome as JSON names each tensor's source."""
    monkeypatch.setitem(PRESETS, "small", lambda: small)
    state = build_network(small.network).state_dict()
    del state[AVERAGE_FACE]
    save_file(state, tmp_path / "bare.safetensors")
    expected = average_face(heads, small.network.image_size)
    np.save(tmp_path / "face.npy", expected)
    sources = {"data": ["--data", data], "file": ["--average-face", tmp_path / "face.npy"]}
    for name, words in sources.items():
        out = tmp_path / f"{name}.safetensors"
        line = ["import", tmp_path / "bare.safetensors", out, "--preset", "small", *words]
        assert main([*map(str, line), "--json", str(tmp_path / "result.json")]) == 0
        found = load_checkpoint(out).network.state_dict()[AVERAGE_FACE].numpy()
        assert np.array_equal(found, expected)
        assert "average face: given; head model: builtin" in capsys.readouterr().out
        result = json.loads((tmp_path / "result.json").read_text())
        assert result["sources"]["projection.weight"] == "projection.weight"
    both = [*map(str, sources["data"]), *map(str, sources["file"])]
    line = ["import", str(tmp_path / "bare.safetensors"), str(tmp_path / "x"), "--preset", "small"]
    assert main([*line, *both]) == 2
    assert main(line) == 2
    said = capsys.readouterr().err
    assert "expected one of them" in said
    assert f"missing: {AVERAGE_FACE} [68, 2] (give --average-face or --data)" in said


class Trap:
    """Unpickling it would run code."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path("trap-was-sprung"),))


def test_no_code_in_a_file_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"model": {"weight": torch.ones(1)}, "args": Trap()}, "trap.pth")
    with pytest.raises(UserError, match="holds more than tensors, and reading it would run code"):
        read_state(Path("trap.pth"), "model")
    assert not Path("trap-was-sprung").exists()


@pytest.mark.parametrize(
    ("content", "within", "message"),
    [
        ({"model": {"x": torch.ones(1)}, "epoch": 3}, "", r"holds model \(dict\), epoch \(int\)"),
        ({"model": {"x": torch.ones(1)}}, "net", r"holds no 'net', only model \(dict\)"),
        ([torch.ones(1)], "", "holds a list"),
    ],
)
def test_where_the_weights_lie_must_be_said(
    content: Any, within: str, message: str, tmp_path: Path
) -> None:
    torch.save(content, tmp_path / "x.pth")
    with pytest.raises(UserError, match=message):
        read_state(tmp_path / "x.pth", within)


def test_a_bad_file_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "cut.safetensors").write_bytes(b"cut")
    (tmp_path / "cut.pth").write_bytes(b"cut")
    for name, word in (
        ("cut.safetensors", "cannot be read"),
        ("cut.pth", "cut.pth"),
        ("none.pth", "does not exist"),
        ("", "is a folder"),
    ):
        with pytest.raises(UserError, match=word) as caught:
            read_state(tmp_path / name)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("face", "word"),
    [(np.ones((68, 3)), r"float64 \[68, 3\]"), (np.full((68, 2), 120.0), "crop's side")],
)
def test_an_average_face_in_pixels_or_3d_is_refused(
    face: np.ndarray, word: str, tmp_path: Path
) -> None:
    np.save(tmp_path / "face.npy", face)
    line = ["import", "x", "y", "--average-face", str(tmp_path / "face.npy"), "--debug"]
    with pytest.raises(UserError, match=word):
        main(line)
