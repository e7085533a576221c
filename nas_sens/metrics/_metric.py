"""What describes a measure of a network: the record by which the registry of this package finds and names it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

Direction = Literal["larger", "smaller"]


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One measure of a network with its present weights; a module of this package has it as ``METRIC``.

    Attributes:
        function: ``function(model, x, y=None, *, ..., generator=None) -> float``. It leaves weights, modes, gradients
            and buffers of ``model`` as it found them, and raises InvalidInputError, in one line, where ``model``, ``x``
            or ``y`` lacks what it needs.
        direction: Which values its source expects of the better network; a hypothesis, not a fact.
        source: Where it is from: authors, year, arXiv number, equation.
        cost: In words, for n inputs.
        takes_reference: Whether it also takes ``reference``, one input (*input_shape) that all networks and sets of
            inputs that are compared have in common.
        needs_labels: Whether ``y`` must be given.
        requirements: What a network or its inputs must have, in words; empty for nothing in particular.
    """

    function: Callable[..., Any]
    direction: Direction
    source: str
    cost: str
    takes_reference: bool = False
    needs_labels: bool = False
    requirements: str = ""

    @property
    def name(self) -> str:
        """The name of the function, which is that of its module."""
        return str(getattr(self.function, "__name__", self.function))

    @property
    def terms(self) -> str:
        """What it promises, costs and needs, and where it is from, in words."""
        needs = ["labels"] if self.needs_labels else []
        needs += self.requirements.split("; ") if self.requirements else []
        parts = [f"{self.direction} is expected to be better", f"costs {self.cost}"]
        parts += [f"needs {', '.join(needs)}"] if needs else []
        return "; ".join([*parts, self.source])
