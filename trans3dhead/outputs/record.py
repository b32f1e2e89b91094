"""A head as JSON values, for machines."""

from typing import Any

from trans3dhead.outputs.prediction import Prediction


def record(head: Prediction) -> dict[str, Any]:
    """All but the mesh.

    Pixels are those of the full image, x right and y down; `camera` takes posed metres to them:
    pixel = origin + pixels_per_metre * (x, y). Of `params`, translation and scale are in crop
    units.
    """
    camera = head.to_full_image()
    landmarks = None if head.landmarks is None else head.landmarks.tolist()
    return {
        "bbox_xywh": list(head.bbox),
        "landmarks_xy_pixels": landmarks,
        "mesh_landmarks_xy_pixels": head.mesh_landmarks.tolist(),
        "pose_degrees": head.pose,
        "rotation": head.rotation.tolist(),
        "camera": {
            "pixels_per_metre": camera.pixels_per_metre,
            "origin_xy_pixels": camera.origin.tolist(),
        },
        "params": head.params.tolist(),
    }
