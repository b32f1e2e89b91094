"""The training loop."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from engines.errors import UserError
from trans3dhead.head.layout import layout_of
from trans3dhead.head.model import HeadModel
from trans3dhead.head.torch_model import TorchHead
from trans3dhead.network.model import Trans3DHead, build_network
from trans3dhead.presets import Preset
from trans3dhead.training.average_face import average_face
from trans3dhead.training.labels import SHAPE_SUBSET, LabelledHeads
from trans3dhead.training.log import TrainingLog
from trans3dhead.training.losses import Losses, MultiTaskLoss, Truth, loss_weights
from trans3dhead.training.optimiser import build_optimiser, set_rates
from trans3dhead.training.samples import CropSamples, normalise, reduce, training_batches
from trans3dhead.training.schedule import Budget, rate_factor

LOG_EVERY = 10
"""Steps between two lines of the log."""


@dataclass(frozen=True, kw_only=True)
class Trained:
    """What the loop made."""

    network: Trans3DHead
    """In evaluation mode, on the device it was trained on."""
    samples_seen: int
    """Repetitions counted."""
    minutes: float


def train(
    preset: Preset,
    head: HeadModel,
    heads: LabelledHeads,
    log: TrainingLog,
    *,
    device: str = "cpu",
    workers: int = 0,
) -> Trained:
    """Train a network from fresh weights.

    Unless the clock decides when to stop, equal arguments give equal weights on one machine with
    one number of threads, whatever the workers.

    Args:
        preset: what is trained, and how.
        head: the head model; it stays as it is.
        heads: the training items.
        log: told of the steps.
        device: torch's name of it.
        workers: processes that make crops; 0 makes them in this one.

    Raises:
        UserError: the loss or its gradient is not finite; names the losses and the items.
    """
    config, size, kind = preset.training, preset.network.image_size, torch.device(device).type
    torch.manual_seed(config.seed)
    network = build_network(preset.network, torch.from_numpy(average_face(heads, size)))
    if config.shortcuts_first:
        network.backbone.start_as_shortcuts()
    network = network.to(device).train()
    criterion = build_criterion(preset, head).to(device)
    optimiser = build_optimiser(network, config)
    samples = CropSamples(heads, size, config.seed)
    budget = Budget.of(config, len(heads))
    batches = training_batches(
        samples, batch=config.batch, seed=config.seed, steps=budget.steps, workers=workers
    )
    steps = 0
    for batch in batches:
        share = budget.share(steps)
        if share >= 1:
            break
        rate = rate_factor(config, steps, share)
        set_rates(optimiser, rate)
        with torch.autocast(kind, torch.bfloat16, enabled=config.precision == "bfloat16"):
            images = normalise(batch.image.to(device))
            outputs = network(reduce(images, config.reduction(share)))
        losses = criterion(outputs, Truth(*(part.to(device) for part in batch.truth)))
        optimiser.zero_grad()
        losses.total.backward()
        gradient = torch.nn.utils.clip_grad_norm_(network.parameters(), config.clip_norm)
        _check_finite(losses, gradient, steps, [heads.item_id(item) for item in batch.item])
        optimiser.step()
        steps += 1
        log.move(budget.share(steps))
        if steps % LOG_EVERY == 0:
            seconds = budget.elapsed()
            log.write(
                step=steps,
                samples=steps * config.batch,
                seconds=round(seconds, 2),
                images_per_second=round(steps * config.batch / seconds, 2),
                learning_rate=rate * config.learning_rate,
                gradient=float(gradient),
                loss=float(losses.total.detach()),
                **losses.table(),
            )
    return Trained(
        network=network.eval(),
        samples_seen=steps * config.batch,
        minutes=budget.elapsed() / 60,
    )


def build_criterion(preset: Preset, head: HeadModel) -> MultiTaskLoss:
    """The losses of a preset."""
    return MultiTaskLoss(
        head=TorchHead(head),
        layout=layout_of(preset.network.parameters),
        subset=head.subsets[SHAPE_SUBSET],
        image_size=preset.network.image_size,
        weights=loss_weights(preset.training, single_task=preset.network.single_task),
    )


def _check_finite(losses: Losses, gradient: Tensor, step: int, items: Sequence[str]) -> None:
    """Stop before the weights are touched."""
    if not torch.isfinite(losses.total + gradient):
        table = ", ".join(f"{name} {value:.4g}" for name, value in losses.table().items())
        raise UserError(
            f"at step {step} the loss is not finite ({table}, gradient {float(gradient):.4g}); "
            f"expected numbers; look at the labels of these items or lower the learning rate: "
            f"{', '.join(items)}"
        )
