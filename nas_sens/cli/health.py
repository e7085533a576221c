"""The checks of ``nas-sens doctor``: what this machine has, whether it is in order, and how it is mended."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from ..core.errors import InvalidInputError, NasSensError
from ..core.secrets import hide_password

_SHOWN = ("torch", "torchvision", "timm", "optuna", "optuna-dashboard")


@dataclass(frozen=True)
class Finding:
    """What a check found.

    Attributes:
        check: What was looked at.
        is_ok: Whether it is in order.
        found: What is there.
        mend: What to do where it is not in order; "" where it is.
    """

    check: str
    is_ok: bool
    found: str
    mend: str = ""


def examine(*, storage: str, artifacts: str | None, device: str) -> Iterator[Finding]:
    """Yield what every check found; nothing that a check meets ends the others.

    Args:
        storage: URL of the database.
        artifacts: Where artifacts are to lie; None for the default.
        device: What networks are to run on.
    """
    yield from (_version("nas-sens"), Finding("python", True, f"{platform.python_version()} on {platform.system()}"))
    yield from (_version(name) for name in _SHOWN)
    yield _requirements()
    checks: dict[str, Callable[[], Finding]] = {
        "device": lambda: _device(device),
        "threads": _threads,
        "database": lambda: _database(storage),
        "artifacts": lambda: _artifacts(storage, artifacts),
        "cache": _cache,
    }
    for name, check in checks.items():
        try:
            yield check()
        except (NasSensError, OSError) as error:
            what, _, advice = str(error).rpartition("; ")
            yield Finding(name, False, what or advice, advice if what else "see the message")


def _version(name: str) -> Finding:
    try:
        return Finding(name, True, version(name))
    except PackageNotFoundError:
        return Finding(name, False, "not installed", f"pip install {name}")


def _requirements() -> Finding:
    """Return whether all that nas_sens needs is installed in a version that will do."""
    from packaging.requirements import Requirement

    wrong = []
    for requirement in map(Requirement, requires("nas-sens") or ()):
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        try:
            there = version(requirement.name)
        except PackageNotFoundError:
            there = "none"
        if there == "none" or not requirement.specifier.contains(there, prereleases=True):
            wrong.append((str(requirement).partition(";")[0], there))
    if not wrong:
        return Finding("requirements", True, "all installed")
    found = ", ".join(f"{needed} needed, {there} installed" for needed, there in wrong)
    return Finding("requirements", False, found, f"pip install {' '.join(repr(needed) for needed, _ in wrong)}")


def _device(name: str) -> Finding:
    """Return whether a small network's work can be done on a device."""
    import torch

    from ..core.device import resolve_device

    device = resolve_device(name)
    try:
        x = torch.ones(8, 8, device=device)
        is_right = float((x @ x).sum()) == 8.0**3
    except RuntimeError as error:  # of a driver, which says what it likes
        raise InvalidInputError(f"{device} cannot multiply two matrices: {error}; take --device cpu") from error
    what = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or platform.machine()
    return Finding("device", is_right, f"{device} ({what})", "" if is_right else "take --device cpu")


def _threads() -> Finding:
    import torch

    n, cores = (
        torch.get_num_threads(),
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1),
    )
    found = f"{n} of PyTorch on {cores} cores"
    if n <= cores:
        return Finding("threads", True, found)
    return Finding(
        "threads", False, found, f"export OMP_NUM_THREADS={cores}: more threads than cores wait for each other"
    )


def _database(url: str) -> Finding:
    from ..storage.health import state_of

    state, shown = state_of(url), hide_password(url)
    if not state.is_there:
        return Finding("database", True, f"{shown}: empty, the first search makes its tables")
    found = f"{shown}: {state.n_studies} studies, schema {state.schema}"
    if state.n_earlier:
        return Finding(
            "database", False, f"{found}; {state.n_earlier} of an earlier nas_sens", "nas-sens migrate --all"
        )
    return Finding("database", True, found + ("" if state.is_fast else ", which is written to one trial at a time"))


def _artifacts(url: str, given: str | None) -> Finding:
    from sqlalchemy.exc import SQLAlchemyError

    from ..storage.artifact_check import check_writable
    from ..storage.artifact_places import place_of
    from ..storage.artifacts import Artifacts
    from ..storage.url import default_artifacts

    try:
        place = given if given is not None else default_artifacts(url)
    except (SQLAlchemyError, ValueError):  # the database's own line says what is wrong with its URL
        return Finding("artifacts", False, "beside a database whose URL cannot be read", "give its URL, or --artifacts")
    artifacts = Artifacts(place_of(place))
    check_writable(artifacts)
    is_new = artifacts.folder is not None and not artifacts.folder.exists()
    return Finding("artifacts", True, f"{artifacts.place}: {'made when it is needed' if is_new else 'writable'}")


def _cache() -> Finding:
    from ..data.cache_folder import VARIABLE, cache_folder, cache_use, max_cache_bytes

    folder, most = cache_folder(), max_cache_bytes()
    there: Path = next(p for p in (folder, *folder.absolute().parents) if p.exists())
    if not (there.is_dir() and os.access(there, os.W_OK)):
        return Finding("cache", False, f"{there} cannot be written", f"export {VARIABLE}=A_FOLDER_OF_YOURS")
    n, size = cache_use()
    return Finding("cache", True, f"{folder}: {n:,} files, {size / 2**30:.3g} GiB of at most {most / 2**30:g} GiB")
