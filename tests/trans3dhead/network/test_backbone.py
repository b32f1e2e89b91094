"""The backbone is torchvision's ResNet in names, shapes and strides."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from engines.errors import UserError
from trans3dhead.network.backbone import ResNet, load_imagenet_weights
from trans3dhead.network.config import BackboneConfig

SMALL = BackboneConfig(depths=(1, 2), width=4)
NORM = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


def torchvision_names(depths: tuple[int, ...], convolutions: int) -> set[str]:
    """What torchvision calls a ResNet's numbers, less `fc.*`."""
    names = {"conv1.weight", *(f"bn1.{part}" for part in NORM)}
    for stage, depth in enumerate(depths, start=1):
        for block in range(depth):
            at = f"layer{stage}.{block}"
            for number in range(1, convolutions + 1):
                names |= {f"{at}.conv{number}.weight"}
                names |= {f"{at}.bn{number}.{part}" for part in NORM}
        names |= {f"layer{stage}.0.downsample.0.weight"}
        names |= {f"layer{stage}.0.downsample.1.{part}" for part in NORM}
    return names


@pytest.fixture(scope="module")
def resnet50() -> ResNet:
    with torch.device("meta"):
        return ResNet(BackboneConfig())


def test_resnet50_has_torchvisions_names(resnet50: ResNet) -> None:
    assert set(resnet50.state_dict()) == torchvision_names((3, 4, 6, 3), convolutions=3)


def test_resnet50_has_torchvisions_size(resnet50: ResNet) -> None:
    # 25,557,032 of the whole network, less 2048 * 1000 + 1000 of its classifier
    assert sum(weight.numel() for weight in resnet50.parameters()) == 23_508_032


def test_resnet50_has_torchvisions_shapes(resnet50: ResNet) -> None:
    shapes = {name: tuple(value.shape) for name, value in resnet50.state_dict().items()}
    assert shapes["conv1.weight"] == (64, 3, 7, 7)
    assert shapes["layer1.0.conv1.weight"] == (64, 64, 1, 1)
    assert shapes["layer1.0.downsample.0.weight"] == (256, 64, 1, 1)
    assert shapes["layer3.0.conv2.weight"] == (256, 256, 3, 3)
    assert shapes["layer4.2.conv3.weight"] == (2048, 512, 1, 1)


def test_the_stride_is_in_the_middle_convolution(resnet50: ResNet) -> None:
    strides = [resnet50.get_submodule(f"layer2.0.conv{n}").stride for n in (1, 2, 3)]
    assert strides == [(1, 1), (2, 2), (1, 1)]


def test_the_last_map_is_an_eighth_of_a_quarter(resnet50: ResNet) -> None:
    image = torch.empty(2, 3, 256, 256, device="meta")
    assert resnet50(image).shape == (2, 2048, 8, 8)


def test_the_basic_block_keeps_torchvisions_names() -> None:
    found = set(ResNet(BackboneConfig(block="basic", depths=(2, 2, 2), width=4)).state_dict())
    # resnet18's first stage changes neither size nor width, so it has no downsample
    first = {f"layer1.0.downsample.1.{part}" for part in NORM} | {"layer1.0.downsample.0.weight"}
    assert found == torchvision_names((2, 2, 2), convolutions=2) - first


def foreign_file(path: Path) -> dict[str, Tensor]:
    """A torchvision-like file: as torchvision's oldest, it has a classifier and no counters."""
    state = {
        name: torch.rand_like(value)
        for name, value in ResNet(SMALL).state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    classifier = {"fc.weight": torch.zeros(10, 32), "fc.bias": torch.zeros(10)}
    torch.save(state | classifier, path)
    return state


def test_a_torchvision_file_loads_without_its_classifier(tmp_path: Path) -> None:
    state = foreign_file(tmp_path / "resnet.pth")
    backbone = ResNet(SMALL)
    load_imagenet_weights(backbone, tmp_path / "resnet.pth")
    for name, value in state.items():
        assert torch.equal(backbone.state_dict()[name], value)


def test_files_that_cannot_be_used_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "resnet.pth"
    backbone = ResNet(SMALL)
    with pytest.raises(UserError, match="does not exist"):
        load_imagenet_weights(backbone, path)
    foreign_file(path)
    with pytest.raises(UserError, match="does not fit the backbone"):
        load_imagenet_weights(ResNet(BackboneConfig(depths=(2, 2), width=4)), path)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(UserError, match="cannot be read"):
        load_imagenet_weights(backbone, path)
    torch.save([1, 2], path)
    with pytest.raises(UserError, match="holds a list"):
        load_imagenet_weights(backbone, path)


def test_all_that_does_not_fit_is_named(tmp_path: Path) -> None:
    path = tmp_path / "resnet.pth"
    state = foreign_file(path)
    del state["conv1.weight"]
    state["bn1.weight"] = torch.zeros(3)
    torch.save(state | {"classifier.weight": torch.zeros(2)}, path)
    with pytest.raises(UserError) as told:
        load_imagenet_weights(ResNet(SMALL), path)
    assert "missing conv1.weight; unknown classifier.weight; misshapen bn1.weight" in str(
        told.value
    )
    assert "float32 [3], expected float32 [4]" in str(told.value)


def test_bottlenecks_can_start_as_their_shortcuts() -> None:
    backbone = ResNet(BackboneConfig(depths=(2,), width=4)).eval()
    image = torch.rand(1, 3, 32, 32)
    stem = backbone.maxpool(backbone.relu(backbone.bn1(backbone.conv1(image))))
    backbone.start_as_shortcuts()
    first = backbone.get_submodule("layer1.0.downsample")
    torch.testing.assert_close(backbone(image), first(stem).relu())
