"""`trans3dhead deploy triton`: an engine as a model of Triton Inference Server."""

from dataclasses import asdict, dataclass
from pathlib import Path

import tyro

from trans3dhead.cli.common import CommonOptions, Outcome


@dataclass(frozen=True, kw_only=True)
class Options(CommonOptions):
    """Write an engine into a model repository of Triton Inference Server.

    For engines of ONNX Runtime (CPU and CUDA) and plans of TensorRT. Each further engine under
    the same name becomes the next version, and Triton serves the newest.
    """

    engine: tyro.conf.Positional[Path]
    """Engine folder, BUNDLE/engines/NAME, made by `trans3dhead build`."""
    repository: Path = Path("models")
    """Triton's model repository; made where there is none."""
    name: str | None = None
    """The model's name on the server; the engine's own unless given."""
    instances: int = 1
    """Copies of the model that answer at the same time, on each GPU or on the CPU."""
    queue_delay: int = 0
    """Microseconds a request may wait for others to share its batch with: more throughput for
    more latency."""
    unverified: bool = False
    """Deploy an engine that `trans3dhead verify` has not passed."""


def run(options: Options) -> Outcome:
    from engines.triton import deploy
    from trans3dhead.cli.terminal import say, wide_console

    deployed = deploy(
        options.engine,
        options.repository,
        name=options.name,
        instances=options.instances,
        queue_delay=options.queue_delay,
        unverified=options.unverified,
    )
    console = wide_console()
    version = f"{deployed.folder}, version {deployed.version}"
    say(console, version if deployed.written else f"unchanged: {version}")
    say(console, f"needs {deployed.needs}")
    say(console, f"serve it with: tritonserver --model-repository={deployed.folder.parent}")
    if deployed.licensed is not None:
        say(
            console,
            f"the model holds the basis of the head model {deployed.licensed}, licensed data: "
            "do not pass it on",
            style="yellow",
        )
    return Outcome(data=asdict(deployed) | {"folder": str(deployed.folder)}, report=deployed)
