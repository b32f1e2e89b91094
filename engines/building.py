"""From a bundle to an engine: checked before minutes are spent, written whole, never twice."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from engines.bundle import CONTRACT_FILE, ENGINES_FOLDER, Bundle
from engines.contract import Contract, RecipeEntry
from engines.errors import BuildError, UserError
from engines.files import sha256_of, whole_folder
from engines.machine import Machine, this_machine
from engines.manifest import (
    BatchProfile,
    BuildKey,
    Manifest,
    hash_files,
    read_manifest,
    write_manifest,
)
from engines.options import BuildOptions, flag
from engines.runtime import BuildOrder, Progress, Runtime, find_runtime

OPEN_PROFILE = BatchProfile(min=1, opt=8, max=32)
"""Batches an engine of a dynamic graph takes unless asked otherwise."""

Judge = Callable[[Path], bool]
"""Given an engine's folder: whether the engine may be published."""


class RejectedError(Exception):
    """The judge turned the engine down: what was there before is there still."""


def build_engine(
    bundle: Path,
    recipe: str,
    runtime: str,
    *,
    name: str | None = None,
    profiles: Sequence[BatchProfile] = (),
    options: BuildOptions | None = None,
    force: bool = False,
    judge: Judge | None = None,
    progress: Progress | None = None,
) -> Path:
    """Build BUNDLE/engines/NAME; where it is there already, of the same inputs, do nothing.

    Args:
        bundle: the bundle's folder.
        recipe: a recipe of the bundle, such as "fp16".
        runtime: a key of `RUNTIMES`.
        name: RUNTIME-RECIPE where None.
        profiles: batch ranges of a dynamic graph; 1 to 32, tuned for 8, where empty.
        options: what else the runtime is asked for.
        force: build even where nothing changed.
        judge: called with the new engine before it takes its place, or with the one that is there
            where nothing changed. It may write its verdict into the manifest.
        progress: called with what is done and the share of it, 0 to 1.

    Returns:
        The engine's folder.

    Raises:
        UserError: says what came, what was expected, how to mend it; an engine of that name
            that was there stays as it was.
        RejectedError: the judge said no; likewise.
    """
    report = progress or (lambda _what, _share: None)
    source = Bundle.open(Path(bundle))
    graph = source.graph(recipe)
    entry = source.contract.recipes[recipe]
    builder = find_runtime(runtime)
    if judge is not None:
        builder.check_running()  # before minutes are spent on what cannot be judged here
    provider, settings = _settle_options(builder, recipe, entry, options or BuildOptions())
    engine_name = _checked_name(name or f"{runtime}-{recipe}")
    folder = source.folder / ENGINES_FOLDER / engine_name
    machine = this_machine()
    key = BuildKey(
        runtime=runtime,
        runtime_version=builder.version(),
        provider=provider,
        recipe=recipe,
        onnx_sha256=source.contract.files[graph.name],
        contract_sha256=sha256_of(source.folder / CONTRACT_FILE),
        profiles=_settle_profiles(source.contract, tuple(profiles)),
        settings=settings,
    )
    if not force and _is_current(folder, key, machine if builder.bound_to_gpu(provider) else None):
        report("unchanged", 1.0)
        _ask(judge, folder)
        return folder
    order = BuildOrder(
        graph=graph,
        contract=source.contract,
        recipe=entry,
        profiles=key.profiles,
        provider=provider,
        settings=settings,
    )
    try:
        with whole_folder(folder, replace=True) as temporary:
            start = time.perf_counter()
            try:
                built = builder.build(order, temporary, report)
            except BuildError as error:
                raise BuildError(f"{error}{_other_form(entry, str(error))}") from error
            seconds = time.perf_counter() - start
            files = hash_files(temporary)
            assert built.name in files
            manifest = Manifest(
                **vars(key),
                name=engine_name,
                effective=built.effective,
                machine=machine,
                seconds=round(seconds, 3),
                file=built.name,
                files=files,
                size_bytes=sum((temporary / name).stat().st_size for name in files),
            )
            write_manifest(temporary, manifest)
            _ask(judge, temporary)
    except OSError as error:
        raise UserError(
            f"{folder} cannot be written ({error.strerror or error}); expected a folder with room "
            "that one may write to; free some space, or mend the permissions"
        ) from error
    return folder


def _other_form(entry: RecipeEntry, refusal: str) -> str:
    """What to type where a runtime names query-aware memory in its refusal."""
    if ".qamem" not in refusal or entry.qamem == "none":
        return ""
    other = "matmul" if entry.qamem == "conv" else "conv"
    return (
        f"; this graph holds query-aware memory as {entry.qamem}; export with `--qamem {other}` "
        "for its other form, or with `--qamem auto` for one that builds"
    )


def _ask(judge: Judge | None, folder: Path) -> None:
    if judge is not None and not judge(folder):
        raise RejectedError(folder)


def _settle_options(
    builder: Runtime, recipe: str, entry: RecipeEntry, options: BuildOptions
) -> tuple[str, dict[str, Any]]:
    """Provider and settings of the build; an option that the runtime lacks is refused."""
    for name, value in options.given().items():
        if name not in builder.options:
            known = ", ".join(map(flag, sorted(builder.options)))
            raise UserError(
                f"{flag(name)} {value} came; {builder.name} has no such option, only {known}; "
                "leave it out"
            )
    return builder.settle(recipe, entry, options)


def _settle_profiles(
    contract: Contract, asked: tuple[BatchProfile, ...]
) -> tuple[BatchProfile, ...]:
    """The batch ranges of the engine; a static graph has one size and takes no other."""
    if contract.batch is None:
        return asked or (OPEN_PROFILE,)
    only = BatchProfile(min=contract.batch, opt=contract.batch, max=contract.batch)
    for profile in asked:
        if profile != only:
            raise UserError(
                f"--batch {profile} came; the bundle's graph is static, at batch "
                f"{contract.batch}; leave --batch out, or export with `--batch dynamic`"
            )
    return (only,)


def _is_current(folder: Path, key: BuildKey, machine: Machine | None) -> bool:
    """Whether the engine on disk is whole and what would be built now, on `machine` if given."""
    try:
        found = read_manifest(folder)
    except UserError:
        return False
    return (
        found.key() == key
        and (machine is None or machine.same_gpu(found.machine))
        and hash_files(folder) == found.files
    )


def _checked_name(name: str) -> str:
    """A name that is one visible folder."""
    if not name or name.startswith(".") or Path(name).name != name:
        raise UserError(f"engine name {name!r} came; expected one folder's name; such as `fast`")
    return name
