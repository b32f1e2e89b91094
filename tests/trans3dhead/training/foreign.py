"""A network as others write it: torch's own attention, DETR's names, a torchvision backbone."""

from dataclasses import replace

import torch
from torch import Tensor, nn

from trans3dhead.head.layout import layout_of, prior
from trans3dhead.network.backbone import ResNet
from trans3dhead.network.config import NetworkConfig
from trans3dhead.network.positions import sine_positions


class DetrLayer(nn.Module):
    """DETR's decoder layer, its names and its order; query-aware memory as grouped convolution."""

    def __init__(self, config: NetworkConfig, queries: int, *, qamem: bool) -> None:
        super().__init__()
        d = config.hidden
        self.self_attn = nn.MultiheadAttention(d, config.heads, batch_first=True)
        self.multihead_attn = nn.MultiheadAttention(d, config.heads, batch_first=True)
        self.linear1 = nn.Linear(d, config.feedforward)
        self.linear2 = nn.Linear(config.feedforward, d)
        self.norm1, self.norm2, self.norm3 = nn.LayerNorm(d), nn.LayerNorm(d), nn.LayerNorm(d)
        self.query_conv = nn.Conv2d(queries * d, queries * d, 1, groups=queries) if qamem else None

    def forward(self, target: Tensor, place: Tensor, memory: Tensor, key: Tensor) -> Tensor:
        """[B, N, d], [N, d], [B, S, d] twice -> [B, N, d]."""
        q = target + place
        target = self.norm1(target + self.self_attn(q, q, target)[0])
        read = self.multihead_attn(target + place, key, memory)[0]
        if self.query_conv is not None:
            read = self.query_conv(read.flatten(1)[:, :, None, None]).view_as(read)
        target = self.norm2(target + read)
        return self.norm3(target + self.linear2(self.linear1(target).relu()))


class Decoder(nn.Module):
    """The layers of one branch."""

    def __init__(self, config: NetworkConfig, queries: int, *, qamem: bool) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            DetrLayer(config, queries, qamem=qamem) for _ in range(config.decoders)
        )


class ForeignNetwork(nn.Module):
    """The paper's network by other hands; `forward` answers as ours does."""

    average_face: Tensor

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        d, points, parameters = config.hidden, config.landmarks, config.parameters
        self.config = config
        body = ResNet(config.backbone)
        body.fc = nn.Linear(config.backbone.channels, 10)  # as ImageNet's files have it
        self.backbone = nn.Sequential(nn.Module())
        self.backbone[0].body = body
        self.input_proj = nn.Linear(config.backbone.channels, d)
        self.transformer = nn.Module()
        self.transformer.landmark_decoder = Decoder(config, points, qamem=True)
        self.transformer.parameter_decoder = Decoder(config, parameters, qamem=False)
        self.landmark_query_embed = nn.Embedding(points, d)
        self.parameter_query_embed = nn.Embedding(parameters, d)
        self.query_init = nn.Linear(d, points * d)
        self.landmark_embed = nn.ModuleList(nn.Linear(d, 2) for _ in range(config.decoders))
        self.parameter_embed = nn.Linear(d, 1)
        self.register_buffer("average_face", torch.rand(1, points, 2))
        self.register_buffer("position_embedding", sine_positions(config.grid, d))

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """[B, 3, size, size] -> landmarks [B, 68, 2] and params [B, P], as `Trans3DHead` does."""
        features = self.backbone[0].body(image)
        memory = self.input_proj(features.flatten(2).transpose(1, 2))
        key = memory + self.position_embedding
        shape = (len(image), self.config.landmarks, self.config.hidden)
        target = self.query_init(memory.mean(1)).view(shape)
        landmarks = self.average_face
        for layer, head in zip(
            self.transformer.landmark_decoder.layers, self.landmark_embed, strict=True
        ):
            target = layer(target, self.landmark_query_embed.weight, memory, key)
            landmarks = landmarks + head(target)
        queries = self.parameter_query_embed.weight
        target = torch.zeros(len(image), *queries.shape)
        for layer in self.transformer.parameter_decoder.layers:
            target = layer(target, queries, memory, key)
        raw = self.parameter_embed(target).squeeze(2)
        layout = layout_of(self.config.parameters)
        split = layout.deformation.stop
        params = torch.cat((3 * raw[:, :split].tanh(), raw[:, split:]), dim=1)
        return {"landmarks": landmarks, "params": params + torch.tensor(prior(layout))}

    def state(self) -> dict[str, Tensor]:
        """The state_dict, its BatchNorm frozen as DETR's is: it counts no batches."""
        return {
            name: value
            for name, value in self.state_dict().items()
            if not name.endswith("num_batches_tracked")
        }


def foreign_network(config: NetworkConfig) -> ForeignNetwork:
    """With random weights and statistics, in evaluation mode; no dropout."""
    torch.manual_seed(5)
    network = ForeignNetwork(replace(config, dropout=0.0))
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.uniform_(-0.1, 0.1)  # type: ignore[union-attr]
            module.running_var.uniform_(0.8, 1.2)  # type: ignore[union-attr]
        elif isinstance(module, nn.MultiheadAttention):
            nn.init.normal_(module.in_proj_bias, std=0.1)
    return network.eval()
