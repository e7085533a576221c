"""What describes a sampler, and the registry by which a study finds one by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from optuna.samplers import BaseSampler
from pydantic import AfterValidator

from ..core.declarations import nearest
from ..core.registry import registry_of

AUTO = "auto"  # enumerates a small space, and samples others at random


@dataclass(frozen=True, kw_only=True)
class Sampler:
    """One way to propose architectures; a module of `nas_sens.samplers` has it as ``SAMPLER``.

    Attributes:
        name: Its name in ``[search] sampler``.
        make: Returns Optuna's sampler for a seed; None for what goes through all of a finite space.
        is_independent: Whether proposals do not depend on the scores of those before them, so that several processes
            may score at once.
        description: One line.
    """

    name: str
    make: Callable[[int], BaseSampler] | None
    is_independent: bool = False
    description: str | None = ""


# Its folder is above this one: a study names what is found when it is read.
SAMPLERS = registry_of("sampler", Sampler, package="nas_sens.samplers", group="samplers", attribute="SAMPLER")


def _check(name: str) -> str:
    valid = (AUTO, *SAMPLERS.table())
    if name not in valid:
        raise ValueError(f"must be a sampler ({nearest(name, valid)})")
    return name


SamplerName = Annotated[str, AfterValidator(_check)]
