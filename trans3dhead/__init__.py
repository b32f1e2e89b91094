"""Trans3DHead: 68 landmarks, 413 FLAME parameters and a 5023-vertex head mesh from one photo."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trans3dhead.outputs.prediction import Prediction
    from trans3dhead.prediction import Predictor

__version__ = "0.1.0"
__all__ = ["Prediction", "Predictor"]


def __getattr__(name: str) -> object:
    # A plain import is quick: engines and OpenCV come with the first of these that is asked for.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import trans3dhead.prediction

    return getattr(trans3dhead.prediction, name)
