"""Trans3DHead: 68 landmarks, 413 FLAME parameters and a 5023-vertex head mesh from one photo."""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trans3dhead.data.images import read_rgb
    from trans3dhead.outputs import write_outputs
    from trans3dhead.outputs.prediction import Prediction
    from trans3dhead.prediction import Predictor

__version__ = "0.1.0"
__all__ = ["Prediction", "Predictor", "read_rgb", "write_outputs"]
_HOMES = {
    "Prediction": "outputs.prediction",
    "Predictor": "prediction",
    "read_rgb": "data.images",
    "write_outputs": "outputs",
}


def __getattr__(name: str) -> object:
    # A plain import is quick: engines and OpenCV come with the first of these that is asked for.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"trans3dhead.{_HOMES[name]}"), name)
