"""From an engine's folder to a model in a model repository of Triton Inference Server.

    REPOSITORY/MODEL/config.pbtxt
    REPOSITORY/MODEL/VERSION/    the runtime's file, and the engine's manifest and contract

What Triton could serve only otherwise than it was built and judged is refused. Nothing of Triton
is needed here, nor the engine's runtime or GPU: only the files are looked at. Not yet served by a
Triton with these backends (docs/triton.md).
"""

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from engines.bundle import CONTRACT_FILE, Bundle
from engines.contract import Contract
from engines.errors import ContractError, UserError
from engines.files import sha256_of, whole_folder
from engines.manifest import MANIFEST_FILE, Manifest, read_manifest
from engines.runtime import alterations, bundle_of
from engines.triton_config import Backend, Serving, model_config

CONFIG_FILE = "config.pbtxt"

BACKENDS = {
    "onnxruntime": Backend(name="onnxruntime", platform="onnxruntime_onnx", file="model.onnx"),
    "tensorrt": Backend(name="tensorrt", platform="tensorrt_plan", file="model.plan"),
}
"""Our runtimes to the backend that serves their engines."""

REFUSALS = {
    "openvino": "Triton's OpenVINO backend cannot be held to float32: where the CPU has bfloat16 "
    "it computes in that, unasked",
    "tensorrt-rtx": "Triton has no backend for TensorRT-RTX: its TensorRT cannot read this plan",
}

INSTEAD = {"openvino": "onnxruntime", "tensorrt-rtx": "tensorrt"}
"""The runtime to build for where an engine's own is refused."""


@dataclass(frozen=True, kw_only=True)
class Deployed:
    """A model in a repository."""

    folder: Path
    """REPOSITORY/MODEL."""
    version: int
    written: bool
    """False where the newest version was this engine already."""
    needs: str
    """What the server must have, in words."""
    licensed: str | None
    """Whose data the model's file holds, where it may not be passed on."""


def deploy(
    engine: Path,
    repository: Path,
    *,
    name: str | None = None,
    instances: int = 1,
    queue_delay: int = 0,
    unverified: bool = False,
) -> Deployed:
    """Write an engine as the newest version of a model; where it is that already, do nothing.

    Args:
        engine: the engine's folder, BUNDLE/engines/NAME.
        repository: Triton's model repository; made where there is none.
        name: the model's name; the engine's own where None.
        instances: copies of the model that answer at the same time.
        queue_delay: microseconds a request may wait for others to share its batch with.
        unverified: deploy an engine that `trans3dhead verify` has not passed.

    Raises:
        UserError: the engine was altered, was not passed, or cannot be served as it was built; or
            the model that is there is configured otherwise.
    """
    folder = engine.absolute()
    manifest = read_manifest(folder)
    bundle = Bundle.open(bundle_of(folder))
    serving = Serving(
        name=_checked_name(name or manifest.name), instances=instances, queue_delay=queue_delay
    )
    if instances < 1 or queue_delay < 0:
        raise UserError(
            f"{instances} instances and a queue delay of {queue_delay} came; "
            "expected at least 1 and 0"
        )
    backend = _backend(bundle.contract, manifest, bundle.folder)
    if not unverified:
        _check_verdict(manifest, folder)
    differing = alterations(bundle, folder, manifest)
    if differing:
        command = manifest.build_command(bundle.folder)
        raise ContractError(f"engine {folder}: {'; '.join(differing)}; rebuild: `{command}`")
    config = model_config(bundle.contract, manifest, backend, serving)
    model = repository.absolute() / serving.name
    try:
        version, written = _write(
            model,
            config,
            {
                backend.file: folder / manifest.file,
                MANIFEST_FILE: folder / MANIFEST_FILE,
                CONTRACT_FILE: bundle.folder / CONTRACT_FILE,
            },
        )
    except OSError as error:
        raise UserError(
            f"{model} cannot be written ({error.strerror or error}); expected a folder with room "
            "that one may write to; free some space, or mend the permissions"
        ) from error
    return Deployed(
        folder=model,
        version=version,
        written=written,
        needs=_needs(manifest),
        licensed=_licensed(bundle.contract),
    )


def _backend(contract: Contract, manifest: Manifest, bundle: Path) -> Backend:
    """Who serves the engine; a UserError where that would not be the engine as it was built."""
    runtime = manifest.runtime
    build = f"build it with `trans3dhead build {bundle} --recipe {manifest.recipe} --runtime"
    if runtime not in BACKENDS:
        raise UserError(
            f"engine {manifest.name} is of {runtime}; {REFUSALS[runtime]}; "
            f"{build} {INSTEAD[runtime]}`"
        )
    if manifest.provider == "tensorrt" and runtime == "onnxruntime":
        raise UserError(
            f"engine {manifest.name} is of ONNX Runtime's TensorRT provider, whose plan Triton "
            f"would build anew at each start; expected a plan of its own; {build} tensorrt`"
        )
    largest = max(profile.max for profile in manifest.profiles)
    gaps = [size for size in range(1, largest + 1) if not manifest.fits(size)]
    if contract.batch is None and gaps:
        ranges = ", ".join(map(str, manifest.profiles))
        raise UserError(
            f"engine {manifest.name} takes batches {ranges}, none of {gaps[0]}; Triton joins "
            f"requests to any size up to {largest}; expected profiles without a gap from 1 on; "
            f"rebuild it with `--batch 1,{manifest.profiles[0].opt},{largest}`"
        )
    return BACKENDS[runtime]


def _check_verdict(manifest: Manifest, folder: Path) -> None:
    verdict = (manifest.parity or {}).get("verdict", "none")
    if verdict != "pass":
        raise UserError(
            f"engine {manifest.name} has the parity verdict {verdict!r}; expected 'pass'; judge it "
            f"with `trans3dhead verify {folder}`, or deploy it all the same with --unverified"
        )


def _checked_name(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise UserError(
            f"model name {name!r} came; expected letters, digits, '.', '_' and '-'; "
            "such as `--name head`"
        )
    return name


def _write(model: Path, config: str, files: dict[str, Path]) -> tuple[int, bool]:
    """Write the model, or its next version; returns the version and whether it was written."""
    if not model.exists():
        with whole_folder(model) as temporary:
            (temporary / CONFIG_FILE).write_text(config)
            _copy(files, temporary / "1")
        return 1, True
    there = model / CONFIG_FILE
    if not there.is_file() or there.read_text() != config:
        raise UserError(
            f"{model} holds a model that is configured otherwise; expected the same inputs, "
            "outputs, batches and instances for a new version; give another `--name`, or remove it"
        )
    newest = max((int(path.name) for path in model.iterdir() if path.name.isdigit()), default=0)
    if newest and _same(files, model / str(newest)):
        return newest, False
    with whole_folder(model / str(newest + 1)) as temporary:
        _copy(files, temporary)
    return newest + 1, True


def _copy(files: dict[str, Path], folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    for name, source in files.items():
        shutil.copyfile(source, folder / name)


def _same(files: dict[str, Path], folder: Path) -> bool:
    return all(
        (folder / name).is_file() and sha256_of(folder / name) == sha256_of(source)
        for name, source in files.items()
    )


def _needs(manifest: Manifest) -> str:
    if manifest.runtime == "tensorrt":
        machine = manifest.machine
        return (
            f"a Triton with TensorRT {manifest.runtime_version} and no other, on {machine.gpu} "
            f"(compute capability {machine.compute_capability})"
        )
    where = "on a GPU" if manifest.provider == "cuda" else "on CPUs"
    return f"a Triton with ONNX Runtime, best {manifest.runtime_version} as judged, {where}"


def _licensed(contract: Contract) -> str | None:
    """A mesh graph holds the basis of the head model."""
    head = contract.head
    if contract.variant != "mesh" or head.redistributable:
        return None
    return f"{head.name} ({head.licence})"
