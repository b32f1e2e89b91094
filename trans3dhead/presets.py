"""Named configurations: `paper`, `tiny`, and one for every row of the paper's Tables 3 to 8.

Rows of several tables that are one configuration share a preset. No torch here.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from engines.errors import UserError
from trans3dhead.network.config import BackboneConfig, NetworkConfig
from trans3dhead.training.config import TrainingConfig


@dataclass(frozen=True, kw_only=True)
class Preset:
    """A network and how it is trained."""

    name: str
    """How the command line calls it."""
    summary: str
    """What it is, in a line."""
    rows: tuple[str, ...]
    """The rows of the paper's tables that it is, as "TABLE: ROW"."""
    network: NetworkConfig
    """What is built."""
    training: TrainingConfig
    """How it is trained."""


def paper() -> Preset:
    """The full model."""
    return Preset(
        name="paper",
        summary="the full model: QAMem, MARR and MQinit on landmarks, Euler loss",
        rows=(
            "Table 3 left: Trans3DHead",
            "Table 4: Trans3DHead",
            "Table 6: +MQinit-1",
            "Table 7: Trans3DHead",
            "Table 8: 413",
        ),
        network=NetworkConfig(),
        training=TrainingConfig(),
    )


def tiny() -> Preset:
    """The full model, every part of it, at a size that two CPU cores train in two minutes."""
    summary = "the full model with a small ResNet at 128 px, for CPUs and tests"
    return replace(shrink(paper()), name="tiny", summary=summary, rows=())


def paper_hour() -> Preset:
    """The paper's network, trained as far as an hour on a CPU reaches (`make checkpoint`).

    Its backbone starts from nothing, so it learns faster than the decoders; half of the hour
    goes to crops of a quarter and of half their size; dropout, which has no fused kernel on a CPU,
    is left out.
    """
    base = paper()
    return replace(
        base,
        name="paper-hour",
        summary="the full model at full size, trained as far as an hour on a CPU reaches",
        rows=(),
        network=replace(base.network, dropout=0.0),
        training=replace(
            base.training,
            minutes=60,
            batch=8,
            learning_rate=1e-4,
            backbone_factor=3.0,
            warmup_steps=50,
            schedule="cosine",
            shortcuts_first=True,
            quarter_until=0.3,
            half_until=0.55,
        ),
    )


def paper_gpu() -> Preset:
    """The paper's network as far as minutes on a data-centre GPU bring it."""
    summary = "the full model at full size, trained as far as minutes on a large GPU reach"
    return replace(hasten(paper()), summary=summary, rows=())


def hasten(preset: Preset) -> Preset:
    """The same network, trained as `paper-gpu` is; its name gains "-gpu"."""
    hurried = paper_hour().training
    return replace(
        preset,
        name=f"{preset.name}-gpu",
        network=replace(preset.network, dropout=0.0),
        training=replace(
            hurried,
            euler=preset.training.euler,
            minutes=5,
            batch=64,
            learning_rate=2e-4,
            warmup_steps=200,
            quarter_until=0.25,
            half_until=0.6,
            precision="bfloat16",
        ),
    )


def shrink(preset: Preset) -> Preset:
    """The same switches at the size of `tiny`, trained as `tiny` is; its name gains "-tiny".

    Sizes are chosen for speed: 413 queries cost more than the backbone does here, and attention
    dropout has no fused kernel on a CPU. Five stages of one block see the whole crop; shallower
    ones of two blocks were slower and learned later. The backbone starts from nothing, so it is
    given a higher rate than the decoders: at one rate for both, the landmarks overfit at a low
    one and stood still at a high one.
    """
    network = replace(
        preset.network,
        backbone=BackboneConfig(block="basic", depths=(1, 1, 1, 1, 1), width=16),
        image_size=128,
        hidden=64,
        heads=4,
        feedforward=128,
        dropout=0.0,
    )
    training = replace(
        preset.training,
        samples=4800,
        minutes=None,
        quarter_until=0.0,
        batch=8,
        learning_rate=2e-4,
        backbone_factor=5.0,
        warmup_steps=30,
        schedule="cosine",
    )
    return replace(preset, name=f"{preset.name}-tiny", network=network, training=training)


def baseline() -> Preset:
    """Without QAMem, MARR and Euler loss; MQinit stays [inferred, SPEC 2]."""
    return _vary(
        paper(),
        "baseline",
        "the full model without QAMem, MARR and Euler loss",
        "Table 3 left: baseline",
        "Table 5: baseline",
        qamem="none",
        marr=False,
        euler=False,
    )


def qamem() -> Preset:
    """The baseline with query-aware memory."""
    return _vary(
        baseline(),
        "qamem",
        "the baseline with QAMem on landmarks",
        "Table 3 left: +QA",
        "Table 3 right: 0/2",
        "Table 5: +QAMem-1",
        qamem="landmarks",
    )


def qamem_euler() -> Preset:
    """Query-aware memory and Euler loss."""
    return _vary(
        qamem(),
        "qamem-euler",
        "the baseline with QAMem and Euler loss",
        "Table 3 left: +Euler+QA",
        euler=True,
    )


def qamem_marr() -> Preset:
    """Query-aware memory and additive residuals."""
    return _vary(
        qamem(),
        "qamem-marr",
        "the baseline with QAMem and MARR",
        "Table 3 left: +MARR+QA",
        marr=True,
    )


def qamem_both() -> Preset:
    """Query-aware memory in both branches."""
    return _vary(
        qamem(),
        "qamem-both",
        "the baseline with QAMem in both branches",
        "Table 5: +QAMem-2",
        qamem="both",
    )


def _layers(encoders: int, decoders: int) -> Preset:
    return _vary(
        qamem(),
        f"layers-{encoders}-{decoders}",
        f"the baseline with QAMem, {encoders} encoder and {decoders} decoder layers",
        f"Table 3 right: {encoders}/{decoders}",
        encoders=encoders,
        decoders=decoders,
    )


def layers_0_1() -> Preset:
    """No encoder, one decoder layer."""
    return _layers(0, 1)


def layers_0_3() -> Preset:
    """No encoder, three decoder layers."""
    return _layers(0, 3)


def layers_1_2() -> Preset:
    """One encoder layer."""
    return _layers(1, 2)


def layers_2_2() -> Preset:
    """Two encoder layers."""
    return _layers(2, 2)


def layers_3_2() -> Preset:
    """Three encoder layers."""
    return _layers(3, 2)


def average_learnable() -> Preset:
    """The average face is trained, from the average."""
    return _vary(
        paper(),
        "average-learnable",
        "the full model with an average face trained from the average",
        "Table 4: +averinit",
        average_face="learnable",
    )


def average_random() -> Preset:
    """The average face is trained, from random numbers."""
    return _vary(
        paper(),
        "average-random",
        "the full model with an average face trained from random numbers",
        "Table 4: +randinit",
        average_face="random",
    )


def mqinit_none() -> Preset:
    """Landmark queries start from zeros."""
    return _vary(
        paper(),
        "mqinit-none",
        "the full model without MQinit",
        "Table 6: noMQinit",
        mqinit="none",
    )


def mqinit_both() -> Preset:
    """The queries of both branches start from the pooled memory."""
    return _vary(
        paper(),
        "mqinit-both",
        "the full model with MQinit in both branches",
        "Table 6: +MQinit-2",
        mqinit="both",
    )


def only_3dmm() -> Preset:
    """The 3DMM branch alone."""
    return _vary(
        paper(),
        "only-3dmm",
        "the 3DMM branch of the full model alone",
        "Table 7: only-3DMM",
        single_task=True,
    )


def params_60() -> Preset:
    """SynergyNet's count of parameters."""
    return _vary(
        paper(),
        "params-60",
        "the full model with 60 head parameters",
        "Table 8: 60",
        parameters=60,
    )


def params_160() -> Preset:
    """100 shape and 50 expression directions."""
    return _vary(
        paper(),
        "params-160",
        "the full model with 160 head parameters",
        "Table 8: 160",
        parameters=160,
    )


def _vary(
    base: Preset, name: str, summary: str, *rows: str, euler: bool | None = None, **network: Any
) -> Preset:
    training = base.training if euler is None else replace(base.training, euler=euler)
    return Preset(
        name=name,
        summary=summary,
        rows=rows,
        network=replace(base.network, **network),
        training=training,
    )


PRESETS: dict[str, Callable[[], Preset]] = {
    make().name: make
    for make in (
        paper,
        tiny,
        paper_hour,
        paper_gpu,
        baseline,
        qamem,
        qamem_euler,
        qamem_marr,
        qamem_both,
        layers_0_1,
        layers_0_3,
        layers_1_2,
        layers_2_2,
        layers_3_2,
        average_learnable,
        average_random,
        mqinit_none,
        mqinit_both,
        only_3dmm,
        params_60,
        params_160,
    )
}
"""Every preset's function, by its preset's name."""


def preset(name: str) -> Preset:
    """The preset of that name; UserError with all names for any other."""
    if name not in PRESETS:
        known = ", ".join(PRESETS)
        raise UserError(f"preset {name!r} is unknown; expected one of {known}; choose one of these")
    return PRESETS[name]()
