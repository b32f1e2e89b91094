"""Opening what can be measured: a checkpoint, an engine, or a foreign model."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from engines.errors import UserError

if TYPE_CHECKING:
    from trans3dhead.evaluation import ConstantAnswer, CropPredictor
    from trans3dhead.head.surface import HeadSurface


@contextmanager
def open_predictor(
    model: Path, *, head: Path | None, adapter: Path | None = None, threads: int | None = None
) -> "Iterator[tuple[CropPredictor, HeadSurface, dict[str, ConstantAnswer]]]":
    """Predictor, head model and baselines of a checkpoint, an engine or a foreign model.

    Args:
        model: a checkpoint's file, an engine's folder, or with an adapter a foreign model's file.
        head: folder of the head model, where it is not the built-in one.
        adapter: of a foreign model.
        threads: CPU threads of an engine.
    """
    import numpy as np

    from trans3dhead.evaluation import ConstantAnswer, EnginePredictor
    from trans3dhead.head.rotation import FRONTAL
    from trans3dhead.head.source import head_by_identity

    baselines = {"frontal pose": ConstantAnswer(rotation=FRONTAL)}
    if adapter is not None:
        from benchmarks.foreign.engine import open_foreign
        from trans3dhead.head.source import resolve_head

        with open_foreign(model, adapter, threads) as engine:
            yield EnginePredictor(engine), resolve_head(head), baselines
    elif model.is_dir():
        from engines.bundle import Bundle
        from engines.runtime import bundle_of, open_engine
        from trans3dhead.prediction import head_of

        with open_engine(model, threads=threads) as engine:
            bundle = Bundle.open(bundle_of(model.absolute()))
            yield EnginePredictor(engine), head_of(bundle, head), baselines
    elif model.is_file():
        from trans3dhead.training.checkpoint import load_checkpoint
        from trans3dhead.training.predictor import NetworkPredictor

        checkpoint = load_checkpoint(model)
        network, config = checkpoint.network, checkpoint.preset.network
        surface = head_by_identity(checkpoint.head.name, checkpoint.head.sha256, head)
        if config.marr and config.average_face == "fixed" and not config.single_task:
            face = network.get_buffer("landmark_branch.regression.average_face").numpy()
            baselines = {"average face": ConstantAnswer(landmarks=face), **baselines}
        if checkpoint.mean_rotation:
            pose = np.reshape(checkpoint.mean_rotation, (3, 3))
            baselines["mean pose"] = ConstantAnswer(rotation=pose)
        yield NetworkPredictor(network, config.image_size), surface, baselines
    else:
        raise UserError(
            f"{model} does not exist; expected a checkpoint file or an engine folder; "
            "check the path"
        )
