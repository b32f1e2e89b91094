"""The head model in torch: the differentiable, exportable twin of `model` (SPEC 3).

Letters: B batch, V = 5023 vertices, K = 409 rows of the basis (300 shape, 100 expression, 9 jaw).
Everything here is float32: half precision moves a vertex by more than the metrics resolve.
"""

import numpy as np
import torch
from torch import Tensor, nn

from trans3dhead.head.layout import LAYOUT_413
from trans3dhead.head.model import DEPTH_OFFSET, HeadModel
from trans3dhead.head.surface import LANDMARK_COUNT, VERTEX_COUNT
from trans3dhead.head.torch_rotation import rodrigues, rotation_from_six_d


class TorchHead(nn.Module):
    """`HeadModel` with its arrays as buffers that no checkpoint carries."""

    template: Tensor
    basis: Tensor
    jaw_joint: Tensor
    jaw_weights: Tensor
    landmark_triangles: Tensor
    landmark_barycentric: Tensor

    def __init__(self, head: HeadModel) -> None:
        super().__init__()
        arrays = {
            "template": head.template.reshape(-1),  # [V*3]
            "basis": head.basis,  # [K, V*3]
            "jaw_joint": head.jaw_joint,  # [401, 3]
            "jaw_weights": head.jaw_weights,  # [V, 1]
            "landmark_triangles": head.landmark_triangles.astype(np.int64).ravel(),
            "landmark_barycentric": head.landmark_barycentric,  # [68, 3]
        }
        for name, array in arrays.items():
            self.register_buffer(name, torch.from_numpy(array.copy()), persistent=False)

    def model_vertices(self, params: Tensor) -> Tensor:
        """Vertices in model space, [B, V, 3] metres, of [B, 413]; see `HeadModel`."""
        betas = params[:, : LAYOUT_413.jaw_slice.start]  # [B, 400]
        identity = torch.eye(3, dtype=params.dtype, device=params.device)
        turn = rodrigues(params[:, LAYOUT_413.jaw_slice]) - identity  # [B, 3, 3]
        coefficients = torch.cat([betas, turn.flatten(1)], dim=1)  # [B, K]
        bent = torch.addmm(self.template, coefficients, self.basis)
        bent = bent.unflatten(1, (VERTEX_COUNT, 3))  # [B, V, 3]
        joint = torch.addmm(self.jaw_joint[0], betas, self.jaw_joint[1:])  # [B, 3]
        # moved[b, v, i] = w[v] sum_j turn[b, i, j] (bent[b, v, j] - joint[b, j])
        moved = self.jaw_weights * ((bent - joint[:, None]) @ turn.transpose(1, 2))
        offset = torch.tensor([0.0, 0.0, DEPTH_OFFSET], dtype=params.dtype, device=params.device)
        return bent + moved + offset

    def posed_vertices(self, params: Tensor) -> Tensor:
        """Vertices turned into image axes, R v: [B, V, 3] metres, of [B, 413]."""
        rotation = rotation_from_six_d(params[:, LAYOUT_413.rotation])
        return self.model_vertices(params) @ rotation.transpose(1, 2)

    def landmarks68(self, vertices: Tensor) -> Tensor:
        """The 68 landmarks [B, 68, 3] of vertices [B, V, 3], in their frame."""
        # one index_select becomes one Gather in ONNX; a [68, 3] index becomes three nodes
        corners = vertices.index_select(1, self.landmark_triangles)  # [B, 68*3, 3]
        corners = corners.unflatten(1, (LANDMARK_COUNT, 3))  # [B, 68, 3 corners, 3]
        return (corners * self.landmark_barycentric[..., None]).sum(dim=2)

    @staticmethod
    def project(posed: Tensor, params: Tensor, size: int) -> Tensor:
        """Crop pixels (x, y) [B, n, 2] of posed points [B, n, 3], with params [B, 413]."""
        scale = torch.clamp(params[:, None, LAYOUT_413.scale] + 1, min=1e-8)  # [B, 1, 1]
        shift = params[:, None, LAYOUT_413.translation][..., :2]  # [B, 1, 2]
        return (scale * posed[..., :2] + shift + 1) * (size / 2)
