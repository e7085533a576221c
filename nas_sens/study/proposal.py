"""A proposed architecture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from optuna.trial import Trial

from ..architectures import ArchitectureSpec
from ..core.identity import digest


@dataclass(frozen=True)
class Proposal:
    """A proposed architecture.

    Attributes:
        params: The trial's parameters.
        architecture: What they mean.
        is_repeat: Whether the same candidate was proposed before.
        training: Keys of ``[train]`` that are searched with the architecture.
    """

    params: Mapping[str, Any]
    architecture: ArchitectureSpec
    is_repeat: bool
    _trial: Trial | None = None
    training: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def digest(self) -> str:
        """Identity of the candidate: that of the architecture, unless training is searched with it."""
        if not self.training:
            return self.architecture.digest
        return digest({"architecture": self.architecture.to_dict(), "training": dict(self.training)})
