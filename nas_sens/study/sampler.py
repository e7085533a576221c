"""What describes a sampler, and the registry by which a study finds one by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Annotated

from optuna.samplers import BaseSampler
from pydantic import AfterValidator

from ..core.declarations import nearest
from ..core.registry import Registry

AUTO = "auto"  # enumerates a small space, and samples others at random


@dataclass(frozen=True, kw_only=True)
class Sampler:
    """One way to propose architectures; a module of `nas_sens.samplers` has it as ``SAMPLER``.

    Attributes:
        name: Its name in ``[search] sampler``.
        make: Returns Optuna's sampler for a seed; None for what goes through all of a finite space.
        is_independent: Whether proposals do not depend on the scores of those before them, so that several processes
            may score at once.
    """

    name: str
    make: Callable[[int], BaseSampler] | None
    is_independent: bool = False


def _samplers_in(module: ModuleType) -> list[Sampler]:
    return [found] if isinstance(found := getattr(module, "SAMPLER", None), Sampler) else []


SAMPLERS: Registry[Sampler] = Registry(
    "sampler",
    package="nas_sens.samplers",  # which is above this one: a study names what is found when it runs
    group="samplers",
    expected="a Sampler",
    things_in=_samplers_in,
    accepts=lambda value: isinstance(value, Sampler),
    name_of=lambda sampler: sampler.name,
)


def _check(name: str) -> str:
    valid = (AUTO, *SAMPLERS.table())
    if name not in valid:
        raise ValueError(f"must be a sampler ({nearest(name, valid)})")
    return name


SamplerName = Annotated[str, AfterValidator(_check)]
