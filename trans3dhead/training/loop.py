"""The training loop: a step after the other, in one process or in several."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from engines.errors import UserError
from trans3dhead.head.layout import layout_of
from trans3dhead.head.model import HeadModel
from trans3dhead.head.torch_model import TorchHead
from trans3dhead.network.model import Trans3DHead, build_network
from trans3dhead.presets import Preset
from trans3dhead.training.average import MovingAverage
from trans3dhead.training.average_face import average_face
from trans3dhead.training.checkpoint import HeadRecord
from trans3dhead.training.label_cache import SHAPE_SUBSET
from trans3dhead.training.labels import LabelledHeads
from trans3dhead.training.losses import Losses, MultiTaskLoss, Truth, loss_weights
from trans3dhead.training.optimiser import Update
from trans3dhead.training.samples import (
    STEPS,
    CropSamples,
    EpochOrder,
    Sample,
    normalise,
    reduce,
    training_batches,
)
from trans3dhead.training.schedule import Budget, rate_factor
from trans3dhead.training.starting import give_start
from trans3dhead.training.state import (
    StateRecord,
    TrainingState,
    check_same,
    optimiser_tensors,
    restore_optimiser,
)
from trans3dhead.training.world import ALONE, World

LOG_EVERY = 10
"""Steps between two lines of the log."""
LEAST_SCALE = 1.0
"""Half precision scales the loss so far down at most: where that still overflows, it is no
passing one."""
DTYPES = {"float32": None, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True, kw_only=True)
class Progress:
    """What a step left behind."""

    step: int
    """Steps taken."""
    share: float
    """Share of the training that is over."""
    line: dict[str, float] | None
    """For the log, every `LOG_EVERY` steps: losses are means over all processes."""


class Training:
    """A training under way: everything that its next step depends on.

    Unless the clock decides when to stop, equal arguments give equal weights on one machine with
    one number of threads and processes, whatever the workers, and however often it is taken up
    again.

    Args:
        preset: what is trained, how, and from which weights.
        head: the head model; it stays as it is.
        heads: the training items.
        world: the processes that share each batch, and where they compute.

    Raises:
        UserError: the batch cannot be shared equally, or the file to start from does not fit.
    """

    def __init__(
        self, preset: Preset, head: HeadModel, heads: LabelledHeads, *, world: World = ALONE
    ) -> None:
        config, size = preset.training, preset.network.image_size
        if config.batch % world.size or config.batch // world.size < 2:
            raise UserError(
                f"a batch of {config.batch} came for {world.size} processes; expected the same "
                "number of images for each, and two or more (BatchNorm); change batch or processes"
            )
        torch.manual_seed(config.seed)
        network = build_network(preset.network, torch.from_numpy(average_face(heads, size)))
        give_start(network, preset)
        if world.size > 1 and torch.device(world.device).type == "cuda":
            network = nn.SyncBatchNorm.convert_sync_batchnorm(network)
        self.preset = preset
        self.world = world
        self.heads = heads
        self.identity = HeadRecord.of(head)
        self.network: Trans3DHead = network.to(world.device).train()
        self.average = (
            None if config.ema_decay is None else MovingAverage(self.network, config.ema_decay)
        )
        self.step = 0
        self.budget = Budget.of(config, len(heads))
        self._shared = world.wrap(self.network)
        self._update = Update(self.network, config)
        self._criterion = build_criterion(preset, head).to(world.device)

    @property
    def result(self) -> Trans3DHead:
        """The network whose weights count: the averaged one where weights are averaged."""
        return self.network if self.average is None else self.average.network

    @property
    def samples_seen(self) -> int:
        """Training samples so far, repetitions counted, of all processes."""
        return self.step * self.preset.training.batch

    def steps(self, *, workers: int = 0) -> Iterator[Progress]:
        """Take the steps that are left; what each left behind.

        Args:
            workers: processes that make crops; 0 makes them in this one.

        Raises:
            UserError: the loss or its gradient is not finite; names the losses and the items.
        """
        config, world, size = self.preset.training, self.world, self.preset.network.image_size
        order = EpochOrder(
            items=len(self.heads),
            batch=config.batch,
            seed=config.seed,
            steps=self.budget.steps,
            start=self.step,
            part=(world.rank, world.size),
        )
        samples = CropSamples(self.heads, size, config.seed, config.augmentation)
        first, before = self.step, self.budget.elapsed()
        for batch in training_batches(samples, order, workers=workers):
            share = self._share()
            if share >= 1:
                break
            losses, gradient = self._take(batch, share)
            line = None
            if self.step % LOG_EVERY == 0:
                seconds = self.budget.elapsed()
                done = (self.step - first) * config.batch
                line = {
                    "step": self.step,
                    "samples": self.samples_seen,
                    "seconds": round(seconds, 2),
                    "images_per_second": round(done / (seconds - before), 2),
                    "learning_rate": self._rate(share, self.step - 1) * config.learning_rate,
                    "gradient": float(gradient),
                    **self._averaged(losses),
                }
            yield Progress(step=self.step, share=self.budget.share(self.step), line=line)

    def _take(self, batch: Sample, share: float) -> tuple[Losses, Tensor]:
        """One step: the losses of this process's part of the batch, and the gradient's norm."""
        config, device = self.preset.training, torch.device(self.world.device)
        torch.manual_seed(step_seed(config.seed, self.step, self.world.rank))
        dtype = DTYPES[config.precision]
        with torch.autocast(device.type, dtype, enabled=dtype is not None):
            images = normalise(torch.as_tensor(batch.image).to(device))
            outputs = self._shared(reduce(images, config.reduction(share)))
        losses = self._criterion(outputs, Truth(*(part.to(device) for part in batch.truth)))
        gradient = self._update.gradients(losses.total)
        self._check_finite(losses, gradient, batch)
        self._update.step(self._rate(share, self.step))
        if self.average is not None:
            self.average.update(self.network, self.step)
        self.step += 1
        return losses, gradient

    def _share(self) -> float:
        """Of the training that is over; one clock decides for all processes."""
        share = self.budget.share(self.step)
        return share if self.budget.steps is not None else self.world.agree(share)

    def _rate(self, share: float, step: int) -> float:
        return rate_factor(self.preset.training, step, share)

    def _averaged(self, losses: Losses) -> dict[str, float]:
        """Loss and its parts as numbers, means over all processes."""
        values = self.world.mean(torch.stack([losses.total.detach(), *losses.parts.values()]))
        return dict(zip(("loss", *losses.parts), values.tolist(), strict=True))

    def _check_finite(self, losses: Losses, gradient: Tensor, batch: Sample) -> None:
        """Stop before the weights are touched, in all processes as soon as one has to."""
        total = losses.total.detach()
        if torch.isfinite(self.world.mean(total + gradient)):
            return
        table = ", ".join(f"{name} {value:.4g}" for name, value in losses.table().items())
        items = [self.heads.item_id(item) for item in torch.as_tensor(batch.item).tolist()]
        found = self.world.gather((bool(torch.isfinite(total)), table, items))
        scaler = self._update.scaler
        if all(finite for finite, _, _ in found):
            if scaler.is_enabled() and scaler.get_scale() > LEAST_SCALE:
                return  # an overflow in half: the step is left out and the scale falls
            culprits = found
        else:
            culprits = [entry for entry in found if not entry[0]]
        tables = "; ".join(table for _, table, _ in culprits)
        raise UserError(
            f"at step {self.step} the loss is not finite ({tables}, gradient "
            f"{float(gradient):.4g}); expected numbers; look at the labels of these items or lower "
            f"the learning rate: {', '.join(item for _, _, items in culprits for item in items)}"
        )

    def state(
        self, *, evaluations: int, best: float | None
    ) -> tuple[StateRecord, dict[str, Tensor]]:
        """All that `restore` needs.

        Args:
            evaluations: made so far.
            best: value found by them.
        """
        record = StateRecord(
            preset=self.preset,
            head=self.identity,
            items=len(self.heads),
            step=self.step,
            seconds=self.budget.elapsed(),
            evaluations=evaluations,
            best=best,
            scaler=self._update.scaler.state_dict(),
        )
        parts = {
            "network": self.network.state_dict(),
            "average": {} if self.average is None else self.average.network.state_dict(),
            "optimiser": optimiser_tensors(self._update.optimiser, self.network),
        }
        return record, {
            f"{part}.{name}": value
            for part, found in parts.items()
            for name, value in found.items()
        }

    def restore(self, state: TrainingState) -> None:
        """Go on where a state was taken.

        Raises:
            UserError: it is of another configuration, head model or data.
        """
        check_same(state, self.preset, self.identity, len(self.heads))
        self.network.load_state_dict(state.part("network"))
        if self.average is not None:
            self.average.network.load_state_dict(state.part("average"))
        restore_optimiser(self._update.optimiser, self.network, state.part("optimiser"))
        self._update.scaler.load_state_dict(state.record.scaler)
        self.step, self.budget.spent = state.record.step, state.record.seconds


def step_seed(seed: int, step: int, rank: int) -> int:
    """Of the random numbers that a process draws within a step: dropout's."""
    return int(np.random.SeedSequence((seed, STEPS, step, rank)).generate_state(1, np.uint64)[0])


def build_criterion(preset: Preset, head: HeadModel) -> MultiTaskLoss:
    """The losses of a preset."""
    return MultiTaskLoss(
        head=TorchHead(head),
        layout=layout_of(preset.network.parameters),
        subset=head.subsets[SHAPE_SUBSET],
        image_size=preset.network.image_size,
        weights=loss_weights(preset.training, single_task=preset.network.single_task),
    )
